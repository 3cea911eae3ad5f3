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

// Who is revoked is closed, whatever the transport, and nobody else; who has ended is not looked for any more.
func TestRevokeClosesSessions(t *testing.T) {
	inBubble(t, session.Options{Grace: time.Minute}, func(t *testing.T, g *gateway) {
		enter := func(user string, issued time.Time) *client {
			token := g.token(func(c *auth.Claims) { c.User, c.IssuedAt = user, issued })
			c := g.connect()
			c.ok(fmt.Sprintf(`{"id":1,"type":"hello","resumable":true,"token":%q}`, token), new(wire.Welcome))
			return c
		}
		begun := time.Now()
		ada, again, bob := enter("ada", begun), enter("ada", begun), enter("bob", begun)
		gone := enter("ada", begun)
		gone.leave()
		attached := g.attach(g.life, &wire.Hello{Token: g.token(nil)}, session.Client{Transport: "calls"}) // ada, without an iat
		time.Sleep(2 * time.Second)
		young := enter("ada", time.Now())

		r := auth.Revocation{App: "acme", User: "ada", At: begun.Add(time.Second), Until: begun.Add(time.Hour)}
		g.apps.Revoke(r)
		require.Equal(t, 3, g.sessions.Revoke(r))
		ada.requireClosed(wire.CloseRevoked)
		again.requireClosed(wire.CloseRevoked)
		attached.requireClosed(wire.CloseRevoked)
		attached.End(false)
		require.True(t, bob.open())
		require.True(t, young.open(), "its token was issued later")
		require.Zero(t, g.sessions.Revoke(r))

		one := auth.Revocation{App: "acme", Session: "nobody", At: time.Now(), Until: begun.Add(time.Hour)}
		require.Zero(t, g.sessions.Revoke(one))
		require.Equal(t, 2, g.sessions.CloseApps(map[string]bool{"acme": true, "other": true}))
		bob.requireClosed(wire.CloseRevoked)
		young.requireClosed(wire.CloseRevoked)
		require.Zero(t, g.sessions.CloseApps(map[string]bool{"acme": true}))
	})
}
