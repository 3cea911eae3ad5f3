// Package doctor looks at a whole cluster, Redis, gateways and STUN servers, and says what is wrong and what to do.
package doctor

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/signalbox-rtc/signalbox/pkg/store"
	gateway "github.com/signalbox-rtc/signalbox/services/gateway/app"
)

// Status is what became of a check.
type Status string

// The statuses. Fail is what users notice, or will; Warn what somebody should look at.
const (
	OK   Status = "ok"
	Warn Status = "warn"
	Fail Status = "fail"
)

// Finding is the outcome of one check.
type Finding struct {
	Check  string `json:"check"`
	Status Status `json:"status"`
	// Figure is what was measured or seen.
	Figure string `json:"figure"`
	// Problem is what is wrong, and Remedy what to do; empty if all is well.
	Problem string `json:"problem,omitempty"`
	Remedy  string `json:"remedy,omitempty"`
}

// Options say what is looked at.
type Options struct {
	// Config is that of the gateways. Required.
	Config *gateway.Config
	// Version is this program's, which should be the gateways'.
	Version string
	// Gateways are the URLs of single gateways, not of a balancer in front of them.
	Gateways []string
	// TLS is for https and wss; the system's roots if nil.
	TLS *tls.Config
	// Token lets clients in. Without one they come into App, or an app of the configuration that lets them in.
	Token, App string
	// ICE are URLs of STUN and TURN servers beside those of the configuration.
	ICE []string
	// Timeout bounds each step: a look at Redis, at one STUN server, at one gateway (10 s).
	Timeout time.Duration
}

// Limits of what is well.
const (
	// slowRedis and tooSlowRedis are latencies at which every join and message is felt to be slow, and at which calls time out.
	slowRedis, tooSlowRedis = 5 * time.Millisecond, 100 * time.Millisecond
	// clockWarn is what clocks that are kept by NTP do not reach; at clockFail tokens are refused (the leeway is 30 s).
	clockWarn, clockFail = time.Second, 30 * time.Second
	// fullMemory is the part of Redis' memory at which a cluster should grow, in percent.
	fullMemory = 80
	// minRedisMajor is the oldest version of Redis that works.
	minRedisMajor = 7
)

// examination is one run. It is owned by the goroutine of Run.
type examination struct {
	opts     Options
	findings []Finding
	names    []string // of the gateways whose lease runs; nil if the roster is not known
	relays   []store.Relay
}

// Run looks at everything and gives what it found, in the order in which it looked. It ends early with ctx.
func Run(ctx context.Context, opts Options) []Finding {
	if opts.Timeout <= 0 {
		opts.Timeout = 10 * time.Second
	}
	e := &examination{opts: opts}
	e.redis(ctx)
	e.ice(ctx)
	e.gateways(ctx)
	return e.findings
}

// Worst is the worst status of all findings.
func Worst(findings []Finding) Status {
	worst := OK
	for i := range findings {
		switch s := findings[i].Status; {
		case s == Fail:
			return Fail
		case s == Warn:
			worst = Warn
		}
	}
	return worst
}

func (e *examination) ok(check, figure string) { e.add(check, OK, figure, "", "") }

func (e *examination) add(check string, status Status, figure, problem, remedy string) {
	e.findings = append(e.findings, Finding{Check: check, Status: status, Figure: figure, Problem: problem, Remedy: remedy})
}

// redis looks at Redis, and at what gateways have left in it.
func (e *examination) redis(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, e.opts.Timeout)
	defer cancel()
	opts, err := e.opts.Config.StoreOptions()
	if err != nil {
		e.add("redis", Fail, "", err.Error(), "Correct redis.tls of the configuration.")
		return
	}
	opts.CanaryTimeout = min(opts.CanaryTimeout, e.opts.Timeout)
	found, err := store.Examine(ctx, opts)
	if err != nil {
		where := strings.Join(opts.Addresses, ", ")
		if unreachable, ok := errors.AsType[*store.UnreachableError](err); ok && unreachable.Denied() {
			e.add("redis", Fail, where, err.Error(), "Redis is there and does not let us in: set redis.username and redis.password, or SIGNALBOX_REDIS_PASSWORD, to those of its access control list.")
			return
		}
		e.add("redis", Fail, where, err.Error(), "Start Redis, or correct redis.mode and redis.addresses; look whether its port is open from here. docs/runbooks/SignalboxRedisUnreachable.md goes on.")
		return
	}
	for i := range found.Servers {
		e.server(&found.Servers[i])
	}
	e.partitions(found)
	e.roster(found)
	e.relays = found.Relays
}

// server looks at one primary.
func (e *examination) server(s *store.ServerState) {
	name := "redis " + s.Address
	if s.Err != nil {
		e.add(name, Fail, fmt.Sprintf("%d partitions", len(s.Partitions)), s.Err.Error(),
			"The rooms of its partitions stand still: start the server, or have a replica take its place. docs/runbooks/SignalboxRedisUnreachable.md goes on.")
		return
	}
	e.topology(name, s)
	e.memory(name+" memory", s)
	e.latency(name+" latency", s)
	e.clock(name+" clock", "Redis", s.Clock, s.ClockWithin)
	e.scripts(name+" scripts", s)
	if s.CanaryErr != nil {
		e.add(name+" inbox", Fail, "", s.CanaryErr.Error(),
			"Messages do not come back from Redis: look at its client-output-buffer-limit for pubsub, and at the rights of its user on channels. docs/runbooks/SignalboxCanaryLost.md goes on.")
	} else {
		e.ok(name+" inbox", "a message came back in "+short(s.Canary))
	}
}

func (e *examination) topology(name string, s *store.ServerState) {
	version := s.Version
	if version == "" {
		version = "of an unknown version"
	}
	figure := fmt.Sprintf("%s, %s, replicas: %d", version, s.Role, s.Replicas)
	mode := e.opts.Config.Redis.Mode
	switch {
	case major(s.Version) > 0 && major(s.Version) < minRedisMajor:
		e.add(name, Fail, figure, "this version is too old", fmt.Sprintf("Update Redis to %d or newer.", minRedisMajor))
	case s.Role != "" && s.Role != "master":
		e.add(name, Fail, figure, "it is a replica, and refuses to write", "Name the primary in redis.addresses, or set redis.mode to sentinel or cluster so that gateways find it.")
	case s.State != "" && s.State != "ok":
		e.add(name, Fail, figure+", cluster_state: "+s.State, "the Redis Cluster is down for this server", "See with redis-cli --cluster check which slots have no primary.")
	case s.Replicas == 0 && mode != gateway.RedisSingle:
		e.add(name, Warn, figure, "nothing takes its place when it dies", "Add a replica.")
	default:
		e.ok(name, figure)
	}
}

func (e *examination) memory(name string, s *store.ServerState) {
	const mib = 1 << 20
	figure := fmt.Sprintf("%d MiB, no limit", s.MemoryUsed/mib)
	percent := int64(0)
	if s.MemoryLimit > 0 {
		percent = 100 * s.MemoryUsed / s.MemoryLimit
		figure = fmt.Sprintf("%d of %d MiB (%d %%), %s", s.MemoryUsed/mib, s.MemoryLimit/mib, percent, s.Eviction)
	}
	switch {
	case s.MemoryLimit > 0 && s.Eviction != "" && s.Eviction != "noeviction":
		e.add(name, Fail, figure, "Redis throws rooms away when its memory is full", "CONFIG SET maxmemory-policy noeviction, and the same in redis.conf.")
	case percent >= fullMemory:
		e.add(name, Warn, figure, "soon no seat can be taken any more", "Give Redis more memory (maxmemory), or more primaries. docs/runbooks/SignalboxRedisRefuses.md goes on.")
	default:
		e.ok(name, figure)
	}
}

func (e *examination) latency(name string, s *store.ServerState) {
	figure := fmt.Sprintf("median %s, slowest %s", short(s.Latency), short(s.Slowest))
	const remedy = "Look at SLOWLOG GET and LATENCY DOCTOR of Redis, at the load of its machine, and at the way from here to it. docs/runbooks/SignalboxRedisScriptsSlow.md goes on."
	switch {
	case s.Latency >= tooSlowRedis:
		e.add(name, Fail, figure, "Redis answers so slowly that calls are given up", remedy)
	case s.Latency >= slowRedis:
		e.add(name, Warn, figure, "Redis answers slowly: every join and message takes longer", remedy)
	default:
		e.ok(name, figure)
	}
}

// clock judges how far somebody's clock is from this machine's.
func (e *examination) clock(name, whose string, apart, within time.Duration) {
	figure := fmt.Sprintf("%s from this machine's, right to %s", signed(apart), short(within))
	remedy := "Have NTP (chrony, systemd-timesyncd) keep the clocks of " + whose + " and of this machine; chronyc tracking tells which one is wrong."
	switch off := apart.Abs() - within; {
	case off >= clockFail:
		e.add(name, Fail, figure, "with clocks so far apart tokens are refused", remedy)
	case off >= clockWarn:
		e.add(name, Warn, figure, "the clocks do not agree", remedy)
	default:
		e.ok(name, figure)
	}
}

func (e *examination) scripts(name string, s *store.ServerState) {
	missing := len(s.ScriptsMissing)
	figure := fmt.Sprintf("%d of %d known", s.Scripts-missing, s.Scripts)
	if missing == 0 {
		e.ok(name, figure)
		return
	}
	e.add(name, Warn, figure, "nobody has brought the scripts of this build, with these settings, to Redis: "+strings.Join(s.ScriptsMissing, ", "),
		"Either no gateway has started since Redis did, or they are of another version, or have another rooms.log_length or rooms.resume_window: compare with nodes below, and use their configuration here.")
}

// partitions compares their number, and looks how they are spread.
func (e *examination) partitions(found *store.Examination) {
	ours := e.opts.Config.Cluster.Partitions
	switch theirs := found.Partitions; {
	case theirs == 0:
		e.add("partitions", Warn, fmt.Sprintf("configured: %d", ours), "no gateway has ever used this Redis", "Start a gateway; if some run, they use another Redis or another redis.database.")
		return
	case theirs != ours:
		e.add("partitions", Fail, fmt.Sprintf("configured: %d, in Redis: %d", ours, theirs), "a gateway with this configuration does not start",
			fmt.Sprintf("Set cluster.partitions to %d; or end all gateways and empty Redis.", theirs))
		return
	}
	counts := make([]int, len(found.Servers))
	for i := range counts {
		counts[i] = len(found.Servers[i].Partitions)
	}
	least, most := slices.Min(counts), slices.Max(counts)
	figure := fmt.Sprintf("%d on %d primaries, %d to %d each", ours, len(counts), least, most)
	if len(counts) == 1 {
		figure = fmt.Sprintf("%d on 1 primary", ours)
	}
	if most > 2*least {
		e.add("partitions", Warn, figure, "the load is not even", "Spread the slots evenly: redis-cli --cluster rebalance.")
		return
	}
	e.ok("partitions", figure)
}

// major is the first number of a version, 0 if there is none.
func major(version string) int {
	var n int
	if _, err := fmt.Sscanf(version, "%d.", &n); err != nil {
		return 0
	}
	return n
}

// short writes a time with as many digits as say something.
func short(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return d.Round(time.Microsecond).String()
	case d < time.Second:
		return d.Round(10 * time.Microsecond).String()
	}
	return d.Round(10 * time.Millisecond).String()
}

// signed writes a difference with its sign.
func signed(d time.Duration) string {
	if d < 0 {
		return "-" + short(-d)
	}
	return "+" + short(d)
}
