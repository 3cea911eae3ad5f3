package cluster

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Bounds of the connections between two nodes. A poll that waits has one to itself, so that many become idle at once
// when a large room is told something.
const (
	idlePerNode = 512
	// idleTimeout is how long the calling side keeps an idle connection. The side that is called keeps it longer, so that
	// a request does not meet a connection that is just being closed: it could not be sent again, see emptyBody.
	idleTimeout       = 90 * time.Second
	serverIdleTimeout = 2 * idleTimeout
)

// HopOptions configures a [Hop].
type HopOptions struct {
	// Key is the cluster's key, of at least 16 bytes.
	Key []byte
	// Cluster is the roster; its Self is this node.
	Cluster *Cluster
	// DialTimeout is how long TCP and TLS may take to connect; 1 s if 0.
	DialTimeout time.Duration
	// Timeout is how long the head of the owner's answer may take once the request was sent; 30 s if 0. A long poll takes
	// as long as it waits.
	Timeout time.Duration
	// ReadTimeout is how long a client may take to send a request's body, and WriteTimeout to take an answer, or one piece
	// of what comes through a tunnel; 10 s if 0.
	ReadTimeout  time.Duration
	WriteTimeout time.Duration
	// Unreachable answers a request that got no answer from its owner; 502 if nil.
	Unreachable http.Handler
	Logger      *slog.Logger
	Registerer  prometheus.Registerer
}

func (o *HopOptions) validate() error {
	if o.Cluster == nil {
		return errors.New("cluster: a hop needs the roster")
	}
	if !isNodeID(o.Cluster.opts.Self.ID) {
		return fmt.Errorf("cluster: %q is no id that hops can go by: 12 characters of A-Z and 2-7", o.Cluster.opts.Self.ID)
	}
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&o.DialTimeout, time.Second}, {&o.Timeout, 30 * time.Second},
		{&o.ReadTimeout, 10 * time.Second}, {&o.WriteTimeout, 10 * time.Second},
	} {
		if *d.field == 0 {
			*d.field = d.value
		}
		if *d.field < 0 {
			return fmt.Errorf("cluster: a duration of hops is negative: %v", *d.field)
		}
	}
	if o.Unreachable == nil {
		o.Unreachable = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, http.StatusText(http.StatusBadGateway), http.StatusBadGateway)
		})
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Registerer == nil {
		o.Registerer = prometheus.NewRegistry()
	}
	return nil
}

// Hop passes a client's requests on to the node that has the client's session, and takes those that other nodes pass
// on. Both ends show each other the key pair that they derive from the cluster's key. No request is sent twice.
type Hop struct {
	// immutable
	opts      HopOptions
	identity  *identity
	metrics   *hopMetrics
	dialer    net.Dialer
	outbound  *tls.Config
	errorLog  *log.Logger
	transport *http.Transport
	buffers   sync.Pool       // of *[]byte, for bodies of answers
	life      context.Context // of all requests, whatever their clients'
	end       context.CancelFunc

	mu      sync.Mutex
	ended   bool
	running sync.WaitGroup // requests under way; not added to once ended

	warned time.Time // guarded by mu
}

// NewHop makes a hop without connections.
func NewHop(opts HopOptions) (*Hop, error) {
	if err := opts.validate(); err != nil {
		return nil, err
	}
	identity, err := newIdentity(opts.Key)
	if err != nil {
		return nil, err
	}
	h := &Hop{opts: opts, identity: identity, metrics: newHopMetrics(opts.Registerer)}
	h.errorLog = slog.NewLogLogger(opts.Logger.Handler(), slog.LevelDebug)
	h.life, h.end = context.WithCancel(context.Background())
	// A node whose machine is gone does not say so; nothing else would end a tunnel whose client is silent.
	h.dialer.KeepAliveConfig = net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3}
	h.outbound = identity.config(h.metrics.refused.WithLabelValues(refusedOwner).Inc)
	h.transport = &http.Transport{
		DialTLSContext:        h.dial,
		Protocols:             new(http.Protocols),
		DisableCompression:    true, // what the client cannot read must not be asked for
		MaxIdleConnsPerHost:   idlePerNode,
		IdleConnTimeout:       idleTimeout,
		ResponseHeaderTimeout: opts.Timeout,
	}
	h.transport.Protocols.SetHTTP1(true)
	h.buffers.New = func() any { b := make([]byte, 16<<10); return &b }
	return h, nil
}

// Forward gives a handler that sends requests to a node, nil if the node is this one or not on the roster. It waits for
// Redis, for at most the roster's timeout and only if the id could be one of a node that has just begun.
func (h *Hop) Forward(ctx context.Context, node string) http.Handler {
	if !isNodeID(node) || node == h.opts.Cluster.opts.Self.ID {
		return nil
	}
	owner, ok := h.opts.Cluster.Find(ctx, node)
	if !ok {
		return nil
	}
	return &forwarder{hop: h, owner: owner}
}

// isNodeID reports whether an id has the form of a node's: what is asked for may come from anybody, and must not cost
// a question to Redis.
func isNodeID(id string) bool {
	if len(id) != 12 {
		return false
	}
	for i := range len(id) {
		if c := id[i]; (c < 'A' || c > 'Z') && (c < '2' || c > '7') {
			return false
		}
	}
	return true
}

// Close ends all requests and tunnels that this node passes on, and its connections to other nodes. It returns when
// nothing of them runs any more, which a client that does not take its answer can hold up for WriteTimeout. What is to
// be passed on from then on is answered by Unreachable.
func (h *Hop) Close() {
	h.mu.Lock()
	h.ended = true
	h.mu.Unlock()
	h.end()
	h.running.Wait()
	h.transport.CloseIdleConnections()
}

// begin counts a request that Close has to end and to wait for. It reports false when it is too late.
func (h *Hop) begin() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ended {
		return false
	}
	h.running.Add(1)
	return true
}

// dialError says that a node could not be connected to.
type dialError struct{ err error }

func (e *dialError) Error() string { return "cluster: connect: " + e.err.Error() }
func (e *dialError) Unwrap() error { return e.err }

// dial connects to a node.
func (h *Hop) dial(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, h.opts.DialTimeout)
	defer cancel()
	raw, err := h.dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, &dialError{err}
	}
	// Without a name, sessions to be resumed are kept by the node's address.
	conn := tls.Client(&boundedConn{Conn: raw, timeout: h.opts.WriteTimeout}, h.outbound)
	if err := conn.HandshakeContext(ctx); err != nil {
		_ = raw.Close()
		return nil, &dialError{err}
	}
	return conn, nil
}

// boundedConn gives each write a deadline.
type boundedConn struct {
	net.Conn
	timeout time.Duration
}

func (c *boundedConn) Write(p []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(c.timeout)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}
