package client_test

import (
	"context"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/internal/memnet"
	"github.com/signalbox-rtc/signalbox/pkg/client"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

func TestCloseSaysGoodbye(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newMemGateway(t)
		opts, seen := returning(g)
		c, p := g.dial(opts)
		waiting := start(func() error {
			_, err := c.Ping(t.Context())
			return err
		})
		p.read()
		code := make(chan wire.CloseCode, 1)
		go func() { code <- p.readUntilEnd() }()
		began := time.Now()
		c.Close()
		require.Zero(t, time.Since(began), "the gateway answers at once")
		require.Equal(t, wire.CloseCode(1000), <-code)
		require.Equal(t, client.ErrClosed, <-waiting)
		require.Equal(t, client.ErrClosed, c.Err())
		require.False(t, client.Retryable(client.ErrClosed))
		<-c.Done()
		require.Equal(t, client.StateConnected, <-seen)
		require.Equal(t, client.StateClosed, <-seen)

		c.Close() // once more does nothing
		_, err := c.Ping(t.Context())
		require.Equal(t, client.ErrClosed, err)
		c.Go(&wire.Ping{}, func(_ *wire.Reply, err error) { require.Equal(t, client.ErrClosed, err) })
	})
}

func TestCloseDoesNotWaitForASilentGateway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newMemGateway(t)
		opts, _ := returning(g)
		c, _ := g.dial(opts)
		began := time.Now()
		c.Close()
		require.Equal(t, 2*time.Second, time.Since(began))
	})
}

func TestCloseDuringTheReturn(t *testing.T) {
	for name, into := range map[string]time.Duration{"InAPause": 100 * time.Millisecond, "InAHandshake": 500 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newMemGateway(t)
				opts, _ := returning(g)
				c, p := g.dial(opts)
				p.cut()
				time.Sleep(into)
				waiting := start(func() error {
					_, err := c.Ping(t.Context())
					return err
				})
				synctest.Wait()
				began := time.Now()
				c.Close()
				require.Zero(t, time.Since(began))
				require.Equal(t, client.ErrClosed, <-waiting)
				require.Equal(t, client.ErrClosed, c.Err())
			})
		})
	}
}

// Two heartbeats of 25 s and 5 s more without a sign of life are a loss. A ping is one.
func TestSilentGatewayIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newMemGateway(t)
		c, p := g.dial(g.options())
		pongs := make(chan string, 1)
		p.ws.SetPongHandler(func(payload string) error { pongs <- payload; return nil })
		go p.readUntilEnd()
		time.Sleep(54 * time.Second)
		require.NoError(t, p.ws.WriteControl(9, []byte("alive?"), time.Now().Add(time.Second)))
		require.Equal(t, "alive?", <-pongs)
		time.Sleep(54 * time.Second)
		p.message(1, "alive")
		silent := time.Now()
		<-c.Done()
		require.Equal(t, 55*time.Second, time.Since(silent))
		var lost *client.LostError
		require.ErrorAs(t, c.Err(), &lost)
		require.ErrorContains(t, lost, "no sign of life")
	})
}

// A network that takes nothing: the write ends, and with it the connection.
func TestStuckWriteIsALoss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newMemGateway(t)
		opts := g.options()
		var conn *memnet.Conn
		opts.NetDialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			dialed, err := g.network.DialContext(ctx, network, addr)
			conn, _ = dialed.(*memnet.Conn)
			return dialed, err
		}
		c, _ := g.dial(opts)
		conn.Freeze()
		data := make([]byte, 2<<20) // more than the network holds
		for i := range data {
			data[i] = '1'
		}
		began := time.Now()
		first := start(func() error {
			_, err := c.Publish(t.Context(), wire.Publish{Room: "lobby", Data: data})
			return err
		})
		synctest.Wait()
		_, err := c.Ping(within(t, time.Second)) // waits for its turn to write, and may give up
		require.ErrorIs(t, err, context.DeadlineExceeded)
		var lost *client.LostError
		require.ErrorAs(t, <-first, &lost)
		require.Equal(t, 10*time.Second, time.Since(began))
		<-c.Done()
	})
}
