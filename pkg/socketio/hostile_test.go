package socketio_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/socketio"
)

// Each row would cost others their service, or the server its memory, if it were let pass. The client is closed, and
// another one is still served.
func TestHostilePackets(t *testing.T) {
	many := func(n int, packet func(i int) string) (packets []string) {
		for i := range n {
			packets = append(packets, packet(i))
		}
		return packets
	}
	for _, tc := range []struct {
		name string
		send []string
	}{
		{"an event before the CONNECT", []string{`42/chat,["x"]`}},
		{"an unknown type", []string{"4abc"}},
		{"an object for an event", []string{"42{}"}},
		{"letters for an id", []string{`42abc["x"]`}},
		{"deep JSON", []string{`42["x",` + strings.Repeat("[", 400_000) + strings.Repeat("]", 400_000) + `]`}},
		{"a million attachments", []string{`451000000-["x"]`}},
		{"text in place of an attachment", []string{`451-["x",{"_placeholder":true,"num":0}]`, `42["x"]`}},
		{"attachments too large together", append([]string{`4510-["x"]`}, many(9, func(int) string { return "bin:" + strings.Repeat("x", 200_000) })...)},
		{"an attachment to nothing", []string{"bin:x"}},
		{"an attachment too many", []string{`451-["x"]`, "bin:x", "bin:y"}},
		{"a placeholder for none", []string{`451-["x",{"_placeholder":true,"num":3}]`}},
		{"a reserved event", []string{`42["disconnect"]`}},
		{"an error from a client", []string{`44{"message":"x"}`}},
		{"a second CONNECT", []string{"40"}},
		{"thousands of namespaces", many(3000, func(i int) string { return fmt.Sprintf("40/n%d,", i) })},
		{"a namespace of a megabyte", []string{"40/" + strings.Repeat("x", 900_000)}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			reg := prometheus.NewRegistry()
			s, r := serveRecorder(t, socketio.Options{Registerer: reg})
			bystander, _ := s.open("4", "")
			bystander.in("40")
			ws, _ := s.open("4", "")
			ws.in("40")
			go func() {
				for _, m := range tc.send {
					kind := 1
					if data, ok := strings.CutPrefix(m, "bin:"); ok {
						kind, m = 2, data
					}
					if ws.conn.WriteMessage(kind, []byte(m)) != nil {
						return
					}
				}
			}()
			ws.readClose()
			require.Eventually(t, func() bool {
				all := r.all()
				return all[len(all)-1] == "disconnect / parse error mine"
			}, 5*time.Second, time.Millisecond)
			bystander.send(`42["echo"]`)
			bystander.expect(`42["echo"]`)
			require.Equal(t, 1.0, sample(t, reg, "signalbox_socketio_sessions_closed_total", "parse error"))
			require.Equal(t, 1.0, sample(t, reg, "signalbox_socketio_sessions", "websocket"))
		})
	}
}

// sample gives the value of a metric with this label value.
func sample(t *testing.T, reg *prometheus.Registry, name, label string) float64 {
	t.Helper()
	families, err := reg.Gather()
	require.NoError(t, err)
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, metric := range family.GetMetric() {
			for _, pair := range metric.GetLabel() {
				if pair.GetValue() == label {
					return metric.GetCounter().GetValue() + metric.GetGauge().GetValue()
				}
			}
		}
	}
	return 0
}

func TestTooManyNamespaces(t *testing.T) {
	namespaces := map[string]socketio.Namespace{}
	for i := range 5 {
		namespaces[fmt.Sprintf("/n%d", i)] = socketio.Namespace{}
	}
	ws, _ := serve(t, socketio.Options{Namespaces: namespaces, NamespacesPerSession: 3}).open("4", "")
	for i := range 3 {
		ws.in(fmt.Sprintf("40/n%d,", i))
	}
	ws.send("40/n3,")
	ws.expect(`44/n3,{"message":"Too many namespaces"}`)
	ws.send("41/n0,")
	ws.in("40/n3,")
}

// Attachments that never come cost no more than the client's own time: its heartbeat ends the wait if nothing else does.
func TestAttachmentsThatNeverCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, r := serveRecorder(t, socketio.Options{})
		ws, _ := s.open("3", "")
		ws.expect("40")
		ws.send(`4510-["echo"]`, "bin:\x04x")
		time.Sleep(15 * time.Second)
		synctest.Wait()
		require.Equal(t, []string{"connect / auth= token=", "disconnect / ping timeout mine"}, r.all())
	})
}

// Thousands of events that ask for an acknowledgement nobody gives leave nothing behind, and all that is given is sent.
func TestThousandsOfAcks(t *testing.T) {
	s := serve(t, socketio.Options{Namespaces: map[string]socketio.Namespace{"/": {
		Event: func(_ *socketio.Socket, e socketio.Event, answer func(socketio.Ack)) {
			if e.Name == "last" {
				answer(socketio.Ack{})
			}
		},
	}}})
	ws, _ := s.open("4", "")
	ws.in("40")
	for i := range 5000 {
		ws.send(fmt.Sprintf(`42%d["x"]`, i))
	}
	ws.send(`425000["last"]`)
	ws.expect(`435000[]`)
}

// Nobody finds a session by trying, and trying does no harm.
func TestGuessedIDs(t *testing.T) {
	s := serve(t, socketio.Options{})
	c := s.poll("4", "")
	for _, sid := range []string{
		"constructor", "__proto__", "toString", "%00", "..%2F..%2F", strings.Repeat("A", 20), strings.Repeat("A", 5000),
		c.sid[:19], c.sid + "A", strings.ToLower(c.sid) + "x", c.sid + "%00", " " + c.sid,
	} {
		answer := s.must(request{query: "EIO=4&transport=polling&sid=" + strings.ReplaceAll(sid, " ", "%20")})
		require.JSONEq(t, `{"code":1,"message":"Session ID unknown"}`, answer.body, sid)
	}
	c.post("4still here")
	require.Equal(t, []string{"4still here"}, c.get())
}

// A client that uses both transports at once, against all rules, gets errors or messages, each of them once.
func TestBothTransportsAtOnce(t *testing.T) {
	eachVersion(t, func(t *testing.T, eio string) {
		for range 10 {
			s := serve(t, socketio.Options{})
			c := s.poll(eio, "")
			var mu sync.Mutex
			seen := map[string]int{}
			note := func(packets ...string) {
				mu.Lock()
				defer mu.Unlock()
				for _, packet := range packets {
					seen[packet]++
				}
			}
			var running sync.WaitGroup
			running.Go(func() {
				for i := range 30 {
					if c.tryPost(fmt.Sprintf("4p%d", i)).status != http.StatusOK {
						return
					}
				}
			})
			running.Go(func() {
				for range 30 {
					answer, err := c.do(t.Context(), request{query: c.query()})
					if err != nil || answer.status != http.StatusOK {
						return
					}
					note(c.split(answer)...)
				}
			})
			ws := s.dial(eio, "&sid="+c.sid)
			running.Go(func() {
				ws.conn.WriteMessage(1, []byte("2probe"))
				for range rand.N(3) {
					ws.conn.WriteMessage(1, []byte("4too early"))
				}
				ws.conn.WriteMessage(1, []byte("5"))
				for i := range 30 {
					ws.conn.WriteMessage(1, fmt.Appendf(nil, "4w%d", i))
				}
				ws.conn.WriteMessage(1, []byte("1"))
				for {
					_, data, err := ws.conn.ReadMessage()
					if err != nil {
						break
					}
					note(string(data))
				}
				c.tryPost("1")
			})
			running.Wait()
			for packet, times := range seen {
				if packet != "6" {
					require.Equal(t, 1, times, packet)
				}
			}
		}
	})
}

// Random bytes at every entrance: no crash, and the server goes on.
func TestNoise(t *testing.T) {
	s, _ := serveRecorder(t, socketio.Options{MaxPayload: 10_000})
	random := rand.New(rand.NewPCG(1, 2))
	const alphabet = "0123456789-/,[]{}\"b:\x1e_placeholder\xff\x00\x04😀"
	noise := func() string {
		b := make([]byte, random.IntN(60))
		for i := range b {
			b[i] = alphabet[random.IntN(len(alphabet))]
		}
		return string(b)
	}
	for range 100 {
		for _, eio := range []string{"3", "4"} {
			c := s.poll(eio, "")
			if random.IntN(2) == 0 {
				c.header = http.Header{"Content-Type": {"application/octet-stream"}}
			}
			c.postBody(noise())
			ws, _ := s.open(eio, "")
			_ = ws.conn.WriteMessage(1+random.IntN(2), []byte(noise()))
			_ = ws.conn.WriteMessage(1, []byte("4"+noise()))
			ws.conn.Close()
		}
	}
	ws, _ := s.open("4", "")
	ws.in("40")
}
