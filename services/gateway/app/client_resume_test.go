package app_test

import (
	"context"
	"fmt"
	"net"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/client"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// wires are a client's network connections, to be cut, each over another gateway than the last.
type wires struct {
	gateways []*gateway

	mu   sync.Mutex
	made int      // guarded by mu
	last net.Conn // guarded by mu
}

func (w *wires) dial(ctx context.Context, network, _ string) (net.Conn, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	g := w.gateways[w.made%len(w.gateways)]
	conn, err := g.dial(ctx, network, g.PublicAddr().String())
	w.made, w.last = w.made+1, conn
	return conn, err
}

func (w *wires) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	_ = w.last.Close()
}

// A client whose connection is cut again and again, in the middle of its requests, goes on with its session on the
// other gateway: each message takes effect once, and is told once, in order.
func TestClientsResumeOnAnotherGateway(t *testing.T) {
	onBoth(t, func(t *testing.T, redis backend) {
		gateways := startGateways(t, 2, redis)
		w := &wires{gateways: gateways}
		resumed := make(chan *wire.Welcome, 100)
		ada := connect(t, gateways[0], "Ada", func(o *client.Options) {
			o.Reconnect, o.NetDialContext, o.Backoff.Healthy = true, w.dial, 1 // pauses that do not grow
			o.OnResumed = func(w *wire.Welcome) { resumed <- w }
		})
		bob := connect(t, gateways[1], "Bob")
		ada.mustJoin(t, "hall")
		bob.mustJoin(t, "hall")
		const cuts, each = 10, 20
		var want []string
		for i := range cuts {
			results := make(chan error, each)
			for j := range each {
				text := fmt.Sprintf(`"%d/%d"`, i, j)
				want = append(want, text)
				ada.Go(&wire.Publish{Room: "hall", Data: []byte(text), Echo: true}, func(reply *wire.Reply, err error) {
					if err == nil && reply.Err != nil {
						err = reply.Err
					}
					results <- err
				})
				require.NoError(t, bob.publish(t.Context(), "hall", text))
			}
			w.cut()
			for range each {
				require.NoError(t, <-results)
			}
			answer := <-resumed
			require.Equal(t, ada.id(), answer.Session)
			require.Equal(t, fmt.Sprintf("gateway-%d", (i+1)%2+1), answer.Node)
			require.Equal(t, wire.ResumeReplayed, answer.Rooms["hall"].Result)
		}
		said := func(p *peer, from string) (texts []string, seqs []int64) {
			for _, event := range p.seen() {
				if message, ok := event.Body.(*wire.Message); ok && message.From == from {
					texts = append(texts, string(message.Data))
				}
				if event.Seq > 0 {
					seqs = append(seqs, event.Seq)
				}
			}
			return texts, seqs
		}
		for _, p := range []*peer{ada, bob} {
			until(t, func() bool { texts, _ := said(p, ada.id()); return len(texts) >= len(want) }, "all that Ada said")
			texts, seqs := said(p, ada.id())
			require.Equal(t, want, texts)
			require.IsIncreasing(t, seqs)
		}
		until(t, func() bool { texts, _ := said(ada, bob.id()); return len(texts) >= len(want) }, "all that Bob said")
		heard, seqs := said(ada, bob.id())
		require.Len(t, heard, len(want))
		require.IsIncreasing(t, seqs)
		ada.Close()
		left := bob.await(t, wire.TypeLeftPeer)
		require.Equal(t, &wire.LeftPeer{Peer: ada.id(), Reason: wire.ReasonLeft}, left.Body, "and never before")
	})
}
