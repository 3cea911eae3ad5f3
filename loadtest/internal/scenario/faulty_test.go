package scenario

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/loadtest/internal/driver"
	"github.com/signalbox-rtc/signalbox/loadtest/internal/oracle"
)

// faulty is a server in memory that breaks one promise now and then. Without a fault it keeps them all.
type faulty struct {
	fault    string
	capacity int

	mu     sync.Mutex
	ids    int                      // guarded by mu
	rooms  map[string][]*faultyPeer // guarded by mu
	number map[string]int64         // of each room; guarded by mu
	held   map[*faultyPeer]func()   // a message that is kept back, by its receiver; guarded by mu
	count  int                      // messages; guarded by mu
	joins  int                      // guarded by mu
}

type faultyPeer struct {
	server *faulty
	id     string
	events driver.Events
	inbox  chan func()
	closed sync.Once
}

// every is how many messages there are for each one that goes wrong.
const every = 50

func newFaulty(fault string, capacity int) *faulty {
	return &faulty{
		fault: fault, capacity: capacity, rooms: map[string][]*faultyPeer{}, number: map[string]int64{}, held: map[*faultyPeer]func(){},
	}
}

func (f *faulty) Close() error { return nil }

func (f *faulty) Connect(_ context.Context, _ driver.Endpoint, events driver.Events) (driver.Peer, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ids++
	p := &faultyPeer{server: f, id: fmt.Sprint("peer-", f.ids), events: events, inbox: make(chan func(), 100_000)}
	go func() { // until it is closed
		for deliver := range p.inbox {
			deliver()
		}
	}()
	return p, nil
}

func (p *faultyPeer) ID() string { return p.id }

func (p *faultyPeer) Join(_ context.Context, room string) error {
	f := p.server
	f.mu.Lock()
	defer f.mu.Unlock()
	members, seats := f.rooms[room], f.capacity
	if f.fault == "over" {
		seats++
	}
	if f.fault == "short" {
		seats--
	}
	if len(members) >= seats {
		return driver.ErrFull
	}
	for _, member := range members {
		member.inbox <- func() { member.events.Arrived(room, p.id) }
	}
	f.rooms[room] = append(members, p)
	f.joins++
	return nil
}

func (p *faultyPeer) Leave(_ context.Context, room string) error {
	p.server.mu.Lock()
	defer p.server.mu.Unlock()
	p.leave(room)
	return nil
}

func (p *faultyPeer) leave(room string) {
	var rest []*faultyPeer
	for _, member := range p.server.rooms[room] {
		if member != p {
			rest = append(rest, member)
		}
	}
	p.server.rooms[room] = rest
}

func (p *faultyPeer) Send(room, to string, payload []byte) error {
	return p.server.pass(room, payload, func(member *faultyPeer) bool { return member.id == to })
}

func (p *faultyPeer) Broadcast(room string, payload []byte) error {
	return p.server.pass(room, payload, func(*faultyPeer) bool { return true })
}

// pass delivers a message to the members for whom it is.
func (f *faulty) pass(room string, payload []byte, wants func(*faultyPeer) bool) error {
	stamp, ok := driver.StampIn(payload)
	if !ok {
		return fmt.Errorf("a payload without a stamp")
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.number[room]++
	for _, member := range f.rooms[room] {
		if !wants(member) {
			continue
		}
		f.count++
		wrong := f.count%every == 0
		message := driver.Message{Stamp: stamp, Number: f.number[room]}
		if wrong && f.fault == "numbers" {
			message.Number += 2
		}
		deliver := func() { member.events.Message(message) }
		switch {
		case wrong && f.fault == "lost":
			continue
		case wrong && f.fault == "double":
			member.inbox <- deliver
		case wrong && f.fault == "order":
			f.held[member] = deliver
			continue
		}
		member.inbox <- deliver
		if held := f.held[member]; held != nil {
			delete(f.held, member)
			member.inbox <- held
		}
	}
	return nil
}

func (p *faultyPeer) Close() error {
	p.closed.Do(func() {
		p.server.mu.Lock()
		defer p.server.mu.Unlock()
		for room := range p.server.rooms {
			p.leave(room)
		}
		close(p.inbox)
	})
	return nil
}

func (p *faultyPeer) Cut() { _ = p.Close() }

// short is a small load of a kind.
func short(t *testing.T, kind string, change func(*Settings)) Settings {
	t.Helper()
	s, err := Defaults(kind)
	require.NoError(t, err)
	s.WarmUp, s.Duration, s.ConnectRate, s.Patience = 10*time.Millisecond, 300*time.Millisecond, 10_000, 10*time.Second
	if change != nil {
		change(&s)
	}
	require.NoError(t, s.Validate())
	return s
}

func onFaulty(t *testing.T, fault string, s Settings) *Result {
	t.Helper()
	result, err := carryOut(t.Context(), Options{Settings: s, Gateways: []string{"a", "b"}}, newFaulty(fault, s.Capacity))
	require.NoError(t, err)
	return result
}

// Each fault of a server fails the run, and is called by its name. Without a fault the same load passes.
func TestFaultsFailTheRun(t *testing.T) {
	fanout := func(s *Settings) { s.Clients, s.Publishers, s.Rate = 10, 2, 200 }
	race := func(s *Settings) { s.Clients, s.Rounds = 10, 3 }
	for _, tc := range []struct {
		name, kind, fault string
		change            func(*Settings)
		want              oracle.Rule
	}{
		{"CallOK", Call, "", nil, ""},
		{"CallLost", Call, "lost", func(s *Settings) { s.Workers = 4 }, oracle.Lost},
		{"CallDouble", Call, "double", nil, oracle.Double},
		{"CallOrder", Call, "order", nil, oracle.Order},
		{"FanoutOK", Fanout, "", fanout, ""},
		{"FanoutLost", Fanout, "lost", fanout, oracle.Lost},
		{"FanoutDouble", Fanout, "double", fanout, oracle.Double},
		{"FanoutOrder", Fanout, "order", fanout, oracle.Order},
		{"FanoutTwoOrders", Fanout, "numbers", fanout, oracle.Order},
		{"RaceOK", Join, "", race, ""},
		{"RaceOverCapacity", Join, "over", race, oracle.Capacity},
		{"RaceLeavesASeatFree", Join, "short", race, oracle.Short},
		{"MixedOK", Mixed, "", func(s *Settings) { s.Rate = 100 }, ""},
		{"MixedLost", Mixed, "lost", func(s *Settings) { s.Rate = 100 }, oracle.Lost},
		{"MixedDouble", Mixed, "double", func(s *Settings) { s.Rate = 100 }, oracle.Double},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			settings := short(t, tc.kind, tc.change)
			if tc.want != "" {
				settings.Patience = 200 * time.Millisecond // what is lost does not come
			}
			result := onFaulty(t, tc.fault, settings)
			if tc.want == "" {
				require.True(t, result.Passed, "%v %v", result.Reasons, result.Errors)
				return
			}
			require.False(t, result.Passed)
			require.Positive(t, result.Violations[tc.want], "%v", result.Violations)
			require.NotEmpty(t, result.Examples)
		})
	}
}

// A steady load that the pairs cannot carry says so, and its latencies count from when calls should have begun.
func TestOverloadIsTold(t *testing.T) {
	s := short(t, Call, func(s *Settings) { s.Clients, s.Rate, s.Most, s.Gap = 2, 200, 5, time.Millisecond })
	result := onFaulty(t, "", s)
	require.False(t, result.Passed)
	require.Contains(t, result.Reasons[0], "do not keep up")
	// A call takes 10 gaps at least, and each waits for some that came before it.
	require.Greater(t, result.Latencies["call_setup"].P50, 20.0)
}

// What comes in the warm-up is in no latency and in no count.
func TestWarmUpIsNotMeasured(t *testing.T) {
	s := short(t, Join, func(s *Settings) {
		s.WarmUp, s.Duration, s.Rate, s.Uniform = 300*time.Millisecond, 100*time.Millisecond, 100, true
	})
	server := newFaulty("", s.Capacity)
	result, err := carryOut(t.Context(), Options{Settings: s, Gateways: []string{"a", "b"}}, server)
	require.NoError(t, err)
	require.True(t, result.Passed)
	require.Positive(t, server.joins)
	require.Less(t, result.Counts["joins"], int64(server.joins))
	require.Less(t, result.Latencies["join"].Count, int64(server.joins))
}
