package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

const minRedisVersion = 7

const noRetries, resp2 = -1, 2

// newClient makes the go-redis client. It dials nothing.
//
// MaxRetries is off: a script that was sent may have taken effect, so only its caller can decide to send it
// again. DialerRetries of 1 has a dead server fail at once; who waits for it does so in the open, with a bound.
// RESP2 measured 10 to 15 % cheaper for these calls than RESP3, of which nothing is needed.
func newClient(o Options, dialer *dialer) redis.UniversalClient {
	quiet := &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	if o.Mode == ModeCluster {
		return redis.NewClusterClient(&redis.ClusterOptions{
			Addrs: o.Addresses, Username: o.Username, Password: o.Password, Dialer: dialer.DialContext,
			DialTimeout: o.DialTimeout, ReadTimeout: o.ReadTimeout, WriteTimeout: o.WriteTimeout,
			ContextTimeoutEnabled: true, MaxRetries: noRetries, MaxRedirects: 3, DialerRetries: 1, Protocol: resp2,
			PoolSize: o.PoolSize, PoolTimeout: o.ReadTimeout, ClusterStateReloadInterval: o.TopologyReload,
			DisableIdentity: true, MaintNotificationsConfig: quiet,
		})
	}
	return redis.NewClient(singleOptions(o, dialer))
}

// singleOptions are those of a client of one server: a single Redis, or what the Sentinels name.
func singleOptions(o Options, dialer *dialer) *redis.Options {
	return &redis.Options{
		Addr: o.Addresses[0], Username: o.Username, Password: o.Password, DB: o.Database, Dialer: dialer.DialContext,
		DialTimeout: o.DialTimeout, ReadTimeout: o.ReadTimeout, WriteTimeout: o.WriteTimeout,
		ContextTimeoutEnabled: true, MaxRetries: noRetries, DialerRetries: 1, Protocol: resp2,
		PoolSize: o.PoolSize, PoolTimeout: o.ReadTimeout,
		DisableIdentity: true, MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
}

// primaries finds the primary of every partition. For a cluster it reads the topology anew. The one client of a single
// Redis or of Sentinels stays the same whatever it is connected to: see dialer.
func (s *Store) primaries(ctx context.Context) ([]*redis.Client, error) {
	primaries := make([]*redis.Client, len(s.partitions))
	cluster, ok := s.client.(*redis.ClusterClient)
	if !ok {
		for i := range primaries {
			primaries[i] = s.client.(*redis.Client)
		}
		return primaries, nil
	}
	// ForEachMaster is the one call of go-redis that reads the topology before it returns; ReloadState has
	// that done in the background.
	if err := cluster.ForEachMaster(ctx, func(context.Context, *redis.Client) error { return nil }); err != nil {
		return nil, err
	}
	for i := range primaries {
		client, err := cluster.MasterForKey(ctx, s.partitions[i].prefix)
		if err != nil {
			return nil, fmt.Errorf("the primary of partition %d: %w", i, err)
		}
		primaries[i] = client
	}
	return primaries, nil
}

// primary is the client of a cluster's server that has the partition now, as far as is known; nil if there is no cluster.
func (s *Store) primary(ctx context.Context, partition int) *redis.Client {
	cluster, ok := s.client.(*redis.ClusterClient)
	if !ok {
		return nil
	}
	client, err := cluster.MasterForKey(ctx, s.partitions[partition].prefix)
	if err != nil {
		return nil
	}
	return client
}

// watch follows the topology until ctx ends: every TopologyReload or half of it, and soon after a failure that may come from an
// outdated one.
func (s *Store) watch(ctx context.Context) {
	// An outage makes every call ask for a reload; a few in a second are enough.
	const pause = 200 * time.Millisecond
	var tick <-chan time.Time
	if s.opts.Mode != ModeSingle {
		interval := s.opts.TopologyReload
		if s.opts.Mode == ModeSentinel {
			interval /= 2 // one small question, and the primary that was goes on taking messages for seconds
		}
		ticker := time.NewTicker(interval)
		defer ticker.Stop()
		tick = ticker.C
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick:
		case <-s.router.stale:
		}
		switch s.opts.Mode {
		case ModeCluster:
			s.followCluster(ctx)
		case ModeSentinel:
			s.followSentinels(ctx)
		}
		s.leaveDemoted()
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

func (s *Store) followCluster(ctx context.Context) {
	if primaries, err := s.primaries(ctx); err == nil {
		s.router.assign(primaries)
	} else if ctx.Err() == nil {
		s.log.warn("topology", "the cluster's topology cannot be read", "error", err)
	}
}

func (s *Store) followSentinels(ctx context.Context) {
	primary, err := s.sentinels.find(ctx)
	if err != nil && ctx.Err() == nil {
		s.log.warn("sentinels", "no Sentinel names the primary", "error", err)
	}
	if primary != "" && s.dialer.point(primary) {
		s.router.readonly.Store(false) // the other one has refused to write
		s.log.warn("primary", "the Sentinels name another primary", "primary", primary)
	}
}

// leaveDemoted ends all connections if the server has refused to write. Where a name or a proxy leads to the primary, it
// leads to another server now, or will soon. A read-only server that stays what it is is left once a TopologyReload. In a
// cluster the topology tells the primary.
func (s *Store) leaveDemoted() {
	if s.opts.Mode == ModeCluster || !s.router.readonly.Swap(false) || time.Since(s.left) < s.opts.TopologyReload {
		return
	}
	s.left = time.Now()
	s.dialer.abandon(func(*tracked) bool { return true })
}

// checkVersion refuses a Redis that is too old. A server that does not tell its version passes: embedded ones
// and proxies do not.
func checkVersion(ctx context.Context, client *redis.Client) error {
	info, err := client.Info(ctx, "server").Result()
	if _, isReply := errors.AsType[redis.Error](err); isReply && classify(err) == classOther {
		return nil
	}
	if err != nil {
		return err
	}
	for line := range strings.Lines(info) {
		version, ok := strings.CutPrefix(strings.TrimSpace(line), "redis_version:")
		if !ok {
			continue
		}
		first, _, _ := strings.Cut(version, ".")
		if major, err := strconv.Atoi(first); err == nil && major < minRedisVersion {
			return fmt.Errorf("%w: it is version %s, at least %d is needed", errTooOld, version, minRedisVersion)
		}
	}
	return nil
}

// checkPartitions writes the number of partitions, or compares it with what the first node wrote. It reports whether it
// has written it: nothing of ours was in Redis then.
func checkPartitions(ctx context.Context, client redis.UniversalClient, ours int) (fresh bool, err error) {
	if fresh, err = client.SetNX(ctx, partitionsKey, ours, 0).Result(); err != nil {
		return false, err
	}
	theirs, err := client.Get(ctx, partitionsKey).Result()
	if err != nil {
		return false, err
	}
	if theirs != strconv.Itoa(ours) {
		return false, &PartitionsError{Ours: ours, Theirs: theirs}
	}
	return fresh, nil
}

// openGates lets seats be taken in all partitions of a Redis that nobody has used. Where other nodes have shut a gate, to
// put their seats back, it stays so.
func (s *Store) openGates(ctx context.Context) error {
	_, err := s.client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for i := range s.partitions {
			pipe.SetNX(ctx, s.partitions[i].gate(), 0, 0)
		}
		return nil
	})
	return err
}
