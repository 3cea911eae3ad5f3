package auth

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/MicahParks/jwkset"
)

// JWKS is where an app publishes the keys that sign its tokens (RFC 7517), beside those that it names itself.
type JWKS struct {
	// URL is https. Empty: there is none. What it answers is bounded in size and time, and redirects are not followed.
	URL string `koanf:"url" yaml:"url" json:"url"`
	// Interval is how often it is fetched, 1m to 24h; 0 is 15m. A token with an unknown kid has it fetched before, at most once in 30s.
	Interval Duration `koanf:"interval" yaml:"interval,omitempty" json:"interval,omitzero"`
	// MaxAge is how long keys count when it cannot be fetched, at least the interval and 7 days (168h) at most; 0 is 24h.
	MaxAge Duration `koanf:"max_age" yaml:"max_age,omitempty" json:"max_age,omitzero"`
}

const (
	defaultJWKSInterval, minJWKSInterval, maxJWKSInterval = 15 * time.Minute, time.Minute, 24 * time.Hour
	defaultJWKSMaxAge, maxJWKSMaxAge                      = 24 * time.Hour, 7 * 24 * time.Hour

	// jwksPause is the least time between two fetches, whatever tokens ask for.
	jwksPause = 30 * time.Second
	// jwksTimeout bounds one fetch.
	jwksTimeout = 5 * time.Second
	// jwksWait is how long a token with an unknown kid waits for a fetch.
	jwksWait = 2 * time.Second
	// maxJWKSBytes bounds an answer, and maxJWKSKeys the keys in it.
	maxJWKSBytes = 256 << 10
	maxJWKSKeys  = 64
)

func (j *JWKS) interval() time.Duration { return orElse(j.Interval, defaultJWKSInterval) }
func (j *JWKS) maxAge() time.Duration   { return orElse(j.MaxAge, max(defaultJWKSMaxAge, j.interval())) }

func orElse(d Duration, other time.Duration) time.Duration {
	if d == 0 {
		return other
	}
	return time.Duration(d)
}

func (j *JWKS) validate(loopback bool) error {
	if j.URL == "" {
		if *j != (JWKS{}) {
			return errors.New("jwks: url is missing")
		}
		return nil
	}
	if err := validateSecureURL(j.URL, loopback); err != nil {
		return fmt.Errorf("jwks: %w", err)
	}
	if j.interval() < minJWKSInterval || j.interval() > maxJWKSInterval {
		return fmt.Errorf("jwks: an interval of %v is not %v to %v", j.Interval, Duration(minJWKSInterval), Duration(maxJWKSInterval))
	}
	if j.maxAge() < j.interval() || j.maxAge() > maxJWKSMaxAge {
		return fmt.Errorf("jwks: a max_age of %v is not the interval to %v", j.MaxAge, Duration(maxJWKSMaxAge))
	}
	return nil
}

// validateSecureURL takes https, and for tests http to this machine.
func validateSecureURL(text string, loopback bool) error {
	if err := validateURL(text); err != nil {
		return err
	}
	u, _ := url.Parse(text) // as validateURL has
	if u.Scheme == "https" {
		return nil
	}
	if address, err := netip.ParseAddr(u.Hostname()); loopback && err == nil && address.IsLoopback() {
		return nil
	}
	return errors.New("a url is https")
}

// keySet are the keys that an app publishes, as they were fetched last.
type keySet struct {
	// immutable
	app, audience, issuer string // whose it is, and what its tokens have to say
	config                JWKS
	opts                  *Options

	mu       sync.Mutex
	keys     map[string]*verifyKey
	fetched  time.Time     // when keys were; zero if they never were
	tried    time.Time     // when the last fetch began
	wanted   bool          // it is to be fetched soon
	fetching chan struct{} // closed when the fetch ends that is wanted or under way; nil if there is none
}

// lookup gives the key of an id. For an id that it does not have it has the keys fetched, unless that was just done, and waits for a
// bounded time; nobody else waits for that. nudge has fetchers look for sets that want to be fetched.
func (s *keySet) lookup(kid string, nudge func()) (*verifyKey, bool) {
	key, ok, fetching := s.have(kid, nudge)
	if ok || fetching == nil {
		return key, ok
	}
	timer := time.NewTimer(jwksWait)
	defer timer.Stop()
	select {
	case <-fetching:
	case <-timer.C:
	}
	key, ok, _ = s.have(kid, nil)
	return key, ok
}

// have gives the key of an id, or else what is closed when a fetch has ended that may bring it.
func (s *keySet) have(kid string, nudge func()) (*verifyKey, bool, <-chan struct{}) {
	now := s.opts.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	usable := !s.fetched.IsZero() && now.Sub(s.fetched) < s.config.maxAge()
	if key, ok := s.keys[kid]; ok && usable {
		return key, true, nil
	}
	if nudge == nil {
		return nil, false, nil
	}
	if s.fetching == nil && now.Sub(s.tried) >= jwksPause {
		s.want()
		nudge()
	}
	if s.fetching == nil {
		return nil, false, nil
	}
	return nil, false, s.fetching
}

// want notes that the set is to be fetched. mu is held.
func (s *keySet) want() {
	if s.fetching == nil {
		s.wanted, s.fetching = true, make(chan struct{})
	}
}

// due reports whether the set is to be fetched now, which the caller does then.
func (s *keySet) due(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if since := now.Sub(s.tried); s.fetching == nil && (since >= s.config.interval() || s.fetched.IsZero() && since >= jwksPause) {
		s.want()
	}
	if !s.wanted {
		return false
	}
	s.wanted, s.tried = false, now
	return true
}

// age is how old the keys are; false if there are none.
func (s *keySet) age(now time.Time) (time.Duration, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return now.Sub(s.fetched), !s.fetched.IsZero()
}

// fetch gets the keys anew. Those before stay if that fails.
func (s *keySet) fetch(ctx context.Context, client *http.Client) error {
	keys, err := s.get(ctx, client)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		s.keys, s.fetched = keys, s.opts.Now()
	}
	close(s.fetching)
	s.fetching = nil
	return err
}

func (s *keySet) get(ctx context.Context, client *http.Client) (map[string]*verifyKey, error) {
	ctx, cancel := context.WithTimeout(ctx, jwksTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.config.URL, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", "application/jwk-set+json, application/json")
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }() // nothing was written
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the answer is %s", response.Status)
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxJWKSBytes+1))
	if err != nil {
		return nil, err
	}
	if len(body) > maxJWKSBytes {
		return nil, fmt.Errorf("the answer is larger than %d bytes", maxJWKSBytes)
	}
	return s.parse(body)
}

// parse reads a set. Keys that are not for us are passed over: other applications may have theirs in it.
func (s *keySet) parse(body []byte) (map[string]*verifyKey, error) {
	var set jwkset.JWKSMarshal
	if err := json.Unmarshal(body, &set); err != nil {
		return nil, errors.New("the answer is no JSON Web Key Set")
	}
	if len(set.Keys) > maxJWKSKeys {
		return nil, fmt.Errorf("the answer has %d keys, more than %d", len(set.Keys), maxJWKSKeys)
	}
	keys := make(map[string]*verifyKey)
	for _, published := range set.Keys {
		if _, twice := keys[published.KID]; twice {
			continue
		}
		if key := s.keyOf(published); key != nil {
			keys[published.KID] = key
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("the answer has no key that could be used")
	}
	return keys, nil
}

// keyOf makes a published key ready; nil if it is not for us. Its type alone decides on the algorithm, and no type is an HMAC's: with a
// public key as secret everybody could sign. Certificates, and addresses of such, are not looked at.
func (s *keySet) keyOf(published jwkset.JWKMarshal) *verifyKey {
	if !validKeyID(published.KID) || published.D != "" || published.USE != "" && published.USE != jwkset.UseSig {
		return nil
	}
	published.X5U, published.X5C, published.X5T, published.X5TS256 = "", nil, "", ""
	parsed, err := jwkset.NewJWKFromMarshal(published, jwkset.JWKMarshalOptions{}, jwkset.JWKValidateOptions{})
	if err != nil {
		return nil
	}
	algorithm := ""
	switch parsed.Key().(type) {
	case *rsa.PublicKey:
		algorithm = RS256
	case *ecdsa.PublicKey:
		algorithm = ES256
	case ed25519.PublicKey:
		algorithm = EdDSA
	}
	if algorithm == "" || published.ALG != "" && string(published.ALG) != algorithm || checkKeyType(algorithm, parsed.Key()) != nil {
		return nil
	}
	return newVerifyKey(algorithm, parsed.Key(), s.audience, s.issuer, s.opts)
}

// is reports whether the set is that of an app as it is now.
func (s *keySet) is(a *App) bool {
	return s.app == a.ID && s.config == a.JWKS && s.audience == a.Audience && s.issuer == a.Issuer
}

// newClient makes a client for what apps name, which keeps so many connections to each host. It follows no redirect and knows no
// proxy: both would be ways around what the dialer refuses. How long a request may take is its context's to say.
func newClient(opts *Options, kept int) *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			DialContext: opts.DialContext, ForceAttemptHTTP2: true, TLSHandshakeTimeout: jwksTimeout, ResponseHeaderTimeout: jwksTimeout,
			MaxResponseHeaderBytes: 16 << 10, MaxIdleConnsPerHost: kept, IdleConnTimeout: time.Minute, TLSClientConfig: opts.TLS,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// oneLine is an error for the log.
func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }
