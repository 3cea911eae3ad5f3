package store_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/store"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

func testBadNames(t *testing.T, d deployment) {
	a, _ := twoNodes(t, d)
	long := func(n int) string { return strings.Repeat("x", n) }
	for _, tc := range []struct {
		name string
		seat store.Seat
		to   string
	}{
		{"empty app", store.Seat{Room: store.Room{App: "", Name: "r"}, Peer: "p", Node: "n"}, "q"},
		{"app in capitals", store.Seat{Room: store.Room{App: "Acme", Name: "r"}, Peer: "p", Node: "n"}, "q"},
		{"app begins with a dash", store.Seat{Room: store.Room{App: "-a", Name: "r"}, Peer: "p", Node: "n"}, "q"},
		{"long app", store.Seat{Room: store.Room{App: long(64), Name: "r"}, Peer: "p", Node: "n"}, "q"},
		{"empty room", store.Seat{Room: store.Room{App: "a", Name: ""}, Peer: "p", Node: "n"}, "q"},
		{"slash in room", store.Seat{Room: store.Room{App: "a", Name: "a/b"}, Peer: "p", Node: "n"}, "q"},
		{"hash tag in room", store.Seat{Room: store.Room{App: "a", Name: "{x}"}, Peer: "p", Node: "n"}, "q"},
		{"space in room", store.Seat{Room: store.Room{App: "a", Name: "a b"}, Peer: "p", Node: "n"}, "q"},
		{"long room", store.Seat{Room: store.Room{App: "a", Name: long(129)}, Peer: "p", Node: "n"}, "q"},
		{"empty peer", store.Seat{Room: lobby, Peer: "", Node: "n"}, "q"},
		{"colon in peer", store.Seat{Room: lobby, Peer: "s:p", Node: "n"}, "q"},
		{"star as peer", store.Seat{Room: lobby, Peer: "*", Node: "n"}, "q"},
		{"dash as peer", store.Seat{Room: lobby, Peer: "-", Node: "n"}, "q"},
		{"quote in peer", store.Seat{Room: lobby, Peer: `a"b`, Node: "n"}, "q"},
		{"line break in peer", store.Seat{Room: lobby, Peer: "a\nb", Node: "n"}, "q"},
		{"not ASCII", store.Seat{Room: lobby, Peer: "é", Node: "n"}, "q"},
		{"long peer", store.Seat{Room: lobby, Peer: long(65), Node: "n"}, "q"},
		{"space in node", store.Seat{Room: lobby, Peer: "p", Node: "n n"}, "q"},
		{"star as receiver", store.Seat{Room: lobby, Peer: "p", Node: "n"}, "*"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := a.send(store.Send{Seat: tc.seat, To: tc.to, Type: "signal", Event: []byte(`{"type":"signal"}`)})
			requireCode(t, wire.CodeBadRequest, err)
			if tc.to != "q" {
				return
			}
			_, err = a.join(tc.seat)
			requireCode(t, wire.CodeBadRequest, err)
			_, err = a.leave(tc.seat)
			requireCode(t, wire.CodeBadRequest, err)
			_, err = a.lose(tc.seat)
			requireCode(t, wire.CodeBadRequest, err)
			_, err = a.resume(resumeOf(tc.seat, "E", 0))
			requireCode(t, wire.CodeBadRequest, err)
			_, err = a.setState(stateOf(tc.seat, store.State{"a": raw("1")}))
			requireCode(t, wire.CodeBadRequest, err)
			_, err = a.updateRoom(updateOf(tc.seat, 1))
			requireCode(t, wire.CodeBadRequest, err)
			_, err = a.control(kickOf(tc.seat, ""))
			requireCode(t, wire.CodeBadRequest, err)
			_, err = a.snapshot(store.Look{Room: tc.seat.Room, As: &tc.seat})
			requireCode(t, wire.CodeBadRequest, err)
		})
	}
	t.Run("events that no record can carry", func(t *testing.T) {
		seat := a.seat(lobby, "p")
		for _, m := range []store.Send{
			{Seat: seat, Type: "two words", Event: []byte(`{"type":"signal"}`)},
			{Seat: seat, Type: "", Event: []byte(`{"type":"signal"}`)},
		} {
			_, err := a.send(m)
			requireCode(t, wire.CodeBadRequest, err)
		}
		for _, event := range []string{"", "{}", `{"seq":1,"type":"signal"}`, `{"type":"signal"`} {
			_, err := a.send(store.Send{Seat: seat, Type: "signal", Event: []byte(event)})
			requireCode(t, wire.CodeInternal, err)
		}
	})
	require.Empty(t, d.keys(t))
}
