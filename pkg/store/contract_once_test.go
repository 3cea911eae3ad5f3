package store_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/store"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

func testOnce(t *testing.T, d deployment) {
	a, b := twoNodes(t, d)
	joined, err := a.join(a.seat(lobby, "alice"), kept)
	require.NoError(t, err)
	mustJoin(t, b, lobby, "bob")
	a.expect(t, 1)
	alice := a.seat(lobby, "alice")
	numbered := func(request int64, to string, volatile bool) store.Send {
		m := message(alice, to, "x")
		m.Request, m.Volatile = request, volatile
		return m
	}
	for _, step := range []struct {
		name string
		send store.Send
		want string
		told bool
	}{
		{"a first one", numbered(3, "bob", false), "3", true},
		{"again", numbered(3, "bob", false), "3", false},
		{"refused", numbered(5, "nobody", false), "peer_gone", false},
		{"the same one has a receiver by now", numbered(5, "bob", false), "4", true},
		{"an earlier one that took effect", numbered(3, "bob", false), "3", false},
		{"an earlier one that did not", numbered(4, "bob", false), "outcome_unknown", false},
		{"without a number", numbered(0, "", false), "5", true},
		{"without a number again", numbered(0, "", false), "6", true},
		{"volatile", numbered(7, "", true), "7", true},
		{"volatile again", numbered(7, "", true), "7", false},
		{"a later one", numbered(8, "bob", false), "8", true},
		{"volatile once more", numbered(7, "", true), "outcome_unknown", false},
		{"one of the past", numbered(5, "bob", false), "4", false},
		{"the peer's number, not its beginning", numbered(1, "bob", false), "outcome_unknown", false},
	} {
		t.Run(step.name, func(t *testing.T) {
			seq, err := a.send(step.send)
			require.Equal(t, step.want, replyLine(err, "%d", seq))
			if step.told {
				b.expect(t, 1)
			}
			b.quiet(t, lobby)
		})
	}
	state := stateOf(alice, store.State{"mic": raw("true")})
	state.Request = 9
	for range 2 {
		seq, err := a.setState(state)
		require.NoError(t, err)
		require.EqualValues(t, 9, seq)
	}
	b.expect(t, 1)
	b.quiet(t, lobby)

	// After a resume, the client is told where it was.
	_, err = a.lose(alice)
	require.NoError(t, err)
	alice = later(alice, b.id, 1)
	resumed, err := b.resume(resumeOf(alice, joined.Epoch, 9))
	require.NoError(t, err)
	require.EqualValues(t, 9, resumed.Request)
	seq, err := b.send(numbered(8, "bob", false))
	require.NoError(t, err)
	require.EqualValues(t, 8, seq)
	resumed, err = b.resume(resumeOf(alice, "other", 9))
	require.NoError(t, err)
	require.EqualValues(t, 9, resumed.Request, "also where it has to start over")
	d.do(t, "DEL", d.key(a.store, "log", lobby)) // as when it has expired
	_, err = b.send(numbered(8, "bob", false))
	requireCode(t, wire.CodeOutcomeUnknown, err)
	require.False(t, wire.CodeOutcomeUnknown.Retryable())
	seq, err = b.setState(stateOf(alice, nil))
	require.NoError(t, err)
	require.EqualValues(t, 12, seq, "away, back and this one")
}

// testOnceBack has a join that takes an away seat again: the event that it told is found by its number, too.
func testOnceBack(t *testing.T, d deployment) {
	a, b := twoNodes(t, d)
	alice := a.seat(lobby, "alice")
	_, err := a.join(alice, kept)
	require.NoError(t, err)
	mustJoin(t, b, lobby, "bob")
	_, err = a.lose(alice)
	require.NoError(t, err)
	alice = later(alice, b.id, 1)
	_, err = b.join(alice, kept, func(j *store.Join) { j.Request = 4 })
	require.NoError(t, err)
	m := message(alice, "bob", "x")
	m.Request = 5
	seq, err := b.send(m)
	require.NoError(t, err)
	require.EqualValues(t, 5, seq, "after two joins, away and back")
	m.Request = 4
	seq, err = b.send(m)
	require.NoError(t, err)
	require.EqualValues(t, 4, seq, "back")
}

func testOnceResults(t *testing.T, d deployment) {
	a, b := twoNodes(t, d)
	mustJoin(t, a, lobby, "alice")
	mustJoin(t, b, lobby, "bob", "ben")
	a.expect(t, 2)
	b.expect(t, 1)
	update := updateOf(a.seat(lobby, "alice"), 1)
	update.Request = 1
	mute := muteOf(a.seat(lobby, "alice"), store.ActionMute, store.MediaAudio, "")
	mute.Request = 2
	kick := kickOf(a.seat(lobby, "alice"), "ben")
	kick.Request = 3
	for range 2 {
		answer, err := a.updateRoom(update)
		require.NoError(t, err, "not conflict")
		require.Equal(t, updated{4, 2}, answer)
	}
	for range 2 {
		answer, err := a.control(mute)
		require.NoError(t, err)
		require.Equal(t, controlled{5, 2}, answer)
	}
	for range 2 {
		answer, err := a.control(kick)
		require.NoError(t, err, "not peer_gone")
		require.Equal(t, controlled{6, 1}, answer)
	}
	changed, err := a.updateRoom(update)
	require.NoError(t, err)
	require.Equal(t, updated{4, 0}, changed, "the version is not known any more")
	acted, err := a.control(mute)
	require.NoError(t, err)
	require.Equal(t, controlled{5, 0}, acted)
	require.Equal(t, []string{"room", "control", "left-peer"}, kinds(a.drain(t, lobby)))
	b.expect(t, 3)
	b.quiet(t, lobby)

	// Who kicks itself leaves no note behind.
	self := kickOf(a.seat(lobby, "alice"), "alice")
	self.Request = 4
	_, err = a.control(self)
	require.NoError(t, err)
	self.Request = 5
	_, err = a.control(self)
	requireCode(t, wire.CodeNotMember, err)
	mustJoin(t, a, lobby, "alice")
	mustSend(t, a, func() store.Send { m := message(a.seat(lobby, "alice"), "", "x"); m.Request = 4; return m }())
	self = kickOf(b.seat(lobby, "bob"), "bob")
	self.Request = 1
	_, err = a.leave(a.seat(lobby, "alice"))
	require.NoError(t, err)
	_, err = b.control(self)
	require.NoError(t, err)
	require.Empty(t, d.keys(t))
}

// A client sends, leaves and joins again, gets no reply to any of it, and sends all of it again.
func testOnceAcrossSeats(t *testing.T, d deployment) {
	a, b := twoNodes(t, d)
	mustJoin(t, b, lobby, "bob")
	alice := a.seat(lobby, "alice")
	mustJoin(t, a, lobby, "alice")
	m := message(alice, "", "x")
	m.Request = 10
	leave := leaveOf(alice)
	leave.Request = 11
	rejoin := func(j *store.Join) { j.Request = 12 }
	giveUp := func() (store.Left, error) {
		return wait(func(done func(store.Left, error)) { a.store.Leave(leave, done) })
	}

	seq := mustSend(t, a, m)
	left, err := giveUp()
	require.NoError(t, err)
	joined, err := a.join(alice, rejoin)
	require.NoError(t, err)
	b.expect(t, 4)
	require.Equal(t, seq, mustSend(t, a, m))
	again, err := giveUp()
	require.NoError(t, err)
	require.Equal(t, store.Left{Seq: left.Seq, Repeated: true}, again)
	require.False(t, left.Repeated)
	seated, err := a.join(alice, rejoin)
	require.NoError(t, err)
	require.Equal(t, []any{false, joined.Seq, joined.Order}, []any{seated.New, seated.Seq, seated.Order})
	b.quiet(t, lobby)
	resumed, err := a.resume(resumeOf(later(alice, a.id, 1), joined.Epoch, joined.Seq))
	require.NoError(t, err)
	require.EqualValues(t, 12, resumed.Request)

	leave = leaveOf(later(alice, a.id, 1))
	leave.Request = 13
	_, err = giveUp()
	require.NoError(t, err)
	_, err = giveUp()
	requireCode(t, wire.CodeNotMember, err)
	b.expect(t, 1)
	b.quiet(t, lobby)
}
