package auth

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// APIKey lets a backend of the app use the server API for it.
type APIKey struct {
	// ID names the key: 1 to 128 printable ASCII characters without spaces.
	ID string `koanf:"id" yaml:"id" json:"id"`
	// Hash is the SHA-256 of the key in hex, so that nobody who reads it can use it.
	Hash string `koanf:"hash" yaml:"hash" json:"hash"`
	// Can is what its bearer may do: read, write (rooms, members, messages, tokens) or admin (all of the app, keys included).
	Can []string `koanf:"can" yaml:"can" json:"can"`
	// Expires is when the key ends to count, as in 2030-01-31T12:00:00Z. Empty: never.
	Expires Time `koanf:"expires" yaml:"expires,omitempty" json:"expires,omitzero"`
}

// What an [APIKey] can.
const (
	APIRead  = "read"
	APIWrite = "write"
	APIAdmin = "admin"
)

// maxAPIKeys is how many an app may have.
const maxAPIKeys = 64

// HashAPIKey gives the [APIKey.Hash] of a key.
func HashAPIKey(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:])
}

// Matches reports whether a key is this one, in a time that does not depend on where they differ.
func (k *APIKey) Matches(key string) bool {
	return subtle.ConstantTimeCompare([]byte(HashAPIKey(key)), []byte(k.Hash)) == 1
}

// Allows reports whether the key's bearer may do what is asked for: what is above it allows it, too.
func (k *APIKey) Allows(what string) bool {
	words := []string{APIRead, APIWrite, APIAdmin}
	at := slices.Index(words, what)
	return at >= 0 && slices.ContainsFunc(words[at:], func(word string) bool { return slices.Contains(k.Can, word) })
}

func (k *APIKey) validate() error {
	if !validKeyID(k.ID) {
		return fmt.Errorf("api key %q: an id is 1 to %d printable ASCII characters without spaces", k.ID, maxKeyID)
	}
	if hash, err := hex.DecodeString(k.Hash); err != nil || len(hash) != sha256.Size || strings.ToLower(k.Hash) != k.Hash {
		return fmt.Errorf("api key %q: hash is not the SHA-256 of the key in 64 characters of lower-case hex", k.ID)
	}
	if len(k.Can) == 0 {
		return fmt.Errorf("api key %q: can is empty", k.ID)
	}
	for _, word := range k.Can {
		if word != APIRead && word != APIWrite && word != APIAdmin {
			return fmt.Errorf("api key %q: it can %q, which is not read, write or admin", k.ID, word)
		}
	}
	return nil
}
