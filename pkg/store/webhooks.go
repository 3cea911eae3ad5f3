package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// What is in the outboxes goes to the endpoints of the apps. One gateway at a time has a partition, for a lease that each
// [Store.CollectOutbox] renews. It collects what the scripts have written, forwards each event to the queues of those endpoints that
// want it, and takes it out of a queue when the endpoint has it. An event that an endpoint does not take is parked among its app's
// dead letters. Each step is one script: an event is always in one place, or in none when it is done.

// Queue names an endpoint of an app, whose ID has no spaces.
type Queue struct{ App, Endpoint string }

// member is how a queue is named in the set of queues.
func (q Queue) member() string { return q.App + " " + q.Endpoint }

func (q Queue) check() error {
	if !validApp(q.App) || q.Endpoint == "" || len(q.Endpoint) > 128 || strings.ContainsFunc(q.Endpoint, notGraphic) {
		return wire.Errorf(wire.CodeBadRequest, "not an endpoint of an app")
	}
	return nil
}

func notGraphic(r rune) bool { return r <= ' ' || r > '~' }

func parseQueue(member string) (Queue, bool) {
	app, endpoint, _ := strings.Cut(member, " ")
	q := Queue{App: app, Endpoint: endpoint}
	return q, q.check() == nil
}

// OutboxEntry is an event and its place in the outbox or in a queue.
type OutboxEntry struct {
	// Place rises with the order of the entries. It begins with when the entry was put there, by Redis' clock.
	Place string
	// Event is nil for an entry that cannot be read: it is to be forwarded to nobody.
	Event *HookEvent

	text string
}

// Since is when the entry was put where it is, by Redis' clock.
func (e *OutboxEntry) Since() time.Time {
	milliseconds, _, _ := strings.Cut(e.Place, "-")
	n, err := strconv.ParseInt(milliseconds, 10, 64)
	if err != nil {
		return time.Time{}
	}
	return time.UnixMilli(n)
}

func parseEntries(reply any) []OutboxEntry {
	list, _ := reply.([]any)
	entries := make([]OutboxEntry, 0, len(list)/2)
	for i := 0; i+1 < len(list); i += 2 {
		var e OutboxEntry
		e.Place, _ = list[i].(string)
		e.text, _ = list[i+1].(string)
		if event, err := parseHookEvent(e.text); err == nil {
			e.Event = &event
		}
		entries = append(entries, e)
	}
	return entries
}

// ask submits a call for a partition and waits for its answer, which comes within seconds.
func (s *Store) ask(script *script, partition int, keys []string, args ...string) ([]any, error) {
	type answer struct {
		reply []any
		err   error
	}
	answered := make(chan answer, 1)
	s.router.submit(s.outboxCall(script, partition, keys, args, func(reply []any, err error) { answered <- answer{reply, err} }))
	a := <-answered
	return a.reply, a.err
}

func (s *Store) outboxCall(script *script, partition int, keys, args []string, answer func([]any, error)) *call {
	c := s.partitionCall(script, partition, noPeer, answer, keys...)
	c.args[2] = len(keys)
	c.add(args...)
	return c
}

// BusyOutboxes lists the partitions in which something is to be delivered and that no gateway has. It waits for Redis.
func (s *Store) BusyOutboxes(ctx context.Context) ([]int, error) {
	filled, claimed := make([]*redis.IntCmd, len(s.partitions)), make([]*redis.IntCmd, len(s.partitions))
	_, err := s.client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for i := range s.partitions {
			p := &s.partitions[i]
			filled[i], claimed[i] = pipe.Exists(ctx, p.outbox(), p.queues()), pipe.Exists(ctx, p.outboxClaim())
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("store: look at the outboxes: %w", err)
	}
	var busy []int
	for i := range s.partitions {
		if filled[i].Val() > 0 && claimed[i].Val() == 0 {
			busy = append(busy, i)
		}
	}
	return busy, nil
}

// Collected is what a gateway has to deliver in a partition.
type Collected struct {
	// Held is false when another gateway has the partition.
	Held bool
	// Entries are of the outbox, to be forwarded. Those that are not come again.
	Entries []OutboxEntry
	// Queues are those that are not empty.
	Queues []Queue
}

// CollectOutbox takes or keeps a partition for a gateway, for a lease, and gives what is to be delivered in it. It waits for Redis, as
// do all calls about outboxes.
func (s *Store) CollectOutbox(partition int, owner string, lease time.Duration, most int) (*Collected, error) {
	p, err := s.ofNode(partition, owner)
	if err != nil {
		return nil, err
	}
	reply, err := s.ask(s.scripts.collect, partition, []string{p.outbox(), p.outboxClaim(), p.queues()},
		owner, milliseconds(lease), strconv.Itoa(most))
	if err != nil {
		return nil, err
	}
	collected := &Collected{Held: integer(reply, 1) == 1, Entries: parseEntries(at(reply, 2))}
	members, _ := at(reply, 3).([]any)
	for _, member := range members {
		text, _ := member.(string)
		if q, ok := parseQueue(text); ok {
			collected.Queues = append(collected.Queues, q)
		}
	}
	return collected, nil
}

// Route says which queues an entry of the outbox goes to; none has it forgotten.
type Route struct {
	Entry OutboxEntry
	To    []Queue
}

// RouteOutbox forwards entries of a partition's outbox, in their order. Refusals: [ErrFenced] when the gateway does not have the
// partition any more.
func (s *Store) RouteOutbox(partition int, owner string, routes []Route) error {
	p, err := s.ofNode(partition, owner)
	if err != nil {
		return err
	}
	answers := make(chan error, len(routes))
	for _, r := range routes {
		s.forward(p, partition, move{
			owner: owner, from: p.outbox(), entry: r.Entry.Place, text: r.Entry.text, to: r.To, most: s.opts.OutboxLength,
		}, func(_ bool, err error) { answers <- err })
	}
	for range routes {
		err = errors.Join(err, <-answers)
	}
	return err
}

// move is a call of forward.lua.
type move struct {
	owner       string // "" for anybody
	from, entry string
	of          *Queue // that from is, nil if it is none
	text        string
	to          []Queue
	letters     string // the app among whose dead letters it is put, "" for none
	most        int
}

func (s *Store) forward(p *partition, n int, m move, done func(moved bool, err error)) {
	member := ""
	if m.of != nil {
		member = m.of.member()
	}
	keys := []string{m.from, p.queues(), p.outboxTrimmed(), p.outboxClaim()}
	args := []string{m.owner, m.entry, strconv.Itoa(m.most), m.text, member}
	for _, q := range m.to {
		keys, args = append(keys, p.queue(q)), append(args, q.member())
	}
	if m.letters != "" {
		keys, args = append(keys, p.letters(m.letters)), append(args, "")
	}
	s.router.submit(s.outboxCall(s.scripts.forward, n, keys, args, func(reply []any, err error) {
		done(integer(reply, 1) == 1, err)
	}))
}

// moveOne is forward that waits.
func (s *Store) moveOne(p *partition, n int, m move) (moved bool, err error) {
	done := make(chan struct{})
	s.forward(p, n, m, func(ok bool, e error) {
		moved, err = ok, e
		close(done)
	})
	<-done
	return moved, err
}

// ReadQueue reads a queue behind a place, "" for its beginning, and gives how many entries it has in all.
func (s *Store) ReadQueue(partition int, q Queue, after string, most int) (entries []OutboxEntry, length int, err error) {
	p, err := s.inPartition(partition)
	if err != nil {
		return nil, 0, err
	}
	if after == "" {
		after = "0-0"
	}
	reply, err := s.ask(s.scripts.queue, partition, []string{p.queue(q)}, after, strconv.Itoa(most))
	return parseEntries(at(reply, 2)), int(integer(reply, 1)), err
}

// Delivered takes entries out of a queue. Refusals: [ErrFenced].
func (s *Store) Delivered(partition int, owner string, q Queue, places []string) error {
	p, err := s.ofNode(partition, owner)
	if err != nil {
		return err
	}
	_, err = s.ask(s.scripts.delivered, partition, []string{p.queue(q), p.queues(), p.outboxClaim()},
		append([]string{owner, q.member()}, places...)...)
	return err
}

// Park takes an entry out of a queue and puts it among its app's dead letters. Reason is a word. Refusals: [ErrFenced].
func (s *Store) Park(partition int, owner string, q Queue, entry OutboxEntry, reason string) error {
	p, err := s.ofNode(partition, owner)
	if err != nil {
		return err
	}
	_, err = s.moveOne(p, partition, move{
		owner: owner, from: p.queue(q), entry: entry.Place, of: &q, text: q.Endpoint + " " + reason + " " + entry.text,
		letters: q.App, most: s.opts.DeadLetters,
	})
	return err
}

// ReleaseOutbox lets another gateway have a partition.
func (s *Store) ReleaseOutbox(partition int, owner string) error {
	p, err := s.ofNode(partition, owner)
	if err != nil {
		return err
	}
	_, err = s.ask(s.scripts.release, partition, []string{p.outboxClaim()}, owner)
	return err
}

// DeadLetter is an event that an endpoint did not take.
type DeadLetter struct {
	// ID names it among the app's.
	ID       string
	Endpoint string
	// Reason is a word: expired, gone or removed. See package webhook.
	Reason string
	// Parked is when it was put among the dead letters, by Redis' clock.
	Parked time.Time
	Event  HookEvent
}

// maxLetters is the most of one page.
const maxLetters = 1000

// parseLetterID reads "<partition>.<place>".
func (s *Store) parseLetterID(id string) (partition int, place string, err error) {
	number, place, ok := strings.Cut(id, ".")
	n, bad := strconv.Atoi(number)
	first, second, cut := strings.Cut(place, "-")
	_, bad1 := strconv.ParseUint(first, 10, 64)
	_, bad2 := strconv.ParseUint(second, 10, 64)
	if !ok || !cut || bad != nil || bad1 != nil || bad2 != nil || n < 0 || n >= len(s.partitions) {
		return 0, "", wire.Errorf(wire.CodeBadRequest, "not the id of a dead letter")
	}
	return n, place, nil
}

// DeadLetters lists an app's dead letters from a cursor on, which is "" at first, at most limit of them (1 to 1000), and gives the
// cursor that goes on, "" at the end. They are ordered by partition, then by time. It waits for Redis. Refusals: bad_request.
func (s *Store) DeadLetters(ctx context.Context, app, cursor string, limit int) (letters []DeadLetter, next string, err error) {
	if !validApp(app) || limit < 1 || limit > maxLetters {
		return nil, "", wire.Errorf(wire.CodeBadRequest, "not an app, or not a limit from 1 to %d", maxLetters)
	}
	n, after := 0, "-"
	if cursor != "" {
		if n, after, err = s.parseLetterID(cursor); err != nil {
			return nil, "", err
		}
		after = "(" + after
	}
	for n < len(s.partitions) {
		wanted := limit - len(letters)
		found, err := s.client.XRangeN(ctx, s.partitions[n].letters(app), after, "+", int64(wanted)).Result()
		if err != nil {
			return nil, "", fmt.Errorf("store: dead letters: %w", err)
		}
		for _, message := range found {
			letter, ok := parseLetter(n, message)
			if ok {
				letters = append(letters, letter)
			}
			if len(letters) == limit {
				return letters, letterID(n, message.ID), nil
			}
			after = "(" + message.ID
		}
		if len(found) < wanted {
			n, after = n+1, "-"
		}
	}
	return letters, "", nil
}

func letterID(partition int, place string) string { return strconv.Itoa(partition) + "." + place }

// parseLetter reads "<endpoint> <reason> <event>".
func parseLetter(partition int, message redis.XMessage) (DeadLetter, bool) {
	text, _ := message.Values["e"].(string)
	parts := strings.SplitN(text, " ", 3)
	if len(parts) != 3 {
		return DeadLetter{}, false
	}
	event, err := parseHookEvent(parts[2])
	parked := OutboxEntry{Place: message.ID}
	return DeadLetter{
		ID: letterID(partition, message.ID), Endpoint: parts[0], Reason: parts[1], Parked: parked.Since(), Event: event,
	}, err == nil
}

// Redeliver puts a dead letter of an app back into the queue of its endpoint, or with id "" all of them, and gives how many there
// were. They come behind what waits there. It waits for Redis. Refusals: bad_request.
func (s *Store) Redeliver(ctx context.Context, app, id string) (int, error) {
	return s.eachLetter(ctx, app, id, func(p *partition, n int, message redis.XMessage) (bool, error) {
		text, _ := message.Values["e"].(string)
		parts := strings.SplitN(text, " ", 3)
		m := move{from: p.letters(app), entry: message.ID, most: s.opts.OutboxLength}
		if q := (Queue{App: app, Endpoint: parts[0]}); len(parts) == 3 && q.check() == nil {
			m.text, m.to = parts[2], []Queue{q}
		}
		return s.moveOne(p, n, m)
	})
}

// Discard forgets a dead letter of an app, or with id "" all of them, and gives how many there were. It waits for Redis. Refusals:
// bad_request.
func (s *Store) Discard(ctx context.Context, app, id string) (int, error) {
	return s.eachLetter(ctx, app, id, func(p *partition, n int, message redis.XMessage) (bool, error) {
		return s.moveOne(p, n, move{from: p.letters(app), entry: message.ID, most: s.opts.OutboxLength})
	})
}

// eachLetter calls a function for one of an app's dead letters, or for all that there are when it comes to their partition.
func (s *Store) eachLetter(
	ctx context.Context, app, id string, do func(p *partition, n int, message redis.XMessage) (bool, error),
) (count int, err error) {
	if !validApp(app) {
		return 0, wire.Errorf(wire.CodeBadRequest, "not an app")
	}
	from, to, first, last := "-", "+", 0, len(s.partitions)-1
	if id != "" {
		if first, from, err = s.parseLetterID(id); err != nil {
			return 0, err
		}
		to, last = from, first
	}
	for n := first; n <= last; n++ {
		p := &s.partitions[n]
		found, err := s.client.XRangeN(ctx, p.letters(app), from, to, int64(s.opts.DeadLetters)).Result()
		if err != nil {
			return count, fmt.Errorf("store: dead letters: %w", err)
		}
		for _, message := range found {
			moved, err := do(p, n, message)
			if err != nil {
				return count, err
			}
			if moved {
				count++
			}
		}
	}
	return count, nil
}

// disabledKey is a hash of the endpoints that have said that they want nothing any more.
const disabledKey = keyPrefix + "{cluster}:hooks-disabled"

// DisableEndpoint notes that an endpoint wants nothing any more, as long as its configuration has this fingerprint. It waits for
// Redis.
func (s *Store) DisableEndpoint(ctx context.Context, q Queue, fingerprint string) error {
	if err := s.client.HSet(ctx, disabledKey, q.member(), fingerprint).Err(); err != nil {
		return fmt.Errorf("store: disable an endpoint: %w", err)
	}
	return nil
}

// EnableEndpoint forgets that. It waits for Redis.
func (s *Store) EnableEndpoint(ctx context.Context, q Queue) error {
	if err := s.client.HDel(ctx, disabledKey, q.member()).Err(); err != nil {
		return fmt.Errorf("store: enable an endpoint: %w", err)
	}
	return nil
}

// DisabledEndpoints gives the endpoints that want nothing any more, and the fingerprints of their configurations. It waits for Redis.
func (s *Store) DisabledEndpoints(ctx context.Context) (map[Queue]string, error) {
	members, err := s.client.HGetAll(ctx, disabledKey).Result()
	if err != nil {
		return nil, fmt.Errorf("store: disabled endpoints: %w", err)
	}
	disabled := make(map[Queue]string, len(members))
	for member, fingerprint := range members {
		if q, ok := parseQueue(member); ok {
			disabled[q] = fingerprint
		}
	}
	return disabled, nil
}

// Trimmed gives how many events for webhooks were dropped since Redis was empty, in all partitions, as too many waited. It waits for
// Redis.
func (s *Store) Trimmed(ctx context.Context) (total int64, err error) {
	counts := make([]*redis.StringCmd, len(s.partitions))
	_, err = s.client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for i := range s.partitions {
			counts[i] = pipe.Get(ctx, s.partitions[i].outboxTrimmed())
		}
		return nil
	})
	if err != nil && !errors.Is(err, redis.Nil) {
		return 0, fmt.Errorf("store: what was trimmed: %w", err)
	}
	for _, count := range counts {
		if n, err := count.Int64(); err == nil {
			total += n
		}
	}
	return total, nil
}

// Clock gives the time by Redis' clock, as far as it is known.
func (s *Store) Clock(at time.Time) time.Time {
	redisTime, _ := s.clock.at(at)
	return redisTime
}
