package client_test

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/client"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// moving is a client in a room whose gateway has told it to go away in 5 s.
type moving struct {
	g       *gateway
	c       *client.Client
	old     *peer
	seen    states
	got     *recorder
	resumed chan *wire.Welcome
	told    time.Time
}

func newMoving(t *testing.T) *moving {
	m := &moving{g: newMemGateway(t), got: new(recorder), resumed: make(chan *wire.Welcome, 8)}
	opts, seen := returning(m.g)
	opts.OnEvent = m.got.add
	opts.OnResumed = func(w *wire.Welcome) { m.resumed <- w }
	m.seen = seen
	m.c, m.old = m.g.dialResumable(opts)
	require.Equal(t, client.StateConnected, <-seen)
	joined(m.c, m.old, wire.Join{Room: "lobby"})
	m.told = time.Now()
	m.old.event(0, "", &wire.GoAway{RetryAfter: 5000, Deadline: 20000})
	m.old.event(0, "", &wire.GoAway{RetryAfter: 5000, Deadline: 20000}) // once more changes nothing
	return m
}

// the next connection takes the session over while the old one still serves it: nobody is away for a moment.
func TestGoAwayMovesBeforeItBreaks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMoving(t)
		answered, waiting := launch(m.c, publish("a")), launch(m.c, publish("b"))
		a, b := m.old.read(), m.old.read()
		fresh := m.g.accept()
		require.Equal(t, 5*time.Second, fresh.at.Sub(m.told))
		id, hello := readAs[*wire.Hello](fresh)
		require.Equal(t, &wire.Hello{
			Resume: "token-1", Attempt: 2, Client: "client-go", Rooms: map[string]wire.Position{"lobby": {Epoch: "9f2c", Seq: 1}},
		}, hello)

		m.old.message(2, "on the old one")
		m.old.answer(a, &wire.Done{Seq: 3})
		require.NoError(t, next(t, answered).err)
		fresh.answer(wire.Request{ID: id}, resumedWelcome("token-2", replayed("lobby")))
		fresh.message(2, "on the old one") // that it was heard was not known to the gateway
		fresh.message(4, "on the new one")
		again, _ := readAs[*wire.Publish](fresh)
		require.Equal(t, b.ID, again)
		fresh.answer(b, &wire.Done{Seq: 5})
		require.NoError(t, next(t, waiting).err)
		pinged(t, m.c, fresh)
		require.Equal(t, []string{"goaway 0", "goaway 0", `message 2 "on the old one"`, `message 4 "on the new one"`}, m.got.brief())
		require.Zero(t, m.old.readUntilEnd())
		require.Equal(t, "token-2", (<-m.resumed).Resume)
		require.Empty(t, m.seen, "the client was connected all the time")
		require.Empty(t, m.g.accepted)
	})
}

// The old gateway says that the session is taken over before the new one's answer arrives: it was the client itself.
func TestGoAwayIsTakenOverByItself(t *testing.T) {
	for name, lose := range map[string]func(*peer){
		"TakenOver": func(p *peer) { p.close(wire.CloseTakenOver, "") },
		"Moved":     func(p *peer) { p.close(wire.CloseMoved, "") },
		"Cut":       (*peer).cut,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMoving(t)
				fresh := m.g.accept()
				request := fresh.read()
				lose(m.old)
				waiting := start(func() error {
					_, err := m.c.Ping(t.Context())
					return err
				})
				synctest.Wait()
				fresh.answer(request, resumedWelcome("token-2", replayed("lobby")))
				id, _ := readAs[*wire.Ping](fresh)
				fresh.answer(wire.Request{ID: id}, &wire.Pong{Time: 1})
				require.NoError(t, next(t, waiting))
				require.Len(t, m.resumed, 1)
				require.Empty(t, m.seen)
			})
		})
	}
}

// When the next connection cannot be opened, the old one is closed, and the client comes back as after a loss.
func TestGoAwayFallsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMoving(t)
		waiting := launch(m.c, publish("a"))
		request := m.old.read()
		m.g.refuse(func(w http.ResponseWriter, _ *http.Request) bool {
			m.g.refuse(nil) // once
			w.Header().Set("Retry-After", "2")
			w.WriteHeader(http.StatusServiceUnavailable)
			return true
		})
		require.Equal(t, wire.CloseGoingAway, m.old.readUntilEnd())
		require.Equal(t, 5*time.Second, time.Since(m.told))
		fresh, _ := m.g.resume("token-1", 3, resumedWelcome("token-2", replayed("lobby")))
		require.Equal(t, 7*time.Second, fresh.at.Sub(m.told))
		fresh.answer(fresh.read(), &wire.Done{Seq: 2})
		require.NoError(t, next(t, waiting).err)
		require.NotZero(t, request.ID)
		require.Equal(t, client.StateReconnecting, <-m.seen)
		require.Equal(t, client.StateConnected, <-m.seen)
	})
}

// Where the next gateway does not know the session, a new one begins there, and the old one's seats are given up.
func TestGoAwayToANewSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMoving(t)
		lost := launch(m.c, publish("a"))
		m.old.read()
		fresh := m.g.accept()
		fresh.refuse(fresh.read().ID, wire.Errorf(wire.CodeResumeRefused, "unknown"))
		id, hello := readAs[*wire.Hello](fresh)
		require.Equal(t, "demo", hello.App)
		fresh.answer(wire.Request{ID: id}, resumableWelcome("token-a"))
		require.Equal(t, wire.CloseCode(1000), m.old.readUntilEnd())
		id, join := readAs[*wire.Join](fresh)
		require.Equal(t, "lobby", join.Room)
		fresh.answer(wire.Request{ID: id}, snapshot("lobby", 9))
		require.ErrorAs(t, next(t, lost).err, new(*client.LostError))
		pinged(t, m.c, fresh)
		require.Equal(t, []string{"goaway 0", "goaway 0", "resync 9"}, m.got.brief())
		require.Empty(t, m.resumed)
		require.Equal(t, client.StateConnected, <-m.seen, "whose session it is now must be looked at again")
	})
}

func TestCloseDuringTheMove(t *testing.T) {
	for name, arrive := range map[string]bool{"BeforeTheAnswer": false, "AfterTheAnswer": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMoving(t)
				fresh := m.g.accept()
				request := fresh.read()
				code := make(chan wire.CloseCode, 1)
				go func() { code <- m.old.readUntilEnd() }()
				if arrive {
					fresh.answer(request, resumedWelcome("token-2", replayed("lobby")))
					synctest.Wait()
					go func() { code <- fresh.readUntilEnd() }()
				}
				began := time.Now()
				m.c.Close()
				require.Zero(t, time.Since(began))
				require.Equal(t, client.ErrClosed, m.c.Err())
				if arrive {
					require.Zero(t, <-code, "of the old one")
				}
				require.Equal(t, wire.CloseCode(1000), <-code)
			})
		})
	}
}
