package scenario

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/signalbox-rtc/signalbox/loadtest/internal/driver"
	"github.com/signalbox-rtc/signalbox/loadtest/internal/measure"
	"github.com/signalbox-rtc/signalbox/loadtest/internal/oracle"
	"github.com/signalbox-rtc/signalbox/loadtest/internal/pace"
)

// Options are what a run is made with.
type Options struct {
	Settings  Settings
	Driver    string
	Gateways  []string // host:port
	Processes []measure.Process
	// Watch, if not nil, is told each second how it goes.
	Watch func(phase Phase, sample measure.Sample)
	// Crew, if not nil, holds the connections of an idle load in place of this process.
	Crew *Crew
	// Hold, if not nil, says by its return how long an idle load stays, in place of the settings.
	Hold func(context.Context) error
}

// Phase is a part of a run.
type Phase struct {
	Name  string
	Since time.Duration
	Of    time.Duration // 0 if it is not known
}

// sampleInterval is how often rates and processes are read.
const sampleInterval = time.Second

// run is one scenario under way.
type run struct {
	opts   Options
	s      Settings
	drv    driver.Driver
	rec    *measure.Recorder
	orc    *oracle.Oracle
	smp    *measure.Sampler
	work   *worker
	tag    string // of all rooms of this run
	next   atomic.Uint64
	stream atomic.Uint32

	mu      sync.Mutex
	phase   string                   // guarded by mu
	phaseAt time.Time                // guarded by mu
	phaseOf time.Duration            // guarded by mu
	first   map[string]measure.Usage // before anything was connected
	files   map[string]int           // that were open then
	begin   map[string]measure.Usage // when the measurement began
	end     map[string]measure.Usage // and when it ended
	done    [2]tally                 // the work at both moments
	began   time.Time
	took    time.Duration
	figures map[string]float64 // of the scenario's own
	reasons []string           // why the run has failed, beside violations and errors
}

// Run carries out a scenario. The error is for one that could not be carried out; a result that has not passed is none.
func Run(ctx context.Context, opts Options) (*Result, error) {
	if err := opts.Settings.Validate(); err != nil {
		return nil, err
	}
	drv, err := driver.New(opts.Driver, driver.Options{
		Chat: opts.Settings.Chat(), Direct: opts.Settings.Kind == Call || opts.Settings.Kind == Mixed || opts.Settings.Kind == Soak,
	})
	if err != nil {
		return nil, err
	}
	result, err := carryOut(ctx, opts, drv)
	if closing := drv.Close(); err == nil {
		err = closing
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", opts.Settings.Kind, err)
	}
	return result, nil
}

// carryOut is Run with a driver.
func carryOut(ctx context.Context, opts Options, drv driver.Driver) (*Result, error) {
	work := &worker{Driver: drv}
	r := &run{
		opts: opts, s: opts.Settings, drv: work, work: work, rec: measure.NewRecorder(), orc: oracle.New(),
		tag: fmt.Sprintf("lt%x", rand.Uint32()), figures: map[string]float64{},
	}
	processes := opts.Processes
	if opts.Crew != nil {
		processes = slices.Concat(processes, opts.Crew.Processes)
	}
	r.smp = measure.NewSampler(processes, r.rec, sampleInterval, r.watch)
	sampling, stop := context.WithCancel(ctx)
	var sampler sync.WaitGroup
	sampler.Go(func() { r.smp.Run(sampling) })
	started := time.Now()
	err := r.do(ctx)
	stop()
	sampler.Wait()
	if err != nil {
		return nil, err
	}
	return r.result(started), nil
}

func (r *run) do(ctx context.Context) (err error) {
	if r.first, err = r.smp.Weigh(ctx); err != nil {
		return err
	}
	r.files = r.smp.Files()
	switch r.s.Kind {
	case Idle:
		return r.idle(ctx)
	case Call:
		return r.calls(ctx)
	case Fanout:
		return r.fanout(ctx)
	case Join:
		return r.joins(ctx)
	case Mixed, Soak:
		return r.mixed(ctx)
	case Herd:
		return r.herd(ctx)
	}
	return fmt.Errorf("there is no kind %q", r.s.Kind)
}

// enter begins a phase.
func (r *run) enter(name string, of time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.phase, r.phaseAt, r.phaseOf = name, time.Now(), of
}

func (r *run) watch(sample measure.Sample) {
	if r.opts.Watch == nil {
		return
	}
	r.mu.Lock()
	phase := Phase{Name: r.phase, Since: time.Since(r.phaseAt), Of: r.phaseOf}
	r.mu.Unlock()
	r.opts.Watch(phase, sample)
}

// measureFor works for the warm-up and the measurement: as the settings say with a rate or with workers.
func (r *run) measureFor(ctx context.Context, workers int, rate func(time.Duration) float64, work pace.Work) error {
	window, cancel := context.WithTimeout(ctx, r.s.WarmUp+r.s.Duration)
	defer cancel()
	var edges sync.WaitGroup
	var edgeErr error
	edges.Go(func() { edgeErr = r.edges(ctx, window) })
	var shed error
	if r.s.Rate > 0 {
		arrivals := pace.Arrivals{Rate: rate, Uniform: r.s.Uniform, Seed: r.s.Seed, Most: r.s.Most}
		if begun, n := arrivals.Open(window, work); n > 0 {
			shed = &pace.ShedError{Begun: begun, Shed: n}
		}
	} else {
		pace.Closed(window, workers, 0, work)
	}
	edges.Wait()
	if edgeErr != nil {
		return edgeErr
	}
	if shed != nil {
		r.fail(shed.Error())
	}
	return ctx.Err()
}

// edges takes the measurement's beginning and end at their moments, or, on a machine that has no time for it, soon after:
// what was measured is what was counted in between.
func (r *run) edges(ctx, window context.Context) error {
	r.enter("warm-up", r.s.WarmUp)
	timer := time.NewTimer(r.s.WarmUp)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	r.enter("measure", r.s.Duration)
	if err := r.beginMeasuring(ctx); err != nil {
		return err
	}
	<-window.Done()
	return r.endMeasuring(ctx)
}

func (r *run) beginMeasuring(ctx context.Context) (err error) {
	if r.begin, err = r.smp.Weigh(ctx); err != nil {
		return err
	}
	r.rec.Begin()
	r.done[0] = r.work.tally()
	r.began = time.Now()
	return nil
}

// endMeasuring reads everything, also when what it belongs to has been called off.
func (r *run) endMeasuring(ctx context.Context) (err error) {
	r.rec.End()
	r.done[1] = r.work.tally()
	r.took = time.Since(r.began)
	r.end, err = r.smp.Weigh(context.WithoutCancel(ctx))
	r.enter("end", 0)
	return err
}

// fail notes why the run has not passed.
func (r *run) fail(reason string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reasons = append(r.reasons, reason)
}

// room gives a room of its own.
func (r *run) room() string { return fmt.Sprintf("%s-%d", r.tag, r.next.Add(1)) }

// endpoint gives client n its way: clients take turns over the gateways, and the source addresses over the clients.
func (r *run) endpoint(n int) driver.Endpoint {
	to := driver.Endpoint{Addr: r.opts.Gateways[n%len(r.opts.Gateways)], Traffic: &r.work.traffic}
	if r.s.Sources > 1 {
		to.Source = net.IPv4(127, 0, 0, byte(1+n/len(r.opts.Gateways)%r.s.Sources))
	}
	return to
}

// busyRetries are for connections that a server refuses for now.
const busyRetries = 50

// connect connects client n, and comes back when the server says so.
func (r *run) connect(ctx context.Context, n int, events driver.Events) (driver.Peer, error) {
	for attempt := 0; ; attempt++ {
		peer, err := r.drv.Connect(ctx, r.endpoint(n), events)
		var busy *driver.BusyError
		if err == nil || !errors.As(err, &busy) || attempt == busyRetries {
			return peer, err
		}
		r.rec.Counter("refused_for_now").Add(1)
		if !sleep(ctx, max(busy.RetryAfter, 100*time.Millisecond)) {
			return nil, ctx.Err()
		}
	}
}

// connectAll connects so many clients at the settings' rate. A failure ends it.
func (r *run) connectAll(ctx context.Context, n int, connect func(ctx context.Context, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r.enter("connect", time.Duration(float64(n)/r.s.ConnectRate*float64(time.Second)))
	connected, took := r.rec.Counter("connections"), r.rec.Histogram("connect")
	arrivals := pace.Arrivals{Rate: pace.Constant(r.s.ConnectRate), Uniform: true, Most: n, Limit: n}
	begun, _ := arrivals.Open(ctx, func(ctx context.Context, i int, intended time.Time) {
		if err := connect(ctx, i); err != nil {
			cancel(fmt.Errorf("connection %d: %w", i, err))
			return
		}
		connected.Add(1)
		took.Record(time.Since(intended))
	})
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if begun < n {
		return fmt.Errorf("%d of %d connections were made", begun, n)
	}
	return nil
}

// closeAll says goodbye for many at once, a few at a time.
func closeAll(peers []driver.Peer) {
	var closing sync.WaitGroup
	places := make(chan struct{}, 64)
	for _, peer := range peers {
		if peer == nil {
			continue
		}
		places <- struct{}{}
		closing.Go(func() {
			defer func() { <-places }()
			_ = peer.Close() // its server may be gone
		})
	}
	closing.Wait()
}

// sleep waits, and reports whether ctx has not ended before.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// await polls a condition until it holds, and reports whether it did in time.
func await(ctx context.Context, timeout time.Duration, condition func() bool) bool {
	deadline := time.Now().Add(timeout)
	for !condition() {
		if time.Now().After(deadline) || !sleep(ctx, 5*time.Millisecond) {
			return condition()
		}
	}
	return true
}
