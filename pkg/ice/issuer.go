// Package ice says which STUN and TURN servers a client is told of, and makes the credentials for them.
//
// A client is told, in this order, of its app's own servers, of the deployment's relays that are nearest to its gateway and have the least to
// do, and of the deployment's servers; an app can leave out the latter two. Where a server shares a secret with the gateways, each client gets
// credentials of its own, which are good for a time. They are made of the app, a pseudonym of the user and that time, and kept nowhere: to be
// told anew costs a client's gateway a few hashes, and nobody else anything.
package ice

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/signalbox-rtc/signalbox/pkg/auth"
	"github.com/signalbox-rtc/signalbox/pkg/store"
	"github.com/signalbox-rtc/signalbox/pkg/turncred"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// Options configures an [Issuer].
type Options struct {
	// Apps know what apps say of it themselves. Required.
	Apps *auth.Directory
	// Servers are the deployment's. They are valid.
	Servers []auth.ICEServerSettings
	// TTL is how long credentials are good, where the app does not say; 1 h if 0.
	TTL time.Duration
	// Relays are the deployment's own.
	Relays     Relays
	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

// Relays are TURN servers that tell the gateways of themselves.
type Relays struct {
	// List gives those that are there now; nil if there are never any.
	List func(context.Context) ([]store.Relay, error)
	// Secret is what credentials for them are made with.
	Secret auth.Secret
	// Region is the gateway's own: its relays come first.
	Region string
	// Most is how many a client is told; 2 if 0.
	Most int
	// Interval is how often they are listed; 2 s if 0.
	Interval time.Duration
}

func (o *Options) validate() error {
	switch {
	case o.Apps == nil:
		return errors.New("ice: a directory of apps is needed")
	case o.Relays.List != nil && len(o.Relays.Secret) < turncred.MinSecret:
		return errors.New("ice: relays need a secret")
	case o.TTL < 0 || o.Relays.Most < 0 || o.Relays.Interval < 0:
		return errors.New("ice: a limit is negative")
	}
	o.TTL = cmp.Or(o.TTL, time.Hour)
	o.Relays.Most = cmp.Or(o.Relays.Most, 2)
	o.Relays.Interval = cmp.Or(o.Relays.Interval, 2*time.Second)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Registerer == nil {
		o.Registerer = prometheus.NewRegistry()
	}
	return nil
}

// Issuer tells clients of servers. Its methods may be called from any goroutine, and wait for nothing but WaitReady.
type Issuer struct {
	// immutable
	opts    Options
	metrics *metrics
	changed chan struct{} // has room for one: what clients are told is another
	ready   chan struct{} // closed once it is known which relays there are, or that this cannot be told
	started time.Time

	relays atomic.Pointer[roster] // never nil
	read   atomic.Int64           // when the relays were last listed, Unix ns; 0 before the first time

	failing bool // the last list failed; owned by Run

	mu    sync.Mutex
	picks map[string]*pick // see [Issuer.pick]; guarded by mu
}

// New makes an issuer that knows of no relay until it runs.
func New(opts Options) (*Issuer, error) {
	if err := opts.validate(); err != nil {
		return nil, err
	}
	i := &Issuer{
		opts: opts, changed: make(chan struct{}, 1), ready: make(chan struct{}), started: time.Now(), picks: make(map[string]*pick),
	}
	i.relays.Store(new(roster))
	i.metrics = newMetrics(opts.Registerer, i.age)
	opts.Apps.OnChange(i.nudge)
	return i, nil
}

// Grant is what one client is told.
type Grant struct {
	// Servers are what RTCPeerConnection takes. Their URLs are shared, and only to be read.
	Servers []wire.ICEServer
	// TTL is how long credentials are good, and Expires when the first of these ends to be; both are zero if none does.
	TTL     time.Duration
	Expires time.Time
	// Renew is when the client should be told anew: when two thirds to three quarters of the time are over. Zero if never.
	Renew time.Time
	// Told is for [Issuer.Stale].
	Told Told
}

// Told is what a client was told, as far as it matters whether it is another by now. Clients that were told alike share what it holds.
type Told struct {
	settings *auth.ICE
	relays   *pick
}

// Event is what the client is sent.
func (g *Grant) Event() *wire.ICE {
	event := &wire.ICE{Servers: g.Servers}
	if !g.Expires.IsZero() {
		event.Expires = g.Expires.UnixMilli()
	}
	return event
}

// Issue gives a user of an app servers, with credentials that are made now. Of an app that is not there nobody is told anything.
func (i *Issuer) Issue(app, user string) Grant {
	settings, ok := i.opts.Apps.ICE(app)
	if !ok {
		return Grant{}
	}
	ttl := cmp.Or(time.Duration(settings.TTL), i.opts.TTL)
	now := time.Now()
	g := grants{issuer: i, app: app, user: user, until: now.Add(ttl), grant: Grant{Told: Told{settings: settings}}}
	g.servers(settings.Servers)
	if settings.Inherits() {
		g.relays()
		g.servers(i.opts.Servers)
	}
	if !g.grant.Expires.IsZero() {
		g.grant.TTL = ttl
		g.grant.Renew = now.Add(ttl*2/3 + time.Duration(rand.Int64N(int64(ttl/12)+1)))
	}
	return g.grant
}

// Stale reports whether an app's client has to be told anew: it was told of a relay that is there no more, of fewer than it could be, or what its
// app says is another.
func (i *Issuer) Stale(app string, told Told) bool {
	settings, ok := i.opts.Apps.ICE(app)
	if !ok || told.settings == nil {
		return false
	}
	if !settings.Equal(told.settings) {
		return true
	}
	return settings.Inherits() && i.relays.Load().stale(told.relays, i.opts.Relays.Most)
}

// changePause is at least between two walks through all clients, so that apps which change one after the other cost one.
const changePause = time.Second

// Run keeps the list of relays fresh, and has changed called when what clients are told may be another: once at a time, with a pause between.
// It ends with ctx, once changed has returned.
func (i *Issuer) Run(ctx context.Context, changed func(context.Context)) error {
	var listing sync.WaitGroup
	defer listing.Wait()
	if i.opts.Relays.List == nil {
		close(i.ready)
	} else {
		listing.Go(func() { i.follow(ctx) })
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-i.changed:
		}
		changed(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(changePause):
		}
	}
}

// WaitReady waits until it is known which relays there are, or that this cannot be told now, or ctx ends.
func (i *Issuer) WaitReady(ctx context.Context) error {
	select {
	case <-i.ready:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// nudge has Run call changed.
func (i *Issuer) nudge() {
	select {
	case i.changed <- struct{}{}:
	default: // it will be
	}
}

// grants makes one grant. It is owned by the goroutine that does.
type grants struct {
	issuer    *Issuer
	app, user string
	until     time.Time
	grant     Grant
}

func (g *grants) servers(servers []auth.ICEServerSettings) {
	for n := range servers {
		server := &servers[n]
		if secrets := server.Keys(); len(secrets) > 0 {
			g.timed(server.URLs, secrets[0])
			g.issuer.metrics.thirdParty.Inc()
			continue
		}
		g.grant.Servers = append(g.grant.Servers, wire.ICEServer{URLs: server.URLs, Username: server.Username, Credential: string(server.Credential)})
	}
}

func (g *grants) relays() {
	g.grant.Told.relays = g.issuer.pick(g.app, g.user)
	for n := range g.grant.Told.relays.list() {
		g.timed(g.grant.Told.relays.relays[n].URLs, g.issuer.opts.Relays.Secret)
		g.issuer.metrics.relay.Inc()
	}
}

// timed adds a server whose credentials are good for a time.
func (g *grants) timed(urls []string, secret auth.Secret) {
	made := turncred.New(string(secret), g.app, g.user, g.until)
	g.grant.Servers = append(g.grant.Servers, wire.ICEServer{URLs: urls, Username: made.Username, Credential: made.Password})
	g.grant.Expires = made.Expires
}
