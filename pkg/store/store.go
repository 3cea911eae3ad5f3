// Package store keeps the cluster's rooms in Redis: keys, Lua scripts and the inbox subscriptions.
package store

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"go.opentelemetry.io/otel/trace"
)

// Mode is how Redis is deployed.
type Mode int

// The modes.
const (
	// ModeSingle is one Redis, or the address of a proxy that looks like one.
	ModeSingle Mode = iota
	// ModeSentinel is a primary that Sentinels name and replace; Addresses are the Sentinels'.
	ModeSentinel
	// ModeCluster is Redis Cluster; Addresses are some of its nodes.
	ModeCluster
)

// Options configures a [Store]. The zero value of a field is its default; Addresses has none.
type Options struct {
	Mode Mode
	// Addresses are host:port. ModeSingle takes exactly one.
	Addresses          []string
	Username, Password string
	// Database is the number of the logical database; Redis Cluster has only 0.
	Database int
	// MasterName is the name of the primary at the Sentinels, needed in ModeSentinel.
	MasterName                         string
	SentinelUsername, SentinelPassword string
	TLS                                *tls.Config
	// Dialer replaces the network, for tests in memory and for proxies. TLS is then the dialer's own
	// business.
	Dialer func(ctx context.Context, network, addr string) (net.Conn, error)
	// DialTimeout (1 s), ReadTimeout (1 s) and WriteTimeout (1 s) bound each step of each batch.
	DialTimeout, ReadTimeout, WriteTimeout time.Duration
	// PoolSize is the number of connections per Redis node (8), inboxes not counted.
	PoolSize int
	// TopologyReload is how often a Redis Cluster's topology is read again (2 s). Sentinels are asked twice as often.
	TopologyReload time.Duration
	// Partitions is the number of partitions (64), 1 to 4096, the same on all nodes.
	Partitions int
	// WithoutRooms is set by a program that has nothing to do with rooms, such as a relay: it neither asks for the number of partitions nor
	// settles it, and loads no room's scripts. Only the calls that wait for Redis and name no room may be made.
	WithoutRooms bool
	// LogLength is how many events a room's log keeps at least (256); it has at most about twice as many.
	LogLength int
	// OutboxLength is how many events for webhooks a partition keeps that were not delivered, and as many for each endpoint (10000).
	OutboxLength int
	// DeadLetters is how many events that could not be delivered are kept of an app in each partition (1000).
	DeadLetters int
	// ResumeWindow is for how long after its last event a room's log is kept, at least (2 min).
	ResumeWindow time.Duration
	// RecoveryTime is for how long nobody gets a new seat in a partition whose data Redis has lost (4 s): the nodes put the
	// seats back first that their clients had.
	RecoveryTime time.Duration
	// CanaryPeriod is how often each inbox connection sends a message to itself (1 s), and CanaryTimeout how long that may
	// need to come back (2 s). Two in a row that do not end the connection.
	CanaryPeriod, CanaryTimeout time.Duration
	// QueueCalls is how many calls may wait for a pipeline (65536); more are refused as unavailable.
	QueueCalls int
	// BatchCalls is the most calls in one pipeline (256).
	BatchCalls int
	// LatencySamples is of about how many messages a second this process measures the way to their receivers (none).
	LatencySamples int
	// Tracer makes the spans of calls for traced requests, and of what such requests send; nil for none.
	Tracer trace.Tracer
	// Logger takes warnings (slog.Default()).
	Logger *slog.Logger
	// Registerer takes the metrics; nil for none.
	Registerer prometheus.Registerer

	// lanesPerPrimary splits a primary's partitions over several pipelines, for a benchmark. It is 1: a second
	// one gave 2 to 6 % more calls a second at saturation, and smaller batches at any other time.
	lanesPerPrimary int
	// pingPeriod is how often an inbox connection is asked for a PONG, see subscription.
	pingPeriod time.Duration
	// noCanaries has inboxes send none, for tests that count calls and keys.
	noCanaries bool
	// maxWait is how long a call may wait for its pipeline, see lane.
	maxWait time.Duration
}

func (o Options) withDefaults() Options {
	setDefault(&o.DialTimeout, time.Second)
	setDefault(&o.ReadTimeout, time.Second)
	setDefault(&o.WriteTimeout, time.Second)
	setDefault(&o.PoolSize, 8)
	setDefault(&o.TopologyReload, 2*time.Second)
	setDefault(&o.Partitions, defaultPartitions)
	setDefault(&o.LogLength, 256)
	setDefault(&o.OutboxLength, 10000)
	setDefault(&o.DeadLetters, 1000)
	setDefault(&o.ResumeWindow, 2*time.Minute)
	setDefault(&o.RecoveryTime, 4*time.Second)
	setDefault(&o.CanaryPeriod, defaultCanaryPeriod)
	setDefault(&o.CanaryTimeout, defaultCanaryTimeout)
	setDefault(&o.QueueCalls, 65536)
	setDefault(&o.BatchCalls, 256)
	setDefault(&o.lanesPerPrimary, 1)
	setDefault(&o.pingPeriod, defaultPingPeriod)
	setDefault(&o.maxWait, defaultMaxWait)
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return o
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// validate is called after the defaults are set.
func (o Options) validate() error {
	switch {
	case o.Mode < ModeSingle || o.Mode > ModeCluster:
		return fmt.Errorf("unknown mode %d", o.Mode)
	case len(o.Addresses) == 0:
		return errors.New("no addresses")
	case o.Mode == ModeSingle && len(o.Addresses) != 1:
		return fmt.Errorf("%d addresses of a single Redis", len(o.Addresses))
	case o.Mode == ModeSentinel && o.MasterName == "":
		return errors.New("no master name for the Sentinels")
	case o.Mode == ModeCluster && o.Database != 0:
		return errors.New("a Redis Cluster has only database 0")
	case o.Database < 0:
		return fmt.Errorf("database %d", o.Database)
	case o.Partitions < 1 || o.Partitions > maxPartitions:
		return fmt.Errorf("%d partitions, 1 to %d are possible", o.Partitions, maxPartitions)
	case o.DialTimeout < 0 || o.ReadTimeout < 0 || o.WriteTimeout < 0 || o.TopologyReload < 0 || o.RecoveryTime < 0,
		o.CanaryPeriod < 0 || o.CanaryTimeout < 0:
		return errors.New("a negative time")
	case o.LatencySamples < 0 || o.PoolSize < 0 || o.LogLength < 0 || o.OutboxLength < 0 || o.DeadLetters < 0 || o.QueueCalls < 0 || o.BatchCalls < 0:
		return errors.New("a negative number")
	case o.ResumeWindow < time.Millisecond:
		return fmt.Errorf("a resume window of %v", o.ResumeWindow)
	}
	return nil
}

// Store is the cluster's shared memory: one per process. All methods may be called from any goroutine.
//
// The calls (Join, Leave, Lose, Resume, Send, SetState, UpdateRoom, Control, Snapshot, and those of a node) are asynchronous: they return at
// once and done is called exactly once. Calls of one partition take effect in the order in which they were
// made, and their answers come in that order. done is called from a goroutine of Run and must not block; a
// call that is refused without being queued (a field that is not valid, a full queue, Run has ended) has
// done called before the method returns, so do not hold a lock that done takes.
//
// Refusals are *wire.Error, [ErrFenced], [ErrSuperseded] or [ErrLapsed]. Whatever goes wrong with Redis is a *wire.Error of code
// unavailable: the call may or may not have taken effect.
type Store struct {
	// Immutable after Open.
	opts       Options
	client     redis.UniversalClient
	dialer     *dialer
	sentinels  *sentinels // nil without Sentinels
	partitions []partition
	scripts    *scripts
	roster     *rosterScripts
	router     *router
	metrics    *metrics
	log        *quietLog
	clock      clock
	sampler    sampler

	left time.Time // when a demoted server was left; owned by watch
}

// Open connects to Redis, checks its version (7 or newer) and the number of partitions, and loads the
// scripts. It returns a *PartitionsError if the cluster's nodes use another number of partitions, and an *UnreachableError for
// what may pass.
// Calls are carried out once Run runs; Close releases the connections, after Run has ended.
func Open(ctx context.Context, opts Options) (*Store, error) {
	opts = opts.withDefaults()
	if err := opts.validate(); err != nil {
		return nil, fmt.Errorf("store: options: %w", err)
	}
	m, err := newMetrics(opts.Registerer)
	if err != nil {
		return nil, fmt.Errorf("store: register metrics: %w", err)
	}
	// go-redis writes to stderr in a format of its own what it also returns. It is all counted and logged here.
	logging.Disable()
	log := newQuietLog(opts.Logger)
	s := &Store{
		opts: opts, partitions: newPartitions(opts.Partitions),
		router: newRouter(opts, m, log), dialer: newDialer(opts), metrics: m, log: log, sampler: sampler{most: int64(opts.LatencySamples)},
	}
	if opts.Mode == ModeSentinel {
		s.sentinels = newSentinels(opts)
	}
	s.client = newClient(opts, s.dialer)
	s.scripts, err = newScripts(scriptOptions{
		sharded: opts.Mode == ModeCluster, logLength: opts.LogLength, outboxLength: opts.OutboxLength, resumeWindow: opts.ResumeWindow, metrics: m,
	})
	if err == nil {
		s.roster, err = newRosterScripts()
	}
	if err == nil {
		if err = s.connect(ctx); err != nil {
			err = unreachable(err)
		}
	}
	if err != nil {
		_ = s.Close()
		return nil, err
	}
	return s, nil
}

// connect is the part of Open that talks to Redis.
func (s *Store) connect(ctx context.Context) error {
	s.router.newLane = func(client *redis.Client) *lane {
		return &lane{
			router: s.router, client: client, scripts: s.scripts, wake: make(chan struct{}, 1), pipe: client.Pipeline(),
			timeout: s.opts.DialTimeout + s.opts.WriteTimeout + s.opts.ReadTimeout,
		}
	}
	if s.sentinels != nil {
		primary, err := s.sentinels.find(ctx)
		if err != nil {
			return fmt.Errorf("store: ask for the primary: %w", err)
		}
		s.dialer.point(primary)
	}
	primaries, err := s.primaries(ctx)
	if err != nil {
		return fmt.Errorf("store: connect to redis: %w", err)
	}
	s.router.assign(primaries)
	for _, client := range s.router.primaries() {
		if err := checkVersion(ctx, client); err != nil {
			return fmt.Errorf("store: check the version of redis: %w", err)
		}
	}
	if s.opts.WithoutRooms {
		return nil
	}
	fresh, err := checkPartitions(ctx, s.client, s.opts.Partitions)
	if err == nil && fresh {
		err = s.openGates(ctx)
	}
	if err != nil {
		return fmt.Errorf("store: check the number of partitions: %w", err)
	}
	for _, client := range s.router.primaries() {
		if err := s.scripts.load(ctx, client); err != nil {
			return fmt.Errorf("store: load the scripts: %w", err)
		}
	}
	return nil
}

// Run carries the calls out until ctx ends, then sends what is queued for at most two seconds and refuses
// the rest. It returns nil when ctx ended. It must be called once.
func (s *Store) Run(ctx context.Context) error { return s.router.run(ctx, s.watch) }

// Close closes the connections to Redis. Call it after Run and every [Inbox.Run] has returned. Calls are
// refused from then on, also if Run never ran.
func (s *Store) Close() error {
	s.router.close(true)
	if s.sentinels != nil {
		s.sentinels.close()
	}
	if err := s.client.Close(); err != nil {
		return fmt.Errorf("store: close: %w", err)
	}
	return nil
}

// Ping asks Redis (each primary of a cluster) for a sign of life.
func (s *Store) Ping(ctx context.Context) error {
	for _, client := range s.router.primaries() {
		if err := client.Ping(ctx).Err(); err != nil {
			return fmt.Errorf("store: ping: %w", err)
		}
	}
	return nil
}

// Partitions is the number of partitions.
func (s *Store) Partitions() int { return len(s.partitions) }

// Partition is the room's partition, 0 to Partitions()-1.
func (s *Store) Partition(r Room) int { return partitionOf(r, len(s.partitions)) }
