// Package relay is a STUN and TURN server (RFC 8489, RFC 8656): whom it lets in, whom it sends to for them, and how much.
//
// The protocol is pion/turn's. What that leaves open is decided here, around it: credentials against several secrets, quotas of users and
// apps, peers that nobody may send to, bounds on connections, permissions and channels, and an end that cuts no call.
package relay

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/turn/v5"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"

	"github.com/signalbox-rtc/signalbox/pkg/relay/peers"
	"github.com/signalbox-rtc/signalbox/pkg/turncred"
)

// Options are what Open needs. Where it says so, a zero value is a default.
type Options struct {
	// UDP, TCP and TLS are the addresses that clients come to, as host:port. At least one is needed.
	UDP, TCP, TLS []string
	// Sockets is how many sockets each of the UDP addresses has, each with a goroutine that reads (one for each processor).
	Sockets int
	// TLSConfig is that of the TLS addresses. Required with these.
	TLSConfig *tls.Config

	// Realm is told to clients, and part of what passwords are hashed with ("signalbox").
	Realm string
	// Secrets are what passwords are made with. Any of them is good. Required, each of turncred.MinSecret bytes at least.
	Secrets []string
	// MaxAhead is how far ahead the expiry of credentials may lie (24 h), and AfterExpiry how long after it an allocation that was made before
	// may be kept (none).
	MaxAhead, AfterExpiry time.Duration

	// External are the addresses that peers send to, at most one of each family; of a family without one there are no allocations. Required.
	External []netip.Addr
	// MinPort and MaxPort are what relayed addresses have (49152 to 65535).
	MinPort, MaxPort uint16
	// Allow and Deny are networks, see [peers.Options]; MinPeerPort is the least port of a peer (none).
	Allow, Deny []netip.Prefix
	MinPeerPort uint16
	// Private are further sockets of this process that are nobody's peers.
	Private []netip.AddrPort

	Quotas Quotas
	Limits Limits

	// Logger takes what goes wrong. Its lines may come as often as clients want. Required.
	Logger *slog.Logger
	// Registerer takes the metrics. Required.
	Registerer prometheus.Registerer
}

// Limits bound what one client takes.
type Limits struct {
	// Lifetime is how long an allocation lives without being refreshed, if its client does not say (10 min). A client may ask for less than an
	// hour.
	Lifetime time.Duration
	// Permissions and Channels are the most of one allocation (64 and 64).
	Permissions, Channels int
	// Connections is the most of TCP and TLS (10000).
	Connections int
	// PacketBytes is the greatest size of a client's message (1600).
	PacketBytes int
	// IdleTimeout is how long a connection may stay without an allocation, and a message take to come whole (30 s).
	IdleTimeout time.Duration
	// WriteTimeout is how long a write to a connection may take (10 s). Then the connection is closed.
	WriteTimeout time.Duration
	// Answers is how many requests over UDP of those whom nothing is known of are answered in a second, in all (20000), and SourceAnswers
	// those of one source (1000): an address of IPv4, or a network of IPv6 with 64 bits.
	Answers, SourceAnswers int
}

const (
	defaultRealm   = "signalbox"
	defaultMinPort = 49152
	defaultMaxPort = 65535
)

func (o Options) withDefaults() Options {
	set(&o.Sockets, runtime.GOMAXPROCS(0))
	set(&o.Realm, defaultRealm)
	set(&o.MaxAhead, 24*time.Hour)
	set(&o.MinPort, defaultMinPort)
	set(&o.MaxPort, defaultMaxPort)
	set(&o.Limits.Lifetime, 10*time.Minute)
	set(&o.Limits.Permissions, 64)
	set(&o.Limits.Channels, 64)
	set(&o.Limits.Connections, 10000)
	set(&o.Limits.PacketBytes, 1600)
	set(&o.Limits.IdleTimeout, 30*time.Second)
	set(&o.Limits.WriteTimeout, 10*time.Second)
	set(&o.Limits.Answers, 20000)
	set(&o.Limits.SourceAnswers, 1000)
	set(&o.Quotas.Allocations, 10000)
	// Half of the ports at most: those that are free have to be found by trying.
	o.Quotas.Allocations = min(o.Quotas.Allocations, max(1, (int(o.MaxPort)-int(o.MinPort)+1)*len(o.External)/2))
	return o
}

func set[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// validate is called after the defaults are set.
func (o Options) validate() error {
	switch {
	case len(o.UDP)+len(o.TCP)+len(o.TLS) == 0:
		return errors.New("no address to listen on")
	case len(o.TLS) > 0 && o.TLSConfig == nil:
		return errors.New("TLS without a certificate")
	case len(o.External) == 0:
		return errors.New("no external address")
	case o.MinPort > o.MaxPort:
		return fmt.Errorf("relay ports from %d to %d", o.MinPort, o.MaxPort)
	case o.Logger == nil || o.Registerer == nil:
		return errors.New("no logger, or no registerer")
	case o.MaxAhead < 0 || o.AfterExpiry < 0 || o.Limits.Lifetime < 0 || o.Limits.IdleTimeout < 0 || o.Limits.WriteTimeout < 0:
		return errors.New("a negative time")
	case o.Limits.Lifetime >= maxLifetime:
		return errors.New("a lifetime of an hour or more")
	case o.Sockets < 0 || o.Limits.Permissions < 0 || o.Limits.Channels < 0 || o.Limits.Connections < 0 ||
		o.Limits.Answers < 0 || o.Limits.SourceAnswers < 0:
		return errors.New("a negative number")
	case o.Limits.PacketBytes < 576 || o.Limits.PacketBytes > 65535:
		return fmt.Errorf("packets of %d bytes", o.Limits.PacketBytes)
	}
	families := make(map[bool]bool)
	for _, address := range o.External {
		if !address.IsValid() || address.IsUnspecified() || families[address.Unmap().Is4()] {
			return fmt.Errorf("%v as an external address", address)
		}
		families[address.Unmap().Is4()] = true
	}
	if err := checkSecrets(o.Secrets); err != nil {
		return err
	}
	return o.Quotas.validate()
}

func checkSecrets(secrets []string) error {
	if len(secrets) == 0 {
		return errors.New("no secret")
	}
	for i, secret := range secrets {
		if len(secret) < turncred.MinSecret {
			return fmt.Errorf("secret %d has fewer than %d bytes", i+1, turncred.MinSecret)
		}
	}
	return nil
}

// Server is a STUN and TURN server. Its methods may be called from any goroutine.
type Server struct {
	// Immutable after Open.
	opts      Options
	policy    *peers.Policy
	metrics   *metrics
	accounts  *accounts
	secrets   atomic.Pointer[[]string] // never nil
	evenPorts *rate.Limiter
	fronts    []*front
	ours      map[netip.Addr]bool // external addresses that this machine has itself

	batches *sync.Pool // of batch

	exchanges exchanges
	clients   *clients
	strangers *strangers
}

// Transports, as metrics name them.
const (
	transportUDP = "udp"
	transportTCP = "tcp"
	transportTLS = "tls"
)

// Open checks the options and listens. What it returns must be run, or closed.
func Open(ctx context.Context, opts Options) (*Server, error) {
	opts = opts.withDefaults()
	if err := opts.validate(); err != nil {
		return nil, fmt.Errorf("relay: options: %w", err)
	}
	s := &Server{opts: opts, metrics: newMetrics(opts.Registerer), clients: newClients(), evenPorts: rate.NewLimiter(evenPortsPerSecond, evenPortsBurst)}
	s.batches = newBatches(max(opts.Limits.PacketBytes+1, peerBytes))
	s.secrets.Store(&opts.Secrets)
	s.strangers = newStrangers(opts.Limits, s.metrics)
	s.accounts = newAccounts(opts.Quotas, s.metrics)
	if err := s.open(ctx); err != nil {
		_ = s.Close()
		return nil, fmt.Errorf("relay: %w", err)
	}
	return s, nil
}

func (s *Server) open(ctx context.Context) error {
	for _, kind := range []struct {
		transport string
		addresses []string
		listen    func(context.Context, string) error
	}{
		{transportUDP, s.opts.UDP, s.listenUDP},
		{transportTCP, s.opts.TCP, func(ctx context.Context, address string) error { return s.listenTCP(ctx, transportTCP, address) }},
		{transportTLS, s.opts.TLS, func(ctx context.Context, address string) error { return s.listenTCP(ctx, transportTLS, address) }},
	} {
		for _, address := range kind.addresses {
			if err := kind.listen(ctx, address); err != nil {
				return fmt.Errorf("listen on %s over %s: %w", address, kind.transport, err)
			}
		}
	}
	options := peers.Options{
		Allow: s.opts.Allow, Deny: s.opts.Deny, Own: s.opts.External, MinRelayPort: s.opts.MinPort, MaxRelayPort: s.opts.MaxPort,
		Listening: s.opts.Private, MinPort: s.opts.MinPeerPort,
	}
	for _, f := range s.fronts {
		address := addrPortOf(f.addr)
		options.Listening = append(options.Listening, address)
		if !address.Addr().IsUnspecified() {
			options.Local = append(options.Local, address.Addr())
		}
	}
	s.ours = make(map[netip.Addr]bool)
	for _, address := range s.opts.External {
		s.ours[address.Unmap()] = isOurs(address.Unmap())
	}
	var err error
	s.policy, err = peers.New(options)
	return err
}

// Run serves until ctx ends, and then closes everything: allocations that are left end. It must be called once.
func (s *Server) Run(ctx context.Context) error {
	config := turn.ServerConfig{
		LoggerFactory: quietFactory{s}, Realm: s.opts.Realm, AuthHandler: s.authenticate, QuotaHandler: s.mayAllocate, EventHandler: s.events(),
		ChannelBindTimeout: channelLifetime, PermissionTimeout: permissionLifetime, AllocationLifetime: s.opts.Limits.Lifetime,
		InboundMTU: s.opts.Limits.PacketBytes + 1, // what fills the buffer is dropped there
	}
	for _, f := range s.fronts {
		generator := &generator{server: s, front: f}
		if f.packets != nil {
			config.PacketConnConfigs = append(config.PacketConnConfigs, turn.PacketConnConfig{
				PacketConn: f.packets, RelayAddressGenerator: generator, PermissionHandler: s.permit(f)})
		} else {
			config.ListenerConfigs = append(config.ListenerConfigs, turn.ListenerConfig{
				Listener: f.streams, RelayAddressGenerator: generator, PermissionHandler: s.permit(f)})
		}
	}
	if _, err := turn.NewServer(config); err != nil {
		_ = s.Close()
		return fmt.Errorf("relay: %w", err)
	}
	<-ctx.Done()
	s.accounts.refuse()
	err := s.Close()
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	return errors.Join(err, s.awaitEnd(end))
}

// RFC 8656, sections 9 and 12: they are not for anybody to choose.
const (
	permissionLifetime = 5 * time.Minute
	channelLifetime    = 10 * time.Minute
)

// maxLifetime is what the library bounds the lifetime of an allocation by.
const maxLifetime = time.Hour

// closeTimeout is how long the ends of what is closed may take to come through.
const closeTimeout = 5 * time.Second

// awaitEnd waits until nothing is left of what the sockets that are closed had.
func (s *Server) awaitEnd(ctx context.Context) error {
	var waiting sync.WaitGroup
	for _, f := range s.fronts {
		if f.streams != nil {
			waiting.Go(func() { f.streams.wait(ctx) })
		}
	}
	waiting.Wait()
	return s.accounts.wait(ctx)
}

// Drain refuses new allocations, and waits until those that there are have ended, or ctx has.
func (s *Server) Drain(ctx context.Context) error {
	s.accounts.refuse()
	return s.accounts.wait(ctx)
}

// Close closes what Open has opened. Run does it itself.
func (s *Server) Close() error {
	var errs []error
	for _, f := range s.fronts {
		if err := f.close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// SetSecrets takes other secrets from the next request on. Allocations of those that are gone cannot be refreshed any more.
func (s *Server) SetSecrets(secrets []string) error {
	if err := checkSecrets(secrets); err != nil {
		return fmt.Errorf("relay: %w", err)
	}
	secrets = slices.Clone(secrets)
	s.secrets.Store(&secrets)
	return nil
}

// Addrs are the addresses that a transport (udp, tcp, tls) is served on, each once.
func (s *Server) Addrs(transport string) []netip.AddrPort {
	var list []netip.AddrPort
	for _, f := range s.fronts {
		if f.transport == transport && f.first {
			list = append(list, addrPortOf(f.addr))
		}
	}
	return list
}

// Allocations is how many there are now.
func (s *Server) Allocations() int { return s.accounts.count() }

// Load is how much is used of what the server may carry, from 0 to 1: of the allocations, or of the bandwidth since it was asked last,
// whichever is more.
func (s *Server) Load() float64 { return s.accounts.load(time.Now()) }

// addrPortOf is the address of a socket of ours.
func addrPortOf(addr net.Addr) netip.AddrPort {
	switch a := addr.(type) {
	case *net.UDPAddr:
		return a.AddrPort()
	case *net.TCPAddr:
		return a.AddrPort()
	}
	return netip.AddrPort{}
}
