package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/client"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

func TestEveryCallSendsItsRequestAndGivesItsReply(t *testing.T) {
	g := newGateway(t)
	c, p := g.dial(g.options())
	for _, test := range []struct {
		name  string
		call  func(context.Context) (any, error)
		body  wire.RequestBody
		reply wire.ReplyBody
	}{
		{"Join", func(ctx context.Context) (any, error) {
			return c.Join(ctx, wire.Join{Room: "lobby", State: wire.Object{"mic": []byte("true")}, Capacity: 2})
		}, &wire.Join{Room: "lobby", State: wire.Object{"mic": []byte("true")}, Capacity: 2}, snapshot("lobby", 3)},
		{"Signal", func(ctx context.Context) (any, error) {
			return c.Signal(ctx, wire.Signal{Room: "lobby", To: "a81x", Data: []byte(`{"candidate":null}`)})
		}, &wire.Signal{Room: "lobby", To: "a81x", Data: []byte(`{"candidate":null}`)}, &wire.Done{Seq: 4}},
		{"Publish", func(ctx context.Context) (any, error) {
			return c.Publish(ctx, wire.Publish{Room: "lobby", Topic: "chat", Data: []byte(`"hi"`), Echo: true})
		}, &wire.Publish{Room: "lobby", Topic: "chat", Data: []byte(`"hi"`), Echo: true}, &wire.Done{Seq: 5}},
		{"SetState", func(ctx context.Context) (any, error) {
			return c.SetState(ctx, wire.SetState{Room: "lobby", State: wire.Object{"hand": []byte("null")}})
		}, &wire.SetState{Room: "lobby", State: wire.Object{"hand": []byte("null")}}, &wire.Done{Seq: 6}},
		{"UpdateRoom", func(ctx context.Context) (any, error) {
			return c.UpdateRoom(ctx, wire.UpdateRoom{Room: "lobby", Version: 3, RoomChange: wire.RoomChange{Locked: new(true)}})
		}, &wire.UpdateRoom{Room: "lobby", Version: 3, RoomChange: wire.RoomChange{Locked: new(true)}}, &wire.Updated{Seq: 7, Version: 4}},
		{"Control", func(ctx context.Context) (any, error) {
			return c.Control(ctx, wire.Control{Room: "lobby", Action: wire.ActionKick, To: "a81x"})
		}, &wire.Control{Room: "lobby", Action: wire.ActionKick, To: "a81x"}, &wire.Controlled{Seq: 8, Affected: 1}},
		{"Peers", func(ctx context.Context) (any, error) { return c.Peers(ctx, "lobby") },
			&wire.Peers{Room: "lobby"}, &wire.HeadCount{Room: "lobby", Count: 1, Capacity: 2}},
		{"Snapshot", func(ctx context.Context) (any, error) { return c.Snapshot(ctx, "lobby") },
			&wire.Peers{Room: "lobby", List: true}, snapshot("lobby", 8)},
		{"Report", func(ctx context.Context) (any, error) {
			return &wire.Nothing{}, c.Report(ctx, wire.Report{Outcome: "connected", Milliseconds: 412})
		}, &wire.Report{Outcome: "connected", Milliseconds: 412}, &wire.Nothing{}},
		{"Ping", func(ctx context.Context) (any, error) { return c.Ping(ctx) }, &wire.Ping{}, &wire.Pong{Time: 1790000000000}},
		{"Leave", func(ctx context.Context) (any, error) { return c.Leave(ctx, "lobby") }, &wire.Leave{Room: "lobby"}, &wire.Done{Seq: 9}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var got any
			done := start(func() (err error) {
				got, err = test.call(t.Context())
				return err
			})
			request := p.read()
			require.Equal(t, test.body, request.Body)
			p.answer(request, test.reply)
			require.NoError(t, next(t, done))
			require.Equal(t, any(test.reply), got)

			done = start(func() error {
				_, err := test.call(t.Context())
				return err
			})
			again := p.read()
			require.Equal(t, request.ID+1, again.ID, "ids rise by one")
			refusal := &wire.Error{Code: wire.CodeConflict, Message: "no", Version: 4, RetryAfter: time.Second}
			p.refuse(again.ID, refusal)
			err := next(t, done)
			require.Equal(t, error(refusal), err)
			require.False(t, client.Retryable(err))
		})
	}
}

func TestRepliesOutOfOrderFindTheirRequests(t *testing.T) {
	g := newGateway(t)
	c, p := g.dial(g.options())
	const calls = 20
	results := make([]<-chan error, calls)
	requests := make(map[string]wire.Request)
	for i := range calls {
		results[i] = start(func() error {
			count, err := c.Peers(t.Context(), fmt.Sprint("room-", i))
			if err == nil && count.Count != i {
				err = fmt.Errorf("%s has %d", count.Room, count.Count)
			}
			return err
		})
		request := p.read()
		requests[request.Body.(*wire.Peers).Room] = request
	}
	p.write(wire.AppendReply(nil, 999, &wire.Done{Seq: 1})) // of no request: passed over
	for i := calls - 1; i >= 0; i-- {
		room := fmt.Sprint("room-", i)
		p.answer(requests[room], &wire.HeadCount{Room: room, Count: i, Capacity: 99})
	}
	for i := range calls {
		require.NoError(t, next(t, results[i]))
	}
}

func TestRequestEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newMemGateway(t)
		c, p := g.dial(g.options())
		began := time.Now()
		_, err := c.Publish(within(t, 3*time.Second), wire.Publish{Room: "lobby", Data: []byte("1")})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, 3*time.Second, time.Since(began))

		p.answer(p.read(), &wire.Done{Seq: 1}) // late: nobody waits, and nothing breaks
		done := start(func() error {
			_, err := c.Ping(t.Context())
			return err
		})
		p.answer(p.read(), &wire.Pong{Time: 1})
		require.NoError(t, <-done)

		ended, cancel := context.WithCancel(t.Context())
		cancel()
		_, err = c.Ping(ended)
		require.ErrorIs(t, err, context.Canceled)
	})
}

// A seat that is given to a join that nobody waits for any more would stand empty until the session ends.
func TestLateSeatIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newMemGateway(t)
		c, p := g.dial(g.options())
		_, err := c.Join(within(t, time.Second), wire.Join{Room: "lobby"})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		p.answer(p.read(), snapshot("lobby", 1))
		id, leave := readAs[*wire.Leave](p)
		require.Equal(t, "lobby", leave.Room)
		p.answer(wire.Request{ID: id}, &wire.Done{Seq: 2})
	})
}

// A late reply must not take the seat from another join of the same room.
func TestLateSeatIsKeptForAnotherJoin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newMemGateway(t)
		c, p := g.dial(g.options())
		_, err := c.Join(within(t, time.Second), wire.Join{Room: "lobby"})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		first := p.read()
		second := start(func() error {
			_, err := c.Join(t.Context(), wire.Join{Room: "lobby"})
			return err
		})
		request := p.read()
		p.answer(first, snapshot("lobby", 1))
		p.answer(request, snapshot("lobby", 1))
		require.NoError(t, <-second)
		pinged := start(func() error {
			_, err := c.Ping(t.Context())
			return err
		})
		id, _ := readAs[*wire.Ping](p) // and not a leave
		p.answer(wire.Request{ID: id}, &wire.Pong{Time: 1})
		require.NoError(t, <-pinged)
	})
}

func TestBrokenReplyIsNoRefusal(t *testing.T) {
	g := newGateway(t)
	c, p := g.dial(g.options())
	done := start(func() error {
		_, err := c.Publish(t.Context(), wire.Publish{Room: "lobby", Data: []byte("1")})
		return err
	})
	request := p.read()
	p.write(fmt.Appendf(nil, `{"re":%d,"ok":{"seq":"7"}}`, request.ID))
	err := next(t, done)
	require.ErrorContains(t, err, "not valid")
	_, refused := errors.AsType[*wire.Error](err)
	require.False(t, refused)
}

func TestGoCallsBackInOrder(t *testing.T) {
	g := newGateway(t)
	c, p := g.dial(g.options())
	const requests = 200
	seqs := make(chan int64, requests)
	for range requests {
		c.Go(&wire.Publish{Room: "lobby", Data: []byte("1")}, func(reply *wire.Reply, err error) {
			var done wire.Done
			if err == nil && reply.Err == nil {
				err = reply.Decode(&done)
			}
			if err != nil {
				done.Seq = -1
			}
			seqs <- done.Seq
		})
	}
	for i := range requests {
		p.answer(p.read(), &wire.Done{Seq: int64(i + 1)})
	}
	for i := range requests {
		require.Equal(t, int64(i+1), next(t, seqs))
	}
}

func TestManyGoroutinesShareAClient(t *testing.T) {
	g := newGateway(t)
	opts := g.options()
	var events []int64
	opts.OnEvent = func(event wire.Event) { events = append(events, event.Seq) }
	c, p := g.dial(opts)
	const workers, each = 16, 50
	served := start(func() error {
		last := int64(1)
		for i := range workers * each {
			request, err := p.tryRead()
			if err != nil {
				return err
			}
			if request.ID != last+1 {
				return fmt.Errorf("id %d after %d", request.ID, last)
			}
			last = request.ID
			p.message(int64(i+1), "between")
			p.answer(request, &wire.HeadCount{Room: request.Body.(*wire.Peers).Room, Count: i, Capacity: 1})
		}
		return nil
	})
	var wg sync.WaitGroup
	failures := make(chan error, workers*each)
	for w := range workers {
		wg.Go(func() {
			for i := range each {
				room := fmt.Sprintf("room-%d-%d", w, i)
				count, err := c.Peers(t.Context(), room)
				if err == nil && count.Room != room {
					err = fmt.Errorf("%s for %s", count.Room, room)
				}
				if err != nil {
					failures <- err
				}
			}
		})
	}
	wg.Wait()
	close(failures)
	for err := range failures {
		require.NoError(t, err)
	}
	require.NoError(t, next(t, served))
	go p.readUntilEnd()
	c.Close()
	require.Len(t, events, workers*each)
	for i, seq := range events {
		require.Equal(t, int64(i+1), seq)
	}
}

// A request is refused, the next ones go on: what is not valid in the data must not leave its call without an answer.
func TestInvalidDataIsRefused(t *testing.T) {
	g := newGateway(t)
	c, p := g.dial(g.options())
	done := start(func() error {
		_, err := c.Publish(t.Context(), wire.Publish{Room: "lobby", Data: json.RawMessage(`{"open":`)})
		return err
	})
	_, message, err := p.ws.ReadMessage()
	require.NoError(t, err)
	request, err := wire.DecodeRequest(message, wire.Limits{})
	refusal, refused := errors.AsType[*wire.Error](err)
	require.True(t, refused)
	p.refuse(request.ID, refusal)
	require.Equal(t, error(refusal), next(t, done))
}
