package client_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/client"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// half makes every pause of the backoff half of its ceiling: 250 ms, 500 ms, 1 s, ... 15 s.
func half() float64 { return 0.5 }

// states records the states of a client.
type states chan client.State

func (s states) add(state client.State) { s <- state }

// returning gives the options of a client that comes back.
func returning(g *gateway) (client.Options, states) {
	opts := g.options()
	opts.Reconnect = true
	opts.Backoff.Random = half
	seen := make(states, 64)
	opts.OnState = seen.add
	return opts, seen
}

func TestComesBackAfterALoss(t *testing.T) {
	for name, lose := range map[string]func(*peer){
		"Cut":          (*peer).cut,
		"Draining":     func(p *peer) { p.close(wire.CloseMoved, "draining") },
		"SlowReceiver": func(p *peer) { p.close(wire.CloseSlowReceiver, "") },
		"Heartbeat":    func(p *peer) { p.close(wire.CloseHeartbeat, "") },
		"Internal":     func(p *peer) { p.close(wire.CloseInternal, "") },
		"GoingAway":    func(p *peer) { p.close(wire.CloseGoingAway, "") },
		"Normal":       func(p *peer) { p.close(1000, "") },
		"ALaterCode":   func(p *peer) { p.close(4199, "") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newMemGateway(t)
				opts, seen := returning(g)
				c, p := g.dial(opts)
				require.Equal(t, client.StateConnected, <-seen)
				lost := time.Now()
				lose(p)
				require.Equal(t, client.StateReconnecting, <-seen)
				p = g.greet()
				require.Equal(t, client.StateConnected, <-seen)
				require.Equal(t, 250*time.Millisecond, p.at.Sub(lost))
				done := start(func() error {
					_, err := c.Ping(t.Context())
					return err
				})
				p.answer(p.read(), &wire.Pong{Time: 1})
				require.NoError(t, <-done)
				require.NoError(t, c.Err())
				go p.readUntilEnd()
				c.Close()
				require.Equal(t, client.StateClosed, <-seen)
				require.Empty(t, seen)
			})
		})
	}
}

func TestFinalCloseCodesEndTheClient(t *testing.T) {
	for code := range wire.CloseCodes {
		if code.Retryable() {
			continue
		}
		t.Run(code.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newMemGateway(t)
				opts, seen := returning(g)
				c, p := g.dial(opts)
				ended := make(chan error, 1)
				c.Go(&wire.Ping{}, func(_ *wire.Reply, err error) { ended <- err })
				p.read()
				p.close(code, "because")
				<-c.Done()
				want := &client.CloseError{Code: code, Reason: "because"}
				require.Equal(t, error(want), c.Err())
				require.Equal(t, error(&client.LostError{Cause: want}), <-ended)
				require.False(t, client.Retryable(c.Err()))
				_, err := c.Ping(t.Context())
				require.Equal(t, error(want), err)
				require.Equal(t, client.StateConnected, <-seen)
				require.Equal(t, client.StateClosed, <-seen)
				time.Sleep(time.Hour)
				require.Empty(t, g.accepted, "nobody comes back")
			})
		})
	}
}

func TestWithoutReconnectAnyLossIsTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newMemGateway(t)
		c, p := g.dial(g.options())
		p.close(wire.CloseMoved, "draining")
		<-c.Done()
		require.Equal(t, error(&client.CloseError{Code: wire.CloseMoved, Reason: "draining"}), c.Err())

		c, p = g.dial(g.options())
		p.cut()
		<-c.Done()
		var lost *client.LostError
		require.ErrorAs(t, c.Err(), &lost)
	})
}

// Full jitter below ceilings that double from 500 ms to 30 s: here always the half.
func TestBackoffDoublesUpToItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newMemGateway(t)
		opts, _ := returning(g)
		attempts := make(chan time.Time, 64)
		_, p := g.dial(opts)
		g.refuse(func(w http.ResponseWriter, _ *http.Request) bool {
			attempts <- time.Now()
			w.WriteHeader(http.StatusBadGateway)
			return true
		})
		last := time.Now()
		p.cut()
		const ms = time.Millisecond
		for _, pause := range []time.Duration{
			250 * ms, 500 * ms, 1000 * ms, 2000 * ms, 4000 * ms, 8000 * ms, 15000 * ms, 15000 * ms, 15000 * ms,
		} {
			at := <-attempts
			require.Equal(t, pause, at.Sub(last))
			last = at
		}

		// A connection that is lost again before it has proved healthy does not start over; one that has does.
		g.refuse(nil)
		p = g.greet()
		for _, test := range []struct{ lasts, pause time.Duration }{
			{29 * time.Second, 15 * time.Second}, {30 * time.Second, 250 * ms}, {0, 500 * ms}, {time.Hour, 250 * ms},
		} {
			for begun := time.Now(); time.Since(begun)+10*time.Second < test.lasts; {
				time.Sleep(10 * time.Second)
				require.NoError(t, p.ws.WriteControl(9, nil, time.Now().Add(time.Second))) // a ping, against silence
			}
			time.Sleep(time.Until(p.at.Add(test.lasts)))
			lost := time.Now()
			p.cut()
			p = g.greet()
			require.Equal(t, test.pause, p.at.Sub(lost), "after %v", test.lasts)
		}
	})
}

func TestRefusalsSayWhenToComeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newMemGateway(t)
		opts, _ := returning(g)
		c, p := g.dial(opts)
		p.cut()
		p = g.accept()
		first := p.at
		p.refuse(p.read().ID, &wire.Error{Code: wire.CodeRateLimited, RetryAfter: 9 * time.Second})
		synctest.Wait()
		g.refuse(func(w http.ResponseWriter, _ *http.Request) bool {
			g.refuse(nil) // once
			w.Header().Set("Retry-After", "20")
			w.WriteHeader(http.StatusTooManyRequests)
			return true
		})
		p = g.greet()
		require.Equal(t, 29*time.Second, p.at.Sub(first), "9 s, and 20 s")
		require.NoError(t, c.Err())
	})
}

func TestFinalRefusalsEndTheReturn(t *testing.T) {
	unauthorized := wire.Errorf(wire.CodeUnauthorized, "the token has expired")
	for name, test := range map[string]struct {
		refuse func(g *gateway)
		want   error
	}{
		"Hello": {func(g *gateway) {
			p := g.accept()
			p.refuse(p.read().ID, unauthorized)
		}, unauthorized},
		"CloseCode": {func(g *gateway) {
			p := g.accept()
			p.read()
			p.close(wire.CloseUnauthorized, "token")
		}, &client.CloseError{Code: wire.CloseUnauthorized, Reason: "token"}},
		"Handshake": {func(g *gateway) {
			g.refuseWith(http.StatusForbidden)
		}, &client.HandshakeError{Status: 403}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newMemGateway(t)
				opts, seen := returning(g)
				c, p := g.dial(opts)
				waiting := start(func() error {
					<-seen
					<-seen // reconnecting: the call waits for the connection
					_, err := c.Ping(t.Context())
					return err
				})
				p.cut()
				test.refuse(g)
				<-c.Done()
				require.Equal(t, test.want, errors.Unwrap(c.Err()))
				require.Equal(t, test.want, errors.Unwrap(<-waiting))
			})
		})
	}
}

// A token that was refused may have expired: its source is asked once more before that is the end.
func TestTokensAreFetchedAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newMemGateway(t)
		opts, _ := returning(g)
		fetched := 0
		opts.TokenSource = func(context.Context) (string, error) {
			fetched++
			if fetched == 4 {
				return "", errors.New("backend is down")
			}
			return fmt.Sprint("token-", fetched), nil
		}
		greet := func(token string) *peer {
			p := g.accept()
			request := p.read()
			require.Equal(t, token, request.Body.(*wire.Hello).Token)
			p.answer(request, welcome())
			return p
		}
		c, p := g.dial(opts)
		p.close(wire.CloseExpired, "token expired")
		p = greet("token-2")
		p.close(wire.CloseExpired, "token expired")
		p = greet("token-3")
		p.cut()
		p = greet("token-5") // a source that fails is asked again
		p.close(wire.CloseUnauthorized, "revoked")
		p = g.accept()
		p.refuse(p.read().ID, wire.Errorf(wire.CodeUnauthorized, "revoked"))
		<-c.Done()
		require.Equal(t, 6, fetched)
		refusal, ok := errors.AsType[*wire.Error](c.Err())
		require.True(t, ok)
		require.Equal(t, wire.CodeUnauthorized, refusal.Code)
	})
}

func TestRequestsInFlightFailWithALoss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newMemGateway(t)
		opts, _ := returning(g)
		c, p := g.dial(opts)
		waiting := start(func() error {
			_, err := c.Publish(t.Context(), wire.Publish{Room: "lobby", Data: []byte("1")})
			return err
		})
		p.read()
		p.close(wire.CloseMoved, "draining")
		err := <-waiting
		require.Equal(t, error(&client.LostError{Cause: &client.CloseError{Code: wire.CloseMoved, Reason: "draining"}}), err)
		require.True(t, client.Retryable(err))

		// While there is no connection, calls wait for one, and Go does not.
		failed := make(chan error, 1)
		c.Go(&wire.Ping{}, func(_ *wire.Reply, err error) { failed <- err })
		var lost *client.LostError
		require.ErrorAs(t, <-failed, &lost)
		waiting = start(func() error {
			_, err := c.Ping(t.Context())
			return err
		})
		_, err = c.Ping(within(t, time.Millisecond))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		p = g.greet()
		id, _ := readAs[*wire.Ping](p)
		p.answer(wire.Request{ID: id}, &wire.Pong{Time: 1})
		require.NoError(t, <-waiting)
	})
}

// Until the time that the draining gateway asks for, the connection is good.
func TestGoAwayMovesInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newMemGateway(t)
		opts, _ := returning(g)
		c, p := g.dial(opts)
		told := time.Now()
		p.event(0, "", &wire.GoAway{RetryAfter: 5000, Deadline: 20000})
		time.Sleep(4 * time.Second)
		done := start(func() error {
			_, err := c.Ping(t.Context())
			return err
		})
		p.answer(p.read(), &wire.Pong{Time: 1})
		require.NoError(t, <-done)
		require.Equal(t, wire.CloseGoingAway, p.readUntilEnd())
		require.Equal(t, 5*time.Second, time.Since(told))
		p = g.greet()
		require.Equal(t, 5250*time.Millisecond, p.at.Sub(told))
	})
}

// A gateway that closes before the time it gave is not run against before that time.
func TestGoAwayHoldsAfterAnEarlyClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newMemGateway(t)
		opts, _ := returning(g)
		_, p := g.dial(opts)
		told := time.Now()
		p.event(0, "", &wire.GoAway{RetryAfter: 5000, Deadline: 20000})
		time.Sleep(time.Second)
		p.close(wire.CloseMoved, "draining")
		p = g.greet()
		require.Equal(t, 5*time.Second, p.at.Sub(told))
	})
}

func TestGoAwayWithoutReconnectIsOnlyTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newMemGateway(t)
		opts := g.options()
		var got recorder
		opts.OnEvent = got.add
		c, p := g.dial(opts)
		p.event(0, "", &wire.GoAway{RetryAfter: 100, Deadline: 2000})
		time.Sleep(10 * time.Second)
		require.Equal(t, []string{"goaway 0"}, got.brief())
		require.NoError(t, c.Err())
	})
}
