package store_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/store"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// keptAnswer is the answer of Keep and of Erase: the number of the event, and how many messages went or which one.
type keptAnswer struct{ seq, other int64 }

func (n *node) keep(m store.Keep) (keptAnswer, error) {
	return wait(func(done func(keptAnswer, error)) {
		n.store.Keep(m, func(p store.Placed, err error) { done(keptAnswer{p.Seq, int64(p.Dropped)}, err) })
	})
}

func (n *node) erase(e store.Erase) (keptAnswer, error) {
	return wait(func(done func(keptAnswer, error)) {
		n.store.Erase(e, func(p store.Placed, err error) { done(keptAnswer{p.Seq, p.Of}, err) })
	})
}

func (n *node) history(seat store.Seat, topic string, most int) (*store.History, error) {
	return n.historyBefore(seat, topic, 0, most)
}

func (n *node) historyBefore(seat store.Seat, topic string, before int64, most int) (*store.History, error) {
	return wait(func(done func(*store.History, error)) { n.store.History(seat, topic, before, most, done) })
}

func keepOf(seat store.Seat, topic, text string) store.Keep {
	return store.Keep{
		Seat: seat, Topic: topic, Profile: []byte(`{"user":"` + seat.Peer + ` \"x\""}`), EventHead: wire.KeptHead(seat.Room.Name, seat.Peer, topic),
		Data: raw(fmt.Sprintf("%q", text)), Most: 100, MostBytes: 10000,
	}
}

func undoOf(seat store.Seat, topic string, of int64) store.Erase {
	head, tail := wire.SplitUndone(seat.Room.Name, topic, seat.Peer)
	return store.Erase{Seat: seat, Topic: topic, Of: of, EventHead: head, EventTail: tail}
}

func clearOf(seat store.Seat, topic string) store.Erase {
	return store.Erase{
		Seat: seat, Topic: topic, All: true,
		EventHead: wire.AppendEventBody(nil, seat.Room.Name, &wire.Cleared{Topic: topic, By: seat.Peer}),
	}
}

// texts are the data of what is kept.
func (n *node) texts(tb testing.TB, seat store.Seat, topic string) []string {
	tb.Helper()
	h, err := n.history(seat, topic, 1000)
	require.NoError(tb, err)
	texts := make([]string, len(h.Messages))
	for i, m := range h.Messages {
		require.NoError(tb, json.Unmarshal(m.Data, &texts[i]))
	}
	return texts
}

func testKeep(t *testing.T, d deployment) {
	a, b := twoNodes(t, d)
	mustJoin(t, a, lobby, "alice")
	mustJoin(t, b, lobby, "bob")
	a.drain(t, lobby)
	alice, bob := a.seat(lobby, "alice"), b.seat(lobby, "bob")
	before := time.Now().Add(-time.Minute)
	first := keepOf(alice, "chat", "with spaces, \n and 100%")
	first.Request = 7
	answer, err := a.keep(first)
	require.NoError(t, err)
	require.Equal(t, keptAnswer{3, 0}, answer)
	again, err := a.keep(first)
	require.NoError(t, err)
	require.Equal(t, answer, again, "a request takes effect once")
	echoed := keepOf(bob, "whiteboard", "stroke")
	echoed.Echo = true
	_, err = b.keep(echoed)
	require.NoError(t, err)
	_, err = a.keep(keepOf(operatorOf(lobby), "chat", "from the app"))
	require.NoError(t, err)

	require.Equal(t, []string{"message", "message"}, kinds(a.drain(t, lobby)), "not one's own")
	events := b.drain(t, lobby)
	require.Equal(t, []string{"message", "message", "message"}, kinds(events))
	_, decoded, err := wire.DecodeServer(events[0].Body)
	require.NoError(t, err)
	message, ok := decoded.Body.(*wire.Message)
	require.True(t, ok)
	require.True(t, message.Kept)
	require.JSONEq(t, string(first.Data), string(message.Data))
	require.Greater(t, message.Time, before.UnixMilli())
	require.Len(t, loggedNumbers(t, d, a.store), 5, "they are in the log as well")

	h, err := b.history(bob, "chat", 10)
	require.NoError(t, err)
	require.Equal(t, []any{int64(5), int64(0), 2}, []any{h.Seq, h.Dropped, len(h.Messages)})
	require.Equal(t, b.look(t, lobby).Epoch, h.Epoch)
	require.Equal(t, store.Kept{Seq: 3, Time: time.UnixMilli(message.Time), Peer: "alice", Profile: first.Profile, Data: first.Data}, h.Messages[0])
	require.Equal(t, "", h.Messages[1].Peer)
	h, err = b.history(bob, "chat", 1)
	require.NoError(t, err)
	require.EqualValues(t, 5, h.Messages[0].Seq, "the last ones")
	for before, seqs := range map[int64][]int64{2: {}, 3: {}, 4: {3}, 5: {3}, 6: {5}, 1 << 50: {5}} {
		h, err = b.historyBefore(bob, "chat", before, 1)
		require.NoError(t, err)
		found := make([]int64, len(h.Messages))
		for i, m := range h.Messages {
			found[i] = m.Seq
		}
		require.Equal(t, seqs, found, "the last one before %d", before)
	}
	_, err = b.historyBefore(bob, "chat", -1, 1)
	requireCode(t, wire.CodeBadRequest, err)
	require.Equal(t, []string{"stroke"}, a.texts(t, operatorOf(lobby), "whiteboard"))

	_, err = a.keep(keepOf(a.seat(lobby, "eve"), "chat", "x"))
	requireCode(t, wire.CodeNotMember, err)
	_, err = a.history(a.seat(lobby, "eve"), "chat", 1)
	requireCode(t, wire.CodeNotMember, err)
	_, err = a.keep(keepOf(alice, "other", "x"))
	requireCode(t, wire.CodeBadRequest, err)
	_, err = a.keep(keepOf(later(alice, "node-b", 0), "chat", "x"))
	require.ErrorIs(t, err, store.ErrFenced)

	_, err = a.leave(alice)
	require.NoError(t, err)
	require.Len(t, b.texts(t, bob, "chat"), 2, "what was said outlives who said it")
	_, err = b.leave(bob)
	require.NoError(t, err)
	require.Empty(t, d.keys(t), "and goes with the room")
}

func testKeepBounds(t *testing.T, d deployment) {
	a, _ := twoNodes(t, d)
	mustJoin(t, a, lobby, "alice")
	alice, dropped := a.seat(lobby, "alice"), int64(0)
	for i := range 10 {
		m := keepOf(alice, "chat", fmt.Sprint(i))
		m.Most = 4
		answer, err := a.keep(m)
		require.NoError(t, err)
		dropped += answer.other
	}
	require.Equal(t, []string{"6", "7", "8", "9"}, a.texts(t, alice, "chat"))
	require.EqualValues(t, 6, dropped)
	h, err := a.history(alice, "chat", 1)
	require.NoError(t, err)
	require.EqualValues(t, 6, h.Dropped)

	long := strings.Repeat("x", 400)
	for i := range 10 {
		m := keepOf(alice, "whiteboard", fmt.Sprint(i)+long)
		m.MostBytes = 1500
		_, err := a.keep(m)
		require.NoError(t, err)
	}
	require.Equal(t, []string{"7" + long, "8" + long, "9" + long}, a.texts(t, alice, "whiteboard"))
	for range 2 { // bytes are counted down again
		_, err = a.erase(undoOf(alice, "whiteboard", 0))
		require.NoError(t, err)
	}
	m := keepOf(alice, "whiteboard", "small")
	m.MostBytes = 1500
	answer, err := a.keep(m)
	require.NoError(t, err)
	require.Zero(t, answer.other)
	m = keepOf(alice, "whiteboard", strings.Repeat("y", 2000))
	m.MostBytes = 1500
	_, err = a.keep(m)
	require.NoError(t, err)
	require.Len(t, a.texts(t, alice, "whiteboard"), 1, "the last one stays, whatever its size")
}

func testErase(t *testing.T, d deployment) {
	a, b := twoNodes(t, d)
	mustJoin(t, a, lobby, "alice")
	mustJoin(t, b, lobby, "bob")
	alice, bob := a.seat(lobby, "alice"), b.seat(lobby, "bob")
	for i := range 100 { // seqs from 3 on, by turns
		n, seat := a, alice
		if i%2 == 1 {
			n, seat = b, bob
		}
		_, err := n.keep(keepOf(seat, "whiteboard", fmt.Sprint(i)))
		require.NoError(t, err)
	}
	a.drain(t, lobby)
	b.drain(t, lobby)
	undo := undoOf(alice, "whiteboard", 0)
	undo.Request = 1
	answer, err := a.erase(undo)
	require.NoError(t, err)
	require.Equal(t, keptAnswer{103, 101}, answer, "the author's own last one, number 98")
	again, err := a.erase(undo)
	require.NoError(t, err)
	require.Equal(t, answer, again, "once")
	for _, n := range []*node{a, b} {
		require.Equal(t, []string{`103 undone to= except= {"type":"undone","room":"lobby","topic":"whiteboard","of":101,"by":"alice"}`}, briefs(n.drain(t, lobby)))
	}
	_, err = a.erase(undoOf(alice, "whiteboard", 4))
	requireCode(t, wire.CodeForbidden, err)
	answer, err = b.erase(undoOf(bob, "whiteboard", 4))
	require.NoError(t, err)
	require.Equal(t, keptAnswer{104, 4}, answer, "far back")
	others := undoOf(alice, "whiteboard", 6)
	others.Any = true
	answer, err = a.erase(others)
	require.NoError(t, err)
	require.Equal(t, keptAnswer{105, 6}, answer)
	answer, err = a.erase(others)
	require.NoError(t, err)
	require.Equal(t, keptAnswer{105, 0}, answer, "there is nothing any more, and nothing to tell")
	require.Len(t, a.texts(t, alice, "whiteboard"), 97)

	clearing := clearOf(bob, "chat")
	clearing.Request = 5
	answer, err = b.erase(clearing)
	require.NoError(t, err)
	require.Equal(t, keptAnswer{105, 0}, answer, "nothing was kept of the chat")
	_, err = a.keep(keepOf(alice, "chat", "said after it"))
	require.NoError(t, err)
	_, err = b.erase(clearing)
	require.NoError(t, err)
	require.Len(t, a.texts(t, alice, "chat"), 1, "what comes again erases nothing that came after it")
	_, err = b.erase(clearOf(bob, "whiteboard"))
	require.NoError(t, err)
	require.Empty(t, a.texts(t, alice, "whiteboard"))
	told := a.drain(t, lobby)
	require.Equal(t, `107 cleared to= except= {"type":"cleared","room":"lobby","topic":"whiteboard","by":"bob"}`, brief(told[len(told)-1]))
}
