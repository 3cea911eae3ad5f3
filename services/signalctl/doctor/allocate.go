package doctor

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"

	"github.com/pion/logging"
	"github.com/pion/stun/v4"
	"github.com/pion/turn/v5"

	"github.com/signalbox-rtc/signalbox/pkg/turncred"
)

// probeApp and probeUser are whose credentials the doctor makes, for a moment: a relay's metrics and quotas know it by them.
const (
	probeApp, probeUser = "signalctl", "doctor"
	probeLife           = 5 * time.Minute
)

// key is one way to be let in at a TURN server.
type key struct {
	name               string // of the secret; "" for a fixed user
	username, password string
}

// keysOf gives credentials of each secret; names is how the configuration calls them.
func keysOf[S ~string](names string, secrets []S) []key {
	keys := make([]key, len(secrets))
	for i, secret := range secrets {
		made := turncred.New(string(secret), probeApp, probeUser, time.Now().Add(probeLife))
		keys[i] = key{name: fmt.Sprintf("secret %d of %s", i+1, names), username: made.Username, password: made.Password}
	}
	return keys
}

// allocate takes an address at a TURN server as a client does (RFC 8656, section 7), and gives it up.
func allocate(ctx context.Context, uri *stun.URI, config *tls.Config, k key) (net.Addr, error) {
	address := net.JoinHostPort(uri.Host, strconv.Itoa(uri.Port))
	var conn net.PacketConn
	if uri.Proto == stun.ProtoTypeUDP {
		var err error
		if conn, err = new(net.ListenConfig).ListenPacket(ctx, "udp", ":0"); err != nil {
			return nil, err
		}
	} else {
		stream, err := dialSTUN(ctx, uri, config)
		if err != nil {
			return nil, err
		}
		conn = turn.NewSTUNConn(stream)
	}
	defer func() { _ = conn.Close() }()
	client, err := turn.NewClient(&turn.ClientConfig{
		TURNServerAddr: address, Username: k.username, Password: k.password, Conn: conn, RequestedAddressFamily: turn.RequestedAddressFamilyIPv4,
		LoggerFactory: &logging.DefaultLoggerFactory{Writer: io.Discard, DefaultLogLevel: logging.LogLevelDisabled},
	})
	if err != nil {
		return nil, err
	}
	defer client.Close()
	if err := client.Listen(); err != nil {
		return nil, err
	}
	allocation, err := client.AllocateWithContext(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return nil, errors.New("no answer in time")
		}
		return nil, err
	}
	relayed := allocation.LocalAddr()
	_ = allocation.Close() // with a last request, whose answer nobody waits for
	return relayed, nil
}

// refusal says what is wrong when a TURN server does not let in, and what to do.
func refusal(err error, k key) (problem, remedy string) {
	refused, ok := errors.AsType[*stun.TurnError](err)
	if !ok {
		if errors.Is(err, stun.ErrAttributeNotFound) {
			return "it asks for no credentials: it lets everybody relay, or refuses before it asks",
				"Have it ask for them (use-auth-secret or lt-cred-mech of coturn): strangers use open relays. If it does, its log says why it refuses this machine."
		}
		return "an allocation failed: " + err.Error(), "Look at the log of the TURN server."
	}
	code := refused.ErrorCodeAttr.Code
	problem = fmt.Sprintf("no allocation: %d %s", code, refused.ErrorCodeAttr.Reason)
	switch code {
	case stun.CodeUnauthorized:
		if k.name == "" {
			return problem + ": it does not know username and credential", "Correct username and credential in the configuration, or the account at the provider."
		}
		return problem + ": it does not take " + k.name,
			"Give the server the same secret (use-auth-secret and static-auth-secret of coturn, credentials.secrets of a relay). If it has it, its clock is wrong: credentials end by it."
	case stun.CodeForbidden:
		return problem + ": it lets nobody in from here", "Let this network in at the server; if clients' networks are let in, look from one of them."
	case stun.CodeAllocQuotaReached:
		return problem + ": this user has as many allocations as it may have",
			"Raise the server's quota for a user (user-quota of coturn, quotas.user_allocations of a relay); with a fixed username all clients share one: use a secret."
	case stun.CodeInsufficientCapacity:
		return problem + ": it has no room for any more", "Add a server or a relay, or raise its limits (total-quota and min-port to max-port of coturn, quotas.allocations and relay.ports_from to relay.ports_to of a relay)."
	case stun.CodeAddrFamilyNotSupported:
		return problem + ": it has no address of IPv4 to relay from", "Give the server one: most peers have no other."
	case stun.CodeUnsupportedTransProto:
		return problem + ": it does not relay UDP", "Allow it at the server (no-udp-relay of coturn)."
	case stun.CodeTryAlternate:
		return problem + ": it sends clients to another server", "Name that server instead: browsers need not follow."
	}
	return problem, "Look at the log of the TURN server; RFC 8656, section 19, says what the code means."
}

// unreachable reports whether a relay's address is one that peers on the internet do not reach, though its server's is not.
func unreachable(relayed net.Addr, server string) bool {
	inside := func(ip net.IP) bool {
		return ip.IsPrivate() || ip.IsLoopback() || ip.IsUnspecified() || ip.IsLinkLocalUnicast()
	}
	udp, ok := relayed.(*net.UDPAddr)
	if !ok || !inside(udp.IP) {
		return false
	}
	ip := net.ParseIP(server)
	if ip == nil {
		found, err := net.ResolveIPAddr("ip", server)
		if err != nil {
			return false
		}
		ip = found.IP
	}
	return !inside(ip)
}
