package auth

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
)

// maxAppID is the greatest length of an app's id, that of a DNS label, in bytes.
const maxAppID = 63

// App is a tenant, as the configuration file or the server API names it.
type App struct {
	// ID is what the app claim of its tokens says: ^[a-z0-9][a-z0-9-]{0,62}$.
	ID string `koanf:"id" yaml:"id" json:"id"`
	// Keys may sign the app's tokens. More than one allow a change of keys without a gap.
	Keys []Key `koanf:"keys" yaml:"keys" json:"keys,omitzero"`
	// Origins are the web origins whose pages may connect: "https://example.com", "https://example.com:8443",
	// "https://*.example.com" (one label in place of the star) or "*" (any). Empty: no page may.
	Origins []string `koanf:"origins" yaml:"origins" json:"origins,omitzero"`
	// Anonymous lets users in without a token, with AnonymousGrants.
	Anonymous bool `koanf:"anonymous" yaml:"anonymous" json:"anonymous,omitzero"`
	// Disabled refuses all the app's users.
	Disabled bool `koanf:"disabled" yaml:"disabled" json:"disabled,omitzero"`
	// AnonymousGrants are what an anonymous user may do; if empty, publish in every room.
	AnonymousGrants []Grant `koanf:"anonymous_grants" yaml:"anonymous_grants" json:"anonymous_grants,omitzero"`
	// Policy is that of all rooms that Policies says nothing else of.
	Policy Policy `koanf:"policy" yaml:"policy" json:"policy,omitzero"`
	// Policies of rooms by their names: of the patterns that match, the first counts.
	Policies []RoomPolicy `koanf:"policies" yaml:"policies,omitempty" json:"policies,omitzero"`
	// Quotas bound what the app uses.
	Quotas Quotas `koanf:"quotas" yaml:"quotas,omitempty" json:"quotas,omitzero"`
	// Audience must be in the aud claim; "" does not look at aud.
	Audience string `koanf:"audience" yaml:"audience" json:"audience,omitzero"`
	// Issuer must be the iss claim; "" does not look at iss.
	Issuer string `koanf:"issuer" yaml:"issuer" json:"issuer,omitzero"`
	// MaxLifetime is the greatest time from a token's iat (or from now, if it has none) to its exp, and how long an
	// anonymous identity is good for; 0 is [Options.MaxLifetime].
	MaxLifetime Duration `koanf:"max_lifetime" yaml:"max_lifetime" json:"max_lifetime,omitzero"`
	// JWKS is where the app publishes further keys.
	JWKS JWKS `koanf:"jwks" yaml:"jwks,omitempty" json:"jwks,omitzero"`
	// Hook is the app's backend where it says itself who its clients are.
	Hook Hook `koanf:"hook" yaml:"hook,omitempty" json:"hook,omitzero"`
	// Negotiation is what it lets pass of session descriptions and ICE candidates.
	Negotiation Negotiation `koanf:"negotiation" yaml:"negotiation,omitempty" json:"negotiation,omitzero"`
	// ICE is what the app's clients are told of STUN and TURN servers.
	ICE ICE `koanf:"ice" yaml:"ice,omitempty" json:"ice,omitzero"`
	// Webhooks are where the app's backend is told of what happens in its rooms.
	Webhooks []Webhook `koanf:"webhooks" yaml:"webhooks,omitempty" json:"webhooks,omitempty"`
	// APIKeys let the app's backend use the server API.
	APIKeys []APIKey `koanf:"api_keys" yaml:"api_keys,omitempty" json:"api_keys,omitempty"`
}

// Validate gives all that is wrong with the app by itself. That nobody can connect to it yet is not.
func (a *App) Validate() error {
	opts := Options{mayLackKeys: true}
	opts.setDefaults()
	_, err := a.compile(&opts)
	return err
}

// app is an App, checked and made ready. Immutable.
type app struct {
	source          App
	id              string
	keys            map[string]*verifyKey // by kid
	jwks            *keySet               // nil if it publishes none
	backend         *backend              // nil if it is not asked
	origins         *originSet
	originList      []string // as configured
	anonymous       bool
	disabled        bool
	anonymousGrants []Grant
	policies        policies
	quotas          Quotas // with the deployment's defaults
	ice             *ICE   // beside source, so that who keeps it does not keep all of the app
	maxLifetime     time.Duration
}

// clone gives a copy that shares nothing with the app.
func (a *App) clone() App {
	copied := *a
	copied.Keys, copied.Origins = slices.Clone(a.Keys), slices.Clone(a.Origins)
	copied.AnonymousGrants = slices.Clone(a.AnonymousGrants)
	copied.Policy, copied.Policies = a.Policy.clone(), slices.Clone(a.Policies)
	for i := range copied.Policies {
		copied.Policies[i].Policy = copied.Policies[i].clone()
	}
	copied.Hook.Secrets, copied.ICE = slices.Clone(a.Hook.Secrets), a.ICE.clone()
	copied.Negotiation = a.Negotiation.clone()
	copied.Webhooks, copied.APIKeys = slices.Clone(a.Webhooks), slices.Clone(a.APIKeys)
	for i := range copied.Webhooks {
		w := &copied.Webhooks[i]
		w.Secrets, w.Events = slices.Clone(w.Secrets), slices.Clone(w.Events)
	}
	for i := range copied.APIKeys {
		copied.APIKeys[i].Can = slices.Clone(copied.APIKeys[i].Can)
	}
	return copied
}

// equal reports whether two apps are the same.
func (a *App) equal(other *App) bool { return reflect.DeepEqual(a, other) }

// compile checks everything about the app and gives all that is wrong with it, not just the first.
func (a *App) compile(opts *Options) (*app, error) {
	var errs []error
	fail := func(err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("auth: app %q: %w", a.ID, err))
		}
	}
	if !validAppID(a.ID) {
		fail(errors.New("an id is 1 to 63 characters of a-z, 0-9 and '-', and does not start with '-'"))
	}
	if a.MaxLifetime < 0 {
		fail(errors.New("max_lifetime is negative"))
	}
	if len(a.Keys) == 0 && a.JWKS.URL == "" && a.Hook.URL == "" && !a.Anonymous && !opts.mayLackKeys {
		fail(errors.New("there is no key and anonymous is off: nobody could connect"))
	}

	out := &app{
		source:          a.clone(),
		id:              a.ID,
		keys:            make(map[string]*verifyKey, len(a.Keys)),
		originList:      slices.Clone(a.Origins),
		anonymous:       a.Anonymous,
		disabled:        a.Disabled,
		anonymousGrants: slices.Clone(a.AnonymousGrants),
		maxLifetime:     time.Duration(a.MaxLifetime),
	}
	if out.maxLifetime == 0 {
		out.maxLifetime = opts.MaxLifetime
	}
	if len(out.anonymousGrants) == 0 {
		out.anonymousGrants = []Grant{{Room: "*", Can: Permissions{Publish: true}}}
	}
	if len(out.anonymousGrants) > MaxGrants {
		fail(fmt.Errorf("anonymous_grants has more than %d entries", MaxGrants))
	}
	for _, grant := range out.anonymousGrants {
		if err := validatePattern(grant.Room); err != nil {
			fail(fmt.Errorf("anonymous_grants: %q: %w", grant.Room, err))
		}
	}
	var err error
	out.origins, err = newOriginSet(slices.Concat(a.Origins, opts.Origins))
	fail(err)
	out.policies, err = a.compilePolicies(opts.MaxCapacity)
	fail(err)
	fail(a.JWKS.validate(opts.Loopback))
	fail(a.Hook.validate(opts.Loopback))
	fail(a.Quotas.Validate())
	fail(a.Negotiation.validate())
	fail(a.ICE.validate())
	out.quotas = a.Quotas.over(&opts.Quotas)
	ice := out.source.ICE.clone()
	out.ice = &ice
	fail(a.validateServices())
	for i := range a.Keys {
		key := &a.Keys[i]
		if _, twice := out.keys[key.ID]; twice {
			fail(fmt.Errorf("key %q is there twice", key.ID))
			continue
		}
		out.keys[key.ID], err = key.compile(a, opts)
		fail(err)
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	if a.JWKS.URL != "" && opts.fetcher != nil {
		out.jwks = opts.fetcher.set(a, opts)
	}
	if a.Hook.URL != "" && opts.hooks != nil {
		out.backend = newBackend(out.source.Hook, opts)
	}
	return out, nil
}

// validateServices checks what is not about the app's users.
func (a *App) validateServices() error {
	var errs []error
	if len(a.Webhooks) > maxWebhooks {
		errs = append(errs, fmt.Errorf("webhooks has more than %d entries", maxWebhooks))
	}
	if len(a.APIKeys) > maxAPIKeys {
		errs = append(errs, fmt.Errorf("api_keys has more than %d entries", maxAPIKeys))
	}
	seen := make(map[string]bool)
	for i := range a.Webhooks {
		id := "webhook " + a.Webhooks[i].ID
		if errs = append(errs, a.Webhooks[i].validate()); seen[id] {
			errs = append(errs, fmt.Errorf("webhook %q is there twice", a.Webhooks[i].ID))
		}
		seen[id] = true
	}
	for i := range a.APIKeys {
		id := "api key " + a.APIKeys[i].ID
		if errs = append(errs, a.APIKeys[i].validate()); seen[id] {
			errs = append(errs, fmt.Errorf("api key %q is there twice", a.APIKeys[i].ID))
		}
		seen[id] = true
	}
	return errors.Join(errs...)
}

// give hands an identity the app's policies.
func (a *app) give(id *Identity) *Identity {
	id.Policy = a.policies.common
	if len(a.policies.byRoom) > 0 {
		id.policies = &a.policies
	}
	return id
}

// key chooses the key by the token's kid, which is bound to the app: another app's key of the same id is never seen.
func (a *app) key(kid string, named bool, nudge func()) (*verifyKey, bool) {
	if named {
		key, ok := a.keys[kid]
		if !ok && a.jwks != nil && validKeyID(kid) {
			return a.jwks.lookup(kid, nudge)
		}
		return key, ok
	}
	if len(a.keys) != 1 || a.jwks != nil {
		return nil, false
	}
	for _, key := range a.keys {
		return key, true
	}
	return nil, false
}

func validAppID(id string) bool {
	if id == "" || len(id) > maxAppID || id[0] == '-' {
		return false
	}
	return strings.IndexFunc(id, func(c rune) bool {
		return !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-')
	}) < 0
}
