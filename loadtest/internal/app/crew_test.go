package app

import (
	"bufio"
	"bytes"
	"context"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/loadtest/internal/scenario"
)

// No room is over two processes, and no connection is forgotten.
func TestShares(t *testing.T) {
	for _, tc := range []struct {
		clients, processes, capacity int
		want                         []int
	}{
		{20_000, 2, 2, []int{10_000, 10_000}},
		{51, 3, 2, []int{16, 16, 19}},
		{100, 3, 20, []int{20, 20, 60}},
		{7, 2, 1, []int{3, 4}},
	} {
		s := scenario.Settings{Clients: tc.clients, Processes: tc.processes, Capacity: tc.capacity}
		require.Equal(t, tc.want, shares(s))
	}
}

// hired is a crew of shell scripts.
func hired(t *testing.T, scripts ...string) crew {
	t.Helper()
	var c crew
	t.Cleanup(func() { c.dismiss() })
	for _, script := range scripts {
		m, err := hireOne(exec.Command("sh", "-c", script))
		require.NoError(t, err)
		c = append(c, m)
	}
	return c
}

func TestCrewThatGoesWrong(t *testing.T) {
	const good = "read order; echo ready; cat; echo '{\"passed\": true}'"
	t.Run("OK", func(t *testing.T) {
		c := hired(t, good, good)
		require.NoError(t, c.connect(t.Context()))
		results, err := c.leave()
		require.NoError(t, err)
		require.Len(t, results, 2)
	})
	t.Run("DoesNotConnect", func(t *testing.T) {
		c := hired(t, good, "read order; echo 'out of ports' >&2; exit 1")
		require.ErrorContains(t, c.connect(t.Context()), "process 2 did not connect:\nout of ports")
	})
	t.Run("EndsWithoutAResult", func(t *testing.T) {
		c := hired(t, good, "read order; echo ready; cat; echo 'a panic' >&2")
		require.NoError(t, c.connect(t.Context()))
		_, err := c.leave()
		require.ErrorContains(t, err, "process 2: a panic")
	})
	t.Run("CalledOff", func(t *testing.T) {
		c := hired(t, "exec cat")
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		require.ErrorIs(t, c.connect(ctx), context.Canceled)
	})
}

func TestOrders(t *testing.T) {
	require.NoError(t, obey(bufio.NewReader(strings.NewReader("connect\n"))))
	for _, wrong := range []string{"", "connect", "leave\n"} {
		var usage *UsageError
		require.ErrorAs(t, obey(bufio.NewReader(strings.NewReader(wrong))), &usage)
	}
	var answers bytes.Buffer
	require.NoError(t, holdUntil(strings.NewReader("whatever"), &answers)(t.Context()))
	require.Equal(t, "ready\n", answers.String())
}
