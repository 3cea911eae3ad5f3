package auth

import (
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/pion/stun/v4"
)

// ICE is what an app's clients are told of STUN and TURN servers.
type ICE struct {
	// Servers are the app's own, 16 at most.
	Servers []ICEServerSettings `koanf:"servers" yaml:"servers,omitempty" json:"servers,omitempty"`
	// Inherit is whether the deployment's servers and relays are told, too, behind the app's own: on or off; "" is on.
	Inherit Switch `koanf:"inherit" yaml:"inherit,omitempty" json:"inherit,omitzero"`
	// TTL is how long credentials are good that are made for a client, 10s to 24h; 0 is the deployment's time.
	TTL Duration `koanf:"ttl" yaml:"ttl,omitempty" json:"ttl,omitzero"`
}

// ICEServerSettings is a STUN or TURN server, in the shape of the RTCIceServer dictionary of the W3C's WebRTC specification (section 4.2.4),
// with what its credentials are made of.
type ICEServerSettings struct {
	// URLs are its addresses, stun:, stuns:, turn: or turns: (RFC 7064, RFC 7065), 1 to 16.
	URLs []string `koanf:"urls" yaml:"urls" json:"urls"`
	// Username is the user for turn: and turns:, where it is always the same. Not beside a secret.
	Username string `koanf:"username" yaml:"username,omitempty" json:"username,omitzero"`
	// Credential is the password of that user. It is told to every client of the app.
	Credential Secret `koanf:"credential" yaml:"credential,omitempty" json:"credential,omitzero"`
	// Secret is what the server shares with whoever makes credentials that are good for a time (coturn's static-auth-secret), of 16 bytes at
	// least. Each client is told credentials of its own then, and fresh ones before they expire.
	Secret Secret `koanf:"secret" yaml:"secret,omitempty" json:"secret,omitzero"`
	// Secrets are further ones that the server takes, 4 with the first one at most: while one takes the place of another. Credentials are
	// made with the first one of all.
	Secrets []Secret `koanf:"secrets" yaml:"secrets,omitempty" json:"secrets,omitempty"`
}

// Bounds of what is told of STUN and TURN servers.
const (
	maxICEServers = 16
	maxICEURLs    = 16
	maxICEURL     = 512
	maxICEText    = 508 // of a user name (RFC 8489, section 14.3), and of a password

	// MinICESecret is the least length of a secret that credentials are made with, in bytes, and MaxICESecrets how many there may be.
	MinICESecret  = 16
	MaxICESecrets = 4

	// MinICETTL and MaxICETTL bound for how long credentials are good.
	MinICETTL, MaxICETTL = 10 * time.Second, 24 * time.Hour
)

// Inherits reports whether the deployment's servers are told, too.
func (c *ICE) Inherits() bool { return c.Inherit != Off }

// Equal reports whether clients are told the same.
func (c *ICE) Equal(other *ICE) bool { return c == other || reflect.DeepEqual(c, other) }

func (c *ICE) clone() ICE {
	copied := *c
	copied.Servers = slices.Clone(c.Servers)
	for i := range copied.Servers {
		server := &copied.Servers[i]
		server.URLs, server.Secrets = slices.Clone(server.URLs), slices.Clone(server.Secrets)
	}
	return copied
}

func (c *ICE) validate() error {
	var errs []error
	if len(c.Servers) > maxICEServers {
		errs = append(errs, fmt.Errorf("ice.servers has more than %d entries", maxICEServers))
	}
	for i := range c.Servers {
		errs = append(errs, c.Servers[i].Validate(fmt.Sprintf("ice.servers[%d]", i)))
	}
	if ttl := time.Duration(c.TTL); ttl != 0 && (ttl < MinICETTL || ttl > MaxICETTL) {
		errs = append(errs, fmt.Errorf("ice.ttl: %v is not %v to %v", c.TTL, Duration(MinICETTL), Duration(MaxICETTL)))
	}
	if err := oneOf("ice.inherit", c.Inherit, On, Off); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// Keys are the secrets in their order: credentials are made with the first. Empty where the credentials are always the same.
func (s *ICEServerSettings) Keys() []Secret {
	if s.Secret == "" {
		return s.Secrets
	}
	return append([]Secret{s.Secret}, s.Secrets...)
}

// Validate gives all that is wrong with the server, each with the name of what holds it in front.
func (s *ICEServerSettings) Validate(name string) error {
	var errs []error
	fail := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s%w", name, fmt.Errorf(format, args...)))
	}
	if len(s.URLs) == 0 || len(s.URLs) > maxICEURLs {
		fail(".urls: has %d entries, not 1 to %d", len(s.URLs), maxICEURLs)
	}
	relay := false
	for _, address := range s.URLs {
		uri, err := parseICEURL(address)
		if err != nil {
			fail(".urls: %q %v", address[:min(len(address), maxICEURL)], err)
			continue
		}
		relay = relay || uri.Scheme == stun.SchemeTypeTURN || uri.Scheme == stun.SchemeTypeTURNS
	}
	if len(s.Username) > maxICEText || len(s.Credential) > maxICEText {
		fail(": username or credential is longer than %d bytes", maxICEText)
	}
	keys, fixed := s.Keys(), s.Username != "" || s.Credential != ""
	switch {
	case len(keys) > 0 && fixed:
		fail(": has a secret, of which credentials are made, and a username or credential")
	case len(keys) > 0 && !relay:
		fail(": a secret is for turn: and turns: servers alone")
	case relay && len(keys) == 0 && (s.Username == "" || s.Credential == ""):
		fail(": a turn: server needs username and credential, or a secret")
	}
	if err := ValidateICESecrets(keys); err != nil {
		fail(": %w", err)
	}
	return errors.Join(errs...)
}

// ValidateICESecrets checks secrets that credentials are made with.
func ValidateICESecrets(secrets []Secret) error {
	if len(secrets) > MaxICESecrets {
		return fmt.Errorf("there are %d secrets, and at most %d", len(secrets), MaxICESecrets)
	}
	for _, secret := range secrets {
		switch {
		case secret == hidden:
			return fmt.Errorf("%s stands for a secret that is not shown, and is none", hidden)
		case len(secret) < MinICESecret:
			return fmt.Errorf("a secret is shorter than %d bytes", MinICESecret)
		}
	}
	return nil
}

// ValidateICEURL checks one address of a STUN or TURN server (RFC 7064, RFC 7065). The error is the end of a sentence that starts with it.
func ValidateICEURL(address string) error {
	_, err := parseICEURL(address)
	return err
}

func parseICEURL(address string) (*stun.URI, error) {
	form := errors.New("is not like stun:stun.example.com:3478 or turn:turn.example.com:3478?transport=tcp")
	if len(address) > maxICEURL {
		return nil, fmt.Errorf("is longer than %d bytes", maxICEURL)
	}
	uri, err := stun.ParseURI(address)
	switch {
	case errors.Is(err, stun.ErrSchemeType):
		return nil, errors.New("does not start with stun:, stuns:, turn: or turns:") //nolint:staticcheck // so schemes end
	case errors.Is(err, stun.ErrHost):
		return nil, errors.New("names no host; it is written without slashes, as in turn:turn.example.com:3478")
	case err != nil || strings.ContainsAny(address, "# ") || !validICEHost(uri.Host):
		return nil, form
	case uri.Port < 1 || uri.Port > 65535:
		return nil, fmt.Errorf("has port %d", uri.Port)
	}
	return uri, nil
}

// validICEHost takes addresses and names, those of other scripts as IDNA writes them.
func validICEHost(host string) bool {
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.Zone() == ""
	}
	const most = 253 // of a DNS name
	return len(host) <= most && strings.IndexFunc(host, func(c rune) bool {
		return !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '.' || c == '-' || c == '_')
	}) < 0
}
