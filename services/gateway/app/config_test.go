package app_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/auth"
	"github.com/signalbox-rtc/signalbox/services/gateway/app"
)

// mustFile writes a configuration file and returns its path.
func mustFile(tb testing.TB, content string) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "signalbox.yaml")
	require.NoError(tb, os.WriteFile(path, []byte(content), 0o600))
	return path
}

// load loads a file's content (none if empty), an environment and arguments.
func load(tb testing.TB, file string, env, args []string) (*app.Config, error) {
	tb.Helper()
	if file != "" {
		args = append([]string{"--config", mustFile(tb, file)}, args...)
	}
	var out bytes.Buffer
	config, err := app.Load(args, env, &out)
	require.Empty(tb, out.String(), "nothing was asked for")
	return config, err
}

func TestLoadDefaults(t *testing.T) {
	c, err := app.Load(nil, nil, nil)
	require.NoError(t, err)
	hostname, err := os.Hostname()
	require.NoError(t, err)

	require.Equal(t, hostname, c.Node.Name)
	require.Equal(t, ":8080", c.Listen.Public)
	require.Equal(t, "127.0.0.1:9090", c.Listen.Operations)
	require.Equal(t, ":7946", c.Listen.Cluster)
	require.False(t, c.Listen.Pprof)
	require.Len(t, c.Listen.TrustedProxies, 6)
	require.True(t, c.SocketIO.Enabled)
	require.Equal(t, []string{"/"}, c.SocketIO.CallNamespaces)
	require.Equal(t, []string{"/chat"}, c.SocketIO.ChatNamespaces)
	require.Empty(t, c.DefaultApp())
	require.Equal(t, []string{"127.0.0.1:6379"}, c.Redis.Addresses)
	require.Equal(t, app.RedisSingle, c.Redis.Mode)
	require.Equal(t, time.Second, c.Redis.DialTimeout)
	require.Equal(t, 64, c.Cluster.Partitions)
	require.Equal(t, 2*time.Minute, c.Rooms.ResumeWindow)
	require.Equal(t, 1<<20, c.Session.QueueBytes)
	require.Equal(t, 64<<10, c.Limits.MessageBytes)
	require.True(t, c.Origins.AllowMissing)
	require.False(t, c.Demo.Enabled)
	require.False(t, c.Pages.Enabled)
	require.False(t, c.TLS.Enabled())
	require.Empty(t, c.Apps)
	require.NoError(t, c.Validate())
	require.Equal(t, c, app.Default())
}

func TestLoadPrecedence(t *testing.T) {
	const file = "redis: {dial_timeout: 2s}\nrooms: {capacity: 20}\n"
	env := []string{"HOME=/", "SIGNALBOX_REDIS_DIAL_TIMEOUT=3s"}
	args := []string{"--redis.dial_timeout=4s"}

	for name, test := range map[string]struct {
		file string
		env  []string
		args []string
		want time.Duration
	}{
		"Default":     {"", nil, nil, time.Second},
		"File":        {file, nil, nil, 2 * time.Second},
		"Environment": {file, env, nil, 3 * time.Second},
		"Flag":        {file, env, args, 4 * time.Second},
		"EmptyIsUnset": {
			"redis:\n  dial_timeout:\n  addresses: ~\nrooms:\n",
			[]string{"SIGNALBOX_REDIS_DIAL_TIMEOUT="}, nil, time.Second,
		},
		"EmptyFile":    {"# nothing yet\n", nil, nil, time.Second},
		"LastFlagWins": {"", nil, []string{"--redis.dial_timeout=9s", "--redis.dial_timeout", "5s"}, 5 * time.Second},
		"OneDash":      {"", nil, []string{"-redis.dial_timeout", "6s"}, 6 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := load(t, test.file, test.env, test.args)
			require.NoError(t, err)
			require.Equal(t, test.want, c.Redis.DialTimeout)
		})
	}

	t.Run("SectionsMerge", func(t *testing.T) {
		c, err := load(t, file, nil, []string{"--rooms.max_capacity=30"})
		require.NoError(t, err)
		require.Equal(t, 20, c.Rooms.Capacity)
		require.Equal(t, 30, c.Rooms.MaxCapacity)
		require.Equal(t, 256, c.Rooms.LogLength)
	})

	t.Run("FileByVariableOrFlag", func(t *testing.T) {
		one, two := mustFile(t, "rooms: {capacity: 11}"), mustFile(t, "rooms: {capacity: 12}")
		c, err := load(t, "", []string{"SIGNALBOX_CONFIG=" + one}, nil)
		require.NoError(t, err)
		require.Equal(t, 11, c.Rooms.Capacity)
		c, err = load(t, "", []string{"SIGNALBOX_CONFIG=" + one}, []string{"--config=" + two})
		require.NoError(t, err)
		require.Equal(t, 12, c.Rooms.Capacity)
	})
}

// A list stands in one of the files whole: what an earlier one says of it is not added.
func TestLoadSeveralFiles(t *testing.T) {
	plain := mustFile(t, "rooms: {capacity: 7, max_capacity: 70}\norigins: {allowed: ['https://a.example', 'https://b.example']}\n")
	secret := mustFile(t, "rooms: {capacity: 8}\norigins: {allowed: ['https://c.example']}\nredis: {password: hush}\n")
	for name, given := range map[string]struct{ env, args []string }{
		"by flag":     {args: []string{"--config", plain + "," + secret}},
		"by variable": {env: []string{"SIGNALBOX_CONFIG=" + plain + ", " + secret + ","}},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := app.Load(given.args, given.env, nil)
			require.NoError(t, err)
			require.Equal(t, 8, c.Rooms.Capacity)
			require.Equal(t, 70, c.Rooms.MaxCapacity)
			require.Equal(t, []string{"https://c.example"}, c.Origins.Allowed)
			require.Equal(t, auth.Secret("hush"), c.Redis.Password)
		})
	}
	_, err := app.Load([]string{"--config", plain + ",/nowhere.yaml"}, nil, nil)
	require.ErrorContains(t, err, "/nowhere.yaml")
}

func TestLoadKinds(t *testing.T) {
	t.Run("Lists", func(t *testing.T) {
		want := []string{"https://a.example", "https://*.b.example"}
		for name, sources := range map[string][3]string{
			"File":        {"origins: {allowed: [https://a.example, \"https://*.b.example\"]}", "", ""},
			"Environment": {"origins: {allowed: [https://c.example]}", "SIGNALBOX_ORIGINS_ALLOWED=https://a.example, https://*.b.example,", ""},
			"Flag":        {"", "", "--origins.allowed=https://a.example,https://*.b.example"},
		} {
			t.Run(name, func(t *testing.T) {
				var env, args []string
				if sources[1] != "" {
					env = []string{sources[1]}
				}
				if sources[2] != "" {
					args = []string{sources[2]}
				}
				c, err := load(t, sources[0], env, args)
				require.NoError(t, err)
				require.Equal(t, want, c.Origins.Allowed)
			})
		}
	})

	t.Run("Switches", func(t *testing.T) {
		c, err := load(t, "", nil, []string{"--demo.enabled", "--pages.enabled=true", "--origins.allow_missing=false"})
		require.NoError(t, err)
		require.True(t, c.Demo.Enabled)
		require.True(t, c.Pages.Enabled)
		require.False(t, c.Origins.AllowMissing)
	})

	// YAML takes 0123 for the number 83 and 1e3 for 1000; a password is what is written.
	t.Run("TextIsTakenAsWritten", func(t *testing.T) {
		c, err := load(t, "redis: {password: 0123, username: 1e3}\nnode: {name: true}", nil, nil)
		require.NoError(t, err)
		require.Equal(t, "0123", string(c.Redis.Password))
		require.Equal(t, "1e3", c.Redis.Username)
		require.Equal(t, "true", c.Node.Name)
	})

	t.Run("Alias", func(t *testing.T) {
		c, err := load(t, "redis: {read_timeout: &wait 3s, write_timeout: *wait}", nil, nil)
		require.NoError(t, err)
		require.Equal(t, 3*time.Second, c.Redis.WriteTimeout)
	})

	t.Run("AppsAndServers", func(t *testing.T) {
		ends := time.Date(2030, 1, 31, 12, 0, 0, 0, time.UTC)
		c, err := load(t, `
apps:
  - id: acme
    keys:
      - id: k1
        algorithm: HS256
        secret: 0123456789abcdef0123456789abcdef
        expires: 2030-01-31T13:00:00+01:00
    origins: [https://acme.example]
    anonymous: true
    anonymous_grants:
      - room: lobby-*
        can: {publish: true}
    policy: {capacity: 4, max_capacity: 8}
    policies:
      - {rooms: stage-*, create: api, keep: 90m, topics: [chat, cue]}
    max_lifetime: 90m
ice_servers:
  - urls: ["stun:stun.example:3478"]
  - urls: ["turn:turn.example:3478", "turns:turn.example:5349"]
    username: u
    credential: c
`, nil, nil)
		require.NoError(t, err)
		require.Equal(t, []auth.App{{
			ID:              "acme",
			Keys:            []auth.Key{{ID: "k1", Algorithm: auth.HS256, Secret: "0123456789abcdef0123456789abcdef", Expires: auth.TimeOf(ends)}},
			Origins:         []string{"https://acme.example"},
			Anonymous:       true,
			AnonymousGrants: []auth.Grant{{Room: "lobby-*", Can: auth.Permissions{Publish: true}}},
			Policy:          auth.Policy{Capacity: 4, MaxCapacity: 8},
			Policies: []auth.RoomPolicy{{Rooms: "stage-*", Policy: auth.Policy{
				Create: auth.CreateAPI, Keep: auth.Duration(90 * time.Minute), Topics: []string{"chat", "cue"}}}},
			MaxLifetime: auth.Duration(90 * time.Minute),
		}}, c.Apps)
		require.Equal(t, []app.ICEServer{
			{URLs: []string{"stun:stun.example:3478"}},
			{URLs: []string{"turn:turn.example:3478", "turns:turn.example:5349"}, Username: "u", Credential: "c"},
		}, c.ICEServers)
	})
}

func TestLoadRedisURL(t *testing.T) {
	for name, test := range map[string]struct {
		url  string
		want app.RedisConfig
	}{
		"Short": {"redis://cache", app.RedisConfig{Addresses: []string{"cache:6379"}}},
		"Whole": {"redis://me:p%40ss@cache:7000/3", app.RedisConfig{Addresses: []string{"cache:7000"}, Username: "me", Password: "p@ss", Database: 3}},
		"TLS":   {"rediss://:pass@[::1]:7000/", app.RedisConfig{Addresses: []string{"[::1]:7000"}, Password: "pass", TLS: app.RedisTLSConfig{Enabled: true}}},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := load(t, "", []string{"SIGNALBOX_REDIS_URL=" + test.url}, nil)
			require.NoError(t, err)
			require.Equal(t, app.RedisSingle, c.Redis.Mode)
			require.Equal(t, test.want.Addresses, c.Redis.Addresses)
			require.Equal(t, test.want.Username, c.Redis.Username)
			require.Equal(t, string(test.want.Password), string(c.Redis.Password))
			require.Equal(t, test.want.Database, c.Redis.Database)
			require.Equal(t, test.want.TLS, c.Redis.TLS)
		})
	}

	for _, url := range []string{
		"http://cache", "cache:6379", "redis://", "redis://u:hunter2@cache:port", "redis://u:hunter2@cache/x",
		"redis://u:hunter2@cache?db=1", "redis://u:hunter2@cache#1", "redis://u:hunter2@cache:70000", "redis://u:hunter2@cache/99999",
	} {
		t.Run("Refused/"+url, func(t *testing.T) {
			_, err := load(t, "", []string{"SIGNALBOX_REDIS_URL=" + url}, nil)
			require.ErrorContains(t, err, "redis.")
			require.NotContains(t, err.Error(), "hunter2")
		})
	}

	t.Run("ExcludesItsParts", func(t *testing.T) {
		_, err := load(t, "redis: {addresses: [a:1]}", []string{"SIGNALBOX_REDIS_URL=redis://b", "SIGNALBOX_REDIS_PASSWORD=hunter2"}, nil)
		require.ErrorContains(t, err, "redis.url: excludes redis.addresses, which is set too (file ")
		require.ErrorContains(t, err, "redis.url: excludes redis.password, which is set too (environment SIGNALBOX_REDIS_PASSWORD)")
		require.NotContains(t, err.Error(), "hunter2")
	})
}

func TestLoadRefuses(t *testing.T) {
	const service = "SIGNALBOX_GATEWAY_PORT_8080_TCP_ADDR=10.0.0.1"
	tests := []struct {
		name string
		file string
		env  []string
		args []string
		want string // FILE stands for the path of the file
	}{
		{name: "UnknownKeyInFile", file: "redis:\n  dail_timeout: 1s\n", want: "redis.dail_timeout: unknown; did you mean redis.dial_timeout? (file FILE:2)"},
		{name: "UnknownSectionInFile", file: "redsi:\n  mode: single\n", want: "redsi: unknown; did you mean redis? (file FILE:1)"},
		{name: "KeyWithoutItsSection", file: "dial_timeout: 1s\n", want: "dial_timeout: unknown; did you mean redis.dial_timeout? (file FILE:1)"},
		{name: "NothingLikeIt", file: "zzzzzzzzzzzz: 1\n", want: "zzzzzzzzzzzz: unknown (file FILE:1)"},
		{name: "UnknownKeyOfApp", file: "apps:\n  - id: a\n    anonymous: true\n    polcy: {}\n", want: "apps[0].polcy: unknown; did you mean apps[0].policy? (file FILE:4)"},
		{name: "CaseCounts", file: "Redis: {}\n", want: "Redis: unknown; did you mean redis? (file FILE:1)"},
		{name: "UnknownVariable", env: []string{"SIGNALBOX_REDIS_PASWORD=x"}, want: "SIGNALBOX_REDIS_PASWORD: unknown; did you mean SIGNALBOX_REDIS_PASSWORD? (environment SIGNALBOX_REDIS_PASWORD)"},
		{name: "UnknownFlag", args: []string{"--redis.dail_timeout", "1s"}, want: "--redis.dail_timeout: unknown; did you mean --redis.dial_timeout? (flag --redis.dail_timeout)"},
		{name: "Argument", args: []string{"run=x"}, want: `"run": unexpected argument; every argument is a flag, as in --key=value`},
		{name: "FlagWithoutValue", args: []string{"--redis.dial_timeout"}, want: "redis.dial_timeout: needs a value, as in --redis.dial_timeout=... (flag --redis.dial_timeout)"},
		{name: "FlagFollowedByFlag", args: []string{"--node.name", "--demo.enabled"}, want: "node.name: needs a value, as in --node.name=... (flag --node.name)"},
		{name: "SwitchWithText", args: []string{"--print-config=maybe"}, want: `print-config: "maybe" is neither true nor false (flag --print-config)`},
		{name: "ListOfStructsByVariable", env: []string{"SIGNALBOX_APPS=[]"}, want: "apps: can only be set in the file (environment SIGNALBOX_APPS)"},
		{name: "ListOfStructsByFlag", args: []string{"--ice_servers=[]"}, want: "ice_servers: can only be set in the file (flag --ice_servers)"},

		{name: "NotANumber", file: "rooms:\n  capacity: fifty\n", want: `rooms.capacity: "fifty" is not a whole number (file FILE:2)`},
		{name: "Fraction", env: []string{"SIGNALBOX_ROOMS_CAPACITY=1.5"}, want: `rooms.capacity: "1.5" is not a whole number (environment SIGNALBOX_ROOMS_CAPACITY)`},
		{name: "HugeNumber", args: []string{"--rooms.capacity=99999999999999999999"}, want: "is not a whole number (flag --rooms.capacity)"},
		{name: "NotADuration", file: "redis: {dial_timeout: 5}", want: `redis.dial_timeout: "5" is not a duration; write a number with its unit, such as 500ms, 1.5s or 2m (file FILE:1)`},
		{name: "NotATime", file: "apps: [{id: a, keys: [{id: k, algorithm: HS256, expires: tomorrow}]}]", want: `apps[0].keys[0].expires: "tomorrow" is not a time of RFC 3339, such as 2030-01-31T12:00:00Z (file FILE:1)`},
		{name: "NotABool", env: []string{"SIGNALBOX_DEMO_ENABLED=yes"}, want: `demo.enabled: "yes" is neither true nor false (environment SIGNALBOX_DEMO_ENABLED)`},
		{name: "NotOneOf", args: []string{"--log.level=loud"}, want: `log.level: "loud" is not one of debug, info, warn, error (flag --log.level)`},
		{name: "TooSmall", file: "rooms: {capacity: 0}", want: `rooms.capacity: "0" is out of range; allowed: 1 to 10000 (file FILE:1)`},
		{name: "Negative", args: []string{"--rooms.capacity", "-3"}, want: `rooms.capacity: "-3" is out of range; allowed: 1 to 10000 (flag --rooms.capacity)`},
		{name: "TooLong", env: []string{"SIGNALBOX_REDIS_READ_TIMEOUT=2h"}, want: `redis.read_timeout: "2h" is out of range; allowed: 10ms to 1m (environment SIGNALBOX_REDIS_READ_TIMEOUT)`},
		{name: "OverriddenButWrong", file: "rooms: {capacity: x}", args: []string{"--rooms.capacity=5"}, want: `rooms.capacity: "x" is not a whole number (file FILE:1)`},
		{name: "EmptyList", file: "redis: {addresses: []}", want: "redis.addresses: the list of 0 is out of range; allowed: 1 to 64 entries (file FILE:1)"},
		{name: "ScalarForList", file: "redis: {addresses: a:1}", want: "redis.addresses: is a single value, not a list (file FILE:1)"},
		{name: "ListForScalar", file: "rooms: {capacity: [1]}", want: "rooms.capacity: is a list, not a single value (file FILE:1)"},
		{name: "ScalarForSection", file: "rooms: 3", want: "rooms: is a single value, not a section with keys (file FILE:1)"},
		{name: "ListForFile", file: "- 1", want: "the file: is a list, not a section with keys (file FILE:1)"},
		{name: "ScalarForApp", file: "apps: [acme]", want: "apps[0]: is a single value, not a section with keys (file FILE:1)"},
		{name: "SectionForApps", file: "apps: {id: acme}", want: "apps: is a section with keys, not a list (file FILE:1)"},
		{name: "WrongTypeInApp", file: "apps:\n  - id: a\n    anonymous: maybe\n", want: `apps[0].anonymous: "maybe" is neither true nor false (file FILE:3)`},
		{name: "Twice", file: "rooms:\n  capacity: 1\n  capacity: 2\n", want: "rooms.capacity: is there twice, first in line 2 (file FILE:3)"},
		{name: "NotYAML", file: "rooms: {capacity: 1", want: "is not YAML: yaml: line 1"},
		{name: "TwoDocuments", file: "rooms: {}\n---\nrooms: {}\n", want: "holds more than one YAML document (file FILE)"},
		{name: "NoFile", args: []string{"--config=/nonexistent/signalbox.yaml"}, want: "cannot be read: open /nonexistent/signalbox.yaml: no such file or directory"},
		{name: "NoFileByVariable", env: []string{"SIGNALBOX_CONFIG=/nonexistent/signalbox.yaml"}, want: "cannot be read"},

		{name: "CertWithoutKey", args: []string{"--tls.cert_file=a"}, want: "tls.cert_file and tls.key_file: one needs the other (tls.cert_file: flag --tls.cert_file, tls.key_file: default)"},
		{name: "KeyWithoutCert", args: []string{"--tls.key_file=a"}, want: "one needs the other"},
		{name: "SameAddress", args: []string{"--listen.operations=:8080"}, want: `listen.public and listen.operations: are both ":8080"`},
		{name: "NoPort", args: []string{"--listen.public=localhost"}, want: `listen.public: "localhost" is not host:port (listen.public: flag --listen.public)`},
		{name: "NamedPort", args: []string{"--listen.public=:http"}, want: `listen.public: ":http" is not host:port`},
		{name: "SameClusterAddress", args: []string{"--listen.cluster=:8080"}, want: `listen.cluster and listen.public: are both ":8080"`},
		{name: "NodeAddress", args: []string{"--node.address=10.0.0.1"}, want: `node.address: "10.0.0.1" is not host:port`},
		{name: "TrustedProxy", args: []string{"--listen.trusted_proxies=10.0.0.1"}, want: `listen.trusted_proxies: "10.0.0.1" is not a network as in 10.0.0.0/8`},
		{name: "ShortClusterKey", env: []string{"SIGNALBOX_CLUSTER_KEY=secret"}, want: "cluster.key: has 6 characters, fewer than 32"},
		{name: "ShortLease", args: []string{"--cluster.lease=3s"}, want: "cluster.lease: 3s is less than three of cluster.beat, which is 2s"},
		{name: "SocketIOPath", args: []string{"--socketio.path=/socket.io"}, want: `socketio.path: "/socket.io" is not a path of its own`},
		{name: "SocketIOPathOfOurs", args: []string{"--socketio.path=/v1/connect/"}, want: "is not a path of its own"},
		{name: "Namespace", args: []string{"--socketio.call_namespaces=call"}, want: `socketio: "call" is not a namespace`},
		{name: "LongNamespace", args: []string{"--socketio.chat_namespaces=/abcdefghijklmnopqrstuvwx"}, want: "is not a namespace: a slash and then at most 23"},
		{name: "NamespaceTwice", args: []string{"--socketio.chat_namespaces=/"}, want: `socketio: "/" is in call_namespaces and in chat_namespaces`},
		{name: "CallCapacity", args: []string{"--socketio.call_capacity=501"}, want: "socketio.call_capacity: 501 is more than rooms.max_capacity, which is 500"},
		{name: "TracingEndpoint", args: []string{"--tracing.endpoint=collector:4318"}, want: `tracing.endpoint: "collector:4318" is not like http://host:4318`},
		{name: "WebhookRetry", args: []string{"--webhooks.min_retry=10m"}, want: "webhooks.min_retry: 10m0s is more than webhooks.max_retry, which is 5m0s"},
		{name: "WebhookNetwork", args: []string{"--webhooks.allow_networks=10.0.0.1"}, want: `webhooks.allow_networks: "10.0.0.1" is not a network such as 10.0.0.0/8`},
		{name: "TracingHeaders", args: []string{"--tracing.headers=key"}, want: "tracing.headers: not like name=value,name=value"},
		{name: "SocketIOApp", args: []string{"--socketio.app=acme"}, want: `socketio.app: there is no app "acme"`},
		{name: "BindingCookie", args: []string{"--socketio.binding_cookie=a b"}, want: `socketio.binding_cookie: "a b" is not a cookie's name`},
		{name: "ControlInName", env: []string{"SIGNALBOX_NODE_NAME=a\nb"}, want: "node.name: is not at most 253 bytes of printable text"},
		{name: "RedisAddress", args: []string{"--redis.addresses=cache"}, want: `redis.addresses: "cache" is not host:port`},
		{name: "TwoForSingle", args: []string{"--redis.addresses=a:1,b:2"}, want: "redis.addresses: there are 2, and redis.mode single takes one"},
		{name: "SentinelWithoutMaster", args: []string{"--redis.mode=sentinel"}, want: "redis.master_name: is needed with redis.mode sentinel"},
		{name: "MasterWithoutSentinel", args: []string{"--redis.master_name=m"}, want: "redis.master_name: is for redis.mode sentinel alone"},
		{name: "ClusterDatabase", args: []string{"--redis.mode=cluster", "--redis.database=1"}, want: "redis.database: is 1, and redis.mode cluster has only 0"},
		// Otherwise the password would go over the wire in the clear.
		{name: "TLSSetUpButOff", args: []string{"--redis.tls.ca_file=ca.pem"}, want: "redis.tls: is set up, and redis.tls.enabled is false"},
		{name: "RedisCertWithoutKey", args: []string{"--redis.tls.enabled", "--redis.tls.cert_file=a"}, want: "redis.tls.cert_file and redis.tls.key_file: one needs the other"},
		{name: "CapacityOverMost", args: []string{"--rooms.capacity=600"}, want: "rooms.capacity: 600 is more than rooms.max_capacity, which is 500"},
		{name: "DemoCapacityOverMost", args: []string{"--demo.capacity=600"}, want: "demo.capacity: 600 is more than rooms.max_capacity, which is 500"},
		{name: "RateOverBurst", args: []string{"--limits.requests_per_second=200"}, want: "limits.requests_per_second: 200 is more than limits.requests_burst, which is 100"},
		{name: "StateOverMessage", args: []string{"--rooms.state_bytes=70000"}, want: "rooms.state_bytes: 70000 is more than limits.message_bytes, which is 65536"},
		{name: "MessageOverQueue", args: []string{"--session.queue_bytes=4096"}, want: "limits.message_bytes: 65536 is more than session.queue_bytes, which is 4096"},
		{name: "AcceptsOverBurst", args: []string{"--limits.accepts_per_second=501"}, want: "limits.accepts_per_second: 501 is more than limits.accepts_burst, which is 500"},
		{name: "WindowOverTimeout", args: []string{"--shutdown.window=22001ms"}, want: "shutdown.timeout: 25s is less than shutdown.delay, window and grace together, which are 25.001s"},
		{name: "LapsedWindowOverTimeout", args: []string{"--shutdown.lapsed_window=26s"}, want: "shutdown.lapsed_window: 26s is more than shutdown.timeout, which is 25s"},
		{name: "HeartbeatTimeout", args: []string{"--session.heartbeat=10s"}, want: "session.heartbeat_timeout: 10s must be less than session.heartbeat, which is 10s"},
		{name: "Origin", args: []string{"--origins.allowed=https://a.example/path"}, want: `origins.allowed: "https://a.example/path": an origin is `},
		{name: "AppOverMost", file: "apps: [{id: a, anonymous: true, policy: {max_capacity: 501}}]", want: "apps[0].policy.max_capacity: 501 is more than rooms.max_capacity, which is 500"},
		{name: "RoomsOverMost", file: "apps: [{id: a, anonymous: true, policies: [{rooms: a, max_capacity: 501}]}]", want: "apps[0].policies[0].max_capacity: 501 is more than rooms.max_capacity, which is 500"},
		{name: "RoomsUnknownKey", file: "apps: [{id: a, anonymous: true, policies: [{room: a}]}]", want: "apps[0].policies[0].room: unknown; did you mean apps[0].policies[0].rooms?"},
		{name: "RoomsNoPolicy", file: "apps: [{id: a, anonymous: true, policies: [{rooms: a, echo: never}]}]", want: "policies[0]: echo is"},
		{name: "AppWithoutKeys", file: "apps: [{id: acme}]", want: `apps: app "acme": there is no key and anonymous is off`},
		{name: "AppWithTwoBadOrigins", file: "apps: [{id: acme, anonymous: true, origins: [\"null\", x]}]", want: `apps: app "acme": origin "null": null is never allowed; origin "x": an origin is `},
		{name: "AppTwice", file: "apps: [{id: a, anonymous: true}, {id: a, anonymous: true}]", want: `apps: app "a" is there twice`},
		{name: "DemoTwice", file: "apps: [{id: demo, anonymous: true}]\ndemo: {enabled: true}", want: `apps[0].id: "demo" is taken by demo.enabled`},
		{name: "ServerWithoutURLs", file: "ice_servers: [{username: u}]", want: "ice_servers[0].urls: the list of 0 is out of range; allowed: 1 to 16 entries"},
		{name: "ServerScheme", file: "ice_servers: [{urls: ['http://a']}]", want: `ice_servers[0].urls: "http://a" does not start with stun:, stuns:, turn: or turns:`},
		{name: "ServerSlashes", file: "ice_servers: [{urls: ['stun://a']}]", want: `"stun://a" names no host; it is written without slashes`},
		{name: "ServerPort", file: "ice_servers: [{urls: ['stun:a:0']}]", want: `ice_servers[0].urls: "stun:a:0" has port 0`},
		{name: "ServerSecret", file: "ice_servers: [{urls: ['turn:a'], secret: short}]", want: "ice_servers[0]: a secret is shorter than 16 bytes"},
		{name: "ServerSecretAndUser", file: "ice_servers: [{urls: ['turn:a'], username: u, secret: 0123456789abcdef}]", want: "ice_servers[0]: has a secret, of which credentials are made, and a username"},
		{name: "AppServer", file: "apps: [{id: a, anonymous: true, ice: {servers: [{urls: ['turn:a']}]}}]", want: `apps: app "a": ice.servers[0]: a turn: server needs`},
		{name: "RelaysWithoutSecret", file: "ice: {relays: {enabled: true}}", want: "ice.relays.secrets: are needed with ice.relays.enabled"},
		{name: "RelaysSecret", env: []string{"SIGNALBOX_ICE_RELAYS_SECRETS=0123456789abcdef,short"}, want: "ice.relays.secrets: a secret is shorter than 16 bytes"},
		{name: "Region", file: "node: {region: 'far away'}", want: "node.region: is not at most 64 printable ASCII characters"},
		{name: "CredentialsTTL", file: "ice: {ttl: 1s}", want: `ice.ttl: "1s" is out of range; allowed: 10s to 24h`},
		{name: "RelayWithoutUser", file: "ice_servers: [{urls: ['turn:a']}]", want: "ice_servers[0]: a turn: server needs username and credential"},

		{name: "KubernetesServiceVariables", env: []string{
			"SIGNALBOX_PORT=tcp://10.0.0.1:80", "SIGNALBOX_SERVICE_HOST=10.0.0.1", "SIGNALBOX_SERVICE_PORT=80",
			"SIGNALBOX_SERVICE_PORT_HTTP=80", "SIGNALBOX_PORT_80_TCP=tcp://10.0.0.1:80", "SIGNALBOX_PORT_80_TCP_PROTO=tcp", service,
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			args, path := test.args, ""
			if test.file != "" {
				path = mustFile(t, test.file)
				args = append([]string{"--config", path}, args...)
			}
			_, err := app.Load(args, test.env, nil)
			if test.want == "" {
				require.NoError(t, err)
				return
			}
			var configError *app.ConfigError
			require.ErrorAs(t, err, &configError)
			require.Len(t, configError.Problems, 1, "one mistake is one problem")
			require.Contains(t, configError.Problems[0], strings.ReplaceAll(test.want, "FILE", path))
		})
	}
}

func TestLoadReportsAllAtOnce(t *testing.T) {
	_, err := load(t, "rooms: {capacity: 0, max_capcity: 5}\napps: [{id: a, keys: [{algorithm: [1]}]}]\n",
		[]string{"SIGNALBOX_LOG_LEVEL=loud"}, []string{"--nonsense", "--tls.cert_file=a", "--session.heartbeat=1s"})
	var configError *app.ConfigError
	require.ErrorAs(t, err, &configError)
	require.Len(t, configError.Problems, 7)
	require.ErrorContains(t, err, "the configuration has 7 errors:\n")

	// What follows from a value that is wrong by itself is not told.
	_, err = load(t, "rooms: {max_capacity: x, capacity: 600}", nil, nil)
	require.ErrorAs(t, err, &configError)
	require.Len(t, configError.Problems, 1)
	require.ErrorContains(t, err, "the configuration has 1 error:\n")
}

func TestLoadNeverShowsSecrets(t *testing.T) {
	const secret = "hunter2-correct-horse-battery-staple"
	for name, test := range map[string]struct {
		file string
		env  []string
		args []string
	}{
		"InPlaceOfASection":  {file: "redis: {password: {" + secret + ": 1}}"},
		"Placeholder":        {file: "redis: {password: (hidden)}", args: []string{"--redis.master_name=x"}},
		"StartsWithAStar":    {file: "redis:\n  password: *" + secret + "\n"},
		"KeySecret":          {file: "apps: [{id: a, keys: [{id: k, algorithm: RS256, secret: " + secret + "}]}]"},
		"Credential":         {file: "ice_servers: [{urls: [turn:a], credential: " + secret + "}]"},
		"ServerSecret":       {file: "ice_servers: [{urls: ['stun:a'], secret: " + secret + ", secrets: [" + secret + "]}]"},
		"UnknownVariable":    {env: []string{"SIGNALBOX_REDIS_PASSWROD=" + secret}},
		"UnknownFlag":        {args: []string{"--redis.passwrod=" + secret}},
		"UnknownFlagApart":   {args: []string{"--redis.passwrod", secret}},
		"FlagWithoutItsDash": {args: []string{"redis.password=" + secret}},
		"SentinelPassword":   {args: []string{"--redis.sentinel_password=" + secret}},
		"URL":                {env: []string{"SIGNALBOX_REDIS_URL=redis://u:" + secret + "@a:b"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := load(t, test.file, test.env, test.args)
			require.Error(t, err)
			require.NotContains(t, err.Error(), secret)
		})
	}
}

func TestPrintConfig(t *testing.T) {
	const secret = "hunter2-correct-horse-battery-staple"
	path := mustFile(t, `redis:
  password: `+secret+`
  sentinel_password: `+secret+`
  mode: sentinel
  master_name: "123"
  addresses: [a:1, b:2]
apps:
  - id: acme
    keys: [{id: k, algorithm: HS256, secret: `+secret+`}]
    policy: {capacity: 3}
    max_lifetime: 1h
ice_servers:
  - {urls: [turn:a], username: u, credential: `+secret+`}
  - {urls: [turn:b], secret: `+secret+`, secrets: [`+secret+`]}
`)
	printed := func(t *testing.T, args ...string) string {
		var out bytes.Buffer
		c, err := app.Load(append(args, "--print-config", "--node.name=n"), []string{"SIGNALBOX_LOG_LEVEL=warn"}, &out)
		require.ErrorIs(t, err, app.ErrAnswered)
		require.Nil(t, c)
		return out.String()
	}

	t.Run("ValuesAndSources", func(t *testing.T) {
		out := printed(t, "--config", path)
		require.NotContains(t, out, secret)
		for _, want := range []string{
			"  name: n # flag --node.name\n",
			"  password: (hidden) # file " + path + ":2\n",
			"  username: \"\" # default\n",
			"  master_name: \"123\" # file " + path + ":5\n",
			"  # file " + path + ":6\n  addresses:\n    - a:1\n    - b:2\n",
			"  resume_window: 2m # default\n",
			"  level: warn # environment SIGNALBOX_LOG_LEVEL\n",
			"        secret: (hidden)\n",
			"    credential: (hidden)\n",
			"    max_lifetime: 1h\n",
			"    policy:\n      capacity: 3\n",
		} {
			require.Contains(t, out, want)
		}
	})

	// What is printed without secrets can be given back and says the same.
	t.Run("RoundTrip", func(t *testing.T) {
		out := printed(t)
		again := printed(t, "--config", mustFile(t, out))
		strip := func(text string) (lines []string) {
			for line := range strings.Lines(text) {
				line, _, _ = strings.Cut(line, "#")
				lines = append(lines, strings.TrimRight(line, " \n"))
			}
			return lines
		}
		require.Equal(t, strip(out), strip(again))
	})

	t.Run("PlaceholderIsNoSecret", func(t *testing.T) {
		_, err := load(t, printed(t, "--config", path), nil, nil)
		require.ErrorContains(t, err, "redis.password: (hidden) is what --print-config shows in place of a secret")
	})

	t.Run("Derived", func(t *testing.T) {
		out := printed(t, "--redis.url=rediss://:"+secret+"@cache")
		require.NotContains(t, out, secret)
		require.Contains(t, out, "  # derived from redis.url\n  addresses:\n    - cache:6379\n")
		require.Contains(t, out, "    enabled: true # derived from redis.url\n")
	})

	t.Run("ErrorsComeFirst", func(t *testing.T) {
		var out bytes.Buffer
		_, err := app.Load([]string{"--print-config", "--rooms.capacity=0"}, nil, &out)
		require.ErrorContains(t, err, "rooms.capacity")
		require.Empty(t, out.String())
	})
}

func TestHelpAndVersion(t *testing.T) {
	for _, flag := range []string{"--help", "-h"} {
		var out bytes.Buffer
		_, err := app.Load([]string{flag}, nil, &out)
		require.ErrorIs(t, err, app.ErrAnswered)
		require.Contains(t, out.String(), "  --redis.dial_timeout (duration: 10ms to 1m; default 1s)\n      How long ")
		_, fileAlone, ok := strings.Cut(out.String(), "\nIn the file alone:\n")
		require.True(t, ok)
		require.Contains(t, fileAlone, "\n  ice_servers\n")
	}

	var out bytes.Buffer
	_, err := app.Load([]string{"--version"}, nil, &out)
	require.ErrorIs(t, err, app.ErrAnswered)
	require.Regexp(t, `^signalbox gateway \S+ \(revision \S+, go\S+\)\n$`, out.String())

	_, err = app.Load([]string{"--version"}, nil, failingWriter{})
	require.ErrorIs(t, err, errDisk)
	require.NotErrorIs(t, err, app.ErrAnswered)
}

var errDisk = errors.New("disk full")

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, errDisk }

func TestValidate(t *testing.T) {
	c := app.Default()
	c.Session.QueueMessages = 0
	c.Log.Level = "loud"
	c.ICEServers = []app.ICEServer{{}}
	err := c.Validate()
	require.ErrorContains(t, err, "the configuration has 3 errors")
	require.ErrorContains(t, err, `session.queue_messages: "0" is out of range; allowed: 16 to 1000000`)
	require.ErrorContains(t, err, `log.level: "loud" is not one of`)
	require.ErrorContains(t, err, "ice_servers[0].urls: the list of 0 is out of range")
}

func TestWarnings(t *testing.T) {
	c := app.Default()
	require.Equal(t, []string{"no app is configured and demo.enabled is false, so nobody can connect"}, c.Warnings())

	c.Demo.Enabled = true
	require.Empty(t, c.Warnings())

	c.Origins.Allowed = []string{"*"}
	c.Listen.Pprof = true
	require.Len(t, c.Warnings(), 1, "loopback is not reached from elsewhere")
	c.Listen.Operations = ":9090"
	require.Len(t, c.Warnings(), 2)

	c = app.Default()
	c.Demo.Enabled = true
	c.Rooms.Grace, c.Rooms.ResumeWindow = time.Minute, time.Minute
	c.Apps = []auth.App{{ID: "a"}, {ID: "b", Policy: auth.Policy{Grace: auth.Duration(time.Minute)}}, {ID: "c", Policy: auth.Policy{Grace: -1}}}
	require.Empty(t, c.Warnings())
	c.Rooms.Grace += time.Second
	c.Apps[1].Policy.Grace = auth.Duration(time.Hour)
	require.Equal(t, []string{
		"rooms.grace is 1m1s, longer than rooms.resume_window, which is 1m0s: who comes back late may have to start over from a snapshot",
		"apps[1].policy.grace is 1h0m0s, longer than rooms.resume_window, which is 1m0s: who comes back late may have to start over from a snapshot",
	}, c.Warnings())
}

func TestAllApps(t *testing.T) {
	c := app.Default()
	require.Empty(t, c.AllApps())

	c.Apps = []auth.App{{ID: "acme", Anonymous: true, Origins: []string{"https://acme.example"}}}
	c.Origins.Allowed = []string{"https://all.example"}
	c.Demo.Enabled = true
	c.Demo.Capacity = 2
	apps := c.AllApps()
	require.Len(t, apps, 2)
	require.Equal(t, app.DemoApp, apps[1].ID)
	require.Equal(t, auth.Policy{Capacity: 2, MaxCapacity: 500, FirstModerates: auth.On}, apps[1].Policy)
	require.Len(t, c.Apps, 1, "the configuration itself is not changed")

	_, err := auth.New(auth.Options{Apps: apps})
	require.NoError(t, err)
}

func TestLogLevel(t *testing.T) {
	for word, want := range map[string]string{"debug": "DEBUG", "info": "INFO", "warn": "WARN", "error": "ERROR", "loud": "INFO"} {
		require.Equal(t, want, app.LogConfig{Level: word}.SlogLevel().String())
	}
}

// FuzzLoadFile gives arbitrary files: none may panic, and what is taken must be valid.
func FuzzLoadFile(f *testing.F) {
	for _, seed := range []string{
		"", "rooms: {capacity: 5}", "apps: [{id: a, anonymous: true}]", "a: &a [*a]", "redis: *x", "? [a]\n: b", "rooms: !!binary aGk=",
		"redis: {url: 'redis://a:b@c/1'}", "<<: {rooms: {}}", "rooms: &r {capacity: *r}", "ice_servers: [{urls: ['turn:']}]", "\xff",
	} {
		f.Add([]byte(seed))
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, content []byte) {
		file, err := os.CreateTemp(dir, "*.yaml")
		require.NoError(t, err)
		defer os.Remove(file.Name())
		_, err = file.Write(content)
		require.NoError(t, err)
		require.NoError(t, file.Close())

		c, err := app.Load([]string{"--config", file.Name()}, nil, nil)
		if err != nil {
			var configError *app.ConfigError
			require.ErrorAs(t, err, &configError)
			return
		}
		require.NoError(t, c.Validate())
	})
}
