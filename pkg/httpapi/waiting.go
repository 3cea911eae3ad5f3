package httpapi

import (
	"context"
	"net/http"

	"github.com/signalbox-rtc/signalbox/pkg/store"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// Waiter is somebody who waits for a seat of a room.
type Waiter struct {
	Peer   string `json:"peer" doc:"The peer's id."`
	User   string `json:"user" doc:"The app's own id of the user."`
	Name   string `json:"name,omitempty" doc:"What others see as the user's name."`
	Reason string `json:"reason" enum:"full,moderated" doc:"Whether it waits for a seat, or to be let in."`
	Away   bool   `json:"away" doc:"Whether the connection is lost, and the place kept for a while."`
}

func waiterOf(w *store.Waiting) Waiter {
	m := memberOf(&store.Member{ID: w.ID, Profile: w.Profile})
	return Waiter{Peer: m.Peer, User: m.User, Name: m.Name, Reason: wire.WaitReason(w.Moderated), Away: w.Away}
}

func (a *API) waitingOperations() {
	const waiting = "/apps/{app}/rooms/{room}/waiting"
	register(a, operation{
		id: "list-waiting", method: http.MethodGet, path: waiting, tag: "members", need: Read,
		summary: "List who waits for a seat", text: "In the order in which they get one.",
	}, a.listWaiting)
	register(a, operation{
		id: "admit-peer", method: http.MethodPost, path: waiting + "/{peer}/admit", tag: "members", need: Write,
		summary: "Let somebody in", text: "Who waits for it in a moderated room. Where every seat is taken, it waits for one from then on.",
		codes: []wire.Code{wire.CodePeerGone},
	}, a.admitPeer(false))
	register(a, operation{
		id: "deny-peer", method: http.MethodPost, path: waiting + "/{peer}/deny", tag: "members", need: Write,
		summary: "Send somebody away who waits", codes: []wire.Code{wire.CodePeerGone},
	}, a.admitPeer(true))
	register(a, operation{
		id: "admit-all", method: http.MethodPost, path: waiting + "/admit", tag: "members", need: Write, summary: "Let everybody in who waits for it",
	}, a.admitAll(false))
	register(a, operation{
		id: "deny-all", method: http.MethodPost, path: waiting + "/deny", tag: "members", need: Write, summary: "Send everybody away who waits",
	}, a.admitAll(true))
}

type listWaitingOutput struct {
	Body struct {
		Epoch   string   `json:"epoch" doc:"The room's epoch."`
		Seq     int64    `json:"seq" minimum:"0" doc:"The number of the last event that this includes."`
		Waiting []Waiter `json:"waiting" nullable:"false"`
	}
}

func (a *API) listWaiting(ctx context.Context, in *struct{ RoomPath }) (*listWaitingOutput, error) {
	snapshot, err := a.look(ctx, in.room(), true)
	if err != nil {
		return nil, err
	}
	out := new(listWaitingOutput)
	body := &out.Body
	body.Epoch, body.Seq, body.Waiting = snapshot.Epoch, snapshot.Seq, make([]Waiter, len(snapshot.Waiting))
	for i := range snapshot.Waiting {
		body.Waiting[i] = waiterOf(&snapshot.Waiting[i])
	}
	return out, nil
}

func (a *API) admitPeer(deny bool) func(context.Context, *struct{ PeerPath }) (*affectedOutput, error) {
	return func(ctx context.Context, in *struct{ PeerPath }) (*affectedOutput, error) {
		if err := in.check(); err != nil {
			return nil, err
		}
		return a.control(ctx, func(ctx context.Context) (store.Controlled, error) {
			return a.opts.Rooms.Admit(ctx, in.room(), in.Peer, deny)
		})
	}
}

func (a *API) admitAll(deny bool) func(context.Context, *struct{ RoomPath }) (*affectedOutput, error) {
	return func(ctx context.Context, in *struct{ RoomPath }) (*affectedOutput, error) {
		return a.control(ctx, func(ctx context.Context) (store.Controlled, error) {
			return a.opts.Rooms.Admit(ctx, in.room(), "", deny)
		})
	}
}
