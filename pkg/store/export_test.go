package store

import (
	"context"
	"fmt"
	"iter"
	"net"
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
)

// WithLanes splits each primary's partitions over several pipelines.
func (o Options) WithLanes(count int) Options {
	o.lanesPerPrimary = count
	return o
}

// WithoutCanaries has inboxes send none.
func (o Options) WithoutCanaries() Options {
	o.noCanaries = true
	return o
}

// Patient has nothing time out on a machine that is busy with other things, and sends no canaries.
func (o Options) Patient() Options {
	const long = 20 * time.Second
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout = long, long, long
	o.pingPeriod, o.maxWait, o.noCanaries = long, long, true
	return o
}

// PartitionTags gives tests the tags of a number of partitions.
func PartitionTags(count int) []string { return partitionTags(count) }

// CRC16 gives tests the checksum behind the tags.
func CRC16(s string) uint16 { return crc16(s) }

// Records gives the records of a message of an inbox.
func Records(message string) iter.Seq[[]byte] { return records([]byte(message)) }

// PushBuffer is how much is read of a subscription at once.
const PushBuffer = pushBuffer

// ReplyError is what Redis says of an error, and PushError what nobody understands.
type (
	ReplyError = replyError
	PushError  = pushError
)

// Pushes reads what a subscription brings.
type Pushes struct{ reader *pushReader }

// NewPushes reads pushes of a length at most.
func NewPushes(conn net.Conn, longest int) *Pushes {
	p := &Pushes{newPushReader(conn, new(atomic.Uint64))}
	p.reader.longest = longest
	return p
}

// Next gives the next push, in words.
func (p *Pushes) Next() (string, error) {
	next, err := p.reader.next()
	if err != nil {
		return "", err
	}
	word := map[pushKind]string{pushMessage: "message", pushSubscribed: "subscribed", pushEnded: "ended", pushPong: "pong"}[next.kind]
	return fmt.Sprintf("%s %s %s", word, next.channel, next.payload), nil
}

// Buffer is how large the buffer is.
func (p *Pushes) Buffer() int { return len(p.reader.buffer) }

// Tap gives what is taken for the subscription's connection when these were made for its context.
func Tap(conns ...net.Conn) (net.Conn, error) {
	ctx, tap := tapped(context.Background())
	for _, conn := range conns {
		tell(ctx, conn)
	}
	tell(context.Background(), nil)
	return tap.take()
}

// MoveTo makes a server the primary of every partition, as when the topology has changed.
func (s *Store) MoveTo(client *redis.Client) {
	s.router.assign(slices.Repeat([]*redis.Client{client}, len(s.partitions)))
}

// Naming is a Sentinel's answer; the zero one is none.
type Naming struct {
	Primary string
	Epoch   int64
}

// Decide tells which primary counts when Sentinels answer so, and one was known before.
func Decide(before Naming, answers []Naming) string {
	s := &sentinels{primary: before.Primary, epoch: before.Epoch}
	var namings []naming
	for _, a := range answers {
		n := naming{primary: a.Primary, epoch: a.Epoch}
		if a == (Naming{}) {
			n.err = errNoPrimary
		}
		namings = append(namings, n)
	}
	s.decide(namings)
	return s.primary
}

// LostCanaries counts what is missed when a canary was published some time ago and the process looks late for it.
func (i *Inbox) LostCanaries(published, late time.Duration) int {
	sub := i.subscriptions[0]
	sub.canaries.flights = []flight{{nonce: "x", published: time.Now().Add(-published)}}
	return sub.countLost(time.Now().Add(-late))
}

// Split tells how a batch goes to Redis: the places in it of the calls of each command. A batch has messages, and beside them
// calls for a room, or with the zero one for a partition.
func Split(batch ...any) [][]int {
	s := &Store{partitions: newPartitions(4), scripts: &scripts{send: &script{}, leave: &script{keys: seatKeyCount}}}
	calls, places := make([]*call, len(batch)), make(map[*call]int)
	for i, what := range batch {
		switch what := what.(type) {
		case Send:
			calls[i] = s.newMessage(what, what.To, noPeer, nil)
		case Room:
			calls[i] = s.newCall(s.scripts.leave, Seat{Room: what}, 0, nil)
			if what == (Room{}) {
				calls[i] = s.partitionCall(s.scripts.leave, 0, "n", nil)
			}
		}
		places[calls[i]] = i
	}
	var split [][]int
	var g grouping
	for range 2 { // its memory is used again
		split = nil
		for _, group := range g.split(calls) {
			var of []int
			for _, c := range group.calls {
				of = append(of, places[c])
			}
			split = append(split, of)
		}
		g.clear()
	}
	return split
}

// ScriptFiles are the scripts and their parts as they are written.
var ScriptFiles = scriptFiles

// ScriptTexts gives the scripts as Redis gets them, by their names.
func ScriptTexts() (map[string]string, error) {
	metrics, err := newMetrics(prometheus.NewRegistry())
	if err != nil {
		return nil, err
	}
	scripts, err := newScripts(scriptOptions{logLength: 1, outboxLength: 1, resumeWindow: 1, metrics: metrics})
	if err != nil {
		return nil, err
	}
	texts := map[string]string{}
	for _, s := range scripts.all {
		texts[s.name] = s.text
	}
	return texts, nil
}

// Clock is Redis' clock, as a store knows it.
type Clock struct{ clock clock }

// Read takes what Redis said of the time between asked and answered.
func (c *Clock) Read(asked, answered, redis time.Time) { c.clock.read(asked, answered, redis) }

// At gives a time by Redis' clock.
func (c *Clock) At(t time.Time) (time.Time, bool) { return c.clock.at(t) }

// Sampler picks some messages of each second.
type Sampler struct{ sampler sampler }

// NewSampler makes one that picks about so many.
func NewSampler(most int64) *Sampler { return &Sampler{sampler{most: most}} }

// Take tells whether a message is picked.
func (s *Sampler) Take(now time.Time) bool { return s.sampler.take(now) }

// ParseHookEvent reads an entry of an outbox.
func ParseHookEvent(text string) (HookEvent, error) { return parseHookEvent(text) }
