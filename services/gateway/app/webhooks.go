package app

import (
	"context"
	"slices"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/signalbox-rtc/signalbox/pkg/auth"
	"github.com/signalbox-rtc/signalbox/pkg/webhook"
)

// webhooks are the apps' endpoints, made ready from their configuration when they are first asked for.
type webhooks struct {
	directory *auth.Directory

	mu   sync.RWMutex
	apps map[string]*appWebhooks // guarded by mu
}

type appWebhooks struct {
	configured *auth.Webhook // the first of them, as it lies in the directory: another one when the app has changed
	endpoints  []webhook.Endpoint
}

func newWebhooks(directory *auth.Directory) *webhooks {
	return &webhooks{directory: directory, apps: make(map[string]*appWebhooks)}
}

// endpoints gives an app's endpoints, as they are configured now.
func (w *webhooks) endpoints(app string) []webhook.Endpoint {
	configured := w.directory.Webhooks(app)
	w.mu.RLock()
	known := w.apps[app]
	w.mu.RUnlock()
	if known != nil && len(configured) > 0 && known.configured == &configured[0] {
		return known.endpoints
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.apps, app)
	if len(configured) == 0 {
		return nil
	}
	made := &appWebhooks{configured: &configured[0]}
	for i := range configured {
		hook := &configured[i]
		keys, err := hook.Keys()
		if err != nil {
			continue // the directory takes no such app
		}
		made.endpoints = append(made.endpoints, webhook.Endpoint{
			ID: hook.ID, URL: hook.URL, Keys: keys, Wants: hook.Wants, Fingerprint: hook.Fingerprint(),
		})
	}
	w.apps[app] = made
	return made.endpoints
}

// wanted reports whether any endpoint of an app wants to be told of a room.
func (w *webhooks) wanted(app, room string) bool {
	return slices.ContainsFunc(w.directory.Webhooks(app), func(hook auth.Webhook) bool { return hook.WantsRoom(room) })
}

// told reports whether webhooks are to tell of a room that the app itself makes.
func (w *webhooks) told(app, room string) bool {
	policy, ok := w.directory.PolicyFor(app, room)
	return ok && policy.HasWebhooks() && w.wanted(app, room)
}

// openWebhooks makes what delivers for the apps' webhooks, if this gateway does.
func (g *Gateway) openWebhooks(registry prometheus.Registerer) error {
	c := &g.config.Webhooks
	if !c.Enabled {
		return nil
	}
	networks, err := c.networks()
	if err != nil {
		return err
	}
	g.deliveries, err = webhook.New(webhook.Options{
		Store: g.store, Self: g.node, Endpoints: g.webhooks.endpoints, Guard: &webhook.Guard{Allowed: networks}, AllowHTTP: c.AllowHTTP,
		Timeout: c.Timeout, MinRetry: c.MinRetry, MaxRetry: c.MaxRetry, MaxAge: c.MaxAge, Batch: c.Batch,
		Concurrency: c.Concurrency, PerEndpoint: c.PerEndpoint, Poll: c.Poll, Lease: c.Lease,
		Tracer: g.tracer(), Sample: g.sample(), Logger: g.calm, Registerer: registry,
	})
	return err
}

// runWebhooks delivers until ctx ends.
func (g *Gateway) runWebhooks(ctx context.Context) error {
	defer close(g.delivered)
	if g.deliveries == nil || !g.tenants.waitLoaded(ctx) { // before that the endpoints of managed apps are not known
		return nil
	}
	return g.deliveries.Run(ctx)
}

// awaitWebhooks waits until the engine has given back what it had: the store is needed for that.
func (g *Gateway) awaitWebhooks(ctx context.Context) {
	select {
	case <-g.delivered:
	case <-ctx.Done():
	}
}
