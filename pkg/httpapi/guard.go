package httpapi

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// operation is one entry of the API, as [register] takes it.
type operation struct {
	id, method, path string
	tag              string
	summary, text    string
	need             Permission
	operator         bool // for keys that are for all apps
	status           int  // of success, if it is not what the library takes
	once             bool // to do it twice is more than to do it once: see [API.once]
	stream           bool // of server-sent events
	unchanged        bool // it may be answered with 304
	quota            bool // it counts against the app's quotas
	codes            []wire.Code
}

// change tells whether an operation changes something.
func (o *operation) change() bool { return o.method != http.MethodGet }

// hasBody tells whether the operation may be sent a body.
func (o *operation) hasBody() bool {
	return o.method == http.MethodPost || o.method == http.MethodPut || o.method == http.MethodPatch || o.method == http.MethodDelete
}

// guard lets through what may be carried out, with its body read, and notes what became of changes.
func (a *API) guard(op *operation) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		c := callOf(ctx.Context())
		c.operation, c.writer.ours = op.id, true
		r, _ := humago.Unwrap(ctx)
		if p := a.admit(op, c, r); p != nil {
			if c.principal != nil && op.change() {
				defer a.audit(op, c, r)
			}
			c.writer.problem(p)
			return
		}
		if op.change() {
			defer a.audit(op, c, r)
		}
		if op.method == http.MethodPost && r.Header.Get(idempotencyHeader) != "" {
			a.once(op, c, r, func() { next(ctx) })
			return
		}
		next(ctx)
	}
}

// admit gives the problem with a request, and nil if it may go on.
func (a *API) admit(op *operation, c *call, r *http.Request) *Problem {
	var err error
	if c.principal, err = a.identify(r); err != nil {
		a.metrics.refused.WithLabelValues(refusedKey).Inc()
		return unauthorized()
	}
	if wait, ok := a.limits.take(c.principal.id); !ok {
		a.metrics.refused.WithLabelValues(refusedRate).Inc()
		return newProblem(wire.CodeRateLimited, "this key is over its rate").after(wait)
	}
	if app := r.PathValue("app"); app != "" {
		if _, there := a.opts.Apps.App(app); !there || !c.principal.sees(app) {
			return missing()
		}
		c.app, c.room = app, r.PathValue("room")
	}
	switch {
	case op.change() && !a.opts.Pages && ofPage(r):
		return newProblem(wire.CodeForbidden, "the pages of this gateway may only look: see api.console.writes")
	case op.operator && !c.principal.all:
		return newProblem(wire.CodeForbidden, "this is for keys of the operator that are for all apps")
	case c.principal.can < op.need:
		return newProblem(wire.CodeForbidden, "this needs a key that can "+op.need.String())
	}
	return a.readBody(op, c, r)
}

// ofPage tells whether a page of this API's own origin has a browser send a request: others' were refused before. Without TLS, elsewhere
// than on the loopback interface, browsers say it with Origin alone.
func ofPage(r *http.Request) bool {
	site := r.Header.Get("Sec-Fetch-Site")
	return site == "same-origin" || site == "" && r.Header.Get("Origin") != ""
}

// readBody reads the whole body, within its limits, and puts it back.
func (a *API) readBody(op *operation, c *call, r *http.Request) *Problem {
	control := http.NewResponseController(c.writer.ResponseWriter)
	_ = control.SetReadDeadline(time.Now().Add(a.opts.BodyTimeout)) // a recorder of tests has none
	body, err := io.ReadAll(http.MaxBytesReader(c.writer.ResponseWriter, r.Body, int64(a.opts.BodyBytes)))
	_ = control.SetReadDeadline(time.Time{})
	timeout, ok := errors.AsType[net.Error](err)
	switch {
	case err == nil:
	case errors.As(err, new(*http.MaxBytesError)):
		return newProblem(wire.CodeTooLarge, "the body has more than "+strconv.Itoa(a.opts.BodyBytes)+" bytes")
	case ok && timeout.Timeout(), errors.Is(err, os.ErrDeadlineExceeded):
		return newProblem(CodeTimeout, "the body did not come in time")
	default:
		return newProblem(wire.CodeBadRequest, "the body cannot be read")
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	c.body = body
	if len(body) == 0 {
		return nil
	}
	if !op.hasBody() {
		return newProblem(wire.CodeBadRequest, "this takes no body")
	}
	types := r.Header["Content-Type"]
	if len(types) == 0 {
		return nil // JSON, as there is nothing else
	}
	if kind, _, err := mime.ParseMediaType(types[0]); err != nil || len(types) > 1 || kind != jsonType {
		return newProblem(CodeUnsupportedMediaType, "send the body as Content-Type: application/json")
	}
	return nil
}

// jsonType is the media type of bodies.
const jsonType = "application/json"
