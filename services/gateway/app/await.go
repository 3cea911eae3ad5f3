package app

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/signalbox-rtc/signalbox/pkg/store"
	"github.com/signalbox-rtc/signalbox/pkg/telemetry"
)

// How a gateway that starts waits for Redis. All gateways of a cluster may wait for the same one: their attempts are spread.
const (
	firstAwaitPause = 250 * time.Millisecond
	mostAwaitPause  = 10 * time.Second

	awaitLogInterval = 30 * time.Second // between lines that say the same
	awaitEndTimeout  = time.Second      // for answers that are under way when Redis has come
)

// OpenPatiently is Open for a Redis that may not be there yet: it waits until it is, or ctx ends. Meanwhile the operations
// address answers, with a readiness that is red, and clients are told to come back. What is wrong in the configuration ends it
// at once, as far as that can be known without Redis, and so does an address that is taken. A user or a password that Redis
// does not take are waited for, too: it may be Redis that gets the new one later.
//
// newRegistry makes a registry for each attempt after the first.
func OpenPatiently(ctx context.Context, opts Options, newRegistry func() *prometheus.Registry) (*Gateway, error) {
	for {
		g, err := Open(ctx, opts)
		reason, passes := errors.AsType[*store.UnreachableError](err)
		if !passes || ctx.Err() != nil {
			return g, err
		}
		opts.Registry = newRegistry()
		a, err := newAwait(ctx, opts, reason)
		if err != nil {
			return nil, err
		}
		// The addresses that were not chosen before are kept.
		config := *opts.Config
		config.Listen.Public, config.Listen.Operations = a.public.Addr().String(), a.operations.Addr().String()
		opts.Config, opts.Registry = &config, newRegistry()
		if opts.Public, opts.Operations, err = a.run(ctx); err != nil {
			return nil, err
		}
	}
}

// await is what stands for a gateway until Redis can be reached.
type await struct {
	// immutable
	gateway    *Gateway // its configuration, its listeners' addresses and its certificate
	options    Options
	logger     *slog.Logger // writes the same only once in a while
	public     *net.TCPListener
	operations *net.TCPListener
	publicHTTP *http.Server
	opsHTTP    *http.Server
	admission  *admission
	holdDown   *holdDown

	reason atomic.Pointer[store.UnreachableError] // of the last attempt
}

// newAwait takes the addresses of the gateway that could not be opened for the reason.
func newAwait(ctx context.Context, opts Options, reason *store.UnreachableError) (a *await, err error) {
	host, _ := os.Hostname() // an error of it has ended Open before
	logger := opts.Logger.With("node", cmp.Or(opts.Config.Node.Name, host))
	a = &await{
		gateway: &Gateway{config: opts.Config, logger: slog.New(slog.DiscardHandler)}, options: opts,
		logger: telemetry.Every(logger, awaitLogInterval),
	}
	a.reason.Store(reason)
	defer func() {
		if err != nil {
			a.close()
		}
	}()
	var c net.ListenConfig
	for _, l := range []struct {
		to      **net.TCPListener
		address string
	}{{&a.public, opts.Config.Listen.Public}, {&a.operations, opts.Config.Listen.Operations}} {
		listener, err := c.Listen(ctx, "tcp", l.address)
		if err != nil {
			return nil, err
		}
		*l.to = listener.(*net.TCPListener)
	}
	if files := opts.Config.TLS; files.Enabled() {
		if a.gateway.certificate, err = OpenCertificate(CertificateOptions{
			CertFile: files.CertFile, KeyFile: files.KeyFile, Interval: files.ReloadInterval, Logger: logger, Registerer: opts.Registry,
		}); err != nil {
			return nil, err
		}
	}
	limits := opts.Config.Limits
	a.admission = newAdmission(limits.AcceptsPerSecond, limits.AcceptsBurst, limits.Connections, opts.Registry)
	a.admission.waiting = true
	a.holdDown = newHoldDown(opts.Config.Readiness.HoldDown, logger, opts.Registry)
	handler, err := NewOperations(OperationsOptions{
		Registry: opts.Registry, Pprof: opts.Config.Listen.Pprof, Level: opts.Level, Logger: logger,
		Checks: []Check{
			{Name: "accepting", Ready: func(context.Context) error { return errors.New("the gateway is starting") }},
			a.holdDown.check("redis", func(context.Context) error { return a.reason.Load() }),
		},
	})
	if err != nil {
		return nil, err
	}
	a.opsHTTP = NewOperationsServer(handler, logger)
	a.publicHTTP = &http.Server{
		Handler:           http.HandlerFunc(a.refuse),
		ReadHeaderTimeout: limits.HeaderTimeout, MaxHeaderBytes: limits.HeaderBytes,
		ReadTimeout: publicReadTimeout, WriteTimeout: publicWriteTimeout, IdleTimeout: publicIdleTimeout,
		ErrorLog: slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
	}
	return a, nil
}

// refuse tells a client to come back. The connection is closed: it must not reach the gateway that comes after this one with a
// server that has gone.
func (a *await) refuse(w http.ResponseWriter, _ *http.Request) {
	d := a.admission.admit(false)
	w.Header().Set("Retry-After", strconv.Itoa(int(d.retryAfter/time.Second)))
	w.Header().Set("Connection", "close")
	writeJSON(w, http.StatusServiceUnavailable, map[string]any{"error": map[string]string{"code": d.reason, "message": d.message}})
}

// run answers until Redis can be reached, and then gives the listeners away, which have been open all the time. When ctx ends
// it closes them.
func (a *await) run(ctx context.Context) (public, operations net.Listener, err error) {
	var serving sync.WaitGroup
	life, end := context.WithCancel(ctx)
	defer end()
	lentPublic, lentOperations := &lent{TCPListener: a.public}, &lent{TCPListener: a.operations}
	var accepting net.Listener = lentPublic
	if c := a.gateway.certificate; c != nil {
		accepting = tls.NewListener(lentPublic, c.TLSConfig())
		serving.Go(func() { c.Run(life) })
	}
	failed := make(chan error, 2)
	serving.Go(func() { failed <- serve(a.publicHTTP, accepting) })
	serving.Go(func() { failed <- serve(a.opsHTTP, lentOperations) })
	serving.Go(func() { _ = a.holdDown.run(life) })

	err = a.reached(ctx, failed)
	end()
	a.endServer(ctx, a.publicHTTP)
	a.endServer(ctx, a.opsHTTP)
	serving.Wait()
	if err == nil {
		err = errors.Join(lentPublic.giveBack(), lentOperations.giveBack())
	}
	if err != nil {
		a.close()
		return nil, nil, err
	}
	a.logger.Info("Redis has been reached")
	return a.public, a.operations, nil
}

// reached tries until Redis answers.
func (a *await) reached(ctx context.Context, failed <-chan error) error {
	for pause := firstAwaitPause; ; pause = min(2*pause, mostAwaitPause) {
		reason := a.reason.Load()
		if reason.Denied() {
			a.logger.Error("Redis does not take this gateway's user or password: the gateway waits until it does",
				"error", reason, "public", a.public.Addr().String(), "operations", a.operations.Addr().String())
		} else {
			a.logger.Warn("Redis cannot be reached: the gateway waits for it",
				"error", reason, "public", a.public.Addr().String(), "operations", a.operations.Addr().String())
		}
		select {
		case <-time.After(pause/2 + rand.N(pause/2)):
		case err := <-failed:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
		opts := a.options
		opts.Registry = prometheus.NewRegistry() // what an attempt counts belongs to no gateway
		redis, err := a.gateway.openStore(ctx, opts)
		if err == nil {
			return redis.Close()
		}
		again, passes := errors.AsType[*store.UnreachableError](err)
		if !passes || ctx.Err() != nil {
			return err
		}
		a.reason.Store(again)
	}
}

// endServer ends a server without cutting answers off.
func (a *await) endServer(ctx context.Context, server *http.Server) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), awaitEndTimeout)
	defer cancel()
	if server.Shutdown(ctx) != nil {
		_ = server.Close()
	}
}

func (a *await) close() {
	for _, listener := range []*net.TCPListener{a.public, a.operations} {
		if listener != nil {
			_ = listener.Close()
		}
	}
}

// lent is a listener that one server uses before another one: when closed it takes no more connections, and they wait.
type lent struct {
	*net.TCPListener
	closed atomic.Bool
}

// Accept implements [net.Listener].
func (l *lent) Accept() (net.Conn, error) {
	conn, err := l.TCPListener.Accept()
	if err != nil && l.closed.Load() {
		return nil, net.ErrClosed
	}
	return conn, err
}

// Close implements [net.Listener].
func (l *lent) Close() error {
	l.closed.Store(true)
	return l.SetDeadline(time.Unix(1, 0)) // what is long past ends an Accept
}

// giveBack makes the listener fit for the next server.
func (l *lent) giveBack() error { return l.SetDeadline(time.Time{}) }
