package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// usageKey is the hash of node to "<Redis' time in ms> <what it uses of the apps' quotas>".
const usageKey = keyPrefix + "{cluster}:usage"

// Usage is what the nodes other than the caller use of the apps' quotas, in a form that the store does not know, as of one
// moment of Redis' clock.
type Usage struct {
	Time   time.Time
	Others map[string][]byte // by node
}

// ExchangeUsage tells the cluster what a node uses, and gives what the others have told, in one instant. What is older than
// that, or of a node without a lease, is left out. It waits for Redis.
func (s *Store) ExchangeUsage(ctx context.Context, node string, usage []byte, oldest time.Duration) (*Usage, error) {
	reply, err := s.roster.usage.Run(ctx, s.client, []string{usageKey, rosterNodesKey}, node, usage, oldest.Milliseconds()).Slice()
	if err != nil {
		return nil, fmt.Errorf("store: usage: %w", err)
	}
	if status, _ := at(reply, 0).(string); len(reply)%2 != 0 || status != "ok" {
		return nil, errors.New("store: usage: the script's reply is not of its form")
	}
	result := &Usage{Time: time.UnixMilli(integer(reply, 1)), Others: make(map[string][]byte, len(reply)/2)}
	for i := 2; i < len(reply); i += 2 {
		other, _ := reply[i].(string)
		text, _ := reply[i+1].(string)
		result.Others[other] = []byte(text)
	}
	return result, nil
}

// WithdrawUsage forgets what a node that ends has told. It waits for Redis.
func (s *Store) WithdrawUsage(ctx context.Context, node string) error {
	if err := s.client.HDel(ctx, usageKey, node).Err(); err != nil {
		return fmt.Errorf("store: withdraw usage: %w", err)
	}
	return nil
}

// RoomCounts tells how many rooms each of some apps has, those without peers included. It costs a command for each app and
// partition, in one pipeline for each primary. It waits for Redis.
func (s *Store) RoomCounts(ctx context.Context, apps []string) (map[string]int64, error) {
	if len(apps) == 0 {
		return nil, nil
	}
	counts := make([][]*redis.IntCmd, len(apps))
	_, err := s.client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for i, app := range apps {
			for j := range s.partitions {
				counts[i] = append(counts[i], pipe.ZCard(ctx, s.partitions[j].roomsKey(app)))
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("store: count rooms: %w", err)
	}
	rooms := make(map[string]int64, len(apps))
	for i, app := range apps {
		for _, count := range counts[i] {
			rooms[app] += count.Val()
		}
	}
	return rooms, nil
}
