package auth

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/signalbox-rtc/signalbox/pkg/telemetry/metric"
)

// Directory holds the apps of now: those of the configuration and those that the server API manages. They change while it is
// in use: each change makes a new [Verifier], which takes the place of the one before in one step. Safe for concurrent use.
//
// The configuration goes before: a managed app of the same id is left out, and so is one that is not valid. Neither keeps
// the others from being taken.
type Directory struct {
	// immutable
	opts    Options
	metrics *directoryMetrics

	current atomic.Pointer[Verifier] // never nil
	revoked revocations

	mu         sync.Mutex
	configured map[string]*app
	managed    map[string]*managedApp
	onGone     []func(apps map[string]bool)
	onChange   []func()
}

// managedApp is one app as it is stored.
type managedApp struct {
	data   []byte
	app    *app  // nil if it is refused
	reason error // why it is
	logged bool
}

// NewDirectory makes a directory of the configuration's apps, or gives an error that names everything that is wrong with them.
func NewDirectory(opts Options) (*Directory, error) {
	opts.setDefaults()
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.Registerer == nil {
		opts.Registerer = prometheus.NewRegistry()
	}
	d := &Directory{opts: opts, managed: make(map[string]*managedApp)}
	if err := d.opts.validate(); err != nil {
		return nil, err
	}
	d.opts.fetcher, d.opts.hooks = newFetcher(&d.opts), newHookCalls(&d.opts)
	configured, err := d.compile(opts.Apps, nil)
	if err != nil {
		return nil, err
	}
	d.opts.Apps = nil
	d.configured, d.metrics = configured, newDirectoryMetrics(opts.Registerer)
	d.swap()
	opts.Registerer.MustRegister(d.expiries()...)
	return d, nil
}

// Run keeps the keys that apps publish fresh, until ctx ends. Without it none are known.
func (d *Directory) Run(ctx context.Context) error {
	d.opts.fetcher.run(ctx)
	return nil
}

// Configure takes the configuration's apps in place of those before. If anything is wrong with one of them, all stay as they
// were.
func (d *Directory) Configure(apps []App) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	configured, err := d.compile(apps, d.configured)
	if err != nil {
		return err
	}
	d.configured = configured
	d.swap()
	return nil
}

// Manage takes the managed apps in place of those before: each by its id, as [EncodeApp] has written it.
func (d *Directory) Manage(apps map[string][]byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	managed := make(map[string]*managedApp, len(apps))
	for id, data := range apps {
		managed[id] = d.read(id, data)
	}
	d.managed = managed
	d.swap()
}

// ManageOne takes one managed app in place of the one of its id; nil takes it out.
func (d *Directory) ManageOne(id string, data []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if data == nil {
		delete(d.managed, id)
	} else {
		d.managed[id] = d.read(id, data)
	}
	d.swap()
}

// OnGone has a function called after each change that follows by which apps went, or were switched off. It is called with a lock held
// that keeps other changes waiting, and must not change the directory.
func (d *Directory) OnGone(gone func(apps map[string]bool)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.onGone = append(d.onGone, gone)
}

// OnChange has a function called after each change. It is called with a lock held that keeps other changes waiting: it must not change
// the directory, nor wait.
func (d *Directory) OnChange(changed func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.onChange = append(d.onChange, changed)
}

// Verify gives the identity that a token vouches for: see [Verifier.Verify]. It was not revoked.
func (d *Directory) Verify(token string) (*Identity, error) {
	id, err := d.current.Load().Verify(token)
	if err == nil && d.Revoked(id, "") {
		return nil, errRevoked()
	}
	return id, err
}

// Anonymous gives a new identity to a user without a token: see [Verifier.Anonymous].
func (d *Directory) Anonymous(app, name string) (*Identity, error) {
	return d.current.Load().Anonymous(app, name)
}

// Origins gives an enabled app's allowed origins: see [Verifier.Origins].
func (d *Directory) Origins(app string) ([]string, bool) { return d.current.Load().Origins(app) }

// OriginAllowed reports whether any enabled app allows an origin: see [Verifier.OriginAllowed].
func (d *Directory) OriginAllowed(origin string) bool { return d.current.Load().OriginAllowed(origin) }

// AppOriginAllowed reports whether an app allows an origin: see [Verifier.AppOriginAllowed].
func (d *Directory) AppOriginAllowed(app, origin string) bool {
	return d.current.Load().AppOriginAllowed(app, origin)
}

// Enabled reports whether there is such an app, and it is not switched off.
func (d *Directory) Enabled(app string) bool {
	_, err := d.current.Load().enabledApp(app)
	return err == nil
}

// App gives a copy of an app as it was given, and false if there is none. One that is switched off is there.
func (d *Directory) App(id string) (*App, bool) {
	a, ok := d.current.Load().apps[id]
	if !ok {
		return nil, false
	}
	source := a.source.clone()
	return &source, true
}

// Webhooks gives the webhooks of an app as they lie in the directory, to be read alone: they stay where they are until the app
// changes.
func (d *Directory) Webhooks(app string) []Webhook {
	a, ok := d.current.Load().apps[app]
	if !ok {
		return nil
	}
	return a.source.Webhooks
}

// ICE gives what the clients of an app are told of STUN and TURN servers, to be read alone, and false if there is no such app.
func (d *Directory) ICE(app string) (*ICE, bool) {
	a, ok := d.current.Load().apps[app]
	if !ok {
		return nil, false
	}
	return a.ice, true
}

// PolicyFor gives the policy of an app's room, and false if there is no such app.
func (d *Directory) PolicyFor(app, room string) (Policy, bool) {
	a, ok := d.current.Load().apps[app]
	if !ok {
		return Policy{}, false
	}
	return *a.policies.of(room), true
}

// Apps gives copies of all apps, by their ids.
func (d *Directory) Apps() []App {
	v := d.current.Load()
	apps := make([]App, 0, len(v.apps))
	for _, id := range slices.Sorted(maps.Keys(v.apps)) {
		apps = append(apps, v.apps[id].source.clone())
	}
	return apps
}

// Configured reports whether an app is the configuration's, which the server API cannot change.
func (d *Directory) Configured(id string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, ok := d.configured[id]
	return ok
}

// Refused gives the managed apps that were left out, and why.
func (d *Directory) Refused() map[string]error {
	d.mu.Lock()
	defer d.mu.Unlock()
	refused := make(map[string]error)
	for id, m := range d.managed {
		if m.reason != nil {
			refused[id] = m.reason
		}
	}
	return refused
}

// compile checks apps. Those that have not changed are taken from before: what was learnt of their keys stays with them.
func (d *Directory) compile(apps []App, before map[string]*app) (map[string]*app, error) {
	compiled := make(map[string]*app, len(apps))
	var errs []error
	for i := range apps {
		id := apps[i].ID
		if _, twice := compiled[id]; twice {
			errs = append(errs, fmt.Errorf("auth: app %q is there twice", id))
			continue
		}
		if was := before[id]; was != nil && was.source.equal(&apps[i]) {
			compiled[id] = was
			continue
		}
		a, err := apps[i].compile(&d.opts)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		compiled[id] = a
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return compiled, nil
}

// read checks a managed app. mu is held.
func (d *Directory) read(id string, data []byte) *managedApp {
	if was := d.managed[id]; was != nil && bytes.Equal(was.data, data) {
		return was
	}
	m := &managedApp{data: bytes.Clone(data)}
	source, err := DecodeApp(data)
	if err == nil && source.ID != id {
		err = errors.New("auth: it is stored under another id than its own")
	}
	if err == nil {
		opts := d.opts
		opts.mayLackKeys = true // the first one may be added later
		m.app, err = source.compile(&opts)
	}
	m.reason = err
	return m
}

// swap makes the verifier of the apps of now. mu is held.
func (d *Directory) swap() {
	apps := maps.Clone(d.configured)
	taken, refused := 0, 0
	for id, m := range d.managed {
		if _, own := d.configured[id]; own && (m.reason == nil || errors.Is(m.reason, errConfigured)) {
			m.reason = errConfigured
		} else if errors.Is(m.reason, errConfigured) {
			m.reason, m.logged = nil, false
		}
		if m.reason == nil {
			apps[id] = m.app
			taken++
			continue
		}
		refused++
		if !m.logged {
			m.logged = true
			d.opts.Logger.Error("a managed app is left out", "app", id, "error", oneLine(m.reason))
		}
	}
	before := d.current.Swap(newVerifier(&d.opts, apps))
	d.opts.fetcher.keep(apps)
	d.metrics.configured.Set(float64(len(d.configured)))
	d.metrics.managed.Set(float64(taken))
	d.metrics.refused.Set(float64(refused))
	if gone := before.without(apps); len(gone) > 0 {
		for _, tell := range d.onGone {
			tell(gone)
		}
	}
	for _, tell := range d.onChange {
		tell()
	}
}

var errConfigured = errors.New("auth: the configuration has an app of the same id")

// directoryMetrics are what a directory tells of itself.
type directoryMetrics struct {
	configured, managed, refused prometheus.Gauge
}

func newDirectoryMetrics(registerer prometheus.Registerer) *directoryMetrics {
	apps := metric.Gauges("signalbox_apps",
		"Apps by where they come from: configuration, managed (by the server API), or refused (managed ones that are left out, as the log says why).", "source")
	registerer.MustRegister(apps)
	return &directoryMetrics{
		configured: apps.WithLabelValues("configuration"), managed: apps.WithLabelValues("managed"), refused: apps.WithLabelValues("refused"),
	}
}
