package session_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/session"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// promptConn is a conn that can be written to without waiting, unless it is held.
type promptConn struct {
	*conn
	left []*wire.Frame // owned by the writer
}

var _ session.Prompter = (*promptConn)(nil)

// Prompt implements session.Prompter.
func (c *promptConn) Prompt() bool { return true }

// WriteNow implements session.Prompter.
func (c *promptConn) WriteNow(frames []*wire.Frame) (bool, error) {
	c.mu.Lock()
	held := c.held
	c.mu.Unlock()
	if held {
		c.left = frames
		return false, nil
	}
	return true, c.conn.Write(frames)
}

// Write implements session.Conn.
func (c *promptConn) Write(frames []*wire.Frame) error {
	if frames == nil {
		frames, c.left = c.left, nil
	}
	return c.conn.Write(frames)
}

// inBothBubbles tests a gateway whose connections have to be waited for, and one with others.
func inBothBubbles(t *testing.T, opts session.Options, test func(t *testing.T, g *gateway)) {
	t.Helper()
	for name, prompt := range map[string]bool{"Waiting": false, "Prompt": true} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, opts, func(t *testing.T, g *gateway) {
				g.prompt = prompt
				test(t, g)
			})
		})
	}
}

// Many sessions share few writers: one whose client does not read would hold up the others.
func TestSlowReceiverHoldsUpNobody(t *testing.T) {
	inBubble(t, session.Options{}, func(t *testing.T, g *gateway) {
		g.prompt = true
		var slow, sound []*client
		for range 40 {
			slow = append(slow, stuck(t, g))
			c, _ := g.enter()
			sound = append(sound, c)
		}
		begun := time.Now()
		for number := range 3 {
			for i := range slow {
				slow[i].send(event(number+1, 10))
				sound[i].send(event(number+1, 10))
			}
			synctest.Wait()
			for _, c := range sound {
				require.EqualValues(t, number+1, c.event().Seq)
			}
		}
		require.Zero(t, time.Since(begun))
		for _, c := range slow {
			c.release()
			for number := range 4 {
				require.EqualValues(t, number, c.event().Seq)
			}
		}
	})
}

// Each session's frames stay in order and none is lost, however the writers share them.
func TestWritersUnderLoad(t *testing.T) {
	g := onRedis(t, session.Options{QueueMessages: 10_000})
	g.prompt = true
	const sessions, each = 64, 200
	clients := make([]*client, sessions)
	for i := range clients {
		clients[i], _ = g.enter()
	}
	var sending sync.WaitGroup
	for range 4 {
		sending.Go(func() {
			for range each {
				for _, c := range clients {
					c.send(event(1, 5))
				}
			}
		})
	}
	sending.Go(func() {
		for number := range each {
			c := clients[number%sessions]
			c.hold()
			c.send(event(2, 5))
			c.release()
		}
	})
	sending.Wait()
	for i, c := range clients {
		held := each/sessions + min(1, max(0, each%sessions-i))
		c.until(t, func() bool { return len(c.written) == 1+4*each+held }) // the welcome first
	}
}
