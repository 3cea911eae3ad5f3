package app_test

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/auth"
	"github.com/signalbox-rtc/signalbox/pkg/client"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
	"github.com/signalbox-rtc/signalbox/services/gateway/app"
)

// An app's backend is told what happens in those of its rooms that it asks for and that their policy lets be told of.
func TestWebhooksAreTold(t *testing.T) {
	secret := "whsec_" + base64.StdEncoding.EncodeToString([]byte("0123456789abcdef0123456789abcdef"))
	oracle, err := standardwebhooks.NewWebhook(secret)
	require.NoError(t, err)
	var mu sync.Mutex
	var told []string
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var payload struct {
			Events []struct {
				App, Type, Room string
				Data            struct{ User, Reason, Outcome string }
			}
		}
		if err != nil || oracle.Verify(body, r.Header) != nil || json.Unmarshal(body, &payload) != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		for _, e := range payload.Events {
			told = append(told, e.App+"/"+e.Room+" "+e.Type+" "+e.Data.Reason+e.Data.Outcome)
		}
	}))
	t.Cleanup(backend.Close)
	gateways := startGateways(t, 2, singleRedis(t), func(c *app.Config) {
		c.Webhooks.AllowHTTP, c.Webhooks.AllowNetworks, c.Webhooks.Poll = true, []string{"127.0.0.1/8"}, 20*time.Millisecond
		c.Apps = []auth.App{
			{
				ID: "acme", Anonymous: true, Policies: []auth.RoomPolicy{{Rooms: "meet-secret", Policy: auth.Policy{Webhooks: auth.Off}}},
				Webhooks: []auth.Webhook{{ID: "w", URL: backend.URL, Secrets: []auth.Secret{auth.Secret(secret)}, Rooms: "meet-*"}},
			},
			{ID: "other", Anonymous: true},
		}
	})
	for _, app := range []string{"other", "acme"} {
		c, err := client.Dial(t.Context(), client.Options{URL: "ws://" + gateways[0].PublicAddr().String(), App: app})
		require.NoError(t, err)
		t.Cleanup(c.Close)
		for _, room := range []string{"meet-secret", "lobby", "meet-1"} {
			_, err = c.Join(t.Context(), wire.Join{Room: room})
			require.NoError(t, err)
			require.NoError(t, c.Report(t.Context(), wire.Report{Room: room, Outcome: "failed"}))
			_, err = c.Leave(t.Context(), room)
			require.NoError(t, err)
		}
	}
	want := []string{
		"acme/meet-1 room.created ", "acme/meet-1 peer.joined ", "acme/meet-1 call.outcome failed", "acme/meet-1 peer.left left",
		"acme/meet-1 room.closed empty",
	}
	require.Eventually(t, func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(told) >= len(want)
	}, patience, 10*time.Millisecond)
	mu.Lock()
	require.Equal(t, want, slices.Clone(told))
	mu.Unlock()
	_, page := gateways[0].get(t, "/metrics")
	_, other := gateways[1].get(t, "/metrics")
	require.Contains(t, page+other, `signalbox_webhook_deliveries_total{event="peer.left",result="delivered"} 1`)
}
