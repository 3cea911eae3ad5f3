package app

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

const (
	// watchSilence ends a connection that brings nothing, not even the beat that the API sends every 15 s.
	watchSilence = 40 * time.Second
	// The pause before a stream is asked for again grows from one to the other, and half of it is chance.
	minPause, maxPause = 250 * time.Millisecond, 10 * time.Second
	// maxEvent bounds one event, in bytes.
	maxEvent = 4 << 20
	// eventClosed ends a stream, and eventSnapshot brings the room as it is.
	eventClosed, eventSnapshot = "closed", "snapshot"
)

// serverEvent is one of a stream, after the HTML standard's section on server-sent events.
type serverEvent struct {
	ID    string          `json:"id"`
	Event string          `json:"event"`
	Data  json.RawMessage `json:"data"`
}

// watcher follows one room, over as many streams as it takes.
type watcher struct {
	tool  *tool
	api   *api
	path  []string
	most  int // events after which it ends; 0 for no end
	last  string
	shown int
	began bool // a stream was there
	out   *json.Encoder
}

func (t *tool) watchCommand() *cobra.Command {
	w := &watcher{tool: t}
	c := &cobra.Command{
		Use: "watch ROOM", Short: "Follow what happens in a room, until it ends",
		Long: `Writes what happens in a room as it happens, a line each: its number, what happened and the rest as JSON; with --json, a
JSON document in one line each: {"id", "event", "data"}. It begins with a snapshot of the room, and ends with the room,
or at Ctrl-C. A lost connection is made again, and goes on behind the last event; what is not known any more
comes as a new snapshot. What peers send to one another alone is not shown.`,
		Args: cobra.ExactArgs(1), ValidArgsFunction: t.completeRooms,
		RunE: t.run(func(ctx context.Context, args []string) error {
			if w.most < 0 {
				return usagef("--count is not negative")
			}
			a, app, err := t.inApp()
			if err != nil {
				return err
			}
			w.api, w.path, w.out = a, []string{"apps", app, "rooms", args[0], "events"}, json.NewEncoder(t.process.Out)
			w.out.SetEscapeHTML(false)
			return w.run(ctx)
		}),
	}
	c.Flags().IntVar(&w.most, "count", 0, "end after so many `events`; 0 is no end")
	c.Flags().StringVar(&w.last, "after", "", "`id` of the last event that is known, to go on behind it")
	return c
}

// errDone ends a watch in order.
var errDone = errors.New("done")

// run follows the room until it ends, or ctx does, which is how people end it.
func (w *watcher) run(ctx context.Context) error {
	pause := minPause
	for {
		before := w.shown
		err := w.stream(ctx)
		if errors.Is(err, errDone) || ctx.Err() != nil {
			return nil
		}
		wait, again := w.again(err)
		if !again {
			return err
		}
		if w.shown > before {
			pause = minPause
		}
		_, _ = fmt.Fprintf(w.tool.process.Err, "signalctl: the stream has ended, and is asked for again: %s\n", clean(err.Error(), false))
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(max(wait, pause/2+rand.N(pause/2))):
		}
		pause = min(2*pause, maxPause)
	}
}

// again tells whether it is worth to ask again after an error, and when at the earliest. The first stream has to come at once: what is
// wrong then is mostly the command.
func (w *watcher) again(err error) (time.Duration, bool) {
	if !w.began {
		return 0, false
	}
	if p, ok := errors.AsType[*problem](err); ok {
		return time.Duration(p.RetryAfter) * time.Millisecond, p.Retryable || p.Status >= http.StatusInternalServerError
	}
	return 0, true
}

// stream asks for one stream and shows what it brings. It returns why it ended, never nil.
func (w *watcher) stream(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := time.AfterFunc(w.api.timeout, func() { cancel(errTimeout) })
	defer silence.Stop()
	header := http.Header{"Accept": {"text/event-stream"}}
	if w.last != "" {
		header.Set("Last-Event-ID", w.last)
	}
	made, err := w.api.new(ctx, request{method: http.MethodGet, path: w.path, header: header})
	if err != nil {
		return err
	}
	response, err := w.api.client.Do(made)
	if err != nil {
		return w.api.unreachable(ctx, err)
	}
	defer func() { _ = response.Body.Close() }()
	if contentType := response.Header.Get("Content-Type"); response.StatusCode != http.StatusOK || !strings.HasPrefix(contentType, "text/event-stream") {
		body, err := io.ReadAll(io.LimitReader(response.Body, maxEvent))
		if err != nil {
			return w.api.unreachable(ctx, err)
		}
		p := parseProblem(response.StatusCode, contentType, body)
		if w.began && p.Status == http.StatusNotFound {
			_, _ = fmt.Fprintln(w.tool.process.Err, "signalctl: the room has ended meanwhile")
			return errDone
		}
		return p
	}
	w.began = true
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(nil, maxEvent)
	silence.Reset(watchSilence)
	return w.read(lines, func() { silence.Reset(watchSilence) })
}

// read takes a stream apart. came is called for each line.
func (w *watcher) read(lines *bufio.Scanner, came func()) error {
	var event serverEvent
	var data [][]byte
	for lines.Scan() {
		came()
		line := lines.Bytes()
		if len(line) == 0 {
			if len(data) > 0 {
				event.Data = bytes.Join(data, []byte{'\n'})
				if err := w.show(&event); err != nil {
					return err
				}
			}
			event, data = serverEvent{}, nil
			continue
		}
		name, value, _ := bytes.Cut(line, []byte{':'})
		value = bytes.TrimPrefix(value, []byte{' '})
		switch string(name) { // "" is a comment
		case "id":
			event.ID = string(value)
		case "event":
			event.Event = string(value)
		case "data":
			data = append(data, bytes.Clone(value))
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("the connection is lost: %w", err)
	}
	return errors.New("the API has ended it")
}

// show writes an event. errDone is its answer to the last one.
func (w *watcher) show(event *serverEvent) error {
	w.last = event.ID
	if !json.Valid(event.Data) {
		return errors.New("an event is no JSON")
	}
	var err error
	if w.tool.asJSON {
		err = w.out.Encode(event)
	} else {
		err = w.tool.say("%s", lineOf(event))
	}
	if err != nil {
		return errors.Join(errDone, err)
	}
	w.shown++
	if event.Event == eventClosed || w.most > 0 && w.shown >= w.most {
		return errDone
	}
	return nil
}

// lineOf is an event for people: its number, what happened, and what else is said.
func lineOf(event *serverEvent) string {
	_, seq, _ := strings.Cut(event.ID, ".")
	if event.Event == eventSnapshot {
		var r room
		if json.Unmarshal(event.Data, &r) == nil {
			return fmt.Sprintf("%5s  %s  %s, %s seats taken, version %d", seq, event.Event, r.Room, r.seats(), r.Version)
		}
	}
	var said map[string]json.RawMessage
	if json.Unmarshal(event.Data, &said) != nil {
		return fmt.Sprintf("%5s  %s  %s", seq, event.Event, event.Data)
	}
	for _, name := range []string{"type", "room", "seq"} {
		delete(said, name)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%5s  %s", seq, event.Event)
	for _, name := range sorted(said) {
		fmt.Fprintf(&b, "  %s=%s", name, said[name])
	}
	return b.String()
}
