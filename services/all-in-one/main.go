// Command all-in-one is a whole Signalbox cluster in one process, for a laptop: two gateways with the demo app and the
// pages, a relay, and a Redis inside unless one is given.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/signalbox-rtc/signalbox/pkg/auth"
	"github.com/signalbox-rtc/signalbox/pkg/telemetry"
	"github.com/signalbox-rtc/signalbox/services/gateway/app"
)

func main() {
	opts, err := parse(os.Args[1:], os.Stdout)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	if err := run(ctx, opts, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "all-in-one:", err)
		os.Exit(1)
	}
}

// devServers are where development servers serve pages unless they are told otherwise: Vite, its preview, and most others.
const devServers = "http://localhost:5173,http://localhost:4173,http://localhost:3000"

// options are what the command line says.
type options struct {
	redis    string
	host     string
	ports    []string
	origins  []string
	logLevel string
	noRelay  bool
}

func parse(args []string, out io.Writer) (*options, error) {
	opts := &options{}
	var ports, origins string
	flags := flag.NewFlagSet("all-in-one", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.StringVar(&opts.redis, "redis", "", "`URL` of a Redis to use, as in redis://localhost:6379; without it one inside this process")
	flags.StringVar(&opts.host, "host", "localhost", "`host` to listen on; browsers give pages a camera only on localhost or with TLS")
	flags.StringVar(&ports, "ports", "8080,8090", "`ports` of the gateways, separated by commas, one gateway each; 0 is any free one")
	flags.StringVar(&origins, "origins", devServers, "web `origins` of pages of your own, separated by commas; those of usual development servers unless given, * is any")
	flags.StringVar(&opts.logLevel, "log-level", "warn", "least weight of what is logged: debug, info, warn or error")
	flags.BoolVar(&opts.noRelay, "no-relay", false, "leave the relay (STUN and TURN) out")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if flags.NArg() > 0 {
		return nil, fmt.Errorf("all-in-one: %q is not a flag; see --help", flags.Arg(0))
	}
	for port := range strings.SplitSeq(ports, ",") {
		number, err := strconv.ParseUint(strings.TrimSpace(port), 10, 16)
		if err != nil {
			return nil, fmt.Errorf("all-in-one: --ports: %q is not a port", port)
		}
		opts.ports = append(opts.ports, strconv.FormatUint(number, 10))
	}
	for origin := range strings.SplitSeq(origins, ",") {
		origin = strings.TrimSpace(origin)
		if err := auth.ValidateOrigin(origin); err != nil {
			return nil, fmt.Errorf("all-in-one: --origins: %q: %w", origin, err)
		}
		opts.origins = append(opts.origins, origin)
	}
	return opts, nil
}

// run serves the cluster until ctx ends.
func run(ctx context.Context, opts *options, out io.Writer) error {
	url := opts.redis
	if url == "" {
		embedded, err := startRedis()
		if err != nil {
			return err
		}
		defer embedded.Close()
		url = embedded.url
	}
	turn, err := openRelay(ctx, opts)
	if err != nil {
		return err
	}
	defer turn.Close()
	key := rand.Text() + rand.Text()
	var gateways []*app.Gateway
	for i, port := range opts.ports {
		gateway, err := open(ctx, opts, url, key, "gateway-"+strconv.Itoa(i+1), port, turn.servers())
		if err != nil {
			for _, opened := range gateways {
				opened.Close() //nolint:contextcheck // it waits for nothing
			}
			return err
		}
		gateways = append(gateways, gateway)
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return turn.run(ctx) })
	for _, gateway := range gateways {
		group.Go(func() error { return gateway.RunAnew(ctx, newRegistry) })
	}
	group.Go(func() error { return greet(ctx, out, opts, key, gateways) })
	return group.Wait()
}

// redis is the one inside this process. It runs the same scripts as a real one, and keeps nothing.
type redis struct {
	*miniredis.Miniredis
	url string
}

func startRedis() (*redis, error) {
	server := miniredis.NewMiniRedis()
	server.ClockTTL(true)
	password := rand.Text()
	server.RequireAuth(password)
	if err := server.StartAddr("127.0.0.1:0"); err != nil {
		return nil, fmt.Errorf("the Redis inside: %w", err)
	}
	return &redis{Miniredis: server, url: "redis://:" + password + "@" + server.Addr()}, nil
}

func open(ctx context.Context, opts *options, url, key, name, port string, servers []app.ICEServer) (*app.Gateway, error) {
	config := app.Default()
	config.Node.Name = name
	config.Demo.Enabled = true
	config.Pages.Enabled = true
	config.Origins.Allowed = opts.origins
	config.API.Address = "127.0.0.1:0"
	config.API.Keys = []app.APIKey{{ID: "console", Secret: auth.Secret(key), Can: "admin"}}
	config.API.Console.Writes = true
	config.API.RequestsPerSecond, config.API.RequestsBurst = 2000, 10_000 // who tries it out is nobody's neighbour
	config.ICEServers = servers
	config.Log.Level, config.Log.Format = opts.logLevel, telemetry.FormatText
	config.Listen.Public = net.JoinHostPort(opts.host, port)
	config.Listen.Operations, config.Listen.Cluster = "127.0.0.1:0", "127.0.0.1:0"
	config.Shutdown.Timeout = 5 * time.Second
	config.Shutdown.Delay, config.Shutdown.Window, config.Shutdown.Grace = 0, 0, 0 // both end, so there is nowhere to move
	if err := config.Redis.SetURL(auth.Secret(url)); err != nil {
		return nil, err
	}
	level := new(slog.LevelVar)
	level.Set(config.Log.SlogLevel())
	return app.Open(ctx, app.Options{
		Config: config, Logger: telemetry.NewLogger(os.Stderr, level, config.Log.Format),
		Registry: newRegistry(),
	})
}

func newRegistry() *prometheus.Registry { return telemetry.NewRegistry(telemetry.ReadBuild()) }

// greet says what to open, once every gateway is ready.
func greet(ctx context.Context, out io.Writer, opts *options, key string, gateways []*app.Gateway) error {
	for _, gateway := range gateways {
		if err := gateway.WaitReady(ctx); err != nil {
			return nil // ended before it was ready; its own error says why
		}
	}
	var text strings.Builder
	fmt.Fprintf(&text, "Signalbox runs. A meeting for up to six: %s/meet.html?room=hello\n", address(opts, gateways[0]))
	text.WriteString("Or open a call in two browser tabs, one on each gateway, and join the same room:\n\n")
	for _, gateway := range gateways {
		fmt.Fprintf(&text, "  %s  %s/call.html?room=hello   (metrics: http://%s/metrics)\n", gateway.Name(), address(opts, gateway), gateway.OperationsAddr())
	}
	fmt.Fprintf(&text, "\nA chat is at %s/chat.html\n", address(opts, gateways[0]))
	fmt.Fprintf(&text, "The same call on the stock socket.io client: %s/stock.html?room=hello\n", address(opts, gateways[0]))
	fmt.Fprintf(&text, "\nThe console, and the server API, of the whole cluster: http://%s/console/\n  with the key %s, which is new at each start\n", gateways[0].APIAddr(), key)
	if opts.redis == "" {
		text.WriteString("\nThe Redis inside is for trying out: it keeps nothing. Use --redis URL for a real one.\n")
	} else {
		text.WriteString("\nUses the Redis that was given.\n")
	}
	text.WriteString("The demo app lets everybody in. Ctrl-C ends it.\n")
	_, err := io.WriteString(out, text.String())
	return err
}

// address is where a browser finds a gateway.
func address(opts *options, gateway *app.Gateway) string {
	_, port, err := net.SplitHostPort(gateway.PublicAddr().String())
	if err != nil {
		return gateway.PublicAddr().String()
	}
	return "http://" + net.JoinHostPort(opts.host, port)
}
