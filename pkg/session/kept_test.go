package session_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/session"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// What is asked about kept messages is timed as everything that Redis is asked. When it was not, the first answer ended the process.
func TestKeptMessagesAreAskedFor(t *testing.T) {
	inBubble(t, session.Options{}, func(t *testing.T, g *gateway) {
		c, _ := g.enter()
		c.ok(`{"id":2,"type":"join","room":"r"}`, new(wire.Snapshot))
		c.ok(`{"id":3,"type":"publish","room":"r","topic":"chat","keep":true,"data":"hello"}`, new(wire.Done))
		history := new(wire.History)
		c.ok(`{"id":4,"type":"history","room":"r","topic":"chat"}`, history)
		require.Len(t, history.Messages, 1)
		c.say(`{"id":5,"type":"undo","room":"r","topic":"chat"}`)
		c.next() // the event, which others get, too, and the reply, in the order in which they come
		c.next()
		require.EqualValues(t, 1, g.metric("signalbox_request_duration_seconds", "ok", "history"))
		require.EqualValues(t, 1, g.metric("signalbox_request_duration_seconds", "ok", "undo"))
	})
}
