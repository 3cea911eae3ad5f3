package ws

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/signalbox-rtc/signalbox/pkg/telemetry/metric"
)

// LotOptions configures a [Lot].
type LotOptions struct {
	// After is how long a client sends no message before its connection is parked; 0 parks none.
	After      time.Duration
	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

func (o *LotOptions) validate() error {
	if o.After < 0 {
		return fmt.Errorf("ws: a duration is negative: %v", o.After)
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Registerer == nil {
		o.Registerer = prometheus.NewRegistry()
	}
	return nil
}

// Lot is where connections wait that have been silent for a while: without a goroutine, in one set that the kernel
// watches (epoll). It takes them while it runs. The set is made for the first of them: who waits for one that no connection
// can be in would keep a test on fake time from going on.
type Lot struct {
	// immutable
	after   time.Duration
	logger  *slog.Logger
	wakeups prometheus.Counter
	opened  chan *watchSet // gets the set, once in a run

	mu      sync.Mutex
	running bool
	set     *watchSet        // nil before the first is parked
	parked  map[uint64]*Conn // by place
	last    uint64           // place that was given out: none is given twice, whatever becomes of the socket's number
	refused bool             // a connection was not taken, and the log says so
}

// NewLot makes a lot, which must be run to take connections.
func NewLot(opts LotOptions) (*Lot, error) {
	if err := opts.validate(); err != nil {
		return nil, err
	}
	l := &Lot{
		after: opts.After, logger: opts.Logger, opened: make(chan *watchSet, 1), parked: make(map[uint64]*Conn),
		wakeups: metric.Counter("signalbox_session_wakeups_total",
			"Parked sessions that went on: their client sent something, other than a ping or pong, or they were closed."),
	}
	opts.Registerer.MustRegister(l.wakeups, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "signalbox_sessions_parked", Help: "Silent sessions that wait without a goroutine."},
		func() float64 { return float64(l.count()) }))
	return l, nil
}

// Run wakes parked connections for which something has come, until ctx ends. It must be called once at a time.
func (l *Lot) Run(ctx context.Context) error {
	if l.after > 0 && !canWatch {
		l.logger.Warn("silent sessions are not parked: that is done on Linux only")
	}
	l.mu.Lock()
	l.running = true
	l.mu.Unlock()
	defer l.close()
	select {
	case <-ctx.Done():
		return nil
	case set := <-l.opened:
		return l.watch(ctx, set)
	}
}

// watch wakes who is parked in a set.
func (l *Lot) watch(ctx context.Context, set *watchSet) error {
	stop := context.AfterFunc(ctx, set.interrupt)
	defer stop()
	for {
		places, err := set.wait()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		for _, place := range places {
			if c := l.at(place); c != nil {
				c.stirAt(place)
			}
		}
	}
}

// close takes no connection any more, and wakes those that are there.
func (l *Lot) close() {
	l.mu.Lock()
	set, left := l.set, maps.Clone(l.parked)
	l.running, l.set = false, nil
	select {
	case <-l.opened: // that nobody has come to watch
	default:
	}
	l.mu.Unlock()
	for place, c := range left {
		c.wakeAt(place)
	}
	if set != nil {
		set.close()
	}
}

// parks reports whether a connection can come to be parked.
func (l *Lot) parks() bool { return l != nil && l.after > 0 && canWatch }

func (l *Lot) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.parked)
}

// add parks a connection whose mu is held. It reports false when it cannot.
func (l *Lot) add(c *Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.running {
		return false
	}
	place := l.last + 1
	if err := l.admit(c, place); err != nil {
		if !l.refused {
			l.refused = true
			l.logger.Warn("a session was not parked; further ones are not logged", "error", err)
		}
		return false
	}
	l.last, l.parked[place], c.parking.place = place, c, place
	return true
}

// admit has the kernel watch a connection. mu is held.
func (l *Lot) admit(c *Conn, place uint64) (err error) {
	if l.set == nil {
		if l.set, err = newWatchSet(); err != nil {
			return err
		}
		l.opened <- l.set // has room: it is the run's first
	}
	return l.set.add(c.parking.raw, place)
}

// remove takes a connection out whose mu is held, before anybody can close its socket.
func (l *Lot) remove(c *Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.parked, c.parking.place)
	if l.set != nil {
		l.set.remove(c.parking.raw)
	}
	l.wakeups.Inc()
}

// at gives who is at a place; nil if nobody is any more.
func (l *Lot) at(place uint64) *Conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.parked[place]
}
