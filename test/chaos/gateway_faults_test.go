package chaos

import (
	"fmt"
	"io"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// Words of events, as the watch counts them.
const (
	toldAway         = string(wire.TypeAwayPeer)
	toldBack         = string(wire.TypeBackPeer)
	toldResync       = string(wire.TypeResync)
	toldDisconnected = string(wire.TypeLeftPeer) + " " + wire.ReasonDisconnected
)

func gatewayFaults() []*fault {
	return []*fault{
		{
			name: "gateway-kill", quick: true, inject: gatewayKill,
			what: "One of three gateways is killed (SIGKILL) under 250 calls of 500 sessions; beside them 10 clients on it " +
				"cannot resume.",
			expect: "All sessions resume elsewhere within 5 s (p99 of their reconnect); the leaves of those that cannot are " +
				"told within 8 s, once; 0 lost, 0 double.",
		},
		{
			name: "gateway-freeze-short", inject: gatewayFreezeShort,
			what:   "One gateway is frozen (SIGSTOP) for 3 s, half of its lease.",
			expect: "Nobody is taken for dead, no connection is lost; what waited is delivered.",
		},
		{
			name: "gateway-freeze-long", quick: true, inject: gatewayFreezeLong,
			what: "One gateway is frozen for 15 s, beyond its lease, and then goes on with all that its clients had sent it. " +
				"Heartbeats are of 2 s.",
			expect: "It is fenced: no write of it takes effect; its sessions resume elsewhere; it goes on as another node.",
		},
		{
			name: "gateway-starved", inject: gatewayStarved,
			what:   "One gateway gets 5 % of a processor for 20 s: it is frozen for 95 of every 100 ms, as a quota does it.",
			expect: "It keeps its lease, and its clients their connections.",
		},
		{
			name: "gateway-drain", inject: gatewayDrain,
			what:   "SIGTERM to one of three gateways with 1,000 sessions in 500 calls.",
			expect: "Its sessions move within the drain window, spread over it; no join fails; exit code 0 before the deadline.",
		},
		{
			name: "gateway-term-twice", inject: gatewayTermTwice,
			what:   "SIGTERM during the start, at 20 different moments; SIGTERM twice while 100 sessions drain.",
			expect: "It ends each time, the second signal ends it at once; nobody else is harmed.",
		},
		{
			name: "gateway-log-blocked", inject: gatewayLogBlocked,
			what: "Nobody reads the log of one gateway any more, which is a full pipe, while its subscriptions and clients come " +
				"and go; for 10 s.",
			expect: "It serves its clients.",
		},
		{
			name: "rolling-restart", inject: rollingRestart,
			what: "Three gateways are restarted one after the other (SIGTERM, start, ready) under 40 calls that go on and 15 " +
				"that are set up anew all the time.",
			expect: "0 failed call set-ups; 0 lost, 0 double; one move for each session and restart of its gateway.",
		},
	}
}

// on are the clients that a gateway has.
func on(g *gateway, parties []*party) []*party {
	var list []*party
	for _, p := range parties {
		if p.node() == g.name {
			list = append(list, p)
		}
	}
	return list
}

// awaitReturn waits until clients whose connection was lost after a moment are back, and gives their homecomings.
func (c *cluster) awaitReturn(parties []*party, after time.Time) []homecoming {
	c.t.Helper()
	var list []homecoming
	c.await(patience, "all clients are back", func() bool {
		list = c.watch.since(after)
		back := make(map[*party]bool, len(list))
		for _, h := range list {
			back[h.party] = true
		}
		for _, p := range parties {
			if !back[p] {
				return false
			}
		}
		return true
	})
	return list
}

// requireResumed demands that every client that came back has the session that it had.
func (c *cluster) requireResumed(list []homecoming) {
	c.t.Helper()
	c.figures.count("reconnects", len(list))
	c.figures.count("resumed", resumed(list))
	require.Equal(c.t, len(list), resumed(list), "every session goes on")
}

func gatewayKill(t *testing.T, f *figures) {
	c := newCluster(t, f, options{})
	victim, other := c.gateways[0], c.gateways[1]
	l := c.newLoad(loadOptions{calls: 250, every: 4 * time.Second})
	mixed := c.newLoad(loadOptions{calls: 10, party: func(_, member int) partyOptions {
		if member == 0 {
			return partyOptions{fleeting: true, dial: once(victim)}
		}
		return partyOptions{dial: to(other)}
	}})
	c.hold(time.Second)
	victims := on(victim, l.parties())
	killed := time.Now()
	victim.kill()
	list := c.awaitReturn(victims, killed)
	f.count("sessions", len(l.parties()))
	f.spread("resume", away(list))
	var leaves []time.Duration
	for _, k := range mixed.calls {
		gone, witness := k.parties[0], k.parties[1]
		id := gone.session()
		c.await(patience, "the leave is told", func() bool { return len(witness.heard(id)) > 0 })
		heard := witness.heard(id)
		leaves = append(leaves, heard[0].at.Sub(killed))
		gone.abandon()
	}
	f.spread("leave_told", leaves)
	c.settle(l, mixed)
	for _, k := range mixed.calls {
		heard := k.parties[1].heard(k.parties[0].session())
		require.Len(t, heard, 1, "once: %v", heard)
		require.Equal(t, wire.ReasonDisconnected, heard[0].what)
	}
	c.requireResumed(list)
	require.Less(t, quantile(away(list), 0.99), 5*time.Second)
	require.Less(t, quantile(leaves, 1), 8*time.Second)
}

func gatewayFreezeShort(t *testing.T, f *figures) {
	c := newCluster(t, f, options{})
	l := c.newLoad(loadOptions{calls: 30})
	c.hold(time.Second)
	victim := c.gateways[0]
	frozen := time.Now()
	victim.freeze()
	c.hold(3 * time.Second)
	victim.thaw()
	thawed := time.Now()
	c.hold(3 * time.Second)
	f.spread("latency_frozen", c.watch.latencies(frozen, thawed, nil))
	f.spread("latency_after", c.watch.latencies(thawed.Add(time.Second), time.Now(), nil))
	c.settle(l)
	f.count("reconnects", len(c.watch.since(frozen)))
	require.Zero(t, c.watch.count(toldDisconnected))
	require.Zero(t, c.watch.count(toldAway))
	require.Empty(t, c.watch.since(frozen))
	require.Zero(t, c.sum(metricReaped))
}

func gatewayFreezeLong(t *testing.T, f *figures) {
	c := newCluster(t, f, options{config: "session: {heartbeat: 2s, heartbeat_timeout: 1s}"})
	l := c.newLoad(loadOptions{calls: 30, every: 500 * time.Millisecond})
	c.hold(time.Second)
	victim := c.gateways[0]
	victims := on(victim, l.parties())
	frozen := time.Now()
	victim.freeze()
	c.hold(15 * time.Second)
	away1 := c.watch.count(toldAway)
	victim.thaw()
	thawed := time.Now()
	list := c.awaitReturn(victims, frozen)
	c.await(patience, "the gateway is ready again", victim.ready)
	f.duration("ready_after_thaw", time.Since(thawed))
	c.hold(2 * time.Second)
	f.count("sessions_on_it", len(victims))
	f.spread("resume", away(list))
	f.count("away_told", away1)
	f.count("lapsed", int(victim.metric(metricLapsed)))
	c.settle(l)
	require.Zero(t, c.watch.count(toldDisconnected))
	require.Equal(t, 1, int(victim.metric(metricLapsed)))
	require.Equal(t, 2, len(readyLines(victim.logText())), "it went on as another node")
	c.requireResumed(list)
}

func gatewayStarved(t *testing.T, f *figures) {
	c := newCluster(t, f, options{})
	l := c.newLoad(loadOptions{calls: 15})
	c.hold(time.Second)
	victim := c.gateways[0]
	began := time.Now()
	for time.Since(began) < 20*time.Second {
		victim.freeze()
		c.hold(95 * time.Millisecond)
		victim.thaw()
		c.hold(5 * time.Millisecond)
	}
	f.spread("latency", c.watch.latencies(began, time.Now(), nil))
	f.count("reconnects", len(c.watch.since(began)))
	f.count("lapsed", int(c.sum(metricLapsed)))
	c.settle(l)
	require.Zero(t, c.watch.count(toldDisconnected))
	require.Zero(t, int(c.sum(metricLapsed)))
}

func gatewayDrain(t *testing.T, f *figures) {
	c := newCluster(t, f, options{})
	l := c.newLoad(loadOptions{calls: 500, every: 10 * time.Second})
	short := c.newLoad(loadOptions{calls: 5, short: true})
	c.hold(time.Second)
	victim := c.gateways[0]
	victims := on(victim, append(l.parties(), short.parties()...))
	began := time.Now()
	took, code := victim.stop()
	moves := c.awaitMoves(victims, began)
	f.count("sessions_on_it", len(victims))
	f.duration("exit_after", took)
	f.count("exit_code", code)
	f.spread("moved_after", moves)
	f.count("most_in_100ms", mostWithin(moves, 100*time.Millisecond))
	c.settle(l, short)
	f.spread("setup", short.setups)
	f.count("failed_setups", len(short.failed))
	require.Empty(t, short.failed)
	require.Zero(t, code)
	require.Less(t, took, 25*time.Second)
	require.Zero(t, c.watch.count(toldDisconnected))
}

func gatewayTermTwice(t *testing.T, f *figures) {
	c := newCluster(t, f, options{})
	l := c.newLoad(loadOptions{calls: 50, every: 4 * time.Second})
	extra := newGateway(c, "g4", c.redis.flags(), config(options{capacity: 2}))
	const starts = 20
	var slowest time.Duration
	for i := range starts {
		require.NoError(t, extra.launch())
		c.hold(time.Duration(i) * 10 * time.Millisecond)
		took, _ := extra.stop()
		slowest = max(slowest, took)
	}
	f.count("starts", starts)
	f.duration("ended_within", slowest)
	victim := c.gateways[0]
	victims := on(victim, l.parties())
	began := time.Now()
	victim.signal(syscall.SIGTERM)
	c.hold(500 * time.Millisecond)
	select {
	case <-victim.running().Exited():
		t.Fatal("it does not take its time")
	default:
	}
	second := time.Now()
	victim.stop()
	f.duration("second_signal", time.Since(second))
	c.awaitMoves(victims, began)
	c.settle(l)
	require.Less(t, time.Since(second), patience)
	require.Less(t, slowest, 10*time.Second)
}

func gatewayLogBlocked(t *testing.T, f *figures) {
	c := newCluster(t, f, options{})
	g := newGateway(c, "g4", c.redis.flags(), config(options{capacity: 2}))
	reader, writer, err := os.Pipe()
	require.NoError(t, err)
	t.Cleanup(func() { _, _ = reader.Close(), writer.Close() })
	g.pipe = writer
	copied := make(chan struct{})
	c.running.Go(func() {
		defer close(copied)
		log, err := os.OpenFile(g.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = io.Copy(log, reader) // until its deadline
		_ = log.Close()
	})
	g.start()
	c.gateways = append(c.gateways, g)
	l := c.newLoad(loadOptions{calls: 10, every: 500 * time.Millisecond, party: func(_, member int) partyOptions {
		if member == 0 {
			return partyOptions{dial: to(g)}
		}
		return partyOptions{}
	}})
	require.NoError(t, reader.SetReadDeadline(time.Now()))
	<-copied
	fill(t, writer)
	blocked := time.Now()
	for time.Since(blocked) < 10*time.Second {
		c.redis.single.ClientKill("pubsub") // the gateway has something to say
		c.hold(time.Second)
	}
	f.spread("back", c.awaitService(l.parties(), blocked.Add(5*time.Second)))
	f.spread("latency", c.watch.latencies(blocked, time.Now(), nil))
	f.count("reconnects", len(c.watch.since(blocked)))
	require.True(t, g.live())
	require.True(t, g.ready())
	require.NoError(t, reader.SetReadDeadline(time.Time{}))
	c.running.Go(func() { _, _ = io.Copy(io.Discard, reader) }) // until the pipe is closed
	c.settle(l)
	require.Empty(t, c.watch.since(blocked))
}

// fill writes to a pipe until it takes no more.
func fill(t *testing.T, pipe *os.File) {
	t.Helper()
	file, err := os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", pipe.Fd()), os.O_WRONLY|syscall.O_NONBLOCK, 0)
	require.NoError(t, err)
	defer func() { _ = file.Close() }()
	require.NoError(t, file.SetWriteDeadline(time.Now().Add(500*time.Millisecond)))
	for {
		if _, err := file.Write([]byte{'\n'}); err != nil {
			require.ErrorIs(t, err, os.ErrDeadlineExceeded)
			return
		}
	}
}

func rollingRestart(t *testing.T, f *figures) {
	c := newCluster(t, f, options{})
	l := c.newLoad(loadOptions{calls: 40})
	short := c.newLoad(loadOptions{calls: 15, short: true})
	c.hold(2 * time.Second)
	began := time.Now()
	var moves []time.Duration
	var slowest time.Duration
	for _, g := range c.gateways {
		victims := on(g, append(l.parties(), short.parties()...))
		told := time.Now()
		took, code := g.stop()
		require.Zero(t, code)
		slowest = max(slowest, took)
		moves = append(moves, c.awaitMoves(victims, told)...)
		g.start()
		c.await(patience, "the balancer sees it", func() bool { return c.balancer.usable(g) })
		c.hold(2 * time.Second)
	}
	f.duration("took", time.Since(began))
	f.duration("slowest_exit", slowest)
	f.count("moves", len(moves))
	f.spread("moved_after", moves)
	f.spread("latency", c.watch.latencies(began, time.Now(), nil))
	c.settle(l, short)
	f.spread("setup", short.setups)
	f.count("setups", len(short.setups))
	f.count("failed_setups", len(short.failed))
	require.Empty(t, short.failed)
	require.Zero(t, c.watch.count(toldDisconnected))
}

// awaitMoves waits until clients have gone over to other gateways after a moment, and gives how long after it each did.
func (c *cluster) awaitMoves(parties []*party, after time.Time) []time.Duration {
	c.t.Helper()
	var moves []time.Duration
	c.await(patience, "all clients have moved", func() bool {
		moves = moves[:0]
		for _, p := range parties {
			if at := p.arrivedAfter(after); !at.IsZero() {
				moves = append(moves, at.Sub(after))
			}
		}
		return len(moves) == len(parties)
	})
	return moves
}
