package auth_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/signalbox-rtc/signalbox/pkg/auth"
)

func TestIdentityRoom(t *testing.T) {
	publish := auth.Permissions{Publish: true}
	moderate := auth.Permissions{Moderate: true}
	capacity := auth.Permissions{SetCapacity: true}
	long := strings.Repeat("r", auth.MaxRoomName)
	for _, tt := range []struct {
		name   string
		grants []auth.Grant
		room   string
		can    auth.Permissions
		found  bool
	}{
		{"no grants", nil, "a", auth.Permissions{}, false},
		{"exact", []auth.Grant{{Room: "team-1", Can: publish}}, "team-1", publish, true},
		{"exact, longer room", []auth.Grant{{Room: "team-1", Can: publish}}, "team-10", auth.Permissions{}, false},
		{"exact, shorter room", []auth.Grant{{Room: "team-1", Can: publish}}, "team-", auth.Permissions{}, false},
		{"exact, other case", []auth.Grant{{Room: "team-1", Can: publish}}, "Team-1", auth.Permissions{}, false},
		{"a dot is a dot", []auth.Grant{{Room: "a.c", Can: publish}}, "abc", auth.Permissions{}, false},
		{"prefix", []auth.Grant{{Room: "team-*", Can: publish}}, "team-10", publish, true},
		{"prefix with empty rest", []auth.Grant{{Room: "team-*", Can: publish}}, "team-", publish, true},
		{"prefix, shorter room", []auth.Grant{{Room: "team-*", Can: publish}}, "team", auth.Permissions{}, false},
		{"prefix in the middle only", []auth.Grant{{Room: "team-*", Can: publish}}, "my-team-1", auth.Permissions{}, false},
		{"everything", []auth.Grant{{Room: "*", Can: publish}}, "anything.at_all~1", publish, true},
		{"greatest length", []auth.Grant{{Room: long + "*", Can: publish}}, long, publish, true},
		{"join only", []auth.Grant{{Room: "a"}}, "a", auth.Permissions{}, true},
		{"union", []auth.Grant{{Room: "*"}, {Room: "a*", Can: publish}, {Room: "a1", Can: moderate}, {Room: "a1*", Can: capacity}}, "a1", auth.Permissions{Publish: true, Moderate: true, SetCapacity: true}, true},
		{"union leaves out what does not match", []auth.Grant{{Room: "*", Can: publish}, {Room: "b", Can: moderate}}, "a", publish, true},
		{"order does not matter", []auth.Grant{{Room: "a", Can: moderate}, {Room: "*", Can: publish}}, "a", auth.Permissions{Publish: true, Moderate: true}, true},
		{"empty name", []auth.Grant{{Room: "*", Can: publish}}, "", auth.Permissions{}, false},
		{"name that is a pattern", []auth.Grant{{Room: "team-*", Can: publish}}, "team-*", auth.Permissions{}, false},
		{"name with a slash", []auth.Grant{{Room: "*", Can: publish}}, "a/b", auth.Permissions{}, false},
		{"name too long", []auth.Grant{{Room: "*", Can: publish}}, long + "r", auth.Permissions{}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			id := &auth.Identity{Grants: tt.grants}
			can, found := id.Room(tt.room)
			require.Equal(t, tt.found, found)
			require.Equal(t, tt.can, can)
		})
	}
}

// Room is asked for each join; it must not cost the heap anything.
func TestIdentityRoomAllocates(t *testing.T) {
	id := &auth.Identity{Grants: []auth.Grant{{Room: "lobby"}, {Room: "team-*"}, {Room: "*"}}}
	require.Zero(t, testing.AllocsPerRun(100, func() { id.Room("team-1") }))
}

var roomName = regexp.MustCompile(`^[A-Za-z0-9._~-]{1,128}$`)

// modelRoom is the rule as a regular expression.
func modelRoom(grants []auth.Grant, room string) (can auth.Permissions, found bool) {
	for _, grant := range grants {
		prefix, star := strings.CutSuffix(grant.Room, "*")
		expression := "^" + regexp.QuoteMeta(prefix)
		if star {
			expression += ".*"
		}
		if !roomName.MatchString(room) || !regexp.MustCompile(expression+"$").MatchString(room) {
			continue
		}
		found = true
		can.Publish = can.Publish || grant.Can.Publish
		can.Moderate = can.Moderate || grant.Can.Moderate
		can.SetCapacity = can.SetCapacity || grant.Can.SetCapacity
	}
	return can, found
}

func TestIdentityRoomAgreesWithModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		// A small alphabet makes matches frequent.
		grants := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) auth.Grant {
			return auth.Grant{
				Room: rapid.StringMatching(`[ab.]{1,3}\*?|\*`).Draw(t, "pattern"),
				Can:  auth.Permissions{Publish: rapid.Bool().Draw(t, "p"), Moderate: rapid.Bool().Draw(t, "m"), SetCapacity: rapid.Bool().Draw(t, "c")},
			}
		}), 0, 5).Draw(t, "grants")
		room := rapid.StringMatching(`[ab.*\n]{0,4}`).Draw(t, "room")
		id := &auth.Identity{Grants: grants}
		can, found := id.Room(room)
		wantCan, wantFound := modelRoom(grants, room)
		require.Equal(t, wantFound, found)
		require.Equal(t, wantCan, can)
	})
}
