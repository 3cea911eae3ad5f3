package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/signalbox-rtc/signalbox/pkg/auth"
	"github.com/signalbox-rtc/signalbox/pkg/httpapi"
	"github.com/signalbox-rtc/signalbox/pkg/session"
	"github.com/signalbox-rtc/signalbox/pkg/store"
	"github.com/signalbox-rtc/signalbox/pkg/webhook"
)

// directory makes the directory of the configuration's apps. What apps name, published keys and backends, is reached as webhooks are: at
// public addresses, unless others are allowed.
func (c *Config) directory(logger *slog.Logger, registerer prometheus.Registerer) (*auth.Directory, error) {
	networks, err := c.Webhooks.networks()
	if err != nil {
		return nil, err
	}
	guard := &webhook.Guard{Allowed: networks}
	return auth.NewDirectory(auth.Options{
		DialContext: guard.DialContext,
		Apps:        c.AllApps(), Quotas: c.Quotas.defaults(), Origins: c.Origins.Allowed, MaxCapacity: c.Rooms.MaxCapacity, Logger: logger, Registerer: registerer,
	})
}

// tenants keeps the directory in line with the apps and the revocations that Redis has.
type tenants struct {
	// immutable once it runs
	store     *store.Store
	directory *auth.Directory
	sessions  *session.Server
	drain     func(node string) // is told which gateway is to end
	logger    *slog.Logger
	loaded    chan struct{} // closed once they were read
	once      sync.Once

	mu     sync.Mutex
	stored map[string]store.StoredApp
}

func newTenants(s *store.Store, directory *auth.Directory, logger *slog.Logger) *tenants {
	return &tenants{store: s, directory: directory, logger: logger, loaded: make(chan struct{}), stored: make(map[string]store.StoredApp)}
}

// closesFor has the sessions closed of apps that go, and of those who are revoked.
func (t *tenants) closesFor(sessions *session.Server) {
	t.sessions = sessions
	t.directory.OnGone(func(apps map[string]bool) {
		t.logger.Info("apps are gone or switched off", "apps", len(apps), "closed", sessions.CloseApps(apps))
	})
}

// run follows what other gateways, or this one, announce, until ctx ends.
func (t *tenants) run(ctx context.Context) error {
	return t.store.Follow(ctx, store.Follower{Reload: t.reload, Announced: t.announced})
}

// waitLoaded waits until the apps were read, and reports false if ctx has ended before.
func (t *tenants) waitLoaded(ctx context.Context) bool {
	select {
	case <-t.loaded:
		return true
	case <-ctx.Done():
		return false
	}
}

// reload reads all apps and revocations. Those that Redis has lost are put back: the gateways know them.
func (t *tenants) reload(ctx context.Context) error {
	if err := t.putBack(ctx); err != nil {
		return err
	}
	revocations, err := t.store.Revocations(ctx)
	if err != nil {
		return fmt.Errorf("app: read the revocations: %w", err)
	}
	for _, r := range revocations {
		t.revoke(r)
	}
	apps, _, err := t.store.Apps(ctx)
	if err != nil {
		return fmt.Errorf("app: read the managed apps: %w", err)
	}
	stored, data := make(map[string]store.StoredApp, len(apps)), make(map[string][]byte, len(apps))
	for _, app := range apps {
		stored[app.ID], data[app.ID] = app, app.Data
	}
	t.mu.Lock()
	t.stored = stored
	t.mu.Unlock()
	t.directory.Manage(data)
	t.once.Do(func() { close(t.loaded) })
	return nil
}

// putBack writes the apps and revocations again that Redis has lost.
func (t *tenants) putBack(ctx context.Context) error {
	if err := t.store.PutBackRevocations(ctx, t.revocations()); err != nil {
		return fmt.Errorf("app: put the revocations back: %w", err)
	}
	t.mu.Lock()
	apps := make([]store.StoredApp, 0, len(t.stored))
	for _, app := range t.stored {
		apps = append(apps, app)
	}
	t.mu.Unlock()
	if len(apps) == 0 {
		return nil
	}
	if err := t.store.PutBackApps(ctx, apps); err != nil {
		return fmt.Errorf("app: put the managed apps back: %w", err)
	}
	return nil
}

// announced takes what was announced to all gateways.
func (t *tenants) announced(ctx context.Context, kind string, body []byte) error {
	switch kind {
	case store.AnnounceApp:
		return t.read(ctx, string(body))
	case httpapi.AnnounceDrain:
		t.drain(string(body))
	case store.AnnounceRevoked:
		r, err := store.ParseRevocation(body)
		if err != nil {
			return fmt.Errorf("app: read a revocation: %w", err)
		}
		t.revoke(*r)
	}
	return nil
}

// revoke lets nobody in any more on what was revoked, and closes what there is of it.
func (t *tenants) revoke(r store.Revocation) {
	revocation := auth.Revocation{
		App: r.App, User: r.User, Session: r.Session, At: time.UnixMilli(r.At), Until: time.UnixMilli(r.Until)}
	t.directory.Revoke(revocation)
	if closed := t.sessions.Revoke(revocation); closed > 0 {
		t.logger.Info("sessions were revoked", "app", r.App, "closed", closed)
	}
}

// revocations are those that this gateway knows, as they are stored.
func (t *tenants) revocations() []store.Revocation {
	known := t.directory.Revocations()
	list := make([]store.Revocation, len(known))
	for i, r := range known {
		list[i] = store.Revocation{App: r.App, User: r.User, Session: r.Session, At: r.At.UnixMilli(), Until: r.Until.UnixMilli()}
	}
	return list
}

// read reads one app. It may be called by several goroutines at once: an older version does not take the place of a later one.
func (t *tenants) read(ctx context.Context, id string) error {
	app, err := t.store.App(ctx, id)
	if err != nil && !errors.Is(err, store.ErrNoApp) {
		return fmt.Errorf("app: read a managed app: %w", err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if app == nil {
		delete(t.stored, id)
		t.directory.ManageOne(id, nil)
		return nil
	}
	if t.stored[id].Version > app.Version {
		return nil
	}
	t.stored[id] = *app
	t.directory.ManageOne(id, slices.Clip(app.Data))
	return nil
}
