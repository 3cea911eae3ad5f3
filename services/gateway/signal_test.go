package main_test

import (
	"net/http"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/internal/redistest"
)

// Whoever cannot wait for the end tells it once more. The others give its seats up, as those of any gateway that died.
func TestSecondSignalEndsAtOnce(t *testing.T) {
	redis := redistest.Single(t)
	for name, second := range map[string]os.Signal{"SIGTERM": syscall.SIGTERM, "SIGINT": os.Interrupt} {
		t.Run(name, func(t *testing.T) {
			// The guest does not move, so that the first signal alone would take an hour.
			p := startProcessWith(t, redis, "impatient", "shutdown: {timeout: 1h, delay: 0s, window: 0s, grace: 1h}\n")
			ada := mustEnter(t, p, "ada", name)
			require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
			require.Eventually(t, func() bool { return p.readiness(t) == http.StatusServiceUnavailable }, patience, 5*time.Millisecond)
			require.Equal(t, 1, ada.count(t, name), "it drains, and serves meanwhile")

			require.NoError(t, p.cmd.Process.Signal(second))
			exited := make(chan error, 1)
			go func() { exited <- p.cmd.Wait() }()
			select {
			case <-exited:
			case <-time.After(patience):
				require.FailNow(t, "it goes on")
			}
			require.Equal(t, 130, p.cmd.ProcessState.ExitCode())
			require.Contains(t, p.log.String(), `"msg":"gateway is ending"`)
			require.NotContains(t, p.log.String(), `"msg":"gateway has ended"`)
		})
	}
}

// readiness is the status of /readyz.
func (p *gatewayProcess) readiness(t *testing.T) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+p.ops+"/readyz", nil)
	require.NoError(t, err)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	return response.StatusCode
}
