package client

import (
	"context"
	"errors"

	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// The calls below send one request and wait for its reply. They wait for the connection, too, while the client is
// coming back. Their errors are a [*wire.Error] for a refusal, a [*LostError] when the connection ended meanwhile,
// what ended the client, or that of the context. A request whose context ends may still take effect.
//
// Where a session can be resumed, a request outlives the connection: it is sent again on the next one, and takes effect
// once. It is lost only with the session, with the client, or, for a volatile message, at once; and where nobody can tell any
// more whether it took effect, as when its seat was lost meanwhile, the error has [wire.CodeOutcomeUnknown].

// Join takes a seat in a room, and keeps it: after a reconnect it is taken again with the state that it had. Events
// of the room may reach OnEvent before Join has returned; those at or below the snapshot's Seq are within it. A seat
// that is given after ctx has ended is given up again.
func (c *Client) Join(ctx context.Context, join wire.Join) (*wire.Snapshot, error) {
	return ask[wire.Snapshot](ctx, c, &join)
}

// Leave gives the seat in a room up.
func (c *Client) Leave(ctx context.Context, room string) (*wire.Done, error) {
	return ask[wire.Done](ctx, c, &wire.Leave{Room: room})
}

// Signal sends data to one peer.
func (c *Client) Signal(ctx context.Context, signal wire.Signal) (*wire.Done, error) {
	return ask[wire.Done](ctx, c, &signal)
}

// Publish sends data to everybody else in a room.
func (c *Client) Publish(ctx context.Context, publish wire.Publish) (*wire.Done, error) {
	return ask[wire.Done](ctx, c, &publish)
}

// SetState merges into the own state in a room.
func (c *Client) SetState(ctx context.Context, state wire.SetState) (*wire.Done, error) {
	return ask[wire.Done](ctx, c, &state)
}

// UpdateRoom changes a room; the error has [wire.CodeConflict] and the present version when it is another one.
func (c *Client) UpdateRoom(ctx context.Context, update wire.UpdateRoom) (*wire.Updated, error) {
	return ask[wire.Updated](ctx, c, &update)
}

// Control mutes, unmutes or kicks.
func (c *Client) Control(ctx context.Context, control wire.Control) (*wire.Controlled, error) {
	return ask[wire.Controlled](ctx, c, &control)
}

// Peers counts the seats of a room.
func (c *Client) Peers(ctx context.Context, room string) (*wire.HeadCount, error) {
	return ask[wire.HeadCount](ctx, c, &wire.Peers{Room: room})
}

// Snapshot gives the whole of a room that one has a seat in.
func (c *Client) Snapshot(ctx context.Context, room string) (*wire.Snapshot, error) {
	return ask[wire.Snapshot](ctx, c, &wire.Peers{Room: room, List: true})
}

// Report tells the outcome of a negotiation of media.
func (c *Client) Report(ctx context.Context, report wire.Report) error {
	_, err := ask[wire.Nothing](ctx, c, &report)
	return err
}

// Ping asks for a sign of life.
func (c *Client) Ping(ctx context.Context) (*wire.Pong, error) {
	return ask[wire.Pong](ctx, c, new(wire.Ping))
}

// Refresh goes on with the session under a new token of the same user. A client with a TokenSource does so by itself when it is told
// that the token is about to expire.
func (c *Client) Refresh(ctx context.Context, token string) (*wire.Refreshed, error) {
	refreshed, err := ask[wire.Refreshed](ctx, c, &wire.Refresh{Token: token})
	if err == nil {
		c.renewed(refreshed)
	}
	return refreshed, err
}

// Go sends a request without waiting for its reply, nor for a connection. done is called exactly once: by the
// goroutine that reads, with a reply that is valid until done returns, or a loss; or from within Go, when there is no
// connection. The body must not be changed until then. The request is written when Go returns, so that the network's
// own pace (up to 10 s) holds Go back, too; but for a while after a resume, when it waits behind the requests that are
// sent again.
func (c *Client) Go(body wire.RequestBody, done func(*wire.Reply, error)) {
	r := request{body: body, done: c.keeping(body, done)}
	for {
		c.mu.Lock()
		l, err := c.link, c.err
		c.mu.Unlock()
		if err == nil && l == nil {
			err = &LostError{Cause: errNotConnected}
		}
		if err == nil {
			_, err = c.send(c.ctx, l, r)
		}
		if errors.Is(err, errNotConnected) && l != nil {
			continue // the client has just got another connection, or lost this one
		}
		if err != nil {
			done(nil, err)
		}
		return
	}
}

// ask is a call with a reply of its own type.
func ask[T any, P interface {
	*T
	wire.ReplyBody
}](ctx context.Context, c *Client, body wire.RequestBody) (*T, error) {
	answer := new(T)
	if err := c.call(ctx, body, P(answer)); err != nil {
		return nil, err
	}
	return answer, nil
}

func (c *Client) call(ctx context.Context, body wire.RequestBody, answer wire.ReplyBody) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	result := make(chan error, 1)
	r := request{body: body, done: c.keeping(body, func(reply *wire.Reply, err error) {
		if err == nil {
			err = decode(reply, answer) // here, since the reply is gone when this returns
		}
		result <- err
	})}
	id, err := c.sendWhenReady(ctx, r)
	if err != nil {
		return err
	}
	select {
	case err = <-result:
	case <-ctx.Done():
		if c.abandon(id, c.unwanted(body)) {
			return ctx.Err()
		}
		err = <-result // the reply has won
	}
	return err
}

// sendWhenReady waits for a connection to send a request on.
func (c *Client) sendWhenReady(ctx context.Context, r request) (int64, error) {
	for {
		l, err := c.ready(ctx)
		if err != nil {
			return 0, err
		}
		id, err := c.send(ctx, l, r)
		if !errors.Is(err, errNotConnected) {
			return id, err
		}
	}
}

// decode gives the body of a reply, or its refusal.
func decode(reply *wire.Reply, answer wire.ReplyBody) error {
	if reply.Err != nil {
		return reply.Err
	}
	if err := reply.Decode(answer); err != nil {
		return &protocolError{err}
	}
	return nil
}
