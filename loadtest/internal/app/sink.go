package app

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

const (
	sinkHeaderTimeout = 5 * time.Second
	sinkBodyBytes     = 64 << 20
)

// sink is an OTLP receiver over HTTP that throws away what it gets, until it is told to end: for measuring what tracing costs a
// gateway.
func (p *program) sink(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("loadtest sink", flag.ContinueOnError)
	flags.SetOutput(p.stderr)
	address := flags.String("address", "127.0.0.1:4318", "where it listens")
	if err := flags.Parse(args); err != nil {
		return helpOr(err)
	}
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", *address)
	if err != nil {
		return fmt.Errorf("sink: %w", err)
	}
	var requests, bytes atomic.Int64
	server := &http.Server{ReadHeaderTimeout: sinkHeaderTimeout, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		size, err := io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, sinkBodyBytes))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		requests.Add(1)
		bytes.Add(size)
		w.Header().Set("Content-Type", "application/x-protobuf") // an empty answer is one that takes everything
	})}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if _, err := fmt.Fprintf(p.stdout, "http://%s\n", listener.Addr()); err != nil {
		return err
	}
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("sink: %w", err)
	}
	_, err = fmt.Fprintf(p.stdout, "%d requests with %d bytes\n", requests.Load(), bytes.Load())
	return err
}
