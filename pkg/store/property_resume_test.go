package store_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/signalbox-rtc/signalbox/pkg/store"
)

// noNode is the node of an away seat.
const noNode = "-"

// place draws a place in a room's order, and tells whether its epoch is the room's.
func (r *modelRun) place(n *node, room store.Room) (epoch string, seq int64, current bool) {
	s, err := n.snapshot(store.Look{Room: room})
	require.NoError(r.t, err)
	seq = s.Seq - int64(rapid.IntRange(0, 8).Draw(r.t, "behind"))
	if rapid.IntRange(0, 9).Draw(r.t, "ahead") == 0 {
		seq = s.Seq + int64(rapid.IntRange(1, 3).Draw(r.t, "by"))
	}
	if !s.Found || rapid.IntRange(0, 9).Draw(r.t, "other") == 0 {
		return "other", max(0, seq), false
	}
	return s.Epoch, max(0, seq), true
}

func (r *modelRun) resume() {
	n, seat := r.newcomer()
	epoch, seq, current := r.place(n, seat.Room)
	resume := resumeOf(seat, epoch, seq)
	resumed, err := n.resume(resume)
	line := ""
	switch {
	case err == nil && resumed.Snapshot.Place != nil:
		line = r.placeLine(seat, resumed.Snapshot)
	case err == nil:
		line = resumedLine(resumed.Request, resumed.Known, briefs(resumed.Missed), snapshotLine(resumed.Snapshot))
	}
	r.same("resume", r.model.resume(resume, current), replyLine(err, "%s", line))
}

func (r *modelRun) replay() {
	n := r.node("node")
	room := rapid.SampledFrom(r.rooms).Draw(r.t, "room")
	epoch, seq, current := r.place(n, room)
	replayed, err := n.replay(room, epoch, seq)
	line := ""
	if err == nil {
		line = resumedLine(0, replayed.Known, briefs(replayed.Missed), snapshotLine(replayed.Snapshot))
	}
	r.same("replay", r.model.replay(room, seq, current), replyLine(err, "%s", line))
}

// expire ends some of the graces of a room.
func (r *modelRun) expire() {
	n := r.node("node")
	room := rapid.SampledFrom(r.rooms).Draw(r.t, "room")
	var ended []string
	if modelled := r.model.rooms[room]; modelled != nil {
		for _, member := range modelled.sorted() {
			if member.node == noNode && r.bool("ends") {
				ended = append(ended, member.id)
			}
		}
		for _, place := range modelled.queue {
			if place.node == noNode && r.bool("ends") {
				ended = append(ended, place.id)
			}
		}
	}
	endGrace(r.t, r.d, n.store, room, ended...)
	got, err := n.expire(room, inAnHour())
	r.same("expire", r.model.expire(room, ended), replyLine(err, "%d %d", got.seats, got.left))
}

// reap takes a node for dead in a partition. Where it has several seats in a room Redis gives them up in any order, which no
// model knows: such a node lives on.
func (r *modelRun) reap() {
	n := r.node("node")
	dead := r.node("dead").id
	partition := n.store.Partition(rapid.SampledFrom(r.rooms).Draw(r.t, "room"))
	for _, room := range r.model.rooms {
		if room.counts()[dead]+room.placesOf(dead) > 1 {
			return
		}
	}
	got, err := n.reap(partition, dead)
	r.same("reap", r.model.reap(dead, partition), replyLine(err, "%d %d", got.seats, got.left))
	if r.bool("forgiven") {
		r.forgive()
	}
}

// forgive has the nodes that were given up come back, as nodes of the same name.
func (r *modelRun) forgive() {
	for dead := range r.model.lapsed {
		id, partition, _ := strings.Cut(dead, " ")
		number, err := strconv.Atoi(partition)
		require.NoError(r.t, err)
		s := r.nodes[0].store
		r.d.do(r.t, "DEL", "sb:{"+store.PartitionTags(s.Partitions())[number]+"}:dead:"+id)
		delete(r.model.lapsed, dead)
	}
}

// contents are all keys in the form of model.keys.
func (d deployment) contents(tb rapid.TB) []string {
	found := map[string]bool{}
	seats := map[string][]string{}
	for _, s := range d.servers {
		reply, err := s.Do("KEYS", "sb:{*")
		require.NoError(tb, err)
		for _, full := range reply.([]any) {
			full := full.(string)
			key := full[strings.Index(full, "}:")+2:]
			if key == "gate" || key == "outbox" { // the outbox is looked at by itself
				continue
			}
			switch kind, _, _ := strings.Cut(key, ":"); kind {
			case "room":
				counts := map[string]int{}
				nodes, err := s.Do("HGET", full, "nodes")
				require.NoError(tb, err)
				fields := strings.Fields(nodes.(string))
				for i := 0; i < len(fields); i += 2 {
					counts[fields[i]], err = strconv.Atoi(fields[i+1])
					require.NoError(tb, err)
				}
				key = fmt.Sprint(key, " ", counts)
			case "held", "away", "holders":
				command := []string{"SMEMBERS", full}
				if kind == "away" {
					command = []string{"ZRANGE", full, "0", "-1"}
				}
				list, err := s.Do(command...)
				require.NoError(tb, err)
				for _, seat := range list.([]any) {
					if !slices.Contains(seats[key], seat.(string)) { // of another partition
						seats[key] = append(seats[key], seat.(string))
					}
				}
				continue
			}
			found[key] = true
		}
	}
	for key, list := range seats {
		slices.Sort(list)
		found[fmt.Sprint(key, " ", list)] = true
	}
	var keys []string
	for key := range found {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
