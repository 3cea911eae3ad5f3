package session

import (
	"runtime"
	"sync"

	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// Prompter is a [Conn] that can be written to without waiting, so that one goroutine may write for many sessions.
type Prompter interface {
	// Prompt reports whether WriteNow may be called in place of Write.
	Prompt() bool
	// WriteNow is Write as far as that takes no waiting. It reports false when something is left over, which Write, to be
	// called next, writes first; it is given no frames then.
	WriteNow([]*wire.Frame) (bool, error)
}

// writers flush queues whose connections can be written to without waiting. They are goroutines that live only while there
// is something to write: one as a rule, and more, but no more than can run at once, when it does not get through. The
// queues take turns, a batch each. So what comes for a session while others are written to goes into one write, and
// an event to many wakes few goroutines.
type writers struct {
	most int

	mu          sync.Mutex
	first, last *queue // of those that wait for their turn
	waiting     int
	running     int
}

// queuesPerWriter is how many queues wait before another writer is started.
const queuesPerWriter = 16

func newWriters() *writers { return &writers{most: runtime.GOMAXPROCS(0)} }

// add has a queue flushed that is not waiting.
func (w *writers) add(q *queue) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.last == nil {
		w.first = q
	} else {
		w.last.behind = q
	}
	w.last = q
	w.waiting++
	if w.running == 0 || w.waiting > queuesPerWriter*w.running && w.running < w.most {
		w.running++
		go w.run()
	}
}

// run flushes until nothing waits.
func (w *writers) run() {
	for q := w.next(); q != nil; q = w.next() {
		q.flushNow()
	}
}

// next gives the queue whose turn it is; nil ends the writer.
func (w *writers) next() *queue {
	w.mu.Lock()
	defer w.mu.Unlock()
	q := w.first
	if q == nil {
		w.running--
		return nil
	}
	if w.first, q.behind = q.behind, nil; w.first == nil {
		w.last = nil
	}
	w.waiting--
	return q
}
