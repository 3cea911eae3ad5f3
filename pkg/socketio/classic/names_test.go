package classic

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

func TestRoomNames(t *testing.T) {
	for _, tc := range []struct{ name, native string }{
		{"lobby", "lobby"},
		{"Team-7.a_b", "Team-7.a_b"},
		{"a~b", "a~b"},
		{"~", "~fg"},
		{"~bG9iYnk", "~fmJHOWlZbms"}, // not the room lobby
		{"my room", "~bXkgcm9vbQ"},
		{"Küche", "~S8O8Y2hl"},
		{"room/1:2*", "~cm9vbS8xOjIq"},
		{"\x00", "~AA"},
		{strings.Repeat("x", 128), strings.Repeat("x", 128)},
		{strings.Repeat("!", 95), "~" + strings.Repeat("ISEh", 31) + "ISE"},
		{"", ""},
		{strings.Repeat("x", 129), ""},
		{strings.Repeat("!", 96), ""},
		{"\xff", ""},
		{"\ufffd", ""},
	} {
		native, ok := nativeRoom(tc.name)
		require.Equal(t, tc.native, native, "%q", tc.name)
		require.Equal(t, tc.native != "", ok, "%q", tc.name)
		if ok {
			require.True(t, wire.ValidRoom(native), "%q", native)
			require.Equal(t, tc.name, classicRoom(native))
		}
	}
}

// What a native client may call a room that no classic client can be in stays as it is.
func TestRoomsOfOthers(t *testing.T) {
	for _, native := range []string{"~", "~!", "~bG9iYnk", "~AB", "~_w", "~bXkgcm9vbQ~"} {
		require.Equal(t, native, classicRoom(native))
	}
}

// No two names mean the same room, and each is found again.
func TestRoomNamesAreInjective(t *testing.T) {
	name := rapid.OneOf(rapid.String(), rapid.StringMatching(`~?[A-Za-z0-9._~-]{1,8}`))
	rapid.Check(t, func(t *rapid.T) {
		one, other := name.Draw(t, "one"), name.Draw(t, "other")
		first, ok := nativeRoom(one)
		if !ok {
			return
		}
		require.True(t, wire.ValidRoom(first))
		require.Equal(t, one, classicRoom(first))
		second, ok := nativeRoom(other)
		require.Equal(t, one == other, ok && first == second, "%q, %q", one, other)
	})
}

func TestRoomArguments(t *testing.T) {
	for _, tc := range []struct{ argument, name string }{
		{`"lobby"`, "lobby"},
		{`"my\u0020room"`, "my room"},
		{`"\ud83d\ude00"`, "😀"},
		{`"\ud83d"`, ""}, // half of a pair is no text
		{`"\ufffd"`, ""},
		{`""`, ""},
		{`7`, ""},
		{`null`, ""},
		{`["lobby"]`, ""},
		{`{"_placeholder":true,"num":0}`, ""},
	} {
		name, _, refused := roomArgument([]json.RawMessage{json.RawMessage(tc.argument)})
		require.Equal(t, tc.name, name, tc.argument)
		require.Equal(t, tc.name == "", refused != nil, tc.argument)
		if refused != nil {
			require.Equal(t, wire.CodeBadRequest, refused.Code)
		}
	}
	_, _, refused := roomArgument(nil)
	require.NotNil(t, refused)
}
