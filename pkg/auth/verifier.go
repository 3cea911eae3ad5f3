package auth

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/prometheus/client_golang/prometheus"
)

// Options set up a [Verifier] or a [Directory]. The zero value of each field but Apps is a documented default.
type Options struct {
	Apps []App
	// Origins are allowed for every app, beside its own; none if empty.
	Origins []string
	// MaxCapacity is the greatest [Policy.MaxCapacity] that an app may have; 0 sets no bound.
	MaxCapacity int
	// Quotas are the defaults of apps that leave them out.
	Quotas Quotas
	// Now is the clock; nil is [time.Now].
	Now func() time.Time
	// Leeway is how far another machine's clock may be off, for exp, nbf and iat; 0 is 30 s.
	Leeway time.Duration
	// MaxTokenBytes is the greatest length of a token, in bytes; 0 is 8192.
	MaxTokenBytes int
	// MaxLifetime is the [App.MaxLifetime] of an app that sets none; 0 is 24 h.
	MaxLifetime time.Duration
	// Logger and Registerer are for a Directory; nil keeps its log lines, or its metrics, from everybody.
	Logger     *slog.Logger
	Registerer prometheus.Registerer

	// DialContext connects to what apps name: where keys are published, and their backends. It has to refuse what an app must not reach. Nil is the
	// network's own, which refuses nothing.
	DialContext func(ctx context.Context, network, address string) (net.Conn, error)
	// TLS is for that; the system's roots if nil.
	TLS *tls.Config
	// Loopback lets what apps name be http on this machine, for tests.
	Loopback bool

	mayLackKeys bool       // an app may have no way in yet
	fetcher     *fetcher   // of published keys; nil has nobody fetch them
	hooks       *hookCalls // nil has nobody asked
}

// Defaults of [Options].
const (
	DefaultLeeway        = 30 * time.Second
	DefaultMaxTokenBytes = 8192
	DefaultMaxLifetime   = 24 * time.Hour
)

func (o *Options) setDefaults() {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Leeway == 0 {
		o.Leeway = DefaultLeeway
	}
	if o.MaxTokenBytes == 0 {
		o.MaxTokenBytes = DefaultMaxTokenBytes
	}
	if o.MaxLifetime == 0 {
		o.MaxLifetime = DefaultMaxLifetime
	}
}

func (o *Options) validate() error {
	errs := []error{o.Quotas.Validate()}
	if o.Leeway < 0 {
		errs = append(errs, errors.New("auth: leeway is negative"))
	}
	if o.MaxTokenBytes < 0 {
		errs = append(errs, errors.New("auth: the greatest length of a token is negative"))
	}
	if o.MaxLifetime < 0 {
		errs = append(errs, errors.New("auth: the greatest lifetime is negative"))
	}
	return errors.Join(errs...)
}

// Verifier knows the apps and checks what their users bring. It never changes after [New], so goroutines may share
// it without a lock; a new configuration takes a new Verifier: see [Directory].
type Verifier struct {
	apps          map[string]*app
	origins       *originSet // of all enabled apps
	now           func() time.Time
	leeway        time.Duration
	maxTokenBytes int
	nudge         func() // has published keys fetched
}

// New checks the apps and gives their verifier, or an error that names everything that is wrong with them.
func New(opts Options) (*Verifier, error) {
	opts.setDefaults()
	errs := []error{opts.validate()}
	apps := make(map[string]*app, len(opts.Apps))
	for i := range opts.Apps {
		a, err := opts.Apps[i].compile(&opts)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if _, twice := apps[a.id]; twice {
			errs = append(errs, fmt.Errorf("auth: app %q is there twice", a.id))
			continue
		}
		apps[a.id] = a
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return newVerifier(&opts, apps), nil
}

// newVerifier makes the verifier of apps that were checked. The map is its own from then on.
func newVerifier(opts *Options, apps map[string]*app) *Verifier {
	v := &Verifier{apps: apps, origins: &originSet{}, now: opts.Now, leeway: opts.Leeway, maxTokenBytes: opts.MaxTokenBytes}
	if opts.fetcher != nil {
		v.nudge = opts.fetcher.nudge
	}
	for _, a := range apps {
		if !a.disabled {
			v.origins.add(a.origins)
		}
	}
	return v
}

// without gives the enabled apps of the verifier, which may be nil, that are not among others.
func (v *Verifier) without(others map[string]*app) map[string]bool {
	if v == nil {
		return nil
	}
	var gone map[string]bool
	for id, a := range v.apps {
		if other, ok := others[id]; a.disabled || ok && !other.disabled {
			continue
		}
		if gone == nil {
			gone = make(map[string]bool)
		}
		gone[id] = true
	}
	return gone
}

// Verify gives the identity that a token vouches for. Every error is an [*Error] with its reason.
//
// What the token says of itself only chooses the app and, within the app, the key. The key then decides which
// algorithm is used (RFC 8725, section 3.1); headers that bring or point to a key (jku, jwk, x5u, x5c) are not
// looked at. For a key that an app publishes and that is not known yet it waits for a bounded time.
func (v *Verifier) Verify(token string) (*Identity, error) {
	if len(token) > v.maxTokenBytes {
		return nil, refuse(ReasonTooLarge, fmt.Sprintf("the token is longer than %d bytes", v.maxTokenBytes))
	}
	head, c, err := peek(token)
	if err != nil {
		return nil, err
	}
	appID, err := c.app()
	if err != nil {
		return nil, err
	}
	a, err := v.enabledApp(appID)
	if err != nil {
		return nil, err
	}
	key, ok := a.key(head.kid, head.hasKid, v.nudge)
	if !ok {
		return nil, refuse(ReasonUnknownKey, "the app has no such key; a token without kid needs an app with exactly one key")
	}
	if key.expires.Over(v.now()) {
		return nil, refuse(ReasonKeyExpired, "the key that has signed the token has expired")
	}
	if head.algorithm != key.algorithm {
		return nil, refuse(ReasonAlgorithm, "the token's algorithm is not that of its key")
	}
	if _, err := key.parser.ParseWithClaims(token, c, key.keyFor); err != nil {
		return nil, refusal(err)
	}
	return v.identity(a, c)
}

// Anonymous gives a new identity to a user without a token, if the app lets such users in. The user id is random and
// new each time; name is the display name and may be empty. Every error is an [*Error] with its reason.
func (v *Verifier) Anonymous(app, name string) (*Identity, error) {
	a, err := v.enabledApp(app)
	if err != nil {
		return nil, err
	}
	if !a.anonymous {
		return nil, refuse(ReasonAnonymous, "the app takes no users without a token")
	}
	if !validDisplayName(name) {
		return nil, refuse(ReasonClaims, messageBadName)
	}
	return a.give(&Identity{
		App:       a.id,
		User:      "anon-" + rand.Text(),
		Name:      name,
		Grants:    slices.Clone(a.anonymousGrants),
		Expires:   v.now().Add(a.maxLifetime).UTC(),
		Issued:    v.now().UTC(),
		Anonymous: true,
	}), nil
}

// Origins gives an enabled app's allowed origins as they were configured; false if there is no such app.
func (v *Verifier) Origins(app string) ([]string, bool) {
	a, err := v.enabledApp(app)
	if err != nil {
		return nil, false
	}
	return slices.Clone(a.originList), true
}

// OriginAllowed reports whether any enabled app allows the value of an Origin header (RFC 6454, section 7): the check
// at the handshake, when the app is not yet known. Scheme, host and port must agree; "null", "" and what is no origin
// are never allowed, not even by "*". What to do without the header is the caller's to decide.
func (v *Verifier) OriginAllowed(origin string) bool { return v.origins.allows(origin) }

// AppOriginAllowed reports whether this app allows the origin: the check after the hello, which has named the app.
func (v *Verifier) AppOriginAllowed(app, origin string) bool {
	a, err := v.enabledApp(app)
	return err == nil && a.origins.allows(origin)
}

func (v *Verifier) enabledApp(id string) (*app, error) {
	a, ok := v.apps[id]
	switch {
	case !ok:
		return nil, refuse(ReasonUnknownApp, "there is no such app")
	case a.disabled:
		return nil, refuse(ReasonAppDisabled, "the app is switched off")
	}
	return a, nil
}

// identity reads the claims that are ours, and the lifetime, from a token that the library has verified.
func (v *Verifier) identity(a *app, c *claims) (*Identity, error) {
	user, err := c.user()
	if err != nil {
		return nil, err
	}
	name, err := c.displayName()
	if err != nil {
		return nil, err
	}
	grants, err := c.grants()
	if err != nil {
		return nil, err
	}
	expires, err := c.GetExpirationTime()
	if err != nil {
		return nil, err
	}
	issued, err := c.GetIssuedAt()
	if err != nil {
		return nil, err
	}
	var said time.Time
	if issued != nil {
		said = issued.Time
	} else {
		// Without iat the lifetime counts from our clock, and the minter's may be ahead of it.
		issued = &jwt.NumericDate{Time: v.now().Add(v.leeway)}
	}
	if expires.Sub(issued.Time) > a.maxLifetime {
		return nil, refuse(ReasonLifetime, fmt.Sprintf("the token is valid for longer than %s", a.maxLifetime))
	}
	return a.give(&Identity{App: a.id, User: user, Name: name, Grants: grants, Expires: expires.Time, Issued: said}), nil
}

// refusal names the reason behind the library's error, which may join several.
func refusal(err error) *Error {
	switch {
	case errors.Is(err, jwt.ErrTokenMalformed):
		return refuseFor(ReasonMalformed, messageNotStrict, err)
	case errors.Is(err, jwt.ErrTokenSignatureInvalid), errors.Is(err, jwt.ErrTokenUnverifiable):
		return refuseFor(ReasonSignature, "the signature is not by the app's key", err)
	case errors.Is(err, jwt.ErrTokenExpired):
		return refuseFor(ReasonExpired, "the token has expired", err)
	case errors.Is(err, jwt.ErrTokenNotValidYet):
		return refuseFor(ReasonNotYetValid, "the token's nbf is in the future", err)
	case errors.Is(err, jwt.ErrTokenUsedBeforeIssued):
		return refuseFor(ReasonNotYetValid, "the token's iat is in the future", err)
	}
	// What the claims say of themselves: a missing or mistyped one.
	if own, ok := errors.AsType[*Error](err); ok {
		return own
	}
	switch {
	case errors.Is(err, jwt.ErrTokenInvalidAudience):
		return refuseFor(ReasonAudience, "the token is for another audience", err)
	case errors.Is(err, jwt.ErrTokenInvalidIssuer):
		return refuseFor(ReasonIssuer, "the token is by another issuer", err)
	}
	return refuseFor(ReasonClaims, "a claim is not valid", err)
}
