package app_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/wire"
	"github.com/signalbox-rtc/signalbox/services/gateway/app"
)

func parkSoon(c *app.Config) { c.Listen.ParkAfter = 30 * time.Millisecond }

func (g *gateway) untilParked(t *testing.T, sessions int) {
	t.Helper()
	until(t, func() bool { return g.counted(t, "signalbox_sessions_parked") == float64(sessions) },
		fmt.Sprintf("%d sessions are parked", sessions))
}

// Sessions that are parked have their seats, get what is sent to them, and go on where they were when they send again.
func TestParkedSessions(t *testing.T) {
	gateways := startGateways(t, 2, singleRedis(t), parkSoon)
	ada, bob := connect(t, gateways[0], "ada"), connect(t, gateways[1], "bob")
	ada.mustJoin(t, "r")
	bob.mustJoin(t, "r")
	for i := range 5 {
		for _, g := range gateways {
			g.untilParked(t, 1)
		}
		text := fmt.Sprintf("number %d", i)
		require.NoError(t, ada.publish(t.Context(), "r", text))
		require.Equal(t, `"`+text+`"`, string(bob.await(t, wire.TypeMessage).Body.(*wire.Message).Data))
	}
	require.GreaterOrEqual(t, gateways[0].counted(t, "signalbox_session_wakeups_total"), 5.0)
	gateways[0].untilParked(t, 1)
	ada.Close()
	require.Equal(t, wire.ReasonLeft, bob.await(t, wire.TypeLeftPeer).Body.(*wire.LeftPeer).Reason)
	require.Zero(t, gateways[0].counted(t, "signalbox_sessions_parked"))
}

// A gateway that ends waits for no parked session, and leaves none behind.
func TestParkedSessionsMove(t *testing.T) {
	gateways := startGateways(t, 2, singleRedis(t), parkSoon, roomy)
	const movers = 20
	witness := connect(t, gateways[1], "witness")
	witness.mustJoin(t, "r")
	var peers []*peer
	for i := range movers {
		p := connect(t, gateways[0], fmt.Sprintf("mover-%d", i))
		p.mustJoin(t, "r")
		peers = append(peers, p)
	}
	gateways[0].untilParked(t, movers)
	begin := time.Now()
	require.NoError(t, gateways[0].end())
	require.Less(t, time.Since(begin), patience)
	for _, p := range peers {
		require.Equal(t, wire.CloseMoved, closeCode(t, p))
	}
	until(t, func() bool { return witness.snapshot(t, "r").Count == 1 }, "no seat is left behind")
}

// TLS of the gateway's own has a state between the socket and the reader.
func TestSessionsInTLSAreNotParked(t *testing.T) {
	config := app.Default()
	config.TLS.CertFile, config.TLS.KeyFile, config.Demo.Enabled = "cert.pem", "key.pem", true
	require.Empty(t, config.Warnings(), "it is the default")
	config.Listen.ParkAfter = time.Second
	require.Len(t, config.Warnings(), 1)
	require.Contains(t, config.Warnings()[0], "listen.park_after")
}
