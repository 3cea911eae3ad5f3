package app

import (
	"log/slog"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/auth"
	"github.com/signalbox-rtc/signalbox/pkg/webhook"
)

// Row 46: an app's backend and keys would lead to what the gateway alone can reach.
func TestAppsReachNoPrivateAddress(t *testing.T) {
	const secret = auth.Secret("whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz")
	ask := func(url string, networks ...string) error {
		c := Default()
		c.Webhooks.AllowNetworks = networks
		c.Apps = []auth.App{{ID: "x", Hook: auth.Hook{URL: url, Secrets: []auth.Secret{secret}}}}
		d, err := c.directory(slog.New(slog.DiscardHandler), prometheus.NewRegistry())
		require.NoError(t, err)
		_, err = d.Authorise(t.Context(), auth.Connect{App: "x"})
		require.ErrorIs(t, err, auth.ErrNoAnswer)
		return err
	}
	for _, url := range []string{"https://127.0.0.1:1/", "https://[::1]:1/", "https://[::ffff:10.0.0.1]:1/", "https://169.254.169.254/", "https://localhost:1/"} {
		require.ErrorIs(t, ask(url), webhook.ErrRefused, url)
	}
	require.NotErrorIs(t, ask("https://127.0.0.1:1/", "127.0.0.0/8"), webhook.ErrRefused)
}
