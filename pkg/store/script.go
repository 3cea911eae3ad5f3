package store

import (
	"context"
	"crypto/sha1"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

//go:embed scripts/*.lua scripts/parts/*.lua
var scriptFiles embed.FS

// script is one Lua script, rendered for this store's options. Immutable.
type script struct {
	name  string
	text  string
	sha   any // string; boxed once for every call
	keys  any // int, the number of KEYS
	timer scriptTimer
}

// scripts are all scripts of a store.
type scripts struct {
	join, leave, lose, resume, send, state, room, control, snapshot *script // for a session
	keep, erase, history                                            *script // for what is kept of a topic
	report                                                          *script // for a session, see outbox.go
	admit                                                           *script // for a moderator
	create, close, post                                             *script // for the operator
	replay, rebirth, restore, reap, expire, finish, holders, held   *script // for a node
	canary                                                          *script // for an inbox
	collect, forward, queue, delivered, release                     *script // for webhooks

	all []*script
}

// timedAs is the label of a script's histograms: those for webhooks share one, as each has many series and nobody waits for them.
func timedAs(script string) string {
	switch script {
	case "report", "collect", "forward", "queue", "delivered", "release":
		return "outbox"
	}
	return script
}

// scriptOptions is what is filled into the prelude.
type scriptOptions struct {
	sharded      bool // publish with SPUBLISH
	logLength    int
	outboxLength int
	resumeWindow time.Duration
	metrics      *metrics
}

// The number of KEYS: scripts that neither take nor give up a seat touch the room's own two alone.
const (
	roomKeyCount   = 2
	keptKeyCount   = 3 // and the list of what is kept of a topic
	seatKeyCount   = 6
	resumeKeyCount = 7 // and the node's tombstone
	joinKeyCount   = 8 // and the partition's gate
	reapKeyCount   = 3 // see reap.lua
	expireKeyCount = 2 // see expire.lua and finish.lua
	oneKeyCount    = 1 // see holders.lua, held.lua, canary.lua
)

func newScripts(opts scriptOptions) (*scripts, error) {
	var s scripts
	for _, d := range []struct {
		into **script
		name string
		keys int
	}{
		{&s.join, "join", joinKeyCount},
		{&s.leave, "leave", seatKeyCount},
		{&s.lose, "lose", seatKeyCount},
		{&s.resume, "resume", resumeKeyCount},
		{&s.send, "send", roomKeyCount},
		{&s.state, "state", roomKeyCount},
		{&s.room, "room", roomKeyCount},
		{&s.control, "control", seatKeyCount},
		{&s.snapshot, "snapshot", roomKeyCount},
		{&s.keep, "keep", keptKeyCount},
		{&s.erase, "erase", keptKeyCount},
		{&s.history, "history", keptKeyCount},
		{&s.report, "report", roomKeyCount},
		{&s.admit, "admit", seatKeyCount},
		{&s.create, "create", joinKeyCount},
		{&s.close, "close", seatKeyCount},
		{&s.post, "post", roomKeyCount},
		{&s.replay, "replay", roomKeyCount},
		{&s.rebirth, "rebirth", roomKeyCount},
		{&s.restore, "restore", joinKeyCount},
		{&s.reap, "reap", reapKeyCount},
		{&s.expire, "expire", expireKeyCount},
		{&s.finish, "finish", expireKeyCount},
		{&s.holders, "holders", oneKeyCount},
		{&s.held, "held", oneKeyCount},
		{&s.canary, "canary", oneKeyCount},
		{&s.collect, "collect", 3},
		{&s.forward, "forward", 0}, // as many as the call has
		{&s.queue, "queue", oneKeyCount},
		{&s.delivered, "delivered", 3},
		{&s.release, "release", oneKeyCount},
	} {
		text, err := opts.render(d.name)
		if err != nil {
			return nil, fmt.Errorf("store: script %s: %w", d.name, err)
		}
		sum := sha1.Sum([]byte(text)) // what Redis names scripts by, nothing secret
		*d.into = &script{
			name: d.name, text: text, sha: hex.EncodeToString(sum[:]), keys: d.keys,
			timer: opts.metrics.scriptTimer(timedAs(d.name)),
		}
		s.all = append(s.all, *d.into)
	}
	return &s, nil
}

// arguments are the names of the prelude for what a script is called with.
var arguments = map[string]string{
	"ROOM": "KEYS[1]", "LOG": "KEYS[2]", "HELD": "KEYS[3]", "ROOMS": "KEYS[4]", "AWAY": "KEYS[5]", "HOLDERS": "KEYS[6]",
	"NAME": "ARGV[1]", "PREFIX": "ARGV[2]", "NODE": "ARGV[3]", "PEER": "ARGV[4]", "GENERATION": "ARGV[5]", "REQUEST": "ARGV[6]",
}

// partMark begins a line that stands for parts, whose names follow.
const partMark = "--@ "

// bare are the texts of all scripts before the options are filled in, by name: made once in a process.
var bare = sync.OnceValues(func() (map[string]string, error) {
	entries, err := scriptFiles.ReadDir("scripts")
	if err != nil {
		return nil, err
	}
	texts := make(map[string]string)
	for _, entry := range entries {
		if name, ok := strings.CutSuffix(entry.Name(), ".lua"); ok {
			if texts[name], err = assemble(name); err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	return texts, nil
})

// assemble puts the prelude in front of a script, and its parts where it names them.
func assemble(name string) (string, error) {
	var b strings.Builder
	for _, file := range []string{"parts/prelude", name} {
		if err := include(&b, file); err != nil {
			return "", err
		}
	}
	return withArguments(b.String()), nil
}

// render fills the options into a script.
func (o scriptOptions) render(name string) (string, error) {
	texts, err := bare()
	if err != nil {
		return "", err
	}
	text, ok := texts[name]
	if !ok {
		return "", fs.ErrNotExist
	}
	publish := "PUBLISH"
	if o.sharded {
		publish = "SPUBLISH"
	}
	return strings.NewReplacer(
		"@PUBLISH@", publish,
		"@LOG_LENGTH@", strconv.Itoa(o.logLength),
		"@OUTBOX_LENGTH@", strconv.Itoa(o.outboxLength),
		"@WINDOWS@", strconv.FormatInt(2*o.resumeWindow.Milliseconds(), 10),
		"@WINDOW@", strconv.FormatInt(o.resumeWindow.Milliseconds(), 10),
	).Replace(text), nil
}

// withArguments puts arguments in place of their names, which are whole words. A regular expression took most of the time in which a store
// opens.
func withArguments(text string) string {
	var b strings.Builder
	b.Grow(len(text) + len(text)/4)
	for text != "" {
		word := text[:lengthWhile(text, isWordByte)]
		if argument, ok := arguments[word]; ok {
			b.WriteString(argument)
		} else {
			b.WriteString(word)
		}
		text = text[len(word):]
		between := lengthWhile(text, func(c byte) bool { return !isWordByte(c) })
		b.WriteString(text[:between])
		text = text[between:]
	}
	return b.String()
}

// lengthWhile gives how long the beginning of a text is whose bytes all are as they should be.
func lengthWhile(text string, is func(byte) bool) int {
	for i := range len(text) {
		if !is(text[i]) {
			return i
		}
	}
	return len(text)
}

func isWordByte(c byte) bool {
	return c == '_' || '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z'
}

// include writes a file, and in place of each line that names parts these.
func include(b *strings.Builder, file string) error {
	text, err := scriptFiles.ReadFile("scripts/" + file + ".lua")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		parts, ok := strings.CutPrefix(line, partMark)
		if !ok {
			if line != "" && !strings.HasPrefix(line, "--") { // a server keeps, and the embedded one reads, what is no code
				b.WriteString(line)
				b.WriteByte('\n')
			}
			continue
		}
		for part := range strings.FieldsSeq(parts) {
			if err := include(b, "parts/"+part); err != nil {
				return err
			}
		}
	}
	return nil
}

// load puts every script into one server's script cache that it lacks.
func (s *scripts) load(ctx context.Context, client *redis.Client) error {
	_, err := client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for _, script := range s.all {
			pipe.ScriptLoad(ctx, script.text)
		}
		return nil
	})
	return err
}
