package quota_test

import (
	"context"
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/auth"
	"github.com/signalbox-rtc/signalbox/pkg/quota"
)

func enter(t *testing.T, k *quota.Keeper, user, address string) (*quota.Session, *quota.Refusal) {
	t.Helper()
	var addr netip.Addr
	if address != "" {
		addr = netip.MustParseAddr(address)
	}
	return k.Enter(app, user, addr, false)
}

func mustEnter(t *testing.T, k *quota.Keeper, user, address string) *quota.Session {
	t.Helper()
	s, refusal := enter(t, k, user, address)
	require.Nil(t, refusal)
	return s
}

func refusals(t *testing.T, n *node, name, scope string) float64 {
	t.Helper()
	families, err := n.registry.Gather()
	require.NoError(t, err)
	for _, family := range families {
		for _, m := range family.GetMetric() {
			if l := m.GetLabel(); family.GetName() == "signalbox_quota_refused_total" && l[0].GetValue() == name && l[1].GetValue() == scope {
				return m.GetCounter().GetValue()
			}
		}
	}
	t.Fatalf("no refusals of %s by %s", name, scope)
	return 0
}

func TestConnectionsOfUsersAndAddresses(t *testing.T) {
	c := newCluster(t, 1, map[string]auth.Quotas{app: {
		PerUser: auth.HolderQuotas{Connections: 2}, PerIP: auth.HolderQuotas{Connections: 3}}})
	n := c.nodes[0]
	first := mustEnter(t, n.Keeper, "ada", "192.0.2.1")
	mustEnter(t, n.Keeper, "ada", "192.0.2.2")
	_, refusal := enter(t, n.Keeper, "ada", "192.0.2.3")
	require.Equal(t, []any{"connections", "user", false}, []any{refusal.Quota, refusal.Scope, refusal.Passing})
	require.InDelta(t, 5.6, refusal.RetryAfter.Seconds(), 0.7)
	mustEnter(t, n.Keeper, "bob", "192.0.2.1")
	mustEnter(t, n.Keeper, "eve", "::ffff:192.0.2.1")
	_, refusal = enter(t, n.Keeper, "dan", "192.0.2.1")
	require.Equal(t, []any{"connections", "ip", false}, []any{refusal.Quota, refusal.Scope, refusal.Passing})
	first.Leave()
	mustEnter(t, n.Keeper, "ada", "192.0.2.1")
	require.EqualValues(t, []float64{1, 1}, []float64{refusals(t, n, "connections", "user"), refusals(t, n, "connections", "ip")})
	_, refusal = enter(t, n.Keeper, "ada", "192.0.2.9")
	require.NotNil(t, refusal)
	back, refusal := n.Enter(app, "ada", netip.MustParseAddr("192.0.2.1"), true)
	require.Nil(t, refusal, "who comes back was let in before")
	back.Leave()

	for i := range 3 { // of one /64
		mustEnter(t, n.Keeper, fmt.Sprint("six", i), fmt.Sprintf("2001:db8:1:2::%d", i+1))
	}
	_, refusal = enter(t, n.Keeper, "six", "2001:db8:1:2:ffff::1%eth0")
	require.Equal(t, "ip", refusal.Scope)
	mustEnter(t, n.Keeper, "six", "2001:db8:1:3::1")
	for i := range 9 { // an address that is not known is nobody's
		mustEnter(t, n.Keeper, fmt.Sprint("unknown", i), "")
	}
}

// A refused connection is counted nowhere.
func TestRefusedConnectionsAreNotCounted(t *testing.T) {
	c := newCluster(t, 1, map[string]auth.Quotas{app: {
		Connections: 1, PerUser: auth.HolderQuotas{Connections: 2}, PerIP: auth.HolderQuotas{Connections: 2}}})
	k := c.nodes[0].Keeper
	s := mustEnter(t, k, "ada", "192.0.2.1")
	for range 5 {
		_, refusal := enter(t, k, "ada", "192.0.2.1")
		require.Equal(t, []any{"app", false}, []any{refusal.Scope, refusal.Passing})
	}
	s.Leave()
	mustEnter(t, k, "ada", "192.0.2.1")
}

func TestRates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1, map[string]auth.Quotas{app: {
			PerSession: auth.RateQuotas{MessagesPerSecond: 10, BytesPerSecond: 2000, JoinsPerSecond: 1},
			PerUser:    auth.HolderQuotas{RateQuotas: auth.RateQuotas{MessagesPerSecond: 15}},
			PerIP:      auth.HolderQuotas{RateQuotas: auth.RateQuotas{MessagesPerSecond: 18}},
		}})
		n := c.nodes[0]
		one, two := mustEnter(t, n.Keeper, "ada", "192.0.2.1"), mustEnter(t, n.Keeper, "ada", "192.0.2.1")
		three := mustEnter(t, n.Keeper, "bob", "192.0.2.1")
		until := func(s *quota.Session) (sent int, refusal *quota.Refusal) {
			for ; ; sent++ {
				if refusal := s.Message(1); refusal != nil {
					return sent, refusal
				}
			}
		}
		for range 3 {
			sent, refusal := until(one)
			require.Equal(t, 10, sent)
			require.Equal(t, quota.Refusal{Quota: "messages", Scope: "session", Passing: true, RetryAfter: refusal.RetryAfter}, *refusal)
			require.InDelta(t, 0.112, refusal.RetryAfter.Seconds(), 0.013)
			sent, refusal = until(two)
			require.Equal(t, []any{5, "user"}, []any{sent, refusal.Scope}, "what its user has left")
			sent, refusal = until(three)
			require.Equal(t, []any{3, "ip"}, []any{sent, refusal.Scope}, "what its address has left")
			time.Sleep(2 * time.Second)
		}
		require.Nil(t, one.Message(2000))
		refusal := one.Message(500)
		require.Equal(t, "bytes", refusal.Quota)
		require.InDelta(t, 0.28, refusal.RetryAfter.Seconds(), 0.04)
		time.Sleep(time.Second)
		require.Nil(t, one.Message(1<<20), "as much as there can be is enough for what is larger")
		require.Nil(t, two.Join())
		require.Equal(t, "joins", two.Join().Quota)
		require.EqualValues(t, 1, refusals(t, n, "joins", "session"))

		c.quotas[app] = auth.Quotas{PerSession: auth.RateQuotas{MessagesPerSecond: 100}}
		c.pass()
		sent, _ := until(two)
		require.Equal(t, 100, sent, "changed quotas hold at once")
		delete(c.quotas, app)
		c.pass()
		for range 1000 {
			require.Nil(t, two.Message(1000))
			require.Nil(t, two.Join())
		}
	})
}

// What all nodes take of an app's messages and bytes in a time is at most what its quota gives for that time and one second more, and
// one message more for each node, wherever they come from.
func TestRatesOfAnAppHoldWithinTheTolerance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const perSecond, bytesPerSecond, size, nodes = 50, 20_000, 700, 3
		c := newCluster(t, nodes, map[string]auth.Quotas{app: {MessagesPerSecond: perSecond}, "bytes": {BytesPerSecond: bytesPerSecond}})
		for _, n := range c.nodes {
			require.True(t, n.enter(app))
			require.True(t, n.enter("bytes"))
		}
		begun := time.Now()
		var messages, bytes float64
		for tick := range 3000 { // of 10 ms; ten times the quota, for seconds at one node, then at another one
			time.Sleep(10 * time.Millisecond)
			loud := c.nodes[tick/1000%nodes]
			for range 5 {
				if loud.sessions[0].Message(10) == nil {
					messages++
				}
				if loud.sessions[1].Message(size) == nil {
					bytes += size
				}
			}
			if tick%100 == 33 {
				c.pass()
			}
			elapsed := time.Since(begun).Seconds()
			require.LessOrEqual(t, messages, perSecond*(elapsed+1)+nodes)
			require.LessOrEqual(t, bytes, bytesPerSecond*(elapsed+1)+nodes*1000)
		}
		require.Greater(t, messages, 0.6*perSecond*time.Since(begun).Seconds(), "most of it can be used, though where changes all the time")
		require.Greater(t, bytes, 0.6*bytesPerSecond*time.Since(begun).Seconds())
	})
}

func TestHoldersAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 0, map[string]auth.Quotas{app: {PerUser: auth.HolderQuotas{Connections: 1}}})
		n := c.start(func(o *quota.Options) { o.Holders = 10 })
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- n.Run(ctx) }()
		require.NoError(t, n.WaitReady(ctx))
		var sessions []*quota.Session
		for i := range 20 {
			sessions = append(sessions, mustEnter(t, n.Keeper, fmt.Sprint(i), ""))
		}
		require.Equal(t, 10, n.Holders())
		mustEnter(t, n.Keeper, "15", "").Leave() // nobody is held to anything past that
		_, refusal := enter(t, n.Keeper, "5", "")
		require.NotNil(t, refusal)
		for _, s := range sessions {
			s.Leave()
		}
		require.Equal(t, 10, n.Holders(), "they are remembered for a while: their rates are not to begin anew")
		time.Sleep(30 * time.Second)
		require.Zero(t, n.Holders())
		cancel()
		require.NoError(t, <-ended)
	})
}

// A seat is counted from when it is asked for, and those of sessions that come back without being refused.
func TestSeats(t *testing.T) {
	c := newCluster(t, 1, map[string]auth.Quotas{app: {Members: 2}})
	require.True(t, c.nodes[0].enter(app))
	a := c.nodes[0].sessions[0].App()
	require.Nil(t, a.TakeSeat())
	require.Nil(t, a.TakeSeat())
	require.Equal(t, []any{"members", "app"}, []any{a.TakeSeat().Quota, a.TakeSeat().Scope})
	a.AddSeat()
	a.FreeSeat()
	require.NotNil(t, a.TakeSeat())
	a.FreeSeat()
	require.Nil(t, a.TakeSeat())
}

func TestMetrics(t *testing.T) {
	c := newCluster(t, 2, map[string]auth.Quotas{app: {Connections: 10}, "x": {Connections: 10}, "y": {Connections: 4}})
	for range 3 {
		require.True(t, c.nodes[0].enter(app))
	}
	require.True(t, c.nodes[1].enter(app))
	require.True(t, c.nodes[1].enter("x"))
	require.True(t, c.nodes[1].enter("y"))
	c.pass()
	c.pass()
	ratios := make(map[string]float64)
	families, err := c.nodes[0].registry.Gather()
	require.NoError(t, err)
	for _, family := range families {
		if family.GetName() == "signalbox_quota_usage_ratio" {
			for _, m := range family.GetMetric() {
				ratios[m.GetLabel()[0].GetValue()+" "+m.GetLabel()[1].GetValue()] = m.GetGauge().GetValue()
			}
		}
	}
	require.Equal(t, map[string]float64{
		"acme connections": 0.4, "other connections": 0.25, "other members": 0, "other rooms": 0, "other messages": 0, "other bytes": 0}, ratios)
	for range 5 {
		_, refusal := c.nodes[0].Enter("y", "ada", netip.Addr{}, false)
		if refusal != nil {
			require.True(t, refusal.Passing, "there is some left, which the other node has claimed")
			break
		}
	}
	problems, err := testutil.GatherAndLint(c.nodes[0].registry)
	require.NoError(t, err)
	require.Empty(t, problems)
}

func TestOptionsAreChecked(t *testing.T) {
	_, err := quota.New(quota.Options{})
	require.ErrorContains(t, err, "are needed")
}

func benchmarkKeeper(b *testing.B, quotas auth.Quotas) *quota.Session {
	k, err := quota.New(quota.Options{
		Node: "n", Quotas: func(string) auth.Quotas { return quotas }, Registerer: prometheus.NewRegistry(),
		Exchange:   func(context.Context, []byte) (time.Time, map[string][]byte, error) { return time.Now(), nil, nil },
		CountRooms: func(context.Context, []string) (map[string]int64, error) { return nil, nil },
	})
	require.NoError(b, err)
	s, refusal := k.Enter(app, "ada", netip.MustParseAddr("192.0.2.1"), true)
	require.Nil(b, refusal)
	for range 3 {
		k.Period(context.Background())
	}
	return s
}

// What quotas cost a message.
func BenchmarkMessage(b *testing.B) {
	const much = 1_000_000_000
	rates := auth.RateQuotas{MessagesPerSecond: much, BytesPerSecond: much}
	holder := auth.HolderQuotas{RateQuotas: rates}
	for _, bc := range []struct {
		name   string
		quotas auth.Quotas
	}{
		{"none", auth.Quotas{}},
		{"connections", auth.Quotas{Connections: much}},
		{"app", auth.Quotas{MessagesPerSecond: much, BytesPerSecond: much}},
		{"all", auth.Quotas{MessagesPerSecond: much, BytesPerSecond: much, PerSession: rates, PerUser: holder, PerIP: holder}},
	} {
		b.Run(bc.name, func(b *testing.B) {
			s := benchmarkKeeper(b, bc.quotas)
			b.ReportAllocs()
			for b.Loop() {
				if s.Message(100) != nil {
					b.Fatal("refused")
				}
			}
		})
	}
}

// A message of an app without quotas costs no memory, nor does one that is let pass.
func TestMessagesCostNoMemory(t *testing.T) {
	for _, quotas := range []auth.Quotas{{}, {MessagesPerSecond: 1 << 30, PerSession: auth.RateQuotas{BytesPerSecond: 1 << 30}}} {
		c := newCluster(t, 1, map[string]auth.Quotas{app: quotas})
		s := mustEnter(t, c.nodes[0].Keeper, "ada", "192.0.2.1")
		require.Zero(t, testing.AllocsPerRun(100, func() { _ = s.Message(100) }))
	}
}

// What the server API does counts as what clients do, and an app without quotas costs no entry.
func TestOperator(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1, map[string]auth.Quotas{app: {Rooms: 2, MessagesPerSecond: 3, BytesPerSecond: 1 << 20}})
		n := c.nodes[0]
		op := n.Operator(app)
		s := mustEnter(t, n.Keeper, "ada", "192.0.2.1")
		require.Nil(t, op.TakeMessage(10), "at once: an app that was not in use has its rates whole")
		require.Nil(t, s.Message(10))
		require.Nil(t, op.TakeMessage(10))
		refusal := op.TakeMessage(10)
		require.Equal(t, []any{"messages", "app", true}, []any{refusal.Quota, refusal.Scope, refusal.Passing})
		require.NotNil(t, s.Message(10))
		time.Sleep(time.Second)
		require.Nil(t, s.Message(10))

		for range 2 { // the rooms are counted
			c.pass()
		}
		require.Nil(t, op.TakeRoom())
		op.RoomAnswered(false)
		for range 2 {
			require.Nil(t, op.TakeRoom())
			op.RoomAnswered(true)
		}
		require.Equal(t, "rooms", op.TakeRoom().Quota)
		require.NotNil(t, s.App().TakeRoom())

		other := n.Operator("other")
		require.Nil(t, other.TakeMessage(1<<30))
		require.Nil(t, other.TakeRoom())
		other.RoomAnswered(true)
		require.Equal(t, 1, n.Apps())
	})
}
