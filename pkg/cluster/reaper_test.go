package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/internal/memnet"
	"github.com/signalbox-rtc/signalbox/internal/memredis"
	"github.com/signalbox-rtc/signalbox/internal/redistest"
	"github.com/signalbox-rtc/signalbox/pkg/cluster"
	"github.com/signalbox-rtc/signalbox/pkg/store"
)

// member is a node with a store of its own, an inbox, and an end that a test can look at.
type member struct {
	id       string
	store    *store.Store
	cluster  *cluster.Cluster
	registry *prometheus.Registry
	ended    chan error // what Run ended with
	stop     func()     // ends all; may be called twice
	halt     func()     // ends the beats, and leaves the node on the roster, as if it had died
	rest     func()     // ends the beats, and takes the node off the roster

	mu   sync.Mutex
	left map[string]int // how often each seat was told to have left, as "<room> <peer>"
}

// Deliver counts who left.
func (m *member) Deliver(e store.Event) {
	if e.Type != "left-peer" {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.left[e.Room.Name+" "+e.Except]++
}

func (m *member) told() map[string]int {
	m.mu.Lock()
	defer m.mu.Unlock()
	told := make(map[string]int, len(m.left))
	for seat, times := range m.left {
		told[seat] = times
	}
	return told
}

func startMember(t *testing.T, opts store.Options, id string, beat, lease time.Duration) *member {
	t.Helper()
	return startMemberWith(t, opts, id, beat, lease, nil)
}

func startMemberWith(
	t *testing.T, opts store.Options, id string, beat, lease time.Duration, forgotten func(context.Context) error,
) *member {
	t.Helper()
	m := &member{id: id, registry: prometheus.NewRegistry(), ended: make(chan error, 1), left: make(map[string]int)}
	var err error
	opts.Logger = slog.New(slog.DiscardHandler)
	m.store, err = store.Open(t.Context(), opts)
	require.NoError(t, err)
	inbox := m.store.Inbox(id, m)
	m.cluster, err = cluster.New(cluster.Options{
		Store: m.store, Self: cluster.Node{ID: id, Name: id}, Beat: beat, Lease: lease, Forgotten: forgotten, Registerer: m.registry})
	require.NoError(t, err)
	serving, stop := context.WithCancel(context.Background())
	beating, halt := context.WithCancel(context.Background())
	var running, inCluster sync.WaitGroup
	running.Go(func() { _ = m.store.Run(serving) })
	running.Go(func() { _ = inbox.Run(serving) })
	inCluster.Go(func() { m.ended <- m.cluster.Run(beating) })
	m.rest = func() {
		halt()
		inCluster.Wait()
	}
	m.halt = func() {
		m.cluster.KeepLease()
		m.rest()
	}
	m.stop = sync.OnceFunc(func() {
		halt()
		inCluster.Wait()
		stop()
		running.Wait()
		require.NoError(t, m.store.Close())
	})
	t.Cleanup(m.stop)
	require.NoError(t, inbox.WaitReady(t.Context()))
	require.NoError(t, m.cluster.WaitReady(t.Context()))
	return m
}

func (m *member) join(room, peer string) error {
	done := make(chan error, 1)
	m.store.Join(store.Join{
		Seat: store.Seat{Room: store.Room{App: "acme", Name: room}, Peer: peer, Node: m.id}, Profile: []byte("{}"), Capacity: 500,
		EventHead: []byte(`{"type":"joined-peer","order":`), EventTail: []byte("}"),
	}, func(_ *store.Snapshot, err error) { done <- err })
	return <-done
}

func (m *member) count(t *testing.T, room string) int {
	t.Helper()
	type answer struct {
		count int
		err   error
	}
	done := make(chan answer, 1)
	m.store.Snapshot(store.Look{Room: store.Room{App: "acme", Name: room}}, func(s *store.Snapshot, err error) {
		if err != nil {
			s = new(store.Snapshot)
		}
		done <- answer{s.Count, err}
	})
	a := <-done
	require.NoError(t, a.err)
	return a.count
}

// metric gives a counter, or how often a histogram was told something.
func (m *member) metric(t *testing.T, name string) float64 {
	t.Helper()
	families, err := m.registry.Gather()
	require.NoError(t, err)
	for _, family := range families {
		if family.GetName() == name {
			if h := family.Metric[0].GetHistogram(); h != nil {
				return float64(h.GetSampleCount())
			}
			return family.Metric[0].GetCounter().GetValue()
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

func total(t *testing.T, members []*member, name string) (sum float64) {
	for _, m := range members {
		sum += m.metric(t, name)
	}
	return sum
}

// The seats of a node that has died are given up by the others, however many these are, and each is told once.
func TestDeadNodesSeatsAreGivenUp(t *testing.T) {
	for _, living := range []int{1, 5} {
		t.Run(fmt.Sprint(living), func(t *testing.T) {
			forEachRedis(t, func(t *testing.T, opts store.Options, do func(...string) any) {
				// Long enough that a busy machine holds up no beat for a whole lease: all but the dead one live to the end.
				const beat, lease = 500 * time.Millisecond, 3 * time.Second
				var members []*member
				for i := range living {
					members = append(members, startMember(t, opts, fmt.Sprintf("n%d-%d", living, i), beat, lease))
				}
				dead := startMember(t, opts, fmt.Sprintf("dead-%d", living), beat, lease)
				const rooms = 30
				seats := 0
				for i := range rooms {
					room := fmt.Sprintf("room-%d-%d", living, i)
					for p := range 1 + i*3 {
						require.NoError(t, dead.join(room, fmt.Sprintf("d%d", p)))
						seats++
					}
					for _, m := range members {
						require.NoError(t, m.join(room, m.id))
					}
				}
				dead.halt()
				require.Eventually(t, func() bool { return total(t, members, "signalbox_reaped_nodes_total") == 1 }, patience, tick)
				for _, m := range members {
					require.Eventually(t, func() bool { return len(m.told()) == seats }, patience, tick)
					for seat, times := range m.told() {
						require.Equal(t, 1, times, seat)
					}
				}
				for i := range rooms {
					require.Equal(t, living, members[0].count(t, fmt.Sprintf("room-%d-%d", living, i)))
				}
				require.EqualValues(t, seats, total(t, members, "signalbox_reaped_seats_total"))
				require.EqualValues(t, 1, total(t, members, "signalbox_reap_duration_seconds"))
				require.Zero(t, total(t, members, "signalbox_cluster_lapsed_total"))
				require.Empty(t, do("ZRANGE", "sb:{cluster}:condemned", "0", "-1"))
				require.Nil(t, do("GET", "sb:{cluster}:claim:"+dead.id))
				for _, m := range members {
					m.stop()
				}
			})
		})
	}
}

// A node that others gave up ends, and does not go on the roster again.
func TestLapsedNodeEnds(t *testing.T) {
	forEachRedis(t, func(t *testing.T, opts store.Options, do func(...string) any) {
		for name, lapse := range map[string]func(id string){
			"condemned": func(id string) { do("SET", "sb:{cluster}:dead:"+id, "1") },
		} {
			t.Run(name, func(t *testing.T) {
				m := startMember(t, opts, name, 50*time.Millisecond, 400*time.Millisecond)
				lapse(name)
				select {
				case err := <-m.ended:
					require.ErrorIs(t, err, cluster.ErrLapsed)
				case <-time.After(patience):
					require.Fail(t, "it goes on")
				}
				require.EqualValues(t, 1, m.metric(t, "signalbox_cluster_lapsed_total"))
				require.Nil(t, do("ZSCORE", "sb:{cluster}:nodes", name))
			})
		}
	})
}

// A node that Redis knows nothing of, though nobody gave it up, goes on: Redis has lost its data, and what it lost is put back.
func TestForgottenNodeGoesOn(t *testing.T) {
	forEachRedis(t, func(t *testing.T, opts store.Options, do func(...string) any) {
		m := startMember(t, opts, "forgotten", 50*time.Millisecond, 400*time.Millisecond)
		do("ZREM", "sb:{cluster}:nodes", "forgotten")
		require.Eventually(t, func() bool { return m.metric(t, "signalbox_cluster_forgotten_total") == 1 }, patience, tick)
		require.Eventually(t, func() bool { return do("ZSCORE", "sb:{cluster}:nodes", "forgotten") != nil }, patience, tick)
		require.Zero(t, m.metric(t, "signalbox_cluster_lapsed_total"))
	})
}

// While Redis is frozen every lease ends. Afterwards all nodes beat on, and nobody is given up.
func TestFrozenRedisCondemnsNobody(t *testing.T) {
	server := redistest.Single(t)
	opts := store.Options{Addresses: []string{server.Addr()}}
	const beat, lease = 250 * time.Millisecond, time.Second
	var members []*member
	for i := range 3 {
		m := startMember(t, opts, fmt.Sprintf("n%d", i), beat, lease)
		require.NoError(t, m.join("lobby", m.id))
		members = append(members, m)
	}
	// They judge by now: a dead one is given up.
	dead := startMember(t, opts, "dead", beat, lease)
	dead.halt()
	require.Eventually(t, func() bool { return total(t, members, "signalbox_reaped_nodes_total") == 1 }, patience, tick)

	const away = 3 * lease
	for name, leave := range map[string]func(){
		"SIGSTOP": func() {
			server.Stop()
			<-time.After(away)
			server.Cont()
		},
		"CLIENT PAUSE": func() {
			_, err := server.Do("CLIENT", "PAUSE", strconv.FormatInt(away.Milliseconds(), 10))
			require.NoError(t, err)
			<-time.After(away)
		},
		"a restart with its data": func() {
			_, err := server.Do("SAVE")
			require.NoError(t, err)
			server.Kill()
			<-time.After(away)
			server.Restart()
		},
		"SIGSTOP once more": func() {
			server.Stop()
			<-time.After(lease + beat)
			server.Cont()
		},
	} {
		t.Log(name)
		leave()
		// Each node has beaten for more than a lease: had anybody been condemned, it would know.
		for _, m := range members {
			since := time.Now()
			require.Eventually(t, func() bool { return len(m.cluster.Nodes()) == 3 && time.Since(since) > 2*lease }, patience, tick)
		}
	}
	for _, m := range members {
		select {
		case err := <-m.ended:
			require.Fail(t, "a node that lives was given up", "%v", err)
		default:
		}
		require.Equal(t, 3, m.count(t, "lobby"))
		require.Empty(t, m.told())
	}
	require.EqualValues(t, 1, total(t, members, "signalbox_reaped_nodes_total"))
}

// The times, on a clock of its own: the last seat is given up within a lease and a beat of the last beat, and not before.
// A node that was cut off from Redis for longer than its lease learns it with its first beat, and its joins are refused.
func TestReapingInABubble(t *testing.T) {
	memredis.Bubble(t, func(t *testing.T) {
		network := new(memnet.Network)
		memredis.Serve(t, network)
		const beat, lease = 2 * time.Second, 6 * time.Second
		a := startMember(t, store.Options{Addresses: []string{memredis.Addr}, Dialer: network.DialContext}, "a", beat, lease)
		links := &memnet.Cable{Network: network}
		b := startMember(t, store.Options{Addresses: []string{memredis.Addr}, Dialer: links.DialContext}, "b", beat, lease)
		require.NoError(t, a.join("lobby", "ada"))
		require.NoError(t, b.join("lobby", "bob"))
		time.Sleep(10 * time.Second)

		links.Cut()
		time.Sleep(lease - beat - 100*time.Millisecond)
		require.Equal(t, 2, a.count(t, "lobby"), "its lease runs")
		require.Empty(t, a.told())
		time.Sleep(2*beat + 200*time.Millisecond)
		require.Equal(t, 1, a.count(t, "lobby"))
		require.Equal(t, map[string]int{"lobby bob": 1}, a.told())
		select {
		case err := <-b.ended:
			require.Fail(t, "it cannot know yet", "%v", err)
		default:
		}

		time.Sleep(time.Minute)
		links.Heal()
		require.Eventually(t, func() bool {
			err := b.join("lobby", "bob-again")
			return errors.Is(err, store.ErrLapsed)
		}, 10*time.Second, 100*time.Millisecond)
		time.Sleep(2 * beat)
		require.ErrorIs(t, <-b.ended, cluster.ErrLapsed)
		require.Equal(t, 1, a.count(t, "lobby"))
		require.Equal(t, map[string]int{"lobby bob": 1}, a.told())
	})
}

// After an outage of Redis some nodes are back before others, and every lease is old. Who is back within a lease stays.
func TestOutageInABubble(t *testing.T) {
	memredis.Bubble(t, func(t *testing.T) {
		network := new(memnet.Network)
		memredis.Serve(t, network)
		const beat, lease = 2 * time.Second, 6 * time.Second
		var links []*memnet.Cable
		var members []*member
		for _, id := range []string{"a", "b", "c"} {
			link := &memnet.Cable{Network: network}
			m := startMember(t, store.Options{Addresses: []string{memredis.Addr}, Dialer: link.DialContext}, id, beat, lease)
			require.NoError(t, m.join("lobby", id))
			links, members = append(links, link), append(members, m)
		}
		time.Sleep(20 * time.Second) // they judge by now
		for _, link := range links {
			link.Cut()
		}
		time.Sleep(time.Minute)
		links[0].Heal()
		time.Sleep(lease - beat)
		links[1].Heal()
		time.Sleep(time.Minute)
		require.Equal(t, 2, members[0].count(t, "lobby"), "the third is not back at all")
		require.Equal(t, map[string]int{"lobby c": 1}, members[0].told())
		for _, m := range members[:2] {
			require.Empty(t, m.ended)
		}
		links[2].Heal()
		require.ErrorIs(t, <-members[2].ended, cluster.ErrLapsed)
	})
}
