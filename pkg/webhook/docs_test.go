package webhook_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/store"
	"github.com/signalbox-rtc/signalbox/pkg/webhook"
	"github.com/signalbox-rtc/signalbox/pkg/webhook/standard"
)

func page(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/webhooks.md")
	require.NoError(t, err)
	return string(text)
}

// fenced gives the first piece of code of a language behind a line of the page.
func fenced(t *testing.T, page, after, language string) string {
	t.Helper()
	_, rest, found := strings.Cut(page, "\n"+after+"\n")
	require.True(t, found, after)
	_, rest, found = strings.Cut(rest, "```"+language+"\n")
	require.True(t, found, after)
	code, _, _ := strings.Cut(rest, "```")
	return code
}

// examples are what the page shows, as the outbox has it.
func examples() []store.HookEvent {
	at := time.Date(2030, 1, 2, 3, 4, 5, 678e6, time.UTC)
	const life = "WFJQ2XHD4UKA"
	event := func(id, kind string, seq int64, data string) store.HookEvent {
		return store.HookEvent{
			ID: id + "-" + kind, Room: store.Room{App: "acme", Name: "lobby"}, Epoch: life, Seq: seq, Kind: kind, Time: at, Data: []byte(data),
		}
	}
	return []store.HookEvent{
		event(life, store.HookRoomCreated, 0, `{"capacity":4}`),
		event(life+"-4", store.HookRoomFull, 4, `{"capacity":4}`),
		event(life, store.HookRoomClosed, 9, `{"reason":"closed","text":"The class is over","duration":61000}`),
		event(life+"-2-7d1c0f", store.HookPeerJoined, 2, `{"peer":"7d1c0f","profile":{"user":"u-17","name":"Ada"}}`),
		event(life+"-2-7d1c0f", store.HookPeerLeft, 8, `{"profile":{"user":"u-17","name":"Ada"},"event":{"type":"left-peer",`+
			`"room":"lobby","peer":"7d1c0f","reason":"kicked","by":"9b44e2"},"duration":60250}`),
		event("7d1c0f-12", store.HookCallOutcome, 5, `{"peer":"7d1c0f","user":"u-17","name":"Ada","with":"9b44e2",`+
			`"outcome":"connected","milliseconds":420,"local":"srflx","remote":"relay","protocol":"udp"}`),
	}
}

func TestPageShowsEveryKind(t *testing.T) {
	text := page(t)
	list := examples()
	for _, kind := range store.HookKinds {
		i := slices.IndexFunc(list, func(e store.HookEvent) bool { return e.Kind == kind })
		require.GreaterOrEqual(t, i, 0, kind)
		event, err := webhook.NewEvent(&list[i])
		require.NoError(t, err)
		encoded, err := json.Marshal(event)
		require.NoError(t, err)
		require.JSONEq(t, string(encoded), fenced(t, text, "### "+kind, "json"))
		require.Contains(t, text, "\n| `"+kind+"` |")
		if kind == store.HookPeerJoined {
			encoded, err = json.Marshal(webhook.Payload{Events: []webhook.Event{event}})
			require.NoError(t, err)
			require.JSONEq(t, string(encoded), fenced(t, text, "## What is posted", "json"))
		}
	}
	require.Len(t, regexp.MustCompile(`(?m)^### `).FindAllString(text, -1), len(store.HookKinds))
}

// The next function is the page's.
func verify(secret string, header http.Header, body []byte) bool {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	seconds, err2 := strconv.ParseInt(header.Get("webhook-timestamp"), 10, 64)
	if err != nil || err2 != nil || time.Since(time.Unix(seconds, 0)).Abs() > 5*time.Minute {
		return false
	}
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%d.%s", header.Get("webhook-id"), seconds, body)
	want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	return slices.ContainsFunc(strings.Fields(header.Get("webhook-signature")), func(signature string) bool {
		return hmac.Equal([]byte(signature), []byte(want))
	})
}

// TestPageVerifies has the page's code look at posts: one that is right, and some that are not.
func TestPageVerifies(t *testing.T) {
	text := page(t)
	own, err := os.ReadFile("docs_test.go")
	require.NoError(t, err)
	require.Contains(t, string(own), fenced(t, text, "In Go:", "go"))

	const body = `{"events":[{"room":"lobby","name":"Zoë"}]}`
	old, key := []byte("an older key, of which the receiver knows no more"), []byte("0123456789abcdef0123456789abcdef")
	secret := "whsec_" + base64.StdEncoding.EncodeToString(key)
	now := time.Now()
	headers := func(at time.Time, keys ...[]byte) map[string]string {
		return map[string]string{
			standard.HeaderID: "batch_A", standard.HeaderTimestamp: strconv.FormatInt(at.Unix(), 10),
			standard.HeaderSignature: standard.Sign(keys, "batch_A", at, []byte(body)),
		}
	}
	cases := []struct {
		Headers map[string]string
		Body    string
		Want    bool
	}{
		{headers(now, key), body, true},
		{headers(now, old, key), body, true},
		{headers(now, old), body, false},
		{headers(now, key), body + " ", false},
		{headers(now.Add(-time.Hour), key), body, false},
	}
	for i, c := range cases {
		header := http.Header{}
		for name, value := range c.Headers {
			header.Set(name, value)
		}
		require.Equal(t, c.Want, verify(secret, header, []byte(c.Body)), i)
	}
	encoded, err := json.Marshal(cases)
	require.NoError(t, err)
	for _, program := range []struct {
		command           []string
		heading, language string
		rest              string
	}{
		{[]string{"node", "-e"}, "In Node:", "js", `
for (const c of JSON.parse(process.argv[1])) console.log(verify(process.argv[2], c.Headers, Buffer.from(c.Body)) === c.Want)`},
		{[]string{"python3", "-c"}, "In Python:", "python", `
import json, sys
for c in json.loads(sys.argv[1]): print(str(verify(sys.argv[2], c["Headers"], c["Body"].encode()) == c["Want"]).lower())`},
	} {
		t.Run(program.command[0], func(t *testing.T) {
			path, err := exec.LookPath(program.command[0])
			if err != nil {
				t.Skip("it is not there")
			}
			code := fenced(t, text, program.heading, program.language) + program.rest
			out, err := exec.CommandContext(t.Context(), path, program.command[1], code, string(encoded), secret).CombinedOutput()
			require.NoError(t, err, string(out))
			require.Equal(t, strings.Repeat("true\n", len(cases)), string(out))
		})
	}
}
