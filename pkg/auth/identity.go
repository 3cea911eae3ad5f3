// Package auth turns tokens into identities, by the apps that may mint them and the policies of those apps.
package auth

import (
	"fmt"
	"strings"
	"time"
)

// Limits of what a grant may name. The alphabet and length of a room name are those of the native protocol.
const (
	// MaxRoomName is the greatest length of a room name, and of a pattern without its '*', in bytes.
	MaxRoomName = 128
	// MaxGrants is the greatest number of grants in one token.
	MaxGrants = 64
)

// Permissions says what a peer may do in a room beyond being in it. The zero value may only join and listen.
type Permissions struct {
	// Publish: signal to peers, send messages to the room, set the own state.
	Publish bool `koanf:"publish" yaml:"publish" json:"publish"`
	// Moderate: lock, mute, remove, name the presenter, change properties.
	Moderate bool `koanf:"moderate" yaml:"moderate" json:"moderate"`
	// SetCapacity: choose how many seats a room has, up to the app's [Policy.MaxCapacity].
	SetCapacity bool `koanf:"set_capacity" yaml:"set_capacity" json:"set_capacity"`
}

// Grant lets its holder into the rooms that it names.
type Grant struct {
	// Room is an exact name, or a prefix followed by one '*' that stands for any rest, also an empty one
	// ("team-*"). "*" is every room of the app.
	Room string      `koanf:"room" yaml:"room" json:"room"`
	Can  Permissions `koanf:"can"  yaml:"can" json:"can"`
}

// Identity is who a client is, as its app vouches. It is made by [Verifier.Verify] or [Verifier.Anonymous], is
// never changed afterwards, and may be shared by goroutines.
type Identity struct {
	App  string // the tenant; from the verified token alone
	User string // the app's own id of the user, 1 to 128 printable characters
	Name string // display name, may be empty
	// Grants are the rooms that the user may enter, with valid patterns.
	Grants []Grant
	// Expires is the end of the identity, without leeway: a connection that lives on it ends then.
	Expires time.Time
	// Issued is when it was vouched for: the token's iat, zero if it has none.
	Issued    time.Time
	Anonymous bool
	Policy    Policy // the app's, when the identity was made: that of rooms that have no other one

	policies *policies // nil if no room has another one
}

// PolicyFor gives the policy of a room, as of when the identity was made.
func (id *Identity) PolicyFor(room string) Policy {
	if id.policies == nil {
		return id.Policy
	}
	return *id.policies.of(room)
}

// Room gives the union of what all matching grants allow in the named room, and false if there is none: then the
// user may not even enter. A name that no room can have matches nothing, not even "*".
func (id *Identity) Room(name string) (Permissions, bool) {
	var can Permissions
	found := false
	if !validRoomName(name) {
		return can, false
	}
	for i := range id.Grants {
		grant := &id.Grants[i]
		if !matchPattern(grant.Room, name) {
			continue
		}
		found = true
		can.Publish = can.Publish || grant.Can.Publish
		can.Moderate = can.Moderate || grant.Can.Moderate
		can.SetCapacity = can.SetCapacity || grant.Can.SetCapacity
	}
	return can, found
}

// matchPattern expects a valid pattern and a valid name.
func matchPattern(pattern, name string) bool {
	if prefix, ok := strings.CutSuffix(pattern, "*"); ok {
		return strings.HasPrefix(name, prefix)
	}
	return pattern == name
}

// validatePattern checks a grant's room. The error does not repeat the pattern: it may come from a stranger.
func validatePattern(pattern string) error {
	if pattern == "*" {
		return nil
	}
	if !validRoomName(strings.TrimSuffix(pattern, "*")) {
		return fmt.Errorf("a room is 1 to %d characters of A-Z, a-z, 0-9, '.', '_', '~' and '-', then at most one '*' at the end", MaxRoomName)
	}
	return nil
}

func validRoomName(name string) bool {
	if name == "" || len(name) > MaxRoomName {
		return false
	}
	for i := range len(name) {
		switch c := name[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '_', c == '~', c == '-':
		default:
			return false
		}
	}
	return true
}
