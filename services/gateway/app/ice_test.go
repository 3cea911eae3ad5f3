package app_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/internal/memredis"
	"github.com/signalbox-rtc/signalbox/pkg/auth"
	"github.com/signalbox-rtc/signalbox/pkg/client"
	"github.com/signalbox-rtc/signalbox/pkg/store"
	"github.com/signalbox-rtc/signalbox/pkg/turncred"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
	"github.com/signalbox-rtc/signalbox/services/gateway/app"
)

const (
	relaySecret = "of the relays and the gateways"
	turnSecret  = "of a TURN server and the gateways"
	umbraSecret = "of umbra and its TURN server"
	credentials = 10 * time.Minute
)

// withICE has a gateway tell of relays and a server with secrets, and of an app with servers of its own.
func withICE(region string) func(*app.Config) {
	return func(c *app.Config) {
		c.Node.Region = region
		c.ICE.TTL, c.ICE.Relays.Enabled, c.ICE.Relays.Secrets = credentials, true, []auth.Secret{relaySecret, "the one before, of the relays"}
		c.ICEServers = []app.ICEServer{{URLs: []string{"turn:turn.example.org"}, Secret: turnSecret}}
		c.Apps = []auth.App{{ID: "umbra", Anonymous: true, Origins: []string{"*"}, ICE: auth.ICE{
			Servers: []auth.ICEServerSettings{{URLs: []string{"turn:umbra.example"}, Secret: umbraSecret}}, Inherit: auth.Off,
		}, Policies: []auth.RoomPolicy{{Rooms: "hidden", Policy: auth.Policy{RelayOnly: auth.On}}}}}
	}
}

// requireServers requires servers whose first URLs begin so, each with credentials of the user that its secret makes.
func requireServers(t *testing.T, servers []wire.ICEServer, p *peer, expires int64, want ...string) {
	t.Helper()
	var urls []string
	for _, server := range servers {
		urls = append(urls, server.URLs[0])
		secret := relaySecret
		switch server.URLs[0] {
		case "turn:turn.example.org":
			secret = turnSecret
		case "turn:umbra.example":
			secret = umbraSecret
		}
		require.Equal(t, turncred.Password(secret, server.Username), server.Credential)
		name, err := turncred.Parse(server.Username)
		require.NoError(t, err)
		require.Equal(t, turncred.Name{
			Expires: time.UnixMilli(expires), App: p.Welcome().App, User: turncred.Pseudonym(secret, p.Welcome().App, p.Welcome().User)}, name)
	}
	require.Equal(t, want, urls)
	require.InDelta(t, credentials.Seconds(), time.Until(time.UnixMilli(expires)).Seconds(), 60, "made in the last minute")
}

// nextICE waits for the next ice event.
func (p *peer) nextICE(t *testing.T) *wire.ICE {
	t.Helper()
	return p.await(t, wire.TypeICE).Body.(*wire.ICE)
}

func (p *peer) untold(t *testing.T) {
	t.Helper()
	require.False(t, slices.ContainsFunc(p.seen(), func(e wire.Event) bool { return e.Body != nil && e.Body.Type() == wire.TypeICE }))
}

// From its hello on, over a resume on another gateway and the death of a relay, what a client has is good.
func TestClientsAlwaysHaveGoodCredentials(t *testing.T) {
	inMemory(t, func(t *testing.T, w *world) {
		redis, err := store.Open(t.Context(), store.Options{Addresses: []string{memredis.Addr}, Partitions: 16, Dialer: w.network.DialContext, Logger: discard()})
		require.NoError(t, err)
		defer func() { require.NoError(t, redis.Close()) }()
		announce := func(id, region string, load float64, lease time.Duration) {
			relay := store.Relay{ID: id, Region: region, URLs: []string{"turn:" + id, "turns:" + id}, Load: load}
			require.NoError(t, redis.AnnounceRelay(t.Context(), relay, lease))
		}
		const long = time.Hour
		announce("north-1", "north", .2, long)
		announce("north-2", "north", .8, long)
		announce("south-1", "south", .5, long)
		one, two := w.gateway(t, "one", withICE("north")), w.gateway(t, "two", withICE("south"))
		ada := w.connect(t, one, "ada", func(o *client.Options) { o.Reconnect = true })
		bob := w.connect(t, two, "bob")
		eve := w.connect(t, one, "eve", func(o *client.Options) { o.App = "umbra" })
		requireServers(t, ada.Welcome().ICEServers, ada, ada.Welcome().ICEExpires, "turn:north-1", "turn:north-2", "turn:turn.example.org")
		requireServers(t, bob.Welcome().ICEServers, bob, bob.Welcome().ICEExpires, "turn:south-1", "turn:north-1", "turn:turn.example.org")
		requireServers(t, eve.Welcome().ICEServers, eve, eve.Welcome().ICEExpires, "turn:umbra.example")
		require.True(t, eve.mustJoin(t, "hidden").RelayOnly)
		require.False(t, eve.mustJoin(t, "plain").RelayOnly)

		// Before they expire.
		time.Sleep(credentials*2/3 - time.Second)
		for _, p := range []*peer{ada, bob, eve} {
			p.untold(t)
		}
		fresh := ada.nextICE(t)
		requireServers(t, fresh.Servers, ada, fresh.Expires, "turn:north-1", "turn:north-2", "turn:turn.example.org")
		fresh = eve.nextICE(t)
		requireServers(t, fresh.Servers, eve, fresh.Expires, "turn:umbra.example")
		bob.nextICE(t)

		// On another gateway.
		ada.mustJoin(t, "r")
		w.via(ada, two)
		w.link("ada").Sever()
		until(t, func() bool { return ada.Welcome().Node == "two" }, "a resume")
		requireServers(t, ada.Welcome().ICEServers, ada, ada.Welcome().ICEExpires, "turn:south-1", "turn:north-1", "turn:turn.example.org")

		// One that drains, and one that dies.
		drains := store.Relay{ID: "north-2", Region: "north", URLs: []string{"turn:north-2"}, Draining: true}
		require.NoError(t, redis.AnnounceRelay(t.Context(), drains, long))
		time.Sleep(10 * time.Second)
		for _, p := range []*peer{ada, bob, eve} {
			p.untold(t) // nobody was told of it any more
		}
		died := time.Now()
		announce("south-1", "south", .5, 6*time.Second)
		announce("west-1", "west", .1, long)
		for _, p := range []*peer{ada, bob} {
			fresh = p.nextICE(t)
			requireServers(t, fresh.Servers, p, fresh.Expires, "turn:west-1", "turn:north-1", "turn:turn.example.org")
		}
		require.Less(t, time.Since(died), 16*time.Second)
		eve.untold(t)
		late := w.connect(t, one, "late")
		requireServers(t, late.Welcome().ICEServers, late, late.Welcome().ICEExpires, "turn:north-1", "turn:west-1", "turn:turn.example.org")
	})
}

// What a backend is given, and what stock clients are told, is as good as what native clients are.
func TestCredentialsForBackendsAndStockClients(t *testing.T) {
	config := apiConfig("one", singleRedis(t))
	withICE("")(config)
	g := openGateway(t, app.Options{Config: config})
	var given struct {
		ICEServers []wire.ICEServer
		TTL        int
		Expires    time.Time
	}
	requireGiven := func(secret, app, user string) {
		t.Helper()
		require.Len(t, given.ICEServers, 1)
		server := given.ICEServers[0]
		require.Equal(t, turncred.Password(secret, server.Username), server.Credential)
		require.True(t, strings.HasSuffix(server.Username, ":"+app+"/"+turncred.Pseudonym(secret, app, user)), server.Username)
		require.WithinDuration(t, time.Now().Add(credentials), given.Expires, time.Minute)
	}
	require.Equal(t, 200, callAPI(t, g, "GET", "/v1/apps/demo/ice-servers?user=ann", "", &given))
	requireGiven(turnSecret, "demo", "ann")
	require.Equal(t, int(credentials.Seconds()), given.TTL)
	require.Equal(t, 200, callAPI(t, g, "GET", "/v1/apps/umbra/ice-servers?user=ann", "", &given))
	requireGiven(umbraSecret, "umbra", "ann")

	p := openPoller(t, "/", g)
	p.await(`42["control",null,{"type":"ice"`)
	type told struct {
		OK         bool
		ICEServers []wire.ICEServer
		Expires    int64
	}
	read := func(text, prefix string) told {
		t.Helper()
		var heard told
		require.NoError(t, json.Unmarshal([]byte(strings.TrimSuffix(strings.TrimPrefix(text, prefix), "]")), &heard), text)
		require.Len(t, heard.ICEServers, 1)
		require.Equal(t, turncred.Password(turnSecret, heard.ICEServers[0].Username), heard.ICEServers[0].Credential)
		require.WithinDuration(t, time.Now().Add(credentials), time.UnixMilli(heard.Expires), time.Minute)
		return heard
	}
	read(p.await(`42["ice",`), `42["ice",`)
	p.emit(`2` + `7["ice-servers"]`)
	require.True(t, read(p.await(`437[`), `437[`).OK)
}
