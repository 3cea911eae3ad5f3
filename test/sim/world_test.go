package sim

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/internal/memnet"
	"github.com/signalbox-rtc/signalbox/internal/memredis"
	"github.com/signalbox-rtc/signalbox/internal/oracle"
	"github.com/signalbox-rtc/signalbox/pkg/auth"
)

// world is a whole cluster on fake time, and all that can befall it.
type world struct {
	t       *testing.T
	plan    *plan
	began   time.Time
	network *memnet.Network
	redis   *miniredis.Miniredis
	oracle  *oracle.Oracle
	log     io.Writer
	// sabotage is what becomes of every tenth message in front of the oracle: "lose", "repeat", or nothing.
	sabotage string
	messages atomic.Int64
	key      auth.Key
	signing  auth.SigningKey

	redisDown   atomic.Bool
	redisPaused atomic.Bool
	slow        atomic.Int64 // the most that a write is delayed, in nanoseconds

	mu     sync.Mutex
	links  map[string]*redisLink // being dialed, by name; guarded by mu
	dialed int                   // guarded by mu
	nodes  []*node               // by number; guarded by mu
	over   bool                  // guarded by mu: no gateway begins any more
	there  []*person             // guarded by mu until all have lived
}

func newWorld(t *testing.T, p *plan) *world {
	w := &world{
		t: t, plan: p, began: time.Now(), network: new(memnet.Network), log: io.Discard, links: map[string]*redisLink{},
		oracle: oracle.New(oracle.Options{
			GhostAfter: ghostAfter + p.standstill(), TwiceAfterLoss: p.losesData(), LateReturns: len(p.faults) > 1,
		}),
	}
	var err error
	w.key, w.signing, err = auth.GenerateKey("k", auth.HS256)
	require.NoError(t, err)
	w.slow.Store(int64(p.jitter))
	w.network.SetLatency(p.latency)
	w.network.SetDelays(w.delays)
	w.redis = memredis.Serve(t, w.network)
	w.nodes = make([]*node, p.gateways)
	for i := range w.nodes {
		w.nodes[i] = &node{world: w, number: i}
	}
	return w
}

// delays give each write a delay of its own, drawn from the seed, the two ends and the time, and not from the order in which
// goroutines happen to dial and write: so two runs of a seed have the same delays. As hardly two things then happen at the
// same time, the scheduler has little to decide. A gateway's subscriptions have delays of their own: they tell of a message
// at the time at which its sender is answered.
func (w *world) delays(from, to string) func() time.Duration {
	from, kind := w.kindOf(from)
	to, other := w.kindOf(to)
	if kind == nil {
		kind = other
	}
	commands, subscriptions := draw(w.plan.seed, from, to, "commands"), draw(w.plan.seed, from, to, "subscriptions")
	return func() time.Duration {
		link := commands
		if kind != nil && kind.Load() {
			link = subscriptions
		}
		return time.Duration(drawOf(link, uint64(time.Since(w.began)/(100*time.Millisecond))) % uint64(w.slow.Load()))
	}
}

// kindOf gives the name of a gateway for that of one of its connections to Redis, and whether it is for subscriptions.
func (w *world) kindOf(name string) (string, *atomic.Bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if link := w.links[name]; link != nil {
		return link.of, &link.subscribes
	}
	return name, nil
}

// label names a connection that is about to be dialed.
func (w *world) label(link *redisLink) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dialed++
	name := fmt.Sprint(link.of, "-", w.dialed)
	w.links[name] = link
	return name
}

func (w *world) forget(label string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.links, label)
}

// in sleeps until a time of the run.
func (w *world) in(at time.Duration) { time.Sleep(at - time.Since(w.began)) }

func (w *world) logger(name string) *slog.Logger {
	return slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) == 0 && a.Key == slog.TimeKey {
			return slog.Duration("at", time.Since(w.began))
		}
		return a
	}})).With("of", name)
}

// redisLink is a gateway's connection to Redis; it knows whether it is for subscriptions.
type redisLink struct {
	*memnet.Conn
	of         string
	subscribes atomic.Bool
}

// Write looks for what makes a connection one for subscriptions.
func (l *redisLink) Write(p []byte) (int, error) {
	if !l.subscribes.Load() && (bytes.Contains(p, []byte("\r\nsubscribe\r\n")) || bytes.Contains(p, []byte("\r\nSUBSCRIBE\r\n"))) {
		l.subscribes.Store(true)
	}
	return l.Conn.Write(p)
}

// dialRedis connects a gateway to Redis, unless either is dead.
func (n *node) dialRedis(life *life) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		refused := &net.OpError{Op: "dial", Net: network, Err: syscall.ECONNREFUSED}
		if life.dead.Load() || n.world.redisDown.Load() {
			return nil, refused
		}
		link := &redisLink{of: n.name()}
		label := n.world.label(link)
		conn, err := n.world.network.DialContext(memnet.Label(ctx, label), network, addr)
		if err != nil {
			return nil, err
		}
		link.Conn = conn.(*memnet.Conn)
		n.world.forget(label)
		life.mu.Lock()
		defer life.mu.Unlock()
		if life.dead.Load() || n.world.redisDown.Load() {
			link.Sever()
			return nil, refused
		}
		life.redis = append(life.redis, link)
		if life.frozen || n.world.redisPaused.Load() {
			link.Freeze()
		}
		return link, nil
	}
}

// dialGateway connects a client to a gateway.
func (w *world) dialGateway(ctx context.Context, client string, number int) (*memnet.Conn, error) {
	n := w.nodes[number]
	conn, err := w.network.DialContext(memnet.Label(ctx, client), "tcp", n.name()+":80")
	if err != nil {
		return nil, err
	}
	link := conn.(*memnet.Conn)
	w.mu.Lock()
	life := n.life
	w.mu.Unlock()
	if life == nil {
		link.Sever()
		return nil, &net.OpError{Op: "dial", Net: "mem", Err: syscall.ECONNRESET}
	}
	life.mu.Lock()
	defer life.mu.Unlock()
	life.clients = append(life.clients, link)
	switch {
	case life.dead.Load():
		link.Sever()
	case life.frozen:
		link.Freeze()
	}
	return link, nil
}

// token lets a user in, who may do everything, or is a guest.
func (w *world) token(user string, guest bool) (string, error) {
	return auth.Sign(w.signing, auth.Claims{
		App: appID, User: user, Expires: time.Now().Add(time.Hour),
		Grants: []auth.Grant{{Room: "*", Can: auth.Permissions{Publish: true, Moderate: !guest}}},
	})
}

// loseRedis takes all data away. With down it is a restart: all connections break, and scripts are forgotten, too.
func (w *world) loseRedis(down time.Duration) {
	if down == 0 {
		w.redis.FlushAll()
		return
	}
	w.redisDown.Store(true)
	w.eachRedisLink(nil, func(l *redisLink) { l.Sever() })
	w.redis.FlushAll()
	w.command("SCRIPT", "FLUSH")
	time.Sleep(down)
	w.redisDown.Store(false)
}

// pauseRedis has Redis not answer for some time. What it is sent meanwhile it does afterwards.
func (w *world) pauseRedis(until time.Duration) {
	w.redisPaused.Store(true)
	w.eachRedisLink(nil, func(l *redisLink) { l.Freeze() })
	w.in(until)
	w.redisPaused.Store(false)
	w.eachRedisLink(nil, func(l *redisLink) { l.Thaw() })
}

// command gives Redis a command of the harness.
func (w *world) command(args ...string) {
	conn, err := w.network.DialContext(context.Background(), "tcp", memredis.Addr)
	require.NoError(w.t, err)
	defer conn.Close()
	_, err = conn.Write(respOf(args))
	require.NoError(w.t, err)
	reply := make([]byte, 64)
	n, err := conn.Read(reply)
	require.NoError(w.t, err)
	require.Equal(w.t, "+OK\r\n", string(reply[:n]))
}

// eachRedisLink does something to the connections of one gateway, or of all.
func (w *world) eachRedisLink(only *node, do func(*redisLink)) {
	for _, n := range w.nodes {
		life := n.current()
		if life == nil || only != nil && only != n {
			continue
		}
		life.mu.Lock()
		links := slices.Clone(life.redis)
		life.mu.Unlock()
		for _, link := range links {
			do(link)
			time.Sleep(moments)
		}
	}
}
