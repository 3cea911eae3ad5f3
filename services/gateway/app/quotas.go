package app

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/signalbox-rtc/signalbox/pkg/httpapi"
	"github.com/signalbox-rtc/signalbox/pkg/quota"
	"github.com/signalbox-rtc/signalbox/pkg/session"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// apiQuotas hold what the server API does to the apps' quotas.
type apiQuotas struct{ *quota.Keeper }

var _ httpapi.Quotas = apiQuotas{}

// TakeMessage implements [httpapi.Quotas].
func (q apiQuotas) TakeMessage(app string, size int) *wire.Error {
	return session.QuotaError(q.Operator(app).TakeMessage(size))
}

// TakeRoom implements [httpapi.Quotas].
func (q apiQuotas) TakeRoom(app string) (answered func(made bool), refusal *wire.Error) {
	operator := q.Operator(app)
	return operator.RoomAnswered, session.QuotaError(operator.TakeRoom())
}

// quotaPeriod is how often gateways tell each other what they use.
const quotaPeriod = time.Second

// openQuotas makes what holds the apps to their quotas.
func (g *Gateway) openQuotas(registry *prometheus.Registry) (err error) {
	c := g.config
	g.quotas, err = quota.New(quota.Options{
		Node: g.node, Quotas: g.directory.Quotas, Period: quotaPeriod,
		Exchange: func(ctx context.Context, usage []byte) (time.Time, map[string][]byte, error) {
			told, err := g.store.ExchangeUsage(ctx, g.node, usage, quota.Stale*quotaPeriod)
			if err != nil {
				return time.Time{}, nil, err
			}
			return told.Time, told.Others, nil
		},
		CountRooms:   g.store.RoomCounts,
		MessageBytes: max(c.Limits.MessageBytes, c.SocketIO.MessageBytes),
		Holders:      c.Quotas.Holders, HoldersTold: c.Quotas.HoldersTold, Apps: c.Quotas.Apps, Labels: c.labelledApps(), Other: session.OtherApps,
		Logger: g.calm, Registerer: registry,
	})
	return err
}

// runQuotas exchanges what is used, once the other gateways can know this one, until ctx ends; then it takes back what it has told.
func (g *Gateway) runQuotas(ctx context.Context) error {
	if g.cluster.WaitReady(ctx) != nil {
		return nil
	}
	err := g.quotas.Run(ctx)
	withdrawing, cancel := context.WithTimeout(context.WithoutCancel(ctx), quotaPeriod)
	defer cancel()
	_ = g.store.WithdrawUsage(withdrawing, g.node) // nobody counts it for long anyway
	return err
}

// waitQuotas waits until the other gateways count this one, where an app has quotas that all of them share: it would let nobody in
// before, or would not know yet what users and addresses have elsewhere.
func (g *Gateway) waitQuotas(ctx context.Context) error {
	for _, app := range g.directory.Apps() {
		if q := g.directory.Quotas(app.ID); q.Shared() || q.PerHolder() {
			return g.quotas.WaitReady(ctx)
		}
	}
	return nil
}
