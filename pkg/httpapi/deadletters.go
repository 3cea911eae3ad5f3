package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

func (a *API) deadLetterOperations() {
	const path = "/apps/{app}/webhooks/dead-letters"
	register(a, operation{
		id: "list-dead-letters", method: http.MethodGet, path: path, tag: "webhooks", need: Read,
		summary: "List events that an endpoint did not take", text: "Those that were given up after all attempts.",
	}, a.listDeadLetters)
	register(a, operation{
		id: "replay-dead-letters", method: http.MethodPost, path: path + "/replay", tag: "webhooks", need: Write,
		summary: "Deliver such events after all", text: "One, or all. They come behind what waits for the endpoint.",
	}, a.replayDeadLetters)
	register(a, operation{
		id: "discard-dead-letters", method: http.MethodDelete, path: path, tag: "webhooks", need: Write, status: http.StatusOK,
		summary: "Forget such events", text: "One, or all.",
	}, a.discardDeadLetters)
}

// DeadLetter is an event that an endpoint did not take.
type DeadLetter struct {
	ID       string          `json:"id" doc:"Names it among the app's."`
	Endpoint string          `json:"endpoint" doc:"The webhook's id."`
	Reason   string          `json:"reason" doc:"Why it was given up: expired (all attempts failed), gone (the endpoint wants nothing any more), removed (there is no such endpoint)."`
	Parked   time.Time       `json:"parked" doc:"When it was given up."`
	Event    string          `json:"event" doc:"The event's id: the same however often it is delivered."`
	Kind     string          `json:"kind" doc:"What happened." example:"peer.joined"`
	Room     string          `json:"room"`
	Epoch    string          `json:"epoch" doc:"The room's epoch."`
	Seq      int64           `json:"seq" minimum:"0" doc:"The room's number after it."`
	Time     time.Time       `json:"time" doc:"When it happened."`
	Data     json.RawMessage `json:"data,omitempty" doc:"What else is said of it."`
}

type listDeadLettersInput struct {
	AppPath
	Cursor string `query:"cursor" maxLength:"64" doc:"Where to go on: the next of the answer before. Absent: the beginning."`
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"How many at most."`
}

type listDeadLettersOutput struct {
	Body struct {
		DeadLetters []DeadLetter `json:"deadLetters" nullable:"false"`
		Next        string       `json:"next,omitempty" doc:"The cursor that goes on; absent at the end."`
	}
}

func (a *API) listDeadLetters(ctx context.Context, in *listDeadLettersInput) (*listDeadLettersOutput, error) {
	ctx, cancel := a.bounded(ctx)
	defer cancel()
	letters, next, err := a.opts.Store.DeadLetters(ctx, in.App, in.Cursor, in.Limit)
	if err != nil {
		return nil, a.unanswered(err)
	}
	out := new(listDeadLettersOutput)
	out.Body.DeadLetters, out.Body.Next = make([]DeadLetter, len(letters)), next
	for i, letter := range letters {
		out.Body.DeadLetters[i] = DeadLetter{
			ID: letter.ID, Endpoint: letter.Endpoint, Reason: letter.Reason, Parked: letter.Parked.UTC(),
			Event: letter.Event.ID, Kind: letter.Event.Kind, Room: letter.Event.Room.Name, Epoch: letter.Event.Epoch, Seq: letter.Event.Seq,
			Time: letter.Event.Time.UTC(), Data: letter.Event.Data,
		}
	}
	return out, nil
}

// unanswered is the refusal for an error of the store that has no code: Redis did not answer.
func (a *API) unanswered(err error) error {
	if _, ok := errors.AsType[*wire.Error](err); ok {
		return err
	}
	a.opts.Logger.Warn("the cluster's store did not answer", "error", err)
	return newProblem(wire.CodeUnavailable, "the cluster's store did not answer").after(time.Second)
}

// which says which dead letters are meant.
type which struct {
	ID string `json:"id,omitempty" maxLength:"64" pattern:"^[0-9]+[.][0-9]+-[0-9]+$" doc:"The one. Absent: all."`
}

type replayDeadLettersInput struct {
	AppPath
	Body which
}

type countOutput struct {
	Body struct {
		Count int `json:"count" minimum:"0" doc:"How many there were."`
	}
}

func (a *API) replayDeadLetters(ctx context.Context, in *replayDeadLettersInput) (*countOutput, error) {
	return a.eachDeadLetter(ctx, in.App, in.Body.ID, a.opts.Store.Redeliver)
}

type discardDeadLettersInput struct {
	AppPath
	ID string `query:"id" maxLength:"64" pattern:"^[0-9]+[.][0-9]+-[0-9]+$" doc:"The one. Absent: all."`
}

func (a *API) discardDeadLetters(ctx context.Context, in *discardDeadLettersInput) (*countOutput, error) {
	return a.eachDeadLetter(ctx, in.App, in.ID, a.opts.Store.Discard)
}

func (a *API) eachDeadLetter(
	ctx context.Context, app, id string, do func(ctx context.Context, app, id string) (int, error),
) (*countOutput, error) {
	ctx, cancel := a.bounded(ctx)
	defer cancel()
	count, err := do(ctx, app, id)
	if e, ok := errors.AsType[*wire.Error](err); ok && e.Code == wire.CodeBadRequest {
		count, err = 0, nil // an id of the form, and of no dead letter
	}
	if err != nil {
		return nil, a.unanswered(err)
	}
	out := new(countOutput)
	out.Body.Count = count
	return out, nil
}
