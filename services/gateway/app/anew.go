package app

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/signalbox-rtc/signalbox/pkg/cluster"
)

// reopenPause is between attempts to begin anew: what kept this gateway from Redis may not be over.
const reopenPause = time.Second

// RunAnew is Run, over and over: when the other gateways have taken this one for dead, because it was frozen or cut off
// from Redis for longer than its lease, its seats are not its own any more. It then closes its sessions, which come back,
// and all of it begins anew in this process: under a new node id, at the same addresses, with the metrics of a registry
// from newRegistry.
func (g *Gateway) RunAnew(ctx context.Context, newRegistry func() *prometheus.Registry) error {
	for {
		err := g.Run(ctx)
		if !errors.Is(err, cluster.ErrLapsed) {
			return err
		}
		g.logger.Warn("the other gateways took this one for dead: it begins anew, under a new node id")
		for {
			if ctx.Err() != nil {
				return nil
			}
			next, err := OpenPatiently(ctx, g.again(newRegistry()), newRegistry)
			if err == nil {
				g = next
				break
			}
			g.logger.Warn("the gateway cannot begin anew yet", "error", err)
			select {
			case <-time.After(reopenPause):
			case <-ctx.Done():
			}
		}
	}
}

// again gives the options of a gateway that takes the place of this one.
func (g *Gateway) again(registry *prometheus.Registry) Options {
	config := *g.config
	config.Listen.Public, config.Listen.Operations = g.public.Addr().String(), g.operations.Addr().String()
	if g.internal != nil {
		config.Listen.Cluster = g.internal.Addr().String()
	}
	if g.api != nil {
		config.API.Address = g.api.listener.Addr().String()
	}
	return Options{
		Config: &config, Logger: g.options.Logger, Level: g.options.Level, Registry: registry, RedisDialer: g.options.RedisDialer, Hangup: g.options.Hangup,
		lapses: g.options.lapses + 1,
	}
}
