package app_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/wire"
	"github.com/signalbox-rtc/signalbox/services/gateway/app"
)

// Ten rooms of thirty members over three gateways, everybody sending to everybody and to one another at random, volatile
// messages among them, without waiting for one's own replies. The replies say which number each message got, so the whole
// history of a room is known: it has no hole. Each member must have been told just that part of it that was for it, in
// the order of the numbers, nothing lost and nothing twice.
func TestOneOrder(t *testing.T) {
	onBoth(t, func(t *testing.T, redis backend) {
		const rooms, members = 10, 30
		gateways := startGateways(t, 3, redis, func(c *app.Config) {
			c.Demo.Capacity = members
			c.Limits.RequestsPerSecond, c.Limits.RequestsBurst = 100_000, 100_000
			c.Session.QueueMessages = 100_000
			c.Session.QueueBytes = 64 << 20
			c.Log.Level = "warn"
		})
		seed := uint64(time.Now().UnixNano())
		t.Logf("seed %d", seed)
		histories := make([]*history, rooms)
		var running sync.WaitGroup
		for i := range histories {
			histories[i] = newHistory(t, gateways, "room-"+strconv.Itoa(i), members)
		}
		for i, h := range histories {
			running.Go(func() { h.talk(t, rand.New(rand.NewPCG(seed, uint64(i)))) })
		}
		running.Wait()
		require.False(t, t.Failed())
		events := 0
		for _, h := range histories {
			events += h.check(t)
		}
		t.Logf("%d events in %d rooms, %d deliveries checked", sumOf(histories), rooms, events)
	})
}

// history is what happened in one room, as the replies tell it.
type history struct {
	room    string
	members []*talker

	mu     sync.Mutex
	events map[int64]occurrence // by seq; guarded by mu
}

// occurrence is one event with whom it was for.
type occurrence struct {
	text string // as a receiver would tell it
	from string
	to   string // "": all but from
	echo bool   // from, too
}

// talker is one member.
type talker struct {
	*peer
	joined int64 // seq of its own joining
}

// newHistory has the members join, one after the other.
func newHistory(t *testing.T, gateways []*gateway, room string, members int) *history {
	t.Helper()
	h := &history{room: room, events: make(map[int64]occurrence)}
	for i := range members {
		p := connect(t, gateways[i%len(gateways)], fmt.Sprint(room, "-", i))
		seq := p.mustJoin(t, room).Seq
		h.members = append(h.members, &talker{peer: p, joined: seq})
		h.note(t, seq, occurrence{text: "joined " + p.id(), from: p.id()})
	}
	return h
}

// note adds an event to the history. A number that was given out twice fails the test.
func (h *history) note(t *testing.T, seq int64, o occurrence) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if other, taken := h.events[seq]; taken {
		t.Errorf("number %d of %s is both %q and %q", seq, h.room, other.text, o.text)
	}
	h.events[seq] = o
}

// endMark is what the last message of a room says: since there is one order, it comes after all else.
const endMark = `"the end"`

// talk has all members send, and returns when every member has the last message.
func (h *history) talk(t *testing.T, random *rand.Rand) {
	// With many more in each of ten rooms, some would wait for longer than a call may, on a machine that is slow or busy.
	const each, underWay = 15, 8
	var answers sync.WaitGroup
	places := make(chan struct{}, underWay)
	for i := range each * len(h.members) {
		places <- struct{}{}
		from := h.members[random.IntN(len(h.members))]
		body, o := h.compose(random, from, i)
		answers.Add(1)
		from.Go(body, func(reply *wire.Reply, err error) {
			defer func() {
				<-places
				answers.Done()
			}()
			done := new(wire.Done)
			if err == nil && reply.Err != nil {
				err = reply.Err
			}
			if err == nil {
				err = reply.Decode(done)
			}
			if err != nil {
				t.Errorf("%s in %s: %v", o.text, h.room, err)
				return
			}
			h.note(t, done.Seq, o)
		})
	}
	answers.Wait()
	last := h.members[0]
	done, err := last.Publish(t.Context(), wire.Publish{Room: h.room, Data: []byte(endMark), Echo: true})
	if err != nil {
		t.Errorf("the end of %s: %v", h.room, err)
		return
	}
	h.note(t, done.Seq, occurrence{text: "message of " + last.id() + " " + endMark, from: last.id(), echo: true})
}

// compose makes a message of a random kind.
func (h *history) compose(random *rand.Rand, from *talker, number int) (wire.RequestBody, occurrence) {
	data := fmt.Sprintf(`{"number":%d,"filling":%q}`, number, strings.Repeat("x", random.IntN(600)))
	if to := h.members[random.IntN(len(h.members))]; random.IntN(3) == 0 && to != from {
		return &wire.Signal{Room: h.room, To: to.id(), Data: []byte(data)},
			occurrence{text: "signal of " + from.id() + " " + data, from: from.id(), to: to.id()}
	}
	publish := &wire.Publish{Room: h.room, Data: []byte(data), Echo: random.IntN(4) == 0, Volatile: random.IntN(3) == 0}
	text := "message of " + from.id() + " " + data
	if publish.Volatile {
		text = "volatile " + text
	}
	return publish, occurrence{text: text, from: from.id(), echo: publish.Echo}
}

// check compares what each member was told with the history, and returns the number of events that were compared.
func (h *history) check(t *testing.T) int {
	t.Helper()
	numbers := slices.Sorted(maps.Keys(h.events))
	require.EqualValues(t, 1, numbers[0])
	require.EqualValues(t, len(numbers), numbers[len(numbers)-1], "the history of %s has no hole", h.room)
	total := 0
	for _, member := range h.members {
		var want []string
		for _, seq := range numbers {
			if o := h.events[seq]; seq > member.joined && o.isFor(member.id()) {
				want = append(want, fmt.Sprint(seq, " ", o.text))
			}
		}
		until(t, func() bool {
			told := member.seen()
			return len(told) > 0 && told[len(told)-1].Seq == numbers[len(numbers)-1]
		}, "the last message of "+h.room)
		var got []string
		for _, event := range member.seen() {
			require.Equal(t, h.room, event.Room)
			got = append(got, fmt.Sprint(event.Seq, " ", tell(event)))
		}
		require.Equal(t, want, got, "what %s was told in %s", member.id(), h.room)
		total += len(got)
	}
	return total
}

func (o occurrence) isFor(id string) bool {
	switch {
	case o.to != "":
		return o.to == id
	case o.from == id:
		return o.echo
	}
	return true
}

// tell puts an event as an occurrence does.
func tell(event wire.Event) string {
	switch body := event.Body.(type) {
	case *wire.JoinedPeer:
		return "joined " + body.Peer.ID
	case *wire.Signaled:
		return "signal of " + body.From + " " + string(body.Data)
	case *wire.Message:
		text := "message of " + body.From + " " + string(body.Data)
		if body.Volatile {
			text = "volatile " + text
		}
		return text
	}
	return fmt.Sprintf("something else: %#v", event.Body)
}

func sumOf(histories []*history) (events int) {
	for _, h := range histories {
		events += len(h.events)
	}
	return events
}
