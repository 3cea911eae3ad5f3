package httpapi

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/signalbox-rtc/signalbox/pkg/auth"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// Permission is what a key may do. Each allows what those before it do.
type Permission int

// The permissions.
const (
	// Read allows to look.
	Read Permission = iota + 1
	// Write allows to change rooms, members and sessions, to send messages and to mint tokens.
	Write
	// Admin allows to change keys and, for the operator, apps and nodes.
	Admin
)

// permissions are the words for them.
var permissions = map[string]Permission{auth.APIRead: Read, auth.APIWrite: Write, auth.APIAdmin: Admin}

// ParsePermission reads a permission's word; false if it is none.
func ParsePermission(word string) (Permission, bool) {
	p, ok := permissions[word]
	return p, ok
}

// String gives the word.
func (p Permission) String() string {
	for word, permission := range permissions {
		if permission == p {
			return word
		}
	}
	return "none"
}

// Key is a key of the operator's: it is not bound to what an app is told about itself.
type Key struct {
	// ID names the key in the log.
	ID string
	// Hash is the SHA-256 of the key in lower-case hex; empty for one that is known by its certificate alone.
	Hash string
	// Certificate is a name in the subject of the client certificate that stands for the key: a URI or DNS name of its
	// subject alternative names, or its common name. Empty for none.
	Certificate string
	// Apps are those that the key is for; empty is all, and what belongs to no app.
	Apps []string
	Can  Permission
}

func (k *Key) validate() error {
	if k.ID == "" || len(k.ID) > maxKeyID || strings.ContainsFunc(k.ID, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return fmt.Errorf("key %q: an id is 1 to %d printable ASCII characters without spaces", k.ID, maxKeyID)
	}
	if k.Hash == "" && k.Certificate == "" {
		return fmt.Errorf("key %q: neither a hash nor a certificate", k.ID)
	}
	if sum, err := hex.DecodeString(k.Hash); k.Hash != "" && (err != nil || len(sum) != sha256.Size || strings.ToLower(k.Hash) != k.Hash) {
		return fmt.Errorf("key %q: the hash is not 64 digits of lower-case hex", k.ID)
	}
	if k.Can < Read || k.Can > Admin {
		return fmt.Errorf("key %q: it may do nothing", k.ID)
	}
	return nil
}

// ValidateKeys tells what is wrong with the operator's keys.
func ValidateKeys(keys []Key) error {
	ids := make(map[string]bool)
	for i := range keys {
		if err := keys[i].validate(); err != nil {
			return err
		}
		if ids[keys[i].ID] {
			return fmt.Errorf("key %q is there twice", keys[i].ID)
		}
		ids[keys[i].ID] = true
	}
	return nil
}

// maxKeyID is the greatest length of a key's id, in bytes, and maxSecret that of a key.
const (
	maxKeyID  = 128
	maxSecret = 512
)

// keyPrefix begins the key of an app, which goes on with the app's id, a dot and what nobody can guess. So the app is known
// before any key is compared.
const keyPrefix = "sbk."

// appOfKey gives the app that a key claims to be of.
func appOfKey(secret string) (app string, ok bool) {
	rest, ok := strings.CutPrefix(secret, keyPrefix)
	if !ok {
		return "", false
	}
	app, _, ok = strings.Cut(rest, ".")
	return app, ok
}

// principal is who makes a request.
type principal struct {
	id   string // of the key, for the log and for limits: unique among all keys
	apps []string
	all  bool // every app, and what belongs to none: an operator
	can  Permission
}

// sees reports whether anything of the app may be known.
func (p *principal) sees(app string) bool { return p.all || slices.Contains(p.apps, app) }

var errNoKey = errors.New("no key")

// identify finds out who makes a request. Whatever is wrong is answered alike: what differs would help to guess.
func (a *API) identify(r *http.Request) (*principal, error) {
	values := r.Header["Authorization"]
	if len(values) == 0 {
		return a.ofCertificate(r)
	}
	if len(values) > 1 {
		return nil, errNoKey
	}
	scheme, secret, _ := strings.Cut(values[0], " ")
	if !strings.EqualFold(scheme, "Bearer") || secret == "" || len(secret) > maxSecret {
		return nil, errNoKey
	}
	hash := auth.HashAPIKey(secret)
	var found *principal
	for i := range a.opts.Keys { // all of them, so that the time does not tell which one it was
		if key := &a.opts.Keys[i]; equal(key.Hash, hash) {
			found = principalOf(key)
		}
	}
	if found != nil {
		return found, nil
	}
	return a.ofApp(secret, hash)
}

// ofApp looks among the keys of the app that a key names.
func (a *API) ofApp(secret, hash string) (*principal, error) {
	id, ok := appOfKey(secret)
	if !ok {
		return nil, errNoKey
	}
	app, ok := a.opts.Apps.App(id)
	if !ok || app.Disabled {
		return nil, errNoKey
	}
	for _, key := range app.APIKeys {
		if !equal(key.Hash, hash) || key.Expires.Over(time.Now()) {
			continue
		}
		var can Permission
		for _, word := range key.Can {
			can = max(can, permissions[word])
		}
		return &principal{id: app.ID + "/" + key.ID, apps: []string{app.ID}, can: can}, nil
	}
	return nil, errNoKey
}

// ofCertificate knows a client by the certificate that TLS has verified.
func (a *API) ofCertificate(r *http.Request) (*principal, error) {
	if r.TLS == nil || len(r.TLS.VerifiedChains) == 0 {
		return nil, errNoKey
	}
	leaf := r.TLS.VerifiedChains[0][0]
	names := slices.Clone(leaf.DNSNames)
	for _, uri := range leaf.URIs {
		names = append(names, uri.String())
	}
	names = append(names, leaf.Subject.CommonName)
	for i := range a.opts.Keys {
		if key := &a.opts.Keys[i]; key.Certificate != "" && slices.Contains(names, key.Certificate) {
			return principalOf(key), nil
		}
	}
	return nil, errNoKey
}

func principalOf(key *Key) *principal {
	return &principal{id: "operator:" + key.ID, apps: key.Apps, all: len(key.Apps) == 0, can: key.Can}
}

// equal compares two hashes in a time that does not depend on where they differ.
func equal(one, other string) bool {
	return one != "" && subtle.ConstantTimeCompare([]byte(one), []byte(other)) == 1
}

// unauthorized is the one answer to every request without a valid key.
func unauthorized() *Problem {
	return newProblem(wire.CodeUnauthorized, "send a valid key as Authorization: Bearer, or a client certificate that is known")
}
