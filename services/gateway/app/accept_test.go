package app_test

import (
	"net/http"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/client"
	"github.com/signalbox-rtc/signalbox/services/gateway/app"
)

// A herd is let in at the rate, whatever its transport, and told when to come back. Requests of sessions that are there
// already are no new clients.
func TestAcceptRate(t *testing.T) {
	inMemory(t, func(t *testing.T, w *world) {
		g := w.gateway(t, "busy", func(c *app.Config) {
			c.Limits.AcceptsPerSecond, c.Limits.AcceptsBurst = 5, 10
			c.SocketIO.ConnectTimeout = 10 * time.Minute
		})
		const polling = "http://busy:80/socket.io/?EIO=4&transport=polling"
		for _, reason := range []string{"draining", "connections", "rate"} {
			require.Zero(t, gathered(t, g, "signalbox_accepts_refused_total", reason), "there from the start")
		}
		response, hello := g.fetch(t, http.MethodGet, polling, nil)
		require.Equal(t, http.StatusOK, response.StatusCode)
		sid := hello[len(`0{"sid":"`):][:36]
		for i := range 9 {
			w.connect(t, g, "early-"+strconv.Itoa(i))
		}

		for i := range 20 {
			_, err := dial(t.Context(), g, "late-"+strconv.Itoa(i))
			var refusal *client.HandshakeError
			require.ErrorAs(t, err, &refusal)
			require.Equal(t, http.StatusServiceUnavailable, refusal.Status)
			require.GreaterOrEqual(t, refusal.RetryAfter, max(time.Second, time.Duration(i/5)*time.Second), "each five a second later")
			require.LessOrEqual(t, refusal.RetryAfter, time.Duration(i/5+2)*time.Second)
			require.True(t, client.Retryable(err))
		}
		response, body := g.fetch(t, http.MethodGet, polling, nil)
		require.Equal(t, http.StatusServiceUnavailable, response.StatusCode)
		require.JSONEq(t, `{"code":4,"message":"too many clients come at once"}`, body)
		seconds, err := strconv.Atoi(response.Header.Get("Retry-After"))
		require.NoError(t, err)
		require.InDelta(t, 5.5, seconds, 0.5)
		dialer := websocket.Dialer{NetDialContext: w.network.DialContext}
		_, response, err = dialer.DialContext(t.Context(), "ws://busy:80/socket.io/?EIO=4&transport=websocket", nil)
		require.Error(t, err)
		require.Equal(t, http.StatusServiceUnavailable, response.StatusCode)
		require.NotEmpty(t, response.Header.Get("Retry-After"))
		require.Equal(t, 22.0, gathered(t, g, "signalbox_accepts_refused_total", "rate"))

		ws, _, err := dialer.DialContext(t.Context(), "ws://busy:80/socket.io/?EIO=4&transport=websocket&sid="+sid, nil)
		require.NoError(t, err, "an upgrade of a session that is there")
		defer ws.Close()
		require.NoError(t, ws.WriteMessage(websocket.TextMessage, []byte("2probe")))
		_, packet, err := ws.ReadMessage()
		require.NoError(t, err)
		require.Equal(t, "3probe", string(packet))

		time.Sleep(time.Second)
		for i := range 5 {
			w.connect(t, g, "again-"+strconv.Itoa(i))
		}
		_, err = dial(t.Context(), g, "too many again")
		require.Error(t, err)
		synctest.Wait()
	})
}

// A gateway that is full says so in the same way.
func TestConnectionLimit(t *testing.T) {
	inMemory(t, func(t *testing.T, w *world) {
		g := w.gateway(t, "full", func(c *app.Config) { c.Limits.Connections, c.SocketIO.Sessions = 2, 1 })
		first := w.connect(t, g, "first")
		w.connect(t, g, "second")
		_, err := dial(t.Context(), g, "third")
		var refusal *client.HandshakeError
		require.ErrorAs(t, err, &refusal)
		require.Equal(t, http.StatusServiceUnavailable, refusal.Status)
		require.GreaterOrEqual(t, refusal.RetryAfter, time.Second)
		require.LessOrEqual(t, refusal.RetryAfter, 8*time.Second)
		const polling = "http://full:80/socket.io/?EIO=4&transport=polling"
		response, _ := g.fetch(t, http.MethodGet, polling, nil)
		require.Equal(t, http.StatusOK, response.StatusCode)
		response, body := g.fetch(t, http.MethodGet, polling, nil)
		require.Equal(t, http.StatusServiceUnavailable, response.StatusCode)
		require.JSONEq(t, `{"code":4,"message":"the gateway has all the connections that it takes"}`, body)
		require.NotEmpty(t, response.Header.Get("Retry-After"))
		require.Equal(t, 2.0, gathered(t, g, "signalbox_accepts_refused_total", "connections"))

		first.Close()
		synctest.Wait()
		w.connect(t, g, "third")
	})
}
