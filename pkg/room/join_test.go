package room_test

import (
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/internal/redistest"
	"github.com/signalbox-rtc/signalbox/pkg/room"
	"github.com/signalbox-rtc/signalbox/pkg/store"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// message makes an event of a room as the store would deliver it.
func message(name, epoch string, seq int64) store.Event {
	body := wire.AppendEventBody(nil, name, &wire.Message{From: "elsewhere", Data: mustJSON(seq)})
	return store.Event{Room: store.Room{App: app, Name: name}, Epoch: epoch, Seq: seq, Type: string(wire.TypeMessage), Body: body}
}

// loss is the event of a peer that was kicked.
func loss(name, epoch string, seq int64, peer string) store.Event {
	body := wire.AppendEventBody(nil, name, &wire.LeftPeer{Peer: peer, Reason: wire.ReasonKicked, By: "moderator"})
	return store.Event{Room: store.Room{App: app, Name: name}, Epoch: epoch, Seq: seq, Type: string(wire.TypeLeftPeer), Body: body}
}

func TestJoinSnapshot(t *testing.T) {
	deployments(t, func(t *testing.T, addr string) {
		n := startNode(t, addr, "n1", nodeOptions{})
		ada, bob := newPeer(t, n, "ada"), newPeer(t, n, "bob")
		begin := time.Now().Add(-time.Minute).UnixMilli()

		first, err := ada.joinWith(&wire.Join{Room: "r", Capacity: 3, State: wire.Object{"mic": mustJSON(true)}})
		require.NoError(t, err)
		require.Equal(t, "ada", first.Self)
		second, err := bob.join("r")
		require.NoError(t, err)
		require.Greater(t, second.Created, begin)
		require.Equal(t, &wire.Snapshot{
			Room: "r", Self: "bob", Epoch: first.Epoch, Seq: 2, Version: 1, Capacity: 3, Count: 2, Created: first.Created,
			Peers: []wire.Peer{
				{ID: "ada", Order: 1, User: "user-ada", Name: "Name of ada", State: wire.Object{"mic": mustJSON(true)}},
				{ID: "bob", Order: 2, User: "user-bob", Name: "Name of bob"},
			},
		}, second)
		joined := ada.await(t, wire.TypeJoinedPeer)
		require.EqualValues(t, 2, joined.Seq)
		require.Equal(t, second.Peers[1], joined.Body.(*wire.JoinedPeer).Peer)
		require.Equal(t, []string{"join 2"}, bob.record(), "nobody is told of oneself")
	})
}

// A snapshot names its peers as they are, whatever their names are made of.
func TestSnapshotNames(t *testing.T) {
	n := startNode(t, redistest.Single(t).Addr(), "n1", nodeOptions{})
	users := []string{"plain", `"`, `\`, `","name":"x`, "<script>&", "\u2028", "Zoë", "{}", "\x01", "}"}
	var snapshot *wire.Snapshot
	for i, user := range users {
		for j, name := range []string{"", "Ada", user} {
			id := fmt.Sprintf("p%d-%d", i, j)
			snapshot = newPeerAs(t, n, room.Identity{ID: id, App: "acme", User: user, Name: name, Grant: everything}).mustJoin(t, "r")
			self := snapshot.Peers[len(snapshot.Peers)-1]
			require.Equal(t, id, self.ID)
			require.Equal(t, user, self.User)
			require.Equal(t, name, self.Name)
		}
	}
	require.Len(t, snapshot.Peers, 3*len(users))
}

// Events that reach the node before the reply to a join: those that the snapshot has are not told again, those after
// it are told once each, in order, and after the snapshot.
func TestEventsBeforeTheSnapshot(t *testing.T) {
	addr := redistest.Single(t).Addr()
	other := startNode(t, addr, "other", nodeOptions{})
	host := newPeer(t, other, "host")
	epoch := host.mustJoin(t, "r").Epoch
	_, err := host.publish("r", "before")
	require.NoError(t, err)

	n := startNode(t, addr, "n1", nodeOptions{stopped: true, deaf: true})
	guest := newPeer(t, n, "guest")
	outcome := guest.startJoin(&wire.Join{Room: "r"})
	// The join will be number 3 of the room. What comes before its reply, some of it twice, waits for it.
	for _, seq := range []int64{1, 2, 3, 4, 5, 5, 6} {
		n.deliver(message("r", epoch, seq))
	}
	require.Empty(t, guest.record())
	n.run()
	require.NoError(t, (<-outcome).err)
	n.deliver(message("r", epoch, 6))
	n.deliver(message("r", epoch, 7))
	require.Equal(t, []string{"join 3", "message 4", "message 5", "message 6", "message 7"}, guest.record())
}

func TestTooManyEventsBeforeTheSnapshot(t *testing.T) {
	addr := redistest.Single(t).Addr()
	other := startNode(t, addr, "other", nodeOptions{})
	epoch := newPeer(t, other, "host").mustJoin(t, "r").Epoch

	n := startNode(t, addr, "n1", nodeOptions{stopped: true, deaf: true})
	guest := newPeer(t, n, "guest")
	outcome := guest.startJoin(&wire.Join{Room: "r"})
	for seq := range int64(5000) {
		n.deliver(message("r", epoch, seq+1))
	}
	n.run()
	// A gap would be silent: the join fails as a whole, and takes its seat back.
	requireCode(t, wire.CodeUnavailable, (<-outcome).err)
	require.NoError(t, n.rooms.Settled(t.Context()))
	require.Equal(t, []string{"host"}, members(t, other, "r"))
	n.emptied(t)
}

// Members join while others publish all the while: each sees, from its snapshot on, every number once.
func TestJoinUnderFire(t *testing.T) {
	deployments(t, func(t *testing.T, addr string) {
		const joiners, last = 20, "the end"
		n1, n2 := startNode(t, addr, "n1", nodeOptions{}), startNode(t, addr, "n2", nodeOptions{})
		host := newPeer(t, n1, "host")
		host.mustJoin(t, "r")
		stop := make(chan struct{})
		var publishing, joining sync.WaitGroup
		publishing.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := host.publish("r", "more"); err != nil {
					t.Error(err)
					return
				}
			}
		})
		guests := make([]*peer, joiners)
		for i := range guests {
			guests[i] = newPeer(t, []*node{n1, n2}[i%2], "guest-"+strconv.Itoa(i))
			joining.Go(func() {
				if _, err := guests[i].join("r"); err != nil {
					t.Error(err)
				}
			})
		}
		joining.Wait()
		close(stop)
		publishing.Wait()
		end, err := host.publish("r", last)
		require.NoError(t, err)

		for _, guest := range guests {
			eventually(t, func() bool {
				events := guest.events()
				return len(events) > 0 && events[len(events)-1].Seq == end
			}, "%s has the last event: %v", guest.id, guest.record)
			guest.mu.Lock()
			next := guest.told[0].snapshot.Seq + 1
			for _, told := range guest.told[1:] {
				require.Equal(t, next, told.event.Seq, "%s: every event after the snapshot, once, in order", guest.id)
				next++
			}
			guest.mu.Unlock()
			require.Equal(t, end+1, next)
		}
	})
}

func TestJoinAgain(t *testing.T) {
	deployments(t, func(t *testing.T, addr string) {
		n := startNode(t, addr, "n1", nodeOptions{})
		ada, bob := newPeer(t, n, "ada"), newPeer(t, n, "bob")
		ada.mustJoin(t, "r")
		bob.mustJoin(t, "r")
		again := ada.mustJoin(t, "r")
		require.EqualValues(t, 2, again.Seq)
		require.Equal(t, 2, again.Count)
		require.EqualValues(t, 1, again.Peers[0].Order, "the seat is the one that it had")
		_, err := bob.publish("r", "hello")
		require.NoError(t, err)
		ada.await(t, wire.TypeMessage)
		require.Equal(t, 2.0, n.metric(t, "signalbox_seats"))
		require.NoError(t, ada.leave("r"))
		require.Equal(t, []string{"bob"}, members(t, n, "r"))
		require.Equal(t, []string{"join 2", "left-peer 4"}, recordOnce(t, bob, "left-peer 4"))
	})
}

// recordOnce gives a peer's record once it ends with a word.
func recordOnce(tb testing.TB, p *peer, last string) []string {
	tb.Helper()
	eventually(tb, func() bool {
		record := p.record()
		return len(record) > 0 && record[len(record)-1] == last
	}, "%s was told %s last: %v", p.id, last, p.record)
	return p.record()
}

func TestLimits(t *testing.T) {
	addr := redistest.Single(t).Addr()
	n := startNode(t, addr, "n1", nodeOptions{Options: room.Options{PerSession: 2, Capacity: 3, MaxCapacity: 5}})

	t.Run("rooms of one session", func(t *testing.T) {
		ada := newPeer(t, n, "ada")
		ada.mustJoin(t, "a")
		ada.mustJoin(t, "b")
		_, err := ada.join("c")
		requireCode(t, wire.CodeLimit, err)
		ada.mustJoin(t, "b") // not a third one
		require.NoError(t, ada.leave("a"))
		ada.mustJoin(t, "c")
		require.Empty(t, members(t, n, "a"))
		ada.End(wire.ReasonLeft)
	})
	t.Run("seats", func(t *testing.T) {
		for _, tc := range []struct {
			name             string
			own, most, asked int
			want             int // 0: refused
		}{
			{"the service's", 0, 0, 0, 3},
			{"the app's", 2, 0, 0, 2},
			{"the app's over the service's most", 9, 0, 0, 5},
			{"the app's over its own most", 4, 3, 0, 3},
			{"the client's", 2, 4, 4, 4},
			{"the client's over the app's most", 2, 4, 5, 0},
			{"the client's over the service's most", 0, 0, 6, 0},
			{"the app's most over the service's", 0, 9, 6, 0},
		} {
			t.Run(tc.name, func(t *testing.T) {
				p := newPeerAs(t, n, room.Identity{ID: "p", App: app, User: "u", Capacity: tc.own, MaxCapacity: tc.most, Grant: everything})
				defer p.End(wire.ReasonLeft)
				snapshot, err := p.joinWith(&wire.Join{Room: "seats", Capacity: tc.asked})
				if tc.want == 0 {
					requireCode(t, wire.CodeLimit, err)
					return
				}
				require.NoError(t, err)
				require.Equal(t, tc.want, snapshot.Capacity)
				if tc.asked == 0 {
					return
				}
				over := tc.most + 1
				_, err = wait(func(done func(wire.Updated, error)) {
					p.UpdateRoom(0, &wire.UpdateRoom{Room: "seats", Version: 1, RoomChange: wire.RoomChange{Capacity: &over}}, done)
				})
				requireCode(t, wire.CodeLimit, err)
			})
		}
	})
	t.Run("a full room", func(t *testing.T) {
		var seated []*peer
		for i := range 3 {
			p := newPeer(t, n, fmt.Sprint("p", i))
			p.mustJoin(t, "full")
			seated = append(seated, p)
		}
		late := newPeer(t, n, "late")
		_, err := late.join("full")
		requireCode(t, wire.CodeRoomFull, err)
		_, err = late.publish("full", "hello")
		requireCode(t, wire.CodeNotMember, err)
		seated[1].mustJoin(t, "full") // its own seat is not a fourth one
		require.NoError(t, seated[0].leave("full"))
		late.mustJoin(t, "full")
	})
	t.Run("a state", func(t *testing.T) {
		p := newPeer(t, n, "stately")
		p.mustJoin(t, "state")
		state := wire.Object{}
		for i := range 33 {
			state["k"+strconv.Itoa(i)] = mustJSON(i)
		}
		_, err := wait(func(done func(wire.Done, error)) { p.SetState(0, &wire.SetState{Room: "state", State: state}, done) })
		requireCode(t, wire.CodeTooLarge, err)
	})
}

func TestNewRefuses(t *testing.T) {
	n := startNode(t, redistest.Single(t).Addr(), "n1", nodeOptions{})
	for name, opts := range map[string]room.Options{
		"no store":                    {Node: "n1"},
		"no node":                     {Store: n.store},
		"a node that is no id":        {Store: n.store, Node: "a b"},
		"a negative limit":            {Store: n.store, Node: "n1", PerSession: -1},
		"a capacity over the maximum": {Store: n.store, Node: "n1", Capacity: 9, MaxCapacity: 8},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := room.New(opts)
			require.Error(t, err)
		})
	}
	for name, identity := range map[string]room.Identity{
		"no grant":           {ID: "a", App: app},
		"an id that is none": {ID: "a:b", App: app, Grant: everything},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := n.rooms.NewMember(identity, &peer{})
			require.Error(t, err)
		})
	}
	_, err := n.rooms.NewMember(room.Identity{ID: "a", App: app, Grant: everything}, nil)
	require.Error(t, err, "no subscriber")
}
