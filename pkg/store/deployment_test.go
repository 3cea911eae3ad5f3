package store_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/internal/redistest"
	"github.com/signalbox-rtc/signalbox/pkg/store"
)

// deployment is one way in which Redis can be deployed. The suites run against each.
type deployment struct {
	options store.Options
	servers []server
	// real is set for redis-server, as against the embedded one.
	real bool
}

// server is one Redis to which a test can speak past the store.
type server interface {
	Do(args ...string) (any, error)
}

// deployments starts each and runs a test in it.
func deployments(t *testing.T, test func(t *testing.T, d deployment)) {
	t.Run("single", func(t *testing.T) { test(t, single(t)) })
	t.Run("cluster", func(t *testing.T) { test(t, cluster(t)) })
	t.Run("embedded", func(t *testing.T) { test(t, embedded(t)) })
}

func single(tb testing.TB) deployment {
	s := redistest.Single(tb)
	return deployment{real: true, servers: []server{s}, options: store.Options{Addresses: []string{s.Addr()}}.Patient()}
}

func cluster(tb testing.TB) deployment {
	c := redistest.Cluster(tb, 3)
	d := deployment{real: true, options: store.Options{Mode: store.ModeCluster, Addresses: c.Addrs(), Partitions: 16}.Patient()}
	for _, s := range c.Nodes() {
		d.servers = append(d.servers, s)
	}
	return d
}

func embedded(tb testing.TB) deployment {
	m := miniredis.NewMiniRedis()
	require.NoError(tb, m.Start())
	tb.Cleanup(m.Close)
	client := redis.NewClient(&redis.Options{
		Addr: m.Addr(), Protocol: 2, MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
	tb.Cleanup(func() { require.NoError(tb, client.Close()) })
	s := embeddedServer{client}
	return deployment{servers: []server{s}, options: store.Options{Addresses: []string{m.Addr()}}.Patient()}
}

// embeddedServer speaks to a miniredis.
type embeddedServer struct{ client *redis.Client }

func (s embeddedServer) Do(args ...string) (any, error) {
	command := make([]any, len(args))
	for i, arg := range args {
		command[i] = arg
	}
	return s.client.Do(context.Background(), command...).Result()
}

// empty removes all keys, the number of partitions too.
func (d deployment) empty(tb testing.TB) {
	tb.Helper()
	d.all(tb, "FLUSHALL")
}

// all sends a command to every server and returns the replies.
func (d deployment) all(tb testing.TB, args ...string) []any {
	tb.Helper()
	var replies []any
	for _, s := range d.servers {
		reply, err := s.Do(args...)
		require.NoError(tb, err)
		replies = append(replies, reply)
	}
	return replies
}

// keys are all keys of all servers but the number of partitions and the gates, without their hash tags, sorted.
func (d deployment) keys(tb testing.TB) []string {
	tb.Helper()
	var keys []string
	for _, reply := range d.all(tb, "KEYS", "*") {
		for _, key := range reply.([]any) {
			key := key.(string)
			if tag := strings.Index(key, "}:"); tag >= 0 && key[tag+2:] != "gate" {
				keys = append(keys, key[tag+2:])
			}
		}
	}
	slices.Sort(keys)
	return keys
}

// do sends a command to the server that has the key.
func (d deployment) do(tb tester, args ...string) any {
	tb.Helper()
	var failures []error
	for _, s := range d.servers {
		reply, err := s.Do(args...)
		if err == nil {
			return reply
		}
		failures = append(failures, err)
	}
	require.Fail(tb, "no server has the key", fmt.Sprint(args, failures))
	return nil
}

// key is the full name of a key of the room.
func (d deployment) key(s *store.Store, kind string, room store.Room) string {
	return d.prefix(s, room) + kind + ":" + room.App + "/" + room.Name
}

// prefix is what the keys of the room's partition start with.
func (d deployment) prefix(s *store.Store, room store.Room) string {
	return "sb:{" + store.PartitionTags(s.Partitions())[s.Partition(room)] + "}:"
}

// openGate lets seats be taken in the room's partition, as opening a store on an empty Redis does.
func (d deployment) openGate(tb tester, s *store.Store, room store.Room) {
	tb.Helper()
	d.do(tb, "SET", d.prefix(s, room)+"gate", "0")
}
