package httpapi

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/signalbox-rtc/signalbox/pkg/store"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

func (a *API) keptOperations() {
	const kept = "/apps/{app}/rooms/{room}/history/{topic}"
	register(a, operation{
		id: "list-kept", method: http.MethodGet, path: kept, tag: "messages", need: Read,
		summary: "List kept messages", text: "The last ones, the oldest first: what those see who join now. With `before` those before them.",
	}, a.listKept)
	register(a, operation{
		id: "undo-kept", method: http.MethodDelete, path: kept + "/{seq}", tag: "messages", need: Write, status: http.StatusOK,
		summary: "Take a kept message back", text: "Whoever has sent it. Everybody in the room is told.",
	}, a.undoKept)
	register(a, operation{
		id: "clear-kept", method: http.MethodDelete, path: kept, tag: "messages", need: Write, status: http.StatusOK,
		summary: "Take all kept messages back", text: "Of the topic. Everybody in the room is told.",
	}, a.clearKept)
}

// KeptPath is what is kept of a topic in a room.
type KeptPath struct {
	RoomPath
	Topic string `path:"topic" enum:"chat,whiteboard" doc:"What the messages are about."`
}

// KeptMessage is a message as it was kept.
type KeptMessage struct {
	Seq  int64           `json:"seq" minimum:"0" doc:"Its number in the room."`
	Time time.Time       `json:"time" doc:"When it was sent."`
	Peer string          `json:"peer,omitempty" doc:"Who sent it; absent if it was the app itself."`
	User string          `json:"user,omitempty" doc:"The app's own id of the user."`
	Name string          `json:"name,omitempty" doc:"What others saw as the user's name."`
	Data json.RawMessage `json:"data" doc:"What it says."`
}

func keptOf(k *store.Kept) KeptMessage {
	message := KeptMessage{Seq: k.Seq, Time: k.Time.UTC(), Peer: k.Peer, Data: k.Data}
	if k.Peer != "" {
		m := memberOf(&store.Member{ID: k.Peer, Profile: k.Profile})
		message.User, message.Name = m.User, m.Name
	}
	return message
}

type listKeptInput struct {
	KeptPath
	Before int64 `query:"before" minimum:"1" doc:"The number of a message: those before it. Absent: the last ones."`
	Limit  int   `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"How many at most."`
}

type listKeptOutput struct {
	Body struct {
		Epoch    string        `json:"epoch" doc:"The room's epoch."`
		Seq      int64         `json:"seq" minimum:"0" doc:"The number of the last event that this includes."`
		Dropped  int64         `json:"dropped" minimum:"0" doc:"How many messages went because there were too many."`
		Messages []KeptMessage `json:"messages" nullable:"false"`
	}
}

func (a *API) listKept(ctx context.Context, in *listKeptInput) (*listKeptOutput, error) {
	ctx, cancel := a.bounded(ctx)
	defer cancel()
	h, err := a.opts.Rooms.History(ctx, in.room(), in.Topic, in.Before, in.Limit)
	if err != nil {
		return nil, err
	}
	out := new(listKeptOutput)
	body := &out.Body
	body.Epoch, body.Seq, body.Dropped, body.Messages = h.Epoch, h.Seq, h.Dropped, make([]KeptMessage, len(h.Messages))
	for i := range h.Messages {
		body.Messages[i] = keptOf(&h.Messages[i])
	}
	return out, nil
}

type undoKeptInput struct {
	KeptPath
	Of int64 `path:"seq" minimum:"1" doc:"The number of the message."`
}

func (a *API) undoKept(ctx context.Context, in *undoKeptInput) (*postedOutput, error) {
	ctx, cancel := a.bounded(ctx)
	defer cancel()
	placed, err := a.opts.Rooms.Undo(ctx, in.room(), in.Topic, in.Of)
	if err == nil && placed.Of == 0 {
		err = missing()
	}
	return posted(in.Room, placed, err)
}

func (a *API) clearKept(ctx context.Context, in *struct{ KeptPath }) (*postedOutput, error) {
	ctx, cancel := a.bounded(ctx)
	defer cancel()
	placed, err := a.opts.Rooms.Clear(ctx, in.room(), in.Topic)
	return posted(in.Room, placed, err)
}

// posted gives the answer to what was placed in a room's order.
func posted(room string, placed store.Placed, err error) (*postedOutput, error) {
	if err != nil {
		return nil, err
	}
	return &postedOutput{Posted{Room: room, Epoch: placed.Epoch, Seq: placed.Seq}}, nil
}

// keepInRoom posts a message that is kept.
func (a *API) keepInRoom(ctx context.Context, in *postToRoomInput) (*postedOutput, error) {
	if in.Body.To != "" || in.Body.Topic != wire.TopicChat && in.Body.Topic != wire.TopicWhiteboard {
		return nil, newProblem(CodeInvalid, "what is kept is for everybody, under the topic chat or whiteboard")
	}
	placed, err := a.opts.Rooms.Keep(ctx, in.room(), a.policyOf(in.App, in.Room), in.Body.Topic, in.Body.Data)
	return posted(in.Room, placed, err)
}
