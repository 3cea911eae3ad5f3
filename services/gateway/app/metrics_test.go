package app_test

import (
	"maps"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/gorilla/websocket"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/auth"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
	"github.com/signalbox-rtc/signalbox/services/gateway/app"
)

// call has two clients on two gateways meet, and everything happen to them that is counted.
func call(t *testing.T, gateways []*gateway, room string) (ada, bob *peer) {
	t.Helper()
	ada, bob = connect(t, gateways[0], "Ada of "+room), connect(t, gateways[1], "Bob of "+room)
	ada.mustJoin(t, room)
	bob.mustJoin(t, room)
	ada.await(t, wire.TypeJoinedPeer)
	_, err := bob.Signal(t.Context(), wire.Signal{Room: room, To: ada.id(), Data: []byte(`{"candidate":{}}`)})
	require.NoError(t, err)
	ada.await(t, wire.TypeSignal)
	require.NoError(t, ada.publish(t.Context(), room, "hello"))
	bob.await(t, wire.TypeMessage)
	require.NoError(t, ada.Report(t.Context(), wire.Report{
		Room: room, Peer: bob.id(), Outcome: "connected", Milliseconds: 300, Local: "host", Remote: "srflx", Protocol: "udp"}))
	for _, garbage := range []wire.Report{
		{Room: room, Peer: bob.id(), Outcome: "made-up"},
		{Room: room, Peer: bob.id(), Outcome: "failed", Local: "made-up"},
		{Room: room, Peer: bob.id(), Outcome: "failed", Protocol: "made-up"},
	} {
		require.Equal(t, wire.CodeBadRequest, code(ada.Report(t.Context(), garbage)))
	}
	_, err = ada.Signal(t.Context(), wire.Signal{Room: room, To: "nobody", Data: []byte(`{}`)})
	require.Equal(t, wire.CodePeerGone, code(err))
	require.Equal(t, wire.CodeNotMember, code(ada.publish(t.Context(), room+"-elsewhere", "hello")))
	_, err = dial(t.Context(), gateways[0], "nobody", anonymousOf("no-such-app"))
	require.Equal(t, wire.CodeUnauthorized, code(err), "%v", err)
	return ada, bob
}

// narrow dials for a client that does not read, whose kernel keeps little of what it is sent.
var narrow = &websocket.Dialer{NetDialContext: (&net.Dialer{Control: func(_, _ string, conn syscall.RawConn) error {
	return conn.Control(func(fd uintptr) { _ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4096) })
}}).DialContext}

// burst publishes a few large texts, and waits for the replies to all of them: those to one after the other take a busy
// machine too long.
func (p *peer) burst(t *testing.T, room string) {
	t.Helper()
	text := []byte(strconv.Quote(strings.Repeat("x", 60_000)))
	var answers sync.WaitGroup
	for range 8 {
		answers.Add(1)
		p.Go(&wire.Publish{Room: room, Data: text}, func(reply *wire.Reply, err error) {
			defer answers.Done()
			if err == nil && reply.Err != nil {
				err = reply.Err
			}
			if err != nil {
				t.Errorf("publish in %s: %v", room, err)
			}
		})
	}
	answers.Wait()
}

// overrun has a client that does not read be sent more than its queue takes.
func overrun(t *testing.T, g *gateway, room string) {
	t.Helper()
	_, page := g.get(t, "/metrics")
	before := metric(t, page, "signalbox_messages_dropped_total", `reason="queue_full"`)
	deaf, _, err := narrow.DialContext(t.Context(), "ws://"+g.PublicAddr().String()+"/v1/connect", nil)
	require.NoError(t, err)
	defer deaf.Close()
	require.NoError(t, deaf.WriteJSON(map[string]any{"id": 1, "type": "hello", "app": "demo"}))
	require.NoError(t, deaf.WriteJSON(map[string]any{"id": 2, "type": "join", "room": room}))
	loud := connect(t, g, "loud")
	loud.mustJoin(t, room)
	until(t, func() bool {
		loud.burst(t, room)
		_, page := g.get(t, "/metrics")
		return metric(t, page, "signalbox_messages_dropped_total", `reason="queue_full"`) > before
	}, "the queue runs over")
	loud.Close()
}

func TestMetrics(t *testing.T) {
	gateways := startGateways(t, 2, singleRedis(t), func(c *app.Config) {
		c.Session.QueueMessages = 16
		// Or who does not read is closed for that, or for its silence, before it was sent enough.
		c.Session.WriteTimeout, c.Session.Heartbeat = patience, patience
		c.Limits.RequestsPerSecond, c.Limits.RequestsBurst = 100_000, 100_000
	})
	ada, bob := call(t, gateways, "first-room")
	overrun(t, gateways[1], "first-flood")
	for i, gone := range []float64{1, 2} { // who was refused; who flooded, and who was flooded
		until(t, func() bool { return gateways[i].counted(t, "signalbox_connections_closed_total") == gone }, "their ends are counted")
	}

	_, page := gateways[0].get(t, "/metrics")
	for _, tc := range []struct {
		want   float64
		name   string
		having []string
	}{
		{1, "signalbox_connections", []string{`transport="websocket"`}},
		{1, "signalbox_sessions", nil},
		{1, "signalbox_rooms", nil},
		{1, "signalbox_seats", nil},
		{1, "signalbox_joins_total", []string{`result="ok"`}},
		{1, "signalbox_app_sessions", []string{`app="demo"`}},
		{0, "signalbox_app_sessions", []string{`app="other"`}},
		{1, "signalbox_app_joins_total", []string{`app="demo"`, `result="ok"`}},
		{1, "signalbox_hellos_total", []string{`result="ok"`}},
		{1, "signalbox_messages_received_total", []string{`type="join"`}},
		{2, "signalbox_messages_received_total", []string{`type="publish"`}},
		{1, "signalbox_messages_received_total", []string{`type="report"`}},
		{3, "signalbox_messages_received_total", []string{`type="invalid"`}},
		{1, "signalbox_messages_sent_total", []string{`type="signal"`}},
		{1, "signalbox_messages_sent_total", []string{`type="joined-peer"`}},
		{2, "signalbox_events_delivered_total", nil},
		{1, "signalbox_requests_refused_total", []string{`code="peer_gone"`}},
		{1, "signalbox_requests_refused_total", []string{`code="not_member"`}},
		{1, "signalbox_connections_closed_total", []string{`reason="unauthorized"`, `initiator="server"`}},
		{1, "signalbox_ice_reports_total", []string{`outcome="connected"`, `local="host"`, `remote="srflx"`, `protocol="udp"`}},
		{1, "signalbox_redis_script_duration_seconds_count", []string{`script="join"`, `result="ok"`}},
		{1, "signalbox_redis_script_duration_seconds_count", []string{`script="send"`, `result="refused"`}},
		{0, "signalbox_redis_errors_total", nil},
		{1, "signalbox_redis_inbox_ready", nil},
		{1, "signalbox_build_info", nil},
	} {
		require.Equal(t, tc.want, metric(t, page, tc.name, tc.having...), "%s%v", tc.name, tc.having)
	}
	for _, present := range []string{
		"signalbox_redis_errors_total{", "signalbox_sent_bytes_total ", "signalbox_connection_duration_seconds_bucket{",
		"signalbox_redis_pipeline_calls_bucket{", "signalbox_heartbeat_pings_total ", "go_goroutines ", "process_open_fds ",
	} {
		require.Contains(t, page, "\n"+present)
	}
	_, flooded := gateways[1].get(t, "/metrics")
	require.Positive(t, metric(t, flooded, "signalbox_messages_dropped_total", `reason="queue_full"`))
	require.Equal(t, 1.0, metric(t, flooded, "signalbox_connections_closed_total", `reason="slow_receiver"`))

	t.Run("other rooms and clients make no other series", func(t *testing.T) {
		ada.Close()
		bob.Close()
		ended := func(g *gateway) bool {
			_, page := g.get(t, "/metrics")
			return metric(t, page, "signalbox_connections") == 0
		}
		until(t, func() bool { return ended(gateways[0]) && ended(gateways[1]) }, "the clients are gone")
		before := allSeries(t, gateways)
		ada, bob := call(t, gateways, "second-room")
		overrun(t, gateways[1], "second-flood")
		names := []string{ada.id(), bob.id(), "second-room", "Ada"}
		ada.Close()
		bob.Close()
		until(t, func() bool { return ended(gateways[0]) && ended(gateways[1]) }, "the clients are gone")
		after := allSeries(t, gateways)
		require.Equal(t, steady(before), steady(after))
		require.Less(t, len(after), len(gateways)*2500, "docs/metrics.md tells that there are fewer")
		word := regexp.MustCompile(`^[A-Za-z0-9_.+()-]{0,40}$`)
		for _, series := range after {
			for _, label := range regexp.MustCompile(`="([^"]*)"`).FindAllStringSubmatch(series, -1) {
				require.Regexp(t, word, label[1], series)
			}
			for _, name := range names {
				require.NotContains(t, series, name)
			}
		}
	})
	t.Run("good names", func(t *testing.T) {
		problems, err := testutil.GatherAndLint(gateways[0].registry)
		require.NoError(t, err)
		require.Empty(t, problems)
	})
}

// steady leaves out the series of which a flood makes one or another, as it comes.
func steady(series []string) []string {
	return slices.DeleteFunc(slices.Clone(series), func(s string) bool {
		return strings.Contains(s, "signalbox_messages_dropped_total{") || strings.Contains(s, "signalbox_connections_closed_total{")
	})
}

// allSeries gives the names and labels of all series of ours, sorted.
func allSeries(t *testing.T, gateways []*gateway) []string {
	t.Helper()
	found := make(map[string]bool)
	for _, g := range gateways {
		_, page := g.get(t, "/metrics")
		for line := range strings.Lines(page) {
			if series, _, ok := strings.Cut(line, " "); ok && strings.HasPrefix(series, "signalbox_") {
				found[g.Name()+" "+series] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// However many apps there are, few have a label.
func TestAppsAreFolded(t *testing.T) {
	gateways := startGateways(t, 1, singleRedis(t), func(c *app.Config) {
		c.Apps = []auth.App{{ID: "first", Anonymous: true}, {ID: "second", Anonymous: true}}
		c.Metrics.Apps = 1
	})
	first, second, demo := connect(t, gateways[0], "", anonymousOf("first")), connect(t, gateways[0], "", anonymousOf("second")), connect(t, gateways[0], "")
	for _, p := range []*peer{first, second, demo} {
		p.mustJoin(t, "hall")
	}
	_, err := second.Join(t.Context(), wire.Join{Room: "hall", Capacity: 1_000_000})
	require.Error(t, err)
	_, page := gateways[0].get(t, "/metrics")
	require.Equal(t, 1.0, metric(t, page, "signalbox_app_sessions", `app="first"`))
	require.Equal(t, 2.0, metric(t, page, "signalbox_app_sessions", `app="other"`))
	require.Equal(t, 2.0, metric(t, page, "signalbox_app_joins_total", `app="other"`, `result="ok"`))
	require.Equal(t, 1.0, metric(t, page, "signalbox_app_joins_total", `app="other"`, `result="refused"`))
	require.NotContains(t, page, `"second"`)
	second.Close()
	until(t, func() bool {
		_, page := gateways[0].get(t, "/metrics")
		return metric(t, page, "signalbox_app_sessions", `app="other"`) == 1
	}, "who has gone is counted out")
}
