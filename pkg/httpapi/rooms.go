package httpapi

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/signalbox-rtc/signalbox/pkg/auth"
	"github.com/signalbox-rtc/signalbox/pkg/room"
	"github.com/signalbox-rtc/signalbox/pkg/store"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// Room is a meeting of an app.
type Room struct {
	App        string                     `json:"app" doc:"The app that it belongs to."`
	Room       string                     `json:"room" doc:"Its name, unique in the app."`
	Epoch      string                     `json:"epoch" doc:"Names this life of the room: in another one the numbers begin anew."`
	Seq        int64                      `json:"seq" minimum:"0" doc:"The number of the last event that this includes."`
	Version    int64                      `json:"version" minimum:"0" doc:"Rises with each change of the room's own fields; guards changes."`
	Capacity   int                        `json:"capacity" minimum:"1" doc:"How many seats there are."`
	Members    int                        `json:"members" minimum:"0" doc:"How many seats are taken, those of members that are away included."`
	Locked     bool                       `json:"locked" doc:"Whether only moderators may join."`
	Presenter  string                     `json:"presenter,omitempty" doc:"The presenting member's id."`
	Properties map[string]json.RawMessage `json:"properties,omitempty" nullable:"false" doc:"What the app has noted with the room. Not in lists."`
	Spotlight  json.RawMessage            `json:"spotlight,omitempty" doc:"The rotation of the spotlight. Not in lists."`
	Created    time.Time                  `json:"created" doc:"When the room was made."`
}

func roomOf(s *store.Snapshot) Room {
	r := Room{
		App: s.Room.App, Room: s.Room.Name, Epoch: s.Epoch, Seq: s.Seq, Version: s.Version, Capacity: s.Capacity, Members: s.Count,
		Locked: s.Locked, Presenter: s.Presenter, Properties: s.Properties, Created: s.Created.UTC(),
	}
	if len(s.Spotlight) > 0 {
		r.Spotlight = s.Spotlight
	}
	return r
}

// RoomPath is in the input of every operation on a room. A name that no room can have is one of no room.
type RoomPath struct {
	App  string `path:"app" doc:"The app's id." maxLength:"63" example:"acme"`
	Room string `path:"room" doc:"The room's name." minLength:"1" maxLength:"128" pattern:"^[A-Za-z0-9._~-]+$" example:"lobby"`
}

func (p *RoomPath) room() store.Room { return store.Room{App: p.App, Name: p.Room} }

// AppPath is in the input of every other operation on an app.
type AppPath struct {
	App string `path:"app" doc:"The app's id." maxLength:"63" example:"acme"`
}

// tag is a room's state as If-Match and If-None-Match name it: "<epoch>.<version>.<seq>". If-Match looks at the first two alone,
// as what else happens in a room does not stand in the way of a change.
type tag struct {
	epoch        string
	version, seq int64
}

func tagOf(s *store.Snapshot) tag { return tag{s.Epoch, s.Version, s.Seq} }

func (t tag) String() string {
	return `"` + t.epoch + "." + strconv.FormatInt(t.version, 10) + "." + strconv.FormatInt(t.seq, 10) + `"`
}

// parseTag reads one entity tag; false if it is none of ours.
func parseTag(text string) (tag, bool) {
	text = strings.TrimPrefix(strings.TrimSpace(text), "W/")
	if len(text) < 2 || text[0] != '"' || text[len(text)-1] != '"' {
		return tag{}, false
	}
	parts := strings.Split(text[1:len(text)-1], ".")
	if len(parts) != 3 {
		return tag{}, false
	}
	version, err := strconv.ParseInt(parts[1], 10, 64)
	seq, err2 := strconv.ParseInt(parts[2], 10, 64)
	return tag{parts[0], version, seq}, err == nil && err2 == nil
}

// anyTag reports whether a header's list of entity tags has one for which same is true, or is the star.
func anyTag(header string, same func(tag) bool) bool {
	if strings.TrimSpace(header) == "*" {
		return true
	}
	for part := range strings.SplitSeq(header, ",") {
		if t, ok := parseTag(part); ok && same(t) {
			return true
		}
	}
	return false
}

type roomOutput struct {
	ETag string `header:"ETag" doc:"The room's state, for If-Match and If-None-Match."`
	Body Room
}

func newRoomOutput(s *store.Snapshot) *roomOutput {
	return &roomOutput{ETag: tagOf(s).String(), Body: roomOf(s)}
}

func (a *API) roomOperations() {
	register(a, operation{
		id: "list-rooms", method: http.MethodGet, path: "/apps/{app}/rooms", tag: "rooms", need: Read,
		summary: "List rooms", text: "In no order that means anything. A room that is there all the while is listed once.",
	}, a.listRooms)
	register(a, operation{
		id: "create-room", method: http.MethodPost, path: "/apps/{app}/rooms", tag: "rooms", need: Write, status: http.StatusCreated,
		summary: "Make a room", text: "Before anybody joins it. It stays for a while when nobody has a seat in it, as keep says, and ends with its lifetime.",
		codes: []wire.Code{wire.CodeConflict, wire.CodeLimit}, quota: true,
	}, a.createRoom)
	register(a, operation{
		id: "get-room", method: http.MethodGet, path: "/apps/{app}/rooms/{room}", tag: "rooms", need: Read,
		summary: "Get a room", text: "With If-None-Match a room that has not changed is answered with 304.", unchanged: true,
	}, a.getRoom)
	register(a, operation{
		id: "update-room", method: http.MethodPatch, path: "/apps/{app}/rooms/{room}", tag: "rooms", need: Write,
		summary: "Change a room", text: "For the state that If-Match names, or the version of the body: another one is refused with 412, or with 409 and the present version. What is not named stays.",
		codes: []wire.Code{wire.CodeConflict, wire.CodeLimit, wire.CodePeerGone, CodePreconditionFailed, CodePreconditionRequired},
	}, a.updateRoom)
	register(a, operation{
		id: "close-room", method: http.MethodDelete, path: "/apps/{app}/rooms/{room}", tag: "rooms", need: Write, status: http.StatusOK,
		summary: "Close a room", text: "Everybody in it gets `closed`, with what reason says as its `text`.", codes: []wire.Code{CodeInvalid},
	}, a.closeRoom)
}

type listRoomsInput struct {
	AppPath
	Prefix string `query:"prefix" maxLength:"128" pattern:"^[A-Za-z0-9._~-]*$" doc:"What the names of the rooms begin with. With it an answer may have fewer rooms than limit, none even, and a next: one request looks at 20000 names."`
	Cursor string `query:"cursor" maxLength:"256" doc:"Where to go on: the next of the answer before. Absent: the beginning."`
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"How many at most."`
}

type listRoomsOutput struct {
	Body struct {
		Rooms []Room `json:"rooms" nullable:"false"`
		Next  string `json:"next,omitempty" doc:"The cursor that goes on; absent at the end."`
	}
}

func (a *API) listRooms(ctx context.Context, in *listRoomsInput) (*listRoomsOutput, error) {
	ctx, cancel := a.bounded(ctx)
	defer cancel()
	infos, next, err := a.opts.Rooms.Find(ctx, in.App, in.Prefix, in.Cursor, in.Limit)
	if err != nil {
		return nil, err
	}
	out := new(listRoomsOutput)
	out.Body.Rooms, out.Body.Next = make([]Room, len(infos)), next
	for i := range infos {
		info := &infos[i]
		out.Body.Rooms[i] = Room{
			App: in.App, Room: info.Name, Epoch: info.Epoch, Seq: info.Seq, Version: info.Version, Capacity: info.Capacity,
			Members: info.Count, Locked: info.Locked, Created: info.Created.UTC(),
		}
	}
	return out, nil
}

type createRoomInput struct {
	AppPath
	Body struct {
		Room       string                     `json:"room" minLength:"1" maxLength:"128" pattern:"^[A-Za-z0-9._~-]+$" doc:"Its name." example:"lobby"`
		Capacity   int                        `json:"capacity,omitempty" minimum:"1" maximum:"10000" doc:"How many seats it has. Absent: as the app's policy says."`
		Locked     bool                       `json:"locked,omitempty" doc:"Whether only moderators may join."`
		Properties map[string]json.RawMessage `json:"properties,omitempty" doc:"What the app notes with the room: any JSON by names of A-Z a-z 0-9 . _ ~ -"`
		Lifetime   int                        `json:"lifetime,omitempty" minimum:"1" maximum:"2592000" doc:"For how many seconds it may last: then it is closed for everybody. Absent: without an end of its own."`
		Keep       int                        `json:"keep,omitempty" minimum:"1" maximum:"2592000" doc:"For how many seconds it stays when nobody has a seat in it, from the beginning on. Absent: as the app's policy says, and before anybody joins it 10 minutes."`
	}
}

type createRoomOutput struct {
	Location string `header:"Location" doc:"The room's path."`
	ETag     string `header:"ETag" doc:"The room's state, for If-Match and If-None-Match."`
	Body     Room
}

func (a *API) createRoom(ctx context.Context, in *createRoomInput) (*createRoomOutput, error) {
	usual, most, err := a.seats(in.App, in.Body.Room)
	if err != nil {
		return nil, err
	}
	capacity := cmp.Or(in.Body.Capacity, usual)
	if capacity > most {
		return nil, overCapacity(most)
	}
	if err := checkProperties(in.Body.Properties); err != nil {
		return nil, err
	}
	ctx, cancel := a.bounded(ctx)
	defer cancel()
	room := store.Room{App: in.App, Name: in.Body.Room}
	answered, err := a.takeRoom(ctx, room)
	if err != nil {
		return nil, err
	}
	snapshot, err := a.opts.Rooms.Create(ctx, store.CreateRoom{
		Room: room, Capacity: capacity, Locked: in.Body.Locked, Properties: in.Body.Properties,
		Hooks:    a.opts.Hooks != nil && a.opts.Hooks(in.App, in.Body.Room),
		Lifetime: time.Duration(in.Body.Lifetime) * time.Second,
	}, a.policy(in))
	answered(err == nil)
	if err != nil {
		return nil, err
	}
	return &createRoomOutput{
		Location: prefix + "/apps/" + in.App + "/rooms/" + in.Body.Room, ETag: tagOf(snapshot).String(), Body: roomOf(snapshot),
	}, nil
}

// policy gives what a new room's policy makes of it.
func (a *API) policy(in *createRoomInput) *room.Policy {
	policy := a.policyOf(in.App, in.Body.Room)
	if in.Body.Keep > 0 {
		policy.Keep = time.Duration(in.Body.Keep) * time.Second
	}
	return policy
}

// policyOf gives what an app lets a room be, as far as it matters here.
func (a *API) policyOf(app, name string) *room.Policy {
	p, _ := a.opts.Apps.PolicyFor(app, name)
	return &room.Policy{
		Keep: max(time.Duration(p.Keep), 0), Succession: p.Succession == auth.SuccessionNext, Moderated: p.Moderated == auth.On,
		Waiting: p.Waiting, Chat: p.History,
	}
}

// seats gives how many seats a new room of the name has if nothing is said, and how many it can have.
func (a *API) seats(app, room string) (usual, most int, err error) {
	policy, ok := a.opts.Apps.PolicyFor(app, room)
	if !ok {
		return 0, 0, missing()
	}
	most = a.opts.MaxCapacity
	if policy.MaxCapacity > 0 {
		most = min(most, policy.MaxCapacity)
	}
	return min(cmp.Or(policy.Capacity, a.opts.Capacity), most), most, nil
}

func overCapacity(most int) *Problem {
	return newProblem(wire.CodeLimit, "this room has at most "+strconv.Itoa(most)+" seats")
}

// checkProperties holds names to what clients can read.
func checkProperties(properties map[string]json.RawMessage) error {
	for name := range properties {
		if !wire.ValidKey(name) {
			p := newProblem(wire.CodeBadRequest, "a property has a name that is not valid")
			p.Errors = []Fault{{Location: "body.properties", Message: "names are 1 to 64 of A-Z a-z 0-9 . _ ~ -"}}
			return p
		}
	}
	return nil
}

type getRoomInput struct {
	RoomPath
	IfNoneMatch string `header:"If-None-Match" maxLength:"1024" doc:"ETags of states that are known."`
}

// notModified is an answer without a body.
type notModified struct{ tag tag }

var (
	_ huma.StatusError  = (*notModified)(nil)
	_ huma.HeadersError = (*notModified)(nil)
)

func (n *notModified) Error() string { return "not modified" }

// GetStatus is the HTTP status.
func (n *notModified) GetStatus() int { return http.StatusNotModified }

// GetHeaders tells the state that is known already.
func (n *notModified) GetHeaders() http.Header { return http.Header{"Etag": {n.tag.String()}} }

func (a *API) getRoom(ctx context.Context, in *getRoomInput) (*roomOutput, error) {
	snapshot, err := a.look(ctx, in.room(), false)
	if err != nil {
		return nil, err
	}
	current := tagOf(snapshot)
	if in.IfNoneMatch != "" && anyTag(in.IfNoneMatch, func(t tag) bool { return t == current }) {
		return nil, &notModified{current}
	}
	return newRoomOutput(snapshot), nil
}

type updateRoomInput struct {
	RoomPath
	IfMatch string `header:"If-Match" maxLength:"1024" doc:"ETag of the state that the change is made for."`
	Body    struct {
		Version    *int64                     `json:"version,omitempty" minimum:"0" doc:"The version that the change is made for, in place of If-Match."`
		Capacity   *int                       `json:"capacity,omitempty" minimum:"1" maximum:"10000" doc:"How many seats. Fewer than are taken sends nobody away."`
		Locked     *bool                      `json:"locked,omitempty" doc:"Whether only moderators may join."`
		Presenter  *string                    `json:"presenter,omitempty" maxLength:"64" doc:"A member's id; empty for none."`
		Properties map[string]json.RawMessage `json:"properties,omitempty" doc:"Is merged into the properties; null removes one."`
		Spotlight  Rotation                   `json:"spotlight,omitempty" doc:"The rotation of the spotlight; null ends it."`
	}
}

// Rotation is the rotation of a spotlight as it is asked for: see [wire.Spotlight]. It keeps what was sent, as null is not nothing.
type Rotation struct{ text json.RawMessage }

// UnmarshalJSON implements [json.Unmarshaler].
func (r *Rotation) UnmarshalJSON(text []byte) error {
	r.text = bytes.Clone(text)
	return nil
}

// Schema implements [huma.SchemaProvider].
func (Rotation) Schema(huma.Registry) *huma.Schema {
	s := &huma.Schema{
		Type: huma.TypeObject, Nullable: true, AdditionalProperties: false, Required: []string{"interval", "order"},
		Properties: map[string]*huma.Schema{
			"start":    {Type: huma.TypeInteger, Minimum: new(0.), Maximum: new(9e15), Description: "When the first turn begins, in milliseconds since 1970. Absent: now."},
			"interval": {Type: huma.TypeInteger, Minimum: new(1000.), Maximum: new(86400000.), Description: "How long a turn is, in milliseconds."},
			"order": {
				Type: huma.TypeArray, MinItems: new(1), MaxItems: new(500), Description: "Peer ids.",
				Items: &huma.Schema{Type: huma.TypeString, MinLength: new(1), MaxLength: new(64), Pattern: `^[!#-)+-9;-\[\]-~]+$`},
			},
		},
	}
	s.PrecomputeMessages()
	return s
}

func (a *API) updateRoom(ctx context.Context, in *updateRoomInput) (*roomOutput, error) {
	if in.IfMatch == "" && in.Body.Version == nil {
		return nil, newProblem(CodePreconditionRequired, "name the state that the change is made for: If-Match, or version")
	}
	change := wire.RoomChange{
		Capacity: in.Body.Capacity, Locked: in.Body.Locked, Presenter: in.Body.Presenter, Properties: in.Body.Properties, Spotlight: in.Body.Spotlight.text,
	}
	if err := a.checkChange(in.room(), &change); err != nil {
		return nil, err
	}
	snapshot, err := a.look(ctx, in.room(), false)
	if err != nil {
		return nil, err
	}
	version := snapshot.Version
	if in.IfMatch != "" && !anyTag(in.IfMatch, func(t tag) bool { return t.epoch == snapshot.Epoch && t.version == version }) {
		return nil, failedPrecondition(version)
	}
	if in.Body.Version != nil {
		version = *in.Body.Version
	}
	if nothing(&change) {
		if version != snapshot.Version {
			return nil, conflict(snapshot.Version)
		}
		return newRoomOutput(snapshot), nil
	}
	bounded, cancel := a.bounded(ctx)
	defer cancel()
	updated, err := a.opts.Rooms.Update(bounded, in.room(), version, &change)
	if e, ok := errors.AsType[*wire.Error](err); ok && e.Code == wire.CodeConflict {
		if in.IfMatch != "" {
			return nil, failedPrecondition(updated.Version)
		}
		return nil, conflict(updated.Version)
	}
	if err != nil {
		return nil, err
	}
	// What is answered includes the change, and maybe what came after it.
	if snapshot, err = a.look(ctx, in.room(), false); err != nil {
		return nil, err
	}
	return newRoomOutput(snapshot), nil
}

// nothing tells whether nothing is to change.
func nothing(c *wire.RoomChange) bool {
	return c.Capacity == nil && c.Locked == nil && c.Presenter == nil && c.Properties == nil && c.Spotlight == nil
}

func conflict(version int64) *Problem {
	p := newProblem(wire.CodeConflict, "the room has changed meanwhile")
	p.Version = version
	return p
}

func failedPrecondition(version int64) *Problem {
	p := newProblem(CodePreconditionFailed, "the room has changed since the state that If-Match names")
	p.Version = version
	return p
}

// checkChange holds a change to what the room can be.
func (a *API) checkChange(room store.Room, change *wire.RoomChange) error {
	_, most, err := a.seats(room.App, room.Name)
	switch {
	case err != nil:
		return err
	case change.Capacity != nil && *change.Capacity > most:
		return overCapacity(most)
	case change.Presenter != nil && *change.Presenter != "" && !validPeer(*change.Presenter):
		return newProblem(wire.CodePeerGone, "the presenter is not in the room")
	case change.Spotlight != nil && string(change.Spotlight) != "null":
		if _, err := wire.ParseSpotlight(change.Spotlight); err != nil {
			return err
		}
	}
	return checkProperties(change.Properties)
}

// Affected tells what became of a control.
type Affected struct {
	Epoch    string `json:"epoch" doc:"The room's epoch."`
	Seq      int64  `json:"seq" minimum:"0" doc:"The number of the event; with nobody affected that of the room's last one."`
	Affected int    `json:"affected" minimum:"0" doc:"How many members it was applied to."`
}

type affectedOutput struct{ Body Affected }

type closeRoomInput struct {
	RoomPath
	Reason string `query:"reason" maxLength:"256" doc:"What those who are in the room, and webhooks, are told about it, for people."`
}

func (a *API) closeRoom(ctx context.Context, in *closeRoomInput) (*affectedOutput, error) {
	if err := checkReason("query.reason", in.Reason); err != nil {
		return nil, err
	}
	return a.control(ctx, func(ctx context.Context) (store.Controlled, error) {
		return a.opts.Rooms.Close(ctx, in.room(), in.Reason)
	})
}

// checkReason holds what people are told to what can be shown.
func checkReason(location, reason string) error {
	if wire.ValidText(reason) {
		return nil
	}
	p := newProblem(CodeInvalid, "the reason is not a text")
	p.Errors = []Fault{{Location: location, Message: "up to " + strconv.Itoa(wire.MaxText) + " bytes of printable text in one line"}}
	return p
}

// control acts in a room.
func (a *API) control(ctx context.Context, act func(context.Context) (store.Controlled, error)) (*affectedOutput, error) {
	ctx, cancel := a.bounded(ctx)
	defer cancel()
	done, err := act(ctx)
	if err != nil {
		return nil, err
	}
	return &affectedOutput{Affected{Epoch: done.Epoch, Seq: done.Seq, Affected: done.Affected}}, nil
}

// look reads a room; one that does not exist is an error.
func (a *API) look(ctx context.Context, room store.Room, members bool) (*store.Snapshot, error) {
	ctx, cancel := a.bounded(ctx)
	defer cancel()
	return a.opts.Rooms.Get(ctx, room, members)
}

// bounded is a context that ends when the cluster's store has taken too long for an answer.
func (a *API) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, a.opts.Timeout)
}
