package classic

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"unicode/utf8"

	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// Pages name rooms as they like. A name that the cluster can have is itself there, and any other one is written in
// base64 behind a tilde, with which no name stands for itself: so no two names mean the same room.
const (
	encodedPrefix = "~"
	// maxEncodedRoom is how long a name may be that has to be written so.
	maxEncodedRoom = 95
)

// nativeRoom gives the cluster's name of a room. It reports false for what cannot name one: nothing, too much, and what
// is not text (U+FFFD stands for it, and would make one name of many).
func nativeRoom(name string) (string, bool) {
	if wire.ValidRoom(name) && !strings.HasPrefix(name, encodedPrefix) {
		return name, true
	}
	if name == "" || len(name) > maxEncodedRoom || !utf8.ValidString(name) || strings.ContainsRune(name, utf8.RuneError) {
		return "", false
	}
	return encodedPrefix + base64.RawURLEncoding.EncodeToString([]byte(name)), true
}

// classicRoom gives the name by which classic clients know a room of the cluster. Rooms that they cannot be in keep
// their name.
func classicRoom(native string) string {
	encoded, ok := strings.CutPrefix(native, encodedPrefix)
	if !ok {
		return native
	}
	name, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil {
		return native
	}
	if back, ok := nativeRoom(string(name)); !ok || back != native {
		return native
	}
	return string(name)
}

// roomArgument reads the argument that names a room.
func roomArgument(args []json.RawMessage) (name, native string, refused *wire.Error) {
	if len(args) == 0 || args[0][0] != '"' || json.Unmarshal(args[0], &name) != nil {
		return "", "", wire.Errorf(wire.CodeBadRequest, "the room's name must be a string")
	}
	native, ok := nativeRoom(name)
	if !ok {
		return "", "", wire.Errorf(wire.CodeBadRequest, "a room's name is text of 1 to %d bytes", maxEncodedRoom)
	}
	return name, native, nil
}
