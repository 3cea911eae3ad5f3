package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// Answers to requests of the server API, kept for those who send them again. A name is any text without control characters;
// what is kept is opaque to the store. All methods wait for Redis.

// BeginAnswer keeps a mark under the name for as long as lease, unless something is there already: then that is found, and
// stays. Nil is found when the mark is kept.
func (s *Store) BeginAnswer(ctx context.Context, name string, mark []byte, lease time.Duration) (found []byte, err error) {
	const attempts = 3 // what was there may end between the two questions
	for range attempts {
		kept, err := s.client.SetNX(ctx, answerKey(name), mark, lease).Result()
		if err != nil {
			return nil, fmt.Errorf("store: begin an answer: %w", err)
		}
		if kept {
			return nil, nil
		}
		found, err := s.client.Get(ctx, answerKey(name)).Bytes()
		if err == nil {
			return found, nil
		}
		if !errors.Is(err, redis.Nil) {
			return nil, fmt.Errorf("store: read an answer: %w", err)
		}
	}
	return nil, errors.New("store: begin an answer: it comes and goes")
}

// PutAnswer keeps an answer under the name, in place of what is there.
func (s *Store) PutAnswer(ctx context.Context, name string, answer []byte, ttl time.Duration) error {
	if err := s.client.Set(ctx, answerKey(name), answer, ttl).Err(); err != nil {
		return fmt.Errorf("store: keep an answer: %w", err)
	}
	return nil
}

// DropAnswer forgets what is kept under the name.
func (s *Store) DropAnswer(ctx context.Context, name string) error {
	if err := s.client.Del(ctx, answerKey(name)).Err(); err != nil {
		return fmt.Errorf("store: drop an answer: %w", err)
	}
	return nil
}
