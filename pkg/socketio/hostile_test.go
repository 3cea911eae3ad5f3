package socketio_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/socketio"
)

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
