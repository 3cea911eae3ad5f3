package session_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/session"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// event is a frame of about a size.
func event(number, size int) *wire.Frame {
	data := fmt.Sprintf(`"%d%s"`, number, strings.Repeat("x", size))
	return wire.EventFrame(int64(number), wire.AppendEventBody(nil, "r", &wire.Message{From: "p", Data: []byte(data)}))
}

// stuck gives a session whose writer is held with one frame.
func stuck(t *testing.T, g *gateway) *client {
	t.Helper()
	c, _ := g.enter()
	c.hold()
	c.send(event(0, 10))
	synctest.Wait()
	require.Equal(t, 1, c.waiting)
	return c
}

// Row 44: what is sent to a client that does not read would pile up, or block whoever sends.
func TestQueueOverflow(t *testing.T) {
	size := event(1, 1000).Size()
	for _, tc := range []struct {
		name string
		opts session.Options
		fits int
	}{
		{"ByMessages", session.Options{QueueMessages: 20}, 20},
		{"ByBytes", session.Options{QueueBytes: 10*size + size/2}, 10},
		{"ByBytesExactly", session.Options{QueueBytes: 10 * size}, 10},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inBothBubbles(t, tc.opts, func(t *testing.T, g *gateway) {
				c := stuck(t, g)
				other, _ := g.enter()
				begun := time.Now()
				for number := range tc.fits {
					c.send(event(1+number%9, 1000))
				}
				synctest.Wait()
				require.Zero(t, g.metric("signalbox_messages_dropped_total", "queue_full"))
				for range 100 {
					c.send(event(9, 1000))
				}
				require.Zero(t, time.Since(begun), "the sender did not wait")
				require.EqualValues(t, tc.fits+1, g.metric("signalbox_messages_dropped_total", "queue_full"))
				require.EqualValues(t, 99, g.metric("signalbox_messages_dropped_total", "ended"))
				other.ok(`{"id":2,"type":"ping"}`, new(wire.Pong))

				c.release()
				said := c.requireClosed(wire.CloseSlowReceiver)
				require.Equal(t, 2, said.after, "the welcome and the frame that was being written; the rest is in the room's log")
				require.EqualValues(t, 1, g.metric("signalbox_connections_closed_total", "server", "slow_receiver"))
			})
		})
	}
}

// A snapshot larger than the queue would close the session, and again each time the client came back for it.
func TestQueueTakesOneLargeFrame(t *testing.T) {
	inBothBubbles(t, session.Options{QueueBytes: 5000}, func(t *testing.T, g *gateway) {
		c, _ := g.enter()
		c.send(event(1, 50_000))
		synctest.Wait()
		require.EqualValues(t, 1, c.event().Seq)
		require.Zero(t, g.metric("signalbox_messages_dropped_total", "queue_full"))

		c.hold()
		c.send(event(2, 10))
		synctest.Wait()
		c.send(event(3, 50_000)) // nothing waits: it is taken
		c.send(event(4, 10))     // behind it there is no room
		c.release()
		c.requireClosed(wire.CloseSlowReceiver)
	})
}

// Frames keep their order, and what comes during a write is the next batch.
func TestQueueOrderAndBatches(t *testing.T) {
	inBothBubbles(t, session.Options{}, func(t *testing.T, g *gateway) {
		c := stuck(t, g)
		for number := range 100 {
			c.send(event(number+1, 10))
		}
		c.release()
		synctest.Wait()
		require.Equal(t, []int{1, 1, 100}, c.batches, "welcome, the held one, all that came meanwhile")
		for number := range 101 {
			require.EqualValues(t, number, c.event().Seq)
		}
		require.EqualValues(t, 101, g.metric("signalbox_messages_sent_total", "message"))
		require.EqualValues(t, 3, g.metric("signalbox_write_batch_messages"))
		bytes := 0
		for _, frame := range c.written {
			bytes += frame.Size()
		}
		require.EqualValues(t, bytes, g.metric("signalbox_sent_bytes_total"))
	})
}

// Many senders at once: each one's frames stay in order, and none is lost.
func TestQueueConcurrentSenders(t *testing.T) {
	g := onRedis(t, session.Options{QueueMessages: 10_000})
	c, _ := g.enter()
	const senders, each = 8, 500
	var sending sync.WaitGroup
	for sender := range senders {
		sending.Go(func() {
			for number := range each {
				c.send(event(sender*each+number, 5))
			}
		})
	}
	sending.Wait()
	var next [senders]int
	for range senders * each {
		seq := int(c.event().Seq)
		require.Equal(t, next[seq/each], seq%each)
		next[seq/each]++
	}
}

// What was answered before the end is still told.
func TestFarewellComesAfterQueuedFrames(t *testing.T) {
	inBothBubbles(t, session.Options{}, func(t *testing.T, g *gateway) {
		c := stuck(t, g)
		for number := range 5 {
			c.send(event(number+1, 10))
		}
		g.end()
		synctest.Wait()
		c.send(event(6, 10)) // too late
		require.True(t, c.open(), "the farewell waits for its turn")
		c.release()
		said := c.requireClosed(wire.CloseMoved)
		require.Equal(t, farewell{wire.CloseMoved, "the gateway is going away", 7}, said)
		require.Len(t, c.written, 7)
		require.Len(t, c.closed, 1)
		require.EqualValues(t, 1, g.metric("signalbox_messages_dropped_total", "ended"))
	})
}

// A session would write on behind a part of a frame, and wait for one more deadline a batch.
func TestFailedWrite(t *testing.T) {
	for _, tc := range []struct {
		name              string
		failure           error
		reason, initiator string
	}{
		{"Reset", errors.New("connection reset by peer"), "lost", "network"},
		{"Timeout", fmt.Errorf("write: %w", os.ErrDeadlineExceeded), "slow_receiver", "server"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inBothBubbles(t, session.Options{}, func(t *testing.T, g *gateway) {
				c := stuck(t, g)
				for number := range 4 {
					c.send(event(number+1, 10))
				}
				c.fail(tc.failure)
				synctest.Wait()
				<-c.served
				require.Len(t, c.written, 1, "nothing after the failed write")
				require.EqualValues(t, 5, g.metric("signalbox_messages_dropped_total", "write"))
				require.EqualValues(t, 1, g.metric("signalbox_connections_closed_total", tc.initiator, tc.reason))
			})
		})
	}
}

// The end of a session waits for its writer: afterwards nothing of it is left.
func TestServeAwaitsTheWriter(t *testing.T) {
	inBothBubbles(t, session.Options{}, func(t *testing.T, g *gateway) {
		c := stuck(t, g)
		c.send(event(1, 10))
		c.requests <- step{err: &ended{}}
		synctest.Wait()
		select {
		case <-c.served:
			require.Fail(t, "Serve has returned while a write was under way")
		default:
		}
		c.release()
		<-c.served
		require.EqualValues(t, 1, g.metric("signalbox_messages_dropped_total", "ended"), "the frame for nobody")
		require.Empty(t, c.closed, "the connection was gone already")
		c.send(event(2, 10)) // a late event meets a closed queue
		require.EqualValues(t, 2, g.metric("signalbox_messages_dropped_total", "ended"))
	})
}
