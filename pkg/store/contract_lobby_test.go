package store_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/store"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// waiting asks for a seat, or a place in the queue.
func waiting(j *store.Join) { j.Wait, j.Rules.Waiting, j.Capacity = true, 3, 2 }

func moderating(j *store.Join) { j.Moderator = true }

// moderated makes a room whose moderators let others in.
func moderated(j *store.Join) { j.Rules = store.Rules{Moderated: true, Waiting: 3} }

func (n *node) place(seat store.Seat, changes ...func(*store.Join)) (*store.Place, error) {
	s, err := n.join(seat, append([]func(*store.Join){waiting}, changes...)...)
	if err != nil {
		return nil, err
	}
	return timeless(s.Place), nil
}

// timeless is a place without when it was taken, which no test knows.
func timeless(p *store.Place) *store.Place {
	if p == nil {
		return nil
	}
	return &store.Place{Position: p.Position, Count: p.Count, Moderated: p.Moderated}
}

func (n *node) admit(a store.Admit) (controlled, error) {
	return wait(func(done func(controlled, error)) {
		n.store.Admit(a, func(c store.Controlled, err error) { done(controlledOf(c), err) })
	})
}

func (n *node) finish(room store.Room) (expired, error) {
	return wait(func(done func(expired, error)) {
		n.store.Finish(n.store.Partition(room), func(finished, left int, err error) { done(expired{finished, left}, err) })
	})
}

// bodiesOf gives the bodies of events of a type.
func bodiesOf(events []store.Event, kind string) []string {
	var found []string
	for _, e := range events {
		if e.Type == kind {
			found = append(found, string(e.Body))
		}
	}
	return found
}

// queue gives who waits, as a node was told last.
func queue(events []store.Event) string {
	for i := len(events) - 1; i >= 0; i-- {
		if events[i].Type == store.TypeQueue {
			peers, _ := store.QueueOf(events[i])
			return strings.Join(peers, " ")
		}
	}
	return "-"
}

// Who waits for a full room is seated by the very call that frees a seat, in order.
func testWaiting(t *testing.T, d deployment) {
	a, b := twoNodes(t, d)
	for _, peer := range []string{"alice", "bob"} {
		_, err := a.join(a.seat(lobby, peer), waiting)
		require.NoError(t, err)
	}
	a.drain(t, lobby)
	_, err := b.join(b.seat(lobby, "eve"))
	requireCode(t, wire.CodeRoomFull, err)
	for i, peer := range []string{"w1", "w2", "w3"} {
		n := []*node{b, a, b}[i]
		place, err := n.place(n.seat(lobby, peer), func(j *store.Join) { j.State = store.State{"mic": raw("true")} })
		require.NoError(t, err)
		require.Equal(t, &store.Place{Position: i + 1, Count: i + 1}, place)
	}
	_, err = b.place(b.seat(lobby, "w4"))
	requireCode(t, wire.CodeRoomFull, err)
	place, err := b.place(b.seat(lobby, "w3"))
	require.NoError(t, err)
	require.Equal(t, &store.Place{Position: 3, Count: 3}, place, "asked again it keeps its place")
	s := a.look(t, lobby)
	require.Equal(t, 2, s.Count)
	require.Len(t, s.Waiting, 3)
	require.Equal(t, []any{"w1", "node-b", false, false}, []any{s.Waiting[0].ID, s.Waiting[0].Node, s.Waiting[0].Moderated, s.Waiting[0].Away})
	require.Contains(t, string(s.Waiting[0].Profile), "w1")
	events := a.drain(t, lobby)
	require.Len(t, bodiesOf(events, "waiting-peer"), 3, "the room learns who waits")
	require.Contains(t, bodiesOf(events, "waiting-peer")[0], `"reason":"full","peer":{"id":"w1",`)
	require.Equal(t, "w1 w2 w3", queue(events))
	require.Equal(t, "w1 w2 w3", queue(b.drain(t, lobby)))

	_, err = a.leave(a.seat(lobby, "bob"))
	require.NoError(t, err)
	s = a.look(t, lobby)
	require.Equal(t, 2, s.Count)
	require.Equal(t, "w1", s.Members[1].ID)
	require.Equal(t, store.State{"mic": raw("true")}, s.Members[1].State)
	require.EqualValues(t, 3, s.Members[1].Order)
	events = b.drain(t, lobby)
	require.Equal(t, []string{"joined-peer", "admitted", "queue"}, kinds(events), "node-b has a member from then on")
	require.Equal(t, "w2 w3", queue(events))
	s, err = b.join(b.seat(lobby, "w1"))
	require.NoError(t, err)
	require.Nil(t, s.Place)
	require.False(t, s.New, "it has its seat, and gets the snapshot")

	_, err = a.leave(a.seat(lobby, "w2")) // gives a place up
	require.NoError(t, err)
	require.Equal(t, `{"type":"gone-peer","room":"lobby","peer":"w2","reason":"left"}`, bodiesOf(a.drain(t, lobby), "gone-peer")[0])
	require.Equal(t, "w3", queue(b.drain(t, lobby)))
	_, err = a.leave(a.seat(lobby, "w2"))
	requireCode(t, wire.CodeNotMember, err)

	_, err = a.control(kickOf(operatorOf(lobby), "alice"))
	require.NoError(t, err)
	require.Len(t, bodiesOf(b.drain(t, lobby), "admitted"), 1)
	for _, peer := range []string{"w1", "w3"} {
		_, err = b.leave(b.seat(lobby, peer))
		require.NoError(t, err)
	}
	require.Empty(t, d.keys(t), "nothing is left behind")
}

// More seats, or an open door, let in who waits.
func testWaitingRoomChanges(t *testing.T, d deployment) {
	a, _ := twoNodes(t, d)
	_, err := a.join(a.seat(lobby, "alice"), func(j *store.Join) { j.Capacity = 1 })
	require.NoError(t, err)
	for _, peer := range []string{"w1", "w2", "w3"} {
		_, err := a.place(a.seat(lobby, peer))
		require.NoError(t, err)
	}
	two, yes, no, four := 2, true, false, 4
	change := func(version int64, change func(u *store.UpdateRoom)) {
		t.Helper()
		u := updateOf(a.seat(lobby, "alice"), version)
		change(&u)
		_, err := a.updateRoom(u)
		require.NoError(t, err)
	}
	change(1, func(u *store.UpdateRoom) { u.Capacity = &two })
	require.Equal(t, 2, a.look(t, lobby).Count)
	change(2, func(u *store.UpdateRoom) { u.Capacity, u.Locked = &four, &yes })
	require.Equal(t, 2, a.look(t, lobby).Count, "nobody comes through a locked door")
	_, err = a.place(a.seat(lobby, "w4"))
	requireCode(t, wire.CodeRoomLocked, err)
	change(3, func(u *store.UpdateRoom) { u.Locked = &no })
	s := a.look(t, lobby)
	require.Equal(t, 4, s.Count)
	require.Empty(t, s.Waiting)
}

// A place is kept for its grace, as a seat is, and passed over meanwhile.
func testWaitingAway(t *testing.T, d deployment) {
	a, b := twoNodes(t, d)
	_, err := a.join(a.seat(lobby, "alice"), func(j *store.Join) { j.Capacity = 1 })
	require.NoError(t, err)
	place := func(n *node, peer string, changes ...func(*store.Join)) {
		t.Helper()
		_, err := n.place(n.seat(lobby, peer), changes...)
		require.NoError(t, err)
	}
	place(b, "w1", kept)
	place(b, "w2")
	place(a, "w3", kept)
	_, err = b.lose(b.seat(lobby, "w1"))
	require.NoError(t, err)
	_, err = b.lose(b.seat(lobby, "w2")) // no grace
	require.NoError(t, err)
	s := a.look(t, lobby)
	require.Len(t, s.Waiting, 2)
	require.Equal(t, []any{"w1", true, "w3", false}, []any{s.Waiting[0].ID, s.Waiting[0].Away, s.Waiting[1].ID, s.Waiting[1].Away})

	update, two := updateOf(a.seat(lobby, "alice"), 1), 2
	update.Capacity = &two
	_, err = a.updateRoom(update)
	require.NoError(t, err)
	s = a.look(t, lobby)
	require.Equal(t, "w3", s.Members[1].ID, "who is away is passed over")
	require.Len(t, s.Waiting, 1)
	resumed, err := a.resume(resumeOf(later(b.seat(lobby, "w1"), a.id, 1), s.Epoch, s.Seq))
	require.NoError(t, err)
	require.Equal(t, &store.Place{Position: 1, Count: 1}, timeless(resumed.Snapshot.Place), "it comes back on another node")
	_, err = b.leave(b.seat(lobby, "w1"))
	require.ErrorIs(t, err, store.ErrFenced)
	_, err = b.resume(resumeOf(b.seat(lobby, "w1"), s.Epoch, s.Seq))
	require.ErrorIs(t, err, store.ErrSuperseded)

	w1 := later(b.seat(lobby, "w1"), a.id, 1)
	_, err = a.lose(w1)
	require.NoError(t, err)
	_, err = a.leave(a.seat(lobby, "w3"))
	require.NoError(t, err)
	require.Equal(t, 1, a.look(t, lobby).Count)
	resumed, err = a.resume(resumeOf(later(w1, a.id, 2), s.Epoch, s.Seq))
	require.NoError(t, err)
	require.Zero(t, resumed.Snapshot.Place.Position, "who comes back to a free seat has it at once")
	require.Equal(t, 2, a.look(t, lobby).Count)
}

// Places of nodes that die, and whose grace ends, go as seats do.
func testWaitingDies(t *testing.T, d deployment) {
	a, b := twoNodes(t, d)
	_, err := a.join(a.seat(lobby, "alice"), func(j *store.Join) { j.Capacity = 1 })
	require.NoError(t, err)
	for _, peer := range []string{"w1", "w2"} {
		_, err := b.place(b.seat(lobby, peer), func(j *store.Join) {
			if peer == "w1" {
				j.Grace = time.Hour
			}
		})
		require.NoError(t, err)
	}
	got, err := a.reap(a.store.Partition(lobby), b.id)
	require.NoError(t, err)
	require.Equal(t, 2, got.seats)
	s := a.look(t, lobby)
	require.Len(t, s.Waiting, 1)
	require.True(t, s.Waiting[0].Away)
	endGrace(t, d, a.store, lobby, "w1")
	gone, err := a.expire(lobby, inAnHour())
	require.NoError(t, err)
	require.Equal(t, expired{1, 0}, gone)
	require.Empty(t, a.look(t, lobby).Waiting)
	require.Equal(t, []string{
		`{"type":"gone-peer","room":"lobby","peer":"w2","reason":"disconnected"}`, `{"type":"gone-peer","room":"lobby","peer":"w1","reason":"expired"}`,
	}, bodiesOf(a.drain(t, lobby), "gone-peer"))
	_, err = a.leave(a.seat(lobby, "alice"))
	require.NoError(t, err)
	require.Empty(t, withoutTombstones(d.keys(t)))
}

func withoutTombstones(keys []string) []string {
	var rest []string
	for _, key := range keys {
		if !strings.Contains(key, "dead:") {
			rest = append(rest, key)
		}
	}
	return rest
}

// Moderators let in and send away.
func testModerated(t *testing.T, d deployment) {
	a, b := twoNodes(t, d)
	_, err := b.join(b.seat(lobby, "early"), moderated)
	requireCode(t, wire.CodeRoomLocked, err)
	place, err := b.place(b.seat(lobby, "early"), moderated)
	require.NoError(t, err)
	require.Equal(t, &store.Place{Position: 1, Count: 1, Moderated: true}, place, "before anybody is there")
	mod := a.seat(lobby, "mod")
	s, err := a.join(mod, moderated, moderating)
	require.NoError(t, err)
	require.Equal(t, []any{1, 1, "early"}, []any{s.Count, len(s.Waiting), s.Waiting[0].ID})
	_, err = b.join(b.seat(lobby, "rude"))
	requireCode(t, wire.CodeRoomLocked, err)
	for _, peer := range []string{"w2", "w3"} {
		_, err = b.place(b.seat(lobby, peer))
		require.NoError(t, err)
	}
	b.drain(t, lobby)
	answer, err := a.admit(store.Admit{Seat: mod, Request: 4, Target: "w2", By: "mod"})
	require.NoError(t, err)
	require.Equal(t, 1, answer.affected)
	again, err := a.admit(store.Admit{Seat: mod, Request: 4, Target: "w2", By: "mod"})
	require.NoError(t, err)
	require.Equal(t, 1, again.affected, "once")
	require.Equal(t, "w2", a.look(t, lobby).Members[1].ID, "whoever is let in, not who waits for the longest time")
	events := b.drain(t, lobby)
	require.Len(t, bodiesOf(events, "admitted"), 1)
	require.Equal(t, "early w3", queue(events))
	_, err = a.admit(store.Admit{Seat: mod, Target: "w2"})
	requireCode(t, wire.CodePeerGone, err)
	answer, err = a.admit(store.Admit{Seat: mod, Deny: true, Target: "w3", By: "mod"})
	require.NoError(t, err)
	require.Equal(t, 1, answer.affected)
	events = b.drain(t, lobby)
	denied := events[len(events)-1]
	require.Equal(t, []any{store.TypeDenied, "w3"}, []any{denied.Type, denied.To})
	reason, by, text := store.DeniedBy(denied)
	require.Equal(t, []string{"denied", "mod", ""}, []string{reason, by, text})
	answer, err = a.admit(store.Admit{Seat: operatorOf(lobby)})
	require.NoError(t, err)
	require.Equal(t, 1, answer.affected)
	s = a.look(t, lobby)
	require.Equal(t, 2, s.Count, "let in, and then waits for a seat")
	require.False(t, s.Waiting[0].Moderated)
	update, three := updateOf(mod, 1), 3
	update.Capacity = &three
	_, err = a.updateRoom(update)
	require.NoError(t, err)
	require.Equal(t, 3, a.look(t, lobby).Count)
	place, err = b.place(b.seat(lobby, "late"))
	require.NoError(t, err)
	require.True(t, place.Moderated)
	_, err = a.admit(store.Admit{Seat: mod, Target: "late"})
	require.NoError(t, err)
	place, err = b.place(b.seat(lobby, "late"))
	require.NoError(t, err)
	require.Equal(t, &store.Place{Position: 1, Count: 1}, place)
	_, err = a.closeSaying(operatorOf(lobby), "Zu")
	require.NoError(t, err)
	sentAway := bodiesOf(b.drain(t, lobby), "denied")
	require.Len(t, sentAway, 1)
	require.Regexp(t, `^\{"type":"denied","arrived":\d+,"reason":"closed","text":"Zu"\}$`, sentAway[0])
	require.Empty(t, d.keys(t))
}

// A room of whom nobody is there any more stays for a time, and one with a lifetime ends for everybody.
func testRoomsThatStay(t *testing.T, d deployment) {
	a, _ := twoNodes(t, d)
	stays := func(j *store.Join) { j.Rules.Keep = time.Hour }
	s, err := a.join(a.seat(lobby, "alice"), stays)
	require.NoError(t, err)
	_, err = a.leave(a.seat(lobby, "alice"))
	require.NoError(t, err)
	require.Equal(t, s.Epoch, a.look(t, lobby).Epoch, "it stays")
	again, err := a.join(a.seat(lobby, "bob"))
	require.NoError(t, err)
	require.Equal(t, []any{s.Epoch, int64(2)}, []any{again.Epoch, again.Order})
	due := func(kind string) {
		d.do(t, "ZADD", d.prefix(a.store, lobby)+"ends", "1", lobby.App+"/"+lobby.Name+" "+kind)
	}
	due("k")
	ended, err := a.finish(lobby)
	require.NoError(t, err)
	require.Equal(t, expired{0, 0}, ended, "somebody is there")
	_, err = a.leave(a.seat(lobby, "bob"))
	require.NoError(t, err)
	due("k")
	ended, err = a.finish(lobby)
	require.NoError(t, err)
	require.Equal(t, expired{1, 0}, ended)
	require.Empty(t, d.keys(t))

	made, err := a.create(store.CreateRoom{Room: lobby, Capacity: 2, Lifetime: time.Millisecond, Rules: store.Rules{Keep: time.Hour}})
	require.NoError(t, err)
	_, err = a.join(a.seat(lobby, "alice"))
	require.NoError(t, err)
	a.drain(t, lobby)
	require.Eventually(t, func() bool {
		ended, err = a.finish(lobby)
		return err == nil && ended.seats == 1
	}, 10*time.Second, time.Millisecond)
	require.Equal(t, []string{`{"type":"left-peer","room":"lobby","peer":"alice","reason":"expired"}`}, bodies(a.drain(t, lobby)))
	require.NotEqual(t, made.Epoch, a.look(t, lobby).Epoch)
	d.do(t, "DEL", d.prefix(a.store, lobby)+"ends")
	require.Empty(t, d.keys(t))
}

// The presenter's place falls to who has been there for the longest time, if the rules say so.
func testSuccession(t *testing.T, d deployment) {
	a, _ := twoNodes(t, d)
	for _, peer := range []string{"alice", "bob", "cid"} {
		_, err := a.join(a.seat(lobby, peer), func(j *store.Join) { j.Rules.Succession, j.Grace = true, time.Hour })
		require.NoError(t, err)
	}
	update, presenter := updateOf(a.seat(lobby, "alice"), 1), "cid"
	update.Presenter = &presenter
	_, err := a.updateRoom(update)
	require.NoError(t, err)
	_, err = a.lose(a.seat(lobby, "alice"))
	require.NoError(t, err)
	a.drain(t, lobby)
	_, err = a.leave(a.seat(lobby, "cid"))
	require.NoError(t, err)
	require.Equal(t, "bob", a.look(t, lobby).Presenter, "alice is away")
	require.Equal(t, `{"type":"room","room":"lobby","version":3,"presenter":"bob"}`, bodiesOf(a.drain(t, lobby), "room")[0])
	_, err = a.leave(a.seat(lobby, "bob"))
	require.NoError(t, err)
	require.Empty(t, a.look(t, lobby).Presenter)
}

// Where everybody goes nobody presents for a moment: one follows who stays, and in a room that is closed none.
func testSuccessionOfAll(t *testing.T, d deployment) {
	a, _ := twoNodes(t, d)
	for _, peer := range []string{"alice", "bob", "cid", "dan"} {
		_, err := a.join(a.seat(lobby, peer), func(j *store.Join) { j.Rules.Succession = true })
		require.NoError(t, err)
	}
	update, presenter := updateOf(a.seat(lobby, "dan"), 1), "alice"
	update.Presenter = &presenter
	_, err := a.updateRoom(update)
	require.NoError(t, err)
	a.drain(t, lobby)
	answer, err := a.control(kickOf(a.seat(lobby, "dan"), ""))
	require.NoError(t, err)
	require.Equal(t, 3, answer.affected)
	require.Equal(t, []string{`{"type":"room","room":"lobby","version":3,"presenter":"dan"}`}, bodiesOf(a.drain(t, lobby), "room"))
	mustJoin(t, a, lobby, "eve")
	a.drain(t, lobby)
	_, err = a.closeRoom(operatorOf(lobby))
	require.NoError(t, err)
	require.Empty(t, bodiesOf(a.drain(t, lobby), "room"))
	require.Empty(t, d.keys(t))
}

func testNoCreate(t *testing.T, d deployment) {
	a, _ := twoNodes(t, d)
	_, err := a.join(a.seat(lobby, "alice"), func(j *store.Join) { j.NoCreate = true })
	require.ErrorIs(t, err, store.ErrNoRoom)
	require.Empty(t, d.keys(t))
	mustJoin(t, a, lobby, "bob")
	_, err = a.join(a.seat(lobby, "alice"), func(j *store.Join) { j.NoCreate = true })
	require.NoError(t, err)
}
