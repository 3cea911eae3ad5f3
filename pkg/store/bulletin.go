package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// Names of what all gateways follow.
const (
	appsKey     = keyPrefix + "{cluster}:apps"     // hash of app id to "<version> <data>", and of versionsField to the last version
	revokedKey  = keyPrefix + "{cluster}:revoked"  // zset of revocations by their end, Unix ms
	bulletinKey = keyPrefix + "{cluster}:bulletin" // stream of announcements: p (id of the one before), k (kind), b (body)
)

// The kinds of announcements that the store makes itself.
const (
	AnnounceApp     = "app"     // an app was put or deleted: its id
	AnnounceRevoked = "revoked" // a [Revocation]
)

const (
	// maxAnnouncements is how many the bulletin keeps. Who has missed more reads everything anew.
	maxAnnouncements = 1000
	// bulletinBlock is how long Redis is waited for, for the next announcement. Then it is looked whether those before are still there.
	bulletinBlock = 2 * time.Second
	// bulletinChunk is the most announcements that are read at once.
	bulletinChunk = 100
	// maxAnnouncement bounds a body, in bytes.
	maxAnnouncement = 64 << 10
)

// Announce tells all gateways something. It waits for Redis. Refusals: bad_request, unavailable.
func (s *Store) Announce(ctx context.Context, kind string, body []byte) error {
	if kind == "" || len(body) > maxAnnouncement {
		return wire.Errorf(wire.CodeBadRequest, "an announcement has a kind, and at most %d bytes", maxAnnouncement)
	}
	if err := s.roster.announce.Run(ctx, s.client, []string{bulletinKey}, maxAnnouncements, kind, body).Err(); err != nil {
		return s.failed(err)
	}
	return nil
}

// Follower is what [Store.Follow] calls, from one goroutine.
type Follower struct {
	// Reload reads everything anew of which announcements tell. It is called first, and whenever some of them may have been missed; those
	// that come after it has begun are announced. It is called again, after a pause, if it fails.
	Reload func(context.Context) error
	// Announced takes one announcement, in the order in which they were made. If it fails, everything is read anew. Body may be
	// kept.
	Announced func(ctx context.Context, kind string, body []byte) error
}

// Follow tells of what is announced until ctx ends, and then returns nil. It waits on a connection of its own. Announcements may be told
// twice.
func (s *Store) Follow(ctx context.Context, f Follower) error {
	r := &bulletinReader{store: s, follower: f}
	backoff := minBackoff
	for ctx.Err() == nil {
		before := r.read
		err := r.session(ctx)
		if ctx.Err() != nil {
			return nil
		}
		s.log.warn("bulletin", "the cluster's bulletin is read anew", "error", err)
		if r.failed {
			s.router.failed(err)
		}
		if r.read > before {
			backoff = minBackoff
		}
		select {
		case <-ctx.Done():
		case <-time.After(minBackoff + time.Duration(chance().Int64N(int64(backoff)))):
		}
		backoff = min(2*backoff, maxBackoff)
	}
	return nil
}

// bulletinReader is the state of one Follow. Owned by its goroutine.
type bulletinReader struct {
	store    *Store
	follower Follower

	known    bool   // position counts
	position string // id of the last announcement that was told; empty: the bulletin was empty
	read     int    // commands that Redis has answered
	failed   bool   // the last one was not
}

// session reads over a new connection until that fails. The connection is not of the pool: it waits most of the time, and has to be
// cut when ctx ends, which go-redis does not see while it reads.
func (r *bulletinReader) session(ctx context.Context) error {
	r.failed = true
	client, err := r.store.bulletinClient(ctx)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = client.Close() })
	defer func() {
		if stop() {
			_ = client.Close()
		}
	}()
	for {
		if err := r.check(ctx, client); err != nil {
			return err
		}
		for more := true; more; {
			if more, err = r.next(ctx, client); err != nil {
				return err
			}
		}
	}
}

// check makes sure that what was told is what the bulletin has: it may have been trimmed, or Redis may have lost data or gone
// back in time.
func (r *bulletinReader) check(ctx context.Context, client *redis.Client) error {
	waiting, done := context.WithTimeout(ctx, r.patience())
	defer done()
	r.failed = true
	pipe := client.Pipeline()
	last := pipe.XRevRangeN(waiting, bulletinKey, "+", "-", 1)
	var own *redis.XMessageSliceCmd
	if r.known && r.position != "" {
		own = pipe.XRangeN(waiting, bulletinKey, r.position, r.position, 1)
	}
	if _, err := pipe.Exec(waiting); err != nil {
		return err
	}
	r.answered()
	if r.known && (own == nil || len(own.Val()) == 1) {
		return nil
	}
	tail := ""
	if found := last.Val(); len(found) == 1 {
		tail = found[0].ID
	}
	return r.reload(ctx, tail)
}

// reload has everything read anew that was announced up to a position.
func (r *bulletinReader) reload(ctx context.Context, position string) error {
	r.known = false
	r.store.metrics.bulletinReloads.Inc()
	if err := r.follower.Reload(ctx); err != nil {
		return err
	}
	r.known, r.position = true, position
	return nil
}

var errBulletinGap = errors.New("announcements are missing")

// next waits for announcements, and tells them. It reports false when there were none for a while.
func (r *bulletinReader) next(ctx context.Context, client *redis.Client) (bool, error) {
	waiting, done := context.WithTimeout(ctx, bulletinBlock+r.patience())
	defer done()
	from := r.position
	if from == "" {
		from = "0"
	}
	streams, err := client.XRead(waiting, &redis.XReadArgs{
		Streams: []string{bulletinKey, from}, Count: bulletinChunk, Block: bulletinBlock}).Result()
	if errors.Is(err, redis.Nil) {
		return false, nil
	}
	if err != nil {
		r.failed = true
		return false, err
	}
	r.answered()
	for _, entry := range streams[0].Messages {
		before, _ := entry.Values["p"].(string)
		kind, _ := entry.Values["k"].(string)
		body, _ := entry.Values["b"].(string)
		if before != r.position {
			r.known = false
			return false, fmt.Errorf("%w: %q comes after %q, not after %q", errBulletinGap, entry.ID, before, r.position)
		}
		r.store.metrics.announcements.Inc()
		if err := r.follower.Announced(ctx, kind, []byte(body)); err != nil {
			r.known = false
			return false, err
		}
		r.position = entry.ID
	}
	return true, nil
}

func (r *bulletinReader) answered() {
	r.read++
	r.failed = false
}

// patience is how long Redis may take to answer.
func (r *bulletinReader) patience() time.Duration {
	o := &r.store.opts
	return o.DialTimeout + o.WriteTimeout + o.ReadTimeout
}

// bulletinClient makes a client, of one connection, of the server that has the bulletin now.
func (s *Store) bulletinClient(ctx context.Context) (*redis.Client, error) {
	options := singleOptions(s.opts, s.dialer)
	if cluster, ok := s.client.(*redis.ClusterClient); ok {
		primary, err := cluster.MasterForKey(ctx, bulletinKey)
		if err != nil {
			return nil, err
		}
		options.Addr = primary.Options().Addr
	}
	options.PoolSize = 1
	return redis.NewClient(options), nil
}
