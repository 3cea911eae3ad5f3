package cluster

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/signalbox-rtc/signalbox/pkg/telemetry/metric"
)

const (
	// sweepPeriod is how often away seats are looked at whose grace may be over.
	sweepPeriod = time.Second
	// sweepTurn is how long a node sweeps the same part of the partitions.
	sweepTurn = 4 * time.Second
	// sweepPatience is how long after it was sent a sweep may still be carried out. One that waited for Redis for longer has
	// waited through an outage, in which nobody could come back.
	sweepPatience = 2 * time.Second
)

// sweeper gives up away seats whose grace is over. The partitions are spread over the nodes of the roster, each in turn: one
// that is on it and does not sweep, since it has trouble with Redis, leaves no partition out for long, nor do two that do not
// agree on the roster. What two do at once the second finds done.
type sweeper struct {
	cluster *Cluster
	seats   prometheus.Counter
	rooms   prometheus.Counter

	// offset is Redis' clock less this node's, in ns, as of the last beat.
	offset atomic.Int64
	// steady is set while this node's beats have gone well for a lease: those who could not come back during an outage get
	// the time to do so after it.
	steady atomic.Bool
}

func newSweeper(c *Cluster) *sweeper {
	s := &sweeper{cluster: c, seats: metric.Counter("signalbox_expired_seats_total",
		"Seats that this node gave up because nobody came back for them in time.")}
	s.rooms = metric.Counter("signalbox_expired_rooms_total",
		"Rooms that this node made an end of, because nobody had a seat in them for as long as they stay, or because their time was over.")
	c.opts.Registerer.MustRegister(s.seats, s.rooms)
	return s
}

// run sweeps until ctx ends.
func (s *sweeper) run(ctx context.Context) {
	ticker := time.NewTicker(sweepPeriod)
	defer ticker.Stop()
	for last := -1; ; {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if !s.steady.Load() {
			continue
		}
		rank, nodes := s.cluster.rank()
		turn := s.turn()
		for partition := (rank + turn) % nodes; partition < s.cluster.opts.Store.Partitions(); partition += nodes {
			s.sweep(partition)
			if turn != last {
				s.finish(partition)
				s.cluster.opts.Store.Holders(partition, s.suspect)
			}
		}
		last = turn
	}
}

// turn counts the turns, at about the same time on all nodes.
func (s *sweeper) turn() int {
	return int(time.Now().Add(time.Duration(s.offset.Load())).UnixMilli() / sweepTurn.Milliseconds())
}

// suspect takes the nodes that hold seats in a partition, of which some may be on no roster.
func (s *sweeper) suspect(holders []string, err error) {
	if err == nil {
		s.cluster.suspects.add(holders, s.cluster.listed)
	}
}

// sweep gives up what is due in one partition, and goes on while there is more than one call does.
func (s *sweeper) sweep(partition int) {
	notAfter := time.Now().Add(time.Duration(s.offset.Load()) + sweepPatience)
	s.cluster.opts.Store.Expire(partition, notAfter, func(expired, left int, err error) {
		s.seats.Add(float64(expired))
		if err == nil && expired > 0 && left > 0 {
			s.sweep(partition)
		}
	})
}

// finish makes an end of the rooms of a partition whose time is over, and goes on while there is more than one call does.
func (s *sweeper) finish(partition int) {
	s.cluster.opts.Store.Finish(partition, func(finished, left int, err error) {
		s.rooms.Add(float64(finished))
		if err == nil && finished > 0 && left > 0 {
			s.finish(partition)
		}
	})
}

// listed reports whether a node was on the roster when that was last read.
func (c *Cluster) listed(id string) bool {
	_, listed, _ := c.known(id)
	return listed || id == c.opts.Self.ID
}

// rank is this node's place among the nodes of the roster, and their number: 0 and 1 while it is not known.
func (c *Cluster) rank() (rank, nodes int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	ids := make([]string, 0, len(c.nodes)+1)
	for id := range c.nodes {
		ids = append(ids, id)
	}
	if _, known := c.nodes[c.opts.Self.ID]; !known {
		ids = append(ids, c.opts.Self.ID)
	}
	slices.Sort(ids)
	return slices.Index(ids, c.opts.Self.ID), len(ids)
}
