package httpapi

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/signalbox-rtc/signalbox/pkg/store"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// Content is what a message of the app itself says.
type Content struct {
	Topic string          `json:"topic,omitempty" maxLength:"64" pattern:"^[A-Za-z0-9._~-]*$" doc:"What it is about."`
	Data  json.RawMessage `json:"data" doc:"Any JSON."`
}

func (a *API) messageOperations() {
	register(a, operation{
		id: "post-to-room", method: http.MethodPost, path: "/apps/{app}/rooms/{room}/messages", tag: "messages", need: Write, once: true, quota: true,
		summary: "Send a message to a room", text: "To everybody in it, or to one member. They get a `message` without `from`.",
		codes: []wire.Code{wire.CodePeerGone, wire.CodeForbidden, CodeInvalid},
	}, a.postToRoom)
	register(a, operation{
		id: "post-to-user", method: http.MethodPost, path: "/apps/{app}/users/{user}/messages", tag: "users", need: Write, once: true, quota: true,
		summary: "Send a message to a user", text: "In all rooms in which the user is: to the user alone, or to everybody there.",
	}, a.postToUser)
	register(a, operation{
		id: "post-to-app", method: http.MethodPost, path: "/apps/{app}/messages", tag: "messages", need: Write, once: true, quota: true,
		summary: "Send a message to all rooms of an app",
	}, a.postToApp)
	register(a, operation{
		id: "rooms-of-user", method: http.MethodGet, path: "/apps/{app}/users/{user}/rooms", tag: "users", need: Read,
		summary: "List the rooms in which a user is", text: "It looks at all of the app's rooms.",
	}, a.roomsOfUser)
}

type postToRoomInput struct {
	RoomPath
	Body struct {
		To   string `json:"to,omitempty" maxLength:"64" doc:"The member that it is for. Absent: everybody."`
		Keep bool   `json:"keep,omitempty" doc:"Keep it for those who join later. For everybody, under the topic chat or whiteboard."`
		Content
	}
}

// Posted tells where a message is in a room's order.
type Posted struct {
	Room  string `json:"room"`
	Epoch string `json:"epoch" doc:"The room's epoch."`
	Seq   int64  `json:"seq" minimum:"0" doc:"The message's number in the room."`
}

type postedOutput struct{ Body Posted }

func (a *API) postToRoom(ctx context.Context, in *postToRoomInput) (*postedOutput, error) {
	if in.Body.To != "" && !validPeer(in.Body.To) {
		return nil, newProblem(wire.CodePeerGone, "that peer is not in the room")
	}
	if err := a.takeMessage(in.App, &in.Body.Content); err != nil {
		return nil, err
	}
	ctx, cancel := a.bounded(ctx)
	defer cancel()
	if in.Body.Keep {
		return a.keepInRoom(ctx, in)
	}
	posted, err := a.opts.Rooms.Post(ctx, in.room(), in.Body.To, in.Body.Topic, in.Body.Data)
	if err != nil {
		return nil, err
	}
	return &postedOutput{Posted{Room: in.Room, Epoch: posted.Epoch, Seq: posted.Seq}}, nil
}

type UserPath struct {
	AppPath
	User string `path:"user" doc:"The app's own id of the user." minLength:"1" maxLength:"128"`
}

type postToUserInput struct {
	UserPath
	Body struct {
		To string `json:"to,omitempty" enum:"user,rooms" default:"user" doc:"Whom it is for in each of the rooms: the user alone, or everybody."`
		Content
	}
}

type postedManyOutput struct {
	Body struct {
		Posted  []Posted `json:"posted" nullable:"false" doc:"Where it was posted: one entry for each room, or for each seat of the user."`
		Failed  int      `json:"failed" minimum:"0" doc:"In how many rooms that was not possible, because the cluster's store did not answer."`
		Refused int      `json:"refused" minimum:"0" doc:"In how many rooms that was too much for the app's quotas."`
	}
}

func (a *API) postToUser(ctx context.Context, in *postToUserInput) (*postedManyOutput, error) {
	ctx, cancel := a.bounded(ctx)
	defer cancel()
	names, err := a.opts.Rooms.Of(ctx, in.App, in.User)
	if err != nil {
		return nil, err
	}
	p := poster{api: a, app: in.App, Content: in.Body.Content}
	for _, name := range names {
		p.do(func() error {
			if in.Body.To == "rooms" {
				return p.post(ctx, name, "")
			}
			snapshot, err := a.opts.Rooms.Get(ctx, store.Room{App: in.App, Name: name}, true)
			if err != nil {
				return err
			}
			for i := range snapshot.Members {
				if m := &snapshot.Members[i]; memberOf(m).User == in.User {
					err = errors.Join(err, p.post(ctx, name, m.ID))
				}
			}
			return err
		})
	}
	return p.result()
}

type postToAppInput struct {
	AppPath
	Body Content
}

type postedAppOutput struct {
	Body struct {
		Posted  int `json:"posted" minimum:"0" doc:"To how many rooms it was posted."`
		Failed  int `json:"failed" minimum:"0" doc:"In how many rooms that was not possible, because the cluster's store did not answer."`
		Refused int `json:"refused" minimum:"0" doc:"In how many rooms that was too much for the app's quotas."`
	}
}

func (a *API) postToApp(ctx context.Context, in *postToAppInput) (*postedAppOutput, error) {
	ctx, cancel := a.bounded(ctx)
	defer cancel()
	p := poster{api: a, app: in.App, Content: in.Body}
	err := a.eachRoom(ctx, in.App, func(info *store.RoomInfo) {
		name := info.Name
		p.do(func() error { return p.post(ctx, name, "") })
	})
	done, refusal := p.result()
	if refusal != nil {
		return nil, refusal
	}
	out := new(postedAppOutput)
	out.Body.Posted, out.Body.Failed, out.Body.Refused = len(done.Body.Posted), done.Body.Failed, done.Body.Refused
	if err != nil && out.Body.Posted == 0 {
		return nil, err
	}
	return out, nil
}

// eachRoom goes through the rooms of an app.
func (a *API) eachRoom(ctx context.Context, app string, visit func(*store.RoomInfo)) error {
	for cursor := ""; ; {
		infos, next, err := a.opts.Rooms.List(ctx, app, cursor, roomsAtOnce)
		if err != nil {
			return err
		}
		for i := range infos {
			visit(&infos[i])
		}
		if next == "" {
			return nil
		}
		cursor = next
	}
}

const (
	// roomsAtOnce is how many rooms are read from the store in one go.
	roomsAtOnce = 500
	// postsAtOnce is how many messages of one request are on their way to the store.
	postsAtOnce = 64
)

// poster sends one message to many.
type poster struct {
	api *API
	app string
	Content
	group errgroup.Group
	began bool

	mu      sync.Mutex
	posted  []Posted // guarded by mu
	failed  int      // guarded by mu
	refused int      // guarded by mu
	refusal error    // guarded by mu: the first one
}

// do does the part of one room, beside others.
func (p *poster) do(part func() error) {
	if !p.began {
		p.group.SetLimit(postsAtOnce)
		p.began = true
	}
	p.group.Go(func() error {
		err := part()
		if err == nil {
			return nil
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		switch problemOf(err).Status {
		case http.StatusNotFound: // who has left meanwhile, and a room that has ended, are no failures
		case http.StatusTooManyRequests:
			p.refused++
			p.refusal = cmp.Or(p.refusal, err)
		default:
			p.failed++
		}
		return nil
	})
}

func (p *poster) post(ctx context.Context, room, peer string) error {
	if err := p.api.takeMessage(p.app, &p.Content); err != nil {
		return err
	}
	posted, err := p.api.opts.Rooms.Post(ctx, store.Room{App: p.app, Name: room}, peer, p.Topic, p.Data)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.posted = append(p.posted, Posted{Room: room, Epoch: posted.Epoch, Seq: posted.Seq})
	return nil
}

// result waits for all parts. Where the quotas have allowed nothing at all, the refusal is the result.
func (p *poster) result() (*postedManyOutput, error) {
	_ = p.group.Wait() // no part gives an error
	if p.refusal != nil && len(p.posted)+p.failed == 0 {
		return nil, p.refusal
	}
	out := new(postedManyOutput)
	out.Body.Posted, out.Body.Failed, out.Body.Refused = append([]Posted{}, p.posted...), p.failed, p.refused
	return out, nil
}

type roomsOfUserOutput struct {
	Body struct {
		Rooms []string `json:"rooms" nullable:"false" doc:"Their names, sorted."`
	}
}

func (a *API) roomsOfUser(ctx context.Context, in *struct{ UserPath }) (*roomsOfUserOutput, error) {
	ctx, cancel := a.bounded(ctx)
	defer cancel()
	names, err := a.opts.Rooms.Of(ctx, in.App, in.User)
	if err != nil {
		return nil, err
	}
	out := new(roomsOfUserOutput)
	out.Body.Rooms = append([]string{}, names...)
	return out, nil
}
