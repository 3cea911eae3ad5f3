package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

const (
	// tombstoneLife is for how long a node that was given up is refused. It finds out with its next beat, unless it is
	// frozen for longer than this.
	tombstoneLife = 6 * time.Hour
	// maxCondemned is the most nodes that one [Store.Condemn] takes off the roster, and the most that it lists.
	maxCondemned = 64
	// maxReap is the most seats that one [Store.Reap] gives up: some milliseconds for Redis.
	maxReap = 64
)

// Condemned is a node whose lease has ended and whose seats are to be given up.
type Condemned struct {
	ID string
	// For is how long ago its lease ended, by Redis' clock.
	For time.Duration
}

// Condemn takes the nodes whose lease has ended off the roster, for good, and lists those whose seats are still to be
// given up, the longest dead first. Suspects are nodes that hold seats and were on no roster for a lease: those of them that
// still are on none are condemned, too. It condemns nobody before Redis has heard beats for a whole lease without a pause:
// see condemn.lua. It waits for Redis.
func (s *Store) Condemn(ctx context.Context, lease time.Duration, suspects []string) ([]Condemned, error) {
	args := []any{lease.Milliseconds(), maxCondemned, rosterDeadPrefix, tombstoneLife.Milliseconds()}
	for _, suspect := range suspects {
		args = append(args, suspect)
	}
	reply, err := s.roster.condemn.Run(ctx, s.client,
		[]string{rosterNodesKey, rosterInfoKey, rosterCondemnedKey, rosterPulseKey},
		args...).Slice()
	if err != nil {
		return nil, fmt.Errorf("store: condemn: %w", err)
	}
	if status, _ := at(reply, 0).(string); status != "ok" || len(reply)%2 != 1 {
		return nil, errors.New("store: condemn: the script's reply is not of its form")
	}
	nodes := make([]Condemned, 0, len(reply)/2)
	for i := 1; i < len(reply); i += 2 {
		id, _ := at(reply, i+1).(string)
		nodes = append(nodes, Condemned{ID: id, For: time.Duration(integer(reply, i)) * time.Millisecond})
	}
	return nodes, nil
}

// Claim reports whether self is to give up a condemned node's seats: the first that asks, until it is done or the time is
// over. It keeps nodes from doing the same work, nothing more: [Store.Reap] by several at once does no harm. It waits for
// Redis.
func (s *Store) Claim(ctx context.Context, node, self string, forTime time.Duration) (bool, error) {
	claimed, err := s.client.SetNX(ctx, rosterClaimPrefix+node, self, forTime).Result()
	if err != nil {
		return false, fmt.Errorf("store: claim: %w", err)
	}
	return claimed, nil
}

// Reap takes some of a condemned node's seats in one partition from it, each as [Store.Lose] would have done, with reason
// disconnected for those that are given up. From then on the node's joins in the partition are refused with [ErrLapsed]. It tells how many it gave
// up, and how many are left to give up. done is called as for the other calls.
func (s *Store) Reap(partition int, node string, done func(reaped, left int, err error)) {
	p, err := s.ofNode(partition, node)
	if err != nil {
		done(0, 0, err)
		return
	}
	c := s.partitionCall(s.scripts.reap, partition, node, func(reply []any, err error) {
		done(int(integer(reply, 1)), int(integer(reply, 2)), err)
	}, p.heldPrefix+node, p.tombstone(node), p.holders())
	c.add(strconv.Itoa(maxReap), milliseconds(tombstoneLife))
	c.addBytes(wire.SplitLeft(wire.ReasonDisconnected))
	c.addBytes(wire.SplitAway())
	s.router.submit(c)
}

// Bury forgets a condemned node that has no seats left in any partition, and reports whether this call did it. It waits
// for Redis.
func (s *Store) Bury(ctx context.Context, node string) (bool, error) {
	var removed *redis.IntCmd
	_, err := s.client.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
		removed = pipe.ZRem(ctx, rosterCondemnedKey, node)
		pipe.Del(ctx, rosterClaimPrefix+node)
		return nil
	})
	if err != nil {
		return false, fmt.Errorf("store: bury: %w", err)
	}
	return removed.Val() == 1, nil
}
