package app

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/pprof"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Limits of the operations listener. Its callers are a scraper, the kubelet and an operator: none of
// them is many or slow.
const (
	operationsHeaderTimeout = 5 * time.Second
	operationsReadTimeout   = 10 * time.Second
	operationsWriteTimeout  = 30 * time.Second // pprof's profiles ask for more themselves
	operationsIdleTimeout   = 2 * time.Minute
	operationsHeaderBytes   = 8 << 10

	scrapeTimeout   = 10 * time.Second
	scrapesInFlight = 4
	checkTimeout    = 800 * time.Millisecond // the kubelet waits 1 s for a probe unless told otherwise
)

const pprofPath = "/debug/pprof/"

// Check is one condition of readiness.
type Check struct {
	// Name of the condition, one word as in "redis". It is shown and must be unique.
	Name string
	// Ready returns nil when the node can serve, and otherwise the reason why it cannot. It must
	// return soon after ctx ends, and may be called by several goroutines at once.
	Ready func(ctx context.Context) error
}

// OperationsOptions are what NewOperations needs.
type OperationsOptions struct {
	// Registry is shown at /metrics, and gets the metrics of that handler itself. Required.
	Registry *prometheus.Registry
	// Checks decide about /readyz. Without one the node is always ready.
	Checks []Check
	// CheckTimeout bounds each check. Zero is 800 ms.
	CheckTimeout time.Duration
	// Pprof opens Go's profiles under /debug/pprof/. They tell much and cost much.
	Pprof bool
	// Level is the level of the log, to be shown and changed under /log/level; it is not if nil.
	Level *LogLevel
	// Logger gets the errors of scrapes. Required.
	Logger *slog.Logger
}

func (o OperationsOptions) validate() error {
	if o.Registry == nil || o.Logger == nil {
		return errors.New("app: operations need a registry and a logger")
	}
	names := make(map[string]bool)
	for _, check := range o.Checks {
		if check.Name == "" || check.Ready == nil {
			return errors.New("app: a readiness check needs a name and a function")
		}
		if names[check.Name] {
			return fmt.Errorf("app: two readiness checks are named %q", check.Name)
		}
		names[check.Name] = true
	}
	return nil
}

// operations answers the requests of those who run the node.
type operations struct {
	checks       []Check       // immutable
	checkTimeout time.Duration // immutable
	index        string        // immutable
}

// NewOperations returns the handler of the operations listener:
//
//	/             the list of paths, as text
//	/livez        200 as long as the process can answer; it looks at nothing else, so that an outage
//	              of Redis restarts no pod
//	/readyz       200 when every check is green or held and 503 otherwise, with each check's state as JSON
//	/metrics      Prometheus metrics
//	/log/level    the level of the log; PUT ?level=debug&for=10m changes it for a while, from this machine alone
//	/debug/pprof/ Go's profiles, if asked for
//
// Errors are JSON objects with an error word and a message.
func NewOperations(options OperationsOptions) (http.Handler, error) {
	if err := options.validate(); err != nil {
		return nil, err
	}
	o := &operations{
		checks:       options.Checks,
		checkTimeout: cmp.Or(options.CheckTimeout, checkTimeout),
	}

	mux := http.NewServeMux()
	var paths []string
	handle := func(path string, handler http.Handler) {
		mux.Handle(path, readOnly(handler))
		paths = append(paths, path)
	}
	handle("/livez", http.HandlerFunc(o.livez))
	handle("/readyz", http.HandlerFunc(o.readyz))
	handle("/metrics", promhttp.HandlerFor(options.Registry, promhttp.HandlerOpts{
		ErrorLog:            scrapeLog{options.Logger},
		ErrorHandling:       promhttp.ContinueOnError,
		Registry:            options.Registry,
		MaxRequestsInFlight: scrapesInFlight,
		Timeout:             scrapeTimeout,
		EnableOpenMetrics:   true,
	}))
	if options.Level != nil {
		mux.Handle(logLevelPath, options.Level)
		paths = append(paths, logLevelPath)
	}
	if options.Pprof {
		// pprof's cmdline is left out: flags may hold a password.
		handle(pprofPath, http.HandlerFunc(pprof.Index))
		handle(pprofPath+"profile", http.HandlerFunc(pprof.Profile))
		handle(pprofPath+"trace", http.HandlerFunc(pprof.Trace))
		mux.Handle(pprofPath+"cmdline", http.HandlerFunc(notFound))
	}
	o.index = strings.Join(paths, "\n") + "\n"
	mux.Handle("/{$}", readOnly(http.HandlerFunc(o.list)))
	mux.Handle("/", http.HandlerFunc(notFound))
	return mux, nil
}

// NewOperationsServer returns a server for the operations handler whose every phase is bounded in
// time. Its own errors are logged as warnings.
func NewOperationsServer(handler http.Handler, logger *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: operationsHeaderTimeout,
		ReadTimeout:       operationsReadTimeout,
		WriteTimeout:      operationsWriteTimeout,
		IdleTimeout:       operationsIdleTimeout,
		MaxHeaderBytes:    operationsHeaderBytes,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
	}
}

func (o *operations) list(w http.ResponseWriter, _ *http.Request) {
	writeText(w, o.index)
}

func (o *operations) livez(w http.ResponseWriter, _ *http.Request) {
	writeText(w, "ok\n")
}

// readiness is the answer of /readyz.
type readiness struct {
	Ready  bool         `json:"ready"`
	Checks []checkState `json:"checks"`
}

// checkState is one check's part of it.
type checkState struct {
	Name  string `json:"name"`
	Ready bool   `json:"ready"`
	Error string `json:"error,omitempty"` // also of a check that is still held
	// FailingSince is when it began to fail, where that is known.
	FailingSince *time.Time `json:"failing_since,omitempty"`
}

func (o *operations) readyz(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), o.checkTimeout)
	defer cancel()

	answer := readiness{Ready: true, Checks: make([]checkState, len(o.checks))}
	var group sync.WaitGroup
	for i, check := range o.checks {
		group.Go(func() { answer.Checks[i] = stateOf(ctx, check) })
	}
	group.Wait()

	status := http.StatusOK
	for _, state := range answer.Checks {
		if !state.Ready {
			answer.Ready, status = false, http.StatusServiceUnavailable
		}
	}
	writeJSON(w, status, answer)
}

// stateOf runs one check. A check that panics is red: the goroutine it runs on has nobody else to
// catch it, and a broken check must not end the sessions of the node.
func stateOf(ctx context.Context, check Check) (state checkState) {
	state.Name = check.Name
	defer func() {
		if p := recover(); p != nil {
			state.Ready, state.Error = false, fmt.Sprintf("the check panicked: %v", p)
		}
	}()
	err := check.Ready(ctx)
	if err == nil {
		state.Ready = true
		return state
	}
	state.Error = err.Error()
	var since *failing
	if errors.As(err, &since) {
		at := since.since.UTC().Truncate(time.Millisecond)
		state.Ready, state.FailingSince = since.held, &at
	}
	return state
}

// scrapeLog writes the errors of a scrape to the log.
type scrapeLog struct{ logger *slog.Logger }

var _ promhttp.Logger = scrapeLog{}

// Println implements promhttp.Logger.
func (l scrapeLog) Println(args ...any) {
	l.logger.Error("metrics could not all be collected", "error", strings.TrimSpace(fmt.Sprintln(args...)))
}

// readOnly refuses every method that could mean a change.
func readOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			writeJSON(w, http.StatusMethodNotAllowed, operationsError{"method_not_allowed", "use GET"})
			return
		}
		next.ServeHTTP(w, r)
	})
}

// operationsError is the body of an answer that is an error.
type operationsError struct {
	Error   string `json:"error"`
	Message string `json:"message"`
}

func notFound(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusNotFound, operationsError{"not_found", "there is nothing here; / lists what there is"})
}

func writeText(w http.ResponseWriter, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	setPlain(w)
	_, _ = w.Write([]byte(text)) // a caller that went away needs no answer
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	text, err := json.Marshal(body)
	if err != nil { // the types above always encode
		status, text = http.StatusInternalServerError, []byte(`{"error":"internal","message":"no answer"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	setPlain(w)
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n')) // a caller that went away needs no answer
}

// setPlain keeps an answer out of caches and from being taken for anything but what it says it is.
func setPlain(w http.ResponseWriter) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
}
