package session

import (
	"errors"
	"os"
	"sync"

	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// queue holds what waits to be written to one connection. It is flushed only while there is something to write, and by one
// at a time, which takes all that waits and hands it to the transport in one call: one of the server's writers, or a goroutine
// of its own where the transport has to be waited for. There is never a delay to collect more: what comes while a write is
// under way makes the next batch.
type queue struct {
	// immutable
	conn     Conn
	prompter Prompter // the same, nil if it has to be waited for
	server   *Server
	core     *core
	overflow func() // called once, outside of mu, when a bound is passed

	flushers sync.WaitGroup
	behind   *queue // whose turn it is after this one; guarded by the writers' mu

	mu       sync.Mutex
	waiting  *batch // nil when there is nothing
	bytes    int
	flushing bool
	end      *farewell // set once: nothing is taken after it
	// while boundless, frames are not counted; free are those of them that wait.
	boundless bool
	free      struct{ frames, bytes int }
}

var _ Sink = (*queue)(nil)

// farewell is how a connection is closed once what waits is written.
type farewell struct {
	code   wire.CloseCode
	reason string
	silent bool // the connection is gone or says goodbye itself
	lost   bool // a write failed: the network's doing, not the server's
}

// batch is a reusable slice of frames.
type batch struct{ frames []*wire.Frame }

var batches = sync.Pool{New: func() any { return &batch{frames: make([]*wire.Frame, 0, 16)} }}

func (b *batch) release() {
	if cap(b.frames) > 1024 {
		return
	}
	clear(b.frames)
	b.frames = b.frames[:0]
	batches.Put(b)
}

// Deliver queues a frame. It does not block. A frame over the bounds is dropped, and so is all that waits: the session is
// to be closed with a code after which the client comes back for it.
func (q *queue) Deliver(frame *wire.Frame) {
	q.mu.Lock()
	if q.end != nil {
		q.mu.Unlock()
		q.server.metrics.dropped.WithLabelValues("ended").Inc()
		return
	}
	if q.waiting == nil {
		q.waiting = batches.Get().(*batch)
	}
	if q.full(frame) {
		dropped := q.drop() + 1
		q.end = &farewell{code: wire.CloseSlowReceiver, reason: "the queue is full"}
		q.start()
		q.mu.Unlock()
		q.server.metrics.dropped.WithLabelValues("queue_full").Add(float64(dropped))
		q.overflow()
		return
	}
	q.waiting.frames = append(q.waiting.frames, frame)
	q.bytes += frame.Size()
	if q.boundless {
		q.free.frames++
		q.free.bytes += frame.Size()
	}
	q.start()
	q.mu.Unlock()
}

// unbounded takes whatever is delivered until deliver returns. What a client has missed is bounded by the rooms' logs; were the
// queue's bounds applied, one that missed more would be closed for it each time that it comes back.
func (q *queue) unbounded(deliver func()) {
	set := func(boundless bool) {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.boundless = boundless
	}
	set(true)
	defer set(false)
	deliver()
}

// Reply implements [Sink].
func (q *queue) Reply(id int64, body wire.ReplyBody) { q.Deliver(wire.ReplyFrame(id, body)) }

// Refuse implements [Sink].
func (q *queue) Refuse(id int64, refusal *wire.Error) { q.Deliver(wire.ErrorFrame(id, refusal)) }

// Close implements [Sink].
func (q *queue) Close(code wire.CloseCode, reason string) {
	q.close(farewell{code: code, reason: reason})
}

// full reports whether a frame is over the bounds. One frame always fits when nothing waits: the snapshot of a large room
// may be larger than all the queue, and a client that came back for it would be closed over it again. mu is held.
func (q *queue) full(frame *wire.Frame) bool {
	waiting := len(q.waiting.frames) - q.free.frames
	return !q.boundless && (waiting >= q.server.opts.QueueMessages ||
		waiting > 0 && q.bytes-q.free.bytes+frame.Size() > q.server.opts.QueueBytes)
}

// close ends the queue: what waits is still written, then the connection is closed. Only the first call counts.
func (q *queue) close(end farewell) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.end != nil {
		return
	}
	q.end = &end
	if end.silent {
		q.server.metrics.dropped.WithLabelValues("ended").Add(float64(q.drop()))
	}
	q.start()
}

// fail ends the queue after a failed write of some frames. What waits cannot follow them: a part of a frame may have
// been written.
func (q *queue) fail(unsent int, end farewell) {
	q.mu.Lock()
	unsent += q.drop()
	q.mu.Unlock()
	q.server.metrics.dropped.WithLabelValues("write").Add(float64(unsent))
	q.close(end)
}

// wait returns when nothing is being written any more. The queue must have been closed.
func (q *queue) wait() { q.flushers.Wait() }

// drop forgets what waits, and tells how many frames that were. mu is held.
func (q *queue) drop() int {
	if q.waiting == nil {
		return 0
	}
	dropped := len(q.waiting.frames)
	q.waiting.release()
	q.emptied()
	return dropped
}

// start has the queue flushed unless it is being so. mu is held.
func (q *queue) start() {
	if q.flushing {
		return
	}
	q.flushing = true
	if q.prompter == nil {
		q.flushers.Go(q.flush)
		return
	}
	q.flushers.Add(1)
	q.server.writers.add(q)
}

// flush writes until nothing waits, then says the farewell if there is one.
func (q *queue) flush() {
	for {
		work, end := q.take()
		if work == nil {
			if end != nil {
				q.conn.Close(end.code, end.reason)
			}
			return
		}
		q.written(work, q.conn.Write(work.frames))
	}
}

// flushNow writes what waits, if it can do so without waiting. What else there is to do is left to a goroutine that may.
func (q *queue) flushNow() {
	work, end := q.take()
	switch {
	case work == nil && end == nil:
		q.flushers.Done()
		return
	case work == nil:
		go func() {
			defer q.flushers.Done()
			q.conn.Close(end.code, end.reason)
		}()
		return
	}
	whole, err := q.prompter.WriteNow(work.frames)
	if !whole {
		go func() {
			defer q.flushers.Done()
			q.written(work, q.conn.Write(nil))
			q.flush()
		}()
		return
	}
	q.written(work, err)
	q.mu.Lock()
	over := q.waiting == nil && q.end == nil
	q.flushing = !over
	q.mu.Unlock()
	if over {
		q.flushers.Done()
	} else {
		q.server.writers.add(q)
	}
}

// take gives what waits. When that is nothing, the queue is not being flushed any more, and end is the farewell that is to
// be said, if there is one.
func (q *queue) take() (work *batch, end *farewell) {
	q.mu.Lock()
	defer q.mu.Unlock()
	work = q.waiting
	if work == nil {
		if q.flushing = false; q.end != nil && !q.end.silent {
			end = q.end
		}
		return nil, end
	}
	q.emptied()
	return work, nil
}

// emptied notes that nothing waits any more. mu is held.
func (q *queue) emptied() {
	q.waiting, q.bytes = nil, 0
	q.free.frames, q.free.bytes = 0, 0
}

// written notes what became of a batch that was handed to the transport.
func (q *queue) written(work *batch, err error) {
	defer work.release()
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		q.fail(len(work.frames), farewell{code: wire.CloseSlowReceiver, reason: "a write took too long"})
		return
	case err != nil:
		q.fail(len(work.frames), farewell{code: wire.CloseGoingAway, reason: "a write failed", lost: true})
		return
	}
	size := 0
	for _, frame := range work.frames {
		size += frame.Size()
		q.server.metrics.sent[frame.KindNumber()].Inc()
		if frame.Watched() {
			frame.Written(q.core.id())
		}
	}
	q.server.metrics.batches.Observe(float64(len(work.frames)))
	q.server.metrics.frameBytes.Add(float64(size))
}

// ended reports whether the queue was closed.
func (q *queue) ended() bool { return q.farewell() != nil }

// farewell is how the queue was closed; nil if it was not.
func (q *queue) farewell() *farewell {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.end
}
