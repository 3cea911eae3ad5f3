package auth_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/auth"
)

func mustAnonymous(tb testing.TB, app auth.App) *auth.Identity {
	tb.Helper()
	id, err := mustDirectory(tb, auth.Options{Apps: []auth.App{app}}).Anonymous(app.ID, "")
	require.NoError(tb, err)
	return id
}

func TestPolicyFor(t *testing.T) {
	id := mustAnonymous(t, auth.App{
		ID: "x", Anonymous: true,
		Policy: auth.Policy{Capacity: 4, Grace: auth.Duration(time.Minute), Topics: []string{"chat"}, History: 50, Moderated: auth.On},
		Policies: []auth.RoomPolicy{
			{Rooms: "stage-main", Policy: auth.Policy{Capacity: 2}},
			{Rooms: "stage-*", Policy: auth.Policy{MaxCapacity: 9, Grace: -1, Topics: []string{"cue", "note"}, History: -1, Moderated: auth.Off}},
			{Rooms: "*", Policy: auth.Policy{Create: auth.CreateAPI}},
		},
	})
	main := id.PolicyFor("stage-main")
	require.Equal(t, auth.Policy{Capacity: 2, Grace: auth.Duration(time.Minute), Topics: []string{"chat"}, History: 50, Moderated: auth.On}, main)
	side := id.PolicyFor("stage-side")
	require.Equal(t, auth.Policy{Capacity: 4, MaxCapacity: 9, Grace: -1, Topics: []string{"cue", "note"}, History: -1, Moderated: auth.Off}, side)
	rest := id.PolicyFor("lobby")
	require.Equal(t, auth.CreateAPI, rest.Create)
	require.Equal(t, 50, rest.History)
	require.Equal(t, 4, id.Policy.Capacity)
	require.Empty(t, id.Policy.Create)
}

// Most apps have one policy, and pay for no more.
func TestPolicyForCostsNothing(t *testing.T) {
	one := mustAnonymous(t, auth.App{ID: "x", Anonymous: true, Policy: auth.Policy{Capacity: 4}})
	many := mustAnonymous(t, auth.App{ID: "x", Anonymous: true, Policies: []auth.RoomPolicy{{Rooms: "a*", Policy: auth.Policy{Capacity: 4}}}})
	for _, id := range []*auth.Identity{one, many} {
		require.Zero(t, testing.AllocsPerRun(100, func() {
			if policy := id.PolicyFor("attic"); policy.Capacity != 4 {
				t.Error(policy)
			}
		}))
	}
}

// A session that comes back gets the policies of now.
func TestPolicyForAfterResume(t *testing.T) {
	app := auth.App{ID: "x", Anonymous: true, Policies: []auth.RoomPolicy{{Rooms: "a*", Policy: auth.Policy{Capacity: 4}}}}
	tokens := mustTokens(t, mustDirectory(t, auth.Options{Apps: []auth.App{app}}), clusterKey)
	token, err := tokens.Seal(auth.Resumable{Session: "s", Identity: mustAnonymous(t, app)})
	require.NoError(t, err)
	opened, err := tokens.Open(token)
	require.NoError(t, err)
	require.Equal(t, 4, opened.Identity.PolicyFor("attic").Capacity)
}

func TestPolicyWords(t *testing.T) {
	moderator, guest := auth.Permissions{Moderate: true}, auth.Permissions{Publish: true}
	for create, want := range map[auth.Create][2]bool{
		"": {true, true}, auth.CreateAnyone: {true, true}, auth.CreateModerators: {true, false}, auth.CreateAPI: {false, false},
	} {
		p := auth.Policy{Create: create}
		require.Equal(t, want, [2]bool{p.MayCreate(moderator), p.MayCreate(guest)}, create)
	}
	none, some := auth.Policy{}, auth.Policy{Topics: []string{"chat"}, Spotlight: auth.Off, Webhooks: auth.Off}
	require.True(t, none.AllowsTopic("any"))
	require.True(t, none.AllowsTopic(""))
	require.True(t, none.AllowsSpotlight())
	require.True(t, none.HasWebhooks())
	require.True(t, some.AllowsTopic("chat"))
	require.False(t, some.AllowsTopic(""))
	require.False(t, some.AllowsSpotlight())
	require.False(t, some.HasWebhooks())
}

func TestPoliciesRefused(t *testing.T) {
	for _, tt := range []struct {
		policy auth.Policy
		want   string
	}{
		{auth.Policy{Capacity: -1}, "negative"},
		{auth.Policy{Capacity: 3, MaxCapacity: 2}, "greater than max_capacity"},
		{auth.Policy{Grace: auth.Duration(2 * time.Hour)}, "a grace of 2h is over 1h"},
		{auth.Policy{SameUser: "kick"}, `same_user is "kick", not allow or replace`},
		{auth.Policy{Create: "all"}, `create is "all", not anyone, moderators or api`},
		{auth.Policy{Echo: "on"}, `echo is "on", not asked or off`},
		{auth.Policy{Topics: []string{"a b"}}, `topic "a b" is not`},
		{auth.Policy{Topics: []string{""}}, `topic "" is not`},
		{auth.Policy{Topics: make([]string, 65)}, "topics has more than 64"},
		{auth.Policy{MaxMessageBytes: -1}, "max_message_bytes is negative"},
		{auth.Policy{Moderated: "yes"}, `moderated is "yes", not on or off`},
		{auth.Policy{Succession: "first"}, `succession is "first", not none or next`},
		{auth.Policy{Spotlight: "no"}, `spotlight is "no"`},
		{auth.Policy{History: 1001}, "history 1001 is over 1000"},
		{auth.Policy{Keep: auth.Duration(721 * time.Hour)}, "keep 721h is over 720h"},
		{auth.Policy{Webhooks: "no"}, `webhooks is "no"`},
		{auth.Policy{Waiting: 1001}, "waiting 1001 is over 1000"},
		{auth.Policy{RelayOnly: "yes"}, `relay_only is "yes", not on or off`},
		{auth.Policy{FirstModerates: "yes"}, `first_moderates is "yes", not on or off`},
	} {
		app := auth.App{ID: "x", Policy: tt.policy}
		require.ErrorContains(t, app.Validate(), "policy: ")
		require.ErrorContains(t, app.Validate(), tt.want)
		app = auth.App{ID: "x", Policies: []auth.RoomPolicy{{Rooms: "a", Policy: tt.policy}}}
		require.ErrorContains(t, app.Validate(), "policies[0]: ")
		require.ErrorContains(t, app.Validate(), tt.want)
	}
	for name, tt := range map[string]struct {
		policies []auth.RoomPolicy
		want     string
	}{
		"Pattern":       {[]auth.RoomPolicy{{Rooms: "a*b"}}, "policies[0]: a room is"},
		"NoPattern":     {[]auth.RoomPolicy{{}}, "policies[0]: a room is"},
		"Twice":         {[]auth.RoomPolicy{{Rooms: "a"}, {Rooms: "b"}, {Rooms: "a"}}, "policies[2]: never counts, as policies[0]"},
		"BehindAll":     {[]auth.RoomPolicy{{Rooms: "*"}, {Rooms: "a"}}, "policies[1]: never counts"},
		"BehindAWider":  {[]auth.RoomPolicy{{Rooms: "a*"}, {Rooms: "ab*"}}, "policies[1]: never counts"},
		"InheritedMost": {[]auth.RoomPolicy{{Rooms: "a", Policy: auth.Policy{Capacity: 7}}}, "policies[0]: capacity 7 is greater than max_capacity 5"},
		"TooMany":       {make([]auth.RoomPolicy, 65), "more than 64"},
	} {
		app := auth.App{ID: "x", Policy: auth.Policy{MaxCapacity: 5}, Policies: tt.policies}
		require.ErrorContains(t, app.Validate(), tt.want, name)
	}
	wide := auth.App{ID: "x", Policies: []auth.RoomPolicy{{Rooms: "ab*"}, {Rooms: "a*"}, {Rooms: "b"}, {Rooms: "*"}}}
	require.NoError(t, wide.Validate())
	_, err := auth.NewDirectory(auth.Options{MaxCapacity: 10, Apps: []auth.App{
		{ID: "x", Anonymous: true, Policies: []auth.RoomPolicy{{Rooms: "a", Policy: auth.Policy{MaxCapacity: 11}}}}}})
	require.ErrorContains(t, err, "policies[0]: max_capacity 11 is more than a room can have")
	require.Equal(t, 1, strings.Count(err.Error(), "max_capacity"))
}
