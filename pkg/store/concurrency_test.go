package store_test

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/store"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// A check and a write in two round trips over-fills a room in nearly every such race, or leaves it short.
func TestCapacityHoldsInARace(t *testing.T) {
	deployments(t, func(t *testing.T, d deployment) {
		nodes := []*node{startNode(t, d.options, "n0"), startNode(t, d.options, "n1"), startNode(t, d.options, "n2")}
		rounds, joiners, capacity := 10, 300, 2
		if !d.real {
			rounds, joiners = 2, 60
		}
		for round := range rounds {
			room := store.Room{App: "acme", Name: fmt.Sprintf("race-%d", round)}
			var seated, refused atomic.Int64
			var joining, answers sync.WaitGroup
			answers.Add(joiners)
			start := make(chan struct{})
			for i := range joiners {
				joining.Go(func() {
					n := nodes[i%len(nodes)]
					j := joinOf(n.seat(room, fmt.Sprintf("peer-%d", i)))
					j.Capacity = capacity
					<-start
					n.store.Join(j, func(s *store.Snapshot, err error) {
						defer answers.Done()
						var refusal *wire.Error
						switch {
						case err == nil:
							seated.Add(1)
							assert.LessOrEqual(t, s.Count, capacity)
							assert.Len(t, s.Members, s.Count)
						case errors.As(err, &refusal) && refusal.Code == wire.CodeRoomFull:
							refused.Add(1)
						default:
							assert.NoError(t, err)
						}
					})
				})
			}
			close(start)
			joining.Wait()
			answers.Wait()
			require.EqualValues(t, capacity, seated.Load(), "round %d", round)
			require.EqualValues(t, joiners-capacity, refused.Load())
			s, err := nodes[0].snapshot(store.Look{Room: room, Members: true})
			require.NoError(t, err)
			require.Equal(t, capacity, s.Count)
			for _, m := range s.Members {
				n := nodes[m.Node[1]-'0']
				_, err := n.leave(n.seat(room, m.ID))
				require.NoError(t, err)
			}
		}
		require.Empty(t, d.keys(t))
	})
}

// Many peers of several nodes join, talk and leave at the same time. Every number of the room is used once, each
// inbox has its events in the order of their numbers, and nothing that was published for a node is missing.
func TestOrderUnderConcurrency(t *testing.T) {
	deployments(t, func(t *testing.T, d deployment) {
		nodes := []*node{startNode(t, d.options, "n0"), startNode(t, d.options, "n1"), startNode(t, d.options, "n2")}
		peers, messages := 30, 40
		if !d.real {
			peers, messages = 9, 10
		}
		room := store.Room{App: "acme", Name: "order"}
		var mu sync.Mutex
		numbers := map[int64]string{}
		took := func(what string) func(int64, error) {
			return func(seq int64, err error) {
				assert.NoError(t, err, what)
				mu.Lock()
				defer mu.Unlock()
				assert.Empty(t, numbers[seq], "%d was given twice", seq)
				numbers[seq] = what
			}
		}
		for p := range peers {
			mustJoin(t, nodes[p%3], room, fmt.Sprintf("p%d", p))
		}
		var running sync.WaitGroup
		for p := range peers {
			running.Go(func() {
				n := nodes[p%3]
				seat := n.seat(room, fmt.Sprintf("p%d", p))
				var last sync.WaitGroup
				last.Add(messages)
				for i := range messages {
					m := store.Send{Seat: seat, Type: "message", Echo: true, Event: fmt.Appendf(nil, `{"type":"message","from":"%s","n":%d}`, seat.Peer, i)}
					if i%4 == 3 {
						m.To = fmt.Sprintf("p%d", (p+i)%peers)
					}
					done := took(seat.Peer)
					n.store.Send(m, func(seq int64, err error) { done(seq, err); last.Done() })
				}
				last.Wait()
			})
		}
		running.Wait()
		first, total := int64(peers+1), peers*messages
		require.Len(t, numbers, total)
		for seq := first; seq < first+int64(total); seq++ {
			require.NotEmpty(t, numbers[seq], "a hole at %d", seq)
		}
		for number, n := range nodes {
			broadcasts, directed := 0, 0
			last := map[string]int{} // sender to its latest message
			var seq int64
			for _, e := range n.expect(t, eventsAt(number, peers, messages)) {
				require.Greater(t, e.Seq, seq, "the order of the numbers")
				seq = e.Seq
				if e.Type != "message" {
					continue
				}
				var from string
				var i int
				_, err := fmt.Sscanf(string(e.Body), `{"type":"message","from":%q,"n":%d}`, &from, &i)
				require.NoError(t, err)
				require.GreaterOrEqual(t, i, last[from], "the order of the calls of %s", from)
				last[from] = i
				if e.To == "" {
					broadcasts++
				} else {
					directed++
				}
			}
			require.Equal(t, peers*(messages-messages/4), broadcasts)
			require.Positive(t, directed)
		}
	})
}

// eventsAt is how many events the node gets in TestOrderUnderConcurrency: joins after its own first one, all
// broadcasts, and what is directed to its peers.
func eventsAt(number, peers, messages int) int {
	events := peers - 1 - number // it has its first seat as the number-th joiner and hears of the later ones
	events += peers * (messages - messages/4)
	for p := range peers {
		for i := 3; i < messages; i += 4 {
			if (p+i)%peers%3 == number {
				events++
			}
		}
	}
	return events
}
