package app

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/auth"
)

// Endpoints are those of the configuration as it is now, and are made ready once for each of its states.
func TestWebhookEndpointsFollowTheConfiguration(t *testing.T) {
	const secret = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz"
	apps := func(url string) []auth.App {
		return []auth.App{
			{
				ID: "acme", Anonymous: true, Policies: []auth.RoomPolicy{{Rooms: "meet-secret", Policy: auth.Policy{Webhooks: auth.Off}}},
				Webhooks: []auth.Webhook{{ID: "w", URL: url, Secrets: []auth.Secret{secret}, Rooms: "meet-*", Events: []string{"room.full"}}},
			},
			{ID: "other", Anonymous: true},
		}
	}
	directory, err := auth.NewDirectory(auth.Options{Apps: apps("https://one.example")})
	require.NoError(t, err)
	w := newWebhooks(directory)
	require.Empty(t, w.endpoints("other"))
	require.Empty(t, w.endpoints("nobody"))
	one := w.endpoints("acme")
	require.Len(t, one, 1)
	require.Equal(t, "https://one.example", one[0].URL)
	require.Equal(t, []byte("012345678901234567890123"), one[0].Keys[0])
	require.True(t, one[0].Wants("room.full", "meet-1"))
	require.False(t, one[0].Wants("room.closed", "meet-1"))
	require.Same(t, &one[0], &w.endpoints("acme")[0])
	for room, told := range map[string]bool{"meet-1": true, "meet-secret": false, "lobby": false} {
		require.Equal(t, told, w.told("acme", room), room)
	}
	require.False(t, w.told("other", "meet-1"))
	require.False(t, w.told("nobody", "meet-1"))

	require.NoError(t, directory.Configure(apps("https://two.example")))
	two := w.endpoints("acme")
	require.Equal(t, "https://two.example", two[0].URL)
	require.NotEqual(t, one[0].Fingerprint, two[0].Fingerprint)
	require.NoError(t, directory.Configure(apps("")[1:]))
	require.Empty(t, w.endpoints("acme"))
	require.False(t, w.wanted("acme", "meet-1"))
}
