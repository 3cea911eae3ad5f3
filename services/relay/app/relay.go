// Package app is a relay: its configuration, its parts, and how they begin and end together.
package app

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/signalbox-rtc/signalbox/pkg/relay"
	"github.com/signalbox-rtc/signalbox/pkg/telemetry"
	gateway "github.com/signalbox-rtc/signalbox/services/gateway/app"
)

// Options are what Open needs.
type Options struct {
	// Config is valid. Required.
	Config *Config
	// Logger takes the log. Required.
	Logger *slog.Logger
	// Level is the logger's level, to be shown and changed; it is not if nil.
	Level *gateway.LogLevel
	// Registry takes the metrics, and is shown. Required.
	Registry *prometheus.Registry
	// StoreDialer opens connections to Redis; nil for the network.
	StoreDialer func(ctx context.Context, network, address string) (net.Conn, error)
}

func (o Options) validate() error {
	if o.Config == nil || o.Logger == nil || o.Registry == nil {
		return errors.New("app: a relay needs a configuration, a logger and a registry")
	}
	return o.Config.Validate()
}

// Relay is one relay.
type Relay struct {
	// immutable
	config      *Config
	id          string // of this process, new at each start
	logger      *slog.Logger
	server      *relay.Server
	external    []netip.Addr
	certificate *gateway.Certificate // nil without TLS
	operations  net.Listener
	opsHTTP     *http.Server
	herald      *herald // nil if nobody is told
	keyring     *keyring

	draining atomic.Bool
}

// calmInterval is between lines that say the same of different clients.
const calmInterval = time.Second

// idLength is that of a relay's id: 12 characters of 5 bits, as a node's.
const idLength = 12

// Open checks the configuration, finds the external addresses, and listens. What it returns must be run, or closed.
func Open(ctx context.Context, opts Options) (*Relay, error) {
	if err := opts.validate(); err != nil {
		return nil, err
	}
	r := &Relay{config: opts.Config, id: rand.Text()[:idLength]}
	r.logger = opts.Logger.With("relay_id", r.id)
	if err := r.open(ctx, opts); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

func (r *Relay) open(ctx context.Context, opts Options) (err error) {
	c := r.config
	var listen net.ListenConfig
	if r.operations, err = listen.Listen(ctx, "tcp", c.Listen.Operations); err != nil {
		return fmt.Errorf("app: listen.operations: %w", err)
	}
	if c.TLS.Enabled() {
		if r.certificate, err = gateway.OpenCertificate(gateway.CertificateOptions{
			CertFile: c.TLS.CertFile, KeyFile: c.TLS.KeyFile, Interval: c.TLS.ReloadInterval, Logger: r.logger, Registerer: opts.Registry,
		}); err != nil {
			return err
		}
	}
	if r.external, err = c.Relay.external(ctx); err != nil {
		return err
	}
	options, err := r.options(opts)
	if err != nil {
		return err
	}
	if r.server, err = relay.Open(ctx, options); err != nil {
		return err
	}
	r.keyring = newKeyring(&c.Credentials, options.Secrets, r.server, r.logger, opts.Registry)
	if c.Announce.Enabled {
		if r.herald, err = newHerald(r, opts); err != nil {
			return err
		}
	}
	handler, err := gateway.NewOperations(gateway.OperationsOptions{
		Registry: opts.Registry, Pprof: c.Listen.Pprof, Level: opts.Level, Logger: r.logger,
		Checks: []gateway.Check{{Name: "accepting", Ready: func(context.Context) error {
			if r.draining.Load() {
				return errors.New("the relay is ending")
			}
			return nil
		}}},
	})
	if err != nil {
		return err
	}
	r.opsHTTP = gateway.NewOperationsServer(handler, r.logger)
	return nil
}

// options are those of the server.
func (r *Relay) options(opts Options) (relay.Options, error) {
	c := r.config
	secrets, err := c.Credentials.all()
	if err != nil {
		return relay.Options{}, fmt.Errorf("app: %w", err)
	}
	allow, err := networks(c.Peers.Allow)
	if err != nil {
		return relay.Options{}, err
	}
	deny, err := networks(c.Peers.Deny)
	if err != nil {
		return relay.Options{}, err
	}
	operations, _ := netip.ParseAddrPort(r.operations.Addr().String())
	options := relay.Options{
		UDP: c.Listen.UDP, TCP: c.Listen.TCP, TLS: c.tls(), Sockets: c.Listen.Sockets, Realm: c.Relay.Realm, Secrets: secrets,
		MaxAhead: c.Credentials.MaxAhead, AfterExpiry: c.Credentials.AfterExpiry,
		External: r.external, MinPort: uint16(c.Relay.PortsFrom), MaxPort: uint16(c.Relay.PortsTo),
		Allow: allow, Deny: deny, MinPeerPort: uint16(c.Peers.PortsFrom), Private: []netip.AddrPort{operations},
		Quotas: relay.Quotas(c.Quotas), Limits: relay.Limits(c.Limits),
		Logger: telemetry.Every(r.logger, calmInterval), Registerer: opts.Registry,
	}
	if r.certificate != nil {
		options.TLSConfig = r.certificate.TLSConfig()
		options.TLSConfig.NextProtos = nil // that of TURN (RFC 7443) is asked for by nobody, and HTTP's is another
	}
	return options, nil
}

// Run serves until ctx ends. Then it refuses new allocations, waits for those that there are, up to shutdown.drain, and ends. It must be
// called once.
func (r *Relay) Run(ctx context.Context) error {
	defer r.Close()
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	parts, failing := errgroup.WithContext(life)
	serving, endServing := context.WithCancel(failing)
	defer endServing()
	parts.Go(func() error { return r.server.Run(serving) })
	parts.Go(func() error {
		if err := r.opsHTTP.Serve(r.operations); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("app: operations: %w", err)
		}
		return nil
	})
	parts.Go(func() error { return r.keyring.run(failing) })
	if r.certificate != nil {
		parts.Go(func() error {
			r.certificate.Run(failing)
			return nil
		})
	}
	if r.herald != nil {
		parts.Go(func() error { return r.herald.run(failing) })
	}
	r.logger.Info("relay is ready", "external", r.external, "urls", r.URLs(), "operations", r.operations.Addr().String())
	select {
	case <-ctx.Done():
		r.drain(failing)
	case <-failing.Done():
	}
	endServing()
	end()
	_ = r.opsHTTP.Close()
	err := parts.Wait()
	r.logger.Info("relay has ended")
	return err
}

// drain waits for the clients, as long as that may take.
func (r *Relay) drain(ctx context.Context) {
	r.draining.Store(true)
	if r.herald != nil {
		r.herald.tellNow()
	}
	ctx, cancel := context.WithTimeout(ctx, r.config.Shutdown.Drain)
	defer cancel()
	r.logger.Info("relay takes no new allocations", "allocations", r.server.Allocations(), "drain", r.config.Shutdown.Drain)
	if err := r.server.Drain(ctx); err != nil {
		r.logger.Warn("allocations are cut", "error", err)
	}
}

// Close releases what Open took. Run does it itself.
func (r *Relay) Close() {
	if r.operations != nil {
		_ = r.operations.Close()
	}
	if r.server != nil {
		_ = r.server.Close()
	}
}

// OperationsAddr is the address of /metrics, /livez and /readyz.
func (r *Relay) OperationsAddr() net.Addr { return r.operations.Addr() }
