package telemetry_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/telemetry"
)

func TestBufferWritesInOrderAndFlushes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		b := telemetry.NewBuffer(&out, 100)
		ctx, cancel := context.WithCancel(t.Context())
		go b.Run(ctx)
		logger := telemetry.NewLogger(b, nil, telemetry.FormatText)
		for i := range 50 {
			logger.Info(fmt.Sprint("line-", i))
		}
		cancel()
		b.Flush()
		require.Equal(t, 50, strings.Count(out.String(), "\n"))
		require.Less(t, strings.Index(out.String(), "line-7\n"), strings.Index(out.String(), "line-8\n"))
		require.Zero(t, b.Dropped())
	})
}

// A gateway whose log nobody read any more stopped serving when the pipe was full.
func TestNobodyWaitsForABlockedLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reader, writer := io.Pipe() // holds nothing
		b := telemetry.NewBuffer(writer, 10)
		registry := telemetry.NewRegistry(telemetry.Build{})
		b.Register(registry)
		ctx, cancel := context.WithCancel(t.Context())
		go b.Run(ctx)
		began := time.Now()
		logger := telemetry.NewLogger(b, nil, telemetry.FormatText)
		for range 31 {
			logger.Info("line")
			synctest.Wait()
		}
		require.EqualValues(t, 20, b.Dropped(), "one is being written, ten wait")
		require.Zero(t, time.Since(began))
		families, err := registry.Gather()
		require.NoError(t, err)
		for _, family := range families {
			if family.GetName() == "signalbox_log_dropped_total" {
				require.EqualValues(t, 20, family.GetMetric()[0].GetCounter().GetValue())
			}
		}
		cancel()
		b.Flush()
		require.Equal(t, time.Second, time.Since(began), "the end is not put off for ever")

		_, err = io.ReadAll(io.LimitReader(reader, 1))
		require.NoError(t, err)
		require.NoError(t, reader.Close())
	})
}
