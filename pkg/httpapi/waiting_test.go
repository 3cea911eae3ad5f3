package httpapi_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/httpapi"
	"github.com/signalbox-rtc/signalbox/pkg/store"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// Who waits is listed, let in and sent away.
func TestWaiting(t *testing.T) {
	s := start(t, nil)
	room := store.Room{App: "acme", Name: "stage"}
	for _, peer := range []string{"p1", "p2"} {
		s.place(t, room, peer)
	}
	var listed struct{ Waiting []httpapi.Waiter }
	s.ask(t, acmeKey, "GET", rooms+"/stage/waiting", "").ok(200, &listed)
	require.Equal(t, []httpapi.Waiter{
		{Peer: "p1", User: "u-p1", Reason: "moderated"}, {Peer: "p2", User: "u-p2", Reason: "moderated"},
	}, listed.Waiting)
	s.ask(t, acmeKey, "POST", rooms+"/stage/waiting/p9/admit", "").problem(404, wire.CodePeerGone)
	s.ask(t, acmeKey, "POST", rooms+"/stage/waiting/p2/admit", "").ok(200, nil)
	var got httpapi.Room
	s.ask(t, acmeKey, "GET", rooms+"/stage", "").ok(200, &got)
	require.Equal(t, 1, got.Members)
	var affected struct{ Affected int }
	s.ask(t, acmeKey, "POST", rooms+"/stage/waiting/deny", "").ok(200, &affected)
	require.Equal(t, 1, affected.Affected)
	s.ask(t, acmeKey, "GET", rooms+"/stage/waiting", "").ok(200, &listed)
	require.Empty(t, listed.Waiting)
}

// A room lasts as long as it was made for, with people in it or not.
func TestLifetime(t *testing.T) {
	s := start(t, nil)
	s.ask(t, acmeKey, "POST", rooms, `{"room":"short","lifetime":1}`).ok(201, nil)
	s.ask(t, acmeKey, "POST", rooms, `{"room":"long","keep":3600}`).ok(201, nil)
	for _, name := range []string{"short", "long"} {
		s.join(t, "acme", name, "p1", "ann")
	}
	partition := s.store.Partition(store.Room{App: "acme", Name: "short"})
	require.Eventually(t, func() bool {
		ended := make(chan int, 1)
		s.store.Finish(partition, func(finished, _ int, _ error) { ended <- finished })
		return <-ended == 1
	}, 10*time.Second, 10*time.Millisecond)
	s.ask(t, acmeKey, "GET", rooms+"/short", "").problem(404, httpapi.CodeNotFound)
	s.ask(t, acmeKey, "POST", rooms+"/long/kick", "").ok(200, nil)
	s.ask(t, acmeKey, "GET", rooms+"/long", "").ok(200, nil)
}

// place has a peer wait in a moderated room.
func (s *server) place(tb testing.TB, room store.Room, peer string) {
	tb.Helper()
	head, tail := wire.SplitJoined(room.Name, &wire.Peer{ID: peer, User: "u-" + peer})
	done := make(chan *store.Place, 1)
	s.store.Join(store.Join{
		Seat: store.Seat{Room: room, Peer: peer, Node: "node-of-the-tests"}, Profile: []byte(`{"user":"u-` + peer + `"}`), Capacity: 3,
		EventHead: head, EventTail: tail, Back: wire.AppendEventBody(nil, room.Name, &wire.BackPeer{Peer: peer}),
		Wait: true, Rules: store.Rules{Moderated: true, Waiting: 5},
	}, func(snapshot *store.Snapshot, err error) {
		if err != nil {
			done <- nil
			return
		}
		done <- snapshot.Place
	})
	require.NotNil(tb, <-done, "it has to wait")
}
