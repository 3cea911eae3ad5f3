package store

import (
	"errors"

	"github.com/redis/go-redis/v9"
)

const (
	// maxGroup and maxGroupBytes bound a call of send: what Redis does in one go, and an entry of a room's log. A single
	// message may be larger.
	maxGroup      = 64
	maxGroupBytes = 64 << 10
	// runArgs is how many arguments of send its messages have in common, and messageArgs how many are a message's own.
	runArgs     = 6
	messageArgs = 2
)

// group is what one command of a pipeline does: one call of any script, or several messages of one peer that have all but
// number and body in common. Redis then looks the room up once, writes once and publishes once to each inbox.
type group struct {
	calls   []*call
	size    int
	request int64 // the highest number of its messages
	cmd     *redis.SliceCmd
}

// grouping splits batches into groups. Its memory is used again and again.
type grouping struct {
	groups []*group
	open   map[string][]*group // by room: what a message of the room may still join, at most one of each peer
	spare  []*group
}

// split gives the groups of a batch, in the order of their first calls. A message joins an earlier group that is of its kind,
// unless another call of the same peer, or one of the room that is no message, or of the whole partition lies between: what a
// peer sends to a room stays in order. What several peers send at the same time may change places, and what goes to several
// rooms: nobody has been answered yet.
func (s *grouping) split(calls []*call) []*group {
	if s.open == nil {
		s.open = make(map[string][]*group)
	}
	for _, c := range calls {
		if errors.Is(c.err, errWaited) {
			continue
		}
		c.err = nil
		switch {
		case c.message():
			s.place(c)
			continue
		case c.room == "":
			clear(s.open)
		default:
			delete(s.open, c.room)
		}
		s.next().add(c)
	}
	return s.groups
}

// place puts a message into its peer's group, or begins one.
func (s *grouping) place(c *call) {
	open := s.open[c.room]
	for i, g := range open {
		first := g.calls[0]
		if first.node != c.node || first.peer() != c.peer() {
			continue
		}
		if !g.takes(c) {
			g = s.next()
			open[i] = g
		}
		g.add(c)
		return
	}
	g := s.next()
	g.add(c)
	s.open[c.room] = append(open, g)
}

// next gives an empty group at the end.
func (s *grouping) next() *group {
	g := new(group)
	if last := len(s.spare) - 1; last >= 0 {
		g, s.spare = s.spare[last], s.spare[:last]
	}
	s.groups = append(s.groups, g)
	return g
}

// clear lets go of the batch.
func (s *grouping) clear() {
	for _, g := range s.groups {
		clear(g.calls)
		*g = group{calls: g.calls[:0]}
	}
	s.spare = append(s.spare, s.groups...)
	s.groups = s.groups[:0]
	clear(s.open)
}

// takes tells whether a message of the group's peer is of the same kind, and there is place for it.
func (g *group) takes(c *call) bool {
	first := g.calls[0]
	return len(g.calls) < maxGroup && g.size+c.size <= maxGroupBytes && first.run() == c.run() &&
		(c.request == 0 || c.request > g.request)
}

func (g *group) add(c *call) {
	g.calls = append(g.calls, c)
	g.size += c.size
	g.request = max(g.request, c.request)
}

// peer is who sends a message, and run all that messages of a group have in common.
func (c *call) peer() string         { return c.strings[0] }
func (c *call) run() [runArgs]string { return [runArgs]string(c.strings[:runArgs]) }

// args gives the command of a group.
func (g *group) args() []any {
	first := g.calls[0]
	if !first.message() {
		return first.args
	}
	room, log := first.place.messageKeys(first.room)
	args := append(make([]any, 0, 8+runArgs+messageArgs*len(g.calls)),
		"evalsha", first.script.sha, first.script.keys, room, log, first.room, first.place.prefix, first.node)
	args = append(args, first.args[:runArgs]...)
	for _, c := range g.calls {
		args = append(args, c.args[runArgs:]...)
	}
	return args
}

// settle notes in the calls of a group what came of it, and of the pipeline.
func (g *group) settle(pipeline error) {
	reply, err := g.cmd.Val(), g.cmd.Err()
	if err == nil && reply == nil {
		err = pipeline
	}
	status, _ := at(reply, 0).(string)
	for i, c := range g.calls {
		c.err, c.reply = err, reply
		if !c.message() || err != nil || status != statusOK {
			continue // it is the answer to all
		}
		switch answer := at(reply, 1+i).(type) {
		case int64:
			c.reply = []any{statusOK, answer}
		case string:
			c.reply = []any{answer}
		default:
			c.reply = nil
		}
	}
}
