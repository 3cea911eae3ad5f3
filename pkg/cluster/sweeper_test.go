package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/internal/memnet"
	"github.com/signalbox-rtc/signalbox/internal/memredis"
	"github.com/signalbox-rtc/signalbox/pkg/store"
)

// inBubble runs a test on fake time with an embedded Redis.
func inBubble(t *testing.T, test func(t *testing.T, redis *miniredis.Miniredis, opts store.Options)) {
	t.Helper()
	memredis.Bubble(t, func(t *testing.T) {
		network := new(memnet.Network)
		redis := memredis.Serve(t, network)
		test(t, redis, store.Options{Addresses: []string{memredis.Addr}, Dialer: network.DialContext, Partitions: 12})
	})
}

const (
	beat  = 2 * time.Second
	lease = 6 * time.Second
)

// away takes a seat in a room, beside one that stays, and loses its connection.
func (m *member) away(t *testing.T, room string, grace time.Duration) {
	t.Helper()
	require.NoError(t, m.join(room, "stays"))
	seat := store.Seat{Room: store.Room{App: "acme", Name: room}, Peer: "away", Node: m.id}
	done := make(chan error, 1)
	m.store.Join(store.Join{
		Seat: seat, Profile: []byte("{}"), Capacity: 500, Grace: grace,
		EventHead: []byte(`{"type":"joined-peer","order":`), EventTail: []byte("}"),
	}, func(_ *store.Snapshot, err error) { done <- err })
	require.NoError(t, <-done)
	m.store.Lose(store.Lose{Seat: seat, Away: []byte(`{"type":"away-peer"}`), Left: []byte(`{"type":"left-peer"}`)},
		func(_ int64, err error) { done <- err })
	require.NoError(t, <-done)
}

// Whose grace is over leaves once, about a second later, and all nodes share the work.
func TestAwaySeatsExpire(t *testing.T) {
	inBubble(t, func(t *testing.T, _ *miniredis.Miniredis, opts store.Options) {
		const rooms, grace = 120, 20 * time.Second
		var all []*member
		for _, id := range []string{"a", "b", "c"} {
			all = append(all, startMember(t, opts, id, beat, lease))
		}
		time.Sleep(2 * lease)
		time.Sleep(4*time.Second - time.Duration(time.Now().UnixNano())%(4*time.Second)) // a turn begins when it is over
		lost := time.Now()
		for room := range rooms {
			all[0].away(t, strconv.Itoa(room), grace)
		}
		time.Sleep(time.Until(lost.Add(grace - time.Millisecond)))
		require.Empty(t, all[0].told())
		time.Sleep(2500 * time.Millisecond)
		told := all[0].told()
		require.Len(t, told, rooms)
		for seat, times := range told {
			require.Equal(t, 1, times, seat)
		}
		require.EqualValues(t, rooms, total(t, all, "signalbox_expired_seats_total"))
		for _, m := range all {
			require.Greater(t, m.metric(t, "signalbox_expired_seats_total"), rooms/6.0, m.id)
		}
		require.Equal(t, 1, all[1].count(t, "7"))
	})
}

// A node is on the roster and does not sweep: it has just come, or trouble with Redis. Its part of the partitions is not left
// out for ever.
func TestSeatsOfAllPartitionsExpire(t *testing.T) {
	inBubble(t, func(t *testing.T, redis *miniredis.Miniredis, opts store.Options) {
		const rooms, grace = 40, 10 * time.Second
		m := startMember(t, opts, "m", beat, lease)
		for _, idle := range []string{"a", "z"} { // before and after
			_, err := redis.ZAdd("sb:{cluster}:nodes", float64(time.Now().Add(time.Hour).UnixMilli()), idle)
			require.NoError(t, err)
			redis.HSet("sb:{cluster}:nodeinfo", idle, `{"name":"idle"}`)
		}
		time.Sleep(2 * lease)
		require.Len(t, m.cluster.Nodes(), 3)
		lost := time.Now()
		for room := range rooms {
			m.away(t, strconv.Itoa(room), grace)
		}
		time.Sleep(time.Until(lost.Add(grace + 10*time.Second)))
		require.Len(t, m.told(), rooms)
	})
}

// Nobody can come back while Redis is away. Who was away longest gets a lease to do so afterwards, and is not swept in the
// instant in which Redis answers.
func TestNothingExpiresRightAfterAnOutage(t *testing.T) {
	for name, forgets := range map[string]bool{"it refuses": false, "it comes back with an old state": true} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, redis *miniredis.Miniredis, opts store.Options) {
				m := startMember(t, opts, "m", beat, lease)
				time.Sleep(2 * lease)
				// The node, which was ready half a second after its first beat, beats 9.5 s from now: the grace ends right after
				// it finds out, and not in the same moment, in which a sweep may come first.
				m.away(t, "r", 9600*time.Millisecond)
				if forgets {
					time.Sleep(9250 * time.Millisecond)
					redis.Del("sb:{cluster}:nodes")
					time.Sleep(2500 * time.Millisecond)
				} else {
					redis.SetError("LOADING Redis is loading the dataset in memory")
					time.Sleep(30 * time.Second)
					redis.SetError("")
				}
				require.Equal(t, 2, m.count(t, "r"))
				time.Sleep(lease - 2500*time.Millisecond)
				require.Equal(t, 2, m.count(t, "r"), "there is time to come back")
				time.Sleep(lease)
				require.Equal(t, 1, m.count(t, "r"))
				require.Equal(t, map[string]int{"r away": 1}, m.told())
			})
		})
	}
}

// A node that Redis does not know any more puts back what it can, as often as it takes, before it is on the roster again.
func TestForgotten(t *testing.T) {
	inBubble(t, func(t *testing.T, redis *miniredis.Miniredis, opts store.Options) {
		var asked []bool // whether the node was on the roster then
		listed := func() bool {
			nodes, _ := redis.ZMembers("sb:{cluster}:nodes")
			return len(nodes) > 0
		}
		m := startMemberWith(t, opts, "m", beat, lease, func(context.Context) error {
			asked = append(asked, listed())
			if len(asked)%2 == 1 {
				return errors.New("not yet")
			}
			return nil
		})
		for round := range 3 {
			time.Sleep(5 * time.Second)
			synctest.Wait()
			require.True(t, listed())
			require.Len(t, asked, 2*round)
			redis.FlushAll()
			time.Sleep(beat)
			synctest.Wait()
			require.Len(t, asked, 2*round+1)
			require.False(t, listed(), "what it knows is not back yet")
			time.Sleep(beat)
			synctest.Wait()
			require.Len(t, asked, 2*round+2)
			require.True(t, listed())
		}
		require.NotContains(t, asked, true)
		require.EqualValues(t, 6, m.metric(t, "signalbox_cluster_forgotten_total"))
	})
}

// Somebody has given the empty Redis another number of partitions: this node would look for rooms where nobody else does.
func TestForgottenWithOtherPartitions(t *testing.T) {
	inBubble(t, func(t *testing.T, redis *miniredis.Miniredis, opts store.Options) {
		other, err := store.Open(t.Context(), opts)
		require.NoError(t, err)
		defer func() { require.NoError(t, other.Close()) }()
		m := startMemberWith(t, opts, "m", beat, lease, func(ctx context.Context) error {
			return fmt.Errorf("put back: %w", other.PutBack(ctx, nil))
		})
		redis.FlushAll()
		require.NoError(t, redis.Set("sb:partitions", "7"))
		time.Sleep(2 * beat)
		var mismatch *store.PartitionsError
		select {
		case err := <-m.ended:
			require.ErrorAs(t, err, &mismatch)
			require.Equal(t, "7", mismatch.Theirs)
		default:
			require.Fail(t, "it goes on")
		}
	})
}
