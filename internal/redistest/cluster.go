package redistest

import (
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"
)

const (
	clusterSlots             = 16384
	clusterNodeTimeoutMillis = 2000
	clusterTimeout           = 30 * time.Second
)

// ClusterT is a Redis Cluster.
type ClusterT struct {
	tb        testing.TB
	primaries int
	nodes     []*Server
}

// Cluster starts that many primaries, which share the slots in equal runs in the order of Nodes,
// and returns when every one of them calls the cluster whole. This takes some three seconds: a
// Redis Cluster node does not say ok in its first two. Losing a node makes the others refuse
// commands after cluster-node-timeout (2 s), as cluster-require-full-coverage is on by default.
func Cluster(tb testing.TB, primaries int) *ClusterT {
	tb.Helper()
	return ClusterWithReplicas(tb, primaries, 0)
}

// ClusterWithReplicas starts a cluster in which that many replicas, in all, are shared out to the
// primaries in turn. What is in config is added to the command line of all nodes.
func ClusterWithReplicas(tb testing.TB, primaries, replicas int, config ...string) *ClusterT {
	tb.Helper()
	if primaries < 1 || primaries+replicas > clusterSlots {
		tb.Fatalf("redistest: a cluster of %d primaries and %d replicas", primaries, replicas)
	}
	c := &ClusterT{tb: tb, primaries: primaries, nodes: make([]*Server, primaries+replicas)}
	for i := range c.nodes {
		c.nodes[i] = start(tb, setup{cluster: true, config: slices.Concat(replicated, config)})
	}
	if err := c.form(); err != nil {
		tb.Fatalf("redistest: form the cluster: %v", err)
	}
	c.AwaitWhole()
	return c
}

// Addrs returns the nodes' host:port.
func (c *ClusterT) Addrs() []string {
	addrs := make([]string, len(c.nodes))
	for i, node := range c.nodes {
		addrs[i] = node.Addr()
	}
	return addrs
}

// Nodes returns the nodes, those that were primaries first; of these, node i had the i-th run of
// slots.
func (c *ClusterT) Nodes() []*Server {
	return c.nodes
}

// form assigns the slots and introduces every node to the first. Distinct config epochs, set
// beforehand, spare the nodes the settling of collisions.
func (c *ClusterT) form() error {
	for i, node := range c.nodes {
		steps := [][]string{{"CLUSTER", "SET-CONFIG-EPOCH", strconv.Itoa(i + 1)}}
		if i < c.primaries {
			first, last := i*clusterSlots/c.primaries, (i+1)*clusterSlots/c.primaries-1
			steps = append(steps, []string{"CLUSTER", "ADDSLOTSRANGE", strconv.Itoa(first), strconv.Itoa(last)})
		}
		if i > 0 {
			to := c.nodes[0]
			steps = append(steps, []string{"CLUSTER", "MEET", host, strconv.Itoa(to.port.number), strconv.Itoa(to.bus.number)})
		}
		for _, step := range steps {
			if _, err := node.Do(step...); err != nil {
				return fmt.Errorf("%v on %s: %w", step, node.Addr(), err)
			}
		}
	}
	for i, node := range c.nodes[c.primaries:] {
		if err := c.replicate(node, c.nodes[i%c.primaries]); err != nil {
			return err
		}
	}
	return nil
}

// replicate makes a node a replica as soon as it has heard of its primary.
func (c *ClusterT) replicate(node, primary *Server) error {
	id, err := primary.Do("CLUSTER", "MYID")
	if err != nil {
		return err
	}
	return await(node.Addr()+" replicates nobody", clusterTimeout, func() string {
		if _, err := node.Do("CLUSTER", "REPLICATE", fmt.Sprint(id)); err != nil {
			return err.Error()
		}
		return ""
	})
}

// AwaitWhole waits until every node is up, knows all others and sees every slot served, and every
// replica has its primary's data.
func (c *ClusterT) AwaitWhole() {
	c.tb.Helper()
	if err := await("the cluster is not whole", clusterTimeout, c.notWhole); err != nil {
		c.tb.Fatalf("redistest: %v", err)
	}
}

// notWhole returns what keeps the cluster from being whole, or "".
func (c *ClusterT) notWhole() string {
	for _, node := range c.nodes {
		reply, err := node.Do("CLUSTER", "INFO")
		info, ok := reply.(string)
		if err != nil || !ok {
			return fmt.Sprintf("%s: %v", node.Addr(), err)
		}
		for _, want := range []string{
			"cluster_state:ok",
			"cluster_slots_ok:" + strconv.Itoa(clusterSlots),
			"cluster_known_nodes:" + strconv.Itoa(len(c.nodes)),
			"cluster_size:" + strconv.Itoa(c.primaries),
		} {
			if !hasLine(info, want) {
				return fmt.Sprintf("%s lacks %s:\n%s", node.Addr(), want, info)
			}
		}
	}
	if len(c.nodes) == c.primaries {
		return ""
	}
	replicas := 0
	for _, node := range c.nodes {
		if node.Info("role") == "slave" && node.Info("master_link_status") == "up" {
			replicas++
		}
	}
	if replicas != len(c.nodes)-c.primaries {
		return fmt.Sprintf("%d replicas are in step", replicas)
	}
	return ""
}
