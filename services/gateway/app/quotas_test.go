package app_test

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/auth"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
	"github.com/signalbox-rtc/signalbox/services/gateway/app"
)

// tenant is an app with quotas, and what it was let do.
type tenant struct {
	id      string
	peers   []*peer
	taken   atomic.Int64
	refused atomic.Int64
	late    atomic.Int64 // answers other than those of quotas
}

// say sends as many messages as are due by a load of so many a second since begun, each by another of the tenant's clients in turns.
func (x *tenant) say(perSecond float64, begun time.Time, sent *int, answers *sync.WaitGroup) {
	for ; float64(*sent) < perSecond*time.Since(begun).Seconds(); *sent++ {
		answers.Add(1)
		x.peers[*sent%len(x.peers)].Go(&wire.Publish{Room: "r", Data: []byte(`"hello"`)}, func(reply *wire.Reply, err error) {
			defer answers.Done()
			switch {
			case err == nil && reply.Err == nil:
				x.taken.Add(1)
			case err == nil && reply.Err.Code == wire.CodeRateLimited && reply.Err.RetryAfter > 0:
				x.refused.Add(1)
			default:
				x.late.Add(1)
			}
		})
	}
}

// Many apps on three gateways, most of them at one and a half times their quotas, one at ten times: of none is more taken than its
// quota gives for the time that it took, and one second more, and one message more for each gateway, however slow the machine is.
// See pkg/quota for why that much.
func TestQuotasHoldOverGateways(t *testing.T) {
	const apps, perSecond, load = 30, 8, 4 * time.Second
	gateways := startGateways(t, 3, singleRedis(t), func(c *app.Config) {
		c.Log.Level = "warn"
		c.Limits.RequestsPerSecond, c.Limits.RequestsBurst = 100_000, 100_000
		c.Quotas.MessagesPerSecond = perSecond
		for i := range apps {
			c.Apps = append(c.Apps, auth.App{ID: fmt.Sprint("app-", i), Anonymous: true})
		}
	})
	tenants := make([]*tenant, apps)
	for i := range tenants {
		tenants[i] = &tenant{id: fmt.Sprint("app-", i)}
		for n, g := range gateways {
			p := connect(t, g, fmt.Sprint("peer ", n), anonymousOf(tenants[i].id))
			p.mustJoin(t, "r")
			tenants[i].peers = append(tenants[i].peers, p)
		}
	}

	begun := time.Now()
	sent := make([]int, apps)
	var answers sync.WaitGroup
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for time.Since(begun) < load {
		<-ticker.C
		for i, x := range tenants {
			rate := 1.5 * perSecond
			if i == 0 {
				rate = 10 * perSecond
			}
			x.say(rate, begun, &sent[i], &answers)
		}
	}
	answers.Wait()
	elapsed := time.Since(begun).Seconds()
	most := perSecond*(elapsed+1) + float64(len(gateways))
	var ratios []float64
	for i, x := range tenants {
		require.LessOrEqual(t, float64(x.taken.Load()), most, x.id)
		require.Greater(t, x.taken.Load(), int64(perSecond/2), "%s is let do something", x.id)
		require.Zero(t, x.late.Load(), "%s: nothing is refused for another reason", x.id)
		require.EqualValues(t, sent[i], x.taken.Load()+x.refused.Load())
		ratios = append(ratios, float64(x.taken.Load())/(perSecond*elapsed))
	}
	require.Positive(t, tenants[0].refused.Load())
	slices.Sort(ratios)
	t.Logf("in %.1f s, of the quota were taken: least %.2f, median %.2f, most %.2f; the loud app %d of %d",
		elapsed, ratios[0], ratios[apps/2], ratios[apps-1], tenants[0].taken.Load(), sent[0])
}

// However many come at once to three gateways, an app has no more connections, members and rooms than its quotas, and in the end just as
// many; who goes makes room for another one, on any gateway.
func TestCountsHoldOverGateways(t *testing.T) {
	const connections, members = 20, 8
	gateways := startGateways(t, 3, singleRedis(t), func(c *app.Config) {
		c.Apps = []auth.App{{ID: "acme", Anonymous: true, Quotas: auth.Quotas{Connections: connections, Members: members, Rooms: 4}}}
		c.Limits.RequestsPerSecond, c.Limits.RequestsBurst = 100_000, 100_000 // who is refused asks again and again
	})
	var mu sync.Mutex
	var peers []*peer
	come := func(want int) {
		t.Helper()
		until(t, func() bool {
			var coming sync.WaitGroup
			for i := range 9 {
				coming.Go(func() {
					p, err := dial(t.Context(), gateways[i%3], "guest", anonymousOf("acme"))
					mu.Lock()
					defer mu.Unlock()
					if err == nil {
						peers = append(peers, p)
					} else if code(err) != wire.CodeLimit && code(err) != wire.CodeRateLimited {
						t.Errorf("refused with %v", err)
					}
				})
			}
			coming.Wait()
			require.LessOrEqual(t, len(peers), connections)
			return len(peers) == want
		}, "all of the quota is used")
	}
	come(connections)
	defer func() {
		for _, p := range peers {
			p.Close()
		}
	}()
	for _, p := range peers[:5] {
		p.Close()
	}
	peers = slices.Clone(peers[5:])
	come(connections)

	seats := make(map[*peer]string)
	rooms := make(map[string]bool)
	until(t, func() bool {
		for i, p := range peers {
			if seats[p] != "" || len(seats) == members {
				continue
			}
			room := fmt.Sprint("room-", i%6)
			if rooms[room] && len(rooms) < 4 {
				continue // or all seats would be taken in fewer rooms
			}
			_, err := p.Join(t.Context(), wire.Join{Room: room})
			switch {
			case err == nil:
				seats[p], rooms[room] = room, true
			case code(err) != wire.CodeLimit && code(err) != wire.CodeRateLimited:
				t.Fatalf("refused with %v", err)
			}
			require.LessOrEqual(t, len(rooms), 4)
		}
		return len(seats) == members && len(rooms) == 4
	}, "all seats and rooms are taken")
	for i, p := range peers {
		if seats[p] == "" {
			_, err := p.Join(t.Context(), wire.Join{Room: fmt.Sprint("room-", i%6)})
			require.Contains(t, []wire.Code{wire.CodeLimit, wire.CodeRateLimited}, code(err))
		}
	}
	_, page := gateways[0].get(t, "/metrics")
	require.Contains(t, page, `signalbox_quota_usage_ratio{app="acme",quota="connections"} `)
}
