package telemetry_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/telemetry"
)

// line is one written line.
type line struct {
	Level      string
	Msg        string
	Suppressed uint64
	Node       string
	N          int
}

func lines(t *testing.T, out *bytes.Buffer) []line {
	t.Helper()
	var all []line
	for decoder := json.NewDecoder(out); decoder.More(); {
		var l line
		require.NoError(t, decoder.Decode(&l))
		all = append(all, l)
	}
	return all
}

func TestEvery(t *testing.T) {
	// Each case runs in its own bubble of fake time.
	run := func(name string, f func(t *testing.T, logger *slog.Logger, out *bytes.Buffer)) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var out bytes.Buffer
				f(t, telemetry.Every(telemetry.NewLogger(&out, nil, telemetry.FormatJSON), time.Second), &out)
			})
		})
	}

	run("FloodBecomesOneLine", func(t *testing.T, logger *slog.Logger, out *bytes.Buffer) {
		for i := range 1000 {
			logger.Error("redis failed", "n", i)
		}
		require.Equal(t, []line{{Level: "ERROR", Msg: "redis failed", N: 0}}, lines(t, out))
	})

	run("NextLineTellsTheCount", func(t *testing.T, logger *slog.Logger, out *bytes.Buffer) {
		for range 4 { // 0 s, 0.4 s, 0.8 s are one interval, 1.2 s is the next
			logger.Error("redis failed")
			time.Sleep(400 * time.Millisecond)
		}
		time.Sleep(time.Second)
		logger.Error("redis failed")
		require.Equal(t, []line{
			{Level: "ERROR", Msg: "redis failed"},
			{Level: "ERROR", Msg: "redis failed", Suppressed: 2},
			{Level: "ERROR", Msg: "redis failed"},
		}, lines(t, out))
	})

	run("OtherMessagesAndLevelsAreApart", func(t *testing.T, logger *slog.Logger, out *bytes.Buffer) {
		logger.Error("a")
		logger.Warn("a")
		logger.Error("b")
		require.Len(t, lines(t, out), 3)
	})

	run("DerivedLoggersShare", func(t *testing.T, logger *slog.Logger, out *bytes.Buffer) {
		logger.With("node", "one").Error("a")
		logger.With("node", "two").Error("a")
		logger.WithGroup("g").Error("a")
		require.Equal(t, []line{{Level: "ERROR", Msg: "a", Node: "one"}}, lines(t, out))
	})

	run("DisabledLevelsDoNotCount", func(t *testing.T, logger *slog.Logger, out *bytes.Buffer) {
		logger.Debug("a")
		logger.Info("a")
		time.Sleep(time.Second)
		logger.Info("a")
		require.Equal(t, []line{{Level: "INFO", Msg: "a"}, {Level: "INFO", Msg: "a"}}, lines(t, out))
	})

	// Data in the message would otherwise grow the table, and the log, without end.
	run("BoundedWhenMessagesHoldData", func(t *testing.T, logger *slog.Logger, out *bytes.Buffer) {
		for i := range 5000 {
			logger.Error("user " + strconv.Itoa(i))
		}
		require.LessOrEqual(t, len(lines(t, out)), 1025)

		time.Sleep(2 * time.Second) // all may be written again, and the old ones are forgotten
		logger.Error("a new message")
		require.Equal(t, []line{{Level: "ERROR", Msg: "a new message"}}, lines(t, out))
	})

	t.Run("NoInterval", func(t *testing.T) {
		logger := slog.New(slog.DiscardHandler)
		require.Same(t, logger, telemetry.Every(logger, 0))
	})
}

func TestEveryCountsAllUnderConcurrency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const writers, each = 8, 100
		var out bytes.Buffer
		logger := telemetry.Every(telemetry.NewLogger(&out, nil, telemetry.FormatJSON), time.Minute)

		var group sync.WaitGroup
		for range writers {
			group.Go(func() {
				for range each {
					logger.Error("a")
				}
			})
		}
		group.Wait()
		time.Sleep(time.Minute)
		logger.Error("a")

		got := lines(t, &out)
		require.Len(t, got, 2)
		require.EqualValues(t, writers*each-1, got[1].Suppressed)
	})
}
