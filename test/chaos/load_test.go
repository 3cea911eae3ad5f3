package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	// setupTimeout is how long two people wait for a call to stand before they give up: what is longer failed.
	setupTimeout = 20 * time.Second
	candidates   = 3 // of each side
	dialingAhead = 16
)

// call is two or more clients in a room.
type call struct {
	c       *cluster
	index   int // among those of its load
	room    string
	parties []*party
}

// load is what goes on while a fault is injected.
type load struct {
	c     *cluster
	calls []*call
	stop  context.CancelFunc // of pauses: what was begun is brought to its end
	group sync.WaitGroup

	mu     sync.Mutex
	setups []time.Duration // guarded by mu; how long it took until calls stood
	failed []error         // guarded by mu; those that never did
}

// loadOptions say what goes on.
type loadOptions struct {
	calls int
	size  int           // clients of each call; 2 if 0
	every time.Duration // what a client says something; 1 s if 0
	short bool          // calls end soon and new ones are set up, in other rooms
	still bool          // nobody says anything
	party func(call, member int) partyOptions
}

// newLoad sets the calls up, and lets them go on until they are stopped. The first set-ups must succeed.
func (c *cluster) newLoad(o loadOptions) *load {
	c.t.Helper()
	going, stop := context.WithCancel(c.ctx)
	l := &load{c: c, stop: stop}
	if o.size == 0 {
		o.size = 2
	}
	if o.every == 0 {
		o.every = time.Second
	}
	offset := c.callsSoFar()
	errs := make([]error, o.calls)
	slots := make(chan struct{}, dialingAhead)
	var dialing sync.WaitGroup
	for i := range o.calls {
		slots <- struct{}{}
		dialing.Go(func() {
			defer func() { <-slots }()
			call := &call{c: c, index: i, room: fmt.Sprintf("call-%d", offset+i)}
			errs[i] = call.begin(c.ctx, o)
			l.mu.Lock()
			l.calls = append(l.calls, call)
			l.mu.Unlock()
		})
	}
	dialing.Wait()
	for _, err := range errs {
		require.NoError(c.t, err)
	}
	for _, call := range l.calls {
		if o.short {
			l.group.Go(func() { l.oneAfterTheOther(going, call, o.every) })
			continue
		}
		if o.still {
			continue
		}
		for _, p := range call.parties {
			l.group.Go(func() { p.talk(going, o.every) })
		}
	}
	return l
}

func (c *cluster) callsSoFar() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.parties) // of its own in any case
}

// begin connects the clients and sets the first call up.
func (k *call) begin(ctx context.Context, o loadOptions) error {
	for j := range o.size {
		options := partyOptions{}
		if o.party != nil {
			options = o.party(k.index, j)
		}
		p, err := k.c.dialParty(ctx, fmt.Sprintf("%s-%d", k.room, j), options)
		if err != nil {
			return err
		}
		p.home = k.room
		k.parties = append(k.parties, p)
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return k.setUp(ctx, k.room)
}

// setUp is how two people get into a call: both join, one offers, the other answers, and both tell their candidates.
func (k *call) setUp(ctx context.Context, room string) error {
	for _, p := range k.parties {
		if err := p.join(ctx, room); err != nil {
			return fmt.Errorf("%s joins: %w", p.name, err)
		}
	}
	if len(k.parties) != 2 {
		return nil
	}
	a, b := k.parties[0], k.parties[1]
	steps := []struct {
		from, to *party
		filling  int
	}{{b, a, descriptionBytes}, {a, b, descriptionBytes}}
	for range candidates {
		steps = append(steps, struct {
			from, to *party
			filling  int
		}{a, b, candidateBytes}, struct {
			from, to *party
			filling  int
		}{b, a, candidateBytes})
	}
	for _, step := range steps {
		if err := deliver(ctx, step.from, step.to, step.filling); err != nil {
			return fmt.Errorf("%s signals %s: %w", step.from.name, step.to.name, err)
		}
	}
	return nil
}

// deliver sends until one of the messages has come: what an application does whose signal may have been lost with an
// error that is retryable.
func deliver(ctx context.Context, from, to *party, filling int) error {
	var ids []string
	return from.tries(ctx, func(ctx context.Context) error {
		id, err := from.send(ctx, to.session(), filling)
		ids = append(ids, id)
		if err != nil {
			return err
		}
		return to.until(ctx, func() bool {
			for _, id := range ids {
				if to.has(id) {
					return true
				}
			}
			return false
		})
	})
}

// talk goes on as people in a call do: candidates, words, changes of state, each at its time, until going ends.
func (p *party) talk(going context.Context, every time.Duration) {
	ctx := p.c.ctx
	for turn := rand.IntN(6); pause(going, every/2+time.Duration(rand.Int64N(int64(every)))); turn++ {
		if p.seat() == "" { // it was given up meanwhile
			if p.join(ctx, p.home) != nil {
				continue
			}
		}
		other := p.other()
		switch {
		case turn%6 == 5:
			_ = p.setState(ctx, "turn", fmt.Sprint(turn)) // counted by the watch
		case turn%2 == 0 && other != "":
			_, _ = p.send(ctx, other, candidateBytes)
		default:
			_, _ = p.send(ctx, "", chatBytes)
		}
	}
}

// oneAfterTheOther sets calls up in rooms of their own until going ends, and measures how long that takes.
func (l *load) oneAfterTheOther(going context.Context, k *call, every time.Duration) {
	for n := 1; ; n++ {
		for _, p := range k.parties {
			_ = p.leave(l.c.ctx) // an error is that of the context, or the seat is gone
		}
		if !pause(going, every/2+time.Duration(rand.Int64N(int64(every)))) {
			return
		}
		began := time.Now()
		attempt, cancel := context.WithTimeout(l.c.ctx, setupTimeout)
		err := k.setUp(attempt, fmt.Sprintf("%s.%d", k.room, n))
		cancel()
		l.mu.Lock()
		if err == nil {
			l.setups = append(l.setups, time.Since(began))
		} else {
			l.failed = append(l.failed, err)
		}
		l.mu.Unlock()
	}
}

// end stops the load.
func (l *load) end() {
	l.stop()
	l.group.Wait()
}

// parties are all clients of the load.
func (l *load) parties() []*party {
	var list []*party
	for _, k := range l.calls {
		list = append(list, k.parties...)
	}
	return list
}
