package redistest

import (
	"fmt"
	"strconv"
	"strings"
)

const (
	migrateKeys    = 100
	migrateTimeout = "5000" // milliseconds
)

// member is what a node says of another, or of itself, in CLUSTER NODES.
type member struct {
	id, port, primary string // primary is "-" for one
	epoch             int64
	slots             []string
}

// members reads CLUSTER NODES:
// https://redis.io/docs/latest/commands/cluster-nodes/
func members(node *Server) []member {
	reply, err := do(node.Addr(), commandTimeout/5, []string{"CLUSTER", "NODES"})
	text, ok := reply.(string)
	if err != nil || !ok {
		return nil
	}
	var list []member
	for line := range strings.SplitSeq(text, "\n") {
		fields := strings.Fields(line)
		if len(fields) < 8 {
			continue
		}
		addr, _, _ := strings.Cut(fields[1], "@")
		epoch, _ := strconv.ParseInt(fields[6], 10, 64) // 0 for what is none
		list = append(list, member{
			id: fields[0], port: addr[strings.LastIndexByte(addr, ':')+1:], primary: fields[3], epoch: epoch, slots: fields[8:],
		})
	}
	return list
}

// holds reports whether a slot is among those of a member.
func (m *member) holds(slot int) bool {
	for _, run := range m.slots {
		low, high, isRun := strings.Cut(run, "-")
		first, err := strconv.Atoi(low)
		last := first
		if err == nil && isRun {
			last, err = strconv.Atoi(high)
		}
		if err == nil && first <= slot && slot <= last { // what is moving is no number
			return true
		}
	}
	return false
}

// Slot returns the slot of a key.
func (c *ClusterT) Slot(key string) int {
	c.tb.Helper()
	for _, node := range c.nodes {
		if slot, err := node.Do("CLUSTER", "KEYSLOT", key); err == nil {
			return int(slot.(int64))
		}
	}
	c.tb.Fatalf("redistest: no node is up")
	return 0
}

// Owner returns the node that has a slot: of what the nodes say, the latest.
func (c *ClusterT) Owner(slot int) *Server {
	c.tb.Helper()
	latest := member{epoch: -1}
	for _, node := range c.nodes {
		for _, m := range members(node) {
			if m.epoch > latest.epoch && m.holds(slot) {
				latest = m
			}
		}
	}
	for _, node := range c.nodes {
		if strconv.Itoa(node.port.number) == latest.port {
			return node
		}
	}
	c.tb.Fatalf("redistest: nobody has slot %d", slot)
	return nil
}

// ReplicaOf returns a replica that is up and in step with a primary.
func (c *ClusterT) ReplicaOf(primary *Server) *Server {
	c.tb.Helper()
	for _, node := range c.nodes {
		if node != primary && replicates(node, primary) {
			return node
		}
	}
	c.tb.Fatalf("redistest: %s has no replica", primary.Addr())
	return nil
}

// Failover has a replica take its primary's place while all is well, and returns when it has begun
// to. See AwaitOwner.
func (c *ClusterT) Failover(replica *Server) {
	c.tb.Helper()
	replica.Must("CLUSTER", "FAILOVER")
}

// AwaitOwner waits until another node than this one has the slot and answers for it, and returns it.
func (c *ClusterT) AwaitOwner(slot int, other *Server) *Server {
	c.tb.Helper()
	var owner *Server
	if err := await("no new owner", clusterTimeout, func() string {
		owner = c.Owner(slot)
		if owner == other || owner.Info("role") != "master" {
			return owner.Addr() + " has the slot still, or not yet"
		}
		return ""
	}); err != nil {
		c.tb.Fatalf("redistest: %v", err)
	}
	return owner
}

// Migrate moves a slot with its keys to another primary, as redis-cli --cluster reshard does, while
// clients go on: in between, some keys of the slot are here and some there.
func (c *ClusterT) Migrate(slot int, to *Server) {
	c.tb.Helper()
	from := c.Owner(slot)
	if from == to {
		return
	}
	number := strconv.Itoa(slot)
	fromID, toID := fmt.Sprint(from.Must("CLUSTER", "MYID")), fmt.Sprint(to.Must("CLUSTER", "MYID"))
	to.Must("CLUSTER", "SETSLOT", number, "IMPORTING", fromID)
	from.Must("CLUSTER", "SETSLOT", number, "MIGRATING", toID)
	for {
		keys, _ := from.Must("CLUSTER", "GETKEYSINSLOT", number, strconv.Itoa(migrateKeys)).([]any)
		if len(keys) == 0 {
			break
		}
		command := []string{"MIGRATE", host, strconv.Itoa(to.port.number), "", "0", migrateTimeout, "KEYS"}
		for _, key := range keys {
			command = append(command, fmt.Sprint(key))
		}
		from.Must(command...)
	}
	// The new owner first, or a client could be sent to it and back.
	to.Must("CLUSTER", "SETSLOT", number, "NODE", toID)
	from.Must("CLUSTER", "SETSLOT", number, "NODE", toID)
	for _, node := range c.nodes {
		if node != to && node != from && node.Info("role") == "master" {
			node.Must("CLUSTER", "SETSLOT", number, "NODE", toID)
		}
	}
}
