package client_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/client"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// outcome is what became of a request.
type outcome struct {
	done wire.Done
	err  error
}

// launch makes a request whose reply is a wire.Done, without waiting for it.
func launch(c *client.Client, body wire.RequestBody) <-chan outcome {
	out := make(chan outcome, 1)
	c.Go(body, func(reply *wire.Reply, err error) {
		o := outcome{err: err}
		switch {
		case err != nil:
		case reply.Err != nil:
			o.err = reply.Err
		default:
			o.err = reply.Decode(&o.done)
		}
		out <- o
	})
	return out
}

func publish(text string) *wire.Publish {
	return &wire.Publish{Room: "lobby", Data: []byte(`"` + text + `"`)}
}

func TestHelloOffersToResume(t *testing.T) {
	for name, test := range map[string]struct {
		change    func(*client.Options)
		resumable bool
		attempt   int64
	}{
		"Reconnect":   {func(*client.Options) {}, true, 1},
		"NoResume":    {func(o *client.Options) { o.NoResume = true }, false, 0},
		"NoReconnect": {func(o *client.Options) { o.Reconnect = false }, false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newMemGateway(t)
				opts, _ := returning(g)
				test.change(&opts)
				dialed := start(func() error {
					c, err := client.Dial(t.Context(), opts)
					if err == nil {
						c.Close()
					}
					return err
				})
				p := g.accept()
				id, hello := readAs[*wire.Hello](p)
				require.Equal(t, test.resumable, hello.Resumable)
				require.Equal(t, test.attempt, hello.Attempt)
				p.answer(wire.Request{ID: id}, resumableWelcome("token-1"))
				require.Equal(t, wire.CloseCode(1000), p.readUntilEnd())
				require.NoError(t, <-dialed)
			})
		})
	}
}

// Requests without a reply are sent again with their ids, in order and in front of new ones; what was missed is told
// once, and nothing else is.
func TestSessionGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newMemGateway(t)
		opts, seen := returning(g)
		var got recorder
		opts.OnEvent = got.add
		resumed := make(chan *wire.Welcome, 1)
		opts.OnResumed = func(w *wire.Welcome) { resumed <- w }
		c, p := g.dialResumable(opts)
		joined(c, p, wire.Join{Room: "lobby", State: wire.Object{"mic": []byte("true")}})
		p.message(2, "two")
		p.message(3, "three")
		synctest.Wait()

		// Three requests: the first is answered, the second took effect unseen, the third never arrived.
		first, second, third := launch(c, publish("a")), launch(c, publish("b")), launch(c, publish("c"))
		p.answer(p.read(), &wire.Done{Seq: 4})
		require.Equal(t, outcome{done: wire.Done{Seq: 4}}, next(t, first))
		b, _ := readAs[*wire.Publish](p)
		p.cut()
		waiting := start(func() error {
			_, err := c.Ping(t.Context())
			return err
		})

		answer := resumedWelcome("token-2", replayed("lobby"))
		p, hello := g.resume("token-1", 2, answer)
		require.Equal(t, map[string]wire.Position{"lobby": {Epoch: "9f2c", Seq: 3}}, hello.Rooms)
		require.Empty(t, hello.Token)
		require.Empty(t, hello.App)
		require.False(t, hello.Resumable)
		p.message(3, "three") // a gateway may say again what was heard
		p.message(5, "five")
		for i, want := range []string{`"b"`, `"c"`} {
			id, again := readAs[*wire.Publish](p)
			require.Equal(t, b+int64(i), id)
			require.Equal(t, want, string(again.Data))
			p.answer(wire.Request{ID: id}, &wire.Done{Seq: 6 + int64(i), Repeated: i == 0})
		}
		require.Equal(t, outcome{done: wire.Done{Seq: 6, Repeated: true}}, next(t, second))
		require.Equal(t, outcome{done: wire.Done{Seq: 7}}, next(t, third))
		id, _ := readAs[*wire.Ping](p)
		require.Greater(t, id, b+1)
		p.answer(wire.Request{ID: id}, &wire.Pong{Time: 1})
		require.NoError(t, next(t, waiting))
		require.Equal(t, []string{`message 2 "two"`, `message 3 "three"`, `message 5 "five"`}, got.brief())
		for _, want := range []client.State{client.StateConnected, client.StateReconnecting, client.StateConnected} {
			require.Equal(t, want, <-seen)
		}
		require.Equal(t, answer, <-resumed)
		require.Equal(t, answer, c.Welcome())

		// The next resume has the newer token, and the place that was reached by then.
		p.cut()
		_, hello = g.resume("token-2", 3, resumedWelcome("token-3", replayed("lobby")))
		require.Equal(t, map[string]wire.Position{"lobby": {Epoch: "9f2c", Seq: 5}}, hello.Rooms)
	})
}

// A room whose missed events are not known any more begins anew with what the gateway sends.
func TestResyncFromTheGateway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newMemGateway(t)
		opts, _ := returning(g)
		var got recorder
		opts.OnEvent = got.add
		c, p := g.dialResumable(opts)
		joined(c, p, wire.Join{Room: "lobby"})
		p.message(90, "of the old epoch")
		synctest.Wait()
		p.cut()
		p, _ = g.resume("token-1", 2, resumedWelcome("token-2", map[string]wire.ResumedRoom{"lobby": {Result: wire.ResumeResync}}))
		fresh := snapshot("lobby", 7)
		fresh.Epoch = "07aa"
		p.event(7, "lobby", &wire.Resync{Snapshot: *fresh})
		p.message(7, "in the snapshot")
		p.message(8, "after")
		pinged(t, c, p) // and no join
		require.Equal(t, []string{`message 90 "of the old epoch"`, "resync 7", `message 8 "after"`}, got.brief())
		p.cut()
		_, hello := g.resume("token-2", 3, resumedWelcome("token-3", replayed("lobby")))
		require.Equal(t, map[string]wire.Position{"lobby": {Epoch: "07aa", Seq: 8}}, hello.Rooms)
	})
}

// A seat that is gone is taken again, behind the requests that are sent again; what was asked for in its room is lost.
func TestGoneSeatIsTakenAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newMemGateway(t)
		opts, _ := returning(g)
		var got recorder
		opts.OnEvent = got.add
		c, p := g.dialResumable(opts)
		joined(c, p, wire.Join{Room: "lobby", Capacity: 2})
		joined(c, p, wire.Join{Room: "team-1"})
		joined(c, p, wire.Join{Room: "unheard"})
		in, out := launch(c, publish("lost")), launch(c, &wire.Publish{Room: "team-1", Data: []byte("1")})
		elsewhere := launch(c, &wire.Publish{Room: "no-seat", Data: []byte("1")})
		count := launch(c, &wire.Peers{Room: "lobby"})
		synctest.Wait()
		p.cut()
		rooms := replayed("team-1") // the gateway says nothing of the third
		rooms["lobby"] = wire.ResumedRoom{Result: wire.ResumeGone}
		p, _ = g.resume("token-1", 2, resumedWelcome("token-2", rooms))
		requireOutcomeUnknown(t, next(t, in).err)
		id, again := readAs[*wire.Publish](p)
		require.Equal(t, "team-1", again.Room)
		p.answer(wire.Request{ID: id}, &wire.Done{Seq: 2})
		require.NoError(t, next(t, out).err)
		id, again = readAs[*wire.Publish](p)
		require.Equal(t, "no-seat", again.Room)
		p.refuse(id, wire.Errorf(wire.CodeNotMember, "no seat"))
		requireOutcomeUnknown(t, next(t, elsewhere).err)
		id, _ = readAs[*wire.Peers](p)
		p.answer(wire.Request{ID: id}, &wire.HeadCount{Room: "lobby", Count: 1})
		require.NoError(t, next(t, count).err)
		lobby, join := readAs[*wire.Join](p)
		require.Equal(t, &wire.Join{Room: "lobby", Capacity: 2}, join)
		unheard, join := readAs[*wire.Join](p)
		require.Equal(t, &wire.Join{Room: "unheard"}, join)

		// Lost before the joins are answered: these seats are none to resume.
		p.message(3, "held")
		p.cut()
		p, hello := g.resume("token-2", 3, resumedWelcome("token-3", replayed("team-1")))
		require.Equal(t, map[string]wire.Position{"team-1": {Epoch: "9f2c", Seq: 1}}, hello.Rooms)
		for _, room := range []string{"lobby", "unheard"} {
			id, join := readAs[*wire.Join](p)
			require.Equal(t, room, join.Room)
			require.Greater(t, id, max(lobby, unheard))
			p.answer(wire.Request{ID: id}, snapshot(room, 9))
		}
		p.message(10, "after")
		pinged(t, c, p)
		require.Equal(t, []string{"resync 9", "resync 9", `message 10 "after"`}, got.brief())
	})
}

// Who waits goes on waiting: the place is kept as a seat is, and one that is gone is asked for again, with a wait.
func TestPlaceIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newMemGateway(t)
		opts, _ := returning(g)
		var got recorder
		opts.OnEvent = got.add
		c, p := g.dialResumable(opts)
		joined(c, p, wire.Join{Room: "lobby", Wait: true})
		joined(c, p, wire.Join{Room: "team-1", Wait: true})
		p.cut()
		p, _ = g.resume("token-1", 2, resumedWelcome("token-2", map[string]wire.ResumedRoom{
			"lobby": {Result: wire.ResumeWaiting}, "team-1": {Result: wire.ResumeGone},
		}))
		id, join := readAs[*wire.Join](p)
		require.Equal(t, &wire.Join{Room: "team-1", Wait: true}, join)
		place := snapshot("team-1", 7)
		place.Peers, place.Waiting = nil, &wire.Waiting{Position: 3, Count: 4, Reason: wire.WaitFull}
		p.event(0, "team-1", &wire.Waiting{Position: 2, Count: 3, Reason: wire.WaitFull}) // overtakes the answer
		p.answer(wire.Request{ID: id}, place)
		p.event(0, "lobby", &wire.Waiting{Position: 1, Count: 1, Reason: wire.WaitFull})
		p.event(9, "lobby", &wire.Seated{Snapshot: *snapshot("lobby", 9)})
		p.message(10, "in the room")
		pinged(t, c, p)
		require.Equal(t, []string{"waiting 0", "waiting 0", "waiting 0", "seated 9", `message 10 "in the room"`}, got.brief())
		p.cut()
		_, hello := g.resume("token-2", 3, resumedWelcome("token-3", replayed("lobby")))
		require.Equal(t, map[string]wire.Position{"lobby": {Epoch: "9f2c", Seq: 10}, "team-1": {Epoch: "9f2c", Seq: 7}}, hello.Rooms)
	})
}

// A session that cannot be resumed is followed by a new one, on the same connection.
func TestRefusedResumeBeginsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newMemGateway(t)
		opts, seen := returning(g)
		opts.App, opts.Name = "", ""
		fetched := 0
		opts.TokenSource = func(context.Context) (string, error) {
			fetched++
			return fmt.Sprint("jwt-", fetched), nil
		}
		var got recorder
		opts.OnEvent = got.add
		resumed := make(chan *wire.Welcome, 2)
		opts.OnResumed = func(w *wire.Welcome) { resumed <- w }
		c, p := g.dialResumable(opts)
		joined(c, p, wire.Join{Room: "lobby"})
		joined(c, p, wire.Join{Room: "leaving"})
		lost, left := launch(c, publish("lost")), launch(c, &wire.Leave{Room: "leaving"})
		ping, join := launch(c, &wire.Ping{}), launch(c, &wire.Join{Room: "new"})
		report := launch(c, &wire.Report{Outcome: "connected"})
		synctest.Wait()
		p.cut()
		p = g.accept() // fails: counts as a try
		p.cut()
		p = g.accept()
		id, hello := readAs[*wire.Hello](p)
		require.Equal(t, int64(3), hello.Attempt)
		require.Equal(t, 1, fetched, "a resume needs no token")
		p.refuse(id, wire.Errorf(wire.CodeResumeRefused, "the session is over"))
		id, hello = readAs[*wire.Hello](p)
		require.Equal(t, &wire.Hello{Token: "jwt-2", Client: "client-go", Resumable: true, Attempt: 1}, hello)
		p.answer(wire.Request{ID: id}, resumableWelcome("token-a"))
		require.ErrorAs(t, next(t, lost).err, new(*client.LostError))
		require.ErrorAs(t, next(t, left).err, new(*client.LostError))

		id, _ = readAs[*wire.Ping](p)
		p.answer(wire.Request{ID: id}, &wire.Pong{Time: 1})
		require.NoError(t, next(t, ping).err)
		id, asked := readAs[*wire.Join](p)
		require.Equal(t, "new", asked.Room)
		p.answer(wire.Request{ID: id}, snapshot("new", 1))
		require.NoError(t, next(t, join).err)
		id, _ = readAs[*wire.Report](p)
		p.answer(wire.Request{ID: id}, &wire.Nothing{})
		require.NoError(t, next(t, report).err)
		id, asked = readAs[*wire.Join](p)
		require.Equal(t, "lobby", asked.Room)
		p.answer(wire.Request{ID: id}, snapshot("lobby", 5))
		pinged(t, c, p) // the room that was left is not taken again
		require.Equal(t, []string{"resync 5"}, got.brief())
		for range 3 {
			<-seen
		}
		require.Empty(t, resumed)

		p.cut()
		g.resume("token-a", 2, resumedWelcome("token-b", replayed("lobby", "new")))
		require.Equal(t, "token-b", next(t, resumed).Resume)
	})
}

// The gateway is there, and its store is not: the session waits.
func TestUnavailableResumeIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newMemGateway(t)
		opts, _ := returning(g)
		c, p := g.dialResumable(opts)
		joined(c, p, wire.Join{Room: "lobby"})
		waiting := launch(c, publish("a"))
		id, _ := readAs[*wire.Publish](p)
		p.cut()
		p = g.accept()
		first := p.at
		p.refuse(p.read().ID, &wire.Error{Code: wire.CodeUnavailable, RetryAfter: 3 * time.Second})
		require.Zero(t, p.readUntilEnd(), "the connection is given up")
		p, _ = g.resume("token-1", 3, resumedWelcome("token-2", replayed("lobby")))
		require.Equal(t, 3*time.Second, p.at.Sub(first))
		again, _ := readAs[*wire.Publish](p)
		require.Equal(t, id, again)
		p.answer(wire.Request{ID: id}, &wire.Done{Seq: 2})
		require.NoError(t, next(t, waiting).err)
	})
}

// Volatile messages are for now or never.
func TestVolatileMessagesAreNotSentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newMemGateway(t)
		opts, _ := returning(g)
		c, p := g.dialResumable(opts)
		joined(c, p, wire.Join{Room: "lobby"})
		volatile := publish("now")
		volatile.Volatile = true
		lost := launch(c, volatile)
		synctest.Wait()
		p.cut()
		require.ErrorAs(t, next(t, lost).err, new(*client.LostError))
		p, _ = g.resume("token-1", 2, resumedWelcome("token-2", replayed("lobby")))
		pinged(t, c, p)
	})
}

// Who has stopped waiting may use the request's bytes for something else: it is not sent again. The seat of a join is
// given up, since it may have been taken.
func TestAbandonedRequestsAreNotSentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newMemGateway(t)
		opts, _ := returning(g)
		c, p := g.dialResumable(opts)
		joined(c, p, wire.Join{Room: "lobby"})
		joined(c, p, wire.Join{Room: "leaving"})
		data := []byte(`"mine"`)
		ctx := within(t, time.Second)
		calls := []<-chan error{
			start(func() error { _, err := c.Publish(ctx, wire.Publish{Room: "lobby", Data: data}); return err }),
			start(func() error { _, err := c.Join(ctx, wire.Join{Room: "joining"}); return err }),
			start(func() error { _, err := c.Leave(ctx, "leaving"); return err }),
		}
		for range calls {
			p.read()
		}
		for _, call := range calls {
			require.ErrorIs(t, <-call, context.DeadlineExceeded)
		}
		copy(data, `"ours"`) // the race detector looks
		p.cut()
		p, hello := g.resume("token-1", 2, resumedWelcome("token-2", replayed("lobby", "leaving")))
		require.Len(t, hello.Rooms, 2)
		rooms := make(map[string]bool)
		for range 2 {
			id, leave := readAs[*wire.Leave](p)
			rooms[leave.Room] = true
			p.answer(wire.Request{ID: id}, &wire.Done{Seq: 2})
		}
		require.Equal(t, map[string]bool{"leaving": true, "joining": true}, rooms)
		pinged(t, c, p)
		p.cut()
		_, hello = g.resume("token-2", 3, resumedWelcome("token-3", replayed("lobby")))
		require.Len(t, hello.Rooms, 1)
	})
}

// A leave whose reply was lost: a seat that is gone was left.
func TestLeaveOutlivesTheConnection(t *testing.T) {
	for name, kept := range map[string]bool{"TookEffect": false, "NeverArrived": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newMemGateway(t)
				opts, _ := returning(g)
				c, p := g.dialResumable(opts)
				joined(c, p, wire.Join{Room: "lobby"})
				left := launch(c, &wire.Leave{Room: "lobby"})
				readAs[*wire.Leave](p)
				p.cut()
				if kept {
					p, _ = g.resume("token-1", 2, resumedWelcome("token-2", replayed("lobby")))
					id, _ := readAs[*wire.Leave](p)
					p.answer(wire.Request{ID: id}, &wire.Done{Seq: 2})
					require.NoError(t, next(t, left).err)
				} else {
					p, _ = g.resume("token-1", 2, resumedWelcome("token-2", map[string]wire.ResumedRoom{"lobby": {Result: wire.ResumeGone}}))
					require.ErrorAs(t, next(t, left).err, new(*client.LostError))
				}
				pinged(t, c, p) // and no join
			})
		})
	}
}

// To the gateway, what is sent again is a flood like any other: it comes no faster than the limits allow, and new
// requests queue behind it without holding anybody up.
func TestManyRequestsAreSentAgainInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newMemGateway(t)
		opts, _ := returning(g)
		c, p := g.dialResumable(opts)
		joined(c, p, wire.Join{Room: "lobby"})
		const requests = 300
		outcomes := make([]<-chan outcome, requests)
		for i := range requests {
			outcomes[i] = launch(c, publish(fmt.Sprint(i)))
		}
		p.cut()
		answer := resumedWelcome("token-2", replayed("lobby"))
		answer.Limits.RequestsPerSecond, answer.Limits.RequestsBurst = 50, 100
		p, _ = g.resume("token-1", 2, answer)
		synctest.Wait()
		outcomes = append(outcomes, launch(c, publish("new")))
		last := int64(0)
		for i := range requests + 1 {
			id, _ := readAs[*wire.Publish](p)
			require.Greater(t, id, last)
			last = id
			since := time.Since(p.at)
			require.LessOrEqual(t, float64(i), 50+50*since.Seconds()+10, "after %v", since)
			p.answer(wire.Request{ID: id}, &wire.Done{Seq: int64(i)})
		}
		require.Less(t, time.Since(p.at), 8*time.Second)
		for i := range outcomes {
			require.Equal(t, outcome{done: wire.Done{Seq: int64(i)}}, next(t, outcomes[i]))
		}
		synctest.Wait()
		began := time.Now()
		time.Sleep(time.Second) // the queue has ended
		pinged(t, c, p)
		require.Equal(t, time.Second, time.Since(began))
	})
}

// The client ends while requests wait for the next connection.
func TestCloseDuringTheReturnEndsRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newMemGateway(t)
		opts, _ := returning(g)
		c, p := g.dialResumable(opts)
		joined(c, p, wire.Join{Room: "lobby"})
		waiting := launch(c, publish("a"))
		called := start(func() error {
			_, err := c.Publish(t.Context(), *publish("b"))
			return err
		})
		readAs[*wire.Publish](p)
		readAs[*wire.Publish](p)
		p.cut()
		synctest.Wait()
		c.Close()
		require.Equal(t, outcome{err: client.ErrClosed}, next(t, waiting))
		require.Equal(t, client.ErrClosed, next(t, called))
	})
}

// A session that another connection has is not fought for.
func TestTakenOverIsFinal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newMemGateway(t)
		opts, _ := returning(g)
		c, p := g.dialResumable(opts)
		waiting := launch(c, publish("a"))
		p.read()
		p.close(wire.CloseTakenOver, "")
		<-c.Done()
		want := &client.CloseError{Code: wire.CloseTakenOver}
		require.Equal(t, error(want), c.Err())
		require.Equal(t, outcome{err: &client.LostError{Cause: want}}, next(t, waiting))
		time.Sleep(time.Hour)
		require.Empty(t, g.accepted)
	})
}
