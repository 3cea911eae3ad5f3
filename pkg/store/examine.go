package store

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
)

// Examination is what a look at Redis shows, also at one that does not fit, or at a part that does not answer.
type Examination struct {
	// Partitions is the number that the cluster's first node has written; 0 if no node has used this Redis.
	Partitions int
	// Servers are the primaries, by address.
	Servers []ServerState
	// Nodes are those of the roster, by id, those whose lease has ended included; nil if the roster's server does not answer.
	Nodes []NodeState
	// Condemned is how many nodes' seats are being given up.
	Condemned int64
	// Relays are those whose lease runs, by id; one that does not tell what it should is left out.
	Relays []Relay
	// RosterErr is why the roster could not be read.
	RosterErr error
}

// ServerState is one primary.
type ServerState struct {
	Address string
	// Err is why the rest is not known.
	Err error

	Version string
	// Role is "master", or what it should not be; "" where the server does not tell.
	Role     string
	Replicas int
	// State is what a Redis Cluster's server says of the cluster: "ok" or "fail"; "" without one.
	State string
	// Eviction is the server's maxmemory-policy, "" where it does not tell; MemoryUsed and MemoryLimit are bytes, 0 for no limit.
	Eviction                string
	MemoryUsed, MemoryLimit int64
	// Partitions are those that the server has.
	Partitions []int
	// Latency is the median of some questions, Slowest the longest of them.
	Latency, Slowest time.Duration
	// Clock is the server's less this machine's, right to ClockWithin.
	Clock, ClockWithin time.Duration
	// ScriptsMissing are those of this build, with these options, that nobody has brought to the server.
	ScriptsMissing []string
	Scripts        int
	// Canary is how long a message took through an inbox channel of the server's; CanaryErr is why none came back.
	Canary    time.Duration
	CanaryErr error
}

// NodeState is one entry of the roster.
type NodeState struct {
	NodeInfo
	// Lease is what is left of it by Redis' clock; negative when it has ended.
	Lease time.Duration
}

// examineQuestions is how many questions the figures of a server are made of.
const examineQuestions = 9

// Examine looks at Redis as a node with these options would use it, and changes nothing: neither keys nor the scripts that servers know.
// It returns an error if nothing can be said, as an *UnreachableError where that may pass.
func Examine(ctx context.Context, opts Options) (*Examination, error) {
	opts = opts.withDefaults()
	if err := opts.validate(); err != nil {
		return nil, fmt.Errorf("store: options: %w", err)
	}
	logging.Disable()
	m, err := newMetrics(nil)
	if err != nil {
		return nil, err
	}
	s := &Store{opts: opts, partitions: newPartitions(opts.Partitions), dialer: newDialer(opts), log: newQuietLog(opts.Logger)}
	s.scripts, err = newScripts(scriptOptions{
		sharded: opts.Mode == ModeCluster, logLength: opts.LogLength, outboxLength: opts.OutboxLength, resumeWindow: opts.ResumeWindow, metrics: m,
	})
	if err != nil {
		return nil, err
	}
	if opts.Mode == ModeSentinel {
		s.sentinels = newSentinels(opts)
		defer s.sentinels.close()
		primary, err := s.sentinels.find(ctx)
		if err != nil {
			return nil, &UnreachableError{fmt.Errorf("store: ask for the primary: %w", err)}
		}
		s.dialer.point(primary)
	}
	s.client = newClient(opts, s.dialer)
	defer func() { _ = s.client.Close() }()
	found, err := s.examine(ctx)
	if err != nil {
		return nil, &UnreachableError{err}
	}
	return found, nil
}

func (s *Store) examine(ctx context.Context) (*Examination, error) {
	found := new(Examination)
	theirs, err := s.client.Get(ctx, partitionsKey).Int()
	if err != nil && !errors.Is(err, redis.Nil) {
		return nil, fmt.Errorf("store: examine: %w", err)
	}
	if found.Partitions = theirs; theirs >= 1 && theirs <= maxPartitions {
		s.partitions = newPartitions(theirs) // where rooms are, whatever this side is set to
	}
	primaries, err := s.primaries(ctx)
	if err != nil {
		return nil, fmt.Errorf("store: examine: %w", err)
	}
	for p, client := range primaries {
		if slices.Index(primaries, client) == p { // its first one
			found.Servers = append(found.Servers, s.examineServer(ctx, client, primaries))
		}
	}
	slices.SortFunc(found.Servers, func(a, b ServerState) int { return cmp.Compare(a.Address, b.Address) })
	found.RosterErr = s.examineRoster(ctx, found)
	return found, nil
}

// examineServer looks at the server of a client, of those that have each partition.
func (s *Store) examineServer(ctx context.Context, client *redis.Client, primaries []*redis.Client) ServerState {
	state := ServerState{Address: s.addressOf(client), Scripts: len(s.scripts.all)}
	for p, primary := range primaries {
		if primary == client {
			state.Partitions = append(state.Partitions, p)
		}
	}
	if state.Err = state.measure(ctx, client); state.Err != nil {
		return state
	}
	if state.Err = s.examineScripts(ctx, client, &state); state.Err != nil {
		return state
	}
	state.read(ctx, client)
	if s.opts.Mode == ModeCluster {
		state.State = field(client.ClusterInfo(ctx).Val(), "cluster_state")
	}
	state.Canary, state.CanaryErr = s.examineInbox(ctx, client, state.Partitions[0])
	return state
}

// addressOf is where a client's server is: Sentinels name it, and the client does not know.
func (s *Store) addressOf(client *redis.Client) string {
	if s.sentinels != nil {
		return s.sentinels.primary
	}
	return client.Options().Addr
}

// measure asks the server for the time, again and again.
func (state *ServerState) measure(ctx context.Context, client *redis.Client) error {
	took := make([]time.Duration, examineQuestions)
	for i := range took {
		asked := time.Now()
		there, err := client.Time(ctx).Result()
		if err != nil {
			return fmt.Errorf("store: ask for the time: %w", err)
		}
		took[i] = time.Since(asked)
		if i > 0 && took[i]/2 > state.ClockWithin {
			continue // a quicker one tells more
		}
		state.ClockWithin = took[i] / 2
		state.Clock = there.Sub(asked.Add(state.ClockWithin))
	}
	took = took[1:] // the first one makes the connection
	slices.Sort(took)
	state.Latency, state.Slowest = took[len(took)/2], took[len(took)-1]
	return nil
}

func (s *Store) examineScripts(ctx context.Context, client *redis.Client, state *ServerState) error {
	names := make([]string, len(s.scripts.all))
	for i, script := range s.scripts.all {
		names[i] = script.sha.(string)
	}
	known, err := client.ScriptExists(ctx, names...).Result()
	if err != nil {
		return fmt.Errorf("store: ask for scripts: %w", err)
	}
	for i, is := range known {
		if !is {
			state.ScriptsMissing = append(state.ScriptsMissing, s.scripts.all[i].name)
		}
	}
	return nil
}

// read takes what INFO tells; embedded servers and proxies tell nothing, which is no error.
func (state *ServerState) read(ctx context.Context, client *redis.Client) {
	info := client.Info(ctx, "everything").Val()
	state.Version, state.Role, state.Eviction = field(info, "redis_version"), field(info, "role"), field(info, "maxmemory_policy")
	state.Replicas, _ = strconv.Atoi(field(info, "connected_slaves"))
	state.MemoryUsed, _ = strconv.ParseInt(field(info, "used_memory"), 10, 64)
	state.MemoryLimit, _ = strconv.ParseInt(field(info, "maxmemory"), 10, 64)
}

// field gives a line's value of an answer to INFO or CLUSTER INFO.
func field(text, name string) string {
	for line := range strings.Lines(text) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok && key == name {
			return value
		}
	}
	return ""
}

// examineInbox sends a message through an inbox channel of a partition, which no node has, over a connection that has subscribed to it.
func (s *Store) examineInbox(ctx context.Context, client *redis.Client, partition int) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, s.opts.CanaryTimeout)
	defer cancel()
	nonce := newNonces()
	channel := s.partitions[partition].inbox("examine-" + nonce)
	subscribe, publish := client.Subscribe, client.Publish
	if s.opts.Mode == ModeCluster {
		subscribe, publish = client.SSubscribe, client.SPublish
	}
	subscription := subscribe(ctx, channel)
	defer func() { _ = subscription.Close() }()
	if _, err := subscription.Receive(ctx); err != nil {
		return 0, fmt.Errorf("store: subscribe: %w", err)
	}
	sent := time.Now()
	if err := publish(ctx, channel, nonce).Err(); err != nil {
		return 0, fmt.Errorf("store: publish: %w", err)
	}
	for {
		message, err := subscription.ReceiveMessage(ctx)
		if err != nil {
			return 0, fmt.Errorf("store: a message to an inbox did not come back: %w", err)
		}
		if message.Payload == nonce {
			return time.Since(sent), nil
		}
	}
}

// examineRoster reads who is in the roster, whoever's lease runs.
func (s *Store) examineRoster(ctx context.Context, found *Examination) error {
	var leases *redis.ZSliceCmd
	var infos *redis.MapStringStringCmd
	var condemned *redis.IntCmd
	var now *redis.TimeCmd
	var relays *redis.ZSliceCmd
	var relayInfos *redis.MapStringStringCmd
	_, err := s.client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		leases, infos = pipe.ZRangeWithScores(ctx, rosterNodesKey, 0, -1), pipe.HGetAll(ctx, rosterInfoKey)
		condemned = pipe.ZCard(ctx, rosterCondemnedKey)
		relays, relayInfos = pipe.ZRangeWithScores(ctx, relaysKey, 0, -1), pipe.HGetAll(ctx, relayInfoKey)
		return nil
	})
	if err == nil {
		// Of the server that has the roster; a pipeline of a cluster takes no command without a key there.
		now, err = s.rosterTime(ctx)
	}
	if err != nil {
		return fmt.Errorf("store: read the roster: %w", err)
	}
	found.Condemned = condemned.Val()
	for _, lease := range leases.Val() {
		id, _ := lease.Member.(string)
		found.Nodes = append(found.Nodes, NodeState{
			NodeInfo: NodeInfo{ID: id, Info: []byte(infos.Val()[id])},
			Lease:    time.UnixMilli(int64(lease.Score)).Sub(now.Val()),
		})
	}
	slices.SortFunc(found.Nodes, func(a, b NodeState) int { return cmp.Compare(a.ID, b.ID) })
	for _, lease := range relays.Val() {
		id, _ := lease.Member.(string)
		relay := Relay{}
		if time.UnixMilli(int64(lease.Score)).Before(now.Val()) || json.Unmarshal([]byte(relayInfos.Val()[id]), &relay) != nil {
			continue
		}
		if relay.ID = id; relay.check() == nil {
			found.Relays = append(found.Relays, relay)
		}
	}
	slices.SortFunc(found.Relays, func(a, b Relay) int { return cmp.Compare(a.ID, b.ID) })
	return nil
}

// rosterTime is the time by the clock of the server that has the roster.
func (s *Store) rosterTime(ctx context.Context) (*redis.TimeCmd, error) {
	client, isOne := s.client.(*redis.Client)
	if cluster, ok := s.client.(*redis.ClusterClient); ok {
		var err error
		if client, err = cluster.MasterForKey(ctx, rosterNodesKey); err != nil {
			return nil, err
		}
	} else if !isOne {
		return nil, errors.New("a client of an unknown kind")
	}
	now := client.Time(ctx)
	return now, now.Err()
}
