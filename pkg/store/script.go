package store

import (
	"context"
	"crypto/sha1"
	"embed"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
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
	replay, rebirth, restore, reap, expire, holders, held           *script // for a node
	canary                                                          *script // for an inbox

	all []*script
}

// scriptOptions is what is filled into the prelude.
type scriptOptions struct {
	sharded      bool // publish with SPUBLISH
	logLength    int
	resumeWindow time.Duration
	metrics      *metrics
}

// The number of KEYS: scripts that neither take nor give up a seat touch the room's own two alone.
const (
	roomKeyCount   = 2
	seatKeyCount   = 6
	resumeKeyCount = 7 // and the node's tombstone
	joinKeyCount   = 8 // and the partition's gate
	reapKeyCount   = 3 // see reap.lua
	expireKeyCount = 2 // see expire.lua
	oneKeyCount    = 1 // see holders.lua, held.lua, canary.lua
)

func newScripts(opts scriptOptions) (*scripts, error) {
	var s scripts
	for _, d := range []struct {
		into  **script
		name  string
		keys  int
		parts []string
	}{
		{&s.join, "join", joinKeyCount, []string{"append", "event", "time", "look", "took", "held", "take", "seat", "unseat"}},
		{&s.leave, "leave", seatKeyCount, []string{"fence", "append", "event", "log", "once", "held", "unseat"}},
		{&s.lose, "lose", seatKeyCount, []string{"fence", "append", "event", "time", "held", "unseat", "depart"}},
		{&s.resume, "resume", resumeKeyCount, []string{"append", "event", "log", "look", "held", "take", "missed", "rebirth"}},
		{&s.send, "send", roomKeyCount, []string{"fence", "append", "log", "once"}},
		{&s.state, "state", roomKeyCount, []string{"fence", "append", "event", "log", "once", "took", "merge"}},
		{&s.room, "room", roomKeyCount, []string{"fence", "append", "event", "log", "once", "took", "merge"}},
		{&s.control, "control", seatKeyCount, []string{"fence", "append", "event", "log", "once", "took", "held", "unseat"}},
		{&s.snapshot, "snapshot", roomKeyCount, []string{"fence", "look"}},
		{&s.replay, "replay", roomKeyCount, []string{"append", "event", "log", "look", "missed"}},
		{&s.rebirth, "rebirth", roomKeyCount, []string{"append", "event", "rebirth"}},
		{&s.restore, "restore", joinKeyCount, []string{"append", "event", "time", "look", "survey", "held", "take", "seat", "unseat", "rebirth"}},
		{&s.reap, "reap", reapKeyCount, []string{"append", "event", "time", "visit", "held", "unseat", "depart"}},
		{&s.expire, "expire", expireKeyCount, []string{"append", "event", "time", "visit", "held", "unseat"}},
		{&s.holders, "holders", oneKeyCount, nil},
		{&s.held, "held", oneKeyCount, nil},
		{&s.canary, "canary", oneKeyCount, nil},
	} {
		text, err := opts.render(d.name, d.parts)
		if err != nil {
			return nil, fmt.Errorf("store: script %s: %w", d.name, err)
		}
		sum := sha1.Sum([]byte(text)) // what Redis names scripts by, nothing secret
		*d.into = &script{
			name: d.name, text: text, sha: hex.EncodeToString(sum[:]), keys: d.keys,
			timer: opts.metrics.scriptTimer(d.name),
		}
		s.all = append(s.all, *d.into)
	}
	return &s, nil
}

// render puts the prelude and the parts in front of a script.
func (o scriptOptions) render(name string, parts []string) (string, error) {
	files := []string{"scripts/parts/prelude.lua"}
	for _, part := range parts {
		files = append(files, "scripts/parts/"+part+".lua")
	}
	var b strings.Builder
	for _, file := range append(files, "scripts/"+name+".lua") {
		text, err := scriptFiles.ReadFile(file)
		if err != nil {
			return "", err
		}
		b.Write(text)
	}
	publish := "PUBLISH"
	if o.sharded {
		publish = "SPUBLISH"
	}
	return strings.NewReplacer(
		"@PUBLISH@", publish,
		"@LOG_LENGTH@", strconv.Itoa(o.logLength),
		"@WINDOWS@", strconv.FormatInt(2*o.resumeWindow.Milliseconds(), 10),
		"@WINDOW@", strconv.FormatInt(o.resumeWindow.Milliseconds(), 10),
	).Replace(b.String()), nil
}

// load puts every script into one server's script cache.
func (s *scripts) load(ctx context.Context, client *redis.Client) error {
	_, err := client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for _, script := range s.all {
			pipe.ScriptLoad(ctx, script.text)
		}
		return nil
	})
	return err
}
