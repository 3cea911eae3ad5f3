package redistest

import (
	"fmt"
	"strconv"
	"testing"
	"time"
)

const (
	clusterSlots             = 16384
	clusterNodeTimeoutMillis = 2000
	clusterTimeout           = 30 * time.Second
)

// ClusterT is a Redis Cluster of primaries without replicas.
type ClusterT struct {
	nodes []*Server
}

// Cluster starts that many primaries, which share the slots in equal runs in the order of Nodes,
// and returns when every one of them calls the cluster whole. This takes some three seconds: a
// Redis Cluster node does not say ok in its first two. Losing a node makes the others refuse
// commands after cluster-node-timeout (2 s), as cluster-require-full-coverage is on by default.
func Cluster(tb testing.TB, primaries int) *ClusterT {
	tb.Helper()
	if primaries < 1 || primaries > clusterSlots {
		tb.Fatalf("redistest: a cluster of %d primaries", primaries)
	}
	c := &ClusterT{nodes: make([]*Server, primaries)}
	for i := range c.nodes {
		c.nodes[i] = start(tb, true)
	}
	if err := c.form(); err != nil {
		tb.Fatalf("redistest: form the cluster: %v", err)
	}
	if err := c.awaitOK(); err != nil {
		tb.Fatalf("redistest: %v", err)
	}
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

// Nodes returns the primaries; node i holds the i-th run of slots.
func (c *ClusterT) Nodes() []*Server {
	return c.nodes
}

// form assigns the slots and introduces every node to the first. Distinct config epochs, set
// beforehand, spare the nodes the settling of collisions.
func (c *ClusterT) form() error {
	n := len(c.nodes)
	for i, node := range c.nodes {
		first, last := i*clusterSlots/n, (i+1)*clusterSlots/n-1
		steps := [][]string{
			{"CLUSTER", "SET-CONFIG-EPOCH", strconv.Itoa(i + 1)},
			{"CLUSTER", "ADDSLOTSRANGE", strconv.Itoa(first), strconv.Itoa(last)},
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
	return nil
}

// awaitOK waits until every node knows all others and sees every slot served.
func (c *ClusterT) awaitOK() error {
	deadline := time.NewTimer(clusterTimeout)
	defer deadline.Stop()
	tick := time.NewTicker(5 * pollInterval)
	defer tick.Stop()
	for {
		missing := c.notOK()
		if missing == "" {
			return nil
		}
		select {
		case <-deadline.C:
			return fmt.Errorf("the cluster is not whole after %v: %s", clusterTimeout, missing)
		case <-tick.C:
		}
	}
}

// notOK returns what keeps the cluster from being whole, or "".
func (c *ClusterT) notOK() string {
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
			"cluster_size:" + strconv.Itoa(len(c.nodes)),
		} {
			if !hasLine(info, want) {
				return fmt.Sprintf("%s lacks %s:\n%s", node.Addr(), want, info)
			}
		}
	}
	return ""
}
