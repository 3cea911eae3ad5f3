package store_test

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/internal/redistest"
	"github.com/signalbox-rtc/signalbox/pkg/store"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// Whoever leaves frees memory. A script's first write is refused at maxmemory if it needs memory, so the scripts
// that give seats up remove before they add.
func TestLeavingWorksAtMaxmemory(t *testing.T) {
	server := redistest.Single(t)
	registry := prometheus.NewRegistry()
	n := startNode(t, store.Options{Addresses: []string{server.Addr()}, Registerer: registry, Logger: quietLogger()}.Patient(), "n")
	mustJoin(t, n, lobby, "a", "b", "c")
	n.expect(t, 2)
	_, err := server.Do("CONFIG", "SET", "maxmemory", "1")
	require.NoError(t, err)
	_, err = n.send(store.Send{Seat: n.seat(lobby, "a"), Type: "message", Event: []byte(`{"type":"message"}`)})
	requireCode(t, wire.CodeUnavailable, err)
	require.EqualValues(t, 1, metric(t, registry, "signalbox_redis_errors_total", "oom"))
	_, err = n.control(kickOf(n.seat(lobby, "a"), "b"))
	require.NoError(t, err)
	_, err = n.leave(n.seat(lobby, "a"))
	require.NoError(t, err)
	require.Equal(t, []string{
		`4 left-peer to= except= {"type":"left-peer","peer":"b","reason":"kicked"}`,
		`5 left-peer to= except=a {"type":"left-peer","peer":"a"}`,
	}, briefs(n.expect(t, 2)))
}

// A dead node's seats free memory, and a node that lives must not be thought dead because memory is short.
func TestReapingWorksAtMaxmemory(t *testing.T) {
	server := redistest.Single(t)
	n := startNode(t, store.Options{Addresses: []string{server.Addr()}, Logger: quietLogger()}.Patient(), "n")
	const lease = 20 * time.Second
	self := store.NodeInfo{ID: "n", Info: []byte("{}")}
	beat(t, n.store, self, lease, true)
	beat(t, n.store, store.NodeInfo{ID: "dead"}, lease, true)
	dead := startNode(t, store.Options{Addresses: []string{server.Addr()}, Logger: quietLogger()}.Patient(), "dead")
	mustJoin(t, dead, lobby, "a", "b")
	mustJoin(t, n, lobby, "c")
	for _, command := range [][]string{
		{"ZADD", "sb:{cluster}:nodes", "1000", "dead"}, {"SET", "sb:{cluster}:pulse", "1", "KEEPTTL"},
		{"CONFIG", "SET", "maxmemory", "1"},
	} {
		_, err := server.Do(command...)
		require.NoError(t, err)
	}
	beat(t, n.store, self, lease, false)
	condemned, err := n.store.Condemn(t.Context(), lease, nil)
	require.NoError(t, err)
	require.Len(t, condemned, 1)
	got, err := n.reap(n.store.Partition(lobby), "dead")
	require.NoError(t, err)
	require.Equal(t, reaped{2, 0}, got)
}

// Clients come and go while memory is short: who is in must not lose the seat for it, and graces end.
func TestAwaySeatsWorkAtMaxmemory(t *testing.T) {
	d := single(t)
	d.options.Logger = quietLogger()
	limit := func(bytes string) { d.all(t, "CONFIG", "SET", "maxmemory", bytes) }
	n := startNode(t, d.options, "n")
	other := startNode(t, d.options, "other")
	joinKept(t, n, lobby, "a", "b", "c", "d")
	mustJoin(t, n, lobby, "e", "f")
	before := n.look(t, lobby)
	limit("1")

	loseAll(t, n, lobby, "a", "b", "e")
	resumed, err := other.resume(resumeOf(later(n.seat(lobby, "a"), other.id, 1), before.Epoch, before.Seq))
	require.NoError(t, err)
	require.Equal(t, []string{"away-peer", "left-peer"}, kinds(resumed.Missed))
	_, err = other.resume(resumeOf(later(n.seat(lobby, "c"), other.id, 1), before.Epoch, before.Seq))
	require.NoError(t, err, "from a connection that is still there")
	_, err = n.resume(resumeOf(later(n.seat(lobby, "d"), n.id, 1), before.Epoch, before.Seq))
	require.NoError(t, err, "on the same node")
	_, err = n.resume(resumeOf(later(n.seat(lobby, "d"), n.id, 2), before.Epoch, before.Seq+100))
	require.NoError(t, err, "where Redis went back in time")
	limit("0")
	endGrace(t, d, n.store, lobby, "b")
	limit("1")
	got, err := n.expire(lobby, inAnHour())
	require.NoError(t, err)
	require.Equal(t, expired{1, 0}, got)
	_, err = n.leave(n.seat(lobby, "f"))
	require.NoError(t, err)
	reapedSeats, err := n.reap(n.store.Partition(lobby), "other")
	require.NoError(t, err)
	require.Equal(t, reaped{2, 0}, reapedSeats, "they are away")
	reapedSeats, err = n.reap(n.store.Partition(lobby), "nobody")
	require.NoError(t, err, "a dead node that had no seat in the partition")
	require.Equal(t, reaped{}, reapedSeats)

	_, err = n.join(n.seat(lobby, "new"))
	requireCode(t, wire.CodeUnavailable, err)
	_, err = n.join(n.seat(store.Room{App: "acme", Name: "new"}, "new"))
	requireCode(t, wire.CodeUnavailable, err)
	_, err = n.join(n.seat(lobby, "new"), func(j *store.Join) {
		j.SameUser, j.ReplacedHead, j.ReplacedTail = []byte(`{"user":"u-d"`), []byte(`{"type":"left-peer","peer":"`), []byte(`"}`)
	})
	requireCode(t, wire.CodeUnavailable, err)
	s := n.look(t, lobby)
	require.Equal(t, 3, s.Count)
	require.Equal(t, []bool{true, true, false}, []bool{s.Members[0].Away, s.Members[1].Away, s.Members[2].Away})
}
