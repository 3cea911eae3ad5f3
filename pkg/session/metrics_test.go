package session_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/internal/memnet"
	"github.com/signalbox-rtc/signalbox/internal/memredis"
	"github.com/signalbox-rtc/signalbox/pkg/session"
	"github.com/signalbox-rtc/signalbox/pkg/store"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// requestTime gives how many requests of a type ended so, and how long they took in all.
func (g *gateway) requestTime(kind wire.Type, result string) (count uint64, took time.Duration) {
	g.tb.Helper()
	families, err := g.registry.Gather()
	require.NoError(g.tb, err)
	for _, family := range families {
		if family.GetName() != "signalbox_request_duration_seconds" {
			continue
		}
		for _, m := range family.GetMetric() { // labels are sorted: result, type
			if m.GetLabel()[0].GetValue() == result && m.GetLabel()[1].GetValue() == string(kind) {
				sum := time.Duration(m.GetHistogram().GetSampleSum() * float64(time.Second))
				return m.GetHistogram().GetSampleCount(), sum.Round(time.Millisecond)
			}
		}
	}
	g.tb.Fatalf("no time of %s is kept that was %s", kind, result)
	return 0, 0
}

// What a client waited for is what is told, by whose doing the outcome was.
func TestRequestDurations(t *testing.T) {
	const oneWay = 40 * time.Millisecond
	memredis.Bubble(t, func(t *testing.T) {
		network := new(memnet.Network)
		network.SetLatency(oneWay)
		redis := memredis.Serve(t, network)
		g := newGateway(t, session.Options{}, store.Options{Addresses: []string{memredis.Addr}, Dialer: network.DialContext})
		c := g.enterAttached()
		accepted[wire.Snapshot](c, `{"id":2,"type":"join","room":"r"}`)
		accepted[wire.Done](c, `{"id":3,"type":"state","room":"r","state":{"hand":true}}`)
		accepted[wire.HeadCount](c, `{"id":4,"type":"peers","room":"r"}`)
		c.refused(`{"id":5,"type":"signal","room":"r","to":"nobody","data":{}}`, wire.CodePeerGone)
		for _, kind := range []wire.Type{wire.TypeJoin, wire.TypeState, wire.TypePeers} {
			count, took := g.requestTime(kind, "ok")
			require.EqualValues(t, 1, count, kind)
			require.GreaterOrEqual(t, took, 2*oneWay, kind)
			require.Less(t, took, time.Second, kind) // it may be the first that asks Redis, which dials and loads the scripts
		}
		count, took := g.requestTime(wire.TypeSignal, "refused")
		require.EqualValues(t, 1, count)
		require.GreaterOrEqual(t, took, 2*oneWay)
		require.Less(t, took, time.Second)

		redis.SetError("LOADING Redis is loading the dataset in memory")
		c.refused(`{"id":6,"type":"publish","room":"r","data":1}`, wire.CodeUnavailable)
		redis.SetError("")
		count, _ = g.requestTime(wire.TypePublish, "failed")
		require.EqualValues(t, 1, count)
	})
}
