package store

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

const (
	// sentinelTimeout bounds each step of a question to a Sentinel: one that hangs must not hold up the others' answer.
	sentinelTimeout = 500 * time.Millisecond
	// maxSentinels is the most Sentinels that are asked, those that others tell of included.
	maxSentinels = 32
)

// sentinels know the primary. All of them are asked each time and the youngest configuration counts, so that one which
// is cut off from the others, or hangs, leads nobody astray.
//
// The failover client of go-redis asks one Sentinel alone, keeps to it when it hangs, and leaves subscriptions where they
// are: with a demoted primary.
type sentinels struct {
	// Immutable.
	name       string
	configured []string
	options    redis.Options

	// Owned by Open, then by the goroutine that follows the topology.
	clients map[string]*redis.Client
	primary string // as last decided
	epoch   int64  // of that configuration
}

// naming is one Sentinel's answer.
type naming struct {
	primary string
	epoch   int64
	others  []string // Sentinels that it knows
	err     error
}

func newSentinels(o Options) *sentinels {
	return &sentinels{
		name: o.MasterName, configured: o.Addresses, clients: make(map[string]*redis.Client),
		options: redis.Options{
			Username: o.SentinelUsername, Password: o.SentinelPassword, Dialer: baseDial(o),
			DialTimeout:  min(o.DialTimeout, sentinelTimeout),
			ReadTimeout:  min(o.ReadTimeout, sentinelTimeout),
			WriteTimeout: min(o.WriteTimeout, sentinelTimeout),
			PoolTimeout:  sentinelTimeout, PoolSize: 1, ContextTimeoutEnabled: true, MaxRetries: noRetries, DialerRetries: 1,
			Protocol: resp2, DisableIdentity: true,
			MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
		},
	}
}

// find asks all Sentinels for the primary's address. When none answers it is the last one, if there is one.
func (s *sentinels) find(ctx context.Context) (string, error) {
	s.adjust(nil)
	addrs := make([]string, 0, len(s.clients))
	for addr := range s.clients {
		addrs = append(addrs, addr)
	}
	slices.Sort(addrs)
	namings := make([]naming, len(addrs))
	var asking sync.WaitGroup
	for i, addr := range addrs {
		client := s.clients[addr]
		asking.Go(func() { namings[i] = s.ask(ctx, client) })
	}
	asking.Wait()

	var failures []error
	var others []string
	for i, n := range namings {
		if n.err != nil {
			failures = append(failures, fmt.Errorf("sentinel %s: %w", addrs[i], n.err))
			continue
		}
		others = append(append(others, addrs[i]), n.others...)
	}
	if len(failures) == len(namings) {
		return s.primary, errors.Join(failures...)
	}
	s.decide(namings)
	s.adjust(others)
	return s.primary, nil
}

// decide takes the youngest configuration. One that is older than what was known before counts only if most Sentinels
// have it: they were set up anew then, where a single one may have been asleep.
func (s *sentinels) decide(namings []naming) {
	votes := func(n naming) (votes int) {
		for _, other := range namings {
			if other.err == nil && other.primary == n.primary && other.epoch == n.epoch {
				votes++
			}
		}
		return votes
	}
	var best naming
	for _, n := range namings {
		if n.err == nil && (best.primary == "" || n.epoch > best.epoch || n.epoch == best.epoch && votes(n) > votes(best)) {
			best = n
		}
	}
	if s.primary == "" || best.epoch >= s.epoch || 2*votes(best) > len(namings) {
		s.primary, s.epoch = best.primary, best.epoch
	}
}

// ask asks one Sentinel.
func (s *sentinels) ask(ctx context.Context, client *redis.Client) naming {
	pipe := client.Pipeline()
	addr := redis.NewStringSliceCmd(ctx, "sentinel", "get-master-addr-by-name", s.name)
	master := redis.NewMapStringStringCmd(ctx, "sentinel", "master", s.name)
	known := redis.NewMapStringStringSliceCmd(ctx, "sentinel", "sentinels", s.name)
	for _, cmd := range []redis.Cmder{addr, master, known} {
		_ = pipe.Process(ctx, cmd) // queues it only
	}
	if _, err := pipe.Exec(ctx); err != nil {
		if errors.Is(err, redis.Nil) {
			err = fmt.Errorf("it knows no primary %q", s.name)
		}
		return naming{err: err}
	}
	epoch, err := strconv.ParseInt(master.Val()["config-epoch"], 10, 64)
	if err != nil || len(addr.Val()) != 2 {
		return naming{err: errors.New("its answer is not of its form")}
	}
	n := naming{primary: net.JoinHostPort(addr.Val()[0], addr.Val()[1]), epoch: epoch}
	for _, sentinel := range known.Val() {
		if sentinel["ip"] != "" && sentinel["port"] != "" {
			n.others = append(n.others, net.JoinHostPort(sentinel["ip"], sentinel["port"]))
		}
	}
	return n
}

// adjust has the configured Sentinels asked, and others; nil leaves these as they are.
func (s *sentinels) adjust(others []string) {
	wanted := slices.Clone(s.configured)
	for _, addr := range others {
		if len(wanted) < maxSentinels && !slices.Contains(wanted, addr) {
			wanted = append(wanted, addr)
		}
	}
	for addr, client := range s.clients {
		if others != nil && !slices.Contains(wanted, addr) {
			_ = client.Close()
			delete(s.clients, addr)
		}
	}
	for _, addr := range wanted {
		if s.clients[addr] == nil {
			options := s.options
			options.Addr = addr
			s.clients[addr] = redis.NewClient(&options)
		}
	}
}

// close ends the connections to the Sentinels.
func (s *sentinels) close() {
	for _, client := range s.clients {
		_ = client.Close()
	}
}
