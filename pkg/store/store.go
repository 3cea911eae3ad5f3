// Package store keeps the cluster's rooms in Redis: keys, Lua scripts and the inbox subscriptions.
package store

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"time"

	"github.com/prometheus/client_golang/prometheus"
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
	// TopologyReload is how often a Redis Cluster's topology is read again (2 s).
	TopologyReload time.Duration
	// Partitions is the number of partitions (64), 1 to 4096, the same on all nodes.
	Partitions int
	// LogLength is about how many events a room's log keeps (256).
	LogLength int
	// ResumeWindow is for how long after its last event a room's log is kept, at least (2 min).
	ResumeWindow time.Duration
	// QueueCalls is how many calls may wait for a pipeline (65536); more are refused as unavailable.
	QueueCalls int
	// BatchCalls is the most calls in one pipeline (256).
	BatchCalls int
	// Logger takes warnings (slog.Default()).
	Logger *slog.Logger
	// Registerer takes the metrics; nil for none.
	Registerer prometheus.Registerer
}

// Store is the cluster's shared memory: one per process. All methods may be called from any goroutine.
//
// The calls (Join, Leave, Send, SetState, UpdateRoom, Control, Snapshot) are asynchronous: they return at
// once and done is called exactly once. Calls of one partition take effect in the order in which they were
// made, and their answers come in that order. done is called from a goroutine of Run and must not block; a
// call that is refused without being queued (a field that is not valid, a full queue, Run has ended) has
// done called before the method returns, so do not hold a lock that done takes.
//
// Refusals are *wire.Error or [ErrFenced]. Whatever goes wrong with Redis is a *wire.Error of code
// unavailable: the call may or may not have taken effect.
type Store struct{}

// Open connects to Redis, checks its version (7 or newer) and the number of partitions, and loads the
// scripts. It returns a *PartitionsError if the cluster's nodes use another number of partitions.
// Calls are carried out once Run runs; Close releases the connections, after Run has ended.
func Open(ctx context.Context, opts Options) (*Store, error) { return nil, errors.ErrUnsupported }

// Run carries the calls out until ctx ends, then sends what is queued for at most two seconds and refuses
// the rest. It returns nil when ctx ended. It must be called once.
func (s *Store) Run(ctx context.Context) error { return nil }

// Close closes the connections to Redis. Call it after Run and every [Inbox.Run] has returned.
func (s *Store) Close() error { return nil }

// Ping asks Redis (each primary of a cluster) for a sign of life.
func (s *Store) Ping(ctx context.Context) error { return nil }

// Partitions is the number of partitions.
func (s *Store) Partitions() int { return 0 }

// Partition is the room's partition, 0 to Partitions()-1.
func (s *Store) Partition(r Room) int { return 0 }

// Join takes a seat. Refusals: room_full, room_locked, ErrFenced when another node holds the seat. A seat
// that the same node holds already is answered with the snapshot, New unset, and nothing is told to anybody.
func (s *Store) Join(j Join, done func(*Snapshot, error)) {}

// Leave gives a seat up and tells the others. The last one to leave removes the room; nothing is then told
// and seq is that of the room's last event. Refusals: not_member, ErrFenced.
func (s *Store) Leave(l Leave, done func(seq int64, err error)) {}

// Send relays a message and gives its sequence number. Refusals: not_member, peer_gone, ErrFenced.
func (s *Store) Send(m Send, done func(seq int64, err error)) {}

// SetState merges into the peer's state and tells the others. Refusals: not_member, ErrFenced, too_large,
// forbidden for the reserved keys.
func (s *Store) SetState(c SetState, done func(seq int64, err error)) {}

// UpdateRoom changes the room and tells everybody, the caller too. Refusals: not_member, ErrFenced, conflict
// (version is then the current one), peer_gone when the presenter has no seat, too_large.
func (s *Store) UpdateRoom(c UpdateRoom, done func(seq, version int64, err error)) {}

// Control mutes, unmutes or kicks. affected is the number of peers that it was applied to; with 0 nothing is
// told to anybody. seq is that of the room's last event. Refusals: not_member, ErrFenced, peer_gone.
func (s *Store) Control(c Control, done func(seq int64, affected int, err error)) {}

// Snapshot reads a room. A room that does not exist is not an error: Found is false.
func (s *Store) Snapshot(l Look, done func(*Snapshot, error)) {}
