package cluster_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
)

// BenchmarkSmallGet compares a poll that is answered at once: by the node that it came to, and by another one.
func BenchmarkSmallGet(b *testing.B) {
	answer := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=UTF-8")
		_, _ = io.WriteString(w, `42["message","room",{"candidate":"a line of some length"}]`)
	})
	get := func(b *testing.B, server *httptest.Server) {
		b.ReportAllocs()
		for b.Loop() {
			response, err := server.Client().Get(server.URL + "/socket.io/?EIO=4&transport=polling&sid=x")
			require.NoError(b, err)
			_, err = io.Copy(io.Discard, response.Body)
			require.NoError(b, err)
			require.NoError(b, response.Body.Close())
		}
	}
	b.Run("direct", func(b *testing.B) {
		server := httptest.NewServer(answer)
		defer server.Close()
		get(b, server)
	})
	b.Run("forwarded", func(b *testing.B) {
		_, _, public := mustPair(b, answer)
		get(b, public)
	})
}

// BenchmarkHandshake is the first request to a node, and that of each poll for which no connection is idle.
func BenchmarkHandshake(b *testing.B) {
	answer := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Connection", "close") })
	_, _, public := mustPair(b, answer)
	for b.Loop() {
		response, err := public.Client().Get(public.URL)
		require.NoError(b, err)
		require.Equal(b, http.StatusOK, response.StatusCode)
		require.NoError(b, response.Body.Close())
	}
}
