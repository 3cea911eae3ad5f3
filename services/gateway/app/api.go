package app

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/signalbox-rtc/signalbox/pkg/httpapi"
	"github.com/signalbox-rtc/signalbox/pkg/store"
	"github.com/signalbox-rtc/signalbox/pkg/telemetry"
)

// Limits of the listener of the server API beside those of the configuration. Streams of events set deadlines of their own.
const (
	apiWriteTimeout = 30 * time.Second
	apiIdleTimeout  = 2 * time.Minute
)

// apiServer is the server API of one gateway.
type apiServer struct {
	api         *httpapi.API
	listener    net.Listener
	server      *http.Server
	certificate *Certificate // nil without TLS
}

// openAPI makes the server API.
func (g *Gateway) openAPI(ctx context.Context, opts Options) (*apiServer, error) {
	c := &g.config.API
	keys, err := c.keys()
	if err != nil {
		return nil, fmt.Errorf("app: %w", err)
	}
	s := &apiServer{listener: opts.API}
	if s.listener == nil {
		var config net.ListenConfig
		if s.listener, err = config.Listen(ctx, "tcp", c.Address); err != nil {
			return nil, fmt.Errorf("app: api.address: %w", err)
		}
	}
	if err := g.openAPITLS(s, opts); err != nil {
		_ = s.listener.Close()
		return nil, err
	}
	s.api, err = httpapi.New(httpapi.Options{ //nolint:contextcheck // each request has its own
		Keys: keys, Apps: g.directory, Rooms: g.rooms.Operator(), Store: g.store, Cluster: g.cluster, Refresh: g.tenants.read,
		Quotas:   apiQuotas{g.quotas},
		Capacity: g.config.Rooms.Capacity, MaxCapacity: g.config.Rooms.MaxCapacity, ICE: g.ice,
		Hooks: g.webhooks.told, AnswerKey: g.key, AnswerTTL: c.IdempotencyTTL,
		BodyBytes: c.BodyBytes, BodyTimeout: c.BodyTimeout, Timeout: c.Timeout,
		RequestsPerSecond: c.RequestsPerSecond, RequestsBurst: c.RequestsBurst,
		Listeners: c.Listeners, EventsPeriod: c.EventsPeriod,
		Viewers: c.Console.Viewers, ViewersPeriod: c.Console.Period, Examine: g.examine(opts), Pages: c.Console.Enabled && c.Console.Writes, Version: telemetry.ReadBuild().Version,
		Tracer: g.tracer(), Sample: g.sample(), Logger: g.logger, Registerer: opts.Registry,
	})
	if err != nil {
		_ = s.listener.Close()
		return nil, err
	}
	var handler http.Handler = s.api
	if c.Console.Enabled {
		if handler, err = withConsole(handler); err != nil {
			_ = s.listener.Close()
			return nil, err
		}
	}
	s.server = &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: g.config.Limits.HeaderTimeout,
		MaxHeaderBytes:    g.config.Limits.HeaderBytes,
		WriteTimeout:      apiWriteTimeout,
		IdleTimeout:       apiIdleTimeout,
		ErrorLog:          slog.NewLogLogger(g.logger.Handler(), slog.LevelDebug),
	}
	s.server.RegisterOnShutdown(s.api.Close)
	return s, nil
}

// examine is how the servers of Redis are looked at for viewers.
func (g *Gateway) examine(opts Options) func(context.Context) (*store.Examination, error) {
	return func(ctx context.Context) (*store.Examination, error) {
		o, err := g.config.StoreOptions()
		if err != nil {
			return nil, err
		}
		o.Dialer, o.Logger = opts.RedisDialer, g.logger
		return store.Examine(ctx, o)
	}
}

// openAPITLS has the listener speak TLS, if it is to.
func (g *Gateway) openAPITLS(s *apiServer, opts Options) (err error) {
	files := g.config.API.TLS
	if !files.Enabled() {
		return nil
	}
	if s.certificate, err = OpenCertificate(CertificateOptions{
		CertFile: files.CertFile, KeyFile: files.KeyFile, Interval: g.config.TLS.ReloadInterval,
		Logger: g.logger, Registerer: opts.Registry, Metrics: "signalbox_api_certificate",
	}); err != nil {
		return err
	}
	config := s.certificate.TLSConfig()
	if files.ClientCAFile != "" {
		text, err := os.ReadFile(files.ClientCAFile)
		if err != nil {
			return fmt.Errorf("app: api.tls.client_ca_file: %w", err)
		}
		config.ClientCAs = x509.NewCertPool()
		if !config.ClientCAs.AppendCertsFromPEM(text) {
			return fmt.Errorf("app: api.tls.client_ca_file: %s has no certificate in PEM", files.ClientCAFile)
		}
		// Who has none may show a key.
		config.ClientAuth = tls.VerifyClientCertIfGiven
	}
	s.listener = tls.NewListener(s.listener, config)
	return nil
}

// APIAddr is the address of the server API, nil without one.
func (g *Gateway) APIAddr() net.Addr {
	if g.api == nil {
		return nil
	}
	return g.api.listener.Addr()
}

// askToDrain ends the gateway in order if it is the one that is meant.
func (g *Gateway) askToDrain(node string) {
	if node != g.node {
		return
	}
	g.drainOnce.Do(func() {
		g.logger.Info("the operator has this gateway end")
		close(g.drainAsked)
	})
}

// runAPI serves the server API until endAPI ends it.
func (g *Gateway) runAPI(ctx context.Context) error {
	if g.api == nil {
		return nil
	}
	var running sync.WaitGroup
	defer running.Wait()
	if g.api.certificate != nil {
		running.Go(func() { g.api.certificate.Run(ctx) })
	}
	return serve(g.api.server, g.api.listener)
}

// endAPI ends the server API: what is under way is answered, if ctx leaves time for it.
func (g *Gateway) endAPI(ctx context.Context) {
	if g.api == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, g.config.Shutdown.Timeout/2)
	defer cancel()
	if g.api.server.Shutdown(ctx) != nil {
		_ = g.api.server.Close()
	}
}
