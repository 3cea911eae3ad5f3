package app_test

import (
	"compress/gzip"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/signalbox-rtc/signalbox/pkg/client"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
	"github.com/signalbox-rtc/signalbox/services/gateway/app"
)

// span is one that a receiver got, with what its process says of itself.
type span struct {
	*otlp.Span
	resource map[string]string
}

func (s span) attributes() map[string]string { return attributes(s.Attributes) }

func attributes(pairs []*common.KeyValue) map[string]string {
	values := make(map[string]string)
	for _, pair := range pairs {
		values[pair.Key] = pair.Value.GetStringValue()
	}
	return values
}

// receiver is an OTLP receiver over HTTP (https://opentelemetry.io/docs/specs/otlp/#otlphttp).
type receiver struct {
	*httptest.Server

	mu    sync.Mutex
	spans []span
	keys  []string // what requests had as their header api-key
}

func newReceiver(tb testing.TB) *receiver {
	r := new(receiver)
	r.Server = httptest.NewServer(http.HandlerFunc(r.take))
	tb.Cleanup(r.Close)
	return r
}

func (r *receiver) take(w http.ResponseWriter, request *http.Request) {
	body := io.Reader(request.Body)
	if request.Header.Get("Content-Encoding") == "gzip" {
		unpacked, err := gzip.NewReader(body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		body = unpacked
	}
	packed, err := io.ReadAll(body)
	var export collector.ExportTraceServiceRequest
	if err == nil {
		err = proto.Unmarshal(packed, &export)
	}
	if err != nil || request.URL.Path != "/v1/traces" || request.Header.Get("Content-Type") != "application/x-protobuf" {
		http.Error(w, fmt.Sprint("not an export of traces: ", err), http.StatusBadRequest)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.keys = append(r.keys, request.Header.Get("api-key"))
	for _, resource := range export.ResourceSpans {
		about := attributes(resource.Resource.Attributes)
		for _, scope := range resource.ScopeSpans {
			for _, s := range scope.Spans {
				r.spans = append(r.spans, span{s, about})
			}
		}
	}
	answer, _ := proto.Marshal(new(collector.ExportTraceServiceResponse))
	w.Header().Set("Content-Type", "application/x-protobuf")
	_, _ = w.Write(answer)
}

// all gives the spans of a trace, or of all traces but that for "".
func (r *receiver) all(trace string) (spans []span) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.spans {
		if trace == "" || hex.EncodeToString(s.TraceId) == trace {
			spans = append(spans, s)
		}
	}
	return spans
}

// only gives the span of a name among the children of another one.
func only(t *testing.T, spans []span, name string, parent []byte) span {
	t.Helper()
	var found []span
	for _, s := range spans {
		if s.Name == name && string(s.ParentSpanId) == string(parent) {
			found = append(found, s)
		}
	}
	require.Len(t, found, 1, "%s below %x in %s", name, parent, tree(spans))
	return found[0]
}

// tree shows spans for people.
func tree(spans []span) string {
	var text strings.Builder
	for _, s := range spans {
		fmt.Fprintf(&text, "\n  %x below %x: %s of %s", s.SpanId, s.ParentSpanId, s.Name, s.resource["signalbox.node"])
	}
	return text.String()
}

const (
	clientTrace = "0af7651916cd43dd8448eb211c80319c"
	clientSpan  = "b7ad6b7169203331"
)

// traced has a client come with a place in a sampled trace.
func traced(opts *client.Options) {
	opts.Header = http.Header{"Traceparent": {"00-" + clientTrace + "-" + clientSpan + "-01"}}
}

func traceAll(receiver *receiver) func(*app.Config) {
	return func(c *app.Config) {
		c.Tracing.Endpoint, c.Tracing.OneIn, c.Tracing.Headers = receiver.URL, 1, "api-key=k,other=x"
	}
}

// One trace from the client's connect over its request, the script and the publish to the delivery on the other gateway.
func TestTraceAcrossGateways(t *testing.T) {
	onBoth(t, func(t *testing.T, redis backend) {
		receiver := newReceiver(t)
		gateways := startGateways(t, 2, redis, traceAll(receiver), func(c *app.Config) { c.Tracing.TrustParents = true })
		ada, bob := connect(t, gateways[0], "Ada", traced), connect(t, gateways[1], "Bob")
		ada.mustJoin(t, "hall")
		bob.mustJoin(t, "hall")
		const secret = "a=candidate:1 1 UDP 192.0.2.7"
		_, err := ada.Signal(t.Context(), wire.Signal{Room: "hall", To: bob.id(), Data: []byte(`{"sdp":"` + secret + `"}`)})
		require.NoError(t, err)
		bob.await(t, wire.TypeSignal)
		until(t, func() bool { return gateways[1].sampled(t, "signalbox_relay_latency_seconds") > 0 }, "the latency is measured")
		require.Positive(t, gateways[1].sampled(t, "signalbox_inbox_lag_seconds"))
		page := gateways[1].openMetrics(t)
		require.Regexp(t, `signalbox_relay_latency_seconds_bucket\{.*# \{trace_id="`+clientTrace+`"\}`, page, "an exemplar")
		require.Regexp(t, `signalbox_request_duration_seconds_bucket\{.*type="signal".*# \{trace_id="`+clientTrace+`"\}`, gateways[0].openMetrics(t))
		_, err = ada.Signal(t.Context(), wire.Signal{Room: "hall", To: "nobody", Data: []byte(`{}`)})
		require.Equal(t, wire.CodePeerGone, code(err))
		session, other := ada.id(), bob.id()
		ada.Close()
		bob.Close()
		for _, g := range gateways {
			require.NoError(t, g.end()) // and exports what waits
		}

		spans := receiver.all(clientTrace)
		remote, _ := hex.DecodeString(clientSpan)
		connected := only(t, spans, "connect", remote)
		require.Equal(t, otlp.Span_SPAN_KIND_SERVER, connected.Kind)
		require.Equal(t, session, connected.attributes()["signalbox.session"])
		only(t, spans, "EVALSHA join", only(t, spans, "request join", connected.SpanId).SpanId)

		var asked, refused span
		for _, s := range spans {
			if s.Name == "request signal" && s.attributes()["error.type"] == "" {
				asked = s
			} else if s.Name == "request signal" {
				refused = s
			}
		}
		require.Equal(t, connected.SpanId, asked.ParentSpanId, tree(spans))
		require.Equal(t, "hall", asked.attributes()["signalbox.room"])
		require.Equal(t, "demo", asked.attributes()["signalbox.app"])
		require.Equal(t, "peer_gone", refused.attributes()["error.type"])
		require.NotEqual(t, otlp.Status_STATUS_CODE_ERROR, refused.GetStatus().GetCode(), "it is the client's doing")

		script := only(t, spans, "EVALSHA send", asked.SpanId)
		require.Equal(t, otlp.Span_SPAN_KIND_CLIENT, script.Kind)
		require.Equal(t, "redis", script.attributes()["db.system.name"])
		require.Equal(t, "send", script.attributes()["db.stored_procedure.name"])
		published := only(t, spans, "publish signal", script.SpanId)
		require.Equal(t, otlp.Span_SPAN_KIND_PRODUCER, published.Kind)
		require.Equal(t, "gateway-1", published.resource["signalbox.node"])
		delivered := only(t, spans, "deliver signal", published.SpanId)
		require.Equal(t, otlp.Span_SPAN_KIND_CONSUMER, delivered.Kind)
		require.Equal(t, "gateway-2", delivered.resource["signalbox.node"])
		require.Equal(t, "signalbox-gateway", delivered.resource["service.name"])
		require.Equal(t, other, delivered.attributes()["signalbox.session"])
		require.Less(t, published.StartTimeUnixNano, delivered.EndTimeUnixNano, "one machine has one clock")
		require.LessOrEqual(t, script.StartTimeUnixNano, published.StartTimeUnixNano)

		for _, s := range receiver.all("") {
			require.NotContains(t, s.String(), "192.0.2.7", "what peers tell each other is nobody else's business")
		}
		require.Equal(t, []string{"k"}, slices.Compact(receiver.keys))
		require.Contains(t, gateways[0].log.String(), `"trace_id":"`+clientTrace+`"`, "the log names the trace")
	})
}

// A client from anywhere does not decide what is traced.
func TestTraceOfStrangers(t *testing.T) {
	receiver := newReceiver(t)
	gateways := startGateways(t, 1, singleRedis(t), traceAll(receiver))
	ada := connect(t, gateways[0], "Ada", traced)
	ada.mustJoin(t, "hall")
	ada.Close()
	require.NoError(t, gateways[0].end())
	require.Empty(t, receiver.all(clientTrace))
	connected := only(t, receiver.all(""), "connect", nil)
	require.Len(t, connected.Links, 1)
	require.Equal(t, clientTrace, hex.EncodeToString(connected.Links[0].TraceId))
	joined := only(t, receiver.all(""), "request join", nil)
	require.NotEqual(t, connected.TraceId, joined.TraceId, "a session may last for days: each request is a trace")
	require.Len(t, joined.Links, 1)
	require.Equal(t, connected.SpanId, joined.Links[0].SpanId)
	only(t, receiver.all(hex.EncodeToString(joined.TraceId)), "EVALSHA join", joined.SpanId)
	require.Regexp(t, `"msg":"seat taken".*"trace_id":"`+hex.EncodeToString(joined.TraceId)+`"`, gateways[0].log.String(), "the line of a request names its trace")
	require.Regexp(t, `"msg":"session opened".*"trace_id":"`+hex.EncodeToString(connected.TraceId)+`"`, gateways[0].log.String())
}

// A resume, a refused hello, and a client that goes without one.
func TestTraceOfConnects(t *testing.T) {
	receiver := newReceiver(t)
	gateways := startGateways(t, 1, singleRedis(t), traceAll(receiver), func(c *app.Config) { c.Tracing.TrustParents = true })
	ada := connect(t, gateways[0], "Ada", func(opts *client.Options) { opts.Reconnect = true }, func(opts *client.Options) {
		opts.Backoff = client.Backoff{}
	})
	ada.mustJoin(t, "hall")
	_, err := dial(t.Context(), gateways[0], "nobody", anonymousOf("no-such-app"), traced)
	require.Equal(t, wire.CodeUnauthorized, code(err))
	silent, _, err := narrow.DialContext(t.Context(), "ws://"+gateways[0].PublicAddr().String()+"/v1/connect", nil)
	require.NoError(t, err)
	require.NoError(t, silent.Close())
	ada.Close()
	until(t, func() bool { return gateways[0].counted(t, "signalbox_connections_closed_total") == 3 }, "all have gone")
	require.NoError(t, gateways[0].end())
	remote, _ := hex.DecodeString(clientSpan)
	refused := only(t, receiver.all(clientTrace), "connect", remote)
	require.Equal(t, "unauthorized", refused.attributes()["error.type"])
	var ends []string
	for _, s := range receiver.all("") {
		if s.Name == "connect" {
			ends = append(ends, s.attributes()["error.type"])
		}
	}
	slices.Sort(ends)
	require.Equal(t, []string{"", "lost", "unauthorized"}, ends)
}

// Of many requests few are traced, and none without a receiver.
func TestTracesAreSampled(t *testing.T) {
	receiver := newReceiver(t)
	gateways := startGateways(t, 1, singleRedis(t), traceAll(receiver), func(c *app.Config) { c.Tracing.OneIn = 1_000_000_000 })
	ada := connect(t, gateways[0], "Ada")
	ada.mustJoin(t, "hall")
	ada.Close()
	require.NoError(t, gateways[0].end())
	require.Empty(t, receiver.all(""), "one in a billion")
}

// Socket.io clients' connects, requests and deliveries are traced as well.
func TestTraceOfSocketIO(t *testing.T) {
	receiver := newReceiver(t)
	gateways := startGateways(t, 2, singleRedis(t), traceAll(receiver))
	ada, bob := openPoller(t, "/", gateways[0]), openPoller(t, "/", gateways[1])
	for _, p := range []*poller{ada, bob} {
		p.emit(`2["join","hall"]`)
		p.await("42")
	}
	ada.await(`42["otherjoin"`) // her gateway knows to whom the message goes
	ada.emit(`2["message","hall",{"type":"offer"}]`)
	bob.await(`42["message"`)
	for _, g := range gateways {
		require.NoError(t, g.end())
	}
	spans := receiver.all("")
	require.Equal(t, "socketio", only(t, slices.DeleteFunc(slices.Clone(spans), func(s span) bool { return s.resource["signalbox.node"] != "gateway-2" }), "connect", nil).attributes()["signalbox.transport"])
	published := only(t, spans, "publish signal", only(t, spans, "EVALSHA send", only(t, spans, "request signal", nil).SpanId).SpanId)
	require.Equal(t, "gateway-2", only(t, spans, "deliver signal", published.SpanId).resource["signalbox.node"])
}

// openMetrics fetches the metrics in the form that has exemplars.
func (g *gateway) openMetrics(tb testing.TB) string {
	_, page := g.fetch(tb, http.MethodGet, "http://"+g.OperationsAddr().String()+"/metrics", http.Header{"Accept": {"application/openmetrics-text; version=1.0.0"}})
	return page
}

// sampled is how many observations a histogram has.
func (g *gateway) sampled(t *testing.T, name string) float64 {
	_, page := g.get(t, "/metrics")
	return metric(t, page, name+"_count")
}
