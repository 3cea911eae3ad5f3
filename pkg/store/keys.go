package store

import "strings"

// Every key and channel name is made in this file. All but partitionsKey and those of answers carry the hash tag of one
// partition, so that whatever one script touches lies in one slot of a Redis Cluster.

const (
	keyPrefix = "sb:"
	// partitionsKey holds the cluster's number of partitions, set by the first node.
	partitionsKey = keyPrefix + "partitions"
	// answerPrefix is of the answers of the server API: see answers.go. They lie in no partition, and are spread by their names.
	answerPrefix = keyPrefix + "answer:"
	// relaysKey is the zset of relays by the end of their lease, Unix ms, and relayInfoKey the hash of relay to what it tells: see relays.go.
	relaysKey    = keyPrefix + "{cluster}:relays"
	relayInfoKey = keyPrefix + "{cluster}:relayinfo"
)

func answerKey(name string) string { return answerPrefix + name }

// roomKeys are the keys that the scripts of one room need, in the order of their KEYS.
type roomKeys struct {
	room, log, held, rooms, away, holders string
	name                                  string // <app>/<room>
}

// roomKeys makes all names of a room for a call by node. They are cut from one string: a call then costs one
// allocation for them, not six.
func (p *partition) roomKeys(r Room, node string) roomKeys {
	const kinds = len(roomKind) + len(logKind) + len(roomsKind) + len(awayKey) + len(holdersKey)
	var b strings.Builder
	b.Grow(5*len(p.prefix) + kinds + 2*(len(r.App)+1+len(r.Name)) + len(p.heldPrefix) + len(node) + len(r.App))
	var ends [5]int
	for i, part := range [...][4]string{
		{p.prefix, roomKind, r.App, "/" + r.Name},
		{p.prefix, logKind, r.App, "/" + r.Name},
		{p.heldPrefix, node},
		{p.prefix, roomsKind, r.App},
		{p.prefix, awayKey},
	} {
		for _, piece := range part {
			b.WriteString(piece)
		}
		ends[i] = b.Len()
	}
	b.WriteString(p.prefix)
	b.WriteString(holdersKey)

	all := b.String()
	return roomKeys{
		room: all[:ends[0]], log: all[ends[0]:ends[1]],
		held: all[ends[1]:ends[2]], rooms: all[ends[2]:ends[3]], away: all[ends[3]:ends[4]],
		holders: all[ends[4]:],
		name:    all[len(p.prefix)+len(roomKind) : ends[0]],
	}
}

// messageKeys makes the names that a call of send needs, from the room's <app>/<room>.
func (p *partition) messageKeys(name string) (room, log string) {
	return p.prefix + roomKind + name, p.prefix + logKind + name
}

// The kinds of keys of which a partition has many: of a room its hash and its log, of an app the list of its rooms.
const (
	roomKind  = "room:"
	logKind   = "log:"
	roomsKind = "rooms:"
)

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

// kept is the list of what is kept of a topic, which dissolve.lua knows, too.
func (p *partition) kept(room Room, topic string) string {
	return p.prefix + topic + ":" + room.App + "/" + room.Name
}

// inbox is the name of a node's inbox channel in the partition.
func (p *partition) inbox(node string) string { return p.inboxPrefix + node }

// tombstone is the key that says that the node's seats in the partition were given up for it.
func (p *partition) tombstone(node string) string { return p.prefix + "dead:" + node }

// away is the zset of the partition's away seats.
func (p *partition) away() string { return p.prefix + awayKey }

// ends is the zset of the partition's rooms that end at a time, by that time.
func (p *partition) ends() string { return p.prefix + "ends" }

// holders is the set of the nodes that hold seats in the partition.
func (p *partition) holders() string { return p.prefix + holdersKey }

// gate is the key that says that new seats may be taken in the partition: see join.lua.
func (p *partition) gate() string { return p.prefix + "gate" }

// outbox is the stream of what webhooks are to tell of the partition's rooms: see parts/outbox.lua.
func (p *partition) outbox() string { return p.prefix + "outbox" }

// outboxClaim is which gateway takes what is in the outbox, and outboxTrimmed counts what was dropped from it and from the queues.
func (p *partition) outboxClaim() string   { return p.prefix + "outbox:claim" }
func (p *partition) outboxTrimmed() string { return p.prefix + "outbox:trimmed" }

// queues is the set of the queues that are not empty.
func (p *partition) queues() string { return p.prefix + "queues" }

// queue is the stream of what an endpoint is still to be told, and letters what an app's endpoints were not.
func (p *partition) queue(q Queue) string      { return p.prefix + "queue:" + q.App + "/" + q.Endpoint }
func (p *partition) letters(app string) string { return p.prefix + "letters:" + app }

// canary is the key that a node's canaries leave behind: see canary.lua.
func (p *partition) canary(node string) string { return p.prefix + "canary:" + node }
