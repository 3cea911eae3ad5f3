package classic_test

import (
	"context"
	"log/slog"
	"math"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/internal/redistest"
	"github.com/signalbox-rtc/signalbox/pkg/auth"
	"github.com/signalbox-rtc/signalbox/pkg/room"
	"github.com/signalbox-rtc/signalbox/pkg/session"
	"github.com/signalbox-rtc/signalbox/pkg/socketio"
	"github.com/signalbox-rtc/signalbox/pkg/socketio/classic"
	"github.com/signalbox-rtc/signalbox/pkg/store"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// node is one gateway's share: Socket.IO with classic events on sessions, rooms, and a store on a real Redis.
type node struct {
	*site
	sessions *session.Server
	registry *prometheus.Registry
	key      auth.SigningKey
	life     context.Context // of the sessions
	drain    context.CancelFunc
}

// cluster makes n nodes on one Redis. The app "open" lets everybody in, "acme" those with a token.
func cluster(tb testing.TB, n int, opts session.Options) []*node {
	tb.Helper()
	redis := redistest.Single(tb)
	key, signing, err := auth.GenerateKey("k1", auth.HS256)
	require.NoError(tb, err)
	directory, err := auth.NewDirectory(auth.Options{Apps: []auth.App{
		{ID: "open", Anonymous: true}, {ID: "acme", Keys: []auth.Key{key}},
	}})
	require.NoError(tb, err)
	opts.Auth = directory
	var nodes []*node
	for i := range n {
		node := startNode(tb, redis.Addr(), "node"+string(rune('a'+i)), opts)
		node.key = signing
		nodes = append(nodes, node)
	}
	return nodes
}

func startNode(tb testing.TB, redis, id string, opts session.Options) *node {
	tb.Helper()
	const patience = 20 * time.Second
	n := &node{registry: prometheus.NewRegistry()}
	stored, err := store.Open(tb.Context(), store.Options{
		Addresses: []string{redis}, DialTimeout: patience, ReadTimeout: patience, WriteTimeout: patience, Partitions: 4,
		Registerer: n.registry, Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(tb, err)
	rooms, err := room.New(room.Options{Waiting: 5, Store: stored, Node: id, Registerer: n.registry})
	require.NoError(tb, err)
	inbox := stored.Inbox(id, rooms)
	var parts sync.WaitGroup
	running, stop := context.WithCancel(context.Background())
	parts.Go(func() { _ = stored.Run(running) })
	parts.Go(func() { _ = inbox.Run(running) })
	parts.Go(func() { _ = rooms.Run(running) })
	waiting, waited := context.WithTimeout(tb.Context(), patience)
	defer waited()
	require.NoError(tb, inbox.WaitReady(waiting))
	tb.Cleanup(func() {
		settling, settled := context.WithTimeout(context.Background(), patience)
		defer settled()
		require.NoError(tb, rooms.Settled(settling))
		require.Zero(tb, n.metric("signalbox_seats"))
		require.Zero(tb, n.metric("signalbox_sessions"))
		stop()
		parts.Wait()
		require.NoError(tb, stored.Close())
	})
	opts.Rooms, opts.Node, opts.Registerer = rooms, id, n.registry
	n.sessions, err = session.NewServer(opts)
	require.NoError(tb, err)
	n.life, n.drain = context.WithCancel(context.Background())
	tb.Cleanup(n.drain)
	n.site = serve(tb, classic.Options{Open: n.open}) // ends before what is under it
	return n
}

// open opens a session as a gateway does.
func (n *node) open(s *socketio.Socket, hello *wire.Hello, peer *classic.Peer) (classic.Session, error) {
	if hello.Token == "" && hello.App == "" {
		hello.App = "open"
	}
	client := session.Client{Transport: "socketio", ID: s.ID(), Capacity: 2}
	if s.Namespace() == "/chat" {
		client.Capacity = math.MaxInt
	}
	attached, err := n.sessions.Attach(n.life, hello, peer, client)
	if err != nil {
		return nil, err
	}
	return attached, nil
}

// token lets its holder do everything in all rooms of acme.
func (n *node) token(expires time.Time) string {
	n.tb.Helper()
	token, err := auth.Sign(n.key, auth.Claims{
		App: "acme", User: "ada", Expires: expires,
		Grants: []auth.Grant{{Room: "*", Can: auth.Permissions{Publish: true, Moderate: true, SetCapacity: true}}},
	})
	require.NoError(n.tb, err)
	return token
}

// metric adds up a metric of the node.
func (n *node) metric(name string) (sum float64) {
	n.tb.Helper()
	families, err := n.registry.Gather()
	require.NoError(n.tb, err)
	for _, family := range families {
		if family.GetName() == name {
			for _, metric := range family.GetMetric() {
				sum += metric.GetGauge().GetValue() + metric.GetCounter().GetValue()
			}
		}
	}
	return sum
}

// native is a session without any translation.
type native struct {
	*session.Attached
	tb     testing.TB
	lastID int64
	events chan *wire.Event
	reply  chan any
}

var _ session.Sink = (*native)(nil)

// native opens a session of an app that lets everybody in, or with a token.
func (n *node) native(hello *wire.Hello) *native {
	n.tb.Helper()
	peer := &native{tb: n.tb, events: make(chan *wire.Event, 1024), reply: make(chan any, 16)}
	var err error
	peer.Attached, err = n.sessions.Attach(n.life, hello, peer, session.Client{Transport: "test"})
	require.NoError(n.tb, err)
	n.tb.Cleanup(func() { peer.End(true) })
	return peer
}

// Deliver implements session.Sink.
func (n *native) Deliver(frame *wire.Frame) {
	_, event, err := wire.DecodeServer(slices.Clone(frame.Text()))
	if err != nil {
		n.tb.Errorf("%s: %v", frame.Text(), err)
		return
	}
	n.events <- event
}

// Reply implements session.Sink.
func (n *native) Reply(_ int64, body wire.ReplyBody) { n.reply <- body }

// Refuse implements session.Sink.
func (n *native) Refuse(_ int64, refusal *wire.Error) { n.reply <- refusal }

// Close implements session.Sink.
func (n *native) Close(wire.CloseCode, string) {}

// asks sends a request and gives its answer.
func (n *native) asks(body wire.RequestBody) any {
	n.tb.Helper()
	n.lastID++
	n.Handle(wire.Request{ID: n.lastID, Body: body})
	select {
	case answer := <-n.reply:
		return answer
	case <-time.After(20 * time.Second):
		require.FailNow(n.tb, "no answer", "%T", body)
		return nil
	}
}

// hears waits for the next event, and compares it as JSON.
func (n *native) hears(text string) {
	n.tb.Helper()
	select {
	case event := <-n.events:
		require.JSONEq(n.tb, text, string(wire.AppendEvent(nil, *event)))
	case <-time.After(20 * time.Second):
		require.FailNow(n.tb, "no event", text)
	}
}
