package app_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/auth"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
	"github.com/signalbox-rtc/signalbox/services/gateway/app"
)

// However many connections of one address come at once to three gateways, it has at most one more than its quota for each of two of
// them; it is told that it has to wait, and who goes makes room for another one, on any gateway.
func TestAddressesHoldOverGateways(t *testing.T) {
	const connections = 6
	gateways := startGateways(t, 3, singleRedis(t), func(c *app.Config) {
		c.Apps = []auth.App{{ID: "acme", Anonymous: true, Quotas: auth.Quotas{PerIP: auth.HolderQuotas{Connections: connections}}}}
	})
	var mu sync.Mutex
	var peers []*peer
	come := func() {
		var coming sync.WaitGroup
		for i := range 24 {
			coming.Go(func() {
				p, err := dial(t.Context(), gateways[i%3], fmt.Sprint("guest ", i), anonymousOf("acme"))
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
	}
	defer func() {
		for _, p := range peers {
			p.Close()
		}
	}()
	until(t, func() bool { come(); return len(peers) >= connections }, "all of the quota is used")
	require.LessOrEqual(t, len(peers), connections+2)
	had := len(peers)
	until(t, func() bool {
		_, err := dial(t.Context(), gateways[0], "late", anonymousOf("acme"))
		require.Error(t, err, "there are %d", had)
		return code(err) == wire.CodeLimit
	}, "that there is no more is told for good")

	for _, p := range peers[connections-1:] {
		p.Close()
	}
	peers = peers[:connections-1]
	until(t, func() bool { come(); return len(peers) >= connections }, "room is made")
	require.LessOrEqual(t, len(peers), connections+2)
}
