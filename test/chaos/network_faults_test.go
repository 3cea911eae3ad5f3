package chaos

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/internal/faultproxy"
)

func networkFaults() []*fault {
	slow := faultproxy.Both(faultproxy.Direction{Latency: 75 * time.Millisecond, Jitter: 50 * time.Millisecond})
	return []*fault{
		{
			name: "subscription-kill", quick: true, inject: outage{
				begin: func(*cluster) {}, during: func(c *cluster) {
					killed := 0
					for range 20 {
						killed += c.redis.single.ClientKill("pubsub")
						c.hold(250 * time.Millisecond)
					}
					c.figures.count("killed", killed)
				}, within: 3 * time.Second, settled: requireNoErrors,
			}.run,
			what:   "CLIENT KILL TYPE pubsub four times a second for 5 s.",
			expect: "0 lost, 0 double; no request is refused.",
		},
		{
			name: "subscription-stall", inject: subscriptionStall,
			what: "The subscriptions of one gateway get nothing any more (a proxy keeps what Redis sends), its commands go on; " +
				"for 12 s.",
			expect: "The canary notices within 5 s; the gateway subscribes anew and replays; 0 lost, 0 double.",
		},
		{
			name: "subscription-stall-all", inject: subscriptionStallAll,
			what:   "The same for all gateways, new subscriptions too: nothing is heard for 10 s.",
			expect: "Nothing is lost: all that was said comes when they are heard again.",
		},
		{
			name: "subscription-slow", inject: subscriptionSlow,
			what: "A gateway reads slowly (frozen for 2 s at a time) in a burst of large messages, and Redis cuts its " +
				"subscriptions off (client-output-buffer-limit).",
			expect: "It is survived; 0 lost, 0 double.",
		},
		{
			name: "redis-slow", inject: throughRedisProxy(slow, 15*time.Second, nil),
			what:   "The way to Redis takes 200 ms ± 50 there and back, for 15 s.",
			expect: "Everything goes on, later; no request fails.",
		},
		{
			name: "redis-loss", inject: throughRedisProxy(faultproxy.Both(faultproxy.Direction{Loss: 0.1}), 15*time.Second, nil),
			what:   "10 % of the packets to and from Redis are lost (as long as TCP takes to send them again), for 15 s.",
			expect: "It works, slower; nothing lost.",
		},
		{
			name: "redis-bandwidth", inject: throughRedisProxy(faultproxy.Both(faultproxy.Direction{BytesPerSecond: 125_000 / 8}), 15*time.Second, boundedMemory),
			what:   "1 Mbit/s in each direction for all of a gateway's connections to Redis together, for 15 s.",
			expect: "It works, slower; memory bounded.",
		},
		{
			name: "gateway-partition", inject: gatewayPartition,
			what: "One gateway is cut off from Redis for 20 s, the others are not. Readiness is held down for 5 s.",
			expect: "It turns unready; its peers are told away after its lease; their requests get retryable errors, and they " +
				"resume as soon as it is back: nobody has a seat twice.",
		},
	}
}

// subscribes tells what goes to Redis over a connection that subscribes.
func subscribes(piece []byte) bool {
	return bytes.Contains(bytes.ToLower(piece), []byte("subscribe\r\n"))
}

// redisProxy stands between one gateway, or all, and the single Redis.
func (c *cluster) redisProxy() *faultproxy.Proxy {
	return c.newProxy(faultproxy.Options{
		Target: func() (string, error) { return c.redis.single.Addr(), nil },
		Mark:   subscribes,
	})
}

// behindProxies leads the gateways to Redis through a proxy each.
func behindProxies(proxies map[int]*faultproxy.Proxy, which func(i int) bool) func(*cluster, int) []string {
	return func(c *cluster, i int) []string {
		if !which(i) {
			return c.redis.flags()
		}
		proxies[i] = c.redisProxy()
		return []string{"--redis.addresses=" + proxies[i].Addr()}
	}
}

func everyGateway(int) bool   { return true }
func firstGateway(i int) bool { return i == 0 }

// throughRedisProxy has a fault on all ways to Redis for a while.
func throughRedisProxy(faults faultproxy.Faults, lasts time.Duration, during func(*cluster)) func(*testing.T, *figures) {
	return func(t *testing.T, f *figures) {
		proxies := make(map[int]*faultproxy.Proxy)
		set := func(faults faultproxy.Faults) {
			for _, proxy := range proxies {
				proxy.Set(faults)
				proxy.SetMarked(faults)
			}
		}
		outage{
			options: options{lead: behindProxies(proxies, everyGateway)},
			for_:    lasts, within: 5 * time.Second, during: during, every: time.Second,
			begin: func(*cluster) { set(faults) },
			end:   func(*cluster) { set(faultproxy.Faults{}) },
		}.run(t, f)
	}
}

func boundedMemory(c *cluster) {
	c.figures.megabytes("memory", c.memory())
	require.Less(c.t, c.memory(), int64(3*256<<20))
}

func subscriptionStall(t *testing.T, f *figures) {
	proxies := make(map[int]*faultproxy.Proxy)
	outage{
		options: options{lead: behindProxies(proxies, firstGateway)},
		for_:    12 * time.Second, within: 3 * time.Second,
		begin: func(c *cluster) {
			_, marked := proxies[0].Connections()
			require.NotZero(t, marked)
			stalled := time.Now()
			before := c.gateways[0].metric(metricReconnects)
			proxies[0].StallMarked(faultproxy.Faults{Down: hold})
			c.await(patience, "the canary notices", func() bool { return c.gateways[0].metric(metricReconnects) > before })
			f.duration("noticed", time.Since(stalled))
			require.Less(t, time.Since(stalled), 5*time.Second)
		},
		settled: requireNoErrors,
	}.run(t, f)
}

func subscriptionStallAll(t *testing.T, f *figures) {
	proxies := make(map[int]*faultproxy.Proxy)
	outage{
		options: options{lead: behindProxies(proxies, everyGateway)},
		for_:    10 * time.Second, within: 5 * time.Second,
		begin: func(*cluster) {
			for _, proxy := range proxies {
				proxy.SetMarked(faultproxy.Faults{Down: hold})
			}
		},
		during: requireLive,
		end: func(*cluster) {
			for _, proxy := range proxies {
				proxy.SetMarked(faultproxy.Faults{})
			}
		},
	}.run(t, f)
}

func subscriptionSlow(t *testing.T, f *figures) {
	outage{
		calls: 10, drops: true,
		begin: func(c *cluster) {
			c.redis.single.Config("client-output-buffer-limit", "pubsub 256kb 128kb 1")
			victim := c.gateways[0]
			others := without(on(victim, c.all()), c.all())
			before := victim.metric(metricReconnects)
			cut := func() int { return int(victim.metric(metricReconnects) - before) }
			for round := 0; round < 3 || cut() == 0 && round < 10; round++ { // how much the sockets hold is the kernel's to say
				victim.freeze()
				burst(others, 45, 40_000)
				c.hold(time.Second)
				victim.thaw()
				c.hold(3 * time.Second)
			}
			f.count("cut_off", cut())
			require.NotZero(t, cut())
		},
	}.run(t, f)
}

// without gives the clients that are not among some.
func without(some, all []*party) []*party {
	return slices.DeleteFunc(slices.Clone(all), func(p *party) bool { return slices.Contains(some, p) })
}

func gatewayPartition(t *testing.T, f *figures) {
	proxies := make(map[int]*faultproxy.Proxy)
	c := newCluster(t, f, options{
		lead: behindProxies(proxies, firstGateway), config: "readiness: {hold_down: 5s}",
	})
	l := c.newLoad(loadOptions{calls: 30, every: 500 * time.Millisecond})
	c.hold(time.Second)
	victim := c.gateways[0]
	victims := on(victim, l.parties())
	cut := time.Now()
	proxies[0].Set(faultproxy.Both(hold))
	proxies[0].SetMarked(faultproxy.Both(hold))
	c.await(patience, "it turns unready", func() bool { return !victim.ready() })
	f.duration("unready_after", time.Since(cut))
	require.True(t, victim.live())
	c.hold(20*time.Second - time.Since(cut))
	f.count("resumed_meanwhile", resumed(c.watch.since(cut)))
	proxies[0].Set(faultproxy.Faults{})
	proxies[0].SetMarked(faultproxy.Faults{})
	healed := time.Now()
	list := c.awaitReturn(victims, cut)
	c.await(patience, "it is ready again", victim.ready)
	f.duration("ready_after_heal", time.Since(healed))
	f.count("sessions_on_it", len(victims))
	f.spread("resume", away(list))
	f.count("away_told", c.watch.count(toldAway))
	c.settle(l)
	require.Zero(t, c.watch.count(toldDisconnected))
	c.requireResumed(list)
}
