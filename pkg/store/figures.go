package store

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// figuresPrefix is of what a node tells of its apps. It is beside what the roster has of the node, as that is read by all others with every
// beat, and this only when somebody asks.
const figuresPrefix = keyPrefix + "{cluster}:figures:"

// TellFigures notes what a node tells of its apps, in a form that the store does not know, for a time. It waits for Redis.
func (s *Store) TellFigures(ctx context.Context, node string, figures []byte, life time.Duration) error {
	if err := s.client.Set(ctx, figuresPrefix+node, figures, life).Err(); err != nil {
		return fmt.Errorf("store: tell figures: %w", err)
	}
	return nil
}

// Figures gives what some nodes have told last, by node. It waits for Redis. Refusals: unavailable.
func (s *Store) Figures(ctx context.Context, nodes []string) (map[string][]byte, error) {
	return s.told(ctx, figuresPrefix, nodes)
}

// told reads what nodes have told under a prefix.
func (s *Store) told(ctx context.Context, prefix string, nodes []string) (map[string][]byte, error) {
	told := make(map[string][]byte, len(nodes))
	if len(nodes) == 0 {
		return told, nil
	}
	commands := make([]*redis.StringCmd, len(nodes))
	if err := s.pipelined(ctx, func(pipe redis.Pipeliner) {
		for i, node := range nodes {
			commands[i] = pipe.Get(ctx, prefix+node)
		}
	}); err != nil {
		return nil, err
	}
	for i, node := range nodes {
		if figures, err := commands[i].Bytes(); err == nil {
			told[node] = figures
		}
	}
	return told, nil
}

const (
	// countsPrefix is of what a node has counted, which it tells as long as somebody looks at the cluster.
	countsPrefix = keyPrefix + "{cluster}:counts:"
	// lookedKey is there while somebody does.
	lookedKey = keyPrefix + "{cluster}:looked"
)

// Look asks all nodes to tell what they have counted, for a time. It waits for Redis.
func (s *Store) Look(ctx context.Context, life time.Duration) error {
	if err := s.client.Set(ctx, lookedKey, "1", life).Err(); err != nil {
		return fmt.Errorf("store: look: %w", err)
	}
	return nil
}

// Looked tells whether somebody has asked what nodes have counted. It waits for Redis.
func (s *Store) Looked(ctx context.Context) (bool, error) {
	there, err := s.client.Exists(ctx, lookedKey).Result()
	if err != nil {
		return false, fmt.Errorf("store: looked: %w", err)
	}
	return there == 1, nil
}

// TellCounts notes what a node has counted, in a form that the store does not know, for a time. It waits for Redis.
func (s *Store) TellCounts(ctx context.Context, node string, counts []byte, life time.Duration) error {
	if err := s.client.Set(ctx, countsPrefix+node, counts, life).Err(); err != nil {
		return fmt.Errorf("store: tell counts: %w", err)
	}
	return nil
}

// Counts gives what some nodes have told last of what they have counted, by node. It waits for Redis. Refusals: unavailable.
func (s *Store) Counts(ctx context.Context, nodes []string) (map[string][]byte, error) {
	return s.told(ctx, countsPrefix, nodes)
}
