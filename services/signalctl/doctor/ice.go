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

	"github.com/pion/stun/v4"

	"github.com/signalbox-rtc/signalbox/pkg/auth"
)

// stunResend is how soon a request is sent again over UDP, which loses packets (RFC 8489, section 6.2.1).
const stunResend = 500 * time.Millisecond

// iceTarget is one address of a STUN or TURN server, and how clients are let in there; nothing if that is not known.
type iceTarget struct {
	check string
	url   string
	keys  []key
}

// targets are the servers that clients are told of, and those that the doctor was asked to look at.
func (e *examination) targets() []iceTarget {
	var targets []iceTarget
	add := func(whose string, urls []string, keys []key) {
		for _, url := range urls {
			targets = append(targets, iceTarget{"ice " + url + whose, url, keys})
		}
	}
	add("", e.opts.ICE, nil)
	server := func(name, whose string, s auth.ICEServerSettings) {
		keys := keysOf(name, s.Keys())
		if s.Username != "" {
			keys = []key{{username: s.Username, password: string(s.Credential)}}
		}
		add(whose, s.URLs, keys)
	}
	config := e.opts.Config
	for i := range config.ICEServers {
		server(fmt.Sprintf("ice_servers[%d]", i), "", config.ICEServers[i].Settings())
	}
	for i := range config.Apps {
		for j, s := range config.Apps[i].ICE.Servers {
			server(fmt.Sprintf("apps[%d].ice.servers[%d]", i, j), " of "+config.Apps[i].ID, s)
		}
	}
	if config.ICE.Relays.Enabled {
		for i := range e.relays {
			add(" of relay "+e.relays[i].ID, e.relays[i].URLs, keysOf("ice.relays.secrets", config.ICE.Relays.Secrets))
		}
	}
	return targets
}

// ice asks each STUN and TURN server for the address that this machine has from there, and each TURN server for one to relay from.
func (e *examination) ice(ctx context.Context) {
	relays := &e.opts.Config.ICE.Relays
	if relays.Enabled && len(e.relays) == 0 {
		e.add("ice relays", Fail, "0", "ice.relays.enabled is on, and no relay tells of itself in Redis",
			"Start relays with announce.enabled and the gateways' Redis; or set ice.relays.enabled to false.")
	}
	targets := e.targets()
	if len(targets) == 0 && !relays.Enabled {
		e.add("ice", Warn, "none", "clients are told no STUN or TURN server", "Set ice_servers: without TURN, one call in ten or so finds no way.")
		return
	}
	for i := range targets {
		e.iceServer(ctx, &targets[i])
	}
}

func (e *examination) iceServer(ctx context.Context, target *iceTarget) {
	name := target.check
	uri, err := stun.ParseURI(target.url)
	if err != nil {
		e.add(name, Fail, "", "the address is not valid: "+err.Error(), "Write it in ice_servers as stun:host:port, or turn:host:port?transport=tcp (RFC 7064, RFC 7065).")
		return
	}
	asking, cancel := context.WithTimeout(ctx, e.opts.Timeout)
	defer cancel()
	began := time.Now()
	seen, err := askSTUN(asking, uri, e.opts.TLS)
	if err != nil {
		e.add(name, Fail, "", err.Error(), fmt.Sprintf(
			"Start the server, correct ice_servers, or open %s to port %d; from a network like the clients', turnutils_stunclient or a browser's trickle ICE page tells the same.", uri.Proto, uri.Port))
		return
	}
	figure := fmt.Sprintf("answered in %s, sees us as %s", short(time.Since(began)), seen)
	if uri.Scheme != stun.SchemeTypeTURN && uri.Scheme != stun.SchemeTypeTURNS || len(target.keys) == 0 {
		e.ok(name, figure)
		return
	}
	e.relay(ctx, name, figure, uri, target.keys)
}

// relay tries each way to be let in at a TURN server: clients are told the first.
func (e *examination) relay(ctx context.Context, name, figure string, uri *stun.URI, keys []key) {
	for i, k := range keys {
		asking, cancel := context.WithTimeout(ctx, e.opts.Timeout)
		relayed, err := allocate(asking, uri, e.opts.TLS, k)
		cancel()
		switch {
		case err != nil && i > 0:
			problem, _ := refusal(err, k)
			e.add(name, Warn, figure, problem, "Give it to the server before it is the first one here; or, if it is the one before, take it from the configuration.")
			return
		case err != nil:
			problem, remedy := refusal(err, k)
			e.add(name, Fail, figure, problem, remedy)
			return
		case i == 0:
			figure += ", relays from " + relayed.String()
			if unreachable(relayed, uri.Host) {
				e.add(name, Fail, figure, "peers do not reach the address that it relays from",
					"Tell the server its public address (external-ip of coturn, relay.external_ip of a relay).")
				return
			}
		}
	}
	e.ok(name, figure)
}

// askSTUN sends a binding request (RFC 8489, section 3), which TURN servers answer as well.
func askSTUN(ctx context.Context, uri *stun.URI, config *tls.Config) (string, error) {
	conn, err := dialSTUN(ctx, uri, config)
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close() }()
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	request, err := stun.Build(stun.TransactionID, stun.BindingRequest)
	if err != nil {
		return "", err
	}
	answer, err := exchange(ctx, conn, uri.Proto == stun.ProtoTypeUDP, request)
	if err != nil {
		return "", err
	}
	var seen stun.XORMappedAddress
	if answer.Type != stun.BindingSuccess {
		return "", fmt.Errorf("it answers, and refuses: %s", answer.Type)
	}
	if err := seen.GetFrom(answer); err != nil {
		return "", errors.New("its answer has no address: is it a STUN server?")
	}
	return seen.String(), nil
}

func dialSTUN(ctx context.Context, uri *stun.URI, config *tls.Config) (net.Conn, error) {
	address := net.JoinHostPort(uri.Host, strconv.Itoa(uri.Port))
	network := "tcp"
	if uri.Proto == stun.ProtoTypeUDP {
		network = "udp"
	}
	secure := uri.Scheme == stun.SchemeTypeSTUNS || uri.Scheme == stun.SchemeTypeTURNS
	if !secure {
		return new(net.Dialer).DialContext(ctx, network, address)
	}
	if network == "udp" {
		return nil, errors.New("DTLS is not looked at: name it with ?transport=tcp as well")
	}
	if config == nil {
		config = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	return (&tls.Dialer{Config: config}).DialContext(ctx, network, address)
}

// exchange sends a request and gives its answer. Over UDP it sends again until one comes.
func exchange(ctx context.Context, conn net.Conn, packets bool, request *stun.Message) (*stun.Message, error) {
	for {
		if _, err := conn.Write(request.Raw); err != nil {
			return nil, err
		}
		if packets {
			if err := conn.SetReadDeadline(time.Now().Add(stunResend)); err != nil {
				return nil, err
			}
		}
		answer, err := readSTUN(conn, packets)
		switch {
		case err == nil && answer.TransactionID == request.TransactionID:
			return answer, nil
		case ctx.Err() != nil:
			return nil, errors.New("no answer in time")
		case err != nil && (!packets || !isTimeout(err)):
			return nil, err
		}
	}
}

func isTimeout(err error) bool {
	timeout, ok := errors.AsType[net.Error](err)
	return ok && timeout.Timeout()
}

// readSTUN reads one message; in a stream its header says how long it is.
func readSTUN(conn net.Conn, packets bool) (*stun.Message, error) {
	const header, most = 20, 1500
	text := make([]byte, most)
	n := 0
	var err error
	if packets {
		n, err = conn.Read(text)
	} else if n, err = io.ReadFull(conn, text[:header]); err == nil {
		n = min(header+int(text[2])<<8+int(text[3]), most)
		_, err = io.ReadFull(conn, text[header:n])
	}
	if err != nil {
		return nil, err
	}
	message := new(stun.Message)
	return message, stun.Decode(text[:n], message)
}
