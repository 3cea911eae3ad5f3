package target

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/signalbox-rtc/signalbox/internal/childproc"
	"github.com/signalbox-rtc/signalbox/loadtest/internal/measure"
)

// clusterSlots is how many hash slots a Redis Cluster has
// (https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/#key-distribution-model).
const clusterSlots = 16384

// startRedis starts what the servers share: one Redis, or the primaries of a Redis Cluster.
func (b *builder) startRedis(ctx context.Context) error {
	binary, err := path(b.spec.Binaries.Redis, "redis-server", "install the package redis-server, or name the program with -redis-server")
	if err != nil {
		return err
	}
	if b.spec.Primaries > 0 {
		return b.startPrimaries(ctx, binary)
	}
	port, err := freePort()
	if err != nil {
		return err
	}
	redis, err := b.runRedis(binary, "redis", port)
	if err != nil {
		return err
	}
	return b.await(redis.name, redis.child, func() bool { return redis.serves(ctx) })
}

// redisNode is one redis-server that was started.
type redisNode struct {
	name  string
	child *childproc.Process
	port  int
	info  measure.RedisInfo
}

// serves reports whether it answers.
func (r redisNode) serves(ctx context.Context) bool {
	usage, err := r.info.Read(ctx)
	return err == nil && usage.Memory > 0
}

// runRedis starts a Redis that keeps no data on disk, and notes it as one to measure.
func (b *builder) runRedis(binary, name string, port int, flags ...string) (redisNode, error) {
	dir := filepath.Join(b.dir, name)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return redisNode{}, err
	}
	addr := net.JoinHostPort(host, strconv.Itoa(port))
	child, err := b.run(name, measure.Redis, exec.Command(binary, append([]string{
		"--port", strconv.Itoa(port), "--bind", host, "--dir", dir, "--save", "", "--appendonly", "no", "--daemonize", "no",
	}, flags...)...))
	if err != nil {
		return redisNode{}, err
	}
	b.Redis = append(b.Redis, addr)
	node := redisNode{name: name, child: child, port: port, info: measure.RedisInfo(addr)}
	b.Processes[len(b.Processes)-1].Source = measure.RedisServer{PID: measure.PID(child.PID()), Info: node.info}
	return node, nil
}

// startPrimaries starts a Redis Cluster without replicas, whose primaries have equal runs of the slots, and returns when each
// of them says that all slots are served. That takes some three seconds: a node that has just started does not say so in its
// first two.
func (b *builder) startPrimaries(ctx context.Context, binary string) error {
	nodes := make([]redisNode, b.spec.Primaries)
	ports, err := freePorts(2 * len(nodes))
	if err != nil {
		return err
	}
	// The bus has a port of its own choice: the usual one, 10000 above the other, may be taken or beyond the last there is.
	buses := ports[len(nodes):]
	for i := range nodes {
		nodes[i], err = b.runRedis(binary, fmt.Sprint("redis-", i+1), ports[i],
			"--cluster-enabled", "yes", "--cluster-port", strconv.Itoa(buses[i]), "--cluster-announce-ip", host)
		if err != nil {
			return err
		}
	}
	for _, node := range nodes {
		if err := b.await(node.name, node.child, func() bool { return node.serves(ctx) }); err != nil {
			return err
		}
	}
	for i, node := range nodes {
		commands := []string{
			// Each has an epoch of its own from the beginning, which otherwise they would have to agree upon.
			fmt.Sprint("CLUSTER SET-CONFIG-EPOCH ", i+1),
			fmt.Sprintf("CLUSTER ADDSLOTSRANGE %d %d", i*clusterSlots/len(nodes), (i+1)*clusterSlots/len(nodes)-1),
		}
		if i > 0 {
			commands = append(commands, fmt.Sprintf("CLUSTER MEET %s %d %d", host, nodes[0].port, buses[0]))
		}
		for _, command := range commands {
			if _, err := node.info.Ask(ctx, command); err != nil {
				return fmt.Errorf("form the Redis Cluster: %s: %w", node.name, err)
			}
		}
	}
	for _, node := range nodes {
		if err := b.await(node.name, node.child, func() bool { return node.whole(ctx, len(nodes)) }); err != nil {
			return fmt.Errorf("form the Redis Cluster: %w", err)
		}
	}
	return nil
}

// whole reports whether a primary knows all others and sees every slot served.
func (r redisNode) whole(ctx context.Context, primaries int) bool {
	text, err := r.info.Ask(ctx, "CLUSTER INFO")
	if err != nil {
		return false
	}
	lines := strings.Fields(text)
	for _, want := range []string{
		"cluster_state:ok", fmt.Sprint("cluster_slots_ok:", clusterSlots), fmt.Sprint("cluster_known_nodes:", primaries), fmt.Sprint("cluster_size:", primaries),
	} {
		if !slices.Contains(lines, want) {
			return false
		}
	}
	return true
}
