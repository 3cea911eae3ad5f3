package auth_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/auth"
)

func TestICEURL(t *testing.T) {
	for _, address := range []string{
		"stun:stun.example.com", "stun:stun.example.com:19302", "stuns:192.0.2.1:5349", "turn:turn.example.com", "turn:[2001:db8::1]:3478?transport=udp",
		"turns:turn.example.com?transport=tcp", "turn:turn_1.example.com:443?transport=tcp", "turn:xn--bcher-kva.example:65535", "TURN:turn.example.com",
	} {
		require.NoError(t, auth.ValidateICEURL(address), address)
	}
	for address, want := range map[string]string{
		"":                                    "does not start with",
		"turn.example.com:3478":               "does not start with",
		"https://turn.example.com":            "does not start with",
		"stun://stun.example.com":             "names no host",
		"turn:":                               "names no host",
		"turn::3478":                          "names no host",
		"turn:turn.example.com:0":             "has port 0",
		"turn:turn.example.com:65536":         "has port 65536",
		"turn:turn.example.com:-1":            "has port -1",
		"turn:turn.example.com:x":             "is not like",
		"turn:2001:db8::1":                    "is not like",
		"turn:[fe80::1%eth0]:3478":            "is not like",
		"turn:turn.example.com?transport=":    "is not like",
		"turn:turn.example.com?transport=ip":  "is not like",
		"turn:turn.example.com?via=tcp":       "is not like",
		"stun:stun.example.com?transport=tcp": "is not like",
		"turn:user:word@turn.example.com":     "is not like",
		"turn:user@turn.example.com":          "is not like",
		"turn:turn.example.com/path":          "is not like",
		"turn:turn.example.com#1":             "is not like",
		"turn:turn example.com":               "is not like",
		"turn:bücher.example":                 "is not like",
		"turn:\x00":                           "is not like",
		"turn:" + strings.Repeat("a", 254):    "is not like",
		"turn:" + strings.Repeat("a", 600):    "is longer than 512 bytes",
	} {
		require.ErrorContains(t, auth.ValidateICEURL(address), want, address)
	}
}

func TestICERefused(t *testing.T) {
	turn := []string{"turn:turn.example.com"}
	for _, tc := range []struct {
		ice  auth.ICE
		want string
	}{
		{auth.ICE{Servers: make([]auth.ICEServerSettings, 17)}, "ice.servers has more than 16 entries"},
		{auth.ICE{Servers: []auth.ICEServerSettings{{}}}, "ice.servers[0].urls: has 0 entries, not 1 to 16"},
		{auth.ICE{Servers: []auth.ICEServerSettings{{URLs: make([]string, 17)}}}, "ice.servers[0].urls: has 17 entries"},
		{auth.ICE{Servers: []auth.ICEServerSettings{{URLs: []string{"turn:"}}}}, `ice.servers[0].urls: "turn:" names no host`},
		{auth.ICE{Servers: []auth.ICEServerSettings{{URLs: turn}}}, "ice.servers[0]: a turn: server needs username and credential, or a secret"},
		{auth.ICE{Servers: []auth.ICEServerSettings{{URLs: turn, Username: "u"}}}, "needs username and credential"},
		{auth.ICE{Servers: []auth.ICEServerSettings{{URLs: turn, Username: "u", Credential: turnSecret, Secret: turnSecret}}}, "has a secret, of which credentials are made, and a username"},
		{auth.ICE{Servers: []auth.ICEServerSettings{{URLs: []string{"stun:stun.example.com"}, Secret: turnSecret}}}, "a secret is for turn: and turns: servers alone"},
		{auth.ICE{Servers: []auth.ICEServerSettings{{URLs: turn, Secret: "short"}}}, "a secret is shorter than 16 bytes"},
		{auth.ICE{Servers: []auth.ICEServerSettings{{URLs: turn, Secret: "(hidden)"}}}, "is none"},
		{auth.ICE{Servers: []auth.ICEServerSettings{{URLs: turn, Secret: turnSecret, Secrets: make([]auth.Secret, 4)}}}, "there are 5 secrets, and at most 4"},
		{auth.ICE{Servers: []auth.ICEServerSettings{{URLs: turn, Username: strings.Repeat("u", 509), Credential: "c"}}}, "longer than 508 bytes"},
		{auth.ICE{TTL: auth.Duration(time.Second)}, "ice.ttl: 1s is not 10s to 24h"},
		{auth.ICE{TTL: auth.Duration(25 * time.Hour)}, "ice.ttl: 25h is not 10s to 24h"},
		{auth.ICE{TTL: -1}, "ice.ttl: "},
		{auth.ICE{Inherit: "no"}, `ice.inherit is "no", not on or off`},
	} {
		app := auth.App{ID: "x", ICE: tc.ice}
		err := app.Validate()
		require.ErrorContains(t, err, tc.want)
		require.NotContains(t, err.Error(), turnSecret)
	}
}

func TestICEKeysInTheirOrder(t *testing.T) {
	require.Empty(t, (&auth.ICEServerSettings{Username: "u", Credential: "c"}).Keys())
	require.Equal(t, []auth.Secret{"b", "c"}, (&auth.ICEServerSettings{Secrets: []auth.Secret{"b", "c"}}).Keys())
	require.Equal(t, []auth.Secret{"a", "b", "c"}, (&auth.ICEServerSettings{Secret: "a", Secrets: []auth.Secret{"b", "c"}}).Keys())
}

func TestDirectoryTellsOfICE(t *testing.T) {
	d := mustDirectory(t, auth.Options{Apps: []auth.App{wholeApp()}})
	changes := 0
	d.OnChange(func() { changes++ })
	ice, ok := d.ICE("whole")
	require.True(t, ok)
	require.Equal(t, wholeApp().ICE, *ice)
	require.False(t, ice.Inherits())
	again, _ := d.ICE("whole")
	require.Same(t, ice, again)
	_, ok = d.ICE("none")
	require.False(t, ok)

	app := wholeApp()
	app.Origins = nil
	require.NoError(t, d.Configure([]auth.App{app}))
	again, _ = d.ICE("whole")
	require.True(t, ice.Equal(again), "what clients are told is the same")
	app.ICE.Servers[1].Secrets = nil
	require.NoError(t, d.Configure([]auth.App{app}))
	again, _ = d.ICE("whole")
	require.False(t, ice.Equal(again))
	d.ManageOne("managed", mustEncode(t, auth.App{ID: "managed"}))
	require.Equal(t, 3, changes)
	plain, ok := d.ICE("managed")
	require.True(t, ok)
	require.True(t, plain.Inherits())
}
