package session

import (
	"encoding/json"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"

	"github.com/signalbox-rtc/signalbox/pkg/auth"
	"github.com/signalbox-rtc/signalbox/pkg/negotiation"
	"github.com/signalbox-rtc/signalbox/pkg/telemetry/metric"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// candidates is what the session's app lets pass of descriptions and candidates. Owned by the goroutine that has the requests.
type candidates struct {
	rules   *negotiation.Rules // nil where nothing is looked at, as a rule
	limiter *rate.Limiter      // of candidates by themselves; nil until there is one
}

// takeRules takes the app's rules as they are now. As long as they are the same, what was counted goes on.
func (c *core) takeRules(app string) {
	if rules := c.server.ruled.of(c.server.opts.Auth, app); rules != c.candidates.rules {
		c.candidates = candidates{rules: rules}
	}
}

// ruled are the rules of apps that have any, each made once for all of the app's sessions.
type ruled struct {
	mu    sync.Mutex
	byApp map[string]appRules
}

type appRules struct {
	source *auth.Negotiation // of which they were made
	rules  *negotiation.Rules
}

// of gives an app's rules as they are now, nil where nothing is looked at.
func (r *ruled) of(directory *auth.Directory, app string) *negotiation.Rules {
	source, ok := directory.Negotiation(app)
	if !ok || !source.On() {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if made := r.byApp[app]; made.source == source {
		return made.rules
	}
	if r.byApp == nil {
		r.byApp = make(map[string]appRules)
	}
	rules := negotiation.New(source)
	r.byApp[app] = appRules{source: source, rules: rules}
	return rules
}

// mayTrickle counts a candidate by itself.
func (s *candidates) mayTrickle() bool {
	if s.limiter == nil {
		perMinute := s.rules.CandidatesPerMinute()
		s.limiter = rate.NewLimiter(rate.Limit(float64(perMinute)/60), perMinute)
	}
	return s.limiter.Allow()
}

// negotiates holds the data of a request to the app's rules, and reports whether it is to go on; else it has been answered.
func (c *core) negotiates(data *json.RawMessage, p pending) bool {
	if c.candidates.rules == nil {
		return true
	}
	v := c.candidates.rules.Look(*data, c.candidates.mayTrickle)
	for kind := range v.Found {
		for result, times := range v.Found[kind] {
			if times > 0 {
				c.server.metrics.negotiated[kind][result].Add(float64(times))
			}
		}
	}
	*data = v.Data
	switch {
	case v.Refused != negotiation.Passed:
		c.answer(p, nil, notPassing(v.Refused))
		return false
	case v.Drop:
		c.answer(p, &wire.Done{Filtered: true}, nil)
		return false
	}
	return true
}

// trickleRetry is when a session is to come again that sends too many candidates.
const trickleRetry = time.Second

// notPassing is what a client is told of a description or candidate that is refused.
func notPassing(why negotiation.Result) *wire.Error {
	switch why {
	case negotiation.TooLarge:
		return wire.Errorf(wire.CodeTooLarge, "the session description is larger than the app lets pass")
	case negotiation.TooManySections:
		return wire.Errorf(wire.CodeTooLarge, "the session description has more media sections than the app lets pass")
	case negotiation.TooManyCandidates:
		return wire.Errorf(wire.CodeTooLarge, "the session description has more candidates than the app lets pass")
	case negotiation.Rate:
		return &wire.Error{Code: wire.CodeRateLimited, Message: "more candidates a minute than the app lets pass", RetryAfter: trickleRetry}
	}
	return wire.Errorf(wire.CodeBadRequest, "not a session description of RFC 8866, or not a candidate of RFC 8839")
}

// newNegotiated makes the counters of what is looked at.
func newNegotiated(reg prometheus.Registerer) (counters [negotiation.Kinds][negotiation.Results]prometheus.Counter) {
	found := metric.Counters("signalbox_negotiation_total",
		"Session descriptions and ICE candidates of apps that have them looked at, by result: passed; hidden (an address is written as an unspecified one); left out for its network or type; or why they are refused. Where an app only observes, what would have come of them.",
		"kind", "result")
	reg.MustRegister(found)
	for kind := range negotiation.Kinds {
		for result := range negotiation.Results {
			if kind == negotiation.Candidate && result > negotiation.Malformed && result != negotiation.Rate ||
				kind == negotiation.Description && (result == negotiation.Network || result == negotiation.Type || result == negotiation.Rate) {
				continue // does not come
			}
			counters[kind][result] = found.WithLabelValues(negotiation.KindNames[kind], negotiation.ResultNames[result])
		}
	}
	return counters
}
