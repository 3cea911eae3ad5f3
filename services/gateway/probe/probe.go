// Package probe looks at a cluster as its clients see it: two of them join a room and send each other a message.
package probe

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/signalbox-rtc/signalbox/pkg/client"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// Options say what is looked at, and as whom.
type Options struct {
	// URL is that of the gateways: ws, wss, http or https.
	URL string
	// Token lets the clients in; without one, App is an app that lets anonymous clients in.
	Token, App string
	// Room is the room's name; one that nobody else has if empty.
	Room string
	// TLS is for wss and https; the system's roots if nil.
	TLS *tls.Config
	// Out gets a line for each step. Required.
	Out io.Writer
}

// attempts is how often the second client connects to find another gateway than the first one's: behind a Service that
// chooses by chance one of two, it misses it in one run of a thousand.
const attempts = 10

// Topic of the message, by which it is told from what else is in a room with a given name.
const topic = "signalbox-probe"

// guest is one of the two clients.
type guest struct {
	*client.Client
	heard chan wire.Event // messages and signals
}

// Run joins a room with two clients and relays a message to the room, and a signal back. It returns the first thing that
// does not work.
func Run(ctx context.Context, o Options) error {
	if o.Room == "" {
		o.Room = "signalbox-probe-" + strings.ToLower(rand.Text()[:12])
	}
	began := time.Now()
	first, err := o.dial(ctx, "probe-1")
	if err != nil {
		return err
	}
	defer first.Close()
	o.say("probe-1 is connected to %s in %s", first.Welcome().Node, since(began))
	second, err := o.dialOther(ctx, first.Welcome().Node)
	if err != nil {
		return err
	}
	defer second.Close()
	for _, g := range []*guest{first, second} {
		began := time.Now()
		if _, err := g.Join(ctx, wire.Join{Room: o.Room}); err != nil {
			return fmt.Errorf("join room %q: %w", o.Room, err)
		}
		o.say("joined %s through %s in %s", o.Room, g.Welcome().Node, since(began))
	}
	return o.relay(ctx, first, second)
}

// relay sends a message one way and a signal the other.
func (o *Options) relay(ctx context.Context, first, second *guest) error {
	began := time.Now()
	text := rand.Text()
	if _, err := first.Publish(ctx, wire.Publish{Room: o.Room, Topic: topic, Data: json.RawMessage(`"` + text + `"`)}); err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	if err := second.await(ctx, first, func(e wire.Event) bool {
		message, ok := e.Body.(*wire.Message)
		return ok && message.Topic == topic && string(message.Data) == `"`+text+`"`
	}); err != nil {
		return fmt.Errorf("the message did not arrive: %w", err)
	}
	o.say("message from %s to %s in %s", first.Welcome().Node, second.Welcome().Node, since(began))

	began = time.Now()
	signal := wire.Signal{Room: o.Room, To: first.Welcome().Session, Data: json.RawMessage(`{"probe":"` + text + `"}`)}
	if _, err := second.Signal(ctx, signal); err != nil {
		return fmt.Errorf("signal: %w", err)
	}
	if err := first.await(ctx, second, func(e wire.Event) bool {
		signaled, ok := e.Body.(*wire.Signaled)
		return ok && signaled.From == second.Welcome().Session && string(signaled.Data) == string(signal.Data)
	}); err != nil {
		return fmt.Errorf("the signal did not arrive: %w", err)
	}
	o.say("signal from %s to %s in %s", second.Welcome().Node, first.Welcome().Node, since(began))
	return nil
}

// dialOther connects the second client, to another gateway than the first one's if there is one.
func (o *Options) dialOther(ctx context.Context, node string) (*guest, error) {
	for attempt := 1; ; attempt++ {
		g, err := o.dial(ctx, "probe-2")
		if err != nil {
			return nil, err
		}
		if g.Welcome().Node != node {
			o.say("probe-2 is connected to %s", g.Welcome().Node)
			return g, nil
		}
		if attempt == attempts {
			o.say("both clients are on %s: %d further connections led to no other gateway", node, attempts)
			return g, nil
		}
		g.Close()
	}
}

func (o *Options) dial(ctx context.Context, name string) (*guest, error) {
	// What is not read is of no use to the probe, so that the reader never waits.
	g := &guest{heard: make(chan wire.Event, 16)}
	origin, err := OriginOf(o.URL)
	if err != nil {
		return nil, err
	}
	g.Client, err = client.Dial(ctx, client.Options{
		URL: o.URL, Token: o.Token, App: o.App, Name: name, Software: "signalbox-probe", Origin: origin, TLS: o.TLS,
		OnEvent: func(e wire.Event) {
			switch e.Body.(type) {
			case *wire.Message, *wire.Signaled:
				select {
				case g.heard <- e:
				default:
				}
			}
		},
	})
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", o.URL, err)
	}
	return g, nil
}

// await waits for an event, while the client and its sender are there.
func (g *guest) await(ctx context.Context, sender *guest, wanted func(wire.Event) bool) error {
	for {
		select {
		case e := <-g.heard:
			if wanted(e) {
				return nil
			}
		case <-g.Done():
			return g.Err()
		case <-sender.Done():
			return sender.Err()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// OriginOf is the web origin of the gateways themselves, which they always allow: so the probe also gets in where
// clients without an origin are refused.
func OriginOf(address string) (string, error) {
	target, err := url.Parse(address)
	if err != nil {
		return "", fmt.Errorf("the address is not valid: %w", err)
	}
	switch target.Scheme {
	case "ws":
		target.Scheme = "http"
	case "wss":
		target.Scheme = "https"
	}
	return target.Scheme + "://" + target.Host, nil
}

// say tells of a step. What counts is what Run returns.
func (o *Options) say(format string, args ...any) { _, _ = fmt.Fprintf(o.Out, format+"\n", args...) }

func since(began time.Time) time.Duration { return time.Since(began).Round(10 * time.Microsecond) }

// transport is the TLS configuration of the flags.
func transport(caFile, serverName string, insecure bool) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: serverName, InsecureSkipVerify: insecure}
	if caFile == "" {
		return config, nil
	}
	pem, err := os.ReadFile(caFile)
	if err != nil {
		return nil, err
	}
	config.RootCAs = x509.NewCertPool()
	if !config.RootCAs.AppendCertsFromPEM(pem) {
		return nil, errors.New(caFile + " holds no certificate")
	}
	return config, nil
}
