package auth_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/auth"
)

func TestWebhookWantsRooms(t *testing.T) {
	for _, tc := range []struct {
		rooms, room string
		want        bool
	}{
		{"", "lobby", true}, {"lobby", "lobby", true}, {"lobby", "lobby-2", false}, {"meet-*", "meet-1", true}, {"meet-*", "lobby", false},
	} {
		hook := auth.Webhook{Rooms: tc.rooms, Events: []string{"room.full"}}
		require.Equal(t, tc.want, hook.WantsRoom(tc.room), tc)
	}
}

// An endpoint that has said that it is gone is asked again when anything of it has changed.
func TestWebhookFingerprint(t *testing.T) {
	base := auth.Webhook{ID: "w", URL: "https://a.example", Secrets: []auth.Secret{"one"}, Events: []string{"room.full"}, Rooms: "a*"}
	seen := map[string]bool{base.Fingerprint(): true}
	require.Equal(t, base.Fingerprint(), base.Fingerprint())
	for _, alter := range []func(*auth.Webhook){
		func(w *auth.Webhook) { w.ID = "v" },
		func(w *auth.Webhook) { w.URL = "https://b.example" },
		func(w *auth.Webhook) { w.Secrets = []auth.Secret{"two"} },
		func(w *auth.Webhook) { w.Secrets = []auth.Secret{"one", "two"} },
		func(w *auth.Webhook) { w.Events = nil },
		func(w *auth.Webhook) { w.Events = []string{"room.full", "one"} },
		func(w *auth.Webhook) { w.Rooms = "" },
		func(w *auth.Webhook) { w.Rooms, w.Events = "", []string{"a*", "room.full"} },
	} {
		changed := base
		alter(&changed)
		print := changed.Fingerprint()
		require.False(t, seen[print])
		require.NotContains(t, print, "one")
		seen[print] = true
	}
}
