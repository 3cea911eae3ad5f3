package session_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/internal/memredis"
	"github.com/signalbox-rtc/signalbox/pkg/auth"
	"github.com/signalbox-rtc/signalbox/pkg/quota"
	"github.com/signalbox-rtc/signalbox/pkg/session"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// keeper makes the quotas of a gateway that is alone, and runs them until the test ends.
func keeper(t *testing.T, quotas auth.Quotas) *quota.Keeper {
	t.Helper()
	k, err := quota.New(quota.Options{
		Node: "node1", Quotas: func(string) auth.Quotas { return quotas },
		Exchange:   func(context.Context, []byte) (time.Time, map[string][]byte, error) { return time.Now(), nil, nil },
		CountRooms: func(context.Context, []string) (map[string]int64, error) { return nil, nil },
	})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = k.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	require.NoError(t, k.WaitReady(ctx))
	return k
}

// quotaBubble runs a test on fake time with a gateway that alone has all of its apps' quotas.
func quotaBubble(t *testing.T, quotas auth.Quotas, test func(t *testing.T, g *gateway)) {
	t.Helper()
	memredis.Bubble(t, func(t *testing.T) {
		test(t, onEmbedded(t, session.Options{Grace: time.Minute, Quotas: keeper(t, quotas)}, 0))
	})
}

// refusedHello says hello, which is refused, and gives why, and how the connection was closed.
func (c *client) refusedHello(text string, code wire.Code, closed wire.CloseCode) *wire.Error {
	c.tb.Helper()
	refusal := c.refused(text, code).Err
	c.requireClosed(closed)
	return refusal
}

func TestQuotaOfConnections(t *testing.T) {
	quotaBubble(t, auth.Quotas{Connections: 3, PerUser: auth.HolderQuotas{Connections: 2}}, func(t *testing.T, g *gateway) {
		hello := func(user string) string {
			return fmt.Sprintf(`{"id":1,"type":"hello","resumable":true,"token":%q}`, g.token(func(c *auth.Claims) { c.User = user }))
		}
		enter := func(user string) (*client, *wire.Welcome) {
			c, welcome := g.connect(), new(wire.Welcome)
			c.ok(hello(user), welcome)
			return c, welcome
		}
		first, welcome := enter("ada")
		enter("ada")
		refusal := g.connect().refusedHello(hello("ada"), wire.CodeLimit, wire.CloseRateLimited)
		require.Equal(t, "over the quota of connections of the user", refusal.Message)
		require.Greater(t, refusal.RetryAfter, time.Second)
		enter("bob")
		refusal = g.connect().refusedHello(hello("eve"), wire.CodeLimit, wire.CloseRateLimited)
		require.Equal(t, "over the quota of connections of the app", refusal.Message)
		require.EqualValues(t, 2, g.metric("signalbox_hellos_total", "quota"))

		// A refused resume leaves nothing counted behind, and who comes back in time is never refused.
		c := g.connect()
		c.refused(`{"id":1,"type":"hello","resume":"nonsense"}`, wire.CodeResumeRefused)
		c.lose()
		first.ok(`{"id":2,"type":"join","room":"team-1"}`, new(wire.Snapshot))
		first.lose()
		<-first.served
		enter("eve")
		back, again := g.connect(), new(wire.Welcome)
		back.ok(fmt.Sprintf(`{"id":1,"type":"hello","resume":%q,"rooms":{}}`, welcome.Resume), again)
		require.Equal(t, welcome.Session, again.Session)
		g.connect().refusedHello(hello("dan"), wire.CodeLimit, wire.CloseRateLimited)
	})
}

func TestQuotaOfMessages(t *testing.T) {
	quotaBubble(t, auth.Quotas{
		MessagesPerSecond: 10, PerSession: auth.RateQuotas{MessagesPerSecond: 4, JoinsPerSecond: 1},
	}, func(t *testing.T, g *gateway) {
		ada, _ := g.enter()
		ada.ok(`{"id":2,"type":"join","room":"r"}`, new(wire.Snapshot))
		refusal := ada.refused(`{"id":3,"type":"join","room":"s"}`, wire.CodeRateLimited).Err
		require.Equal(t, "over the quota of joins of the session", refusal.Message)
		require.InDelta(t, 1, refusal.RetryAfter.Seconds(), 0.3)
		ada.ok(`{"id":4,"type":"leave","room":"r"}`, new(wire.Done)) // nobody is kept from leaving
		time.Sleep(time.Second)
		ada.ok(`{"id":5,"type":"join","room":"r"}`, new(wire.Snapshot))
		for i, request := range []string{`"publish","data":1`, `"state","state":{"hand":true}`, `"publish","data":2`, `"publish","data":3`} {
			ada.ok(fmt.Sprintf(`{"id":%d,"room":"r","type":%s}`, 6+i, request), new(wire.Done))
		}
		refusal = ada.refused(`{"id":10,"type":"publish","room":"r","data":1}`, wire.CodeRateLimited).Err
		require.Equal(t, "over the quota of messages of the session", refusal.Message)
		require.InDelta(t, 0.28, refusal.RetryAfter.Seconds(), 0.04)
		ada.ok(`{"id":11,"type":"ping"}`, new(wire.Pong))
		time.Sleep(refusal.RetryAfter)
		ada.ok(`{"id":12,"type":"publish","room":"r","data":1}`, new(wire.Done))
		require.EqualValues(t, 1, g.metric("signalbox_request_duration_seconds", "refused", "publish"))
	})
}

// Seats are counted from when they are asked for until they are given up, however that comes.
func TestQuotaOfMembers(t *testing.T) {
	quotaBubble(t, auth.Quotas{Members: 2}, func(t *testing.T, g *gateway) {
		ada, _ := g.enter()
		bob, _ := g.enter()
		join := func(c *client, id int, room string) {
			t.Helper()
			c.ok(fmt.Sprintf(`{"id":%d,"type":"join","room":%q}`, id, room), new(wire.Snapshot))
		}
		join(ada, 2, "r")
		join(ada, 3, "r") // the same seat
		join(bob, 2, "s")
		refusal := bob.refused(`{"id":3,"type":"join","room":"t"}`, wire.CodeLimit).Err
		require.Equal(t, "over the quota of members of the app", refusal.Message)
		ada.ok(`{"id":4,"type":"leave","room":"r"}`, new(wire.Done))
		time.Sleep(2 * time.Second)
		join(bob, 4, "t")
		ada.refused(`{"id":5,"type":"join","room":"r"}`, wire.CodeLimit)
		bob.lose()
		<-bob.served
		time.Sleep(2 * time.Second)
		join(ada, 6, "r")
		join(ada, 7, "s") // the seats of a client that may come back are not those of a connected one
		ada.refused(`{"id":8,"type":"join","room":"t"}`, wire.CodeLimit)
	})
}

// Past its quota of rooms an app gets no new one, and its users still get into those that there are.
func TestQuotaOfRooms(t *testing.T) {
	quotaBubble(t, auth.Quotas{Rooms: 2}, func(t *testing.T, g *gateway) {
		ada, _ := g.enter()
		bob, _ := g.enter()
		time.Sleep(3 * time.Second) // the number of its rooms is known
		for i, room := range []string{"r", "s"} {
			ada.ok(fmt.Sprintf(`{"id":%d,"type":"join","room":%q}`, i+2, room), new(wire.Snapshot))
		}
		refusal := ada.refused(`{"id":4,"type":"join","room":"t"}`, wire.CodeLimit).Err
		require.Equal(t, "over the quota of rooms of the app", refusal.Message)
		bob.ok(`{"id":2,"type":"join","room":"r"}`, new(wire.Snapshot))
		bob.refused(`{"id":3,"type":"join","room":"t"}`, wire.CodeLimit)
		require.Zero(t, g.metric("signalbox_joins_total", "internal"))
	})
}

// Clients of a transport that calls are held to the same.
func TestQuotasOfAttached(t *testing.T) {
	quotaBubble(t, auth.Quotas{Connections: 1, PerSession: auth.RateQuotas{BytesPerSecond: 200_000}}, func(t *testing.T, g *gateway) {
		c := g.enterAttached()
		_, err := g.sessions.Attach(g.life, &wire.Hello{App: "open", Name: "Bob"}, newSink(t), session.Client{Transport: "calls", Remote: "192.0.2.1"})
		var refusal *wire.Error
		require.ErrorAs(t, err, &refusal)
		require.Equal(t, wire.CodeLimit, refusal.Code)
		accepted[wire.Snapshot](c, `{"id":2,"type":"join","room":"r"}`)
		text := `"` + strings.Repeat("x", 150_000) + `"`
		accepted[wire.Done](c, `{"id":3,"type":"publish","room":"r","data":`+text+`}`)
		require.Contains(t, c.refused(`{"id":4,"type":"publish","room":"r","data":`+text+`}`, wire.CodeRateLimited).Message, "bytes of the session")
		c.End(true)
		synctest.Wait()
		time.Sleep(2 * time.Second)
		g.enterAttached().End(true)
	})
}
