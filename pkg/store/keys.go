package store

import "strings"

// Every key and channel name is made in this file. All but partitionsKey carry the hash tag of one
// partition, so that whatever one script touches lies in one slot of a Redis Cluster.

const (
	keyPrefix = "sb:"
	// partitionsKey holds the cluster's number of partitions, set by the first node.
	partitionsKey = keyPrefix + "partitions"
)

// roomKeys are the keys that the scripts of one room need, in the order of their KEYS.
type roomKeys struct {
	room, peers, nodes, log, held, rooms, away, holders string
	name                                                string // <app>/<room>
}

// roomKeys makes all names of a room for a call by node. They are cut from one string: a call then costs one
// allocation for them, not eight.
func (p *partition) roomKeys(r Room, node string) roomKeys {
	const kinds = len("room:peers:nodes:log:rooms:awayholders")
	var b strings.Builder
	b.Grow(7*len(p.prefix) + kinds + 4*(len(r.App)+1+len(r.Name)) + len(p.heldPrefix) + len(node) + len(r.App))
	var ends [7]int
	for i, kind := range [4]string{"room:", "peers:", "nodes:", "log:"} {
		b.WriteString(p.prefix)
		b.WriteString(kind)
		b.WriteString(r.App)
		b.WriteByte('/')
		b.WriteString(r.Name)
		ends[i] = b.Len()
	}
	b.WriteString(p.heldPrefix)
	b.WriteString(node)
	ends[4] = b.Len()
	b.WriteString(p.prefix)
	b.WriteString("rooms:")
	b.WriteString(r.App)
	ends[5] = b.Len()
	b.WriteString(p.prefix)
	b.WriteString(awayKey)
	ends[6] = b.Len()
	b.WriteString(p.prefix)
	b.WriteString(holdersKey)

	all := b.String()
	return roomKeys{
		room: all[:ends[0]], peers: all[ends[0]:ends[1]], nodes: all[ends[1]:ends[2]], log: all[ends[2]:ends[3]],
		held: all[ends[3]:ends[4]], rooms: all[ends[4]:ends[5]], away: all[ends[5]:ends[6]],
		holders: all[ends[6]:],
		name:    all[len(p.prefix)+len("room:") : ends[0]],
	}
}

// awayKey is the zset of a partition's away seats by deadline, and holdersKey the set of the nodes that hold seats in it.
const (
	awayKey    = "away"
	holdersKey = "holders"
)

// newPartition makes the parts of names that only the tag decides.
func newPartition(tag string) partition {
	prefix := keyPrefix + "{" + tag + "}:"
	return partition{tag: tag, prefix: prefix, inboxPrefix: prefix + "inbox:", heldPrefix: prefix + "held:"}
}

// inbox is the name of a node's inbox channel in the partition.
func (p *partition) inbox(node string) string { return p.inboxPrefix + node }

// tombstone is the key that says that the node's seats in the partition were given up for it.
func (p *partition) tombstone(node string) string { return p.prefix + "dead:" + node }

// away is the zset of the partition's away seats.
func (p *partition) away() string { return p.prefix + awayKey }

// holders is the set of the nodes that hold seats in the partition.
func (p *partition) holders() string { return p.prefix + holdersKey }

// gate is the key that says that new seats may be taken in the partition: see join.lua.
func (p *partition) gate() string { return p.prefix + "gate" }

// canary is the key that a node's canaries leave behind: see canary.lua.
func (p *partition) canary(node string) string { return p.prefix + "canary:" + node }
