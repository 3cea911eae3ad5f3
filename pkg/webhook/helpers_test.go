package webhook_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/internal/memnet"
	"github.com/signalbox-rtc/signalbox/internal/memredis"
	"github.com/signalbox-rtc/signalbox/pkg/store"
	"github.com/signalbox-rtc/signalbox/pkg/webhook"
	"github.com/signalbox-rtc/signalbox/pkg/webhook/standard"
)

// endpoints has every app have the same.
func endpoints(list ...webhook.Endpoint) webhook.Source {
	return func(string) []webhook.Endpoint { return list }
}

// openStore opens a store that ends with the test.
func openStore(t *testing.T, opts store.Options) *store.Store {
	t.Helper()
	opts.Logger = slog.New(slog.DiscardHandler)
	s, err := store.Open(t.Context(), opts)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = s.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
		_ = s.Close()
	})
	return s
}

// startEngine runs an engine until the test, or stop, ends it.
func startEngine(t *testing.T, opts webhook.Options) (stop func()) {
	t.Helper()
	e, err := webhook.New(opts)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = e.Run(ctx) })
	stop = func() {
		cancel()
		running.Wait()
	}
	t.Cleanup(stop)
	return stop
}

func call[T any](t *testing.T, do func(done func(T, error))) T {
	t.Helper()
	type answer struct {
		value T
		err   error
	}
	answers := make(chan answer, 1)
	do(func(value T, err error) { answers <- answer{value, err} })
	a := <-answers
	require.NoError(t, a.err)
	return a.value
}

func seatOf(room store.Room, peer string) store.Seat {
	return store.Seat{Room: room, Peer: peer, Node: "node", Generation: 1}
}

func join(t *testing.T, s *store.Store, room store.Room, peer string) *store.Snapshot {
	t.Helper()
	return call(t, func(done func(*store.Snapshot, error)) {
		s.Join(store.Join{
			Seat: seatOf(room, peer), Profile: []byte(`{"user":"u-` + peer + `"}`), Capacity: 9, Hooks: true,
			EventHead: []byte(`{"type":"joined-peer","peer":"` + peer + `","order":`), EventTail: []byte(`}`),
			Back: []byte(`{"type":"back-peer"}`),
		}, done)
	})
}

func leave(t *testing.T, s *store.Store, room store.Room, peer string) {
	t.Helper()
	call(t, func(done func(store.Left, error)) {
		s.Leave(store.Leave{Seat: seatOf(room, peer), Event: []byte(`{"type":"left-peer","peer":"` + peer + `","reason":"left"}`)}, done)
	})
}

func report(t *testing.T, s *store.Store, room store.Room, peer, id string) {
	t.Helper()
	call(t, func(done func(struct{}, error)) {
		s.Report(store.Report{Seat: seatOf(room, peer), ID: id, Data: []byte(`{"outcome":"failed"}`)}, func(_ bool, err error) { done(struct{}{}, err) })
	})
}

// drained reports whether nothing is left to deliver, dead letters aside.
func drained(t *testing.T, s *store.Store) bool {
	t.Helper()
	busy, err := s.BusyOutboxes(t.Context())
	if err != nil || len(busy) > 0 {
		return false
	}
	for n := range s.Partitions() {
		collected, err := s.CollectOutbox(n, "nobody", time.Millisecond, 1)
		if err != nil || !collected.Held {
			return false
		}
		empty := len(collected.Entries)+len(collected.Queues) == 0
		require.NoError(t, s.ReleaseOutbox(n, "nobody"))
		if !empty {
			return false
		}
	}
	return true
}

// world is a Redis, a store and receivers on fake time.
type world struct {
	t        *testing.T
	network  *memnet.Network
	store    *store.Store
	receiver *receiver
}

func inBubble(t *testing.T, test func(t *testing.T, w *world)) {
	memredis.Bubble(t, func(t *testing.T) {
		w := &world{t: t, network: new(memnet.Network), receiver: &receiver{}}
		memredis.Serve(t, w.network)
		w.store = w.open(w.network.DialContext)
		test(t, w)
	})
}

func (w *world) open(dial func(context.Context, string, string) (net.Conn, error)) *store.Store {
	return openStore(w.t, store.Options{Addresses: []string{memredis.Addr}, Dialer: dial, Partitions: 4})
}

// options are those of an engine of which posts go to the receiver.
func (w *world) options(self string, list ...webhook.Endpoint) webhook.Options {
	return webhook.Options{Store: w.store, Self: self, Endpoints: endpoints(list...)}.WithTransport(w.receiver)
}

func (w *world) room(name string) store.Room { return store.Room{App: "acme", Name: name} }

func (w *world) letters() []string {
	w.t.Helper()
	letters, _, err := w.store.DeadLetters(w.t.Context(), "acme", "", 1000)
	require.NoError(w.t, err)
	var lines []string
	for _, l := range letters {
		lines = append(lines, l.Endpoint+" "+l.Reason+" "+l.Event.Room.Name+" "+l.Event.Kind)
	}
	return lines
}

// receiver answers posts, in place of a network.
type receiver struct {
	mu     sync.Mutex
	answer func(r *http.Request, events []webhook.Event) int // 0 hangs until the post is given up; nil takes all
	posts  []post
}

// post is one that was answered with 2xx.
type post struct {
	at     time.Time
	host   string
	id     string
	events []webhook.Event
}

func (r *receiver) RoundTrip(request *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(request.Body)
	if err != nil {
		return nil, err
	}
	var payload webhook.Payload
	if err := json.Unmarshal(body, &payload); err != nil {
		return nil, err
	}
	r.mu.Lock()
	answer := r.answer
	r.mu.Unlock()
	status := http.StatusNoContent
	if answer != nil {
		status = answer(request, payload.Events)
	}
	if status == 0 {
		<-request.Context().Done()
		return nil, errors.New("cut off")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if status < 300 {
		r.posts = append(r.posts, post{time.Now(), request.URL.Host, request.Header.Get(standard.HeaderID), payload.Events})
	}
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(nil)), Request: request}, nil
}

func (r *receiver) answers(answer func(r *http.Request, events []webhook.Event) int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = answer
}

// took are the posts that a host has taken.
func (r *receiver) took(host string) []post {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(r.posts), func(p post) bool { return p.host != host })
}

// events are those that a host has taken, each once, "<room> <type> [<peer>]" in the order of the first of each.
func (r *receiver) events(host string) []string {
	var lines []string
	seen := map[string]bool{}
	for _, p := range r.took(host) {
		for _, e := range p.events {
			if !seen[e.ID] {
				seen[e.ID] = true
				lines = append(lines, brief(e))
			}
		}
	}
	return lines
}

func brief(e webhook.Event) string {
	data, _ := e.Data.(map[string]any)
	peer, _ := data["peer"].(string)
	return strings.TrimSpace(e.Room + " " + e.Type + " " + peer)
}

// ofRoom are the lines of one room.
func ofRoom(lines []string, room string) []string {
	var own []string
	for _, line := range lines {
		if rest, ok := strings.CutPrefix(line, room+" "); ok {
			own = append(own, rest)
		}
	}
	return own
}
