package store

import (
	"strconv"
	"time"

	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// call is one script call on its way, or one message of a call of send, which can carry several. It belongs to its maker until
// it is submitted, then to its lane.
type call struct {
	script    *script
	partition int
	room      string     // <app>/<room>, empty for a call for the whole partition
	place     *partition // of a message only
	node      string     // that sends a message
	request   int64      // of a message
	since     time.Time
	trace     *callTrace // nil unless the client's request is traced
	size      int        // bytes of the arguments

	args    []any              // the whole command, of a message its own part
	strings [maxStrings]string // what args points to: a pointer needs no memory of its own, a string in an interface does
	used    int

	reply []any
	err   error // why there is no reply, once executed

	// answer is called exactly once, with the reply of status ok, or with the refusal.
	answer func(reply []any, err error)
}

// maxStrings is the most fixed arguments of a script: join's 6 and 8 keys, and 9 of its own.
const maxStrings = 23

// newCall makes a call with the keys and arguments that every script has. The seat's node and peer may be empty; request
// is the number of the client's request, 0 for none. Of scripts with keys of their own these are further.
func (s *Store) newCall(script *script, seat Seat, request int64, answer func([]any, error), further ...string) *call {
	room, node := seat.Room, seat.Node
	n := partitionOf(room, len(s.partitions))
	p := &s.partitions[n]
	keys := p.roomKeys(room, node)
	c := &call{script: script, partition: n, room: keys.name, answer: answer, trace: s.traceCall(script, seat, n)}
	c.args = append(make([]any, 0, 24), "evalsha", script.sha, script.keys)
	c.add(keys.room, keys.log)
	if script.keys != roomKeyCount && script.keys != keptKeyCount {
		c.add(keys.held, keys.rooms, keys.away, keys.holders)
	}
	if script.keys == resumeKeyCount || script.keys == joinKeyCount {
		c.add(p.tombstone(node))
	}
	if script.keys == joinKeyCount {
		c.add(p.gate())
	}
	c.add(further...)
	c.add(keys.name, p.prefix, node, seat.Peer, strconv.FormatInt(seat.Generation, 10), strconv.FormatInt(max(request, 0), 10))
	return c
}

// newMessage makes a message for the next call of send for its room: see [group].
func (s *Store) newMessage(m Send, to, except string, answer func([]any, error)) *call {
	n := partitionOf(m.Room, len(s.partitions))
	c := &call{script: s.scripts.send, partition: n, room: m.Room.App + "/" + m.Room.Name, answer: answer}
	c.place, c.node, c.request = &s.partitions[n], m.Node, max(m.Request, 0)
	c.trace = s.traceCall(c.script, m.Seat, n)
	c.args = make([]any, 0, runArgs+messageArgs)
	c.add(m.Peer, strconv.FormatInt(m.Generation, 10), s.stamped(m.Type, c.trace), to, except, flag(m.Volatile), strconv.FormatInt(c.request, 10))
	c.addBytes(m.Event)
	return c
}

// message tells whether a call is one message of a call of send.
func (c *call) message() bool { return c.place != nil }

// inPartition checks what a call for a whole partition names.
func (s *Store) inPartition(n int) (*partition, error) {
	if n < 0 || n >= len(s.partitions) {
		return nil, wire.Errorf(wire.CodeBadRequest, "a partition %d", n)
	}
	return &s.partitions[n], nil
}

// ofNode is inPartition for a call for all of a node's seats.
func (s *Store) ofNode(n int, node string) (*partition, error) {
	p, err := s.inPartition(n)
	if err == nil && !validID(node) {
		return nil, wire.Errorf(wire.CodeBadRequest, "not a node id")
	}
	return p, err
}

// partitionCall is newCall for a call for a whole partition, which has been checked: its scripts find the rooms themselves.
func (s *Store) partitionCall(script *script, n int, node string, answer func([]any, error), keys ...string) *call {
	c := &call{script: script, partition: n, answer: answer}
	c.args = append(make([]any, 0, 24), "evalsha", script.sha, script.keys)
	c.add(keys...)
	c.add("", s.partitions[n].prefix, node, "", "0", "0")
	return c
}

// add appends arguments.
func (c *call) add(args ...string) {
	for _, arg := range args {
		c.size += len(arg)
		if c.used == maxStrings {
			c.args = append(c.args, arg)
			continue
		}
		c.strings[c.used] = arg
		c.args = append(c.args, &c.strings[c.used])
		c.used++
	}
}

func (c *call) addBytes(args ...[]byte) {
	for _, arg := range args {
		c.size += len(arg)
		c.args = append(c.args, arg)
	}
}

// addState appends a state change as pairs.
func (c *call) addState(state State) {
	for key, raw := range state {
		c.add(key, compact(raw))
	}
}

// finish hands the outcome to the caller.
func (c *call) finish(now time.Time) {
	reply, result, err := c.outcome()
	c.script.timer.observe(result, now.Sub(c.since), c.trace)
	c.trace.end(result)
	c.answer(reply, err)
}

func (c *call) outcome() (reply []any, result int, err error) {
	if c.err != nil {
		return nil, resultUnavailable, unavailable()
	}
	reply = c.reply
	status, _ := at(reply, 0).(string)
	if status == statusOK || status == statusWaiting || status == statusRepeated {
		return reply, resultOK, nil
	}
	if status == string(wire.CodeOutcomeUnknown) {
		return reply, resultRefused, wire.Errorf(wire.CodeOutcomeUnknown, "whether the request took effect is not known any more")
	}
	if err := refusal(status); err != nil {
		return reply, resultRefused, err
	}
	return nil, resultUnavailable, wire.Errorf(wire.CodeInternal, "a reply of the store that is not known")
}

// statusOK is the first word of a reply when the call was carried out.
const statusOK = "ok"

// statusRepeated is that of a reply to a request that had taken effect before.
const statusRepeated = "repeated"

// statusWaiting is that of a reply to who has to wait for a seat.
const statusWaiting = "waiting"

// at is reply[i], or nil when the reply is shorter.
func at(reply []any, i int) any {
	if i < len(reply) {
		return reply[i]
	}
	return nil
}

func integer(reply []any, i int) int64 {
	n, _ := at(reply, i).(int64)
	return n
}
