package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/signalbox-rtc/signalbox/pkg/auth"
	"github.com/signalbox-rtc/signalbox/pkg/store"
)

// directory makes the directory of the configuration's apps.
func (c *Config) directory(logger *slog.Logger, registerer prometheus.Registerer) (*auth.Directory, error) {
	return auth.NewDirectory(auth.Options{
		Apps: c.AllApps(), Origins: c.Origins.Allowed, MaxCapacity: c.Rooms.MaxCapacity, Logger: logger, Registerer: registerer,
	})
}

// tenants keeps the directory in line with the apps that Redis has.
type tenants struct {
	// immutable
	store     *store.Store
	directory *auth.Directory
	loaded    chan struct{} // closed once they were read
	once      sync.Once

	mu     sync.Mutex
	stored map[string]store.StoredApp
}

func newTenants(s *store.Store, directory *auth.Directory) *tenants {
	return &tenants{store: s, directory: directory, loaded: make(chan struct{}), stored: make(map[string]store.StoredApp)}
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

// reload reads all apps. Those that Redis has lost are put back: the gateways know them.
func (t *tenants) reload(ctx context.Context) error {
	if err := t.putBack(ctx); err != nil {
		return err
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

// putBack writes the apps again if Redis has lost them.
func (t *tenants) putBack(ctx context.Context) error {
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
	if kind == store.AnnounceApp {
		return t.read(ctx, string(body))
	}
	return nil
}

// read reads one app.
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
	t.stored[id] = *app
	t.directory.ManageOne(id, slices.Clip(app.Data))
	return nil
}
