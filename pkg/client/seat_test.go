package client_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/client"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

func TestSeatsAreTakenAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newMemGateway(t)
		opts, _ := returning(g)
		var got recorder
		opts.OnEvent = got.add
		c, p := g.dial(opts)
		joined(c, p, wire.Join{Room: "lobby", State: wire.Object{"mic": []byte("true"), "hand": []byte("true")}, Capacity: 2})
		joined(c, p, wire.Join{Room: "team-1"})
		joined(c, p, wire.Join{Room: "left"})
		joined(c, p, wire.Join{Room: "kicked"})
		answered := start(func() error {
			_, err := c.SetState(t.Context(), wire.SetState{Room: "lobby", State: wire.Object{"mic": []byte("false"), "hand": []byte("null")}})
			return err
		})
		p.answer(p.read(), &wire.Done{Seq: 2})
		require.NoError(t, <-answered)
		answered = start(func() error {
			_, err := c.Leave(t.Context(), "left")
			return err
		})
		p.answer(p.read(), &wire.Done{Seq: 2})
		require.NoError(t, <-answered)
		p.event(2, "kicked", &wire.Closed{Reason: wire.ReasonKicked, By: "a81x"})
		p.message(2, "before")
		synctest.Wait()
		p.cut()

		p = g.greet()
		lobby, join := readAs[*wire.Join](p)
		require.Equal(t, &wire.Join{Room: "lobby", State: wire.Object{"mic": []byte("false")}, Capacity: 2}, join)
		team, join := readAs[*wire.Join](p)
		require.Equal(t, &wire.Join{Room: "team-1"}, join)
		// Events that run ahead of the snapshot wait for it; those that it contains are not told again.
		p.message(9, "in the snapshot")
		p.message(11, "ahead")
		p.answer(wire.Request{ID: team}, snapshot("team-1", 4))
		p.answer(wire.Request{ID: lobby}, snapshot("lobby", 10))
		p.message(12, "after")
		synctest.Wait()
		require.Equal(t, []string{
			"closed 2", `message 2 "before"`, "resync 4", "resync 10", `message 11 "ahead"`, `message 12 "after"`,
		}, got.brief())
		require.Equal(t, wire.Event{Room: "lobby", Seq: 10, Body: &wire.Resync{Snapshot: *snapshot("lobby", 10)}}, got.all()[3])
	})
}

// The lost connection's own seat may fill the room until its gateway has noticed.
func TestFullRoomIsTriedForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newMemGateway(t)
		opts, _ := returning(g)
		var got recorder
		opts.OnEvent = got.add
		c, p := g.dial(opts)
		joined(c, p, wire.Join{Room: "lobby", Capacity: 2})
		p.cut()
		p = g.greet()
		began := time.Now()
		for range 6 {
			id, _ := readAs[*wire.Join](p)
			p.refuse(id, wire.Errorf(wire.CodeRoomFull, "full"))
		}
		id, _ := readAs[*wire.Join](p)
		require.Equal(t, 15750*time.Millisecond, time.Since(began), "250 ms, 500 ms, 1 s, 2 s, 4 s, 8 s")
		p.answer(wire.Request{ID: id}, snapshot("lobby", 7))
		synctest.Wait()
		require.Equal(t, []string{"resync 7"}, got.brief())

		// When the patience is over, the seat is lost.
		p.cut()
		p = g.greet()
		began = time.Now()
		for len(got.all()) == 1 {
			id, _ := readAs[*wire.Join](p)
			p.refuse(id, wire.Errorf(wire.CodeRoomFull, "full"))
			synctest.Wait()
			if len(got.all()) == 1 {
				require.NoError(t, p.ws.WriteControl(9, nil, time.Now().Add(time.Second)))
			}
		}
		require.Equal(t, 90750*time.Millisecond, time.Since(began))
		require.Equal(t, wire.Event{Room: "lobby", Body: &wire.Closed{Reason: client.ReasonLost}}, got.all()[1])
		p.cut()
		p = g.greet()
		pinged(t, c, p) // and no join
	})
}

// A session that goes on has no other seat: it is somebody else's by which the room is full, and the application hears of
// it at once.
func TestFullRoomIsBelievedAfterAResume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newMemGateway(t)
		opts, _ := returning(g)
		var got recorder
		opts.OnEvent = got.add
		var told []string
		opts.OnSeatLost = func(room string, err error) {
			require.Empty(t, got.all(), "the event comes behind it")
			told = append(told, room+": "+err.Error())
		}
		c, p := g.dialResumable(opts)
		joined(c, p, wire.Join{Room: "lobby", Capacity: 2})
		synctest.Wait()
		p.cut()
		p, _ = g.resume("token-1", 2, resumedWelcome("token-2", map[string]wire.ResumedRoom{"lobby": {Result: wire.ResumeGone}}))
		began := time.Now()
		id, _ := readAs[*wire.Join](p)
		full := wire.Errorf(wire.CodeRoomFull, "every seat is taken")
		p.refuse(id, full)
		synctest.Wait()
		require.Zero(t, time.Since(began))
		require.Equal(t, []string{"lobby: " + full.Error()}, told)
		require.Equal(t, []wire.Event{{Room: "lobby", Body: &wire.Closed{Reason: client.ReasonLost}}}, got.all())
		time.Sleep(20 * time.Second)
		pinged(t, c, p) // and no join
	})
}

func TestSeatThatIsRefusedIsClosed(t *testing.T) {
	for _, code := range []wire.Code{wire.CodeForbidden, wire.CodeRoomLocked, wire.CodeLimit} {
		t.Run(string(code), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newMemGateway(t)
				opts, _ := returning(g)
				var got recorder
				opts.OnEvent = got.add
				c, p := g.dial(opts)
				joined(c, p, wire.Join{Room: "lobby"})
				p.cut()
				p = g.greet()
				id, _ := readAs[*wire.Join](p)
				p.refuse(id, wire.Errorf(code, "no"))
				synctest.Wait()
				require.Equal(t, []wire.Event{{Room: "lobby", Body: &wire.Closed{Reason: client.ReasonLost}}}, got.all())
				p.cut()
				p = g.greet()
				pinged(t, c, p)
			})
		})
	}
}

func TestUnavailableSeatIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newMemGateway(t)
		opts, _ := returning(g)
		var got recorder
		opts.OnEvent = got.add
		c, p := g.dial(opts)
		joined(c, p, wire.Join{Room: "lobby"})
		p.cut()
		p = g.greet()
		began := time.Now()
		id, _ := readAs[*wire.Join](p)
		p.refuse(id, &wire.Error{Code: wire.CodeUnavailable, RetryAfter: 3 * time.Second})
		id, _ = readAs[*wire.Join](p)
		require.Equal(t, 3*time.Second, time.Since(began))
		p.answer(wire.Request{ID: id}, snapshot("lobby", 7))
		synctest.Wait()
		require.Equal(t, []string{"resync 7"}, got.brief())
	})
}

// Who leaves while the seat is being taken again has left, whatever comes first.
func TestLeaveDuringTheReturn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newMemGateway(t)
		opts, _ := returning(g)
		var got recorder
		opts.OnEvent = got.add
		c, p := g.dial(opts)
		joined(c, p, wire.Join{Room: "lobby"})
		p.cut()
		p = g.greet()
		join, _ := readAs[*wire.Join](p)
		left := start(func() error {
			_, err := c.Leave(t.Context(), "lobby")
			return err
		})
		leave, _ := readAs[*wire.Leave](p)
		p.refuse(leave, wire.Errorf(wire.CodeNotMember, "no seat")) // it has overtaken the join
		require.Error(t, <-left)
		p.answer(wire.Request{ID: join}, snapshot("lobby", 7))
		leave, _ = readAs[*wire.Leave](p) // the seat is given up again
		p.answer(wire.Request{ID: leave}, &wire.Done{Seq: 8})
		synctest.Wait()
		require.Empty(t, got.all())
		p.message(9, "of another join") // events are not held back any more
		synctest.Wait()
		require.Len(t, got.all(), 1)
	})
}

// A leave whose reply is lost is a leave: the session's seats have gone with its connection.
func TestLostLeaveIsALeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newMemGateway(t)
		opts, _ := returning(g)
		c, p := g.dial(opts)
		joined(c, p, wire.Join{Room: "lobby"})
		left := start(func() error {
			_, err := c.Leave(t.Context(), "lobby")
			return err
		})
		readAs[*wire.Leave](p)
		p.cut()
		require.Error(t, <-left)
		p = g.greet()
		pinged(t, c, p)
	})
}

// A loss in the middle of taking seats again begins anew.
func TestLossDuringTheReturn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newMemGateway(t)
		opts, _ := returning(g)
		var got recorder
		opts.OnEvent = got.add
		c, p := g.dial(opts)
		joined(c, p, wire.Join{Room: "lobby"})
		p.cut()
		p = g.greet()
		readAs[*wire.Join](p)
		p.message(3, "of a session that has ended")
		p.cut()
		p = g.greet()
		id, _ := readAs[*wire.Join](p)
		p.refuse(id, wire.Errorf(wire.CodeUnavailable, "no Redis")) // its timer must not outlive this connection
		p.cut()
		p = g.greet()
		id, _ = readAs[*wire.Join](p)
		p.answer(wire.Request{ID: id}, snapshot("lobby", 7))
		pinged(t, c, p)
		require.Equal(t, []string{"resync 7"}, got.brief())
	})
}
