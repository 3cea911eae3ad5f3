package session_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/auth"
	"github.com/signalbox-rtc/signalbox/pkg/session"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// returner is a transport whose clients come back.
type returner struct {
	*sink
	returned []returned // calls of Return; guarded by the sink's mu
	refuses  bool       // what they bring
}

// returned is what a call of Return brought.
type returned struct {
	id     string
	rooms  map[string]*wire.Snapshot
	missed int
	said   int // before
}

var _ session.Returner = (*returner)(nil)

// Return implements session.Returner.
func (r *returner) Return(id string, rooms []*wire.Snapshot, missed []*wire.Frame) bool {
	call := returned{id: id, rooms: make(map[string]*wire.Snapshot), missed: len(missed)}
	for _, room := range rooms {
		call.rooms[room.Room] = room
	}
	r.set(func() {
		call.said = len(r.said)
		r.returned = append(r.returned, call)
	})
	return !r.refuses
}

var keptFor = session.Options{Grace: 30 * time.Second}

// come opens a session of a client that can come back, and shows what hello says of an earlier one.
func (g *gateway) come(hello *wire.Hello, change func(*returner)) (*caller, *returner) {
	g.tb.Helper()
	r := &returner{sink: newSink(g.tb)}
	if change != nil {
		change(r)
	}
	hello.Resumable = true
	attached, err := g.sessions.Attach(g.life, hello, r, session.Client{Transport: "calls"})
	require.NoError(g.tb, err)
	g.tb.Cleanup(func() { attached.End(false) })
	return &caller{sink: r.sink, Attached: attached}, r
}

// back is the hello of a client that comes back, as the app's anonymous user.
func back(token string, rooms map[string]wire.Position) *wire.Hello {
	return &wire.Hello{App: "open", Name: "Ada", Resume: token, Rooms: rooms}
}

// at gives where a client is by a snapshot.
func at(snapshots ...*wire.Snapshot) map[string]wire.Position {
	rooms := make(map[string]wire.Position)
	for _, snapshot := range snapshots {
		rooms[snapshot.Room] = wire.Position{Epoch: snapshot.Epoch, Seq: snapshot.Seq}
	}
	return rooms
}

func joinOf(room string) string { return fmt.Sprintf(`{"id":2,"type":"join","room":%q}`, room) }

// A client is told of its return first, then what it missed, then what comes; its requests count anew on each connection.
func TestReturn(t *testing.T) {
	inBubble(t, keptFor, func(t *testing.T, g *gateway) {
		bob, _ := g.enter()
		ada, first := g.come(back("", nil), nil)
		require.Empty(t, first.returned)
		token := ada.ResumeToken()
		require.NotEmpty(t, token)
		one, two := accepted[wire.Snapshot](ada, joinOf("one")), accepted[wire.Snapshot](ada, `{"id":3,"type":"join","room":"two"}`)
		bob.ok(joinOf("one"), new(wire.Snapshot))
		seen := at(one, two)
		for round := range 2 { // by the same token each time
			ada.End(false)
			require.Equal(t, wire.AwayPeer{Peer: ada.ID()}, *bob.event().Body.(*wire.AwayPeer))
			bob.ok(fmt.Sprintf(`{"id":%d,"type":"publish","room":"one","data":"missed"}`, 3+2*round), new(wire.Done))
			time.Sleep(time.Second)

			again, r := g.come(back(token, seen), nil)
			require.Equal(t, ada.ID(), again.ID())
			require.Equal(t, token, again.ResumeToken())
			require.Len(t, r.returned, 1)
			call := r.returned[0]
			require.Equal(t, []any{ada.ID(), 0, 2}, []any{call.id, call.said, len(call.rooms)})
			require.Len(t, call.rooms["one"].Peers, 2)
			require.Len(t, call.rooms["two"].Peers, 1)
			for range call.missed - 1 {
				require.NotEqual(t, wire.TypeMessage, again.event().Body.Type())
			}
			message := again.event()
			require.JSONEq(t, `"missed"`, string(message.Body.(*wire.Message).Data))
			require.Less(t, message.Seq, call.rooms["one"].Seq, "then comes that she is back")
			require.Equal(t, wire.BackPeer{Peer: ada.ID()}, *bob.event().Body.(*wire.BackPeer))
			seen["one"] = wire.Position{Epoch: one.Epoch, Seq: message.Seq}

			// The number 1 was used by no connection, and 2 by one: neither means the same on the next.
			for id := range 3 {
				accepted[wire.Done](again, fmt.Sprintf(`{"id":%d,"type":"publish","room":"one","data":%d}`, id+1, id))
				require.JSONEq(t, fmt.Sprint(id), string(bob.event().Body.(*wire.Message).Data))
			}
			accepted[wire.Nothing](again, `{"id":4,"type":"report","room":"one","outcome":"failed","reason":"ice"}`)
			bob.ok(fmt.Sprintf(`{"id":%d,"type":"publish","room":"one","data":"live"}`, 4+2*round), new(wire.Done))
			live := again.event()
			require.JSONEq(t, `"live"`, string(live.Body.(*wire.Message).Data))
			seen["one"] = wire.Position{Epoch: one.Epoch, Seq: live.Seq}
			ada = again
		}
		require.EqualValues(t, 2, g.metric("signalbox_call_outcomes_total", session.OtherApps, "failed"), "of two connections")
		require.EqualValues(t, 2, g.metric("signalbox_sessions"))
		require.EqualValues(t, 4, g.metric("signalbox_resumed_seats_total", "replayed"))
	})
}

// The connection that the client has lost may not know of it yet.
func TestReturnTakesOver(t *testing.T) {
	inBubble(t, keptFor, func(t *testing.T, g *gateway) {
		bob, _ := g.enter()
		bob.ok(joinOf("r"), new(wire.Snapshot))
		ada, _ := g.come(back("", nil), nil)
		snapshot := accepted[wire.Snapshot](ada, joinOf("r"))
		bob.event()
		again, r := g.come(back(ada.ResumeToken(), at(snapshot)), nil)
		require.Len(t, r.returned, 1)
		ada.requireClosed(wire.CloseTakenOver)
		ada.End(false)
		accepted[wire.Done](again, `{"id":1,"type":"publish","room":"r","data":1}`)
		require.Equal(t, wire.TypeMessage, bob.event().Body.Type(), "she was never away")
		require.EqualValues(t, 2, g.metric("signalbox_seats"))
	})
}

// Who cannot go on gets a new session on the same connection, and is not kept out by its own seat.
func TestNoReturn(t *testing.T) {
	type client struct {
		token string
		seen  map[string]wire.Position
	}
	for _, tc := range []struct {
		name, counted string
		told          string                             // of the old seat, when the client comes back
		hello         func(*gateway, client) *wire.Hello // of the return
		change        func(*returner)
	}{
		{name: "NoToken", counted: "resume_malformed", hello: func(_ *gateway, c client) *wire.Hello {
			return back("*", c.seen)
		}},
		{name: "AnotherCluster", counted: "resume_signature", hello: func(_ *gateway, c client) *wire.Hello {
			sealed := []byte(c.token)
			sealed[9] = map[bool]byte{true: 'b', false: 'a'}[sealed[9] == 'a']
			return back(string(sealed), c.seen)
		}},
		{name: "InNoRoom", counted: "resume_rooms", hello: func(_ *gateway, c client) *wire.Hello { return back(c.token, nil) }},
		{name: "OtherRooms", counted: "resume_missed", hello: func(_ *gateway, c client) *wire.Hello {
			return back(c.token, map[string]wire.Position{"elsewhere": {Epoch: "e", Seq: 1}})
		}},
		{name: "OneRoomOfTwo", counted: "resume_missed", told: wire.ReasonDisconnected, hello: func(_ *gateway, c client) *wire.Hello {
			c.seen["elsewhere"] = wire.Position{Epoch: "e", Seq: 1}
			return back(c.token, c.seen)
		}},
		{name: "AnotherEpoch", counted: "resume_missed", told: wire.ReasonDisconnected, hello: func(_ *gateway, c client) *wire.Hello {
			return back(c.token, map[string]wire.Position{"r": {Epoch: "other", Seq: 1}})
		}},
		{name: "TooMuch", counted: "resume_missed", told: wire.ReasonDisconnected,
			hello:  func(_ *gateway, c client) *wire.Hello { return back(c.token, c.seen) },
			change: func(r *returner) { r.refuses = true }},
		{name: "TooManyRooms", counted: "resume_rooms", hello: func(_ *gateway, c client) *wire.Hello {
			for i := range 20 {
				c.seen[fmt.Sprint(i)] = wire.Position{Epoch: "e", Seq: 1}
			}
			return back(c.token, c.seen)
		}},
		{name: "Somebody", counted: "resume_identity", hello: func(g *gateway, c client) *wire.Hello {
			return &wire.Hello{Token: g.token(nil), Resume: c.token, Rooms: c.seen}
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inBubble(t, keptFor, func(t *testing.T, g *gateway) {
				bob, _ := g.enter()
				bob.ok(joinOf("r"), new(wire.Snapshot))
				ada, _ := g.come(back("", nil), nil)
				snapshot := accepted[wire.Snapshot](ada, joinOf("r"))
				bob.event()
				ada.End(false)
				bob.event()

				again, _ := g.come(tc.hello(g, client{ada.ResumeToken(), at(snapshot)}), tc.change)
				require.NotEqual(t, ada.ID(), again.ID())
				require.NotEmpty(t, again.ResumeToken())
				require.NotEqual(t, ada.ResumeToken(), again.ResumeToken())
				require.EqualValues(t, 1, g.metric("signalbox_hellos_total", tc.counted))
				require.EqualValues(t, 2, g.metric("signalbox_sessions"))
				if tc.told != "" {
					bob.event() // that she is back
					require.Equal(t, wire.LeftPeer{Peer: ada.ID(), Reason: tc.told}, *bob.event().Body.(*wire.LeftPeer))
				}
				synctest.Wait()
				require.Empty(t, again.said)
				require.Empty(t, again.farewells())
				if tc.name == "Somebody" {
					return // whose token is for other rooms
				}
				joined := accepted[wire.Snapshot](again, joinOf("r"))
				known := strings.HasPrefix(tc.counted, "resume_rooms") || strings.HasPrefix(tc.counted, "resume_missed")
				if known {
					require.Len(t, joined.Peers, 2, "her old seat makes room")
				} else {
					require.Len(t, joined.Peers, 3, "nobody knows whose it is")
				}
			})
		})
	}
}

// A user goes on as the same user only, and with what the present token allows.
func TestReturnWithToken(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(*auth.Claims)
		back   bool
	}{
		{"Same", nil, true},
		{"Fresh", func(c *auth.Claims) { c.Expires = time.Now().Add(2 * time.Hour) }, true},
		{"AnotherUser", func(c *auth.Claims) { c.User = "eve" }, false},
		{"OtherRooms", func(c *auth.Claims) { c.Grants[0].Room = "other-*" }, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inBubble(t, keptFor, func(t *testing.T, g *gateway) {
				ada, _ := g.come(&wire.Hello{Token: g.token(nil)}, nil)
				snapshot := accepted[wire.Snapshot](ada, joinOf("team-1"))
				ada.End(false)
				again, r := g.come(&wire.Hello{Token: g.token(tc.change), Resume: ada.ResumeToken(), Rooms: at(snapshot)}, nil)
				require.Equal(t, tc.back, len(r.returned) == 1)
				require.Equal(t, tc.back, ada.ID() == again.ID())
				if tc.name == "Fresh" {
					time.Sleep(90 * time.Minute)
					synctest.Wait()
					require.Empty(t, again.farewells(), "the token that came last counts")
				}
			})
		})
	}
	inBubble(t, keptFor, func(t *testing.T, g *gateway) {
		ada, _ := g.come(&wire.Hello{Token: g.token(nil)}, nil)
		snapshot := accepted[wire.Snapshot](ada, joinOf("team-1"))
		ada.End(false)
		_, err := g.sessions.Attach(g.life, &wire.Hello{Token: "x", Resume: ada.ResumeToken(), Rooms: at(snapshot)},
			&returner{sink: newSink(t)}, session.Client{Transport: "calls"})
		var refusal *wire.Error
		require.ErrorAs(t, err, &refusal)
		require.Equal(t, wire.CodeUnauthorized, refusal.Code, "a session does not stand in for a token that is not good")
	})
}

// Without a grace nothing is kept, and there is nothing to come back with.
func TestReturnWithoutGrace(t *testing.T) {
	inBubble(t, session.Options{}, func(t *testing.T, g *gateway) {
		ada, _ := g.come(back("", nil), nil)
		require.Empty(t, ada.ResumeToken())
		again, _ := g.come(back("token", map[string]wire.Position{"r": {Epoch: "e", Seq: 1}}), nil)
		require.NotEqual(t, ada.ID(), again.ID())
		require.EqualValues(t, 1, g.metric("signalbox_hellos_total", "resume_off"))
	})
}

// When Redis does not answer, the client is to come again: it has lost nothing yet.
func TestReturnWhileRedisIsSlow(t *testing.T) {
	const oneWay = 300 * time.Millisecond
	opts := keptFor
	inBubbleFarFromRedis(t, opts, oneWay, func(t *testing.T, g *gateway) {
		ada, _ := g.come(back("", nil), nil)
		snapshot := accepted[wire.Snapshot](ada, joinOf("r"))
		ada.End(false)
		_, r := g.come(back(ada.ResumeToken(), at(snapshot)), nil)
		require.Len(t, r.returned, 1)
	})
	opts.ResumeTimeout = oneWay
	inBubbleFarFromRedis(t, opts, oneWay, func(t *testing.T, g *gateway) {
		ada, _ := g.come(back("", nil), nil)
		snapshot := accepted[wire.Snapshot](ada, joinOf("r"))
		ada.End(false)
		r := &returner{sink: newSink(t)}
		hello := back(ada.ResumeToken(), at(snapshot))
		hello.Resumable = true
		_, err := g.sessions.Attach(g.life, hello, r, session.Client{Transport: "calls"})
		var refusal *wire.Error
		require.ErrorAs(t, err, &refusal)
		require.Equal(t, wire.CodeUnavailable, refusal.Code)
		require.Positive(t, refusal.RetryAfter)
		require.Empty(t, r.returned)
		require.Zero(t, g.metric("signalbox_sessions"))
		require.EqualValues(t, 1, g.metric("signalbox_hellos_total", "resume_failed"))
		time.Sleep(5 * time.Second)
		synctest.Wait()
		require.Empty(t, r.said)
		require.Zero(t, g.metric("signalbox_seats"))
	})
}

// A fault of the transport leaves no seat behind that is held by nobody.
func TestReturnOfAFaultySink(t *testing.T) {
	inBubble(t, keptFor, func(t *testing.T, g *gateway) {
		bob, _ := g.enter()
		bob.ok(joinOf("r"), new(wire.Snapshot))
		ada, _ := g.come(back("", nil), nil)
		snapshot := accepted[wire.Snapshot](ada, joinOf("r"))
		bob.event()
		ada.End(false)
		bob.event()
		hello := back(ada.ResumeToken(), at(snapshot))
		_, err := g.sessions.Attach(g.life, hello, faultyReturner{newSink(t)}, session.Client{Transport: "calls"})
		require.Equal(t, wire.Errorf(wire.CodeInternal, "internal error"), err)
		require.Equal(t, wire.TypeBackPeer, bob.event().Body.Type())
		require.Equal(t, wire.TypeAwayPeer, bob.event().Body.Type())
		_, r := g.come(back(ada.ResumeToken(), at(snapshot)), nil)
		require.Len(t, r.returned, 1)
	})
}

type faultyReturner struct{ *sink }

func (faultyReturner) Return(string, []*wire.Snapshot, []*wire.Frame) bool { panic("of a test") }
