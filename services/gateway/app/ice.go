package app

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/signalbox-rtc/signalbox/pkg/ice"
)

// openICE makes what tells clients of STUN and TURN servers.
func (g *Gateway) openICE(registry *prometheus.Registry) (err error) {
	c := &g.config.ICE
	relays := ice.Relays{Region: g.config.Node.Region, Most: c.Relays.Most, Interval: c.Relays.Interval}
	if c.Relays.Enabled {
		relays.List, relays.Secret = g.store.Relays, c.Relays.Secrets[0]
	}
	g.ice, err = ice.New(ice.Options{
		Apps: g.directory, Servers: g.config.iceServers(), TTL: c.TTL, Relays: relays, Logger: g.logger, Registerer: registry,
	})
	return err
}
