package httpapi

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/signalbox-rtc/signalbox/pkg/store"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// Member is a peer's seat in a room.
type Member struct {
	Peer  string                     `json:"peer" doc:"The peer's id."`
	User  string                     `json:"user" doc:"The app's own id of the user."`
	Name  string                     `json:"name,omitempty" doc:"What others see as the user's name."`
	Order int64                      `json:"order" minimum:"0" doc:"Rises with every new seat of the room."`
	Away  bool                       `json:"away" doc:"Whether the connection is lost, and the seat kept for a while."`
	State map[string]json.RawMessage `json:"state,omitempty" nullable:"false" doc:"What the peer tells the others about itself, and what moderators have set."`
}

func memberOf(m *store.Member) Member {
	var profile struct{ User, Name string }
	_ = json.Unmarshal(m.Profile, &profile) // this cluster's gateways have written it
	return Member{Peer: m.ID, User: profile.User, Name: profile.Name, Order: m.Order, Away: m.Away, State: m.State}
}

type PeerPath struct {
	RoomPath
	Peer string `path:"peer" doc:"The member's peer id." minLength:"1" maxLength:"64"`
}

// check has an id that no peer can have be one of no peer.
func (p *PeerPath) check() error {
	if !validPeer(p.Peer) {
		return newProblem(wire.CodePeerGone, "that peer is not in the room")
	}
	return nil
}

// validPeer reports whether a peer can have the id: the store takes a hyphen alone for nobody.
func validPeer(id string) bool { return wire.ValidID(id) && id != "-" }

func (a *API) memberOperations() {
	const room = "/apps/{app}/rooms/{room}"
	register(a, operation{
		id: "list-members", method: http.MethodGet, path: room + "/members", tag: "members", need: Read,
		summary: "List members", text: "In the order in which they came. Each answer is of one instant, that of its seq.",
	}, a.listMembers)
	register(a, operation{
		id: "get-member", method: http.MethodGet, path: room + "/members/{peer}", tag: "members", need: Read,
		summary: "Get a member", codes: []wire.Code{wire.CodePeerGone},
	}, a.getMember)
	register(a, operation{
		id: "kick-member", method: http.MethodPost, path: room + "/members/{peer}/kick", tag: "members", need: Write,
		summary: "Take a member's seat away", text: "It gets `closed`, with what reason says as its `text`.", codes: []wire.Code{wire.CodePeerGone, CodeInvalid},
	}, a.kickMember)
	register(a, operation{
		id: "mute-member", method: http.MethodPost, path: room + "/members/{peer}/mute", tag: "members", need: Write,
		summary: "Mute a member", text: "It is noted in the member's state, so that those who come later see it.", codes: []wire.Code{wire.CodePeerGone},
	}, a.muteMember(true))
	register(a, operation{
		id: "unmute-member", method: http.MethodPost, path: room + "/members/{peer}/unmute", tag: "members", need: Write,
		summary: "Unmute a member", codes: []wire.Code{wire.CodePeerGone},
	}, a.muteMember(false))
	register(a, operation{
		id: "move-member", method: http.MethodPost, path: room + "/members/{peer}/move", tag: "members", need: Write,
		summary: "Ask a member to go to another room", text: "The client goes by itself, and needs a token that allows the other room.",
		codes: []wire.Code{wire.CodePeerGone},
	}, a.moveMember)
	register(a, operation{
		id: "kick-all", method: http.MethodPost, path: room + "/kick", tag: "members", need: Write,
		summary: "Take everybody's seat away", text: "As with one of them. The room ends with its last seat.", codes: []wire.Code{CodeInvalid},
	}, a.kickAll)
	register(a, operation{
		id: "mute-all", method: http.MethodPost, path: room + "/mute", tag: "members", need: Write,
		summary: "Mute everybody", text: "Those who are in the room now.",
	}, a.muteAll(true))
	register(a, operation{
		id: "unmute-all", method: http.MethodPost, path: room + "/unmute", tag: "members", need: Write, summary: "Unmute everybody",
	}, a.muteAll(false))
}

type listMembersInput struct {
	RoomPath
	Cursor string `query:"cursor" maxLength:"20" pattern:"^[0-9]*$" doc:"Where to go on: the next of the answer before. Absent: the beginning."`
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"How many at most."`
}

type listMembersOutput struct {
	Body struct {
		Epoch   string   `json:"epoch" doc:"The room's epoch."`
		Seq     int64    `json:"seq" minimum:"0" doc:"The number of the last event that this includes."`
		Count   int      `json:"count" minimum:"0" doc:"How many members there are in all."`
		Members []Member `json:"members" nullable:"false"`
		Next    string   `json:"next,omitempty" doc:"The cursor that goes on; absent at the end."`
	}
}

func (a *API) listMembers(ctx context.Context, in *listMembersInput) (*listMembersOutput, error) {
	after := int64(-1)
	if in.Cursor != "" {
		var err error
		if after, err = strconv.ParseInt(in.Cursor, 10, 64); err != nil {
			return nil, newProblem(wire.CodeBadRequest, "not a cursor of this list")
		}
	}
	snapshot, err := a.look(ctx, in.room(), true)
	if err != nil {
		return nil, err
	}
	out := new(listMembersOutput)
	body := &out.Body
	body.Epoch, body.Seq, body.Count, body.Members = snapshot.Epoch, snapshot.Seq, snapshot.Count, make([]Member, 0, min(in.Limit, snapshot.Count))
	for i := range snapshot.Members {
		m := &snapshot.Members[i]
		if m.Order <= after {
			continue
		}
		if len(body.Members) == in.Limit {
			body.Next = strconv.FormatInt(body.Members[in.Limit-1].Order, 10)
			break
		}
		body.Members = append(body.Members, memberOf(m))
	}
	return out, nil
}

type memberOutput struct {
	Body struct {
		Epoch string `json:"epoch" doc:"The room's epoch."`
		Seq   int64  `json:"seq" minimum:"0" doc:"The number of the last event that this includes."`
		Member
	}
}

func (a *API) getMember(ctx context.Context, in *struct{ PeerPath }) (*memberOutput, error) {
	snapshot, err := a.look(ctx, in.room(), true)
	if err != nil {
		return nil, err
	}
	for i := range snapshot.Members {
		if m := &snapshot.Members[i]; m.ID == in.Peer {
			out := new(memberOutput)
			out.Body.Epoch, out.Body.Seq, out.Body.Member = snapshot.Epoch, snapshot.Seq, memberOf(m)
			return out, nil
		}
	}
	return nil, newProblem(wire.CodePeerGone, "that peer is not in the room")
}

// Kicking is what is said about a kick.
type Kicking struct {
	Reason string `json:"reason,omitempty" maxLength:"256" doc:"What those who lose their seats, and those who stay, are told about it, for people."`
}

type kickMemberInput struct {
	PeerPath
	Body *Kicking
}

func (a *API) kickMember(ctx context.Context, in *kickMemberInput) (*affectedOutput, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	return a.kick(ctx, in.room(), in.Peer, in.Body)
}

type kickAllInput struct {
	RoomPath
	Body *Kicking
}

func (a *API) kickAll(ctx context.Context, in *kickAllInput) (*affectedOutput, error) {
	return a.kick(ctx, in.room(), "", in.Body)
}

// kick takes a peer's seat away, or with an empty one everybody's. what may be nil.
func (a *API) kick(ctx context.Context, room store.Room, peer string, what *Kicking) (*affectedOutput, error) {
	var reason string
	if what != nil {
		reason = what.Reason
	}
	if err := checkReason("body.reason", reason); err != nil {
		return nil, err
	}
	return a.control(ctx, func(ctx context.Context) (store.Controlled, error) { return a.opts.Rooms.Kick(ctx, room, peer, reason) })
}

// Muting is what a mute or an unmute is about.
type Muting struct {
	Kind string `json:"kind" enum:"audio,video" doc:"What is muted."`
}

type muteMemberInput struct {
	PeerPath
	Body Muting
}

func (a *API) muteMember(muted bool) func(context.Context, *muteMemberInput) (*affectedOutput, error) {
	return func(ctx context.Context, in *muteMemberInput) (*affectedOutput, error) {
		if err := in.check(); err != nil {
			return nil, err
		}
		return a.control(ctx, func(ctx context.Context) (store.Controlled, error) {
			return a.opts.Rooms.Mute(ctx, in.room(), in.Peer, store.Media(in.Body.Kind), muted)
		})
	}
}

type muteAllInput struct {
	RoomPath
	Body Muting
}

func (a *API) muteAll(muted bool) func(context.Context, *muteAllInput) (*affectedOutput, error) {
	return func(ctx context.Context, in *muteAllInput) (*affectedOutput, error) {
		return a.control(ctx, func(ctx context.Context) (store.Controlled, error) {
			return a.opts.Rooms.Mute(ctx, in.room(), "", store.Media(in.Body.Kind), muted)
		})
	}
}

type moveMemberInput struct {
	PeerPath
	Body struct {
		Room string `json:"room" minLength:"1" maxLength:"128" pattern:"^[A-Za-z0-9._~-]+$" doc:"The room to go to."`
	}
}

func (a *API) moveMember(ctx context.Context, in *moveMemberInput) (*affectedOutput, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	return a.control(ctx, func(ctx context.Context) (store.Controlled, error) {
		return a.opts.Rooms.Move(ctx, in.room(), in.Peer, in.Body.Room)
	})
}
