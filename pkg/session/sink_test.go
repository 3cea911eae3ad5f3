package session_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/session"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// sink is a transport that calls: it keeps what its client is told, and fails on demand.
type sink struct {
	tb testing.TB

	mu      sync.Mutex
	changed sync.Cond
	said    []saying   // guarded by mu
	closed  []farewell // calls of Close; guarded by mu
	panics  string     // what to panic with from now on; guarded by mu
	held    bool       // replies wait; guarded by mu
	waiting bool       // a reply waits; guarded by mu
	onClose func()     // called by Close; guarded by mu
}

var _ session.Sink = (*sink)(nil)

// saying is an event, a reply, or a refusal.
type saying struct {
	event   *wire.Event
	id      int64
	body    wire.ReplyBody
	refusal *wire.Error
}

func newSink(tb testing.TB) *sink {
	s := &sink{tb: tb}
	s.changed.L = &s.mu
	return s
}

// Deliver implements session.Sink.
func (s *sink) Deliver(frame *wire.Frame) {
	_, event, err := wire.DecodeServer(slices.Clone(frame.Text()))
	s.set(func() {
		if s.panics != "" {
			panic(s.panics)
		}
		if err != nil || event == nil {
			s.tb.Errorf("delivered what is no event: %s", frame.Text())
		}
		s.said = append(s.said, saying{event: event})
	})
}

// Reply implements session.Sink.
func (s *sink) Reply(id int64, body wire.ReplyBody) {
	s.set(func() {
		if s.panics != "" {
			panic(s.panics)
		}
		s.waiting = true
		s.changed.Broadcast()
		for s.held {
			s.changed.Wait()
		}
		s.waiting = false
		s.said = append(s.said, saying{id: id, body: body})
	})
}

// Refuse implements session.Sink.
func (s *sink) Refuse(id int64, refusal *wire.Error) {
	s.set(func() {
		if s.panics != "" {
			panic(s.panics)
		}
		s.said = append(s.said, saying{id: id, refusal: refusal})
	})
}

// Close implements session.Sink.
func (s *sink) Close(code wire.CloseCode, reason string) {
	var onClose func()
	s.set(func() {
		s.closed = append(s.closed, farewell{code, reason, len(s.said)})
		onClose = s.onClose
	})
	if onClose != nil {
		onClose()
	}
}

func (s *sink) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.changed.Broadcast()
	change()
}

// until waits for a condition, which is looked at with mu held.
func (s *sink) until(condition func() bool) {
	s.tb.Helper()
	late := false
	timer := time.AfterFunc(time.Minute, func() { s.set(func() { late = true }) })
	defer timer.Stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	for !condition() && !late {
		s.changed.Wait()
	}
	require.False(s.tb, late, "waited in vain")
}

// farewells gives the calls of Close.
func (s *sink) farewells() []farewell {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.closed)
}

// requireClosed waits for the farewell, of which there must be one.
func (s *sink) requireClosed(code wire.CloseCode) farewell {
	s.tb.Helper()
	s.until(func() bool { return len(s.closed) > 0 })
	said := s.farewells()
	require.Len(s.tb, said, 1)
	require.Equal(s.tb, code, said[0].code, said[0].reason)
	return said[0]
}

// caller is the far end of a sink: an attached session, and what it has been told.
type caller struct {
	*sink
	*session.Attached
	seen int // sayings that the test has looked at
}

// attach opens a session, which is ended with the test.
func (g *gateway) attach(ctx context.Context, hello *wire.Hello, who session.Client) *caller {
	g.tb.Helper()
	c := &caller{sink: newSink(g.tb)}
	attached, err := g.sessions.Attach(ctx, hello, c.sink, who)
	require.NoError(g.tb, err)
	c.Attached = attached
	g.tb.Cleanup(func() { attached.End(false) })
	return c
}

// enterAttached gives an attached session, of the app that needs no token.
func (g *gateway) enterAttached() *caller {
	g.tb.Helper()
	return g.attach(g.life, &wire.Hello{App: "open", Name: "Ada"}, session.Client{Transport: "calls", Remote: "192.0.2.1:1234"})
}

// say hands a request over as its text is read.
func (c *caller) say(text string) {
	c.tb.Helper()
	request, err := wire.DecodeRequest([]byte(text), wire.Limits{})
	require.NoError(c.tb, err)
	c.Handle(request)
}

// next gives the next thing that was said.
func (c *caller) next() saying {
	c.tb.Helper()
	c.until(func() bool { return len(c.said) > c.seen })
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen++
	return c.said[c.seen-1]
}

// event gives the next thing that was said, which must be an event.
func (c *caller) event() *wire.Event {
	c.tb.Helper()
	said := c.next()
	require.NotNil(c.tb, said.event, "%+v", said)
	return said.event
}

// answer gives the next thing that was said, which must be about a request.
func (c *caller) answer(id int64) saying {
	c.tb.Helper()
	said := c.next()
	require.Nil(c.tb, said.event)
	require.Equal(c.tb, id, said.id)
	return said
}

// accepted hands a request over and gives its reply, which must be a T.
func accepted[T any](c *caller, text string) *T {
	c.tb.Helper()
	request, err := wire.DecodeRequest([]byte(text), wire.Limits{})
	require.NoError(c.tb, err)
	c.Handle(request)
	said := c.answer(request.ID)
	require.Nil(c.tb, said.refusal)
	body, ok := said.body.(any).(*T)
	require.True(c.tb, ok, "%T", said.body)
	return body
}

// refused hands over a request that must be refused with a code.
func (c *caller) refused(text string, code wire.Code) *wire.Error {
	c.tb.Helper()
	request, err := wire.DecodeRequest([]byte(text), wire.Limits{})
	require.NoError(c.tb, err)
	c.Handle(request)
	said := c.answer(request.ID)
	require.NotNil(c.tb, said.refusal, "was not refused")
	require.Equal(c.tb, code, said.refusal.Code, said.refusal.Message)
	return said.refusal
}
