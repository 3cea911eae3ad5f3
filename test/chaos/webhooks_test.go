package chaos

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// envWebhooks is for how long TestWebhooks breaks things, as 60s.
const envWebhooks = "CHAOS_WEBHOOKS"

const webhookKey = "0123456789abcdef0123456789abcdef"

// hooked is the configuration of an app whose guests are told of, with times that fit into a short test.
const hooked = `
cluster: {beat: 300ms, lease: 1500ms, partitions: 2}
rooms: {grace: 3s}
webhooks: {batch: 5, timeout: 500ms, min_retry: 50ms, max_retry: 400ms, poll: 100ms, lease: 1500ms, allow_http: true, allow_networks: [127.0.0.0/8]}
apps:
  - id: hooked
    anonymous: true
    policy: {capacity: 4}
    webhooks: [{id: backend, url: '%s', secrets: ['whsec_%s']}]
`

// backend is a receiver of webhooks that does what receivers do on bad days, until it is well.
type backend struct {
	mu      sync.Mutex
	ill     bool
	posts   int
	refused int            // posts that were not taken
	bad     []string       // what no post may be
	seen    map[string]int // by an event's id, how often it came
	events  []hookEvent    // each once, in the order in which it came first
}

// hookEvent is an event as a receiver reads it, from the documentation.
type hookEvent struct {
	ID, Type, Room, Epoch string
	Seq                   int64
	Data                  struct{ Peer, Reason string }
}

func (b *backend) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the sender is dead
	}
	b.mu.Lock()
	b.posts++
	ill := b.ill
	b.mu.Unlock()
	dice := 100
	if ill {
		dice = rand.IntN(100)
	}
	wait := func(d time.Duration) {
		select {
		case <-time.After(d):
		case <-r.Context().Done():
		}
	}
	switch {
	case dice < 20: // it fails
		b.refuse()
		w.WriteHeader(http.StatusInternalServerError)
		return
	case dice < 25: // it hangs
		b.refuse()
		wait(time.Minute)
		return
	case dice < 30: // it ends the connection without a word
		b.refuse()
		panic(http.ErrAbortHandler)
	case dice < 45: // it takes its time, while other posts overtake this one
		wait(time.Duration(rand.IntN(300)) * time.Millisecond)
	}
	b.take(r.Header, body)
	switch {
	case dice >= 45 && dice < 55: // it took the events, and says that it did not
		w.WriteHeader(http.StatusServiceUnavailable)
	case dice >= 55 && dice < 60: // or says nothing
		wait(time.Minute)
	}
}

func (b *backend) refuse() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refused++
}

// take checks the signature and keeps what is new.
func (b *backend) take(header http.Header, body []byte) {
	mac := hmac.New(sha256.New, []byte(webhookKey))
	_, _ = fmt.Fprintf(mac, "%s.%s.%s", header.Get("webhook-id"), header.Get("webhook-timestamp"), body)
	var payload struct{ Events []hookEvent }
	b.mu.Lock()
	defer b.mu.Unlock()
	if header.Get("webhook-signature") != "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)) {
		b.bad = append(b.bad, "a signature that is wrong")
	}
	if err := json.Unmarshal(body, &payload); err != nil || len(payload.Events) == 0 {
		b.bad = append(b.bad, string(body))
	}
	for _, e := range payload.Events {
		if b.seen[e.ID]++; b.seen[e.ID] == 1 {
			b.events = append(b.events, e)
		}
	}
}

func (b *backend) heal() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ill = false
}

// TestWebhooks has clients come and go while gateways are killed, Redis freezes and the receiver of webhooks fails, hangs, lies and
// answers out of order. In the end it must have every event: who looks at their ids has each once, whatever has begun has ended, and
// each room's are in their order.
func TestWebhooks(t *testing.T) {
	lasts := 7 * time.Second
	if text := os.Getenv(envWebhooks); text != "" {
		var err error
		lasts, err = time.ParseDuration(text)
		require.NoError(t, err)
	}
	b := &backend{ill: true, seen: make(map[string]int)}
	server := httptest.NewServer(b)
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	figures := newFigures("webhooks")
	c := newCluster(t, figures, options{
		config: fmt.Sprintf(hooked, server.URL, base64.StdEncoding.EncodeToString([]byte(webhookKey))),
	})

	going, stop := context.WithTimeout(c.ctx, lasts)
	defer stop()
	var clients sync.WaitGroup
	var mu sync.Mutex
	joined := map[string]int{} // by peer, how often it has got a seat
	for i := range 16 {
		p, err := c.dialParty(c.ctx, fmt.Sprint("guest-", i), partyOptions{app: "hooked"})
		require.NoError(t, err)
		clients.Go(func() {
			for going.Err() == nil {
				if p.join(going, fmt.Sprint("room-", rand.IntN(8))) == nil {
					mu.Lock()
					joined[p.session()]++
					mu.Unlock()
				}
				pause(going, time.Duration(rand.IntN(400))*time.Millisecond)
				_ = p.leave(c.ctx)
			}
		})
	}
	kills, freezes := 0, 0
	for i := 0; pause(going, 1500*time.Millisecond); i++ {
		if i%3 == 2 {
			c.redis.single.Stop()
			pause(c.ctx, 700*time.Millisecond)
			c.redis.single.Cont()
			freezes++
			continue
		}
		g := c.gateways[rand.IntN(len(c.gateways))]
		g.kill()
		kills++
		pause(c.ctx, 200*time.Millisecond)
		g.start()
	}
	clients.Wait()
	for _, p := range c.all() {
		_ = p.leave(c.ctx)
	}
	c.endParties()
	b.heal()
	healed := time.Now()
	c.await(patience, "all rooms end, and all is told", func() bool { return c.told() })
	settled := time.Since(healed)

	b.mu.Lock()
	defer b.mu.Unlock()
	require.Empty(t, b.bad)
	repeated := 0
	for _, times := range b.seen {
		repeated += times - 1
	}
	seats := checkHooks(t, b.events)
	for peer, times := range joined {
		require.GreaterOrEqual(t, seats[peer], times, "peer %s had a seat that was not told", peer)
	}
	trimmed, err := c.redis.keys("sb:*outbox:trimmed")
	require.NoError(t, err)
	require.Empty(t, trimmed)
	figures.count("events", len(b.events))
	figures.count("posts", b.posts)
	figures.count("refused", b.refused)
	figures.count("repeated events", repeated)
	figures.count("kills", kills)
	figures.count("freezes", freezes)
	figures.duration("settled", settled)
	t.Log(figures.line())
}

// told reports whether no room is left, and nothing that webhooks have to tell.
func (c *cluster) told() bool {
	for _, pattern := range []string{"sb:{*}:room:hooked/*", "sb:{*}:outbox", "sb:{*}:queue*", "sb:{*}:letters:*"} {
		if keys, err := c.redis.keys(pattern); err != nil || len(keys) > 0 {
			return false
		}
	}
	return true
}

// checkHooks goes through each room's events as a receiver that knows the rules, and gives how many seats each peer had.
func checkHooks(t *testing.T, events []hookEvent) (seats map[string]int) {
	t.Helper()
	type life struct {
		id    string
		epoch string
		seq   int64
		peers map[string]string // the seat's id, by peer
	}
	rooms, seats := map[string]*life{}, map[string]int{}
	for _, e := range events {
		room, pair := rooms[e.Room], strings.TrimSuffix(e.ID, "-"+e.Type)
		if e.Type == "room.created" {
			require.Nil(t, room, "%+v: the room before has not ended", e)
			rooms[e.Room] = &life{id: pair, epoch: e.Epoch, peers: map[string]string{}}
			continue
		}
		require.NotNil(t, room, "%+v: the room was not made", e)
		if room.epoch != e.Epoch {
			room.epoch, room.seq = e.Epoch, 0
		}
		require.GreaterOrEqual(t, e.Seq, room.seq, "%+v: out of order", e)
		room.seq = e.Seq
		switch e.Type {
		case "peer.joined":
			require.Empty(t, room.peers[e.Data.Peer], "%+v: joined twice", e)
			room.peers[e.Data.Peer] = pair
			seats[e.Data.Peer]++
		case "peer.left":
			require.Equal(t, room.peers[e.Data.Peer], pair, "%+v: left without having joined", e)
			require.NotEmpty(t, e.Data.Reason)
			delete(room.peers, e.Data.Peer)
		case "room.closed":
			require.Equal(t, room.id, pair)
			require.Empty(t, room.peers, "%+v: the room ended with peers", e)
			delete(rooms, e.Room)
		}
	}
	require.Empty(t, rooms, "rooms that have not ended")
	return seats
}
