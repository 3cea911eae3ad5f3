package auth

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/signalbox-rtc/signalbox/pkg/webhook/standard"
)

// Hook is the app's backend, which is asked who a client is, in place of a token, and perhaps whether it may join a room. Each question
// is a POST that is signed as Standard Webhooks says.
type Hook struct {
	// URL is https. Empty: there is none. Redirects are not followed.
	URL string `koanf:"url" yaml:"url" json:"url"`
	// Secrets sign the questions: whsec_ and the base64 of 24 to 64 random bytes. Each question has a signature by each of them.
	Secrets []Secret `koanf:"secrets" yaml:"secrets,omitempty" json:"secrets,omitzero"`
	// Timeout is how long an answer may take, 100ms to 10s; 0 is 2s.
	Timeout Duration `koanf:"timeout" yaml:"timeout,omitempty" json:"timeout,omitzero"`
	// Join is whether it is asked about each join, too: on or off; "" is off.
	Join Switch `koanf:"join" yaml:"join,omitempty" json:"join,omitzero"`
	// Failing is what becomes of a join when there is no answer: closed (it is refused, to be tried again) or open (what the client was given
	// before counts); "" is closed. Nobody is let in by a connect without an answer.
	Failing Failing `koanf:"failing" yaml:"failing,omitempty" json:"failing,omitzero"`
}

// Failing is what becomes of a question without an answer.
type Failing string

// The ways of failing.
const (
	FailClosed Failing = "closed"
	FailOpen   Failing = "open"
)

const (
	defaultHookTimeout, minHookTimeout, maxHookTimeout = 2 * time.Second, 100 * time.Millisecond, 10 * time.Second

	// maxHookBytes bounds an answer.
	maxHookBytes = 64 << 10
	// maxHookCalls is how many questions of an app may be open at a time. Further ones count as without an answer.
	maxHookCalls = 64
	// hookFailures in a row have an app's backend not asked for hookPause, and then by one.
	hookFailures = 5
	hookPause    = 10 * time.Second

	hookConnect = "connect"
	hookJoin    = "join"
)

// ErrNoAnswer is what becomes of a question that the app's backend did not answer: it may pass.
var ErrNoAnswer = errors.New("auth: the app's backend does not answer")

func (h *Hook) timeout() time.Duration { return orElse(h.Timeout, defaultHookTimeout) }

func (h *Hook) validate(loopback bool) error {
	if h.URL == "" {
		if len(h.Secrets) > 0 || h.Timeout != 0 || h.Join != "" || h.Failing != "" {
			return errors.New("hook: url is missing")
		}
		return nil
	}
	var errs []error
	fail := func(err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("hook: %w", err))
		}
	}
	fail(validateSecureURL(h.URL, loopback))
	if len(h.Secrets) == 0 || len(h.Secrets) > maxWebhookSecrets {
		fail(fmt.Errorf("it has %d secrets, not 1 to %d", len(h.Secrets), maxWebhookSecrets))
	}
	_, err := h.keys()
	fail(err)
	if h.timeout() < minHookTimeout || h.timeout() > maxHookTimeout {
		fail(fmt.Errorf("a timeout of %v is not %v to %v", h.Timeout, Duration(minHookTimeout), Duration(maxHookTimeout)))
	}
	fail(oneOf("join", h.Join, On, Off))
	fail(oneOf("failing", h.Failing, FailClosed, FailOpen))
	return errors.Join(errs...)
}

func (h *Hook) keys() ([][]byte, error) { return (&Webhook{Secrets: h.Secrets}).Keys() }

// backend asks one app's hook.
type backend struct {
	// immutable
	hook    Hook
	keys    [][]byte
	opts    *Options
	breaker *gobreaker.CircuitBreaker[*answer]
	slots   chan struct{} // one for each question that is open
}

func newBackend(hook Hook, opts *Options) *backend {
	keys, _ := hook.keys() // it was validated
	return &backend{
		hook: hook, keys: keys, opts: opts, slots: make(chan struct{}, maxHookCalls),
		breaker: gobreaker.NewCircuitBreaker[*answer](gobreaker.Settings{
			Timeout:     hookPause,
			ReadyToTrip: func(counts gobreaker.Counts) bool { return counts.ConsecutiveFailures >= hookFailures },
		}),
	}
}

// question is the body of a post, in the form that Standard Webhooks recommends.
type question struct {
	Type      string `json:"type"` // auth.connect or auth.join
	Timestamp string `json:"timestamp"`
	Data      any    `json:"data"`
}

// answer is what the backend says. Its members are those of a token's claims, but for user in place of sub.
type answer struct {
	allow   bool
	reason  string
	members map[string]any
}

// ask asks, within the hook's time. An error is [ErrNoAnswer].
func (b *backend) ask(ctx context.Context, what string, data any) (*answer, error) {
	m := b.opts.hooks
	select {
	case b.slots <- struct{}{}:
		defer func() { <-b.slots }()
	default:
		m.count(what, "busy")
		return nil, fmt.Errorf("%w: too many questions are open", ErrNoAnswer)
	}
	begun := time.Now()
	said, err := b.breaker.Execute(func() (*answer, error) { return b.post(ctx, what, data) })
	switch {
	case errors.Is(err, gobreaker.ErrOpenState), errors.Is(err, gobreaker.ErrTooManyRequests):
		m.count(what, "paused")
		return nil, fmt.Errorf("%w: it did not answer lately", ErrNoAnswer)
	case err != nil:
		m.took(what, "failed", begun)
		return nil, fmt.Errorf("%w: %w", ErrNoAnswer, err)
	case said.allow:
		m.took(what, "allowed", begun)
	default:
		m.took(what, "denied", begun)
	}
	return said, nil
}

// post sends a question and reads the answer.
func (b *backend) post(ctx context.Context, what string, data any) (*answer, error) {
	ctx, cancel := context.WithTimeout(ctx, b.hook.timeout())
	defer cancel()
	now := b.opts.Now()
	body, err := json.Marshal(question{Type: "auth." + what, Timestamp: now.UTC().Format(time.RFC3339), Data: data})
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, b.hook.URL, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	standard.Set(request.Header, b.keys, "auth_"+rand.Text(), now, body)
	response, err := b.opts.hooks.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }() // nothing was written
	text, err := io.ReadAll(io.LimitReader(response.Body, maxHookBytes+1))
	if err != nil {
		return nil, err
	}
	switch {
	case response.StatusCode == http.StatusUnauthorized || response.StatusCode == http.StatusForbidden:
		return &answer{}, nil
	case response.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("the answer is %s", response.Status)
	case len(text) > maxHookBytes:
		return nil, fmt.Errorf("the answer is larger than %d bytes", maxHookBytes)
	}
	return parseAnswer(text)
}

// parseAnswer is as strict as for a token: what is misspelt must not turn into a default.
func parseAnswer(text []byte) (*answer, error) {
	members, err := decodeObject(text)
	if err != nil {
		return nil, errors.New("the answer is not one strict JSON object")
	}
	said := &answer{members: members}
	var ok bool
	if said.allow, ok = members["allow"].(bool); !ok {
		return nil, errors.New("the answer does not say whether to allow it")
	}
	if reason, ok := members["reason"].(string); ok && validDisplayName(reason) {
		said.reason = reason
	}
	for name := range members {
		if !slices.Contains(answerMembers, name) {
			return nil, fmt.Errorf("the answer has a member that is none of %s", strings.Join(answerMembers, ", "))
		}
	}
	return said, nil
}

// answerMembers are what an answer may have.
var answerMembers = []string{"allow", "reason", "user", "name", "rooms", "lifetime", "capacity"}

// refusal is what the client is told.
func (a *answer) refusal() *Error {
	message := "the app's backend refuses it"
	if a.reason != "" {
		message = a.reason
	}
	return refuse(ReasonDenied, message)
}

// identity makes of an answer who the client is.
func (a *answer) identity(app *app, now time.Time) (*Identity, error) {
	c := &claims{members: map[string]any{"sub": a.members["user"]}}
	for _, name := range []string{"name", "rooms"} {
		if value, ok := a.members[name]; ok {
			c.members[name] = value
		}
	}
	id := &Identity{App: app.id, Issued: now.UTC()}
	var err error
	if id.User, err = c.user(); err != nil {
		return nil, err
	}
	if id.Name, err = c.displayName(); err != nil {
		return nil, err
	}
	if id.Grants, err = c.grants(); err != nil {
		return nil, err
	}
	lifetime, err := a.lifetime(app.maxLifetime)
	if err != nil {
		return nil, err
	}
	id.Expires = now.Add(lifetime).UTC()
	app.give(id)
	if value, ok := a.members["capacity"]; ok {
		number, _ := value.(json.Number)
		capacity, err := number.Int64()
		if err != nil || capacity < 1 || capacity > 1<<20 || id.Policy.MaxCapacity > 0 && capacity > int64(id.Policy.MaxCapacity) {
			return nil, errors.New("capacity is not a number of seats that the app may have")
		}
		id.Policy.Capacity = int(capacity)
	}
	return id, nil
}

func (a *answer) lifetime(most time.Duration) (time.Duration, error) {
	value, ok := a.members["lifetime"]
	if !ok {
		return most, nil
	}
	text, _ := value.(string)
	lifetime, err := time.ParseDuration(text)
	if err != nil || lifetime < time.Second || lifetime > most {
		return 0, fmt.Errorf("lifetime is not a duration of 1s to %v", Duration(most))
	}
	return lifetime, nil
}

// Connect is a client that wants to connect, as an app's backend is told of it.
type Connect struct {
	App       string `json:"app"`
	Token     string `json:"token,omitempty"` // what the client shows, as it is
	Name      string `json:"name,omitempty"`
	Origin    string `json:"origin,omitempty"`
	Remote    string `json:"remote,omitempty"`
	Transport string `json:"transport,omitempty"`
}

// joining is a client that wants to join a room, as its app's backend is told of it.
type joining struct {
	App     string `json:"app"`
	User    string `json:"user"`
	Name    string `json:"name,omitempty"`
	Session string `json:"session"`
	Room    string `json:"room"`
}

// Hooked reports whether an enabled app's backend says who its clients are.
func (d *Directory) Hooked(app string) bool {
	a, err := d.current.Load().enabledApp(app)
	return err == nil && a.backend != nil
}

// Authorise asks an app's backend who a client is. It waits for the answer, for the hook's time at the longest. An error is an [*Error] with its
// reason, or [ErrNoAnswer].
func (d *Directory) Authorise(ctx context.Context, client Connect) (*Identity, error) {
	v := d.current.Load()
	a, err := v.enabledApp(client.App)
	if err != nil {
		return nil, err
	}
	if a.backend == nil {
		return nil, refuse(ReasonAnonymous, "the app's backend is not asked who its users are")
	}
	if len(client.Token) > v.maxTokenBytes {
		return nil, refuse(ReasonTooLarge, fmt.Sprintf("the token is longer than %d bytes", v.maxTokenBytes))
	}
	said, err := a.backend.ask(ctx, hookConnect, client)
	switch {
	case err != nil:
		d.opts.Logger.Warn("an app's backend did not say who a client is", "app", a.id, "error", oneLine(err))
		return nil, err
	case !said.allow:
		return nil, said.refusal()
	}
	id, err := said.identity(a, v.now())
	if err != nil {
		d.opts.Logger.Warn("an app's backend has answered what is not valid", "app", a.id, "error", oneLine(err))
		return nil, fmt.Errorf("%w: %w", ErrNoAnswer, withoutReason(err))
	}
	if id.Name == "" && validDisplayName(client.Name) {
		id.Name = client.Name
	}
	if d.Revoked(id, "") {
		return nil, errRevoked()
	}
	return id, nil
}

// withoutReason keeps what is wrong with an answer from being taken for what is wrong with a token.
func withoutReason(err error) error { return errors.New(err.Error()) }

// AuthoriseJoin asks an app's backend whether a client may join a room, if the app wants that. It waits as [Directory.Authorise] does, and has the
// same errors.
func (d *Directory) AuthoriseJoin(ctx context.Context, id *Identity, session, room string) error {
	a, err := d.current.Load().enabledApp(id.App)
	if err != nil {
		return err
	}
	if a.backend == nil || a.backend.hook.Join != On {
		return nil
	}
	said, err := a.backend.ask(ctx, hookJoin, joining{App: id.App, User: id.User, Name: id.Name, Session: session, Room: room})
	switch {
	case err != nil && a.backend.hook.Failing == FailOpen:
		return nil
	case err != nil:
		d.opts.Logger.Warn("an app's backend did not say whether a client may join", "app", a.id, "error", oneLine(err))
		return err
	case !said.allow:
		return said.refusal()
	}
	return nil
}

// JoinsAsked reports whether an app's backend is asked about joins.
func (d *Directory) JoinsAsked(app string) bool {
	a, ok := d.current.Load().apps[app]
	return ok && a.backend != nil && a.backend.hook.Join == On
}
