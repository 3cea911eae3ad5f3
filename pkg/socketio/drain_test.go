package socketio_test

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/socketio"
)

// A server that retires takes no new session, while those that are there go on until each is told to move. A session on
// polling is served to its end.
func TestRetire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, socketio.Options{})
		polling := s.poll("4", "")
		ws, _ := s.open("4", "")
		require.Equal(t, 2, s.server.Count())
		require.False(t, s.server.Full())

		present, empty := s.server.Retire()
		require.Len(t, present, 2)
		require.True(t, s.server.Full())
		answer := s.must(request{query: "EIO=4&transport=polling"})
		require.Equal(t, http.StatusServiceUnavailable, answer.status)
		polling.post("4still here")
		require.Equal(t, []string{"4still here"}, polling.get())
		upgraded := polling.upgrade()
		upgraded.send("4on a WebSocket now")
		upgraded.expect("4on a WebSocket now")

		for _, session := range present {
			if session.ID() == polling.sid {
				require.True(t, session.Move())
				require.False(t, session.Move())
			}
		}
		require.Equal(t, websocket.CloseGoingAway, upgraded.readClose())
		synctest.Wait()
		require.Equal(t, 1, s.server.Count())
		select {
		case <-empty:
			require.Fail(t, "one is left")
		default:
		}
		ws.send("4me, too")
		ws.expect("4me, too")
		for _, session := range present {
			session.Move()
		}
		require.Equal(t, websocket.CloseGoingAway, ws.readClose())
		<-empty
		require.Zero(t, s.server.Count())
		s.end()
	})
}

func TestRetireWithoutSessions(t *testing.T) {
	s := serve(t, socketio.Options{})
	present, empty := s.server.Retire()
	require.Empty(t, present)
	<-empty
	_, response, err := s.tryDial("4", "", nil)
	require.Error(t, err)
	require.Equal(t, http.StatusBadRequest, response.StatusCode)
}

// A refusal for the time being says when to come back, by polling and in place of a WebSocket.
func TestRefusalForTheTimeBeing(t *testing.T) {
	reg := prometheus.NewRegistry()
	s := serve(t, socketio.Options{Registerer: reg, Admit: func(*http.Request) error {
		return &socketio.Refusal{Message: "come back", RetryAfter: 2100 * time.Millisecond}
	}})
	answer := s.must(request{query: "EIO=4&transport=polling"})
	require.Equal(t, http.StatusServiceUnavailable, answer.status)
	require.JSONEq(t, `{"code":4,"message":"come back"}`, answer.body)
	require.Equal(t, "3", answer.header.Get("Retry-After"))
	_, response, err := s.tryDial("4", "", nil)
	require.Error(t, err)
	require.Equal(t, http.StatusServiceUnavailable, response.StatusCode)
	require.Equal(t, "3", response.Header.Get("Retry-After"))
	require.Equal(t, 1, testutil.CollectAndCount(reg, "signalbox_socketio_requests_refused_total"))
}
