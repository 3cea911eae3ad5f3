package app

import (
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"

	"github.com/signalbox-rtc/signalbox/pkg/telemetry/metric"
)

// Why a new client is refused, in the words of the metric and of the answer.
const (
	refusedDraining    = "draining"
	refusedConnections = "connections"
	refusedRate        = "rate"
	refusedStarting    = "starting"
)

// When refused clients are told to come back. Whole seconds are all that Retry-After can say.
const (
	leastRetryAfter = time.Second
	mostRetryAfter  = 30 * time.Second

	drainingRetryAfter    = 3 * time.Second // at most: other gateways have room
	connectionsRetryAfter = 8 * time.Second // at most: clients have to leave, or another gateway to be met
	startingRetryAfter    = 8 * time.Second // at most: Redis has to come
)

// admission decides on new clients of all transports, before anything is done for them.
type admission struct {
	limiter *rate.Limiter // nil: there is no limit
	refused map[string]prometheus.Counter
	closed  atomic.Bool
	waiting bool // for Redis: nobody is let in; immutable

	// line is how many clients were told to come back and are not due yet, as of a moment.
	mu   sync.Mutex
	line float64
	asOf time.Time
}

// newAdmission lets perSecond clients in a second in, and burst at once after a pause; any number if perSecond is 0. most is
// how many the gateway takes, which is only told.
func newAdmission(perSecond, burst, most int, registerer prometheus.Registerer) *admission {
	refused := metric.Counters("signalbox_accepts_refused_total",
		"New clients of all transports that were answered with 503: draining (the gateway ends), connections (it has all that it takes), rate (too many came at once) or starting (it has not reached Redis yet).", "reason")
	limit := metric.Gauge("signalbox_connection_limit", "Connections that this gateway takes, of all transports; 0: any number.")
	limit.Set(float64(most))
	registerer.MustRegister(refused, limit)
	a := &admission{refused: make(map[string]prometheus.Counter), asOf: time.Now()}
	for _, reason := range []string{refusedDraining, refusedConnections, refusedRate, refusedStarting} {
		a.refused[reason] = refused.WithLabelValues(reason)
	}
	if perSecond > 0 {
		a.limiter = rate.NewLimiter(rate.Limit(perSecond), burst)
	}
	return a
}

// denial is why a client is not let in, and when it should come back.
type denial struct {
	reason, message string
	retryAfter      time.Duration // whole seconds
}

// admit decides on one client; nil lets it in. full says that there is no room for it.
func (a *admission) admit(full bool) *denial {
	d := a.judge(full)
	if d != nil {
		a.refused[d.reason].Inc()
	}
	return d
}

func (a *admission) judge(full bool) *denial {
	switch {
	case a.waiting:
		return &denial{refusedStarting, "the gateway has not reached Redis yet", within(startingRetryAfter)}
	case a.closed.Load():
		return &denial{refusedDraining, "the gateway is ending: come back, on another one", within(drainingRetryAfter)}
	case full:
		return &denial{refusedConnections, "the gateway has all the connections that it takes", within(connectionsRetryAfter)}
	case a.limiter != nil && !a.limiter.Allow():
		return &denial{refusedRate, "too many clients come at once", a.later(time.Now())}
	}
	return nil
}

// close refuses everybody from now on.
func (a *admission) close() { a.closed.Store(true) }

// later gives a client over the rate its time to come back. A herd is put into a line that moves on at the rate: who was
// refused first comes first, and no more come in a second than will be let in then. The line is as long as may be said to
// a client; those behind it are spread over its latter half. Seconds are rounded up or down by chance, so that places
// between two of them are shared out to both.
func (a *admission) later(now time.Time) time.Duration {
	perSecond := float64(a.limiter.Limit())
	longest := perSecond * mostRetryAfter.Seconds()
	a.mu.Lock()
	a.line = max(0, a.line-now.Sub(a.asOf).Seconds()*perSecond)
	a.asOf = now
	place := a.line
	if place < longest {
		a.line++
	} else {
		place = longest * (1 + rand.Float64()) / 2
	}
	a.mu.Unlock()
	wait := time.Duration(math.Floor(1+place/perSecond+rand.Float64())) * time.Second
	return min(max(wait, leastRetryAfter), mostRetryAfter)
}

// within draws from the whole seconds up to a limit.
func within(most time.Duration) time.Duration {
	return leastRetryAfter + time.Duration(rand.Int64N(int64(most/time.Second)))*time.Second
}
