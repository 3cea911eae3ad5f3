package scenario

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/signalbox-rtc/signalbox/loadtest/internal/driver"
	"github.com/signalbox-rtc/signalbox/loadtest/internal/pace"
)

// joins is the scenario: pairs that come and go, or races of all for the seats of one room.
func (r *run) joins(ctx context.Context) error {
	peers := make([]driver.Peer, r.s.Clients)
	defer func() { closeAll(peers) }()
	err := r.connectAll(ctx, r.s.Clients, func(ctx context.Context, i int) error {
		peer, err := r.connect(ctx, i, driver.Events{
			Message: func(driver.Message) {}, Arrived: func(string, string) {}, Refused: r.rec.Fail, Lost: r.rec.Fail,
		})
		peers[i] = peer
		return err
	})
	if err != nil {
		return err
	}
	if r.s.Rounds > 0 {
		return r.races(ctx, peers)
	}
	return r.comeAndGo(ctx, peers)
}

// seatOf is a client with the room that it shares with another one, on another gateway.
type seatOf struct {
	peer driver.Peer
	room string
}

// comeAndGo has clients take a seat and give it up. Two share a room, so that each coming and going is told to somebody
// now and then.
func (r *run) comeAndGo(ctx context.Context, peers []driver.Peer) error {
	free := make(chan seatOf, len(peers))
	for i, peer := range peers {
		free <- seatOf{peer: peer, room: fmt.Sprintf("%s-pair-%d", r.tag, i/2)}
	}
	cycles, joined, cycle := r.rec.Counter("joins"), r.rec.Histogram("join"), r.rec.Histogram("join_leave")
	return r.measureFor(ctx, min(r.s.Workers, len(peers)), pace.Constant(r.s.Rate), func(ctx context.Context, _ int, intended time.Time) {
		ctx = context.WithoutCancel(ctx)
		var seat seatOf
		select {
		case seat = <-free:
		case <-time.After(r.s.Patience):
			r.rec.Fail(fmt.Errorf("no client was free for %v", r.s.Patience))
			return
		}
		defer func() { free <- seat }()
		if err := seat.peer.Join(ctx, seat.room); err != nil {
			r.rec.Fail(fmt.Errorf("join: %w", err))
			return
		}
		joined.Record(time.Since(intended))
		r.orc.Seated(seat.room, r.s.Capacity)
		r.orc.Leaving(seat.room)
		if err := seat.peer.Leave(ctx, seat.room); err != nil {
			r.rec.Fail(fmt.Errorf("leave: %w", err))
			return
		}
		cycles.Add(1)
		cycle.Record(time.Since(intended))
	})
}

// races has all clients want a seat of one room at the same moment, round after round.
func (r *run) races(ctx context.Context, peers []driver.Peer) error {
	rounds, answered := r.rec.Counter("rounds"), r.rec.Histogram("join")
	seated, refused := r.rec.Counter("seated"), r.rec.Counter("refused")
	r.enter("measure", 0)
	if err := r.beginMeasuring(ctx); err != nil {
		return err
	}
	wrong := 0
	for range r.s.Rounds {
		if ctx.Err() != nil {
			break
		}
		before := r.orc.Counts()
		room := r.room()
		var racing sync.WaitGroup
		in := make([]bool, len(peers))
		start := make(chan struct{})
		for i, peer := range peers {
			racing.Go(func() {
				<-start
				began := time.Now()
				switch err := peer.Join(ctx, room); {
				case err == nil:
					r.orc.Seated(room, r.s.Capacity)
					in[i] = true
					seated.Add(1)
				case errors.Is(err, driver.ErrFull):
					refused.Add(1)
				default:
					r.rec.Fail(fmt.Errorf("join: %w", err))
				}
				answered.Record(time.Since(began))
			})
		}
		close(start)
		racing.Wait()
		r.orc.Raced(room, r.s.Capacity, len(peers))
		if after := r.orc.Counts(); !sameCounts(before, after) {
			wrong++
		}
		rounds.Add(1)
		for i, peer := range peers {
			if in[i] {
				racing.Go(func() {
					r.orc.Leaving(room)
					if err := peer.Leave(ctx, room); err != nil {
						r.rec.Fail(fmt.Errorf("leave: %w", err))
					}
				})
			}
		}
		racing.Wait()
	}
	r.figures["wrong_rounds"] = float64(wrong)
	if err := r.endMeasuring(ctx); err != nil {
		return err
	}
	return ctx.Err()
}

func sameCounts[K comparable](a, b map[K]int64) bool {
	for rule, n := range b {
		if a[rule] != n {
			return false
		}
	}
	return true
}
