// Package httpapi is the server API: what the backend of an app, and the operator of a cluster, ask of it over HTTP. The
// description of the API (OpenAPI 3.1) is made from this package's types, and everything that is not carried out is answered
// with a problem after RFC 9457.
//
// One request, one way: ServeHTTP (panic, span, metrics), the library's router, guard (key, limit, app, permission, body,
// Idempotency-Key), the library's validation, an operation of this package, the store.
package httpapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"

	"github.com/signalbox-rtc/signalbox/pkg/auth"
	"github.com/signalbox-rtc/signalbox/pkg/cluster"
	"github.com/signalbox-rtc/signalbox/pkg/ice"
	"github.com/signalbox-rtc/signalbox/pkg/room"
	"github.com/signalbox-rtc/signalbox/pkg/store"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// Options configures an [API]. The zero value of a field is its default, where it has one.
type Options struct {
	// Keys are the operator's. Without any, and without keys of apps, every request is refused.
	Keys []Key
	// Apps, Rooms, Store and Cluster are what is asked; all are required.
	Apps    *auth.Directory
	Rooms   *room.Operator
	Store   *store.Store
	Cluster *cluster.Cluster
	// Refresh has this process know a managed app as it is stored now, before its announcement comes; required.
	Refresh func(ctx context.Context, app string) error
	// Hooks tells whether webhooks are to tell of an app's room; nil: of none.
	Hooks func(app, room string) bool
	// Quotas hold the apps to what they may use; nil to nothing.
	Quotas Quotas
	// Capacity (50) and MaxCapacity (500) are the seats of a room for which nothing else is said, and the most that one can have.
	Capacity, MaxCapacity int
	// ICE makes the ICE servers that apps' clients are told; required.
	ICE *ice.Issuer
	// AnswerKey is the secret of at least 16 bytes that answers to requests with an Idempotency-Key are sealed with, the same
	// on all nodes.
	AnswerKey []byte
	// AnswerTTL is how long an answer is kept (24 h).
	AnswerTTL time.Duration
	// BodyBytes is the greatest size of a request's body (65536).
	BodyBytes int
	// BodyTimeout is how long a body may take (10 s), Timeout how long the cluster's store may take for an answer (10 s).
	BodyTimeout, Timeout time.Duration
	// RequestsPerSecond (50) and RequestsBurst (100) hold each key to a rate.
	RequestsPerSecond, RequestsBurst int
	// Listeners is how many streams of events there may be at a time (100), and EventsPeriod how often each looks for what has
	// happened (500 ms).
	Listeners    int
	EventsPeriod time.Duration
	// Viewers is how many streams of the whole cluster there may be at a time (20), and ViewersPeriod how often they are told how it is (2 s).
	Viewers       int
	ViewersPeriod time.Duration
	// Examine looks at the servers of Redis while there are viewers; nil leaves them out.
	Examine func(ctx context.Context) (*store.Examination, error)
	// Pages has the pages of this API's own origin, which is the console, change things. Without it they can look, whatever their key may do.
	Pages bool
	// Version is the program's, for the description.
	Version string
	// Tracer makes the span of each request for which Sample says so; nil for none.
	Tracer trace.Tracer
	Sample func() bool
	// Logger takes the audit lines and faults of ours (required), Registerer the metrics (required).
	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

func (o *Options) validate() error {
	if o.Apps == nil || o.Rooms == nil || o.Store == nil || o.Cluster == nil || o.Refresh == nil || o.ICE == nil || o.Logger == nil || o.Registerer == nil {
		return errors.New("httpapi: apps, rooms, a store, a cluster, an issuer of ICE servers, a logger and a registerer are needed")
	}
	if len(o.AnswerKey) < minAnswerKey {
		return fmt.Errorf("httpapi: the key that answers are sealed with has fewer than %d bytes", minAnswerKey)
	}
	if err := ValidateKeys(o.Keys); err != nil {
		return fmt.Errorf("httpapi: %w", err)
	}
	setDefault(&o.Quotas, Quotas(noQuotas{}))
	setDefault(&o.Capacity, 50)
	setDefault(&o.MaxCapacity, 500)
	setDefault(&o.AnswerTTL, 24*time.Hour)
	setDefault(&o.BodyBytes, 64<<10)
	setDefault(&o.BodyTimeout, 10*time.Second)
	setDefault(&o.Timeout, 10*time.Second)
	setDefault(&o.RequestsPerSecond, 50)
	setDefault(&o.RequestsBurst, 100)
	setDefault(&o.Listeners, 100)
	setDefault(&o.EventsPeriod, 500*time.Millisecond)
	setDefault(&o.Viewers, 20)
	setDefault(&o.ViewersPeriod, 2*time.Second)
	if o.Viewers < 0 || o.ViewersPeriod < 0 || o.Listeners < 0 || o.EventsPeriod < 0 || o.AnswerTTL < 0 || o.BodyBytes < 0 || o.BodyTimeout < 0 || o.Timeout < 0 || o.RequestsPerSecond < 0 || o.RequestsBurst < 0 {
		return errors.New("httpapi: a limit is negative")
	}
	return nil
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// API answers the requests of the server API. It is an [http.Handler].
type API struct {
	// immutable
	opts    Options
	mux     *http.ServeMux
	api     huma.API
	handler http.Handler // mux behind what holds for every request
	metrics *metrics
	limits  *limits

	listeners listeners
	viewers   *viewers
	closed    chan struct{} // ends streams
	closeOnce sync.Once
}

var _ http.Handler = (*API)(nil)

// New makes the API.
func New(opts Options) (*API, error) {
	if err := opts.validate(); err != nil {
		return nil, err
	}
	strictNames()
	a := &API{
		opts: opts, mux: http.NewServeMux(), metrics: newMetrics(opts.Registerer),
		limits: newLimits(opts.RequestsPerSecond, opts.RequestsBurst), closed: make(chan struct{}),
	}
	a.viewers = newViewers(a)
	a.api = a.newDocument()
	a.operations()
	a.describe()
	a.handler = a.sameOrigin(a.mux)
	return a, nil
}

// operations adds all that can be asked.
func (a *API) operations() {
	a.appOperations()
	a.appKeyOperations()
	a.tokenOperations()
	a.iceOperations()
	a.roomOperations()
	a.memberOperations()
	a.waitingOperations()
	a.keptOperations()
	a.messageOperations()
	a.eventOperations()
	a.revokeOperations()
	a.deadLetterOperations()
	a.clusterOperations()
	a.viewerOperations()
	a.ownKeyOperations()
}

// Close ends the streams of events, for which an end of the server would wait in vain. It may be called several times.
func (a *API) Close() { a.closeOnce.Do(func() { close(a.closed) }) }

// ServeHTTP answers one request.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	started := time.Now()
	c := &call{operation: noOperation, writer: &writer{ResponseWriter: w}, remote: r.RemoteAddr}
	ctx := context.WithValue(r.Context(), callKey{}, c)
	ctx, span := a.startSpan(ctx)
	defer func() {
		if p := recover(); p != nil {
			if p == http.ErrAbortHandler { //nolint:errorlint // it is compared by identity, as net/http does
				panic(p)
			}
			a.fault(c, fmt.Errorf("panic: %v\n%s", p, debug.Stack()))
		}
		c.writer.release()
		status := max(c.writer.status, http.StatusOK)
		endSpan(span, c, status)
		a.metrics.observe(c.operation, status, time.Since(started), span)
	}()
	setPlain(w.Header())
	a.handler.ServeHTTP(c.writer, r.WithContext(ctx))
}

// fault answers for what must not happen. What was sent already stays.
func (a *API) fault(c *call, err error) {
	a.metrics.faults.Inc()
	a.opts.Logger.Error("a request to the server API failed", "operation", c.operation, "error", err)
	if c.writer.status == 0 || c.writer.held {
		c.writer.problem(newProblem(wire.CodeInternal, "the log has the rest"))
	}
}

// sameOrigin refuses what a page of another site has a browser send: a client certificate goes along with it.
func (a *API) sameOrigin(next http.Handler) http.Handler {
	protection := http.NewCrossOriginProtection()
	protection.SetDenyHandler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		callOf(r.Context()).writer.problem(newProblem(wire.CodeForbidden, "a page of another site may not send this"))
	}))
	return protection.Handler(next)
}

// call is what is known of a request that is being answered. It is owned by the request's goroutine.
type call struct {
	operation string // its id in the description
	writer    *writer
	remote    string
	principal *principal
	app, room string // as the path names them, once they are known to be seen by the principal
	body      []byte
}

type callKey struct{}

// callOf gives the request of a context; every request has one.
func callOf(ctx context.Context) *call { return ctx.Value(callKey{}).(*call) }

// noOperation is the operation of a request for which there is none.
const noOperation = "none"

func statusText(status int) string { return strconv.Itoa(status) }
