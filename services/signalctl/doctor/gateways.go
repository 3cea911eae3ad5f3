package doctor

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/signalbox-rtc/signalbox/pkg/client"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
	"github.com/signalbox-rtc/signalbox/services/gateway/probe"
)

// visitor is a client on one gateway.
type visitor struct {
	*client.Client
	heard chan wire.Event // messages and signals
}

// visit is what a visitor has seen of a gateway.
type visit struct {
	guest     *visitor
	url       string
	node      string // its name
	connected time.Duration
	joined    time.Duration
	relayed   time.Duration // a message from it to the next gateway, and a signal back
	peer      string        // that gateway's name
	clock     time.Duration // the gateway's less this machine's
	within    time.Duration
}

// gateways joins a room through each gateway, and relays from each to the next.
func (e *examination) gateways(ctx context.Context) {
	if len(e.opts.Gateways) == 0 {
		e.add("gateways", Warn, "none asked", "no client has tried to join", "Name each gateway with --gateway, as in --gateway http://10.0.0.7:8080.")
		return
	}
	entry := probe.Options{Token: e.opts.Token, App: e.opts.App}
	if entry.Token == "" {
		if err := entry.Enter(e.opts.Config, e.opts.App, e.opts.Timeout*time.Duration(1+len(e.opts.Gateways))); err != nil && entry.App == "" {
			e.add("gateways", Fail, "", "no client can be let in: none of the configuration's apps has a key that signs here, or lets users in without a token",
				"Give a token with --token-file, or an app that lets users in without one with --app.")
			return
		}
	}
	var visits []*visit
	for _, address := range e.opts.Gateways {
		v, err := e.visit(ctx, entry, address)
		if err != nil {
			e.add("gateway "+address, Fail, "", err.Error(), remedyFor(err))
			continue
		}
		defer v.guest.Close()
		visits = append(visits, v)
	}
	reached := make([]string, len(visits))
	for i, v := range visits { // each speaks to the next one, and the last to the first
		reached[i] = v.node
		name := "gateway " + v.url
		if err := e.call(ctx, entry, v, visits[(i+1)%len(visits)]); err != nil {
			e.add(name, Fail, v.node, err.Error(), remedyFor(err))
			continue
		}
		e.visited(name, v)
	}
	if missing := without(e.names, reached); len(missing) > 0 {
		e.add("gateways", Warn, fmt.Sprintf("%d of %d asked", len(e.names)-len(missing), len(e.names)),
			"no client was on: "+strings.Join(missing, ", "), "Name them with --gateway, too.")
	}
}

// visited judges what was seen of a gateway.
func (e *examination) visited(name string, v *visit) {
	figure := fmt.Sprintf("%s: connected in %s, joined in %s, relayed to %s and back in %s", v.node, short(v.connected), short(v.joined), v.peer, short(v.relayed))
	if e.names != nil && !slices.Contains(e.names, v.node) {
		e.add(name, Fail, figure, "it is not in the roster of this Redis", "It belongs to another cluster: correct the address here, or redis of its configuration.")
	} else {
		e.ok(name, figure)
	}
	e.clock(name+" clock", "the gateway", v.clock, v.within)
}

// remedyFor is what to do when a client does not get through.
func remedyFor(err error) string {
	if refused, ok := errors.AsType[*wire.Error](err); ok {
		if refused.Code == wire.CodeUnauthorized {
			return "The gateway has other apps or keys than this configuration: give a token with --token-file. docs/runbooks/SignalboxAuthFailures.md goes on."
		}
		return "The gateway refuses a client, with the code " + string(refused.Code) + "; docs/protocol.md says when it does."
	}
	if errors.As(err, new(*client.HandshakeError)) {
		return "Something answers that does not let the client in: is it a gateway's public address (listen.public), and does it take more connections? docs/runbooks/SignalboxClientsRefused.md goes on."
	}
	return "Look whether the gateway runs, whether its port is open from here, and at /readyz of its operations address. docs/runbooks/SignalboxTargetDown.md goes on."
}

// visit connects to a gateway, and asks for its time.
func (e *examination) visit(ctx context.Context, entry probe.Options, address string) (*visit, error) {
	ctx, cancel := context.WithTimeout(ctx, e.opts.Timeout)
	defer cancel()
	v := &visit{url: address}
	began := time.Now()
	var err error
	if v.guest, err = e.dial(ctx, entry, address); err != nil {
		return nil, err
	}
	v.connected, v.node = time.Since(began), v.guest.Welcome().Node
	asked := time.Now()
	pong, err := v.guest.Ping(ctx)
	if err != nil {
		v.guest.Close()
		return nil, fmt.Errorf("ping: %w", err)
	}
	v.within = time.Since(asked)/2 + time.Millisecond // to which the answer is cut
	v.clock = time.UnixMilli(pong.Time).Sub(asked.Add(v.within))
	return v, nil
}

// call has a client on the gateway and one on the next, which may be the same, join one room and speak to each other.
func (e *examination) call(ctx context.Context, entry probe.Options, v, next *visit) error {
	ctx, cancel := context.WithTimeout(ctx, e.opts.Timeout)
	defer cancel()
	here, there := v.guest, next.guest
	if v == next {
		var err error
		if there, err = e.dial(ctx, entry, v.url); err != nil {
			return fmt.Errorf("a second client: %w", err)
		}
		defer there.Close()
	}
	v.peer = next.node
	room := "signalbox-doctor-" + strings.ToLower(rand.Text()[:12])
	began := time.Now()
	if _, err := here.Join(ctx, wire.Join{Room: room}); err != nil {
		return fmt.Errorf("join: %w", err)
	}
	v.joined = time.Since(began)
	if _, err := there.Join(ctx, wire.Join{Room: room}); err != nil {
		return fmt.Errorf("join through %s: %w", v.peer, err)
	}
	began = time.Now()
	err := relay(ctx, room, here, there)
	v.relayed = time.Since(began)
	return err
}

// relay sends a message one way and a signal back.
func relay(ctx context.Context, room string, here, there *visitor) error {
	text := json.RawMessage(`"` + rand.Text() + `"`)
	if _, err := here.Publish(ctx, wire.Publish{Room: room, Data: text}); err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	if err := there.await(ctx, func(e wire.Event) bool {
		message, ok := e.Body.(*wire.Message)
		return ok && string(message.Data) == string(text)
	}); err != nil {
		return fmt.Errorf("a message to %s did not arrive: %w", there.Welcome().Node, err)
	}
	signal := json.RawMessage(`{"doctor":` + string(text) + `}`)
	if _, err := there.Signal(ctx, wire.Signal{Room: room, To: here.Welcome().Session, Data: signal}); err != nil {
		return fmt.Errorf("signal: %w", err)
	}
	if err := here.await(ctx, func(e wire.Event) bool {
		signaled, ok := e.Body.(*wire.Signaled)
		return ok && string(signaled.Data) == string(signal)
	}); err != nil {
		return fmt.Errorf("a signal from %s did not arrive: %w", there.Welcome().Node, err)
	}
	return nil
}

func (e *examination) dial(ctx context.Context, entry probe.Options, address string) (*visitor, error) {
	origin, err := probe.OriginOf(address)
	if err != nil {
		return nil, err
	}
	v := &visitor{heard: make(chan wire.Event, 16)} // what is not read is of no use, so that the reader never waits
	v.Client, err = client.Dial(ctx, client.Options{
		URL: address, Token: entry.Token, App: entry.App, Name: "doctor", Software: "signalctl", Origin: origin, TLS: e.opts.TLS,
		OnEvent: func(event wire.Event) {
			select {
			case v.heard <- event:
			default:
			}
		},
	})
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", address, err)
	}
	return v, nil
}

// await waits for an event.
func (v *visitor) await(ctx context.Context, wanted func(wire.Event) bool) error {
	for {
		select {
		case event := <-v.heard:
			if wanted(event) {
				return nil
			}
		case <-v.Done():
			return cmp.Or(v.Err(), errors.New("the connection has ended"))
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// without gives those of names that are not among others.
func without(names, others []string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool { return slices.Contains(others, name) })
}
