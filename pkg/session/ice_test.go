package session_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/auth"
	"github.com/signalbox-rtc/signalbox/pkg/session"
	"github.com/signalbox-rtc/signalbox/pkg/turncred"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

const turnSecret = "shared with a TURN server"

var (
	fixedServer = auth.ICEServerSettings{URLs: []string{"turn:fixed.example"}, Username: "u", Credential: "c"}
	timedServer = auth.ICEServerSettings{URLs: []string{"turn:timed.example"}, Secret: turnSecret}
)

// requireFresh requires credentials of an app's user that were made a moment ago, and are good for an hour.
func requireFresh(t *testing.T, server wire.ICEServer, app, user string) {
	t.Helper()
	require.Equal(t, turncred.Password(turnSecret, server.Username), server.Credential)
	name, err := turncred.Parse(server.Username)
	require.NoError(t, err)
	require.Equal(t, app, name.App)
	require.Equal(t, turncred.Pseudonym(turnSecret, app, user), name.User)
	require.InDelta(t, time.Hour.Seconds(), time.Until(name.Expires).Seconds(), 2)
}

// waits reports whether the client was told something that the test has not looked at.
func (c *client) waits() bool {
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.written) > c.seen
}

// toldICE waits until the client is told ICE servers, as long as that takes at most, and gives them and how long it took.
func (c *client) toldICE(most time.Duration) (*wire.ICE, time.Duration) {
	c.tb.Helper()
	since := time.Now()
	c.within(c.tb, most, func() bool { return len(c.written) > c.seen })
	event := c.event()
	require.IsType(c.tb, new(wire.ICE), event.Body)
	return event.Body.(*wire.ICE), time.Since(since)
}

// As long as a client is there, what it has is good for a quarter of its time, and it is told once in a turn.
func TestFreshCredentialsComeInTime(t *testing.T) {
	inBubble(t, session.Options{}, func(t *testing.T, g *gateway) {
		c, welcome := g.enter()
		require.Equal(t, "c", welcome.ICEServers[0].Credential)
		requireFresh(t, welcome.ICEServers[1], "open", welcome.User)
		require.InDelta(t, time.Now().Add(time.Hour).UnixMilli(), welcome.ICEExpires, 1000)
		for range 3 {
			fresh, took := c.toldICE(time.Hour)
			require.GreaterOrEqual(t, took, 39*time.Minute+58*time.Second)
			require.LessOrEqual(t, took, 45*time.Minute+2*time.Second)
			require.Equal(t, "c", fresh.Servers[0].Credential)
			requireFresh(t, fresh.Servers[1], "open", welcome.User)
			require.InDelta(t, time.Now().Add(time.Hour).UnixMilli(), fresh.Expires, 2000)
		}
		require.EqualValues(t, 3, g.metric("signalbox_ice_told_total", "expiring"))
		require.EqualValues(t, 1, g.metric("signalbox_ice_told_total", "hello"))
		c.leave()
		time.Sleep(2 * time.Hour)
		require.EqualValues(t, 3, g.metric("signalbox_ice_told_total", "expiring"), "nobody is there")
	}, fixedServer, timedServer)
}

// What never expires is told once, and an app that wants other servers has them alone.
func TestFixedCredentialsAreToldOnce(t *testing.T) {
	inBubble(t, session.Options{}, func(t *testing.T, g *gateway) {
		c, welcome := g.enter()
		require.Zero(t, welcome.ICEExpires)
		own, ownWelcome := g.connect(), new(wire.Welcome)
		own.ok(`{"id":1,"type":"hello","app":"own"}`, ownWelcome)
		require.Len(t, ownWelcome.ICEServers, 1)
		requireFresh(t, ownWelcome.ICEServers[0], "own", ownWelcome.User)
		time.Sleep(2 * time.Hour)
		require.False(t, c.waits())
		require.True(t, own.waits())
	}, fixedServer)
}

func TestParkedSessionIsToldAndNotWoken(t *testing.T) {
	inBubble(t, session.Options{}, func(t *testing.T, g *gateway) {
		c, parking := g.park(t)
		before, _ := parking.parked()
		c.toldICE(time.Hour)
		after, now := parking.parked()
		require.True(t, now)
		require.Equal(t, before, after)
	}, timedServer)
}

// One timer has both: neither keeps the other from its time.
func TestCredentialsAndTokenAreOnOneAgenda(t *testing.T) {
	inBubble(t, noticed, func(t *testing.T, g *gateway) {
		c, begun := g.connect(), time.Now()
		c.ok(fmt.Sprintf(`{"id":1,"type":"hello","resumable":true,"token":%q}`, g.lasting(50*time.Minute, nil)), new(wire.Welcome))
		c.toldICE(46 * time.Minute)
		time.Sleep(time.Until(begun.Add(49 * time.Minute)))
		require.True(t, c.waits())
		require.IsType(t, new(wire.Expiring), c.event().Body)

		// With a new token come new credentials.
		c.ok(fmt.Sprintf(`{"id":2,"type":"refresh","token":%q}`, g.lasting(30*time.Minute, nil)), new(wire.Refreshed))
		fresh, _ := c.toldICE(time.Second)
		requireFresh(t, fresh.Servers[0], "acme", "ada")
		require.EqualValues(t, 1, g.metric("signalbox_ice_told_total", "refresh"))
		time.Sleep(29*time.Minute - time.Second)
		require.False(t, c.waits())
		time.Sleep(2 * time.Second)
		require.IsType(t, new(wire.Expiring), c.event().Body)
		c.requireClosed(wire.CloseExpired)
		require.InDelta(t, (79 * time.Minute).Seconds(), time.Since(begun).Seconds(), 3)
	}, timedServer)
}

func TestResumeBringsFreshCredentials(t *testing.T) {
	inBubble(t, session.Options{Grace: 2 * time.Hour}, func(t *testing.T, g *gateway) {
		c, welcome := g.begin()
		time.Sleep(30 * time.Minute)
		c.lose()
		again, resumed := g.connect(), new(wire.Welcome)
		again.ok(resumeOf(welcome.Resume, 2, nil), resumed)
		requireFresh(t, resumed.ICEServers[0], "open", welcome.User)
		require.Greater(t, resumed.ICEExpires, welcome.ICEExpires)
		_, took := again.toldICE(time.Hour)
		require.Greater(t, took, 39*time.Minute)
		require.EqualValues(t, 1, g.metric("signalbox_ice_told_total", "expiring"), "who was lost is told nothing")
	}, timedServer)
}

func TestClientAsksForCredentials(t *testing.T) {
	inBubble(t, session.Options{}, func(t *testing.T, g *gateway) {
		c, welcome := g.enter()
		time.Sleep(39 * time.Minute)
		asked := new(wire.ICEServers)
		c.ok(`{"id":2,"type":"ice"}`, asked)
		requireFresh(t, asked.Servers[0], "open", welcome.User)
		_, took := c.toldICE(time.Hour)
		require.Greater(t, took, 39*time.Minute, "what it has asked for is fresh")
		require.EqualValues(t, 1, g.metric("signalbox_ice_told_total", "asked"))
	}, timedServer)
	inBubble(t, session.Options{}, func(t *testing.T, g *gateway) {
		c, welcome := g.enter()
		require.Empty(t, welcome.ICEServers)
		asked := new(wire.ICEServers)
		c.ok(`{"id":2,"type":"ice"}`, asked)
		require.Zero(t, *asked)
	})
}

// Who was told of a server that is another one now is told anew, one after the other, and nobody else is.
func TestChangedServersAreToldAtAPace(t *testing.T) {
	inBubble(t, session.Options{ICEChangesPerSecond: 2}, func(t *testing.T, g *gateway) {
		set := func(ice auth.ICE) {
			data, err := auth.EncodeApp(auth.App{ID: "managed", Anonymous: true, ICE: ice})
			require.NoError(t, err)
			g.apps.ManageOne("managed", data)
		}
		set(auth.ICE{Servers: []auth.ICEServerSettings{timedServer}})
		bystander, _ := g.enter()
		var clients []*client
		for range 6 {
			c := g.connect()
			c.ok(`{"id":1,"type":"hello","app":"managed"}`, new(wire.Welcome))
			clients = append(clients, c)
		}
		gone := g.connect()
		gone.ok(`{"id":1,"type":"hello","app":"managed"}`, new(wire.Welcome))
		gone.leave()
		time.Sleep(time.Minute)

		set(auth.ICE{Servers: []auth.ICEServerSettings{fixedServer}, Inherit: auth.Off})
		synctest.Wait()
		told := func() (n int) {
			for _, c := range clients {
				if c.waits() {
					n++
				}
			}
			return n
		}
		require.Equal(t, 1, told())
		require.Positive(t, g.metric("signalbox_ice_changes_waiting"))
		time.Sleep(time.Second)
		require.Equal(t, 3, told())
		time.Sleep(2 * time.Second)
		require.Equal(t, 6, told())
		require.Zero(t, g.metric("signalbox_ice_changes_waiting"))
		for _, c := range clients {
			fresh, _ := c.toldICE(time.Second)
			require.Equal(t, &wire.ICE{Servers: []wire.ICEServer{{URLs: fixedServer.URLs, Username: "u", Credential: "c"}}}, fresh)
		}
		require.False(t, bystander.waits())
		require.EqualValues(t, 6, g.metric("signalbox_ice_told_total", "changed"))

		// A change of something else is none.
		data, err := auth.EncodeApp(auth.App{ID: "managed", Anonymous: true, Audience: "x", ICE: auth.ICE{Servers: []auth.ICEServerSettings{fixedServer}, Inherit: auth.Off}})
		require.NoError(t, err)
		g.apps.ManageOne("managed", data)
		time.Sleep(10 * time.Second)
		require.Zero(t, told())
		require.True(t, clients[0].open())
		time.Sleep(2 * time.Hour)
		require.Zero(t, told(), "nothing of it expires any more")
	}, timedServer)
}

// Clients that get no welcome are told when their transport says so, and from then on as others are.
func TestAttachedSessionIsTold(t *testing.T) {
	inBubble(t, session.Options{}, func(t *testing.T, g *gateway) {
		c := g.enterAttached()
		c.TellICE()
		first := c.next().event.Body.(*wire.ICE)
		require.Len(t, first.Servers, 1)
		time.Sleep(46 * time.Minute)
		fresh := c.next().event.Body.(*wire.ICE)
		require.Greater(t, fresh.Expires, first.Expires)
		c.say(`{"id":1,"type":"ice"}`)
		require.IsType(t, new(wire.ICEServers), c.next().body)
		c.End(true)
		time.Sleep(2 * time.Hour)
		require.EqualValues(t, 1, g.metric("signalbox_ice_told_total", "expiring"))
	}, timedServer)
	inBubble(t, session.Options{}, func(t *testing.T, g *gateway) {
		c := g.enterAttached()
		c.TellICE()
		c.say(`{"id":1,"type":"ping"}`)
		require.IsType(t, new(wire.Pong), c.next().body, "there is nothing to tell")
	})
}
