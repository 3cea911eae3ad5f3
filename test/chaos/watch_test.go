package chaos

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/signalbox-rtc/signalbox/pkg/client"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// watch measures what all clients of a run see.
type watch struct {
	mu         sync.Mutex
	flights    map[string]*flight // guarded by mu; by message id
	returns    []homecoming       // guarded by mu
	losses     int                // guarded by mu; of connections
	told       map[string]int     // guarded by mu; events by type, and left by reason
	refusals   map[string]int     // guarded by mu; what requests gave instead of success, by code
	finalCodes map[string]int     // guarded by mu; those of them that are not retryable
	failures   []time.Time        // guarded by mu; when requests did not succeed
}

// flight is a message on its way.
type flight struct {
	sentAt, ackedAt time.Time
	arrivals        []arrival
}

type arrival struct {
	party *party
	at    time.Time
}

// homecoming is a client that lost its connection and is back.
type homecoming struct {
	party         *party
	lostAt, at    time.Time
	node, session string
	resumed       bool
	results       []string // by room: replayed, resync, gone
}

func newWatch() *watch {
	return &watch{
		flights: make(map[string]*flight), told: make(map[string]int),
		refusals: make(map[string]int), finalCodes: make(map[string]int),
	}
}

// sending and sent note that a message is about to be sent, and that it was acknowledged.
func (w *watch) sending(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.flights[id] = &flight{sentAt: time.Now()}
}

func (w *watch) sent(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.flights[id].ackedAt = time.Now()
}

// event notes what came to a client.
func (w *watch) event(p *party, e *wire.Event) {
	var data []byte
	what := string(e.Body.Type())
	switch body := e.Body.(type) {
	case *wire.Message:
		data = body.Data
	case *wire.Signaled:
		data = body.Data
	case *wire.LeftPeer:
		what += " " + body.Reason
	case *wire.Closed:
		what += " " + body.Reason
	}
	id := ""
	if data != nil {
		id = messageID(data)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.told[what]++
	if f := w.flights[id]; f != nil {
		f.arrivals = append(f.arrivals, arrival{p, time.Now()})
	}
}

// outcome notes how a request ended.
func (w *watch) outcome(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err == nil {
		return
	}
	code := "lost"
	if refusal, ok := errors.AsType[*wire.Error](err); ok {
		code = string(refusal.Code)
	} else if errors.Is(err, context.DeadlineExceeded) {
		code = "timeout"
	} else if errors.Is(err, context.Canceled) || errors.Is(err, client.ErrClosed) {
		return // the run's own doing
	}
	w.failures = append(w.failures, time.Now())
	w.refusals[code]++
	if !client.Retryable(err) && code != "timeout" {
		w.finalCodes[code]++
	}
}

func (w *watch) lost(*party) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.losses++
}

func (w *watch) back(p *party, welcome *wire.Welcome, lostAt time.Time) {
	h := homecoming{party: p, lostAt: lostAt, at: time.Now(), node: welcome.Node, session: welcome.Session, resumed: welcome.Resumed}
	for _, room := range welcome.Rooms {
		h.results = append(h.results, room.Result)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.returns = append(w.returns, h)
}

// lossCount counts the connections that were lost.
func (w *watch) lossCount() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.losses
}

// failureCount counts the requests that did not succeed.
func (w *watch) failureCount() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.failures)
}

// since gives the homecomings of connections lost after some moment.
func (w *watch) since(t time.Time) []homecoming {
	w.mu.Lock()
	defer w.mu.Unlock()
	var list []homecoming
	for _, h := range w.returns {
		if h.lostAt.After(t) {
			list = append(list, h)
		}
	}
	return list
}

// count gives how often an event of a kind was told.
func (w *watch) count(what string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.told[what]
}

// away is how long each client of those that came back was away.
func away(list []homecoming) []time.Duration {
	times := make([]time.Duration, len(list))
	for i, h := range list {
		times[i] = h.at.Sub(h.lostAt)
	}
	return times
}

// resumed counts the homecomings with their old session.
func resumed(list []homecoming) int {
	n := 0
	for _, h := range list {
		if h.resumed {
			n++
		}
	}
	return n
}

// latencies are those of the messages that were sent in a span of time, to each receiver but those left out.
func (w *watch) latencies(from, until time.Time, without map[*party]bool) []time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	var times []time.Duration
	for _, f := range w.flights {
		if f.sentAt.Before(from) || f.sentAt.After(until) {
			continue
		}
		for _, a := range f.arrivals {
			if !without[a.party] {
				times = append(times, a.at.Sub(f.sentAt))
			}
		}
	}
	return times
}

// service gives, for each client that got anything sent after a moment, how long after it the first such message came.
func (w *watch) service(after time.Time) []time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	first := make(map[*party]time.Time)
	for _, f := range w.flights {
		if f.sentAt.Before(after) {
			continue
		}
		for _, a := range f.arrivals {
			if at, ok := first[a.party]; !ok || a.at.Before(at) {
				first[a.party] = a.at
			}
		}
	}
	var times []time.Duration
	for _, at := range first {
		times = append(times, at.Sub(after))
	}
	return times
}

// undelivered counts messages that were acknowledged and came to nobody.
func (w *watch) undelivered() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for _, f := range w.flights {
		if !f.ackedAt.IsZero() && len(f.arrivals) == 0 {
			n++
		}
	}
	return n
}

// sentAndAcked counts messages.
func (w *watch) sentAndAcked() (sent, acked int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, f := range w.flights {
		sent++
		if !f.ackedAt.IsZero() {
			acked++
		}
	}
	return sent, acked
}

// firstFailure is how long after a moment the first request failed; 0 if none did.
func (w *watch) firstFailure(after time.Time) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, t := range w.failures {
		if t.After(after) {
			return t.Sub(after)
		}
	}
	return 0
}

// events counts what was told.
func (w *watch) events() map[string]int {
	w.mu.Lock()
	defer w.mu.Unlock()
	counts := maps.Clone(w.told)
	delete(counts, string(wire.TypeMessage))
	delete(counts, string(wire.TypeSignal))
	delete(counts, string(wire.TypeState))
	return counts
}

// errors gives what requests gave instead of success, and how often.
func (w *watch) errors() (all, final map[string]int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.refusals), maps.Clone(w.finalCodes)
}

// resultsOf counts what became of the rooms of those that came back.
func resultsOf(list []homecoming) map[string]int {
	counts := make(map[string]int)
	for _, h := range list {
		for _, result := range h.results {
			counts[result]++
		}
	}
	return counts
}

// quantile gives the value below which that share of the times lies.
func quantile(times []time.Duration, share float64) time.Duration {
	if len(times) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(times))
	return sorted[min(len(sorted)-1, int(share*float64(len(sorted))))]
}

// mostWithin gives the greatest number of moments that lie within one span.
func mostWithin(moments []time.Duration, span time.Duration) int {
	sorted := slices.Sorted(slices.Values(moments))
	most, first := 0, 0
	for i := range sorted {
		for sorted[i]-sorted[first] > span {
			first++
		}
		most = max(most, i-first+1)
	}
	return most
}
