package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/signalbox-rtc/signalbox/pkg/store"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// The events of a stream that are not of a room's order.
const (
	// eventSnapshot brings the room as it is: at the beginning, and when it is not known any more what has happened.
	eventSnapshot = "snapshot"
	// eventClosed ends the stream: the room is no more.
	eventClosed = "closed"
)

const (
	// beatPeriod is how often a stream shows that it lives, so that no proxy ends it, and how soon a key that was taken away ends it.
	beatPeriod = 15 * time.Second
	// eventsWriteTimeout bounds one write to a listener: who does not read is not waited for.
	eventsWriteTimeout = 10 * time.Second
	// eventsNode is the node that asks for a room's log. No seat is held by it.
	eventsNode = "operator"
)

func (a *API) eventOperations() {
	register(a, operation{
		id: eventsOperation, method: http.MethodGet, path: "/apps/{app}/rooms/{room}/events", tag: "rooms", need: Read, stream: true,
		summary: "Follow a room", text: "Server-sent events: first a `snapshot`, then what happens, each with its `<epoch>.<seq>` as id, until " +
			"`closed`. What peers send to one another alone is left out. With Last-Event-ID a stream goes on where another one ended; where that is not known any more it begins with a `snapshot`.",
		codes: []wire.Code{wire.CodeRateLimited},
	}, a.roomEvents)
}

type roomEventsInput struct {
	RoomPath
	Brief       bool   `query:"brief" doc:"Leave out what peers and apps have written: data, states and properties. For those who look at what happens, and not at what is said."`
	LastEventID string `header:"Last-Event-ID" maxLength:"128" doc:"The id of the last event that is known."`
}

// place is a listener's place in a room's order.
type place struct {
	epoch string
	seq   int64
}

func (p place) String() string { return p.epoch + "." + strconv.FormatInt(p.seq, 10) }

// parsePlace reads what String has written.
func parsePlace(text string) (place, bool) {
	epoch, number, ok := strings.Cut(text, ".")
	seq, err := strconv.ParseInt(number, 10, 64)
	return place{epoch, seq}, ok && err == nil && seq >= 0 && wire.ValidID(epoch)
}

func (a *API) roomEvents(ctx context.Context, in *roomEventsInput) (*huma.StreamResponse, error) {
	if a.listeners.Add(1) > int64(a.opts.Listeners) {
		a.listeners.Add(-1)
		a.metrics.refused.WithLabelValues(refusedListeners).Inc()
		return nil, newProblem(wire.CodeRateLimited, "this gateway has as many listeners as it takes").after(beatPeriod)
	}
	snapshot, err := a.look(ctx, in.room(), false)
	if err != nil {
		a.listeners.Add(-1)
		return nil, err
	}
	return &huma.StreamResponse{Body: func(h huma.Context) {
		defer a.listeners.Add(-1)
		r, _ := humago.Unwrap(h)
		l := &listener{api: a, call: callOf(ctx), request: r, room: in.room(), brief: in.Brief, control: http.NewResponseController(callOf(ctx).writer)}
		l.serve(ctx, snapshot, in.LastEventID)
	}}, nil
}

// listeners counts the streams that are open.
type listeners struct{ atomic.Int64 }

// listener follows one room for one caller. It is owned by the request's goroutine.
type listener struct {
	api     *API
	call    *call
	request *http.Request
	room    store.Room
	brief   bool
	control *http.ResponseController
	at      place
	out     bytes.Buffer
}

// serve sends until the room ends, the caller goes, its key is taken away, or the API is closed.
func (l *listener) serve(ctx context.Context, snapshot *store.Snapshot, last string) {
	l.api.metrics.listeners.Inc()
	defer l.api.metrics.listeners.Dec()
	l.begin()
	known, ok := parsePlace(last)
	if ok && known.epoch == snapshot.Epoch && known.seq <= snapshot.Seq {
		l.at = known
	} else {
		l.snapshot(snapshot)
	}
	poll, beat := time.NewTicker(l.api.opts.EventsPeriod), time.NewTicker(beatPeriod)
	defer poll.Stop()
	defer beat.Stop()
	for l.follow(ctx) {
		select {
		case <-poll.C:
		case <-beat.C:
			if who, err := l.api.identify(l.request); err != nil || !who.sees(l.room.App) || who.can < Read {
				return
			}
			l.out.WriteString(": beat\n\n")
		case <-ctx.Done():
			return
		case <-l.api.closed:
			return
		}
	}
}

// begin sends the head of a stream.
func (l *listener) begin() {
	header := l.call.writer.Header()
	header.Set("Content-Type", "text/event-stream")
	header.Set("X-Accel-Buffering", "no") // for proxies that would wait for more
	l.call.writer.WriteHeader(http.StatusOK)
}

// follow sends what has happened since. It gives false when the stream is at its end.
func (l *listener) follow(ctx context.Context) bool {
	asking, cancel := l.api.bounded(ctx)
	defer cancel()
	replayed, err := await(asking, func(done func(*store.Replayed, error)) { //nolint:contextcheck // decoding needs none
		l.api.opts.Store.Replay(store.Replay{Room: l.room, Node: eventsNode, Epoch: l.at.epoch, Since: l.at.seq}, done)
	})
	switch {
	case err != nil: // Redis is away: the stream waits, as clients of rooms do
	case !replayed.Snapshot.Found:
		l.event(eventClosed, l.at, []byte(`{"type":"closed","room":"`+l.room.Name+`"}`))
		_ = l.flush()
		return false
	case !replayed.Known:
		l.snapshot(replayed.Snapshot)
	default:
		for i := range replayed.Missed {
			l.happened(&replayed.Missed[i])
		}
		l.at.seq = max(l.at.seq, replayed.Snapshot.Seq) // the numbers of what is not in the log, too
	}
	return l.flush() == nil
}

// happened sends an event, if it is for everybody: what peers say to one another is theirs.
func (l *listener) happened(event *store.Event) {
	if event.To != "" || event.Type == store.TypeFenced || event.Type == store.TypeEpoch {
		return
	}
	body := wire.AppendNumbered(nil, event.Seq, event.Body)
	if l.brief {
		body = briefly(body)
	}
	l.event(event.Type, place{l.at.epoch, event.Seq}, body)
}

// snapshot sends the room as it is.
func (l *listener) snapshot(snapshot *store.Snapshot) {
	l.at = place{snapshot.Epoch, snapshot.Seq}
	room := roomOf(snapshot)
	if l.brief {
		room.Properties, room.Spotlight = nil, nil
	}
	text, err := json.Marshal(room)
	if err != nil { // what the store has read is JSON
		return
	}
	l.event(eventSnapshot, l.at, text)
}

// told are the fields of an event that say what happens, and not what is said.
var told = map[string]bool{
	"type": true, "room": true, "seq": true, "peer": true, "peers": true, "from": true, "by": true, "user": true, "id": true, "name": true, "reason": true,
	"topic": true, "locked": true, "capacity": true, "presenter": true, "version": true, "media": true, "muted": true, "away": true, "of": true, "target": true,
}

// briefly leaves of an event what says what happens.
func briefly(body []byte) []byte {
	var event map[string]any
	if json.Unmarshal(body, &event) != nil { // this cluster's gateways have written it
		return []byte("{}")
	}
	keep(event)
	text, err := json.Marshal(event)
	if err != nil {
		return []byte("{}")
	}
	return text
}

func keep(value any) {
	switch value := value.(type) {
	case map[string]any:
		for name, inner := range value {
			if !told[name] {
				delete(value, name)
				continue
			}
			keep(inner)
		}
	case []any:
		for _, inner := range value {
			keep(inner)
		}
	}
}

// event writes one event; JSON in one line has no line break.
func (l *listener) event(kind string, at place, data []byte) {
	fmt.Fprintf(&l.out, "id: %s\nevent: %s\ndata: ", at, kind)
	if json.Compact(&l.out, data) != nil {
		l.out.Write(data)
	}
	l.out.WriteString("\n\n")
}

// flush sends what was written.
func (l *listener) flush() error {
	if l.out.Len() == 0 {
		return nil
	}
	defer l.out.Reset()
	_ = l.control.SetWriteDeadline(time.Now().Add(eventsWriteTimeout)) // a recorder of tests has none
	if _, err := l.call.writer.Write(l.out.Bytes()); err != nil {
		return err
	}
	return l.control.Flush()
}

// await makes a call of the store, and waits for its answer or for the end of ctx.
func await[T any](ctx context.Context, ask func(done func(T, error))) (T, error) {
	type reply struct {
		value T
		err   error
	}
	replies := make(chan reply, 1) // the callback must not block, also when nobody waits any more
	ask(func(value T, err error) { replies <- reply{value, err} })
	select {
	case got := <-replies:
		return got.value, got.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}
