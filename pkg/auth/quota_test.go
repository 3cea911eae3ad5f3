package auth_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/auth"
)

func TestQuotasAreThoseOfTheAppAndElseTheDefaults(t *testing.T) {
	defaults := auth.Quotas{
		Connections: 100, Rooms: 10, MessagesPerSecond: 50,
		PerIP: auth.HolderQuotas{Connections: 5, RateQuotas: auth.RateQuotas{JoinsPerSecond: 2}},
	}
	d, err := auth.NewDirectory(auth.Options{Quotas: defaults, Apps: []auth.App{
		{ID: "plain", Anonymous: true},
		{ID: "own", Anonymous: true, Quotas: auth.Quotas{
			Connections: 7, Rooms: auth.Unlimited, Members: auth.Unlimited,
			PerIP:   auth.HolderQuotas{Connections: auth.Unlimited, RateQuotas: auth.RateQuotas{JoinsPerSecond: 3}},
			PerUser: auth.HolderQuotas{Connections: 1},
		}},
	}})
	require.NoError(t, err)
	require.Equal(t, defaults, d.Quotas("plain"))
	require.Equal(t, defaults, d.Quotas("nobody"))
	require.Equal(t, auth.Quotas{
		Connections: 7, MessagesPerSecond: 50,
		PerIP:   auth.HolderQuotas{RateQuotas: auth.RateQuotas{JoinsPerSecond: 3}},
		PerUser: auth.HolderQuotas{Connections: 1},
	}, d.Quotas("own"), "0 is no limit")
	app, ok := d.App("own")
	require.True(t, ok)
	require.Equal(t, auth.Unlimited, app.Quotas.Rooms, "what the app says stays as it is")
}

func TestQuotasAreChecked(t *testing.T) {
	app := auth.App{ID: "acme", Anonymous: true, Quotas: auth.Quotas{
		Members: -2, PerSession: auth.RateQuotas{BytesPerSecond: 1 << 60}, PerIP: auth.HolderQuotas{Connections: -7}}}
	err := app.Validate()
	require.ErrorContains(t, err, "quotas.members is -2")
	require.ErrorContains(t, err, "quotas.per_session.bytes_per_second is 1152921504606846976")
	require.ErrorContains(t, err, "quotas.per_ip.connections is -7")
	_, err = auth.NewDirectory(auth.Options{Quotas: auth.Quotas{Rooms: -9}})
	require.ErrorContains(t, err, "quotas.rooms is -9")
}

func TestQuotasAreStored(t *testing.T) {
	app := auth.App{ID: "acme", Quotas: auth.Quotas{
		Rooms: 3, PerUser: auth.HolderQuotas{Connections: 2, RateQuotas: auth.RateQuotas{JoinsPerSecond: 4}}}}
	data, err := auth.EncodeApp(app)
	require.NoError(t, err)
	require.JSONEq(t, `{"id":"acme","quotas":{"rooms":3,"per_user":{"connections":2,"joins_per_second":4}}}`, string(data))
	back, err := auth.DecodeApp(data)
	require.NoError(t, err)
	require.Equal(t, app, back)
}
