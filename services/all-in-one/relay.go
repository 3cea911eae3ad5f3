package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"

	"github.com/signalbox-rtc/signalbox/pkg/auth"
	"github.com/signalbox-rtc/signalbox/pkg/telemetry"
	"github.com/signalbox-rtc/signalbox/services/gateway/app"
	relay "github.com/signalbox-rtc/signalbox/services/relay/app"
)

// inside is the relay inside this process.
type inside struct {
	*relay.Relay // nil where there is none
	secret       string
}

// openRelay opens a relay at the address of the gateways. Its clients reach each other by way of it, and nothing else but, on the loopback
// interface, each other.
func openRelay(ctx context.Context, opts *options) (*inside, error) {
	at, ok := addressOf(opts.host)
	if opts.noRelay || !ok {
		return &inside{}, nil
	}
	secret := rand.Text()
	config := relay.Default()
	anyPort := net.JoinHostPort(at.String(), "0")
	config.Listen.UDP, config.Listen.TCP, config.Listen.Operations = []string{anyPort}, []string{anyPort}, "127.0.0.1:0"
	config.Listen.Sockets = 1
	config.Relay.ExternalIP = []string{at.String()}
	config.Credentials.Secrets = []auth.Secret{auth.Secret(secret)}
	if at.IsLoopback() {
		config.Peers.Allow = []string{"127.0.0.0/8", "::1"}
	}
	config.Shutdown.Drain = 0
	config.Log.Level, config.Log.Format = opts.logLevel, telemetry.FormatText
	level := new(slog.LevelVar)
	level.Set(config.Log.SlogLevel())
	r, err := relay.Open(ctx, relay.Options{Config: config, Logger: telemetry.NewLogger(os.Stderr, level, config.Log.Format), Registry: newRegistry()})
	if err != nil {
		return nil, fmt.Errorf("the relay inside: %w", err)
	}
	return &inside{Relay: r, secret: secret}, nil
}

// addressOf is the address of a host that is one, or is this machine. Of other names a relay could not tell clients where it is.
func addressOf(host string) (netip.Addr, bool) {
	if host == "localhost" {
		host = "127.0.0.1"
	}
	at, err := netip.ParseAddr(host)
	return at, err == nil && !at.IsUnspecified()
}

// servers are what the gateways tell their clients of it, with credentials for each.
func (r *inside) servers() []app.ICEServer {
	if r.Relay == nil {
		return nil
	}
	return []app.ICEServer{{URLs: r.URLs(), Secret: auth.Secret(r.secret)}}
}

func (r *inside) run(ctx context.Context) error {
	if r.Relay == nil {
		return nil
	}
	return r.Run(ctx)
}

// Close releases what was opened and does not run.
func (r *inside) Close() {
	if r.Relay != nil {
		r.Relay.Close()
	}
}
