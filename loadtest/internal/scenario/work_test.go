package scenario

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/loadtest/internal/driver"
)

// The work of a run is that of its measurement, whichever scenario it is.
func TestWork(t *testing.T) {
	t.Run("Call", func(t *testing.T) {
		result := onFaulty(t, "", short(t, Call, func(s *Settings) { s.Workers = 4 }))
		require.True(t, result.Passed, result.Reasons)
		work := result.Work
		require.Positive(t, work.Direct)
		require.Positive(t, work.Received)
		require.Positive(t, work.Joins)
		require.Zero(t, work.Broadcasts)
		require.Zero(t, work.Connects, "they were made before")
		require.InDelta(t, 128, work.Open, 0)
	})
	t.Run("Fanout", func(t *testing.T) {
		work := onFaulty(t, "", short(t, Fanout, func(s *Settings) { s.Clients, s.Publishers, s.Rate = 10, 2, 200 })).Work
		require.Positive(t, work.Broadcasts)
		require.Greater(t, work.Received, work.Broadcasts)
		require.Zero(t, work.Direct+work.Joins)
	})
	t.Run("Fresh", func(t *testing.T) {
		work := onFaulty(t, "", short(t, Call, func(s *Settings) { s.Fresh, s.Rate = true, 100 })).Work
		require.Positive(t, work.Connects)
		require.Positive(t, work.Joins)
	})
}

// A connection that ends in two ways has ended once, and a session that is resumed is on another one.
func TestWorkOfResumedSessions(t *testing.T) {
	w := &worker{Driver: resuming{newFaulty("", 2)}}
	peer, err := w.Connect(t.Context(), driver.Endpoint{}, driver.Events{Message: func(driver.Message) {}})
	require.NoError(t, err)
	require.Equal(t, tally{connects: 1, open: 1}, w.tally())
	peer.Cut()
	require.NoError(t, peer.Close())
	require.Equal(t, tally{connects: 1}, w.tally())
	again, err := peer.(driver.Resumer).Resume(t.Context(), driver.Endpoint{})
	require.NoError(t, err)
	require.Equal(t, tally{connects: 2, open: 1}, w.tally())
	require.NoError(t, again.Close())

	plain := &worker{Driver: newFaulty("", 2)}
	peer, err = plain.Connect(t.Context(), driver.Endpoint{}, driver.Events{Message: func(driver.Message) {}})
	require.NoError(t, err)
	_, resumes := peer.(driver.Resumer)
	require.False(t, resumes, "the protocol cannot")
	require.NoError(t, peer.Close())
}

// resuming is a server whose peers resume by connecting anew.
type resuming struct{ *faulty }

type resumingPeer struct {
	driver.Peer
	server *faulty
}

func (r resuming) Connect(ctx context.Context, to driver.Endpoint, events driver.Events) (driver.Peer, error) {
	peer, err := r.faulty.Connect(ctx, to, events)
	return resumingPeer{Peer: peer, server: r.faulty}, err
}

func (p resumingPeer) Resume(ctx context.Context, to driver.Endpoint) (driver.Peer, error) {
	return resuming{p.server}.Connect(ctx, to, driver.Events{})
}

// Seats of an idle load fill rooms of the settings' capacity.
func TestIdleFillsRooms(t *testing.T) {
	s := short(t, Idle, func(s *Settings) { s.Clients, s.Seats, s.Capacity, s.Duration = 10, true, 4, 10*time.Millisecond })
	server := newFaulty("", s.Capacity)
	result, err := carryOut(t.Context(), Options{Settings: s, Gateways: []string{"a", "b"}}, server)
	require.NoError(t, err)
	require.True(t, result.Passed, result.Reasons)
	require.Len(t, server.rooms, 3)
}
