package session_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/session"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// Sessions that are there when the gateway retires are moved one by one; each can be told beforehand.
func TestRetire(t *testing.T) {
	inBubble(t, session.Options{}, func(t *testing.T, g *gateway) {
		ada, _ := g.enter()
		bob, _ := g.enter()
		silent := g.connect() // has not said hello: there is nothing that it would lose
		synctest.Wait()
		require.Equal(t, 3, g.sessions.Count())

		present, empty := g.sessions.Retire()
		require.Len(t, present, 3)
		for _, s := range present {
			s.GoAway(1500*time.Millisecond, 4*time.Second)
		}
		for _, c := range []*client{ada, bob} {
			require.Equal(t, &wire.GoAway{RetryAfter: 1500, Deadline: 4000}, c.event().Body)
			c.ok(`{"id":2,"type":"join","room":"r"}`, new(wire.Snapshot)) // it is served until it goes
			require.True(t, c.open())
			if c == ada {
				ada.lose()
			}
		}
		require.Zero(t, silent.requireClosed(wire.CloseMoved).after, "no goaway before a welcome")
		require.Equal(t, 1, g.sessions.Count())
		select {
		case <-empty:
			require.Fail(t, "bob is still there")
		default:
		}

		moved := 0
		for _, s := range present {
			if s.Move() {
				moved++
			}
		}
		require.Equal(t, 1, moved, "the others had gone")
		<-empty
		bob.requireClosed(wire.CloseMoved)
		require.Zero(t, g.sessions.Count())
	})
}

// A handshake that was under way when the gateway retired would keep its session there to the deadline.
func TestRetiredTakesNobody(t *testing.T) {
	inBubble(t, session.Options{}, func(t *testing.T, g *gateway) {
		present, empty := g.sessions.Retire()
		require.Empty(t, present)
		<-empty // nobody is waited for
		g.connect().requireClosed(wire.CloseMoved)
		require.Zero(t, g.sessions.Count())
	})
}
