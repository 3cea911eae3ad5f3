package client_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/client"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

func TestOptionsAreChecked(t *testing.T) {
	for name, opts := range map[string]client.Options{
		"no URL":           {},
		"no scheme":        {URL: "gateway.example.org"},
		"other scheme":     {URL: "ftp://gateway.example.org"},
		"no host":          {URL: "ws:///v1/connect"},
		"not a URL":        {URL: "ws://gateway\x00"},
		"two tokens":       {URL: "ws://gateway", Token: "x", TokenSource: func(context.Context) (string, error) { return "", nil }},
		"negative timeout": {URL: "ws://gateway", OpenTimeout: -1},
		"negative backoff": {URL: "ws://gateway", Backoff: client.Backoff{Min: -1}},
		"inverted backoff": {URL: "ws://gateway", Backoff: client.Backoff{Min: time.Minute}},
	} {
		t.Run(name, func(t *testing.T) {
			opts.NetDialContext = func(context.Context, string, string) (net.Conn, error) {
				t.Error("dialed")
				return nil, errors.New("unreachable")
			}
			_, err := client.Dial(t.Context(), opts)
			require.ErrorContains(t, err, "client: ")
		})
	}
}

func TestURLForms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newMemGateway(t)
		for given, path := range map[string]string{
			"ws://gateway": "/v1/connect", "http://gateway/": "/v1/connect", "ws://gateway:80/else": "/else", "ws://gateway?a=b#c": "/v1/connect?a=b",
		} {
			opts := g.options()
			opts.URL = given
			opts.NetDialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
				require.Equal(t, "gateway:80", addr)
				return g.network.DialContext(ctx, network, addr)
			}
			_, p := g.dial(opts)
			require.Equal(t, path, p.path, given)
		}
	})
}

func TestHelloSaysWho(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*client.Options)
		hello  wire.Hello
		origin []string
	}{
		"Anonymous": {func(*client.Options) {}, wire.Hello{App: "demo", Name: "Ada", Client: "client-go"}, nil},
		"Token":     {func(o *client.Options) { o.Token = "eyJ" }, wire.Hello{Token: "eyJ", Client: "client-go"}, nil},
		"TokenSource": {func(o *client.Options) {
			o.TokenSource = func(context.Context) (string, error) { return "fetched", nil }
			o.Software, o.Origin = "load/1", "https://app.example.org"
		}, wire.Hello{Token: "fetched", Client: "load/1"}, []string{"https://app.example.org"}},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGateway(t)
			opts := g.options()
			test.change(&opts)
			dialed := start(func() error {
				c, err := client.Dial(t.Context(), opts)
				if err == nil {
					defer c.Close()
					require.Equal(t, welcome(), c.Welcome())
				}
				return err
			})
			p := g.accept()
			id, hello := readAs[*wire.Hello](p)
			require.Equal(t, int64(1), id)
			require.Equal(t, &test.hello, hello)
			require.Equal(t, test.origin, p.header["Origin"])
			p.answer(wire.Request{ID: id}, welcome())
			require.Equal(t, wire.CloseCode(1000), p.readUntilEnd(), "the end of a session is said")
			require.NoError(t, next(t, dialed))
		})
	}
}

func TestDialTellsWhyNot(t *testing.T) {
	refusal := wire.Errorf(wire.CodeUnauthorized, "the token has expired")
	for name, test := range map[string]struct {
		serve     func(*gateway)
		want      error
		retryable bool
	}{
		"HelloRefused": {func(g *gateway) {
			p := g.accept()
			p.refuse(p.read().ID, refusal)
		}, refusal, false},
		"HelloUnavailable": {func(g *gateway) {
			p := g.accept()
			p.refuse(p.read().ID, wire.Errorf(wire.CodeUnavailable, "no Redis"))
		}, wire.Errorf(wire.CodeUnavailable, "no Redis"), true},
		"Closed": {func(g *gateway) {
			p := g.accept()
			p.read()
			p.close(wire.CloseMoved, "draining")
		}, &client.CloseError{Code: wire.CloseMoved, Reason: "draining"}, true},
		"NotFound": {func(g *gateway) {
			g.refuseWith(http.StatusNotFound)
		}, &client.HandshakeError{Status: 404}, false},
		"Busy": {func(g *gateway) {
			g.refuse(func(w http.ResponseWriter, r *http.Request) bool {
				w.Header().Set("Retry-After", "7")
				w.WriteHeader(http.StatusServiceUnavailable)
				return true
			})
		}, &client.HandshakeError{Status: 503, RetryAfter: 7 * time.Second}, true},
		"OtherProtocol": {func(g *gateway) { g.protocol = "other.v1" }, nil, false},
		"HungUp":        {func(g *gateway) { g.accept().cut() }, nil, true},
		"NoListener":    {func(g *gateway) { _ = g.listener.Close() }, nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newMemGateway(t)
				opts := g.options()
				opts.Reconnect = true // not for the first connection
				opts.OnState = func(state client.State) { t.Errorf("state %s", state) }
				served := start(func() error { test.serve(g); return nil })
				synctest.Wait() // a refusal is set before the dial
				_, err := client.Dial(t.Context(), opts)
				require.NoError(t, <-served)
				require.Error(t, err)
				require.Equal(t, test.retryable, client.Retryable(err), err)
				if test.want != nil {
					require.Equal(t, test.want, errors.Unwrap(err))
				}
			})
		})
	}
}

func TestDialEndsWithItsContext(t *testing.T) {
	for name, serve := range map[string]func(g *gateway){
		"NoUpgrade": func(g *gateway) {
			g.refuse(func(_ http.ResponseWriter, r *http.Request) bool { <-r.Context().Done(); return true })
		},
		"NoWelcome": func(*gateway) {},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newMemGateway(t)
				serve(g)
				began := time.Now()
				_, err := client.Dial(within(t, 3*time.Second), g.options())
				require.ErrorIs(t, err, context.DeadlineExceeded)
				require.Equal(t, 3*time.Second, time.Since(began))

				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(time.Second, cancel)
				_, err = client.Dial(ctx, g.options())
				require.ErrorIs(t, err, context.Canceled)
				require.Equal(t, 4*time.Second, time.Since(began))

				_, err = client.Dial(t.Context(), g.options())
				require.ErrorIs(t, err, context.DeadlineExceeded)
				require.Equal(t, 14*time.Second, time.Since(began), "an attempt has 10 s")
			})
		})
	}
}

func TestTokenSourceFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newMemGateway(t)
		opts := g.options()
		broken := errors.New("backend is down")
		opts.TokenSource = func(context.Context) (string, error) { return "", broken }
		_, err := client.Dial(t.Context(), opts)
		require.ErrorIs(t, err, broken)
		require.Empty(t, g.accepted)
	})
}

func TestTLS(t *testing.T) {
	g := newGateway(t)
	server := httptest.NewUnstartedServer(g)
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // a bad certificate is part of the test
	server.StartTLS()
	defer server.Close()
	at, err := url.Parse(server.URL)
	require.NoError(t, err)
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	opts := g.options()
	opts.URL = "https://" + at.Host
	opts.TLS = &tls.Config{RootCAs: roots}
	c, p := g.dial(opts)
	done := start(func() error {
		_, err := c.Ping(t.Context())
		return err
	})
	p.answer(p.read(), &wire.Pong{Time: 1})
	require.NoError(t, next(t, done))

	opts.TLS = nil // the system does not know this authority
	_, err = client.Dial(t.Context(), opts)
	_, unknown := errors.AsType[x509.UnknownAuthorityError](err)
	require.True(t, unknown, "%v", err)
}
