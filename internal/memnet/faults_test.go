package memnet_test

import (
	"io"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/internal/memnet"
)

// One-way loss: who is cut off still speaks and is heard.
func TestFreezeOneWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pipe(t)
		for _, freeze := range []func(){a.FreezeIn, b.FreezeOut} {
			freeze()
			write(t, b, "lost")
			write(t, a, "heard")
			heard := make([]byte, 5)
			_, err := io.ReadFull(b, heard)
			require.NoError(t, err)
			require.Equal(t, "heard", string(heard))
			require.NoError(t, a.SetReadDeadline(time.Now().Add(time.Hour)))
			_, err = a.Read(heard)
			require.ErrorIs(t, err, os.ErrDeadlineExceeded)
			require.NoError(t, a.SetReadDeadline(time.Time{}))
			a.Thaw()
			_, err = io.ReadFull(a, heard[:4])
			require.NoError(t, err)
			require.Equal(t, "lost", string(heard[:4]))
		}
	})
}

// The death of a process: what it had written arrives, and it itself can do nothing any more.
func TestHangUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pipe(t)
		write(t, b, "last words")
		a.HangUp()
		text, err := io.ReadAll(a)
		require.NoError(t, err)
		require.Equal(t, "last words", string(text))
		_, err = a.Write([]byte("x"))
		require.ErrorIs(t, err, syscall.EPIPE)
		_, err = b.Write([]byte("x"))
		require.ErrorContains(t, err, "closed")
		_, err = b.Read(make([]byte, 1))
		require.ErrorContains(t, err, "closed")
	})
}

// Delays come on top of the latency, differ from write to write, and do not change the order.
func TestDelays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var network memnet.Network
		network.SetLatency(time.Second)
		waits := map[string][]time.Duration{"server:1": {5 * time.Second, 0}}
		var directions []string
		network.SetDelays(func(from, to string) func() time.Duration {
			directions = append(directions, from+" to "+to)
			left := waits[from] // none for what the dialing end writes
			return func() time.Duration {
				if len(left) == 0 {
					return 0
				}
				wait := left[0]
				left = left[1:]
				return wait
			}
		})
		client, server := connect(t, &network)
		require.Equal(t, []string{"127.0.0.1:1024 to server:1", "server:1 to 127.0.0.1:1024"}, directions)
		_, err := network.DialContext(memnet.Label(t.Context(), "ada"), "tcp", "server:1")
		require.NoError(t, err)
		require.Equal(t, []string{"ada to server:1", "server:1 to ada"}, directions[2:])
		begin := time.Now()
		write(t, client, "quick")
		read := make([]byte, 5)
		_, err = io.ReadFull(server, read)
		require.NoError(t, err)
		require.Equal(t, time.Second, time.Since(begin))

		begin = time.Now()
		write(t, server, "slow ")
		write(t, server, "quick")
		_, err = io.ReadFull(client, read)
		require.NoError(t, err)
		require.Equal(t, "slow ", string(read))
		require.Equal(t, 6*time.Second, time.Since(begin))
		_, err = io.ReadFull(client, read)
		require.NoError(t, err)
		require.Equal(t, 6*time.Second, time.Since(begin), "not before what was written earlier")
	})
}
