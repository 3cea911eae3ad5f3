package socketio_test

import (
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/socketio"
)

// target is a server under attack, and two clients of it that have done nothing.
type target struct {
	*site
	*recorder
	reg *prometheus.Registry

	ws        *wsClient
	polling   *pollClient
	allocated uint64
}

func attacked(t *testing.T, opts socketio.Options) *target {
	t.Helper()
	a := &target{reg: prometheus.NewRegistry()}
	opts.Registerer = a.reg
	a.site, a.recorder = serveRecorder(t, opts)
	a.ws, _ = a.open("4", "")
	a.ws.in("40")
	a.polling = a.poll("3", "")
	require.Equal(t, []string{"40"}, a.polling.first)
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	a.allocated = stats.TotalAlloc
	return a
}

// memory is what the server and the client of one attack may allocate together, freed or not. The largest input has a
// megabyte, which each has several times.
const memory = 64 << 20

// metric is what an attack is to leave in one: its name without the common prefix, the label, and how often.
type metric struct {
	name, label string
	times       float64
}

func invalid(rule socketio.FormatCode) metric { return metric{"invalid_total", string(rule), 1} }
func refused(code int) metric                 { return metric{"requests_refused_total", fmt.Sprint(code), 1} }
func closed(reason socketio.Reason) metric {
	return metric{"sessions_closed_total", string(reason), 1}
}

// requireUnharmed checks that the attack was counted, that the attacker's sessions are gone, that it has not cost more
// memory than it may, and that both bystanders are served.
func (a *target) requireUnharmed(want ...metric) {
	t := a.site.t
	t.Helper()
	want = append(want, metric{"sessions", "websocket", 1}, metric{"sessions", "polling", 1}) // the bystanders
	for _, m := range want {
		require.Eventually(t, func() bool { return a.counted(m.name, m.label) == m.times },
			10*time.Second, time.Millisecond, "%s %s", m.name, m.label)
	}
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	require.Less(t, stats.TotalAlloc-a.allocated, uint64(memory))
	a.ws.send(`42["echo","ws"]`)
	a.ws.expect(`42["echo","ws"]`)
	a.polling.post(`42["echo","polling"]`)
	require.Equal(t, []string{`42["echo","polling"]`}, a.polling.get())
}

func (a *target) counted(name, label string) float64 {
	return sample(a.site.t, a.reg, "signalbox_socketio_"+name, label)
}

// attacker sends packets by one of the transports, until it is closed.
type attacker func(a *target, eio string, packets []string)

// byWebSocket gets a close frame.
func byWebSocket(a *target, eio string, packets []string) {
	ws, _ := a.open(eio, "")
	if eio == "3" {
		ws.expect("40")
	} else {
		ws.in("40")
	}
	go func() {
		for _, packet := range packets {
			kind := 1
			if data, ok := strings.CutPrefix(packet, "bin:"); ok {
				kind, packet = 2, data
				if eio == "3" {
					packet = "\x04" + data
				}
			}
			if ws.conn.WriteMessage(kind, []byte(packet)) != nil {
				return
			}
		}
	}()
	require.Equal(a.site.t, 1003, ws.readClose())
}

// byPolling gets an error, and its id is unknown from then on.
func byPolling(a *target, eio string, packets []string) {
	c := a.poll(eio, "")
	if eio == "4" {
		c.post("40")
	}
	for _, packet := range packets {
		if answer := c.tryPost(packet); answer.status != http.StatusOK {
			require.Equal(a.site.t, http.StatusBadRequest, answer.status)
			c.requireGone()
			return
		}
	}
	require.Fail(a.site.t, "all of it was taken")
}

func repeat(n int, packet func(i int) string) (packets []string) {
	for i := range n {
		packets = append(packets, packet(i))
	}
	return packets
}

// Each row would cost others their service, or the server its memory, if it were let pass. It is the end of its session,
// in both versions and by both transports, and of nothing else.
func TestBadPackets(t *testing.T) {
	const both, only4, only3 = "34", "4", "3"
	for _, tc := range []struct {
		name     string
		versions string
		rule     socketio.FormatCode
		send     []string
	}{
		{"UnknownEnginePacket", both, socketio.BadEnginePacket, []string{"7x"}},
		{"OpenFromClient", both, socketio.BadEnginePacket, []string{"0{}"}},
		{"UpgradeWithoutProbe", both, socketio.BadEnginePacket, []string{"5"}},
		{"PingInVersion4", only4, socketio.BadEnginePacket, []string{"2"}},
		{"PongInVersion3", only3, socketio.BadEnginePacket, []string{"3"}},
		{"NotUTF8", both, socketio.BadUTF8, []string{"42[\"x\",\"\xff\"]"}},

		{"UnknownPacket", both, socketio.BadPacket, []string{"49"}},
		{"NoPacket", both, socketio.BadPacket, []string{"4"}},
		{"ErrorFromClient", both, socketio.BadPacket, []string{`44{"message":"x"}`}},
		{"EventIsObject", both, socketio.BadPayload, []string{"42{}"}},
		{"EventIsText", both, socketio.BadPayload, []string{`42"x"`}},
		{"LettersForID", both, socketio.BadPayload, []string{`42abc["x"]`}},
		{"HugeID", both, socketio.BadAckID, []string{`429999999999999999["x"]`}},
		{"AckWithoutID", both, socketio.BadAckID, []string{`43[]`}},
		{"DisconnectWithPayload", both, socketio.BadPayload, []string{`41[]`}},
		{"EventWithoutName", both, socketio.BadEvent, []string{"42[]"}},
		{"NameIsObject", both, socketio.BadEvent, []string{"42[{}]"}},
		{"NameIsNull", both, socketio.BadEvent, []string{"42[null]"}},
		{"ReservedEvent", both, socketio.BadEvent, []string{`42["disconnect"]`}},
		{"NotJSON", both, socketio.BadJSON, []string{`42["x",]`}},
		{"CutOff", both, socketio.BadJSON, []string{`42["x","y`}},
		{"TwoValues", both, socketio.BadJSON, []string{`42["x"]["y"]`}},
		{"DeepJSON", both, socketio.BadJSON, []string{`42["x",` + strings.Repeat("[", 400_000) + strings.Repeat("]", 400_000) + `]`}},
		{"DeepAuth", only4, socketio.BadJSON, []string{`40/chat,` + strings.Repeat(`{"x":`, 1000) + "1" + strings.Repeat("}", 1000)}},
		{"TooManyArguments", both, socketio.BadPayload, []string{`42["x"` + strings.Repeat(",1", 300) + `]`}},

		{"ConnectIsText", both, socketio.BadPayload, []string{`40/chat,"x"`}},
		{"LargeAuth", both, socketio.BadPayload, []string{`40/chat,{"x":"` + strings.Repeat("x", 20_000) + `"}`}},
		{"SecondConnect", only4, socketio.BadNamespace, []string{"40"}},
		{"EventBeforeConnect", only4, socketio.BadNamespace, []string{`42/chat,["x"]`}},
		{"LongNamespace", both, socketio.BadNamespace, []string{"40/" + strings.Repeat("x", 900_000)}},
		{"ControlCharacterInNamespace", both, socketio.BadNamespace, []string{"40/a\x01b,"}},
		{"ThousandsOfNamespaces", both, socketio.BadNamespace, repeat(3000, func(i int) string { return fmt.Sprintf("40/n%d,", i) })},

		{"MillionAttachments", both, socketio.BadAttachments, []string{`451000000-["x"]`}},
		{"TextForAttachment", both, socketio.BadAttachments, []string{`451-["x",{"_placeholder":true,"num":0}]`, `42["x"]`}},
		{"AttachmentsTooLarge", both, socketio.BadAttachments, slices.Concat([]string{`4510-["x"]`}, repeat(9, func(int) string { return "bin:" + strings.Repeat("x", 200_000) }))},
		{"AttachmentToNothing", both, socketio.BadAttachments, []string{"bin:x"}},
		{"AttachmentTooMany", both, socketio.BadAttachments, []string{`451-["first"]`, "bin:x", "bin:y"}},
		{"PlaceholderForNone", both, socketio.BadAttachments, []string{`451-["x",{"_placeholder":true,"num":3}]`}},
		{"PlaceholderIsText", both, socketio.BadAttachments, []string{`451-["x",{"_placeholder":true,"num":"0"}]`}},
		{"ThousandsOfPlaceholders", both, socketio.BadAttachments, []string{`451-["x",[{"_placeholder":true,"num":1}` + strings.Repeat(`,{"_placeholder":true,"num":0}`, 30_000) + `]]`}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, version := range tc.versions {
				for name, by := range map[string]attacker{"websocket": byWebSocket, "polling": byPolling} {
					t.Run(fmt.Sprintf("%s by %s", string(version), name), func(t *testing.T) {
						a := attacked(t, socketio.Options{})
						by(a, string(version), tc.send)
						a.requireUnharmed(invalid(tc.rule), closed(socketio.ReasonParseError))
						require.NotContains(t, strings.Join(a.all(), "\n"), "event / x")
					})
				}
			}
		})
	}
}

// Attachments that never come are not waited for as long as the client likes, though it goes on with its heartbeats.
func TestAttachmentsThatNeverCome(t *testing.T) {
	for name, attack := range map[string]func(a *target){
		"WebSocket": func(a *target) {
			ws, _ := a.open("3", "")
			ws.expect("40")
			ws.send(`452-["echo",{"_placeholder":true,"num":0}]`, "bin:\x04x")
			for range 2 {
				<-time.After(4 * time.Second)
				ws.send("2")
				ws.expect("3")
			}
			require.Equal(a.site.t, 1003, ws.readClose())
		},
		"Polling": func(a *target) {
			c := a.poll("4", "")
			c.post("40")
			c.get()
			c.post(`451-["echo","` + strings.Repeat("x", 900_000) + `"]`)
			require.Equal(a.site.t, []string{"2"}, c.get())
			require.Equal(a.site.t, []string{"1"}, c.get())
			c.requireGone()
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := attacked(t, socketio.Options{PingInterval: 9 * time.Second, PingTimeout: 20 * time.Second})
				started := time.Now()
				attack(a)
				require.LessOrEqual(t, time.Since(started), 10*time.Second)
				time.Sleep(10*time.Second - time.Since(started))
				synctest.Wait()
				a.polling.post("2")
				require.Equal(t, []string{"3"}, a.polling.get())
				a.ws.expect("2")
				a.ws.send("3")
				a.requireUnharmed(invalid(socketio.BadAttachments), closed(socketio.ReasonParseError))
			})
		})
	}
	t.Run("InTime", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s, r := serveRecorder(t, socketio.Options{AttachmentTimeout: 3 * time.Second})
			ws, _ := s.open("4", "")
			ws.in("40")
			for range 3 {
				ws.send(`452-["x",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]`, "bin:a")
				time.Sleep(2 * time.Second)
				ws.send("bin:b")
				synctest.Wait()
			}
			require.Len(t, r.all(), 4)
		})
	})
}

// What looks odd but costs nothing is answered as the protocol says, or ignored, and the session goes on.
func TestHarmlessPackets(t *testing.T) {
	for _, tc := range []struct {
		name         string
		versions     string
		send, answer []string
	}{
		{"UnknownNamespace", "4", []string{"40/none,"}, []string{`44/none,{"message":"Invalid namespace"}`}},
		{"UnknownNamespace", "3", []string{"40/none"}, []string{`44/none,"Invalid namespace"`}},
		{"EventElsewhere", "3", []string{`42/chat,["x"]`}, nil},
		{"UnknownEvent", "34", []string{`42["never heard of"]`}, nil},
		{"ThousandsOfUnaskedAcks", "34", repeat(5000, func(i int) string { return fmt.Sprintf("43%d[]", i) }), nil},
		{"ThousandsOfEventsWithAck", "34", repeat(5000, func(i int) string { return fmt.Sprintf(`42%d["x"]`, i) }), nil},
		{"ThousandsOfPackets", "34", repeat(5000, func(int) string { return "6" }), nil},
		{"LookAlikePlaceholder", "34", []string{`42["echo",{"_placeholder":true,"num":7}]`}, []string{`42["echo",{"_placeholder":true,"num":7}]`}},
		{"OddArguments", "34", []string{`42["echo",null,{},[]]`, `42["echo"]`, `42[7]`}, []string{`42["echo",null,{},[]]`, `42["echo"]`}},
		{"BigNumber", "34", []string{`42["echo",1e999,18446744073709551617]`}, []string{`42["echo",1e999,18446744073709551617]`}},
		{"LeftTwice", "34", []string{"41", "41"}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, version := range tc.versions {
				a := attacked(t, socketio.Options{})
				eio := string(version)
				ws, _ := a.open(eio, "")
				c := a.poll(eio, "")
				if eio == "3" {
					ws.expect("40")
				} else {
					ws.in("40")
					c.post("40")
					c.get()
				}
				ws.send(tc.send...)
				ws.expect(tc.answer...)
				c.post(tc.send...)
				if len(tc.answer) > 0 {
					require.Equal(t, tc.answer, c.get())
				}
				for _, packet := range []string{"40/chat,", `42/chat,["echo"]`} { // still there
					ws.send(packet)
					c.post(packet)
				}
				ws.read()
				ws.expect(`42/chat,["echo"]`)
				ws.send("1")
				c.post("1")
				a.requireUnharmed(metric{"sessions_closed_total", "transport close", 2})
			}
		})
	}
}
