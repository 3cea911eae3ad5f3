package app

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/signalbox-rtc/signalbox/pkg/telemetry"
)

const (
	// defaultURL is where a gateway on this machine has its server API.
	defaultURL = "http://127.0.0.1:8081"
	// maxAnswer bounds an answer, in bytes: a page of 1000 rooms has far less.
	maxAnswer = 64 << 20
	// keyPrefix begins the key of an app: "sbk.<app>.<what nobody can guess>".
	keyPrefix = "sbk."
)

// api asks the server API.
type api struct {
	base    *url.URL
	key     string
	client  *http.Client
	timeout time.Duration
}

// request is one question. Body is encoded as JSON unless it is nil.
type request struct {
	method string
	path   []string // below /v1
	query  url.Values
	header http.Header
	body   any
}

// connect makes the API's client, from the flags and the environment.
func (t *tool) connect() (*api, error) {
	base, err := url.Parse(cmp.Or(t.url, t.env("SIGNALCTL_URL"), defaultURL))
	switch {
	case err != nil:
		return nil, usagef("--url: that is no URL") // it may hold a password
	case base.Scheme != "http" && base.Scheme != "https", base.Host == "":
		return nil, usagef("--url: an http or https URL is needed")
	case base.User != nil:
		return nil, usagef("--url: the key has a place of its own, SIGNALCTL_KEY")
	}
	base.RawQuery, base.Fragment = "", ""
	key, err := t.apiKey()
	if err != nil {
		return nil, err
	}
	transport, err := t.transport()
	if err != nil {
		return nil, err
	}
	if key == "" && len(transport.TLSClientConfig.Certificates) == 0 {
		return nil, usagef("a key is needed: SIGNALCTL_KEY, or --key-file")
	}
	return &api{base: base, key: key, timeout: t.timeout, client: &http.Client{
		Transport: transport,
		// A redirect would take the key along to a place that nobody has named.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// apiKey is the key, "" for none.
func (t *tool) apiKey() (string, error) {
	key := cmp.Or(t.key, t.env("SIGNALCTL_KEY"))
	if t.keyFile != "" {
		text, err := t.readFile(t.keyFile)
		if err != nil {
			return "", fmt.Errorf("--key-file: %w", err)
		}
		key = string(text)
	}
	key = strings.TrimSpace(key)
	if strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", usagef("the key is not one line of printable ASCII characters")
	}
	return key, nil
}

func (t *tool) transport() (*http.Transport, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if t.caFile != "" {
		pem, err := os.ReadFile(t.caFile)
		if err != nil {
			return nil, fmt.Errorf("--ca-file: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("--ca-file: %s holds no certificate in PEM", t.caFile)
		}
	}
	if t.certFile != "" || t.certKeyFile != "" {
		pair, err := tls.LoadX509KeyPair(t.certFile, t.certKeyFile)
		if err != nil {
			return nil, fmt.Errorf("--cert-file: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: config, ForceAttemptHTTP2: true}, nil
}

// readFile reads a file that an argument names; - is standard input.
func (t *tool) readFile(name string) ([]byte, error) {
	if name == "-" {
		return io.ReadAll(t.process.In)
	}
	return os.ReadFile(name)
}

// appID is the app that a command is about.
func (t *tool) appID() (string, error) {
	if id := cmp.Or(t.app, t.env("SIGNALCTL_APP")); id != "" {
		return id, nil
	}
	if key, err := t.apiKey(); err == nil && t.keyFile != "-" {
		if rest, ok := strings.CutPrefix(key, keyPrefix); ok {
			if id, _, ok := strings.Cut(rest, "."); ok {
				return id, nil
			}
		}
	}
	return "", usagef("which app? --app, or SIGNALCTL_APP")
}

// inApp connects, and gives the app that a command is about.
func (t *tool) inApp() (*api, string, error) {
	app, err := t.appID()
	if err != nil {
		return nil, "", err
	}
	a, err := t.connect()
	return a, app, err
}

// new makes the HTTP request. Every part of the path is one, whatever it holds.
func (a *api) new(ctx context.Context, r request) (*http.Request, error) {
	target := *a.base
	escaped := strings.TrimSuffix(target.EscapedPath(), "/") + "/v1"
	for _, part := range r.path {
		if part == "" || part == "." || part == ".." {
			return nil, usagef("%q is no name", part)
		}
		escaped += "/" + url.PathEscape(part)
	}
	target.RawPath = escaped
	var err error
	if target.Path, err = url.PathUnescape(escaped); err != nil {
		return nil, err
	}
	target.RawQuery = r.query.Encode()
	var body io.Reader
	if r.body != nil {
		text, err := json.Marshal(r.body)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(text)
	}
	made, err := http.NewRequestWithContext(ctx, r.method, target.String(), body)
	if err != nil {
		return nil, err
	}
	for name, values := range r.header {
		made.Header[name] = values
	}
	if r.body != nil {
		made.Header.Set("Content-Type", "application/json")
	}
	if a.key != "" {
		made.Header.Set("Authorization", "Bearer "+a.key)
	}
	made.Header.Set("User-Agent", "signalctl/"+telemetry.ReadBuild().Version)
	return made, nil
}

// ask makes a request and gives the answer's JSON, nil for an answer without any. An answer that is none is a *problem.
func (a *api) ask(ctx context.Context, r request) (json.RawMessage, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, a.timeout, errTimeout)
	defer cancel()
	made, err := a.new(ctx, r)
	if err != nil {
		return nil, err
	}
	response, err := a.client.Do(made)
	if err != nil {
		return nil, a.unreachable(ctx, err)
	}
	defer func() { _ = response.Body.Close() }()
	return a.read(ctx, response)
}

func (a *api) read(ctx context.Context, response *http.Response) (json.RawMessage, error) {
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return nil, a.unreachable(ctx, err)
	}
	contentType := response.Header.Get("Content-Type")
	if response.StatusCode == http.StatusNoContent {
		return nil, nil
	}
	if response.StatusCode/100 != 2 || !strings.HasPrefix(contentType, "application/json") || !json.Valid(body) {
		return nil, parseProblem(response.StatusCode, contentType, body)
	}
	return body, nil
}

var errTimeout = errors.New("no answer in time")

// unreachable says that there was no answer, without what the library's error repeats of the request.
func (a *api) unreachable(ctx context.Context, err error) error {
	if errors.Is(context.Cause(ctx), errTimeout) {
		return fmt.Errorf("the server API at %s did not answer within %v (--timeout)", a.base.Redacted(), a.timeout)
	}
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		err = wrapped.Err
	}
	return fmt.Errorf("the server API at %s cannot be reached: %w\n  is --url right, and does the gateway there have api.keys?", a.base.Redacted(), err)
}

// pageLimit is how many entries one question for a list asks for.
const pageLimit = 1000

// list asks for all entries of a list that comes in pages, which a filter may choose, or for at most most of them if that is not 0.
func (a *api) list(ctx context.Context, path []string, filter url.Values, field string, most int) ([]json.RawMessage, error) {
	entries := []json.RawMessage{}
	for cursor := ""; ; {
		limit := pageLimit
		if most > 0 {
			limit = min(limit, most-len(entries))
		}
		query := url.Values{"limit": {strconv.Itoa(limit)}}
		maps.Copy(query, filter)
		if cursor != "" {
			query.Set("cursor", cursor)
		}
		some, next, err := a.page(ctx, path, query, field)
		if err != nil {
			return nil, err
		}
		entries = append(entries, some...)
		if cursor = next; cursor == "" || most > 0 && len(entries) >= most {
			return entries, nil
		}
	}
}

// page asks for entries, and gives the cursor that goes on, "" at the end.
func (a *api) page(ctx context.Context, path []string, query url.Values, field string) (entries []json.RawMessage, next string, err error) {
	text, err := a.ask(ctx, request{method: http.MethodGet, path: path, query: query})
	if err != nil {
		return nil, "", err
	}
	var page map[string]json.RawMessage
	if json.Unmarshal(text, &page) != nil || json.Unmarshal(page[field], &entries) != nil || entries == nil {
		return nil, "", fmt.Errorf("the answer is not a list of %s", field)
	}
	if cursor, there := page["next"]; there && json.Unmarshal(cursor, &next) != nil {
		return nil, "", errors.New("the answer has no valid cursor")
	}
	return entries, next, nil
}

// whole asks for a list that comes in one piece.
func (a *api) whole(ctx context.Context, path []string, field string) ([]json.RawMessage, error) {
	entries, _, err := a.page(ctx, path, nil, field)
	return entries, err
}
