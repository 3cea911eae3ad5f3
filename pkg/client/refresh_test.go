package client_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// A client with a source of tokens goes on by itself when its token is about to expire, and comes back with what it got for it.
func TestSessionIsRefreshed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newMemGateway(t)
		opts, _ := returning(g)
		fetched := 0
		opts.TokenSource = func(context.Context) (string, error) {
			if fetched++; fetched == 3 {
				return "", errors.New("backend is down")
			}
			return fmt.Sprint("token-", fetched), nil
		}
		c, p := g.dialResumable(opts)
		expiring := func() { p.event(0, "", &wire.Expiring{At: 1}) }
		expiring()
		request := p.read()
		require.Equal(t, &wire.Refresh{Token: "token-2"}, request.Body)
		p.answer(request, &wire.Refreshed{Expires: 2, Resume: "renewed"})
		expiring() // there is no token, and nothing is asked for
		synctest.Wait()
		expiring()
		request = p.read()
		require.Equal(t, &wire.Refresh{Token: "token-4"}, request.Body)
		p.refuse(request.ID, wire.Errorf(wire.CodeUnauthorized, "no"))

		go func() { _, _ = c.Refresh(t.Context(), "by hand") }()
		request = p.read()
		require.Equal(t, &wire.Refresh{Token: "by hand"}, request.Body)
		p.answer(request, &wire.Refreshed{Expires: 3, Resume: "by hand"})
		synctest.Wait()
		p.cut()
		p = g.accept()
		request = p.read()
		require.Equal(t, "by hand", request.Body.(*wire.Hello).Resume)
		c.Close()
	})
}

// A source that hangs does not keep a client from coming back.
func TestHangingTokenSourceHoldsNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newMemGateway(t)
		opts, _ := returning(g)
		asked := make(chan struct{})
		calls := 0
		opts.TokenSource = func(ctx context.Context) (string, error) {
			if calls++; calls == 2 {
				close(asked)
				<-ctx.Done()
				return "", ctx.Err()
			}
			return "token", nil
		}
		c, p := g.dialResumable(opts)
		p.event(0, "", &wire.Expiring{At: 1})
		<-asked
		p.cut()
		p = g.accept()
		require.Equal(t, "token-1", p.read().Body.(*wire.Hello).Resume)
		c.Close()
	})
}
