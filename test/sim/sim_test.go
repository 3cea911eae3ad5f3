// Package sim plays whole clusters through on fake time, with faults that a seed decides.
package sim

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"regexp"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/cryptotest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/internal/memredis"
	"github.com/signalbox-rtc/signalbox/internal/oracle"
)

func TestMain(m *testing.M) {
	runtime.GOMAXPROCS(1)    // the scheduler has less to decide
	debug.SetGCPercent(1000) // each script of the embedded Redis makes an interpreter anew
	os.Exit(m.Run())
}

// TestSeeds plays runs of a few clients.
func TestSeeds(t *testing.T) { playSeeds(t, small, 8) }

// TestHundreds plays longer runs of hundreds of clients.
func TestHundreds(t *testing.T) { playSeeds(t, large, 1) }

// playSeeds plays SEEDS seeds from FIRST on, or the one that SEED names; REPEAT times, if it says so.
func playSeeds(t *testing.T, s size, standard uint64) {
	first, count := setting(t, "FIRST", 1), setting(t, "SEEDS", standard)
	if seed := setting(t, "SEED", 0); seed > 0 {
		first, count = seed, 1
	}
	for seed := first; seed < first+count; seed++ {
		hashes := map[string]int{}
		for range setting(t, "REPEAT", 1) {
			t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) { hashes[play(t, newPlan(seed, s))]++ })
		}
		if len(hashes) > 1 {
			t.Logf("seed %d: %d different histories: %v", seed, len(hashes), hashes)
		}
	}
}

// A seed decides everything that is planned.
func TestPlan(t *testing.T) {
	for seed := range uint64(10) {
		require.Equal(t, newPlan(seed, large), newPlan(seed, large))
		require.NotEqual(t, newPlan(seed, small).clients, newPlan(seed+1, small).clients)
	}
}

// A queue keeps its order when Redis loses its data: here all wait for one room, on all gateways, and go in the order of coming.
func TestQueueOutlivesLostData(t *testing.T) {
	for seed := range uint64(4) {
		p := newPlan(seed+1, size{clients: 12, length: 40 * time.Second})
		p.gateways, p.rooms, p.capacity, p.moderated, p.keep = 3, 1, 2, false, 0
		for i := range p.clients {
			c := &p.clients[i]
			c.at, c.endAt, c.end = time.Second+time.Duration(i)*700*time.Millisecond, 25*time.Second+time.Duration(i)*time.Second, "leave"
			c.waits, c.acts = true, []act{{at: c.at, what: "join", room: "room0"}}
		}
		p.faults = []faultPlan{{at: 12 * time.Second, until: 12 * time.Second, what: "flush"}}
		t.Run(strconv.FormatUint(seed+1, 10), func(t *testing.T) { play(t, p) })
	}
}

// What a cluster does wrong is noticed: here it is made to lose, and to repeat, one message in ten on its last steps.
func TestFaultsOfTheClusterAreNoticed(t *testing.T) {
	for what, rule := range map[string]string{"lose": oracle.RuleLost, "repeat": oracle.RuleTwice} {
		t.Run(what, func(t *testing.T) {
			cryptotest.SetGlobalRandom(t, 1)
			memredis.Bubble(t, func(t *testing.T) {
				w := newWorld(t, newPlan(1, small))
				w.sabotage = what
				w.run()
				w.ask()
				var found []string
				for _, f := range w.oracle.Check() {
					found = append(found, f.Rule)
				}
				require.Contains(t, found, rule)
				w.finish()
			})
		})
	}
}

// setting reads a number from the environment.
func setting(t *testing.T, name string, standard uint64) uint64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return standard
	}
	n, err := strconv.ParseUint(text, 10, 64)
	require.NoError(t, err)
	return n
}

// play runs one plan, and gives a hash of its history.
func play(t *testing.T, p *plan) (hash string) {
	t.Helper()
	cryptotest.SetGlobalRandom(t, p.seed)
	memredis.Bubble(t, func(t *testing.T) {
		w := newWorld(t, p)
		if os.Getenv("SEED") != "" {
			t.Log(p)
			if name := os.Getenv("LOG"); name != "" {
				file, err := os.Create(name)
				require.NoError(t, err)
				defer file.Close()
				w.log = file
			}
		}
		w.run()
		w.judge()
		w.finish()
		hash = w.hash()
		if dir := os.Getenv("TRACES"); dir != "" {
			require.NoError(t, os.WriteFile(fmt.Sprintf("%s/%d.%s", dir, p.seed, hash), []byte(w.oracle.Trace("")), 0o666))
		}
	})
	return hash
}

// hash is short for all that clients did and saw, and when. What is of one time has no order.
func (w *world) hash() string {
	lines := strings.Split(ports.ReplaceAllString(w.oracle.Trace(""), ""), "\n")
	slices.Sort(lines)
	sum := sha256.Sum256([]byte(strings.Join(lines, "\n")))
	return hex.EncodeToString(sum[:8])
}

// ports are of clients: numbered as they come.
var ports = regexp.MustCompile(`127\.0\.\d+\.1:\d+`)

// run is the time in which things go wrong, until all is healed and quiet.
func (w *world) run() {
	for _, n := range w.nodes {
		require.True(w.t, n.open())
		require.NoError(w.t, n.current().gateway.WaitReady(w.t.Context()))
	}
	var living sync.WaitGroup
	for _, c := range w.plan.clients {
		p := w.person(c)
		living.Go(func() { w.stays(p, p.live()) })
	}
	for _, f := range w.plan.faults {
		living.Go(func() { w.suffer(f) })
	}
	living.Wait()
	for _, n := range w.nodes {
		if n.current() == nil {
			n.begin()
		}
	}
	w.slow.Store(int64(w.plan.jitter))
	time.Sleep(settleTime)
}

// settleTime is after which everything must be as it should, once nothing is broken any more: silent connections are noticed,
// seats are given up, clients are back.
const settleTime = ghostAfter

// suffer has one thing go wrong for its time.
func (w *world) suffer(f faultPlan) {
	w.in(f.at)
	n, lasts := w.nodes[f.node], f.until-f.at
	rest := func() { w.in(f.until) }
	switch f.what {
	case "kill":
		n.kill(f.random%2 == 0)
		rest()
		n.begin()
	case "drain":
		n.drain()
		rest()
		n.begin()
	case "freeze", "stall":
		n.freeze(true)
		rest()
		n.freeze(false)
	case "subsever":
		for ; time.Since(w.began) < f.until; time.Sleep(lasts / 3) {
			w.eachRedisLink(n, subscriptions((*redisLink).sever))
		}
	case "subfreeze":
		w.eachRedisLink(n, subscriptions(func(l *redisLink) { l.FreezeIn() }))
	case "cutredis":
		w.eachRedisLink(n, func(l *redisLink) { l.Sever() })
	case "flush":
		w.loseRedis(0)
	case "restart":
		w.loseRedis(lasts)
	case "pause":
		w.pauseRedis(f.until)
	case "slow":
		w.slow.Store(int64(500 * time.Millisecond))
		rest()
		w.slow.Store(int64(w.plan.jitter))
	}
}

func (l *redisLink) sever() { l.Sever() }

func subscriptions(do func(*redisLink)) func(*redisLink) {
	return func(l *redisLink) {
		if l.subscribes.Load() {
			do(l)
		}
	}
}

// stays notes who is there at the end.
func (w *world) stays(p *person, there bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if there {
		w.there = append(w.there, p)
		slices.SortFunc(w.there, func(a, b *person) int { return strings.Compare(a.plan.name, b.plan.name) })
	}
}

// ask has everybody settle and vouch for what was seen, and gives what could not be had.
func (w *world) ask() (failures []string) {
	for _, step := range []func(*person) error{(*person).settle, (*person).sync} {
		var asking sync.WaitGroup
		errs := make([]error, len(w.there))
		for i, p := range w.there {
			asking.Go(func() { errs[i] = step(p) })
			time.Sleep(moments)
		}
		asking.Wait()
		time.Sleep(5 * time.Second)
		for _, err := range errs {
			if err != nil {
				failures = append(failures, err.Error())
			}
		}
	}
	return failures
}

// judge asks everybody and then the oracle.
func (w *world) judge() {
	failures := w.ask()
	findings := w.oracle.Check()
	if len(findings) == 0 && len(failures) == 0 {
		return
	}
	room := ""
	if len(findings) > 0 {
		room = findings[0].Room
	}
	w.t.Logf("what happened in room %q:\n%s", room, w.oracle.Trace(room)) // long: what is wrong comes after it
	for _, failure := range failures {
		w.t.Error(failure)
	}
	for i, f := range findings {
		if i == 20 {
			w.t.Errorf("and %d more", len(findings)-i)
			break
		}
		w.t.Error(f)
	}
	w.t.Logf("%s\n%s", w.plan.again(), w.plan)
}

// finish ends all clients and then all gateways, and looks at what is left behind.
func (w *world) finish() {
	var closing sync.WaitGroup
	for _, p := range w.there {
		closing.Go(p.close)
		time.Sleep(moments)
	}
	closing.Wait()
	time.Sleep(grace + 10*time.Second)
	synctest.Wait()
	w.noKeys("nothing is left behind of the rooms", isGate, isOfCluster, isTombstone, isCanary)
	w.mu.Lock()
	w.over = true
	w.mu.Unlock()
	for _, n := range w.nodes {
		n.drain()
		n.ending.Wait()
	}
	time.Sleep(7 * time.Hour) // tombstones expire
	w.noKeys("nothing is left behind of the gateways", isGate, isClusterKey)
}

func isGate(key string) bool       { return strings.HasSuffix(key, "}:gate") }
func isTombstone(key string) bool  { return strings.Contains(key, "}:dead:") }
func isCanary(key string) bool     { return strings.Contains(key, "}:canary:") }
func isOfCluster(key string) bool  { return strings.HasPrefix(key, "sb:{cluster}:") }
func isClusterKey(key string) bool { return key == "sb:{cluster}:key" }

// noKeys checks that Redis has no keys but those that may be there.
func (w *world) noKeys(what string, may ...func(string) bool) {
	left := slices.DeleteFunc(w.redis.Keys(), func(key string) bool {
		return key == "sb:partitions" || slices.ContainsFunc(may, func(may func(string) bool) bool { return may(key) })
	})
	if len(left) > 0 {
		w.t.Logf("all that happened:\n%s\nall of Redis:\n%s", w.oracle.Trace(""), w.redis.Dump())
		w.t.Errorf("%s, but there are %v; %s\n%s", what, left, w.plan.again(), w.plan)
	}
}

func respOf(args []string) []byte {
	text := fmt.Sprintf("*%d\r\n", len(args))
	for _, arg := range args {
		text += fmt.Sprintf("$%d\r\n%s\r\n", len(arg), arg)
	}
	return []byte(text)
}
