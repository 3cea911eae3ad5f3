package app_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/auth"
	"github.com/signalbox-rtc/signalbox/pkg/client"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
	"github.com/signalbox-rtc/signalbox/services/gateway/app"
)

// lastWire is a client's connection, after whose end there is none.
type lastWire struct {
	dial func(ctx context.Context, network, addr string) (net.Conn, error)

	mu   sync.Mutex
	conn net.Conn // guarded by mu
}

func (w *lastWire) connect(ctx context.Context, network, addr string) (net.Conn, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.conn != nil {
		return nil, errors.New("there is no network any more")
	}
	var err error
	w.conn, err = w.dial(ctx, network, addr)
	return w.conn, err
}

func (w *lastWire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	_ = w.conn.Close()
}

// How long a seat is kept is the deployment's to say, and an app's before it.
func TestGraceIsAPolicy(t *testing.T) {
	for _, tc := range []struct {
		rooms, policy, want time.Duration
	}{
		{10 * time.Second, 0, 10 * time.Second},
		{10 * time.Second, 25 * time.Second, 25 * time.Second},
		{10 * time.Second, -1, 0},
		{0, 0, 0},
		{0, 5 * time.Second, 5 * time.Second},
	} {
		t.Run(fmt.Sprint(tc.rooms, " and ", tc.policy), func(t *testing.T) {
			inMemory(t, func(t *testing.T, w *world) {
				g := w.gateway(t, "one", func(c *app.Config) {
					c.Rooms.Grace = tc.rooms
					c.Apps = []auth.App{{ID: "acme", Anonymous: true, Policy: auth.Policy{Grace: auth.Duration(tc.policy)}}}
				})
				time.Sleep(10 * time.Second) // it is steady, and sweeps
				ofAcme := func(o *client.Options) { o.App = "acme" }
				var kinds []wire.Type // of the reader's goroutine until the witness has heard the last
				witness := w.connect(t, g, "witness", ofAcme, func(o *client.Options) {
					keep := o.OnEvent
					o.OnEvent = func(event wire.Event) {
						kinds = append(kinds, event.Body.Type())
						keep(event)
					}
				})
				line := &lastWire{dial: w.dialer("guest")}
				guest, err := dial(t.Context(), g, "guest", ofAcme, func(o *client.Options) {
					o.Reconnect, o.NetDialContext = true, line.connect
				})
				require.NoError(t, err)
				defer guest.Close()
				require.Equal(t, tc.want.Milliseconds(), guest.Welcome().Grace)
				require.Equal(t, tc.want > 0, guest.Welcome().Resume != "")
				witness.mustJoin(t, "r")
				guest.mustJoin(t, "r")
				line.cut()
				lost := time.Now()
				left := witness.await(t, wire.TypeLeftPeer)
				require.Equal(t, wire.ReasonDisconnected, left.Body.(*wire.LeftPeer).Reason)
				require.GreaterOrEqual(t, time.Since(lost), tc.want)
				require.LessOrEqual(t, time.Since(lost), tc.want+2*time.Second)
				away := 0
				for _, kind := range kinds {
					if kind == wire.TypeAwayPeer {
						away++
					}
				}
				require.Equal(t, tc.want > 0, away == 1, "%v", kinds)
			})
		})
	}
}

// So is what becomes of a user's earlier seat.
func TestSameUserIsAPolicy(t *testing.T) {
	for _, tc := range []struct {
		rooms    string
		policy   auth.SameUser
		replaced bool
	}{
		{"allow", "", false}, {"allow", auth.SameUserReplace, true}, {"replace", "", true}, {"replace", auth.SameUserAllow, false},
	} {
		t.Run(fmt.Sprint(tc.rooms, " and ", tc.policy), func(t *testing.T) {
			inMemory(t, func(t *testing.T, w *world) {
				key, signing, err := auth.GenerateKey("k", auth.HS256)
				require.NoError(t, err)
				configure := func(c *app.Config) {
					c.Rooms.SameUser = tc.rooms
					c.Apps = []auth.App{{ID: "acme", Keys: []auth.Key{key}, Policy: auth.Policy{SameUser: tc.policy}}}
				}
				one, two := w.gateway(t, "one", configure), w.gateway(t, "two", configure)
				token, err := auth.Sign(signing, auth.Claims{
					App: "acme", User: "ada", Expires: time.Now().Add(time.Hour),
					Grants: []auth.Grant{{Room: "*", Can: auth.Permissions{Publish: true}}},
				})
				require.NoError(t, err)
				asAda := func(o *client.Options) { o.App, o.Name, o.Token = "", "", token }
				first, second := w.connect(t, one, "ada", asAda), w.connect(t, two, "again", asAda)
				first.mustJoin(t, "r")
				snapshot := second.mustJoin(t, "r")
				if !tc.replaced {
					require.Equal(t, 2, snapshot.Count)
					first.await(t, wire.TypeJoinedPeer)
					return
				}
				require.Equal(t, 1, snapshot.Count)
				require.Equal(t, wire.ReasonReplaced, first.await(t, wire.TypeClosed).Body.(*wire.Closed).Reason)
			})
		})
	}
}
