package client_test

import (
	"errors"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/client"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

func TestOutcomeUnknownIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newMemGateway(t)
		opts, _ := returning(g)
		c, p := g.dialResumable(opts)
		joined(c, p, wire.Join{Room: "lobby"})
		waiting := start(func() error {
			_, err := c.Publish(t.Context(), *publish("a"))
			return err
		})
		readAs[*wire.Publish](p)
		p.cut()
		p, _ = g.resume("token-1", 2, resumedWelcome("token-2", replayed("lobby")))
		id, _ := readAs[*wire.Publish](p)
		p.refuse(id, wire.Errorf(wire.CodeOutcomeUnknown, "a later request took effect"))
		requireOutcomeUnknown(t, <-waiting)
	})
}

// A seat that was lost after the resume: what is sent again may have had one before, what is new has not.
func TestLostSeatLeavesTheOutcomeUnknown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newMemGateway(t)
		opts, _ := returning(g)
		c, p := g.dialResumable(opts)
		joined(c, p, wire.Join{Room: "lobby"})
		first := []<-chan outcome{
			launch(c, publish("a")), launch(c, &wire.Leave{Room: "lobby"}), launch(c, &wire.Peers{Room: "lobby", List: true})}
		synctest.Wait()
		p.cut()
		p, _ = g.resume("token-1", 2, resumedWelcome("token-2", replayed("lobby")))
		refuse := func() {
			p.refuse(p.read().ID, wire.Errorf(wire.CodeNotMember, "no seat"))
		}
		for range first {
			refuse()
		}
		requireOutcomeUnknown(t, next(t, first[0]).err)
		for _, certain := range first[1:] {
			require.Equal(t, wire.Errorf(wire.CodeNotMember, "no seat"), next(t, certain).err)
		}
		last := launch(c, publish("b"))
		refuse()
		require.Equal(t, wire.Errorf(wire.CodeNotMember, "no seat"), next(t, last).err)
	})
}

// Redis has lost its data, and with it that the first request took effect: the peer that it reached has gone since. Where the
// log reaches back, the gateway knows better.
func TestLostDataLeavesTheOutcomeUnknown(t *testing.T) {
	for result, unknown := range map[string]bool{wire.ResumeResync: true, wire.ResumeReplayed: false} {
		for _, code := range []wire.Code{wire.CodePeerGone, wire.CodeConflict} {
			synctest.Test(t, func(t *testing.T) {
				g := newMemGateway(t)
				opts, _ := returning(g)
				c, p := g.dialResumable(opts)
				joined(c, p, wire.Join{Room: "lobby"})
				first := launch(c, publish("a"))
				synctest.Wait()
				p.cut()
				p, _ = g.resume("token-1", 2, resumedWelcome("token-2", map[string]wire.ResumedRoom{"lobby": {Result: result}}))
				refuse := func() { p.refuse(p.read().ID, wire.Errorf(code, "no")) }
				refuse()
				if err := next(t, first).err; unknown {
					requireOutcomeUnknown(t, err)
				} else {
					require.Equal(t, wire.Errorf(code, "no"), err)
				}
				last := launch(c, publish("b"))
				refuse()
				require.Equal(t, wire.Errorf(code, "no"), next(t, last).err)
			})
		}
	}
}

func requireOutcomeUnknown(t *testing.T, err error) {
	t.Helper()
	refusal, ok := errors.AsType[*wire.Error](err)
	require.True(t, ok, "%v", err)
	require.Equal(t, wire.CodeOutcomeUnknown, refusal.Code)
	require.False(t, client.Retryable(err))
}
