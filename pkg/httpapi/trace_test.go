package httpapi_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/signalbox-rtc/signalbox/pkg/httpapi"
)

// A request that is traced is a span with what was asked, where, and how it was answered.
func TestTraces(t *testing.T) {
	spans := tracetest.NewInMemoryExporter()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))
	s := start(t, func(o *httpapi.Options) {
		o.Tracer, o.Sample = provider.Tracer("test"), func() bool { return true }
	})
	s.ask(t, acmeKey, "GET", rooms+"/nowhere", "").problem(404, httpapi.CodeNotFound)
	s.ask(t, umbraKey, "GET", rooms+"/nowhere", "").problem(404, httpapi.CodeNotFound)
	require.Eventually(t, func() bool { return len(spans.GetSpans()) == 2 }, patience, tick) // it ends behind the answer
	for i, span := range spans.GetSpans() {
		require.Equal(t, "api get-room", span.Name)
		require.Contains(t, span.Attributes, attribute.Int("http.response.status_code", 404))
		if i == 0 {
			require.Contains(t, span.Attributes, attribute.String("signalbox.app", "acme"))
			require.Contains(t, span.Attributes, attribute.String("signalbox.room", "nowhere"))
		} else {
			require.NotContains(t, span.Attributes, attribute.String("signalbox.app", "acme"), "another one's app is not noted")
		}
	}
}
