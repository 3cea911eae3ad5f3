package session_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/auth"
	"github.com/signalbox-rtc/signalbox/pkg/session"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// lasting is a token of ada's that lasts for a while, with what else changes it.
func (g *gateway) lasting(d time.Duration, change func(*auth.Claims)) string {
	return g.token(func(c *auth.Claims) {
		c.IssuedAt, c.Expires = time.Now(), time.Now().Add(d)
		if change != nil {
			change(c)
		}
	})
}

var noticed = session.Options{Grace: time.Minute, ExpiryNotice: time.Minute}

func TestRefreshGoesOnWithTheSession(t *testing.T) {
	inBubble(t, noticed, func(t *testing.T, g *gateway) {
		c, begun := g.connect(), time.Now().Truncate(time.Second)
		welcome := new(wire.Welcome)
		c.ok(fmt.Sprintf(`{"id":1,"type":"hello","resumable":true,"token":%q}`, g.lasting(10*time.Minute, nil)), welcome)
		c.ok(`{"id":2,"type":"join","room":"team-1"}`, new(wire.Snapshot))
		time.Sleep(8*time.Minute + 30*time.Second)
		event := c.event()
		require.Equal(t, &wire.Expiring{At: begun.Add(10 * time.Minute).UnixMilli()}, event.Body)
		require.Equal(t, 9*time.Minute, time.Since(begun).Round(time.Second))

		renewed := new(wire.Refreshed)
		c.ok(fmt.Sprintf(`{"id":3,"type":"refresh","token":%q}`, g.lasting(20*time.Minute, func(c *auth.Claims) {
			c.Grants = []auth.Grant{{Room: "team-1"}, {Room: "hall", Can: auth.Permissions{Publish: true}}}
		})), renewed)
		require.Equal(t, begun.Add(29*time.Minute).UnixMilli(), renewed.Expires)
		require.NotEqual(t, welcome.Resume, renewed.Resume)
		// The grants are the new token's, in place of those before.
		c.refused(`{"id":4,"type":"publish","room":"team-1","data":1}`, wire.CodeForbidden)
		c.refused(`{"id":5,"type":"join","room":"team-2"}`, wire.CodeForbidden)
		c.ok(`{"id":6,"type":"join","room":"hall"}`, new(wire.Snapshot))
		time.Sleep(18*time.Minute + 30*time.Second)
		require.Equal(t, &wire.Expiring{At: renewed.Expires}, c.event().Body)
		require.Equal(t, 28*time.Minute, time.Since(begun).Round(time.Second))

		// It comes back with the new resume token after the first one's end.
		c.lose()
		again := g.connect()
		again.refused(fmt.Sprintf(`{"id":7,"type":"hello","resume":%q}`, welcome.Resume), wire.CodeResumeRefused)
		resumed := new(wire.Welcome)
		again.ok(fmt.Sprintf(`{"id":8,"type":"hello","resume":%q}`, renewed.Resume), resumed)
		require.Equal(t, welcome.Session, resumed.Session)
		require.IsType(t, new(wire.Expiring), again.event().Body)
		again.requireClosed(wire.CloseExpired)
		require.Equal(t, 29*time.Minute, time.Since(begun).Round(time.Second))
		require.EqualValues(t, 1, g.metric("signalbox_session_refreshes_total", "ok"))
	})
}

// Row 18 and 19: with another's token a session would become the other's.
func TestRefreshRefused(t *testing.T) {
	inBubble(t, noticed, func(t *testing.T, g *gateway) {
		c, begun := g.connect(), time.Now()
		c.ok(fmt.Sprintf(`{"id":1,"type":"hello","token":%q}`, g.lasting(10*time.Minute, nil)), new(wire.Welcome))
		revoked := g.lasting(time.Hour, nil)
		time.Sleep(2 * time.Second)
		for i, tc := range []struct{ token, metric string }{
			{g.lasting(time.Hour, func(c *auth.Claims) { c.User = "eve" }), "other"},
			{g.lasting(-time.Hour, nil), "expired"},
			{"x.y.z", "malformed"},
			{"", "malformed"},
		} {
			c.refused(fmt.Sprintf(`{"id":%d,"type":"refresh","token":%q}`, i+2, tc.token), wire.CodeUnauthorized)
			require.Positive(t, g.metric("signalbox_session_refreshes_total", tc.metric), tc.metric)
		}
		c.refused(`{"id":9,"type":"refresh"}`, wire.CodeBadRequest)
		r := auth.Revocation{App: "acme", User: "ada", At: time.Now().Add(-time.Second), Until: time.Now().Add(time.Hour)}
		g.apps.Revoke(r)
		c.refused(fmt.Sprintf(`{"id":10,"type":"refresh","token":%q}`, revoked), wire.CodeUnauthorized)
		c.ok(fmt.Sprintf(`{"id":11,"type":"refresh","token":%q}`, g.lasting(10*time.Minute, nil)), new(wire.Refreshed))
		require.Zero(t, g.sessions.Revoke(r), "it goes on with a token that was issued later")
		time.Sleep(8*time.Minute + 30*time.Second)
		require.IsType(t, new(wire.Expiring), c.event().Body)
		c.requireClosed(wire.CloseExpired)
		require.Equal(t, 10*time.Minute+2*time.Second, time.Since(begun).Round(time.Second))

		anonymous, _ := g.enter()
		anonymous.refused(fmt.Sprintf(`{"id":2,"type":"refresh","token":%q}`, g.lasting(time.Hour, nil)), wire.CodeUnauthorized)
		require.EqualValues(t, 1, g.metric("signalbox_session_refreshes_total", "anonymous"))
	})
}

// A client is told once, in time for half of what is left at the least; who has ended, or is called, is not.
func TestExpiryNotice(t *testing.T) {
	inBubble(t, noticed, func(t *testing.T, g *gateway) {
		c, begun := g.connect(), time.Now()
		c.ok(fmt.Sprintf(`{"id":1,"type":"hello","token":%q}`, g.lasting(20*time.Second, nil)), new(wire.Welcome))
		require.IsType(t, new(wire.Expiring), c.event().Body)
		require.Equal(t, 10*time.Second, time.Since(begun).Round(time.Second))
		c.requireClosed(wire.CloseExpired)

		gone := g.connect()
		gone.ok(fmt.Sprintf(`{"id":1,"type":"hello","token":%q}`, g.lasting(20*time.Second, nil)), new(wire.Welcome))
		gone.leave()
		called := g.attach(g.life, &wire.Hello{Token: g.lasting(20*time.Second, nil)}, session.Client{Transport: "calls"})
		time.Sleep(19 * time.Second)
		synctest.Wait()
		require.Empty(t, called.farewells())
		time.Sleep(2 * time.Second)
		called.requireClosed(wire.CloseExpired)
		require.Zero(t, gone.farewell().code)
	})
}
