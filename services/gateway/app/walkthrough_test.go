package app_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/client"
	"github.com/signalbox-rtc/signalbox/services/gateway/app"
)

var pagePart = regexp.MustCompile("(?s)```(sh|json)\n(.*?)```|<!-- (.*?) -->")

// What docs/platform-walkthrough.md tells to type is typed, in one shell, against two gateways, and answers as the page says. The
// receiver is told what the page says that it is told.
func TestPlatformWalkthrough(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "platform-walkthrough.md"))
	require.NoError(t, err)
	var told recordedHooks
	receiver := httptest.NewServer(&told)
	defer receiver.Close()
	redis := singleRedis(t)
	gateways := startGateways(t, 2, redis, func(c *app.Config) {
		*c = *apiConfig(c.Node.Name, redis)
		c.Demo.Enabled = false
		c.Webhooks.AllowHTTP, c.Webhooks.AllowNetworks = true, []string{"127.0.0.0/8"}
	})
	for _, g := range gateways {
		require.NoError(t, g.WaitReady(t.Context()))
	}
	until(t, func() bool {
		var list struct{ Nodes []any }
		return callAPI(t, gateways[0], "GET", "/v1/nodes", "", &list) == 200 && len(list.Nodes) == 2
	}, "two gateways on the roster")

	sh := startShell(t, "API=http://"+gateways[0].APIAddr().String()+"/v1", "OPERATOR_KEY="+apiKey, "RECEIVER="+receiver.URL)
	want := []string{
		"room.created", "peer.joined", "peer.joined", "peer.joined", "room.full", "peer.left", "peer.left", "peer.left", "room.closed",
	}
	answer, blocks := "", 0
	for _, part := range pagePart.FindAllStringSubmatch(string(text), -1) {
		switch kind, block, remark := part[1], part[2], part[3]; {
		case kind == "sh":
			if strings.Contains(block, "dead-letters") { // afterwards the app goes, and what was not delivered goes with it
				until(t, func() bool { return len(told.kinds()) >= len(want) }, "the receiver to be told of everything")
			}
			answer = sh.run(block)
			blocks++
			if strings.Contains(block, "/events") {
				require.Contains(t, answer, "snapshot")
			}
		case kind == "json":
			var shown, got any
			require.NoError(t, json.Unmarshal([]byte(block), &shown), block)
			require.NoError(t, json.Unmarshal([]byte(answer), &got), "%s", answer)
			requireLike(t, shown, got, block)
		case strings.Contains(remark, "join"):
			for i, name := range []string{"ANN", "BEN", "CLEO"} {
				token := strings.TrimSpace(sh.run("echo $" + name + "\n"))
				p := connect(t, gateways[i%2], "", func(o *client.Options) { o.App, o.Name, o.Token = "", "", token })
				p.mustJoin(t, "standup")
			}
		}
	}
	require.Greater(t, blocks, 10)
	require.ElementsMatch(t, want, told.kinds())
	require.Equal(t, "room.created", told.kinds()[0])
	require.Equal(t, "room.closed", told.kinds()[len(want)-1])
}

// requireLike requires an answer to be as a page shows it: "…" stands for any text.
func requireLike(t *testing.T, want, got any, page string) {
	t.Helper()
	switch want := want.(type) {
	case map[string]any:
		object, ok := got.(map[string]any)
		require.True(t, ok, "%v\n%s", got, page)
		for name := range object {
			require.Contains(t, want, name, "%v\n%s", got, page)
		}
		for name, value := range want {
			require.Contains(t, object, name, "%v\n%s", got, page)
			requireLike(t, value, object[name], page)
		}
	case []any:
		list, ok := got.([]any)
		require.True(t, ok && len(list) == len(want), "%v\n%s", got, page)
		for i := range want {
			requireLike(t, want[i], list[i], page)
		}
	case string:
		if want == "…" {
			require.NotEmpty(t, got, page)
			return
		}
		require.Equal(t, want, got, page)
	default:
		require.Equal(t, want, got, page)
	}
}

// shell is one that goes on from block to block.
type shell struct {
	t      *testing.T
	in     io.Writer
	out    *bufio.Reader
	number int
}

func startShell(t *testing.T, env ...string) *shell {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "bash", "-eu", "-o", "pipefail")
	cmd.Env = append(os.Environ(), env...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait() // ended before, if a block has failed
	})
	return &shell{t: t, in: in, out: bufio.NewReader(out)}
}

// run gives what a block prints.
func (s *shell) run(block string) string {
	s.t.Helper()
	s.number++
	end := fmt.Sprintf("end of block %d", s.number)
	_, err := io.WriteString(s.in, block+"\necho; echo '"+end+"'\n")
	require.NoError(s.t, err)
	var printed strings.Builder
	for {
		line, err := s.out.ReadString('\n')
		require.NoError(s.t, err, "the shell has ended in:\n%s\nafter\n%s", block, printed.String())
		if strings.TrimSpace(line) == end {
			return printed.String()
		}
		printed.WriteString(line)
	}
}

// recordedHooks is a receiver of webhooks.
type recordedHooks struct {
	mu   sync.Mutex
	list []string // guarded by mu
}

func (h *recordedHooks) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var post struct{ Events []struct{ Type string } }
	if json.NewDecoder(r.Body).Decode(&post) != nil || r.Header.Get("webhook-signature") == "" {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, event := range post.Events {
		h.list = append(h.list, event.Type)
	}
}

func (h *recordedHooks) kinds() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]string(nil), h.list...)
}
