package httpapi

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/signalbox-rtc/signalbox/pkg/store"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

const (
	// eventSample is how the cluster is, at one moment.
	eventSample = "sample"
	// slowly is how many periods pass between looks at what costs more: Redis' servers, relays and apps.
	slowly = 5
	// maxSampledApps is of how many apps a sample tells, the busiest.
	maxSampledApps = 100
)

// Sample is how the cluster is, as viewers are told.
type Sample struct {
	Time   time.Time     `json:"time"`
	Nodes  []NodeSample  `json:"nodes"`
	Apps   []AppSample   `json:"apps"`
	Relays []RelaySample `json:"relays"`
	Redis  []RedisSample `json:"redis"`
	// Problems are why something of this is not known.
	Problems []string `json:"problems"`
}

// NodeSample is a gateway with what it has counted since it began, at a moment of its own clock in Unix milliseconds; 0 if it has not told yet.
type NodeSample struct {
	Node
	At     int64              `json:"at"`
	Counts map[string]float64 `json:"counts,omitempty"`
}

// AppSample is one of the busiest apps.
type AppSample struct {
	App      string `json:"app"`
	Sessions int    `json:"sessions"`
	Rooms    int64  `json:"rooms"`
}

// RelaySample is a relay whose lease runs.
type RelaySample struct {
	Relay    string  `json:"relay"`
	Region   string  `json:"region,omitempty"`
	Load     float64 `json:"load"`
	Draining bool    `json:"draining"`
	Version  string  `json:"version,omitempty"`
}

// RedisSample is one primary of Redis. Times are milliseconds.
type RedisSample struct {
	Address     string  `json:"address"`
	Problem     string  `json:"problem,omitempty"`
	Version     string  `json:"version,omitempty"`
	Role        string  `json:"role,omitempty"`
	Replicas    int     `json:"replicas"`
	MemoryUsed  int64   `json:"memoryUsed"`
	MemoryLimit int64   `json:"memoryLimit"`
	Partitions  int     `json:"partitions"`
	Latency     float64 `json:"latency"`
	Slowest     float64 `json:"slowest"`
	Canary      float64 `json:"canary"`
}

func (a *API) viewerOperations() {
	register(a, operation{
		id: viewersOperation, method: http.MethodGet, path: "/statistics/events", tag: "cluster", need: Read, operator: true, stream: true,
		summary: "Follow the cluster", text: "Server-sent events: a `sample` of gateways and what they have counted, apps, relays and Redis, and another one every some seconds, " +
			"as the console shows them. One look serves all who follow, and nobody looks while nobody does.",
		codes: []wire.Code{wire.CodeRateLimited},
	}, a.clusterEvents)
}

func (a *API) clusterEvents(ctx context.Context, _ *struct{}) (*huma.StreamResponse, error) {
	samples, leave := a.viewers.enter() //nolint:contextcheck // the looking is not one viewer's
	if samples == nil {
		a.metrics.refused.WithLabelValues(refusedViewers).Inc()
		return nil, newProblem(wire.CodeRateLimited, "this gateway has as many viewers as it takes").after(beatPeriod)
	}
	return &huma.StreamResponse{Body: func(h huma.Context) {
		defer leave()
		r, _ := humago.Unwrap(h)
		l := &listener{api: a, call: callOf(ctx), request: r, control: http.NewResponseController(callOf(ctx).writer)}
		l.view(ctx, samples)
	}}, nil
}

// view sends samples until the caller goes, its key is taken away, or the API is closed.
func (l *listener) view(ctx context.Context, samples <-chan []byte) {
	l.begin()
	beat := time.NewTicker(beatPeriod)
	defer beat.Stop()
	for {
		select {
		case sample := <-samples:
			fmt.Fprintf(&l.out, "event: %s\ndata: %s\n\n", eventSample, sample)
		case <-beat.C:
			if who, err := l.api.identify(l.request); err != nil || !who.all || who.can < Read {
				return
			}
			l.out.WriteString(": beat\n\n")
		case <-ctx.Done():
			return
		case <-l.api.closed:
			return
		}
		if l.flush() != nil {
			return
		}
	}
}

// viewers are those who follow the cluster. One goroutine looks for all of them, from the first on until the last has gone.
type viewers struct {
	api *API

	mu   sync.Mutex
	open map[chan []byte]bool // guarded by mu, as all below
	last []byte               // what newcomers are told at once
	end  func()               // ends the looking, and waits for its end
}

func newViewers(a *API) *viewers { return &viewers{api: a, open: make(map[chan []byte]bool)} }

// enter gives a viewer its samples, the newest if it does not read them, and what to call when it goes; nil if there are too many.
func (v *viewers) enter() (samples chan []byte, leave func()) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.open) >= v.api.opts.Viewers {
		return nil, nil
	}
	samples = make(chan []byte, 1)
	v.open[samples] = true
	v.api.metrics.viewers.Inc()
	if len(v.open) == 1 {
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		v.end = func() { cancel(); <-done }
		go func() {
			defer close(done)
			v.look(ctx)
		}()
	} else if v.last != nil {
		samples <- v.last
	}
	return samples, func() { v.leave(samples) }
}

func (v *viewers) leave(samples chan []byte) {
	v.mu.Lock()
	delete(v.open, samples)
	v.api.metrics.viewers.Dec()
	end := func() {}
	if len(v.open) == 0 {
		end, v.last = v.end, nil
	}
	v.mu.Unlock()
	end()
}

// look tells all viewers how the cluster is, until ctx ends.
func (v *viewers) look(ctx context.Context) {
	tick := time.NewTicker(v.api.opts.ViewersPeriod)
	defer tick.Stop()
	sample := new(Sample)
	for n := 0; ; n++ {
		v.api.sample(ctx, sample, n%slowly == 0)
		if text, err := json.Marshal(sample); err == nil && ctx.Err() == nil { // of numbers and names
			v.tell(text)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// tell gives every viewer a sample, in place of one that it has not read.
func (v *viewers) tell(sample []byte) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.last = sample
	for samples := range v.open {
		select {
		case <-samples:
		default:
		}
		samples <- sample // nobody else sends
	}
}

// sample takes what has changed into s; all of it, if whole, and otherwise what is cheap.
func (a *API) sample(ctx context.Context, s *Sample, whole bool) {
	ctx, cancel := a.bounded(ctx)
	defer cancel()
	s.Time, s.Problems = time.Now().UTC(), []string{}
	problem := func(what string, err error) {
		if err != nil && ctx.Err() == nil {
			a.opts.Logger.Debug("the cluster is not seen whole", "what", what, "error", err)
			s.Problems = append(s.Problems, what)
		}
	}
	counted, err := a.opts.Cluster.Counted(ctx)
	problem("what gateways have counted", err)
	s.Nodes = []NodeSample{}
	for _, node := range a.nodes() {
		told := counted[node.Node]
		s.Nodes = append(s.Nodes, NodeSample{Node: node, At: told.At, Counts: told.Counts})
	}
	if !whole && s.Apps != nil {
		return
	}
	problem("apps", a.sampleApps(ctx, s))
	relays, err := a.opts.Store.Relays(ctx)
	problem("relays", err)
	s.Relays = []RelaySample{}
	for i := range relays {
		relay := &relays[i]
		s.Relays = append(s.Relays, RelaySample{Relay: relay.ID, Region: relay.Region, Load: relay.Load, Draining: relay.Draining, Version: relay.Version})
	}
	problem("Redis", a.sampleRedis(ctx, s))
}

// sampleApps takes the busiest apps.
func (a *API) sampleApps(ctx context.Context, s *Sample) error {
	s.Apps = []AppSample{}
	sessions, err := a.opts.Cluster.Apps(ctx)
	if err != nil {
		return err
	}
	for app, count := range sessions {
		s.Apps = append(s.Apps, AppSample{App: app, Sessions: count})
	}
	slices.SortFunc(s.Apps, func(a, b AppSample) int {
		return cmp.Or(cmp.Compare(b.Sessions, a.Sessions), cmp.Compare(a.App, b.App))
	})
	s.Apps = s.Apps[:min(len(s.Apps), maxSampledApps)]
	for i := range s.Apps {
		if s.Apps[i].Rooms, err = a.opts.Store.CountRooms(ctx, s.Apps[i].App); err != nil {
			return err
		}
	}
	return nil
}

// sampleRedis takes the servers of Redis.
func (a *API) sampleRedis(ctx context.Context, s *Sample) error {
	s.Redis = []RedisSample{}
	if a.opts.Examine == nil {
		return nil
	}
	seen, err := a.opts.Examine(ctx)
	if err != nil {
		return err
	}
	for i := range seen.Servers {
		s.Redis = append(s.Redis, redisSampleOf(&seen.Servers[i]))
	}
	return nil
}

func redisSampleOf(server *store.ServerState) RedisSample {
	milliseconds := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	one := RedisSample{
		Address: server.Address, Version: server.Version, Role: server.Role, Replicas: server.Replicas,
		MemoryUsed: server.MemoryUsed, MemoryLimit: server.MemoryLimit, Partitions: len(server.Partitions),
		Latency: milliseconds(server.Latency), Slowest: milliseconds(server.Slowest), Canary: milliseconds(server.Canary),
	}
	switch { // in words of ours: an error may name more than whoever looks is to know
	case server.Err != nil:
		one.Problem = "it does not answer"
	case server.CanaryErr != nil:
		one.Problem = "a message through it did not come back"
	}
	return one
}
