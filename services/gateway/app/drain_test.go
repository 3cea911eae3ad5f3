package app_test

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/internal/memnet"
	"github.com/signalbox-rtc/signalbox/internal/memredis"
	"github.com/signalbox-rtc/signalbox/pkg/client"
	"github.com/signalbox-rtc/signalbox/pkg/cluster"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
	"github.com/signalbox-rtc/signalbox/services/gateway/app"
)

// paced gives a gateway the default times of an end.
func paced(c *app.Config) { c.Shutdown = app.Default().Shutdown }

// roomy lets many into a room.
func roomy(c *app.Config) { c.Demo.Capacity = 50 }

// resident is a client that does not move by itself, and notes when what happens to it.
type resident struct {
	*peer
	mu     sync.Mutex
	told   time.Duration // when it was told, from the beginning
	goaway *wire.GoAway
}

func (w *world) resident(t *testing.T, g *gateway, name string) *resident {
	t.Helper()
	r, begin := new(resident), time.Now()
	r.peer = w.connect(t, g, name, func(o *client.Options) {
		o.OnEvent = func(event wire.Event) {
			if body, ok := event.Body.(*wire.GoAway); ok {
				r.mu.Lock()
				defer r.mu.Unlock()
				r.told, r.goaway = time.Since(begin), body
			}
		}
	})
	return r
}

func (r *resident) notice() (time.Duration, *wire.GoAway) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.told, r.goaway
}

// visit opens a socket.io session on a WebSocket, and gives a channel with the moment of its end.
func (w *world) visit(t *testing.T, name string) <-chan time.Time {
	t.Helper()
	dialer := websocket.Dialer{NetDialContext: w.network.DialContext}
	conn, _, err := dialer.DialContext(t.Context(), "ws://"+name+":80/socket.io/?EIO=4&transport=websocket", nil)
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	require.NoError(t, conn.WriteMessage(websocket.TextMessage, []byte("40")))
	ended := make(chan time.Time, 1)
	go func() {
		for {
			_, packet, err := conn.ReadMessage()
			if err != nil {
				ended <- time.Now()
				return
			}
			if string(packet) == "2" {
				_ = conn.WriteMessage(websocket.TextMessage, []byte("3")) // the end is read, if it is one
			}
		}
	}()
	return ended
}

// The whole sequence: readiness turns red while clients are still taken; then new ones are sent elsewhere, and those that
// are there leave one after the other, evenly, each when it was told to.
func TestDrain(t *testing.T) {
	inMemory(t, func(t *testing.T, w *world) {
		ending, other := w.gateway(t, "ending", paced), w.gateway(t, "other")
		const natives, visitors = 30, 10
		begin := time.Now()
		var residents []*resident
		for i := range natives - 1 {
			r := w.resident(t, ending, "resident-"+strconv.Itoa(i))
			r.mustJoin(t, "room-"+strconv.Itoa(i%10))
			residents = append(residents, r)
		}
		var visits []<-chan time.Time
		for range visitors {
			visits = append(visits, w.visit(t, "ending"))
		}
		require.Equal(t, begin, time.Now())
		require.Empty(t, readyz(t, ending))
		require.Zero(t, gathered(t, ending, "signalbox_drain_active"))

		ended := make(chan error, 1)
		go func() { ended <- ending.end() }()
		synctest.Wait()
		require.Equal(t, []string{"accepting"}, readyz(t, ending), "at once")
		require.Equal(t, 1.0, gathered(t, ending, "signalbox_drain_active"))
		time.Sleep(500 * time.Millisecond)
		residents = append(residents, w.resident(t, ending, "late")) // who sends clients here has not heard of it
		for _, r := range residents {
			_, goaway := r.notice()
			require.Nil(t, goaway, "nobody has to go yet")
		}

		time.Sleep(500 * time.Millisecond)
		synctest.Wait()
		_, err := dial(t.Context(), ending, "too late")
		var refusal *client.HandshakeError
		require.ErrorAs(t, err, &refusal)
		require.Equal(t, http.StatusServiceUnavailable, refusal.Status)
		require.Positive(t, refusal.RetryAfter)
		require.LessOrEqual(t, refusal.RetryAfter, 3*time.Second)
		response, body := ending.fetch(t, http.MethodGet, "http://ending:80/socket.io/?EIO=4&transport=polling", nil)
		require.Equal(t, http.StatusServiceUnavailable, response.StatusCode)
		require.NotEmpty(t, response.Header.Get("Retry-After"))
		require.Contains(t, body, `"code":4`)
		require.Equal(t, float64(natives+visitors), gathered(t, ending, "signalbox_drain_sessions_left"))

		var moments []time.Duration
		for _, r := range residents {
			require.Equal(t, wire.CloseMoved, closeCode(t, r.peer))
			told, goaway := r.notice()
			require.NotNil(t, goaway)
			if r != residents[natives-1] {
				require.Equal(t, time.Second, told)
			}
			require.Equal(t, goaway.RetryAfter+2000, goaway.Deadline, "the grace")
			moments = append(moments, time.Duration(goaway.RetryAfter)*time.Millisecond)
		}
		for _, visit := range visits {
			moments = append(moments, (<-visit).Sub(begin)-time.Second)
		}
		slices.Sort(moments)
		const step = 10 * time.Second / (natives + visitors)
		for i, moment := range moments {
			require.GreaterOrEqual(t, moment, step*time.Duration(i)-time.Millisecond, "evenly over the window")
			require.Less(t, moment, step*time.Duration(i+1))
		}
		require.NoError(t, <-ended)
		require.LessOrEqual(t, time.Since(begin), 13*time.Second)
		require.GreaterOrEqual(t, time.Since(begin), 10*time.Second)
		require.Equal(t, float64(natives+visitors), gathered(t, ending, "signalbox_drain_moved_total", "server"))
		require.Equal(t, 2.0, gathered(t, ending, "signalbox_accepts_refused_total", "draining"))
		require.Contains(t, ending.log.String(), `"msg":"gateway has drained"`)
		require.Zero(t, w.connect(t, other, "witness").mustJoin(t, "room-1").Count-1, "no seat is left behind")
	})
}

// A client is closed at its own deadline, not before and not after.
func TestDrainClosesAtTheDeadline(t *testing.T) {
	inMemory(t, func(t *testing.T, w *world) {
		ending := w.gateway(t, "ending", paced)
		r := w.resident(t, ending, "resident")
		begin := time.Now()
		go func() { _ = ending.end() }()
		<-r.Done()
		_, goaway := r.notice()
		late := time.Since(begin) - time.Second - time.Duration(goaway.Deadline)*time.Millisecond
		require.GreaterOrEqual(t, late, time.Duration(0))
		require.LessOrEqual(t, late, time.Millisecond, "milliseconds are all that it can be told")
		require.NoError(t, ending.end())
	})
}

// Clients that go when they are told to are closed by nobody, and the gateway ends with the last of them.
func TestDrainEndsWithTheLastClient(t *testing.T) {
	inMemory(t, func(t *testing.T, w *world) {
		ending, other := w.gateway(t, "ending", paced, roomy), w.gateway(t, "other", roomy)
		const count = 20
		witness := w.connect(t, other, "witness")
		var peers []*peer
		for i := range count {
			dials := 0
			p := connect(t, ending, "mover-"+strconv.Itoa(i), func(o *client.Options) {
				o.Reconnect = true
				o.NetDialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
					if dials++; dials > 1 {
						addr = "other:80" // where the Service sends it
					}
					return w.network.DialContext(ctx, network, addr)
				}
			})
			p.mustJoin(t, "r")
			peers = append(peers, p)
		}
		begin := time.Now()
		require.NoError(t, ending.end())
		require.Less(t, time.Since(begin), 11*time.Second+100*time.Millisecond, "delay and window; there is no need of the grace")
		require.Equal(t, float64(count), gathered(t, ending, "signalbox_drain_moved_total", "client"))
		require.Zero(t, gathered(t, ending, "signalbox_drain_moved_total", "server"))
		time.Sleep(2 * time.Second) // the latest comes back half a second after it went
		require.Equal(t, count+1, witness.mustJoin(t, "r").Count, "all have their seats on the other gateway")
		for _, p := range peers {
			require.Equal(t, "other", p.Welcome().Node)
		}
	})
}

// Nothing is waited for that is not there.
func TestDrainOfAnIdleGateway(t *testing.T) {
	inMemory(t, func(t *testing.T, w *world) {
		for delay, name := range map[time.Duration]string{0: "at-once", time.Second: "delayed"} {
			idle := w.gateway(t, name, paced, func(c *app.Config) { c.Shutdown.Delay = delay })
			begin := time.Now()
			require.NoError(t, idle.end())
			require.Less(t, time.Since(begin), delay+100*time.Millisecond)
		}
	})
}

// The requests of a polling session go on through other gateways while its own drains, up to its moment.
func TestDrainServesForwardedPolls(t *testing.T) {
	gateways := startGateways(t, 2, singleRedis(t), func(c *app.Config) { c.Shutdown.Window = 2 * time.Second })
	ending, other := gateways[0], gateways[1]
	ask := func(g *gateway, method, sid, body string) (int, string) {
		url := "http://" + g.PublicAddr().String() + "/socket.io/?EIO=4&transport=polling&sid=" + sid
		request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
		require.NoError(t, err)
		response, text := g.do(t, request)
		return response.StatusCode, text
	}
	// Of so many, some have their moment late in the window.
	var sids []string
	for range 20 {
		_, hello := ask(ending, http.MethodGet, "", "")
		var open struct{ SID string }
		require.NoError(t, json.Unmarshal([]byte(hello[1:]), &open))
		sids = append(sids, open.SID)
	}
	ended := make(chan error, 1)
	go func() { ended <- ending.end() }()
	until(t, func() bool { return slices.Contains(readyz(t, ending), "accepting") }, "it drains")
	served := 0
	for _, sid := range sids {
		for {
			status, packet := ask(other, http.MethodPost, sid, "3")
			if status == http.StatusBadRequest {
				require.Contains(t, packet, "Session ID unknown", "it has moved: the client starts anew")
				break
			}
			require.Equal(t, http.StatusOK, status)
			served++
		}
	}
	require.Positive(t, served)
	require.NoError(t, <-ended)
}

// A gateway that is taken for dead while it drains has no time to lose, and its sessions none either.
func TestLapseHurriesADrain(t *testing.T) {
	inMemory(t, func(t *testing.T, w *world) {
		stays := w.gateway(t, "stays", roomy)
		way := &memnet.Cable{Network: w.network}
		lapses := w.gatewayOver(t, way, "lapses", func(c *app.Config) {
			c.Shutdown.Timeout, c.Shutdown.Window, c.Demo.Capacity = time.Hour, 30*time.Minute, 30
			c.Redis.DialTimeout, c.Redis.ReadTimeout, c.Redis.WriteTimeout = time.Second, time.Second, time.Second
		})
		witness := w.connect(t, stays, "witness")
		witness.mustJoin(t, "r")
		var residents []*resident
		for i := range 20 {
			r := w.resident(t, lapses.gateway, "resident-"+strconv.Itoa(i))
			r.mustJoin(t, "r")
			residents = append(residents, r)
		}
		time.Sleep(10 * time.Second) // all judge by now
		way.Cut()
		lapses.stop()
		for witness.snapshot(t, "r").Count > 1 { // until its seats are given up
			time.Sleep(100 * time.Millisecond)
		}
		healed := time.Now()
		way.Heal()
		require.ErrorIs(t, <-lapses.ended, cluster.ErrLapsed)
		require.Less(t, time.Since(healed), 10*time.Second)
		for _, r := range residents {
			require.Equal(t, wire.CloseMoved, closeCode(t, r.peer))
		}
	})
}

// mortal is a gateway that a test ends itself, with whatever it ends.
type mortal struct {
	*gateway
	stop  context.CancelFunc
	ended <-chan error
}

// gatewayOver starts a gateway that reaches Redis by a cable of its own.
func (w *world) gatewayOver(t *testing.T, way *memnet.Cable, name string, configure ...func(*app.Config)) *mortal {
	t.Helper()
	config := demoConfig(name, backend{mode: app.RedisSingle, addresses: []string{memredis.Addr}})
	for _, change := range configure {
		change(config)
	}
	opts := app.Options{Config: config, Logger: discard(), Registry: newRegistry(), RedisDialer: way.DialContext}
	for port, listener := range map[string]*net.Listener{":80": &opts.Public, ":90": &opts.Operations, ":70": &opts.Cluster} {
		var err error
		*listener, err = w.network.Listen(name + port)
		require.NoError(t, err)
	}
	opened, err := app.Open(t.Context(), opts)
	require.NoError(t, err)
	ended := make(chan error, 1)
	life, stop := context.WithCancel(context.Background())
	go func() {
		ended <- opened.Run(life)
		close(ended)
	}()
	t.Cleanup(func() {
		way.Heal()
		stop()
		for range ended { // also after a failure of the test
		}
	})
	require.NoError(t, opened.WaitReady(t.Context()))
	return &mortal{&gateway{Gateway: opened, registry: opts.Registry, dial: w.network.DialContext}, stop, ended}
}
