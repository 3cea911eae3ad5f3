package session_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/internal/memnet"
	"github.com/signalbox-rtc/signalbox/pkg/session"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// backend is that of the app "hooked". It lets token-u in as u, into all rooms but those named no-..., and hangs about slow-...
type backend struct {
	mu    sync.Mutex
	asked []string // guarded by mu
}

// hooked runs the app's backend for a gateway.
func (g *gateway) hooked(t *testing.T) *backend {
	t.Helper()
	b, network := new(backend), new(memnet.Network)
	listener, err := network.Listen("127.0.0.1:80")
	require.NoError(t, err)
	server := &http.Server{Handler: b}
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(listener) })
	g.backend = network.DialContext
	t.Cleanup(func() {
		_ = server.Close()
		serving.Wait()
	})
	return b
}

func (b *backend) questions() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.asked)
}

func (b *backend) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var question struct {
		Type string
		Data struct{ App, Token, User, Room, Session, Remote, Transport string }
	}
	_ = json.NewDecoder(r.Body).Decode(&question)
	data := question.Data
	b.mu.Lock()
	b.asked = append(b.asked, question.Type+" "+data.Token+data.Room)
	b.mu.Unlock()
	switch {
	case len(data.Room) > 5 && data.Room[:5] == "slow-":
		<-r.Context().Done()
	case question.Type == "auth.connect" && data.Token == "token-u" && data.Remote != "" && data.Transport == "test":
		_, _ = w.Write([]byte(`{"allow":true,"user":"u","rooms":[{"room":"*"}]}`))
	case question.Type == "auth.join" && data.User == "u" && data.Session != "" && data.Room[:3] != "no-":
		_, _ = w.Write([]byte(`{"allow":true}`))
	default:
		_, _ = w.Write([]byte(`{"allow":false,"reason":"not you"}`))
	}
}

// An app's backend says who its clients are, and which rooms they may join; one that hangs holds up who asks, and nobody else.
func TestBackendAuthorises(t *testing.T) {
	inBubble(t, session.Options{}, func(t *testing.T, g *gateway) {
		b := g.hooked(t)
		stranger := g.connect()
		require.Contains(t, stranger.refused(`{"id":1,"type":"hello","app":"hooked","token":"x"}`, wire.CodeUnauthorized).Err.Message, "not you")
		stranger.requireClosed(wire.CloseUnauthorized)
		require.EqualValues(t, 1, g.metric("signalbox_hellos_total", "denied"))
		page := g.serve(newConn(), session.Client{Transport: "test", Origin: "https://evil.example"})
		page.refused(`{"id":1,"type":"hello","app":"hooked","token":"token-u"}`, wire.CodeUnauthorized)
		require.Len(t, b.questions(), 1, "it is not asked about a page of somebody else's")

		c, other, welcome := g.connect(), g.connect(), new(wire.Welcome)
		c.ok(`{"id":1,"type":"hello","app":"hooked","token":"token-u"}`, welcome)
		require.Equal(t, "u", welcome.User)
		other.ok(`{"id":1,"type":"hello","app":"hooked","token":"token-u"}`, new(wire.Welcome))
		c.ok(`{"id":2,"type":"join","room":"yes"}`, new(wire.Snapshot))
		c.refused(`{"id":3,"type":"join","room":"no-way"}`, wire.CodeForbidden)

		begun := time.Now()
		c.say(`{"id":4,"type":"join","room":"slow-1"}`)
		other.ok(`{"id":2,"type":"join","room":"yes"}`, new(wire.Snapshot))
		require.Zero(t, time.Since(begun).Round(10*time.Millisecond))
		require.IsType(t, new(wire.JoinedPeer), c.event().Body)
		reply := c.reply()
		require.Equal(t, wire.CodeUnavailable, reply.Err.Code)
		require.Positive(t, reply.Err.RetryAfter)
		require.Equal(t, 2*time.Second, time.Since(begun).Round(10*time.Millisecond))
		require.ElementsMatch(t, []string{
			"auth.connect x", "auth.connect token-u", "auth.connect token-u", "auth.join yes", "auth.join no-way", "auth.join slow-1", "auth.join yes",
		}, b.questions())
	})
}

// Who cannot be asked about is not let in, and comes again.
func TestBackendFailsClosed(t *testing.T) {
	inBubble(t, session.Options{}, func(t *testing.T, g *gateway) {
		g.backend = new(memnet.Network).DialContext // leads nowhere
		c := g.connect()
		reply := c.refused(`{"id":1,"type":"hello","app":"hooked","token":"token-u"}`, wire.CodeUnavailable)
		require.Positive(t, reply.Err.RetryAfter)
		c.requireClosed(wire.CloseMoved)
		require.EqualValues(t, 1, g.metric("signalbox_hellos_total", "no_answer"))
	})
}
