package store

import (
	"bytes"
	"net"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// Redis sends one reply after the other to a subscription, which nobody has asked for: events, above all. go-redis makes some
// ten objects for each. A gateway gets tens of thousands a second, many in one packet, so they are read here, and taken apart
// where they lie.

const (
	// pushBuffer is how much is read at once. A longer push has a larger buffer made.
	pushBuffer = 32 << 10
	// largeReads is after how many reads a larger buffer is given back, unless there was another push that needs it.
	largeReads = 16
	// maxPush is how long a push may be. What is published has a client's message, of at most 16 MiB, and little else.
	maxPush = 64 << 20
	// maxPushLine is how long a line may be: a length, or what Redis says of an error.
	maxPushLine = 16 << 10

	lineEnd = "\r\n"
)

// pushKind is what a push tells.
type pushKind int

const (
	pushMessage pushKind = iota + 1
	pushSubscribed
	pushEnded // a channel is not subscribed any more
	pushPong
)

// push is one reply to a subscription. Its memory is valid until the next one is read.
type push struct {
	kind             pushKind
	channel, payload []byte
}

// pushError says why a push is not understood. Where the next one begins is not known then.
type pushError string

// Error says what is wrong.
func (e pushError) Error() string { return "a subscription's reply is not understood: " + string(e) }

const (
	errPushShape  pushError = "it is no list of texts"
	errPushLength pushError = "it is too long"
	errPushKind   pushError = "its kind is unknown"
)

// replyError is an error that Redis answers.
type replyError string

var _ redis.Error = replyError("")

// Error is what Redis says.
func (e replyError) Error() string { return string(e) }

// RedisError marks it as go-redis' own are.
func (replyError) RedisError() {}

// pushReader reads the pushes of one connection. Owned by one goroutine.
type pushReader struct {
	conn     net.Conn
	came     *atomic.Uint64 // rises with each read
	longest  int            // push that is taken
	buffer   []byte
	from, to int // what was read, and not taken yet
	reads    int // since a push needed a buffer larger than usual
}

// newPushReader takes over what go-redis has subscribed with. go-redis has read all that it has asked for, and in RESP2 Redis
// says nothing else before a subscription, so nothing is left behind in a buffer. The deadline of the greeting is.
func newPushReader(conn net.Conn, came *atomic.Uint64) *pushReader {
	_ = conn.SetReadDeadline(time.Time{}) // it fails if the connection has ended: the read tells why
	return &pushReader{conn: conn, came: came, longest: maxPush, buffer: make([]byte, pushBuffer)}
}

// next waits for the next push. An error is the end: of the connection, or of what can be understood.
func (r *pushReader) next() (push, error) {
	for {
		p, length, err := parsePush(r.buffer[r.from:r.to], r.longest)
		if err != nil {
			return push{}, err
		}
		if length > 0 {
			r.from += length
			if length > pushBuffer {
				r.reads = 0
			}
			return p, nil
		}
		if err := r.fill(); err != nil {
			return push{}, err
		}
	}
}

// fill reads more, behind what there is.
func (r *pushReader) fill() error {
	rest := r.buffer[r.from:r.to]
	r.reads++
	switch {
	case len(rest) == len(r.buffer):
		r.buffer, r.reads = make([]byte, 2*len(rest)), 0
	case len(r.buffer) > pushBuffer && r.reads > largeReads && len(rest) < pushBuffer:
		r.buffer = make([]byte, pushBuffer)
	}
	r.from, r.to = 0, copy(r.buffer, rest)
	n, err := r.conn.Read(r.buffer[r.to:])
	r.to += n
	if n > 0 {
		r.came.Add(1)
		return nil // an error comes again
	}
	return err
}

// parsePush reads the push that b begins with, and gives its length: 0 if it is not there as a whole.
func parsePush(b []byte, longest int) (p push, length int, err error) {
	t := taker{all: b, longest: longest}
	var items [3][]byte
	switch mark, line := t.line(); mark {
	case '-':
		return push{}, 0, replyError(line)
	case '+':
		if string(line) != "PONG" { // Redis says so before the first subscription
			t.fail(errPushKind)
		}
		p.kind = pushPong
	case '*':
		count, ok := parseLength(line)
		if !ok || count < 2 || count > len(items) {
			t.fail(errPushShape)
			break
		}
		for i := range count {
			items[i] = t.item()
		}
		p.kind, p.channel, p.payload = kindOf(items[0], count), items[1], items[2]
		if p.kind == 0 {
			t.fail(errPushKind)
		}
	default:
		t.fail(errPushShape)
	}
	if t.short || t.err != nil {
		return push{}, 0, t.err
	}
	return p, t.taken, nil
}

// kindOf gives what the first word of a push of so many items stands for; 0 if it is not known.
func kindOf(word []byte, items int) pushKind {
	switch string(word) {
	case "message", "smessage":
		if items == 3 {
			return pushMessage
		}
	case "subscribe", "ssubscribe":
		if items == 3 {
			return pushSubscribed
		}
	case "unsubscribe", "sunsubscribe":
		if items == 3 {
			return pushEnded
		}
	case "pong":
		if items == 2 {
			return pushPong
		}
	}
	return 0
}

// taker takes one thing after the other from what was read, until something is wrong or not there yet.
type taker struct {
	all            []byte
	taken, longest int
	short          bool
	err            error
}

// fail notes what is wrong, unless it may be so because something is not there yet.
func (t *taker) fail(err pushError) {
	if !t.short && t.err == nil {
		t.err = err
	}
}

// line takes a line, and gives its first byte and what is behind it.
func (t *taker) line() (mark byte, line []byte) {
	if t.short || t.err != nil {
		return 0, nil
	}
	rest := t.all[t.taken:]
	end := bytes.IndexByte(rest[:min(len(rest), maxPushLine)], '\n')
	switch {
	case end < 0 && len(rest) >= maxPushLine:
		t.fail(errPushLength)
	case end < 0:
		t.short = true
	case end < len(lineEnd) || rest[end-1] != '\r':
		t.fail(errPushShape)
	default:
		t.taken += end + 1
		return rest[0], rest[1 : end-1]
	}
	return 0, nil
}

// item takes a text or a number. The text that is none, where all subscriptions have ended, is taken for an empty one.
func (t *taker) item() []byte {
	mark, line := t.line()
	if mark == ':' || mark == '$' && string(line) == "-1" {
		return line
	}
	length, ok := parseLength(line)
	switch end := t.taken + length; {
	case mark != '$' || !ok:
		t.fail(errPushShape)
	case end > t.longest:
		t.fail(errPushLength)
	case len(t.all) < end+len(lineEnd):
		t.short = true
	case string(t.all[end:end+len(lineEnd)]) != lineEnd:
		t.fail(errPushShape)
	default:
		item := t.all[t.taken:end:end]
		t.taken = end + len(lineEnd)
		return item
	}
	return nil
}

// mostLength is more than any length that counts.
const mostLength = 1 << 30

// parseLength reads a length, or a count.
func parseLength(digits []byte) (length int, ok bool) {
	for _, digit := range digits {
		if digit < '0' || digit > '9' || length > mostLength/10 {
			return 0, false
		}
		length = 10*length + int(digit-'0')
	}
	return length, len(digits) > 0
}
