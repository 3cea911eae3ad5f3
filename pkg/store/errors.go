package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// PartitionsError says that the cluster's nodes do not agree on the number of partitions, and so would look
// for the same room in different places.
type PartitionsError struct {
	// Ours is what this node was configured with, Theirs what the first node wrote into Redis.
	Ours   int
	Theirs string
}

// Error names both numbers.
func (e *PartitionsError) Error() string {
	return fmt.Sprintf("store: this node is set to %d partitions, the cluster uses %s", e.Ours, e.Theirs)
}

// errTooOld is the end of an Open that found a Redis of an earlier version.
var errTooOld = errors.New("redis is too old")

// UnreachableError says that Redis could not be asked, or did not answer as it should: what is wrong may pass, other than a
// configuration that does not fit.
type UnreachableError struct {
	Err error
}

// Error is the reason.
func (e *UnreachableError) Error() string { return e.Err.Error() }

// Unwrap gives the reason.
func (e *UnreachableError) Unwrap() error { return e.Err }

// Denied reports whether Redis was reached and does not take the user, its password, or what the user would do.
func (e *UnreachableError) Denied() bool { return classify(e.Err) == classAuth }

// unreachable marks what may pass.
func unreachable(err error) error {
	if errors.As(err, new(*PartitionsError)) || errors.Is(err, errTooOld) {
		return err
	}
	return &UnreachableError{err}
}

// class groups what goes wrong with Redis, for the metric and for what follows from it.
type class string

const (
	classTimeout    class = "timeout"
	classDial       class = "dial"
	classReadonly   class = "readonly"
	classOOM        class = "oom"
	classLoading    class = "loading"
	classNoScript   class = "noscript"
	classMoved      class = "moved"
	classBusy       class = "busy"
	classNoReplicas class = "noreplicas"
	classMasterDown class = "masterdown"
	classMaxClients class = "maxclients"
	classAuth       class = "auth"
	classOther      class = "other"
)

var classes = []class{
	classTimeout, classDial, classReadonly, classOOM, classLoading, classNoScript, classMoved, classBusy,
	classNoReplicas, classMasterDown, classMaxClients, classAuth, classOther,
}

// replyClasses maps the first word of an error reply.
var replyClasses = map[string]class{
	"READONLY": classReadonly, "OOM": classOOM, "LOADING": classLoading, "MASTERDOWN": classMasterDown,
	"NOSCRIPT": classNoScript, "MOVED": classMoved, "ASK": classMoved, "TRYAGAIN": classMoved,
	"CLUSTERDOWN": classMoved, "BUSY": classBusy, "NOREPLICAS": classNoReplicas, "NOAUTH": classAuth,
	"WRONGPASS": classAuth, "NOPERM": classAuth,
}

func classify(err error) class {
	if reply, ok := errors.AsType[redis.Error](err); ok {
		word, _, _ := strings.Cut(reply.Error(), " ")
		if c, ok := replyClasses[word]; ok {
			return c
		}
		// A command that failed inside a script is reported with the script's name after it, by some
		// versions with another first word.
		for word, c := range replyClasses {
			if strings.Contains(reply.Error(), "-"+word+" ") {
				return c
			}
		}
		// What is longer than an authentication is not even read before one.
		if strings.Contains(reply.Error(), "unauthenticated") {
			return classAuth
		}
		return classOther
	}
	if errors.Is(err, errMaxClients) {
		return classMaxClients
	}
	if errors.Is(err, errAbandoned) || errors.Is(err, errDemoted) {
		return classMoved
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
		return classDial
	}
	if errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, errNoPrimary) {
		return classDial
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, redis.ErrPoolTimeout) {
		return classTimeout
	}
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		return classTimeout
	}
	return classOther
}

// staleTopology tells whether a failure of this class may mean that another server is the primary now.
func (c class) staleTopology() bool {
	switch c {
	case classTimeout, classDial, classReadonly, classMoved, classLoading, classMasterDown, classOther:
		return true
	}
	return false
}

const retryAfter = time.Second

// unavailable is the refusal for whatever went wrong with Redis. The cause stays with us: it may name
// addresses and users.
func unavailable() *wire.Error {
	return &wire.Error{Code: wire.CodeUnavailable, Message: "the cluster's store did not answer", RetryAfter: retryAfter}
}

// refusals gives each status that a script can answer its error.
func refusal(status string) error {
	switch code := wire.Code(status); code {
	case "fenced":
		return ErrFenced
	case "superseded":
		return ErrSuperseded
	case "recovering":
		return &wire.Error{Code: wire.CodeUnavailable, Message: "the seats of this room are being put back", RetryAfter: retryAfter}
	case "lapsed":
		return ErrLapsed
	case "no_room":
		return ErrNoRoom
	case "exists":
		return ErrRoomExists
	case wire.CodeNotMember:
		return wire.Errorf(code, "no seat in this room")
	case wire.CodePeerGone:
		return wire.Errorf(code, "that peer is not in the room")
	case wire.CodeRoomFull:
		return wire.Errorf(code, "every seat is taken")
	case wire.CodeRoomLocked:
		return wire.Errorf(code, "the room is locked")
	case wire.CodeConflict:
		return wire.Errorf(code, "the room has changed meanwhile")
	case wire.CodeTooLarge:
		return wire.Errorf(code, "too many or too large keys")
	case wire.CodeForbidden:
		return wire.Errorf(code, "this state key is the moderators'")
	}
	return nil
}

// quietLog writes at most one line per key and interval, with the number of lines that it kept back. When
// Redis is away every call fails, and the log must not become the next outage.
type quietLog struct {
	logger *slog.Logger // immutable

	mu   sync.Mutex
	last map[string]*quietLine // guarded by mu; the keys are a small fixed set
}

type quietLine struct {
	at   time.Time
	kept int
}

const quietInterval = 5 * time.Second

func newQuietLog(logger *slog.Logger) *quietLog {
	return &quietLog{logger: logger, last: make(map[string]*quietLine)}
}

func (q *quietLog) warn(key, message string, args ...any) {
	now := time.Now()
	q.mu.Lock()
	line := q.last[key]
	if line != nil && now.Sub(line.at) < quietInterval {
		line.kept++
		q.mu.Unlock()
		return
	}
	kept := 0
	if line != nil {
		kept = line.kept
	}
	q.last[key] = &quietLine{at: now}
	q.mu.Unlock()
	if kept > 0 {
		args = append(args, "more", kept)
	}
	q.logger.Warn(message, args...)
}
