package app

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/signalbox-rtc/signalbox/pkg/store"
	"github.com/signalbox-rtc/signalbox/pkg/telemetry"
	"github.com/signalbox-rtc/signalbox/pkg/telemetry/metric"
)

// herald tells the gateways of the relay. What goes wrong with Redis is counted and logged, and stops nothing.
type herald struct {
	// immutable
	relay   *Relay
	options store.Options
	logger  *slog.Logger
	told    *prometheus.CounterVec
	load    prometheus.Gauge
	now     chan struct{} // has it tell at once
}

// withdrawTimeout is how long the end may wait for Redis: the lease ends by itself, too.
const withdrawTimeout = 2 * time.Second

// Values of the label result of announcements.
const (
	announcedOK     = "ok"
	announcedFailed = "error"
)

func newHerald(r *Relay, opts Options) (*herald, error) {
	options, err := r.config.Redis.StoreOptions()
	if err != nil {
		return nil, err
	}
	options.WithoutRooms, options.Logger, options.Dialer = true, r.logger, opts.StoreDialer
	h := &herald{
		relay: r, options: options, logger: telemetry.Every(r.logger, 10*time.Second), now: make(chan struct{}, 1),
		told: metric.Counters("signalbox_relay_announcements_total",
			"How often the gateways were told of this relay, by result: ok, or error when Redis did not take it.", "result"),
		load: metric.Gauge("signalbox_relay_load",
			"How much of what it may carry the relay carries, 0 to 1, as the gateways were told last: of allocations or of bandwidth, whichever is more."),
	}
	for _, result := range []string{announcedOK, announcedFailed} {
		h.told.WithLabelValues(result)
	}
	opts.Registry.MustRegister(h.told, h.load)
	return h, nil
}

// tellNow has the next beat come at once.
func (h *herald) tellNow() {
	select {
	case h.now <- struct{}{}:
	default:
	}
}

// run tells again and again until ctx ends. Redis need not be there when it begins.
func (h *herald) run(ctx context.Context) error {
	for ctx.Err() == nil {
		redis, err := store.Open(ctx, h.options)
		if err != nil {
			h.failed(err)
			if passes := errors.As(err, new(*store.UnreachableError)); !passes && ctx.Err() == nil {
				h.logger.Error("the relay cannot be announced in this Redis", "error", err)
			}
			h.pause(ctx)
			continue
		}
		h.serve(ctx, redis)
	}
	return nil
}

// serve tells over one store.
func (h *herald) serve(ctx context.Context, redis *store.Store) {
	var group errgroup.Group
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	group.Go(func() error { return redis.Run(life) })
	for ctx.Err() == nil {
		h.tell(ctx, redis)
		h.pause(ctx)
	}
	withdrawing, cancel := context.WithTimeout(life, withdrawTimeout)
	defer cancel()
	if err := redis.WithdrawRelay(withdrawing, h.relay.id); err != nil {
		h.failed(err)
	}
	end()
	_ = group.Wait()
	_ = redis.Close()
}

func (h *herald) tell(ctx context.Context, redis *store.Store) {
	load := h.relay.server.Load()
	h.load.Set(load)
	ctx, cancel := context.WithTimeout(ctx, h.relay.config.Announce.Lease)
	defer cancel()
	err := redis.AnnounceRelay(ctx, store.Relay{
		ID: h.relay.id, Region: h.relay.config.Relay.Region, URLs: h.relay.URLs(), Load: load, Draining: h.relay.draining.Load(),
		Version: telemetry.ReadBuild().Version,
	}, h.relay.config.Announce.Lease)
	if err != nil {
		h.failed(err)
		return
	}
	h.told.WithLabelValues(announcedOK).Inc()
}

func (h *herald) failed(err error) {
	h.told.WithLabelValues(announcedFailed).Inc()
	h.logger.Warn("the gateways were not told of this relay", "error", err)
}

// pause waits for the next beat, or until something has changed.
func (h *herald) pause(ctx context.Context) {
	timer := time.NewTimer(h.relay.config.Announce.Beat)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	case <-h.now:
	}
}
