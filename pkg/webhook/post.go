package webhook

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/signalbox-rtc/signalbox/pkg/store"
	"github.com/signalbox-rtc/signalbox/pkg/webhook/standard"
)

const (
	// maxAnswer is how much of an answer's body is read, so that the connection can be used again; what it says does not matter.
	maxAnswer = 16 << 10
	// maxAnswerHeader bounds an answer's headers.
	maxAnswerHeader = 16 << 10
)

// The results of a post.
const (
	resultDelivered = "delivered"
	resultStatus    = "status"  // another status than 2xx
	resultTimeout   = "timeout" // no answer in time
	resultRefused   = "refused" // the address, or the scheme, is not allowed
	resultError     = "error"   // no connection, or it broke
	resultGone      = "gone"    // status 410: nothing is wanted any more
)

var results = []string{resultDelivered, resultStatus, resultTimeout, resultRefused, resultError, resultGone}

// answer is what became of a post.
type answer struct {
	result string
	// after is how long the endpoint asks to be let alone, 0 if it does not.
	after time.Duration
	err   error
}

// newClient makes the client for all posts. It follows no redirect and knows no proxy: both would be ways around the guard.
func newClient(guard *Guard, config *tls.Config) *http.Client {
	return &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialContext: guard.DialContext, TLSClientConfig: config, ForceAttemptHTTP2: true, TLSHandshakeTimeout: dialTimeout,
			MaxIdleConns: 256, MaxIdleConnsPerHost: 2, IdleConnTimeout: time.Minute, DisableCompression: true,
			MaxResponseHeaderBytes: maxAnswerHeader,
		},
	}
}

// post tells an endpoint of some events, once.
func (e *Engine) post(ctx context.Context, endpoint *Endpoint, entries []store.OutboxEntry) answer {
	ctx, cancel := context.WithTimeout(ctx, e.opts.Timeout)
	defer cancel()
	ctx, span := e.begin(ctx, entries)
	begin := time.Now()
	status, a := e.request(ctx, endpoint, entries)
	e.metrics.duration.Observe(time.Since(begin).Seconds())
	if span != nil {
		if status != 0 {
			span.SetAttributes(attribute.Int("http.response.status_code", status))
		}
		if a.result != resultDelivered {
			span.SetStatus(codes.Error, a.result)
		}
		span.End()
	}
	return a
}

// begin begins the span of a post, if it is to be traced.
func (e *Engine) begin(ctx context.Context, entries []store.OutboxEntry) (context.Context, trace.Span) {
	if e.opts.Tracer == nil || e.opts.Sample != nil && !e.opts.Sample() {
		return ctx, nil
	}
	return e.opts.Tracer.Start(ctx, "webhook", trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(
		attribute.String("signalbox.app", entries[0].Event.Room.App), attribute.Int("signalbox.events", len(entries))))
}

func (e *Engine) request(ctx context.Context, endpoint *Endpoint, entries []store.OutboxEntry) (status int, a answer) {
	id, body, err := encode(entries)
	if err != nil {
		return 0, answer{result: resultError, err: err}
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint.URL, bytes.NewReader(body))
	if err != nil {
		return 0, answer{result: resultRefused, err: err}
	}
	if request.URL.Scheme != "https" && !(e.opts.AllowHTTP && request.URL.Scheme == "http") {
		return 0, answer{result: resultRefused, err: errors.New("webhook: only https is allowed")}
	}
	now := time.Now()
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", "Signalbox")
	standard.Set(request.Header, endpoint.Keys, id, now, body)
	response, err := e.client.Do(request)
	if err != nil {
		return 0, answer{result: resultOf(ctx, err), err: err}
	}
	defer func() { _ = response.Body.Close() }()
	_, _ = io.CopyN(io.Discard, response.Body, maxAnswer)
	switch {
	case response.StatusCode >= 200 && response.StatusCode < 300:
		return response.StatusCode, answer{result: resultDelivered}
	case response.StatusCode == http.StatusGone:
		a.result = resultGone
	default:
		a = answer{result: resultStatus, after: min(retryAfter(response, now), e.opts.MaxRetry)}
	}
	a.err = errors.New("webhook: status " + strconv.Itoa(response.StatusCode))
	return response.StatusCode, a
}

func resultOf(ctx context.Context, err error) string {
	switch {
	case errors.Is(err, ErrRefused):
		return resultRefused
	case ctx.Err() != nil:
		return resultTimeout
	}
	return resultError
}

// retryAfter reads the header of that name, RFC 9110, section 10.2.3.
func retryAfter(response *http.Response, now time.Time) time.Duration {
	value := response.Header.Get("Retry-After")
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}
