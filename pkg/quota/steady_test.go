package quota_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/auth"
)

// Of a steady load over all nodes, that is more than its quota, nearly as much is taken as there may be, from the second period on.
func TestSteadyLoadIsTaken(t *testing.T) {
	for _, perSecond := range []int{8, 50, 1000} {
		synctest.Test(t, func(t *testing.T) {
			const nodes = 3
			c := newCluster(t, nodes, map[string]auth.Quotas{app: {MessagesPerSecond: perSecond}})
			for _, n := range c.nodes {
				require.True(t, n.enter(app))
			}
			begun, sent, taken := time.Now(), 0, 0
			for tick := range 1000 { // of 20 ms
				time.Sleep(20 * time.Millisecond)
				for ; float64(sent) < 1.5*float64(perSecond)*time.Since(begun).Seconds(); sent++ {
					if c.nodes[sent%nodes].sessions[0].Message(10) == nil {
						taken++
					}
				}
				switch tick % 50 {
				case 10:
					c.period++
					c.nodes[0].Period(context.Background())
				case 20:
					c.nodes[1].Period(context.Background())
				case 45:
					c.nodes[2].Period(context.Background())
				}
			}
			require.Greater(t, float64(taken), 0.9*float64(perSecond)*time.Since(begun).Seconds())
		})
	}
}
