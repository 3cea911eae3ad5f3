package chaos

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/internal/faultproxy"
	"github.com/signalbox-rtc/signalbox/pkg/auth"
	"github.com/signalbox-rtc/signalbox/pkg/client"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// Heartbeats that notice soon, for clients that fall silent.
const soonNoticed = "session: {heartbeat: 2s, heartbeat_timeout: 1s}\n"

func clientFaults() []*fault {
	return []*fault{
		{
			name: "client-roams", inject: clientRoams,
			what: "20 clients lose their network for 10 s, and come back by another one on another gateway; the old one never " +
				"hears of it. Heartbeats are of 2 s, and the clients try every 2 s at least.",
			expect: "The same seat, nothing lost, nothing twice; the other side sees away and back.",
		},
		{
			name: "client-gone", quick: true, inject: clientGone,
			what:   "20 clients lose their network for ever. Heartbeats are of 2 s, the grace is 5 s.",
			expect: "Away at the heartbeat's time-out, `left-peer` after the grace, once; then the seat is free.",
		},
		{
			name: "client-reload", quick: true, inject: clientReload,
			what:   "In a room of two a user's page is loaded again 20 times: new session, same user, rooms.same_user=replace.",
			expect: "It takes its own seat, never `room_full`.",
		},
		{
			name: "client-half-open", inject: clientDirection(faultproxy.Both(hold), 15*time.Second),
			what:   "Half-open: for 15 s nothing passes between 20 of 40 clients and the gateways, and no end hears of it. Heartbeats are of 2 s.",
			expect: "Heartbeats close the connections; resume works; 0 lost, 0 double.",
		},
		{
			name: "client-deaf", inject: clientDirection(faultproxy.Faults{Down: hold}, 15*time.Second),
			what:   "The same for the way from the gateways to the clients alone.",
			expect: "As above.",
		},
		{
			name: "client-mute", inject: clientDirection(faultproxy.Faults{Up: hold}, 15*time.Second),
			what:   "The same for the way from the clients to the gateways alone.",
			expect: "As above.",
		},
		{
			name: "client-lossy", inject: clientLossy,
			what:   "All of 40 clients have 300 ms of latency and 5 % loss in each direction for 20 s.",
			expect: "Calls go on and are set up; 0 lost, 0 double.",
		},
		{
			name: "slow-receiver", inject: slowReceiver,
			what:   "One of 8 in a room stops reading for 12 s, while 1.4 MB/s of messages come.",
			expect: "It is closed, and resumes from the log or is told by `resync`; the others' latency is unharmed.",
		},
		{
			name: "herd", inject: herd,
			what: "A gateway with 5,000 clients is killed; all come back to the two others at once, without jitter in their first " +
				"attempt.",
			expect: "The rate of accepts is bounded, all are back within the time that follows from it; memory is bounded.",
		},
	}
}

func clientRoams(t *testing.T, f *figures) {
	c := newCluster(t, f, options{config: soonNoticed})
	const calls = 20
	lines := make([]*line, calls)
	for i := range lines {
		lines[i] = c.newLine()
	}
	l := c.newLoad(loadOptions{calls: calls, every: 500 * time.Millisecond, party: func(call, member int) partyOptions {
		if member == 0 {
			return partyOptions{dial: lines[call].dialContext, backoff: client.Backoff{Max: 2 * time.Second}}
		}
		return partyOptions{}
	}})
	c.hold(time.Second)
	lost := time.Now()
	var roamers []*party
	before := make(map[*party]string)
	for _, k := range l.calls {
		roamers = append(roamers, k.parties[0])
		before[k.parties[0]] = k.parties[0].node()
	}
	for _, line := range lines {
		line.lose()
	}
	c.hold(10 * time.Second)
	for _, k := range l.calls {
		roamer := k.parties[0]
		lines[k.index].elsewhere(c.except(c.named(before[roamer])))
	}
	back := time.Now()
	list := c.awaitReturn(roamers, lost)
	c.hold(2 * time.Second)
	var aways, backs []time.Duration
	for _, k := range l.calls {
		roamer, witness := k.parties[0], k.parties[1]
		require.NotEqual(t, before[roamer], roamer.node(), "another gateway")
		heard := witness.heard(roamer.session())
		require.Len(t, heard, 2, "%v", heard)
		require.Equal(t, []string{"away", "back"}, []string{heard[0].what, heard[1].what})
		aways, backs = append(aways, heard[0].at.Sub(lost)), append(backs, heard[1].at.Sub(back))
	}
	f.spread("away_told", aways)
	f.spread("back_told", backs)
	c.settle(l)
	c.requireResumed(list)
}

func clientGone(t *testing.T, f *figures) {
	c := newCluster(t, f, options{config: soonNoticed + "rooms: {grace: 5s}"})
	const calls = 20
	lines := make([]*line, calls)
	for i := range lines {
		lines[i] = c.newLine()
	}
	l := c.newLoad(loadOptions{calls: calls, party: func(call, member int) partyOptions {
		if member == 0 {
			return partyOptions{dial: lines[call].dialContext}
		}
		return partyOptions{}
	}})
	c.hold(time.Second)
	lost := time.Now()
	for _, line := range lines {
		line.lose()
	}
	var aways, leaves []time.Duration
	for _, k := range l.calls {
		gone, witness := k.parties[0], k.parties[1]
		id := gone.session()
		c.await(patience, "away and left are told", func() bool { return len(witness.heard(id)) >= 2 })
		gone.abandon()
	}
	l.end()
	third := c.newLoad(loadOptions{calls: 1})
	for _, k := range l.calls {
		p := third.calls[0].parties[0]
		require.NoError(t, p.leave(c.ctx))
		require.NoError(t, p.join(c.ctx, k.room), "the seat is free")
	}
	c.settle(l, third)
	for _, k := range l.calls {
		heard := k.parties[1].heard(k.parties[0].session())
		require.Len(t, heard, 2, "once: %v", heard)
		require.Equal(t, []string{"away", wire.ReasonDisconnected}, []string{heard[0].what, heard[1].what})
		aways, leaves = append(aways, heard[0].at.Sub(lost)), append(leaves, heard[1].at.Sub(heard[0].at))
	}
	f.spread("away_told", aways)
	f.spread("left_after_away", leaves)
}

// A key of the app that the reloading user belongs to.
const reloadKey = "0123456789abcdef0123456789abcdef"

func clientReload(t *testing.T, f *figures) {
	c := newCluster(t, f, options{config: "rooms: {same_user: replace}\napps:\n" +
		"- {id: acme, keys: [{id: k1, algorithm: HS256, secret: '" + reloadKey + "'}], policy: {capacity: 2}}\n"})
	token := func(user string) string {
		text, err := auth.Sign(auth.SigningKey{ID: "k1", Algorithm: auth.HS256, Secret: reloadKey}, auth.Claims{
			App: "acme", User: user, Expires: time.Now().Add(time.Hour), Grants: []auth.Grant{{Room: "*", Can: auth.Permissions{Publish: true}}},
		})
		require.NoError(t, err)
		return text
	}
	ctx, cancel := context.WithTimeout(c.ctx, patience)
	defer cancel()
	bob, err := c.dialParty(ctx, "bob", partyOptions{token: token("bob")})
	require.NoError(t, err)
	require.NoError(t, bob.join(ctx, "room"))
	const reloads = 20
	var times []time.Duration
	var page *party
	for i := range reloads {
		line := c.newLine()
		next, err := c.dialParty(ctx, fmt.Sprint("ada-", i), partyOptions{token: token("ada"), dial: line.dialContext})
		require.NoError(t, err)
		began := time.Now()
		require.NoError(t, next.join(ctx, "room"), "never room_full")
		times = append(times, time.Since(began))
		if page != nil {
			page.abandon()
		}
		page = next
		_, err = page.send(ctx, bob.session(), candidateBytes)
		require.NoError(t, err)
		line.lose()
	}
	f.count("reloads", reloads)
	f.spread("join", times)
	page.abandon()
	all, _ := c.watch.errors()
	require.Zero(t, all[string(wire.CodeRoomFull)])
	require.EventuallyWithT(t, func(now *assert.CollectT) { // the last of them is told behind the answer to the join
		require.Equal(now, reloads-1, c.watch.count(string(wire.TypeLeftPeer)+" replaced"))
	}, 10*time.Second, 10*time.Millisecond)
	c.judge()
}

// clientDirection has a fault between half of the clients and the gateways for a while.
func clientDirection(faults faultproxy.Faults, lasts time.Duration) func(*testing.T, *figures) {
	return func(t *testing.T, f *figures) {
		c := newCluster(t, f, options{config: soonNoticed})
		proxy := c.newProxy(faultproxy.Options{Target: c.balancer.target})
		l := c.newLoad(loadOptions{calls: 20, every: 500 * time.Millisecond, party: func(_, member int) partyOptions {
			if member == 0 {
				return partyOptions{dial: throughProxy(proxy)}
			}
			return partyOptions{}
		}})
		c.hold(time.Second)
		broken := time.Now()
		proxy.Set(faults)
		c.hold(lasts)
		proxy.Set(faultproxy.Faults{})
		healed := time.Now()
		served := c.awaitService(l.parties(), healed)
		c.hold(2 * time.Second)
		list := c.watch.since(broken)
		f.spread("back", served)
		f.count("away_told", c.watch.count(toldAway))
		f.count("back_told", c.watch.count(toldBack))
		c.settle(l)
		require.Zero(t, c.watch.count(toldDisconnected))
		c.requireResumed(list)
	}
}

func clientLossy(t *testing.T, f *figures) {
	c := newCluster(t, f, options{config: soonNoticed})
	proxy := c.newProxy(faultproxy.Options{Target: c.balancer.target})
	through := func(int, int) partyOptions { return partyOptions{dial: throughProxy(proxy)} }
	l := c.newLoad(loadOptions{calls: 15, party: through})
	short := c.newLoad(loadOptions{calls: 5, short: true, party: through})
	began := time.Now()
	proxy.Set(faultproxy.Both(faultproxy.Direction{Latency: 150 * time.Millisecond, Loss: 0.05}))
	c.hold(20 * time.Second)
	f.spread("latency", c.watch.latencies(began, time.Now(), nil))
	f.count("reconnects", len(c.watch.since(began)))
	c.settle(l, short)
	f.spread("setup", short.setups)
	f.count("failed_setups", len(short.failed))
	require.Empty(t, short.failed)
}

func slowReceiver(t *testing.T, f *figures) {
	c := newCluster(t, f, options{capacity: 8})
	var gate sync.Mutex // held while the slow one does not read
	l := c.newLoad(loadOptions{calls: 1, size: 8, still: true, party: func(_, member int) partyOptions {
		if member == 0 {
			return partyOptions{slow: func() {
				gate.Lock()
				defer gate.Unlock()
			}}
		}
		return partyOptions{}
	}})
	slow := l.calls[0].parties[0]
	others := map[*party]bool{slow: true}
	before := time.Now()
	ctx, stop := context.WithCancel(c.ctx)
	for _, p := range l.calls[0].parties[1:] {
		l.group.Go(func() { p.shout(ctx, 100*time.Millisecond, 20_000) })
	}
	c.hold(4 * time.Second)
	calm := c.watch.latencies(before, time.Now(), others)
	stalled := time.Now()
	gate.Lock()
	c.hold(12 * time.Second)
	during := c.watch.latencies(stalled, time.Now(), others)
	closed := c.logged("session is too slow")
	gate.Unlock()
	stop()
	list := c.awaitReturn([]*party{slow}, stalled)
	f.duration("others_before_p50", quantile(calm, 0.5))
	f.duration("others_during_p50", quantile(during, 0.5))
	f.duration("others_before_p99", quantile(calm, 0.99))
	f.duration("others_during_p99", quantile(during, 0.99))
	f.count("closed_as_slow", closed)
	f.tally("came_back_by", resultsOf(list))
	c.settle(l)
	require.NotZero(t, closed)
	require.Less(t, quantile(during, 0.99), max(10*quantile(calm, 0.99), time.Second), "the others are unharmed")
	require.Zero(t, c.watch.count(toldDisconnected))
}

// shout sends large messages to the room.
func (p *party) shout(going context.Context, every time.Duration, filling int) {
	for pause(going, every) {
		_, _ = p.send(p.c.ctx, "", filling)
	}
}

// burst has some clients send large messages to their rooms at once.
func burst(parties []*party, each, filling int) {
	var sending sync.WaitGroup
	for _, p := range parties {
		sending.Go(func() {
			for range each {
				_, _ = p.send(p.c.ctx, "", filling)
			}
		})
	}
	sending.Wait()
}

// What a gateway accepts unless it is told otherwise.
const acceptsPerSecond, acceptsBurst = 500, 500

func herd(t *testing.T, f *figures) {
	const clients, size = 5000, 4
	c := newCluster(t, f, options{capacity: size})
	victim := c.gateways[0]
	var over atomic.Bool
	atOnce := client.Backoff{Random: func() float64 { return 0 }}
	l := c.newLoad(loadOptions{calls: clients / size, size: size, every: 10 * time.Minute, party: func(int, int) partyOptions {
		return partyOptions{backoff: atOnce, dial: switching(&over, to(victim), c.balancer.dial)}
	}})
	parties := l.parties()
	memory := c.gateways[1].memory() + c.gateways[2].memory()
	over.Store(true)
	killed := time.Now()
	victim.kill()
	list := c.awaitReturn(parties, killed)
	var moments []time.Duration
	for _, h := range list {
		moments = append(moments, h.at.Sub(killed))
	}
	f.spread("back", moments)
	f.count("most_in_1s", mostWithin(moments, time.Second))
	f.count("refused", int(c.sum(metricRefused)))
	f.megabytes("memory_of_two_before", memory)
	f.megabytes("memory_of_two_after", c.gateways[1].memory()+c.gateways[2].memory())
	f.count("left_told", c.watch.count(toldDisconnected))
	c.settle(l)
	c.requireResumed(list)
	require.NotZero(t, c.sum(metricRefused))
	require.LessOrEqual(t, mostWithin(moments, time.Second), 3*(acceptsPerSecond+acceptsBurst), "what two accept, and what waited for Redis")
	require.Less(t, quantile(moments, 1), 20*time.Second, "twice the time that the accepts take, and the pauses of Retry-After")
	require.Less(t, c.gateways[1].memory()+c.gateways[2].memory(), int64(1<<30))
}
