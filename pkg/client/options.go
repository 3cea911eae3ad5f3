package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// Options says where to connect, as whom, and what to do with what comes.
type Options struct {
	// URL is the gateway's: ws, wss, http or https; the path is /v1/connect where it has none.
	URL string
	// Token is a JWT of the app's backend. TokenSource fetches one for each connection instead, since tokens expire;
	// without both, App names an app that lets anonymous clients in, and Name is the display name.
	Token       string
	TokenSource func(ctx context.Context) (string, error)
	App, Name   string
	// Software names the client's software, for the gateway's log; client-go if empty.
	Software string

	// NetDialContext makes the network connections; a [net.Dialer]'s and the environment's proxy if nil.
	NetDialContext func(ctx context.Context, network, addr string) (net.Conn, error)
	// TLS is for wss and https; the system's roots if nil.
	TLS *tls.Config
	// Origin is sent as a browser sends it; none if empty.
	Origin string
	// Header has more headers for the handshake's request: a traceparent that makes the session part of a trace, or what a proxy in
	// front of the gateway wants to see.
	Header http.Header
	// OpenTimeout is how long one attempt to connect and to say hello may take; 10 s if 0.
	OpenTimeout time.Duration

	// Reconnect makes the client come back when it loses its connection, and take its seats again.
	Reconnect bool
	// NoResume makes every connection a new session. Without it, a client that comes back goes on with the session that
	// it had, where the gateway can: seats are kept, what was missed is told, and requests that wait are sent again.
	NoResume bool
	// Backoff spreads the attempts to come back.
	Backoff Backoff

	// OnEvent gets every event, in order, from the one goroutine that reads: it must not wait for the client's own
	// calls ([Client.Go] is fine), and the longer it takes the later comes what follows. After a reconnect the events
	// go on; where what was missed is not known any more, or the room had to be joined again, a [wire.Resync] stands in
	// front of its new events, and a [wire.Closed] with [ReasonLost] for a room that could not be joined again.
	OnEvent func(wire.Event)
	// OnSeatLost gets why a room could not be joined again, from the same goroutine, in front of that event: mostly a
	// [*wire.Error], as one with [wire.CodeRoomFull] where somebody else has the seat by now.
	OnSeatLost func(room string, err error)
	// OnState gets every change of state, from the same goroutine; the first comes from within [Dial]. It gets
	// StateConnected again when leaving a draining gateway has ended in a new session.
	OnState func(State)
	// OnResumed gets the gateway's answer when a session goes on over a new connection, from the same goroutine, after
	// OnState and in front of the events that were missed. A client that leaves a draining gateway in time does not
	// change its state: for that, this is the only word.
	OnResumed func(*wire.Welcome)
	// Logger gets losses and reconnects; nothing is logged if nil.
	Logger *slog.Logger
}

func (o *Options) validate() error {
	target, err := url.Parse(o.URL)
	if err != nil {
		return fmt.Errorf("client: %w", err)
	}
	switch target.Scheme {
	case "ws", "wss":
	case "http":
		target.Scheme = "ws"
	case "https":
		target.Scheme = "wss"
	default:
		return fmt.Errorf("client: the scheme of %q is none of ws, wss, http, https", o.URL)
	}
	if target.Host == "" {
		return fmt.Errorf("client: %q has no host", o.URL)
	}
	if target.Path == "" || target.Path == "/" {
		target.Path = "/v1/connect"
	}
	target.Fragment = ""
	o.URL = target.String()
	if o.Token != "" && o.TokenSource != nil {
		return errors.New("client: both a token and a source of tokens are given")
	}
	if o.OpenTimeout < 0 {
		return fmt.Errorf("client: the open timeout is negative: %v", o.OpenTimeout)
	}
	if o.OpenTimeout == 0 {
		o.OpenTimeout = 10 * time.Second
	}
	if o.Software == "" {
		o.Software = "client-go"
	}
	if o.OnEvent == nil {
		o.OnEvent = func(wire.Event) {}
	}
	if o.OnState == nil {
		o.OnState = func(State) {}
	}
	if o.OnSeatLost == nil {
		o.OnSeatLost = func(string, error) {}
	}
	if o.OnResumed == nil {
		o.OnResumed = func(*wire.Welcome) {}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o.Backoff.validate()
}
