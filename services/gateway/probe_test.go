package main_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/internal/redistest"
	"github.com/signalbox-rtc/signalbox/pkg/auth"
)

const probeSecret = "a-secret-of-more-than-32-bytes-for-the-probe"

// probeApps is a configuration as the probe finds it beside a gateway's.
const probeApps = `
apps:
  - id: signed
    keys: [{id: one, algorithm: HS256, secret: ` + probeSecret + `}]
    audience: signalbox
    issuer: https://backend.example
    max_lifetime: 1m
  - {id: open, anonymous: true}
`

// runProbe runs the subcommand and gives its exit code and what it said.
func runProbe(t *testing.T, env []string, args ...string) (int, string) {
	t.Helper()
	cmd := command(t, env, append([]string{"probe"}, args...)...)
	var told bytes.Buffer
	cmd.Stdout, cmd.Stderr = &told, &told
	_ = cmd.Run() // the exit code tells
	return cmd.ProcessState.ExitCode(), told.String()
}

// inTurns is a Service with several gateways behind it.
func inTurns(t *testing.T, gateways ...*gatewayProcess) string {
	t.Helper()
	var turn atomic.Int64
	server := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		next := gateways[int(turn.Add(1))%len(gateways)]
		r.SetURL(&url.URL{Scheme: "http", Host: next.public})
		r.Out.Host = r.In.Host
	}})
	t.Cleanup(server.Close)
	return server.URL
}

func TestProbe(t *testing.T) {
	redis := redistest.Single(t)
	one := startProcessWith(t, redis, "one", quickEnd+probeApps+"origins: {allow_missing: false}\n")
	two := startProcessWith(t, redis, "two", quickEnd+probeApps+"origins: {allow_missing: false}\n")
	address := inTurns(t, one, two)
	apps := configFile(t, probeApps)
	now := time.Now()
	token, err := auth.Sign(auth.SigningKey{ID: "one", Algorithm: auth.HS256, Secret: probeSecret}, auth.Claims{
		App: "signed", User: "ada", IssuedAt: now, Expires: now.Add(time.Minute), Issuer: "https://backend.example", Audience: []string{"signalbox"},
		Grants: []auth.Grant{{Room: "*", Can: auth.Permissions{Publish: true}}},
	})
	require.NoError(t, err)
	tokenFile := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(tokenFile, []byte(token+"\n"), 0o600))

	for _, tc := range []struct {
		name string
		env  []string
		args []string
		exit int
		want []string
	}{
		{name: "the demo app", args: []string{"--url", address, "--app", "demo"}, want: []string{"message from", "signal from", "all works"}},
		{name: "an anonymous app of the configuration", args: []string{"--url", address, "--config", apps}, want: []string{"all works"}},
		{name: "the configuration of the variable", env: []string{"SIGNALBOX_CONFIG=" + apps}, args: []string{"--url", address}, want: []string{"all works"}},
		{name: "a token signed with an app's key", args: []string{"--url", address, "--config", apps, "--app", "signed"}, want: []string{"all works"}},
		{name: "a token from a file", args: []string{"--url", address, "--token-file", tokenFile}, want: []string{"all works"}},
		{name: "one gateway alone", args: []string{"--url", "ws://" + one.public, "--app", "demo"}, want: []string{"both clients are on one", "all works"}},
		{name: "help", args: []string{"--help"}, want: []string{"Joins a room with two clients", "-token-file"}},

		{name: "no gateway", args: []string{"--url", "http://127.0.0.1:1", "--app", "demo"}, exit: 1, want: []string{"connect to http://127.0.0.1:1"}},
		{name: "an app that is not there", args: []string{"--url", address, "--app", "nobody"}, exit: 1, want: []string{"unauthorized"}},
		{name: "a token that is none", args: []string{"--url", address, "--token-file", apps}, exit: 1, want: []string{"unauthorized"}},
		{name: "an app that the configuration lacks", args: []string{"--url", address, "--config", apps, "--app", "nobody"}, exit: 2, want: []string{"no app of the configuration"}},
		{name: "no URL", args: []string{"--app", "demo"}, exit: 2, want: []string{"--url is needed"}},
		{name: "nobody to be", args: []string{"--url", address}, exit: 2, want: []string{"--token-file, --app and --config"}},
		{name: "a wrong flag", args: []string{"--ulr", address}, exit: 2, want: []string{"ulr"}},
		{name: "a configuration that is wrong", args: []string{"--url", address, "--config", configFile(t, "apps: 7\n")}, exit: 2, want: []string{"apps"}},
		{name: "no such CA file", args: []string{"--url", address, "--app", "demo", "--ca-file", "/nowhere"}, exit: 2, want: []string{"/nowhere"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			exit, told := runProbe(t, tc.env, tc.args...)
			require.Equal(t, tc.exit, exit, told)
			for _, want := range tc.want {
				require.Contains(t, told, want)
			}
			require.NotContains(t, told, probeSecret)
			require.NotContains(t, told, token)
		})
	}

	t.Run("through two gateways", func(t *testing.T) {
		exit, told := runProbe(t, nil, "--url", address, "--app", "demo")
		require.Zero(t, exit, told)
		require.Regexp(t, "message from (one to two|two to one) in", told)
	})
	// A gateway that takes the connection and never answers is found out by the time that all may take.
	t.Run("a gateway that is stuck", func(t *testing.T) {
		stuck := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
		t.Cleanup(stuck.Close)
		exit, told := runProbe(t, nil, "--url", stuck.URL, "--app", "demo", "--timeout", "200ms")
		require.Equal(t, 1, exit, told)
	})
}
