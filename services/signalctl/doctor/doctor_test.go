package doctor_test

import (
	"context"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pion/stun/v4"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/signalbox-rtc/signalbox/internal/redistest"
	"github.com/signalbox-rtc/signalbox/pkg/auth"
	"github.com/signalbox-rtc/signalbox/pkg/telemetry"
	gateway "github.com/signalbox-rtc/signalbox/services/gateway/app"
	"github.com/signalbox-rtc/signalbox/services/signalctl/doctor"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is for steps that must work, on a machine that is busy.
const patience = 20 * time.Second

func configOf(redis *redistest.Server) *gateway.Config {
	config := gateway.Default()
	config.Demo.Enabled = true
	config.Listen.Public, config.Listen.Operations, config.Listen.Cluster = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	config.Redis.Addresses = []string{redis.Addr()}
	config.Cluster.Partitions = 4
	config.Shutdown.Delay, config.Shutdown.Window, config.Shutdown.Grace = 0, 0, 0
	return config
}

// open runs a gateway and gives its URL.
func open(t *testing.T, redis *redistest.Server, name string, change func(*gateway.Config)) string {
	t.Helper()
	config := configOf(redis)
	config.Node.Name = name
	if change != nil {
		change(config)
	}
	ctx, cancel := context.WithCancel(context.Background())
	g, err := gateway.Open(ctx, gateway.Options{Config: config, Logger: slog.New(slog.DiscardHandler), Registry: telemetry.NewRegistry(telemetry.ReadBuild())})
	require.NoError(t, err)
	var running sync.WaitGroup
	running.Go(func() { _ = g.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	require.NoError(t, g.WaitReady(t.Context()))
	return "http://" + g.PublicAddr().String()
}

// run gives the findings by their checks, of which no two are the same.
func run(t *testing.T, opts doctor.Options) map[string]doctor.Finding {
	t.Helper()
	found := make(map[string]doctor.Finding)
	for _, f := range doctor.Run(t.Context(), opts) {
		require.NotContains(t, found, f.Check)
		found[f.Check] = f
		if f.Status == doctor.OK {
			require.Empty(t, f.Problem+f.Remedy, f.Check)
			require.NotEmpty(t, f.Figure, f.Check)
		} else {
			require.NotEmpty(t, f.Problem, f.Check)
			require.NotEmpty(t, f.Remedy, f.Check)
		}
	}
	return found
}

func statuses(found map[string]doctor.Finding, status doctor.Status) (checks []string) {
	for check, f := range found {
		if f.Status == status {
			checks = append(checks, check)
		}
	}
	return checks
}

// stunServer answers binding requests over UDP, from the second on: the first one is lost, as packets are.
func stunServer(t *testing.T) string {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	var serving sync.WaitGroup
	serving.Go(func() {
		text := make([]byte, 1500)
		for lost := false; ; lost = true {
			n, from, err := conn.ReadFrom(text)
			if err != nil {
				return
			}
			if lost {
				_, _ = conn.WriteTo(stunAnswer(text[:n], from), from)
			}
		}
	})
	t.Cleanup(func() {
		_ = conn.Close()
		serving.Wait()
	})
	return "stun:" + conn.LocalAddr().String()
}

func stunAnswer(request []byte, from net.Addr) []byte {
	asked := new(stun.Message)
	if stun.Decode(request, asked) != nil {
		return nil
	}
	host, _, _ := net.SplitHostPort(from.String())
	answer, err := stun.Build(stun.NewTransactionIDSetter(asked.TransactionID), stun.BindingSuccess, &stun.XORMappedAddress{IP: net.ParseIP(host), Port: 4711})
	if err != nil {
		return nil
	}
	return answer.Raw
}

// turnServer answers binding requests in a TCP stream, in two pieces each.
func turnServer(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			text := make([]byte, 1500)
			n, _ := conn.Read(text)
			answer := stunAnswer(text[:n], conn.RemoteAddr())
			_, _ = conn.Write(answer[:7])
			_, _ = conn.Write(answer[7:])
			_ = conn.Close()
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		serving.Wait()
	})
	return "turn:" + listener.Addr().String() + "?transport=tcp"
}

// silent is an address at which somebody listens and says nothing.
func silent(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	return listener.Addr().String()
}

// A cluster that is well has no warning either.
func TestWell(t *testing.T) {
	t.Parallel()
	redis := redistest.Single(t)
	gateways := []string{open(t, redis, "gateway-1", nil), open(t, redis, "gateway-2", nil)}
	udp, tcp := stunServer(t), turnServer(t)
	config := configOf(redis)
	config.ICEServers = []gateway.ICEServer{{URLs: []string{udp, tcp}}}
	found := run(t, doctor.Options{Config: config, Version: telemetry.ReadBuild().Version, Gateways: gateways, Timeout: patience})
	require.Empty(t, statuses(found, doctor.Fail), "%+v", found)
	require.Empty(t, statuses(found, doctor.Warn), "%+v", found)
	require.Contains(t, found["nodes"].Figure, "2: gateway-1, gateway-2")
	require.Contains(t, found["gateway "+gateways[0]].Figure, "relayed to gateway-2 and back")
	require.Contains(t, found["gateway "+gateways[1]].Figure, "relayed to gateway-1 and back")
	require.Contains(t, found["ice "+udp].Figure, "sees us as 127.0.0.1:4711")
	require.Contains(t, found["ice "+tcp].Figure, "sees us as 127.0.0.1:4711")
	require.Equal(t, "4 on 1 primary", found["partitions"].Figure)

	t.Run("nothing is left", func(t *testing.T) {
		again := run(t, doctor.Options{Config: config, Gateways: gateways[:1], Timeout: patience})
		require.Equal(t, doctor.Warn, again["gateways"].Status, "the second gateway was not asked")
		require.Contains(t, again["gateways"].Problem, "gateway-2")
		require.Contains(t, again["gateway "+gateways[0]].Figure, "relayed to gateway-1 and back")
	})
}

// Each thing that is broken on purpose is found, and nothing else.
func TestFindsWhatIsBroken(t *testing.T) {
	t.Parallel()
	redis := redistest.Single(t)
	alive := open(t, redis, "gateway-1", nil)
	for _, tc := range []struct {
		name   string
		change func(*doctor.Options)
		fails  []string
		says   string
	}{
		{"partitions", func(o *doctor.Options) { o.Config.Cluster.Partitions = 8 }, []string{"partitions"}, "cluster.partitions to 4"},
		{"a gateway that is not there", func(o *doctor.Options) {
			o.Gateways = append(o.Gateways, "http://127.0.0.1:1")
		}, []string{"gateway http://127.0.0.1:1"}, "SignalboxTargetDown"},
		{"a gateway that does not answer", func(o *doctor.Options) {
			o.Timeout = 2 * time.Second
			o.Gateways = append(o.Gateways, "http://"+silent(t))
		}, []string{"gateway *"}, "/readyz"},
		{"a STUN server that is not there", func(o *doctor.Options) {
			o.Timeout = 2 * time.Second
			o.ICE = []string{"stun:127.0.0.1:1", "turn:" + silent(t) + "?transport=tcp", "http://nothing"}
		}, []string{"ice stun:127.0.0.1:1", "ice turn:*", "ice http://nothing"}, "ice_servers"},
		{"a token that is none", func(o *doctor.Options) { o.Token = "nothing" }, []string{"gateway " + alive}, "SignalboxAuthFailures"},
		{"no way in", func(o *doctor.Options) { o.App, o.Config.Demo.Enabled = "", false }, []string{"gateways"}, "--token-file"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o := doctor.Options{Config: configOf(redis), Gateways: []string{alive}, Timeout: patience}
			tc.change(&o)
			found := run(t, o)
			failed := statuses(found, doctor.Fail)
			require.Len(t, failed, len(tc.fails), "%+v", found)
			for _, check := range failed {
				require.Regexp(t, matching(tc.fails), check)
				require.Contains(t, found[check].Problem+found[check].Remedy, strings.Fields(tc.says)[0])
			}
		})
	}
}

func matching(checks []string) *regexp.Regexp {
	alternatives := make([]string, len(checks))
	for i, check := range checks {
		alternatives[i] = strings.ReplaceAll(regexp.QuoteMeta(check), `\*`, ".*")
	}
	return regexp.MustCompile("^(" + strings.Join(alternatives, "|") + ")$")
}

// What Redis has wrong, and what nobody has used.
func TestRedisThatIsBroken(t *testing.T) {
	t.Parallel()
	redis := redistest.Single(t)
	config := configOf(redis)
	found := run(t, doctor.Options{Config: config, Timeout: patience})
	require.Equal(t, doctor.Warn, found["partitions"].Status, "nobody has used it")
	require.Equal(t, doctor.Fail, found["nodes"].Status)
	require.Equal(t, doctor.Warn, found["redis "+redis.Addr()+" scripts"].Status)
	require.Equal(t, int64(0), redis.Must("DBSIZE"), "nothing is changed")

	redis.Config("maxmemory", "64mb")
	redis.Config("maxmemory-policy", "allkeys-lru")
	redis.Must("ZADD", "sb:{cluster}:nodes", "1", "dead") // its lease has ended long ago
	redis.Must("HSET", "sb:{cluster}:nodeinfo", "dead", `{"name":"gateway-9","version":"v0.1.0"}`)
	for node, version := range map[string]string{"a": "v1.0.0", "b": "v1.1.0"} {
		redis.Must("ZADD", "sb:{cluster}:nodes", "99999999999999", node)
		redis.Must("HSET", "sb:{cluster}:nodeinfo", node, `{"name":"gateway-`+node+`","version":"`+version+`"}`)
	}
	found = run(t, doctor.Options{Config: config, Timeout: patience})
	require.Equal(t, doctor.Fail, found["redis "+redis.Addr()+" memory"].Status)
	require.Equal(t, doctor.Warn, found["nodes"].Status)
	require.Contains(t, found["nodes"].Problem, "gateway-9")
	require.Equal(t, doctor.Warn, found["versions"].Status)
	require.Equal(t, "1 of v1.0.0, 1 of v1.1.0", found["versions"].Figure)

	redis.Must("CONFIG", "SET", "requirepass", "something")
	found = run(t, doctor.Options{Config: config, Timeout: patience})
	require.Equal(t, doctor.Fail, found["redis"].Status)
	require.Contains(t, found["redis"].Remedy, "redis.password")
	config.Redis.Password = "something"
	require.NotContains(t, run(t, doctor.Options{Config: config, Timeout: patience}), "redis")

	redis.Kill()
	found = run(t, doctor.Options{Config: config, Timeout: patience})
	require.Equal(t, doctor.Fail, found["redis"].Status)
	require.Contains(t, found["redis"].Remedy, "SignalboxRedisUnreachable")
	require.NotContains(t, found, "nodes", "what nobody knows is not judged")
}

// A gateway of another cluster is told from one of this.
func TestStranger(t *testing.T) {
	t.Parallel()
	ours, theirs := redistest.Single(t), redistest.Single(t)
	open(t, ours, "gateway-1", nil)
	stranger := open(t, theirs, "stranger", func(c *gateway.Config) {
		c.Demo.Enabled = false
		c.Apps = []auth.App{{ID: "example", Keys: []auth.Key{{ID: "k", Algorithm: auth.HS256, Secret: "a-secret-of-an-app-for-tests-0123456789"}}}}
	})
	config := configOf(ours)
	config.Demo.Enabled = false
	config.Apps = []auth.App{{ID: "example", Keys: []auth.Key{{ID: "k", Algorithm: auth.HS256, Secret: "a-secret-of-an-app-for-tests-0123456789"}}}}
	found := run(t, doctor.Options{Config: config, Gateways: []string{stranger}, Timeout: patience})
	require.Equal(t, doctor.Fail, found["gateway "+stranger].Status)
	require.Contains(t, found["gateway "+stranger].Problem, "not in the roster")
}

func TestWorst(t *testing.T) {
	require.Equal(t, doctor.OK, doctor.Worst(nil))
	require.Equal(t, doctor.Warn, doctor.Worst([]doctor.Finding{{Status: doctor.OK}, {Status: doctor.Warn}}))
	require.Equal(t, doctor.Fail, doctor.Worst([]doctor.Finding{{Status: doctor.Fail}, {Status: doctor.Warn}}))
}

// Runbooks that remedies lead to are there.
func TestRunbooksAreThere(t *testing.T) {
	sources, err := filepath.Glob("*.go")
	require.NoError(t, err)
	named := 0
	for _, source := range sources {
		text, err := os.ReadFile(source)
		require.NoError(t, err)
		for _, path := range regexp.MustCompile(`docs/runbooks/\w+\.md`).FindAllString(string(text), -1) {
			require.FileExists(t, filepath.Join("../../..", path))
			named++
		}
	}
	require.Greater(t, named, 5)
}
