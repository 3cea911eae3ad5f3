package store

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A canary is a message that a subscription sends to itself, as other nodes send theirs: a script publishes it through the
// ordinary pipelines. A connection that answers PINGs may bring no messages, when its server is not the one that the
// others publish at; only a message that comes back proves that messages come.

const (
	defaultCanaryPeriod  = time.Second
	defaultCanaryTimeout = 2 * time.Second
	// canariesLost is how many in a row end a connection. One alone may be lost with a call that Redis has answered to
	// a connection that it is about to end.
	canariesLost = 2
	// canaryLife is that of the key. It must be longer than any outage in which Redis keeps its data and the node lives:
	// a key that is gone means that the data is.
	canaryLife = time.Hour
	// wipeTimeout is how long the end of an inbox waits for Redis to remove the keys, which expire anyway.
	wipeTimeout = time.Second
	// canaryPrefix begins the payload: "canary <nonce> <nonce of the first>". A record begins with its version.
	canaryPrefix = "canary "
	// nonceLength is that of a nonce's random part, which is the inbox': 8 characters of 5 bits.
	nonceLength = 8
)

var (
	errCanary   = errors.New("messages to the node itself do not come back")
	errDemoted  = errors.New("another server is the partition's primary")
	errNoCanary = errors.New("a message in the inbox is not a canary")
)

// flight is a canary under way.
type flight struct {
	nonce     string
	partition int
	sent      time.Time
	published time.Time // when Redis had said so; zero before
}

// canaries are a subscription's. Guarded by Inbox.mu.
type canaries struct {
	number  int
	flights []flight // in order
	waiting int      // for Redis' answer
	lost    int      // in a row
	back    time.Time
	// born is the nonce of the canary that made the key, as last seen. Another one means that the key was lost, and so
	// is what Redis held beside it.
	born string
	// trace is set while the key is thought to be there.
	trace bool
}

// reset begins anew with a new connection.
func (c *canaries) reset() { c.flights, c.lost, c.back = nil, 0, time.Now() }

// take removes a flight, and reports whether it was there.
func (c *canaries) take(nonce string) (flight, bool) {
	i := slices.IndexFunc(c.flights, func(f flight) bool { return f.nonce == nonce })
	if i < 0 {
		return flight{}, false
	}
	f := c.flights[i]
	c.flights = slices.Delete(c.flights, i, i+1)
	return f, true
}

// due is when the next one that was published counts as lost; zero for none.
func (c *canaries) due(timeout time.Duration) time.Time {
	for _, f := range c.flights {
		if !f.published.IsZero() {
			return f.published.Add(timeout) // answers come in order
		}
	}
	return time.Time{}
}

// overdue takes out those that have not come back in time, and gives their number.
func (c *canaries) overdue(now time.Time, timeout time.Duration) int {
	before := len(c.flights)
	c.flights = slices.DeleteFunc(c.flights, func(f flight) bool {
		return !f.published.IsZero() && now.Sub(f.published) >= timeout
	})
	c.lost += before - len(c.flights)
	return before - len(c.flights)
}

// forgive gives those under way their time again.
func (c *canaries) forgive(now time.Time) {
	for i := range c.flights {
		if !c.flights[i].published.IsZero() {
			c.flights[i].published = now
		}
	}
}

// newNonces is what the nonces of an inbox begin with: those of an earlier process must not count.
func newNonces() string { return rand.Text()[:nonceLength] + "-" }

// probe sends canaries until ctx ends, and gives the connection up when they do not come back, or when a server of a
// cluster is not the partition's primary any more.
func (s *subscription) probe(ctx context.Context, giveUp context.CancelCauseFunc) {
	st := s.inbox.store
	period, timeout := st.opts.CanaryPeriod, st.opts.CanaryTimeout
	primary := st.primary(ctx, s.partition(0))
	next := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		if now := time.Now(); !now.Before(next) {
			if st.primary(ctx, s.partition(0)) != primary {
				giveUp(errDemoted)
				return
			}
			s.sendCanary(now)
			next = now.Add(period)
		}
		wake := next
		s.inbox.mu.Lock()
		if due := s.canaries.due(timeout); !due.IsZero() && due.Before(wake) {
			wake = due
		}
		s.inbox.mu.Unlock()
		timer.Reset(time.Until(wake))
		select {
		case <-ctx.Done():
			return
		case <-s.published:
			continue
		case <-timer.C:
		}
		if s.countLost(wake) >= canariesLost {
			giveUp(errCanary)
			return
		}
	}
}

// countLost notes what has not come back, and gives the number of those in a row. wake is when the caller meant to call.
func (s *subscription) countLost(wake time.Time) int {
	st, now := s.inbox.store, time.Now()
	s.inbox.mu.Lock()
	defer s.inbox.mu.Unlock()
	if now.Sub(wake) > st.opts.CanaryPeriod {
		// The process was frozen: what has come meanwhile is not read yet.
		s.canaries.forgive(now)
		return s.canaries.lost
	}
	st.metrics.canariesLost.Add(float64(s.canaries.overdue(now, st.opts.CanaryTimeout)))
	return s.canaries.lost
}

// sendCanary publishes the next canary, unless Redis has not answered the last one yet.
func (s *subscription) sendCanary(now time.Time) {
	st, c := s.inbox.store, &s.canaries
	s.inbox.mu.Lock()
	if c.waiting > 0 {
		s.inbox.mu.Unlock()
		return
	}
	c.waiting++
	c.number++
	channel := s.channels[c.number%len(s.channels)]
	f := flight{nonce: s.inbox.nonces + strconv.Itoa(c.number), partition: s.index[channel], sent: now}
	c.flights = append(c.flights, f)
	s.inbox.mu.Unlock()

	sent := &call{script: st.scripts.canary, partition: f.partition, answer: func(reply []any, err error) {
		s.answered(f.nonce, reply, err)
	}}
	sent.args = append(make([]any, 0, 8), "evalsha", sent.script.sha, sent.script.keys)
	sent.add(s.canaryKey(), channel, f.nonce, strconv.FormatInt(canaryLife.Milliseconds(), 10))
	st.router.submit(sent)
}

// answered notes that Redis has published a canary, or has not, as far as is known. Called from a lane.
func (s *subscription) answered(nonce string, reply []any, err error) {
	c := &s.canaries
	s.inbox.mu.Lock()
	c.waiting--
	if err != nil {
		// It may come back all the same, and is not missed if it does not.
		_, _ = c.take(nonce)
	} else if born, _ := at(reply, 1).(string); c.born == "" {
		c.born = born // also if it never comes back
	}
	c.trace = err == nil
	for i := range c.flights {
		if c.flights[i].nonce == nonce {
			c.flights[i].published = time.Now()
		}
	}
	s.inbox.mu.Unlock()
	select {
	case s.published <- struct{}{}:
	default:
	}
}

// canaryBack takes a canary that has come back.
func (s *subscription) canaryBack(payload string) error {
	nonce, born, ok := strings.Cut(strings.TrimPrefix(payload, canaryPrefix), " ")
	if !ok || nonce == "" || born == "" {
		return errNoCanary
	}
	st, c := s.inbox.store, &s.canaries
	s.inbox.mu.Lock()
	f, ok := c.take(nonce)
	if !ok {
		s.inbox.mu.Unlock()
		return nil // late, of an earlier connection or of somebody else: it proves nothing
	}
	c.lost, c.back = 0, time.Now()
	emptied := c.born != "" && c.born != born
	c.born = born
	s.inbox.mu.Unlock()
	st.metrics.canary.Observe(time.Since(f.sent).Seconds())
	if emptied {
		st.log.warn("emptied", "Redis has lost its data", "partition", f.partition)
		s.each(s.inbox.OnEmptied)
	}
	return nil
}

// overdue says which canary is missed. The caller holds inbox.mu.
func (s *subscription) overdue(now time.Time) error {
	c := &s.canaries
	due := c.due(s.inbox.store.opts.CanaryTimeout)
	if c.lost == 0 && (due.IsZero() || now.Before(due)) {
		return nil
	}
	return fmt.Errorf("store: an inbox canary is overdue: the last one came back %v ago", now.Sub(c.back).Round(time.Millisecond))
}

// partition is that of one of the subscription's channels.
func (s *subscription) partition(channel int) int { return s.index[s.channels[channel]] }

// canaryKey is the same for all canaries of the subscription: what carries its channels is one server.
func (s *subscription) canaryKey() string {
	return s.inbox.store.partitions[s.partition(0)].canary(s.inbox.node)
}

// wipe removes the canaries' keys when the inbox has ended, as far as Redis does it at once.
func (i *Inbox) wipe(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, wipeTimeout)
	defer cancel()
	pipe := i.store.client.Pipeline()
	for _, sub := range i.subscriptions {
		if sub.landed(ctx) {
			pipe.Del(ctx, sub.canaryKey())
		}
	}
	if pipe.Len() > 0 {
		_, _ = pipe.Exec(ctx)
	}
}

// landed waits until no canary waits for Redis, and reports whether the key is there then.
func (s *subscription) landed(ctx context.Context) bool {
	for {
		s.inbox.mu.Lock()
		waiting, trace := s.canaries.waiting > 0, s.canaries.trace
		s.inbox.mu.Unlock()
		if !waiting {
			return trace
		}
		select {
		case <-s.published:
		case <-ctx.Done():
			return false
		}
	}
}
