// Command conformance serves what the official test suites of Engine.IO and Socket.IO expect of a server: an echo at
// /engine.io/, and at /socket.io/ the namespaces / and /custom, which send back what they get.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"sync"
	"time"

	"github.com/signalbox-rtc/signalbox/pkg/socketio"
)

func main() {
	addr := flag.String("addr", "localhost:3000", "where to listen")
	interval := flag.Duration("ping-interval", 300*time.Millisecond, "period of the heartbeats; the suites count on 300 ms")
	timeout := flag.Duration("ping-timeout", 200*time.Millisecond, "how long its answer may take; the suites count on 200 ms")
	verbose := flag.Bool("v", false, "log everything")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	if err := run(ctx, *addr, *interval, *timeout, *verbose); err != nil {
		fmt.Fprintln(os.Stderr, "conformance:", err)
		os.Exit(1)
	}
}

// run serves until ctx ends, and says on its first line of output where.
func run(ctx context.Context, addr string, interval, timeout time.Duration, verbose bool) error {
	level := slog.LevelInfo
	if verbose {
		level = slog.LevelDebug
	}
	opts := socketio.Options{
		PingInterval: interval, PingTimeout: timeout, ConnectTimeout: time.Second,
		Origin: func(*http.Request, string) bool { return true },
		Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level})),
	}
	engine, sockets := opts, opts
	engine.Path = "/engine.io/"
	engine.Engine = &socketio.EngineHandlers{Message: echo}
	sockets.Namespaces = map[string]socketio.Namespace{"/": mirror, "/custom": mirror}

	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	mux := http.NewServeMux()
	for _, o := range []socketio.Options{engine, sockets} {
		s, err := socketio.New(o)
		if err != nil {
			return err
		}
		mux.Handle(s.Path(), s)
		running.Go(func() { s.Run(ctx) })
	}
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	fmt.Printf("listening on %s\n", listener.Addr())
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	running.Go(func() {
		<-ctx.Done()
		_ = server.Close() // the process ends next
	})
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func echo(s *socketio.Session, data []byte, binary bool) {
	if binary {
		s.SendBinary(data)
	} else {
		s.Send(data)
	}
}

// mirror tells a client its own auth payload, and sends it back what it says.
var mirror = socketio.Namespace{
	Connect: func(s *socketio.Socket) error {
		auth := s.Auth()
		if auth == nil {
			auth = json.RawMessage(`{}`)
		}
		s.Emit(socketio.Event{Name: "auth", Args: []json.RawMessage{auth}})
		return nil
	},
	Event: func(s *socketio.Socket, e socketio.Event, answer func(socketio.Ack)) {
		switch e.Name {
		case "message":
			s.Emit(socketio.Event{Name: "message-back", Args: e.Args, Attachments: e.Attachments})
		case "message-with-ack":
			if answer != nil {
				answer(socketio.Ack{Args: e.Args, Attachments: e.Attachments})
			}
		case "ask":
			ask(s, e)
		case "burst":
			for i := range 300 {
				s.Emit(socketio.Event{Name: "number", Args: []json.RawMessage{strconv.AppendInt(nil, int64(i), 10)}})
			}
		case "disconnect-me":
			s.Disconnect(false)
		case "close-me":
			s.Disconnect(true)
		}
	},
}

// ask sends a client its own words as a question, and tells it what it has answered.
func ask(s *socketio.Socket, e socketio.Event) {
	s.EmitWithAck(socketio.Event{Name: "question", Args: e.Args, Attachments: e.Attachments}, time.Second, func(a socketio.Ack, err error) {
		if err != nil {
			a.Args = []json.RawMessage{strconv.AppendQuote(nil, err.Error())}
		}
		s.Emit(socketio.Event{Name: "answered", Args: a.Args, Attachments: a.Attachments})
	})
}
