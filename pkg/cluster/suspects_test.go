package cluster_test

import (
	"context"
	"errors"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/cluster"
	"github.com/signalbox-rtc/signalbox/pkg/store"
)

// A node that dies and of whose lease Redis has lost every trace leaves no seats behind.
func TestSeatsOfForgottenNodesAreGivenUp(t *testing.T) {
	inBubble(t, func(t *testing.T, redis *miniredis.Miniredis, opts store.Options) {
		const rooms = 30
		a, b := startMember(t, opts, "a", beat, lease), startMember(t, opts, "b", beat, lease)
		dead := startMember(t, opts, "dead", beat, lease)
		time.Sleep(2 * lease)
		for room := range rooms {
			require.NoError(t, dead.join(strconv.Itoa(room), "ghost"))
			require.NoError(t, a.join(strconv.Itoa(room), "stays"))
		}
		dead.halt()
		redis.Del("sb:{cluster}:nodes")
		redis.Del("sb:{cluster}:nodeinfo")
		time.Sleep(5 * lease)
		told := a.told()
		require.Len(t, told, rooms)
		for seat, times := range told {
			require.Equal(t, 1, times, seat)
		}
		require.EqualValues(t, rooms, total(t, []*member{a, b}, "signalbox_reaped_seats_total"))
		require.ErrorIs(t, dead.join("0", "late"), store.ErrLapsed, "nor does it get any there after that")
		require.ElementsMatch(t, []string{"a", "b"}, ids(a.cluster.Nodes()))
	})
}

// A call of a node that has struck itself off was carried out late.
func TestSeatOfANodeThatHasEndedIsGivenUp(t *testing.T) {
	inBubble(t, func(t *testing.T, _ *miniredis.Miniredis, opts store.Options) {
		a, gone := startMember(t, opts, "a", beat, lease), startMember(t, opts, "gone", beat, lease)
		gone.rest()
		require.NoError(t, gone.join("r", "late"))
		require.Equal(t, 1, a.count(t, "r"))
		time.Sleep(5 * lease)
		require.Zero(t, a.count(t, "r"))
	})
}

// A node that cannot beat for a while after Redis has lost its lease, for less than a lease, keeps its seats, and so does one
// that is new to the others.
func TestLivingNodesAreNotSuspected(t *testing.T) {
	inBubble(t, func(t *testing.T, redis *miniredis.Miniredis, opts store.Options) {
		a := startMember(t, opts, "a", beat, lease)
		var failures atomic.Int64
		slow := startMemberWith(t, opts, "slow", beat, lease, func(context.Context) error {
			if failures.Add(-1) >= 0 {
				return errors.New("not yet")
			}
			return nil
		})
		require.NoError(t, slow.join("r", "here"))
		time.Sleep(3 * lease)
		for range 10 {
			failures.Store(2)
			_, err := redis.ZRem("sb:{cluster}:nodes", "slow")
			require.NoError(t, err)
			time.Sleep(3 * lease)
		}
		require.Equal(t, 1, a.count(t, "r"))
		require.Zero(t, a.metric(t, "signalbox_reaped_nodes_total"))
		require.Empty(t, slow.ended)
	})
}

func ids(nodes []cluster.Node) (ids []string) {
	for _, node := range nodes {
		ids = append(ids, node.ID)
	}
	return ids
}
