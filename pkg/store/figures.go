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
	told := make(map[string][]byte, len(nodes))
	if len(nodes) == 0 {
		return told, nil
	}
	commands := make([]*redis.StringCmd, len(nodes))
	if err := s.pipelined(ctx, func(pipe redis.Pipeliner) {
		for i, node := range nodes {
			commands[i] = pipe.Get(ctx, figuresPrefix+node)
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
