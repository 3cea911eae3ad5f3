package app_test

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/wire"
	"github.com/signalbox-rtc/signalbox/services/gateway/app"
)

// A thousand clients on three gateways ask for the two seats of a room in the same moment, ROUNDS times over (8). Two get
// them, all others are told that the room is full, and there never is a third, not even for an instant:
//   - the numbers that Redis gives to seats rise by one with each and are never used twice in a room's life: the two
//     have 1 and 2, and the room has given out no more;
//   - one who looks at Redis all the while never sees more than two seats;
//   - neither do those who are seated, in their snapshots and by the events since.
func TestLastSeats(t *testing.T) {
	onBoth(t, func(t *testing.T, redis backend) {
		const clients = 1000
		rounds := seatRounds(t)
		gateways := startGateways(t, 3, redis, func(c *app.Config) {
			c.Demo.Capacity = 2
			c.Log.Level = "warn"
		})
		crowd := newCrowd(t, gateways, clients)
		watch := watchSeats(t, redis)
		for round := range rounds {
			crowd.contest(t, redis, "seats-"+strconv.Itoa(round))
			if t.Failed() {
				return
			}
		}
		looks := watch()
		t.Logf("%d rounds of %d joins; looked into Redis %d times", rounds, clients, looks)
		require.Empty(t, redis.roomKeys(t))
	})
}

// crowd is many connected clients.
type crowd struct {
	peers []*peer
	// Of the present round, by client; each is written by the client's reader before its reply is counted.
	snapshots []*wire.Snapshot
	errs      []error
}

func newCrowd(t *testing.T, gateways []*gateway, count int) *crowd {
	t.Helper()
	c := &crowd{peers: make([]*peer, count), snapshots: make([]*wire.Snapshot, count), errs: make([]error, count)}
	var dialing sync.WaitGroup
	for worker := range 16 {
		dialing.Go(func() {
			for i := worker; i < count; i += 16 {
				p, err := dial(t.Context(), gateways[i%len(gateways)], "client-"+strconv.Itoa(i))
				if err != nil {
					t.Error(err)
					return
				}
				c.peers[i] = p
			}
		})
	}
	dialing.Wait()
	t.Cleanup(func() {
		var closing sync.WaitGroup
		for _, p := range c.peers {
			if p != nil {
				closing.Go(p.Close)
			}
		}
		closing.Wait()
	})
	require.False(t, t.Failed())
	return c
}

// contest has all ask for a seat in the room at once, checks what comes of it, and has the two go again.
func (c *crowd) contest(t *testing.T, redis backend, room string) {
	t.Helper()
	start := make(chan struct{})
	var asking, answering sync.WaitGroup
	answering.Add(len(c.peers))
	for i, p := range c.peers {
		asking.Go(func() {
			<-start
			p.Go(&wire.Join{Room: room}, func(reply *wire.Reply, err error) {
				defer answering.Done()
				c.snapshots[i], c.errs[i] = nil, err
				switch {
				case err != nil:
				case reply.Err != nil:
					c.errs[i] = reply.Err
				default:
					c.snapshots[i] = new(wire.Snapshot)
					c.errs[i] = reply.Decode(c.snapshots[i])
				}
			})
		})
	}
	close(start)
	asking.Wait()
	answering.Wait()

	var seated []int
	for i, err := range c.errs {
		if err == nil {
			seated = append(seated, i)
			continue
		}
		require.Equal(t, wire.CodeRoomFull, code(err), "client %d: %v", i, err)
	}
	require.Len(t, seated, 2, "seats in %s", room)
	first, second := seated[0], seated[1]
	if len(c.snapshots[first].Peers) > len(c.snapshots[second].Peers) {
		first, second = second, first
	}
	c.checkViews(t, first, second)
	fields := redis.roomFields(t, room)
	require.Equal(t, []string{"2", "2", "2"}, fields, "count, order and capacity of %s", room)
	for _, i := range seated {
		_, err := c.peers[i].Leave(t.Context(), room)
		require.NoError(t, err)
	}
}

// checkViews requires that the one who came first saw itself and then the other, and the other both from the start.
func (c *crowd) checkViews(t *testing.T, first, second int) {
	t.Helper()
	ids := func(s *wire.Snapshot) (ids []string) {
		for _, p := range s.Peers {
			ids = append(ids, fmt.Sprint(p.ID, " ", p.Order))
		}
		return ids
	}
	one, two := c.peers[first].id()+" 1", c.peers[second].id()+" 2"
	require.Equal(t, []string{one}, ids(c.snapshots[first]))
	require.Equal(t, []string{one, two}, ids(c.snapshots[second]))
	joined := c.peers[first].await(t, wire.TypeJoinedPeer)
	require.Equal(t, two, fmt.Sprint(joined.Body.(*wire.JoinedPeer).Peer.ID, " ", joined.Body.(*wire.JoinedPeer).Peer.Order))
	for _, i := range []int{first, second} {
		for _, event := range c.peers[i].seen() {
			require.Equal(t, wire.TypeLeftPeer, event.Body.Type(), "only those of earlier rounds are left")
		}
	}
}

// roomFields reads a room's count, order and capacity from whichever server has it.
func (b backend) roomFields(t *testing.T, room string) []string {
	t.Helper()
	const script = `
		local keys = redis.call('KEYS', 'sb:{*}:room:demo/' .. ARGV[1])
		return keys[1] and redis.call('HMGET', keys[1], 'count', 'order', 'capacity') or {}`
	replies, err := b.each("EVAL", script, "0", room)
	require.NoError(t, err)
	var fields []string
	for _, reply := range replies {
		for _, field := range reply.([]any) {
			fields = append(fields, field.(string))
		}
	}
	return fields
}

// watchSeats looks into Redis again and again until the returned function is called, which tells how often. Each look
// is a script, and so an instant: the greatest number of seats and the greatest count of any room.
func watchSeats(t *testing.T, redis backend) func() int64 {
	t.Helper()
	const script = `
		local most = 0
		for _, key in ipairs(redis.call('KEYS', 'sb:{*}:room:*')) do
			local seats = 0
			for _, field in ipairs(redis.call('HKEYS', key)) do
				if string.sub(field, 1, 2) == 'p:' then seats = seats + 1 end
			end
			most = math.max(most, seats, tonumber(redis.call('HGET', key, 'count')))
		end
		return most`
	ctx, cancel := context.WithCancel(context.Background())
	var looks, full atomic.Int64
	var watching sync.WaitGroup
	watching.Go(func() {
		tick := time.NewTicker(3 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			replies, err := redis.each("EVAL", script, "0")
			if err != nil {
				t.Errorf("look into Redis: %v", err)
				return
			}
			looks.Add(1)
			for _, most := range replies {
				if most.(int64) == 2 {
					full.Add(1)
				}
				if most.(int64) > 2 {
					t.Errorf("a room of 2 seats has %d", most)
				}
			}
		}
	})
	stop := sync.OnceFunc(func() {
		cancel()
		watching.Wait()
	})
	t.Cleanup(stop)
	return func() int64 {
		stop()
		require.Positive(t, full.Load(), "the watcher saw full rooms, so it saw seats")
		return looks.Load()
	}
}

// seatRounds is how often the seats are asked for.
func seatRounds(t *testing.T) int {
	t.Helper()
	text, ok := os.LookupEnv("ROUNDS")
	if !ok {
		return 8
	}
	rounds, err := strconv.Atoi(text)
	require.NoError(t, err, "ROUNDS")
	require.Positive(t, rounds, "ROUNDS")
	return rounds
}
