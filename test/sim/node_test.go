package sim

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/signalbox-rtc/signalbox/internal/memnet"
	"github.com/signalbox-rtc/signalbox/internal/memredis"
	"github.com/signalbox-rtc/signalbox/pkg/auth"
	"github.com/signalbox-rtc/signalbox/pkg/cluster"
	"github.com/signalbox-rtc/signalbox/pkg/telemetry"
	"github.com/signalbox-rtc/signalbox/services/gateway/app"
)

// Times of the cluster, short so that a run need not be long.
const (
	lease            = 6 * time.Second
	beat             = 2 * time.Second
	heartbeat        = 6 * time.Second
	heartbeatTimeout = 3 * time.Second
	shutdownTimeout  = 6 * time.Second
	grace            = 8 * time.Second

	// ghostAfter is how long after a client's end its seats may be seen where Redis answers: until its gateway has noticed, or is itself
	// given up, and the grace is over.
	ghostAfter = heartbeat + heartbeatTimeout + 2*lease + grace + 11*time.Second
)

const appID = "sim"

// node is one place for a gateway, where one may live after the other.
type node struct {
	world  *world
	number int
	life   *life // guarded by world.mu; nil while none lives there
	ending sync.WaitGroup
}

// life is one process, so to speak.
type life struct {
	gateway   *app.Gateway
	listeners []net.Listener
	end       context.CancelFunc
	ended     chan struct{}
	dead      atomic.Bool

	mu      sync.Mutex
	frozen  bool
	redis   []*redisLink
	clients []*memnet.Conn
}

func (p *plan) policy() auth.Policy {
	policy := auth.Policy{Capacity: p.capacity, SameUser: auth.SameUserAllow, Keep: auth.Duration(p.keep)}
	if p.moderated {
		policy.Moderated = auth.On
	}
	if p.replace {
		policy.SameUser = auth.SameUserReplace
	}
	return policy
}

func (n *node) name() string { return fmt.Sprint("g", n.number) }

func (n *node) current() *life {
	n.world.mu.Lock()
	defer n.world.mu.Unlock()
	return n.life
}

func (n *node) config() *app.Config {
	c := app.Default()
	c.Node.Name = n.name()
	c.Redis.Mode, c.Redis.Addresses = app.RedisSingle, []string{memredis.Addr}
	c.Cluster.Partitions = 2
	c.Cluster.Lease, c.Cluster.Beat = lease, beat
	c.Session.Heartbeat, c.Session.HeartbeatTimeout = heartbeat, heartbeatTimeout
	c.Rooms.Grace = grace
	c.Shutdown.Timeout, c.Shutdown.Delay, c.Shutdown.Window, c.Shutdown.Grace = shutdownTimeout, time.Second/2, 2*time.Second, time.Second
	c.SocketIO.Enabled = false
	c.Limits.RequestsPerSecond, c.Limits.RequestsBurst = 1000, 1000
	c.Apps = []auth.App{{ID: appID, Keys: []auth.Key{n.world.key}, Policy: n.world.plan.policy()}}
	return c
}

// open starts a gateway and waits until it is ready; it gives false if that is not to be.
func (n *node) open() bool {
	l := &life{ended: make(chan struct{})}
	opts := app.Options{
		Config: n.config(), Logger: n.world.logger(n.name()), Registry: telemetry.NewRegistry(telemetry.Build{}), RedisDialer: n.dialRedis(l),
	}
	for i, to := range []*net.Listener{&opts.Public, &opts.Operations, &opts.Cluster} {
		listener, err := n.world.network.Listen(n.name() + []string{":80", ":90", ":70"}[i])
		if err != nil { // another one is beginning there
			for _, listener := range l.listeners {
				_ = listener.Close()
			}
			return false
		}
		*to = listener
		l.listeners = append(l.listeners, listener)
	}
	opening, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	var err error
	if l.gateway, err = app.Open(opening, opts); err != nil {
		return false // Redis is away
	}
	var ctx context.Context
	ctx, l.end = context.WithCancel(context.Background())
	n.world.mu.Lock()
	if n.world.over || n.life != nil {
		n.world.mu.Unlock()
		l.end()
		_ = l.gateway.Run(ctx)
		return true
	}
	n.life = l
	n.world.mu.Unlock()
	n.ending.Go(func() { n.run(ctx, l) })
	return true
}

// begin opens a gateway as soon as Redis lets it, unless one is there.
func (n *node) begin() {
	for n.current() == nil && !n.open() {
		time.Sleep(time.Second)
	}
}

// run is a gateway's life. One that was taken for dead begins anew, as its supervisor would have it.
func (n *node) run(ctx context.Context, l *life) {
	err := l.gateway.Run(ctx)
	n.world.mu.Lock()
	over := n.world.over
	if n.life == l {
		n.life = nil
	}
	n.world.mu.Unlock()
	close(l.ended)
	l.end()
	switch {
	case errors.Is(err, cluster.ErrLapsed) && !over:
		n.begin()
	case err != nil && !l.dead.Load() && !errors.Is(err, cluster.ErrLapsed):
		n.world.t.Errorf("gateway %s: %v", n.name(), err)
	}
}

// kill ends a gateway as SIGKILL does: all its connections end at once, without a goodbye, and nothing that it still does
// reaches anybody. What it had written may still arrive, or not.
func (n *node) kill(flush bool) {
	l := n.current()
	if l == nil {
		return
	}
	l.dead.Store(true)
	for _, listener := range l.listeners {
		_ = listener.Close()
	}
	l.mu.Lock()
	for _, link := range l.redis {
		if flush && !l.frozen {
			_ = link.Close()
		} else {
			link.Sever()
		}
	}
	for _, link := range l.clients {
		if flush && !l.frozen {
			link.HangUp()
		} else {
			link.Sever()
		}
	}
	l.mu.Unlock()
	n.world.mu.Lock()
	n.life = nil
	n.world.mu.Unlock()
	l.end()
}

// drain ends a gateway in order.
func (n *node) drain() {
	if l := n.current(); l != nil {
		l.end()
		<-l.ended
	}
}

// freeze cuts a gateway off from everybody, or ends that: one connection after the other, since what happens at one time
// happens in any order.
func (n *node) freeze(frozen bool) {
	l := n.current()
	if l == nil {
		return
	}
	change := (*memnet.Conn).Thaw
	if frozen {
		change = (*memnet.Conn).Freeze
	}
	l.mu.Lock()
	l.frozen = frozen
	links := slices.Clone(l.clients)
	for _, link := range l.redis {
		links = append(links, link.Conn)
	}
	l.mu.Unlock()
	for _, link := range links {
		change(link)
		time.Sleep(moments)
	}
}

// moments is between things that would else happen at one time.
const moments = 137 * time.Microsecond
