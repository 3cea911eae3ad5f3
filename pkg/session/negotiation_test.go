package session_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/auth"
	"github.com/signalbox-rtc/signalbox/pkg/session"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// Sessions of an app share its rules, and who brings a new token does not begin to count anew.
func TestRulesOfAnAppAreMadeOnce(t *testing.T) {
	inBubble(t, session.Options{}, func(t *testing.T, g *gateway) {
		token := func() string { return g.token(func(c *auth.Claims) { c.App = "relayed" }) }
		a := g.connect()
		a.ok(`{"id":1,"type":"hello","token":"`+token()+`"}`, new(wire.Welcome))
		a.ok(`{"id":2,"type":"join","room":"team-r"}`, new(wire.Snapshot))
		candidate := func(id int) string {
			return fmt.Sprintf(`{"id":%d,"type":"publish","room":"team-r","data":{"candidate":"candidate:1 1 udp 5 10.1.2.3 5 typ host"}}`, id)
		}
		for i := range 4 {
			a.ok(candidate(3+i), new(wire.Done))
		}
		a.ok(`{"id":10,"type":"refresh","token":"`+token()+`"}`, new(wire.Refreshed))
		a.refused(candidate(11), wire.CodeRateLimited)
	})
}

// Of what an app does not let pass the others hear nothing, whether it is for one of them or for all, and its sender is told.
func TestNegotiationIsHeldToTheAppsRules(t *testing.T) {
	inBubble(t, session.Options{}, func(t *testing.T, g *gateway) {
		a, b := g.connect(), g.connect()
		for _, c := range []*client{a, b} {
			c.ok(`{"id":1,"type":"hello","app":"relayed"}`, new(wire.Welcome))
			c.ok(`{"id":2,"type":"join","room":"r"}`, new(wire.Snapshot))
		}
		to := a.event().Body.(*wire.JoinedPeer).Peer.ID

		const relay = "candidate:1 1 udp 41885439 203.0.113.7 49160 typ relay raddr 10.1.2.3 rport 60001"
		send := func(id int, candidate string) string {
			return fmt.Sprintf(`{"id":%d,"type":"signal","room":"r","to":%q,"data":{"candidate":{"candidate":%q}}}`, id, to, candidate)
		}
		done := new(wire.Done)
		a.ok(send(3, "candidate:1 1 udp 5 10.1.2.3 5 typ host"), done)
		require.True(t, done.Filtered)
		a.ok(fmt.Sprintf(`{"id":4,"type":"publish","room":"r","data":{"candidate":%q}}`, "candidate:1 1 udp 5 10.1.2.3 5 typ host"), done)
		require.True(t, done.Filtered)
		a.refused(send(5, "candidate:nonsense"), wire.CodeBadRequest)
		a.refused(`{"id":6,"type":"publish","room":"r","data":{"type":"offer","sdp":"nonsense"}}`, wire.CodeBadRequest)
		a.ok(send(7, relay), done)
		require.False(t, done.Filtered)
		require.Contains(t, string(b.next().Text()), "raddr 0.0.0.0 rport 9", "the first that the other hears")
		require.EqualValues(t, 2, g.metric("signalbox_negotiation_total", "candidate", "type"))
		require.EqualValues(t, 1, g.metric("signalbox_negotiation_total", "candidate", "hidden"))
		require.EqualValues(t, 1, g.metric("signalbox_negotiation_total", "description", "malformed"))

		refusal := a.refused(send(8, relay), wire.CodeRateLimited) // 4 a minute, and those that did not pass count
		require.Equal(t, time.Second, refusal.Err.RetryAfter)
		time.Sleep(30 * time.Second)
		a.ok(send(9, relay), done)
	})
}
