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
	apps map[string]*appWebhooks
}

type appWebhooks struct {
	configured []auth.Webhook
	endpoints  []webhook.Endpoint
}

func newWebhooks(directory *auth.Directory) *webhooks {
	w := &webhooks{directory: directory, apps: make(map[string]*appWebhooks)}
	directory.OnChange(w.forget)
	return w
}

// forget has all be read anew.
func (w *webhooks) forget() {
	w.mu.Lock()
	defer w.mu.Unlock()
	clear(w.apps)
}

// of gives an app's endpoints.
func (w *webhooks) of(app string) *appWebhooks {
	w.mu.RLock()
	known := w.apps[app]
	w.mu.RUnlock()
	if known != nil {
		return known
	}
	w.mu.Lock() // so that what is read is not put in place of what was forgotten meanwhile
	defer w.mu.Unlock()
	made := &appWebhooks{}
	configured, ok := w.directory.App(app)
	if !ok {
		return made // nothing is kept of apps that there are not
	}
	made.configured = configured.Webhooks
	for i := range made.configured {
		hook := &made.configured[i]
		keys, err := hook.Keys()
		if err != nil {
			continue // the directory takes no such app
		}
		made.endpoints = append(made.endpoints, webhook.Endpoint{
			ID: hook.ID, URL: hook.URL, Keys: keys, Wants: hook.Wants, Fingerprint: hook.Fingerprint(),
		})
	}
	w.apps[app] = made
	return made
}

// endpoints is the engine's source.
func (w *webhooks) endpoints(app string) []webhook.Endpoint { return w.of(app).endpoints }

// wanted reports whether any endpoint of an app wants to be told of a room.
func (w *webhooks) wanted(app, room string) bool {
	return slices.ContainsFunc(w.of(app).configured, func(hook auth.Webhook) bool { return hook.WantsRoom(room) })
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
	if g.deliveries == nil {
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
