package driver

import (
	"context"
	"sync"
	"time"
)

// waiter pairs the one request that waits with its reply. Requests that nobody waits for have numbers, too.
type waiter struct {
	mu    sync.Mutex
	last  int64       // guarded by mu
	waits int64       // number of the request that waits, 0 for none; guarded by mu
	reply chan answer // holds one
	ended bool        // guarded by mu
}

type answer struct {
	text []byte
	err  error
}

func newWaiter() *waiter { return &waiter{reply: make(chan answer, 1)} }

// number gives a request that nobody waits for its number.
func (w *waiter) number() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.last++
	return w.last
}

// begin gives a request that its sender waits for its number.
func (w *waiter) begin() (int64, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended {
		return 0, errEnded
	}
	select {
	case <-w.reply: // of one that was given up
	default:
	}
	w.last++
	w.waits = w.last
	return w.last, nil
}

// ask sends a request over a socket and waits for its reply. compose completes an empty message.
func (w *waiter) ask(ctx context.Context, s *socket, request string, compose func(b []byte, number int64) []byte) ([]byte, error) {
	b := s.begin() // first, as the numbers of what is sent have to rise
	number, err := w.begin()
	if err != nil {
		s.abort()
		return nil, err
	}
	if err := s.write(compose(b, number)); err != nil {
		return nil, err
	}
	return w.wait(ctx, request)
}

// answered gives a reply to who waits for it, and reports whether somebody does. The text is copied.
func (w *waiter) answered(number int64, text []byte) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if number != w.waits || number == 0 {
		return false
	}
	w.waits = 0
	w.reply <- answer{text: append([]byte(nil), text...)}
	return true
}

// end lets who waits go.
func (w *waiter) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended = true
	if w.waits != 0 {
		w.waits = 0
		w.reply <- answer{err: errEnded}
	}
}

// lost ends a connection that cannot be read any more, and tells so unless the client has ended it.
func (w *waiter) lost(s *socket, events Events, err error) {
	w.end()
	if !s.closed.Load() {
		events.Lost(err)
	}
}

// wait waits for the reply to the request that began last.
func (w *waiter) wait(ctx context.Context, request string) ([]byte, error) {
	timer := time.NewTimer(replyTimeout)
	defer timer.Stop()
	var err error
	select {
	case got := <-w.reply:
		return got.text, got.err
	case <-ctx.Done():
		err = ctx.Err()
	case <-timer.C:
		err = &RefusedError{Request: request, Answer: "no answer"}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.waits = 0
	return nil, err
}
