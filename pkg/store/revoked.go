package store

import (
	"context"
	"encoding/json"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// Revocation says of a user, or of a session, that what it was given before a time does not count any more.
type Revocation struct {
	App string `json:"app"`
	// User or Session is set, not both.
	User    string `json:"user,omitempty"`
	Session string `json:"session,omitempty"`
	// At is from when on what is given counts, and Until when this may be forgotten, both in Unix ms by Redis' clock.
	At    int64 `json:"at,omitempty"`
	Until int64 `json:"until,omitempty"`
}

// maxRevocations bounds how many revocations there may be at a time. A gateway keeps them all: about 20 MB.
const maxRevocations = 100_000

// Revoke notes a revocation of now, for as long as keep, and tells all gateways. It waits for Redis. Refusals: bad_request, limit (there are
// 100,000 already), unavailable.
func (s *Store) Revoke(ctx context.Context, r Revocation, keep time.Duration) error {
	if !validApp(r.App) || (r.User == "") == (r.Session == "") || keep < time.Millisecond {
		return wire.Errorf(wire.CodeBadRequest, "not a user or a session of an app, or no time to keep it for")
	}
	body, err := json.Marshal(Revocation{App: r.App, User: r.User, Session: r.Session})
	if err != nil {
		return wire.Errorf(wire.CodeInternal, "a revocation is no JSON")
	}
	reply, err := s.roster.revoke.Run(ctx, s.client, []string{revokedKey, bulletinKey},
		maxAnnouncements, AnnounceRevoked, body[:len(body)-1], keep.Milliseconds(), maxRevocations).Slice()
	if err != nil {
		return s.failed(err)
	}
	if status, _ := at(reply, 0).(string); status == string(wire.CodeLimit) {
		return wire.Errorf(wire.CodeLimit, "there are %d revocations already", maxRevocations)
	}
	return nil
}

// Revocations reads those that still count. It waits for Redis. Refusals: unavailable.
func (s *Store) Revocations(ctx context.Context) ([]Revocation, error) {
	now := time.Now()
	if at, ok := s.clock.at(now); ok {
		now = at
	}
	bodies, err := s.client.ZRangeArgs(ctx, redis.ZRangeArgs{
		Key: revokedKey, ByScore: true, Start: "(" + strconv.FormatInt(now.UnixMilli(), 10), Stop: "+inf"}).Result()
	if err != nil {
		return nil, s.failed(err)
	}
	revocations := make([]Revocation, 0, len(bodies))
	for _, body := range bodies {
		r, err := ParseRevocation([]byte(body))
		if err != nil {
			return nil, wire.Errorf(wire.CodeInternal, "a revocation in the store is damaged")
		}
		revocations = append(revocations, *r)
	}
	return revocations, nil
}

// PutBackRevocations notes revocations again that Redis has lost. It waits for Redis.
func (s *Store) PutBackRevocations(ctx context.Context, revocations []Revocation) error {
	if len(revocations) == 0 {
		return nil
	}
	members := make([]redis.Z, len(revocations))
	for i, r := range revocations {
		body, err := json.Marshal(r)
		if err != nil {
			return err
		}
		members[i] = redis.Z{Score: float64(r.Until), Member: body}
	}
	if err := s.client.ZAddNX(ctx, revokedKey, members...).Err(); err != nil {
		return s.failed(err)
	}
	return nil
}

// ParseRevocation reads the body of an announcement of the kind [AnnounceRevoked].
func ParseRevocation(body []byte) (*Revocation, error) {
	r := new(Revocation)
	if err := json.Unmarshal(body, r); err != nil {
		return nil, err
	}
	return r, nil
}
