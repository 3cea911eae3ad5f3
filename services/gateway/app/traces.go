package app

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/signalbox-rtc/signalbox/pkg/telemetry"
)

// serviceName is what this program is called in traces.
const serviceName = "signalbox-gateway"

// openTraces starts the export of spans, if anything is traced.
func (g *Gateway) openTraces(ctx context.Context, registry *prometheus.Registry) (err error) {
	c := &g.config.Tracing
	if c.Endpoint == "" {
		return nil
	}
	headers, err := c.headers()
	if err != nil {
		return err
	}
	g.traces, err = telemetry.NewTraces(ctx, telemetry.TracesOptions{
		Endpoint: c.Endpoint, Headers: headers, OneIn: c.OneIn, Queue: c.Queue, Timeout: c.Timeout,
		Service: serviceName, Instance: g.node, Attributes: map[string]string{"signalbox.node": g.name},
		Build: telemetry.ReadBuild(), Logger: g.logger, Registerer: registry,
	})
	return err
}

// tracer makes spans; nil if nothing is traced.
func (g *Gateway) tracer() trace.Tracer {
	if g.traces == nil {
		return nil
	}
	return g.traces.Tracer()
}

// sample decides whether a trace begins; nil if nothing is traced.
func (g *Gateway) sample() func() bool {
	if g.traces == nil {
		return nil
	}
	return g.traces.Sample
}

// over is a context that has ended, for what is not waited for.
var over = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

// closeTraces exports the last spans, until ctx ends.
func (g *Gateway) closeTraces(ctx context.Context) {
	if g.traces == nil {
		return
	}
	if err := g.traces.Close(ctx); err != nil && ctx.Err() == nil {
		g.logger.Warn("the last spans were not exported", "error", err)
	}
}

// lifeOf is the life of a session, with the place in a trace that its client has come with.
func (g *Gateway) lifeOf(header http.Header) context.Context {
	if g.traces == nil {
		return g.sessionsLife
	}
	return propagation.TraceContext{}.Extract(g.sessionsLife, propagation.HeaderCarrier(header))
}

var errHeaders = errors.New("not like name=value,name=value")

// headers are what goes to the receiver of spans beside them.
func (c *TracingConfig) headers() (map[string]string, error) {
	if c.Headers == "" {
		return nil, nil
	}
	headers := make(map[string]string)
	for pair := range strings.SplitSeq(string(c.Headers), ",") {
		name, value, ok := strings.Cut(pair, "=")
		if name = strings.TrimSpace(name); !ok || name == "" {
			return nil, errHeaders
		}
		headers[name] = strings.TrimSpace(value)
	}
	return headers, nil
}

// labelledApps are the apps that have a label of their own in metrics.
func (c *Config) labelledApps() []string {
	apps := c.AllApps()
	names := make([]string, 0, min(len(apps), c.Metrics.Apps))
	for _, app := range apps[:cap(names)] {
		names = append(names, app.ID)
	}
	return names
}
