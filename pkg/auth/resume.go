package auth

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// ResumeTokens seals what a session is into a token that its client shows to come back, to whichever gateway: none of them
// keeps a table of sessions. A token is sealed with AES-256-GCM (NIST SP 800-38D) under a key that HKDF (RFC 5869) makes of
// the cluster's, so that only gateways of the cluster can read or make one. Safe for concurrent use.
type ResumeTokens struct {
	aead      cipher.AEAD
	directory *Directory
}

// Resumable is a session that can be resumed.
type Resumable struct {
	// Session is its public id.
	Session string
	// Generation is that of the connection for which the token was made.
	Generation int64
	Identity   *Identity
}

// sealed is the content of a token.
type sealed struct {
	Session    string        `json:"s"`
	Generation int64         `json:"g"`
	App        string        `json:"a"`
	User       string        `json:"u"`
	Name       string        `json:"n,omitempty"`
	Grants     []sealedGrant `json:"r,omitempty"`
	Anonymous  bool          `json:"x,omitempty"`
	Expires    int64         `json:"e"` // Unix seconds
	Issued     int64         `json:"i"` // likewise, 0 if it is not known
}

// sealedGrant is a [Grant] in few bytes.
type sealedGrant struct {
	Room string `json:"r"`
	Can  int    `json:"c,omitempty"` // sum of the permissions' numbers
}

// The numbers of permissions in a token.
const (
	sealedPublish = 1 << iota
	sealedModerate
	sealedSetCapacity
)

// maxResumeToken is more than any token has: 64 grants of rooms with the longest names, and a user and a name of which each
// character is escaped, are 12,000 bytes, and 16,000 in base64url.
const maxResumeToken = 20000

// resumePurpose keeps the key from being that of anything else.
const resumePurpose = "signalbox resume token v1"

// NewResumeTokens makes the tokens of a cluster. key is the cluster's, of at least 16 bytes.
func NewResumeTokens(directory *Directory, key []byte) (*ResumeTokens, error) {
	if directory == nil || len(key) < 16 {
		return nil, errors.New("auth: resume tokens need a directory of apps and a key of 16 bytes or more")
	}
	derived, err := hkdf.Key(sha256.New, key, nil, resumePurpose, 32)
	if err != nil {
		return nil, fmt.Errorf("auth: the key of resume tokens: %w", err)
	}
	block, err := aes.NewCipher(derived)
	if err != nil {
		return nil, fmt.Errorf("auth: the key of resume tokens: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("auth: the key of resume tokens: %w", err)
	}
	return &ResumeTokens{aead: aead, directory: directory}, nil
}

// Seal makes a token. It is good until the identity expires.
func (r *ResumeTokens) Seal(session Resumable) (string, error) {
	id := session.Identity
	plain, err := json.Marshal(sealed{
		Session: session.Session, Generation: session.Generation, App: id.App, User: id.User, Name: id.Name,
		Grants: sealGrants(id.Grants), Anonymous: id.Anonymous, Expires: id.Expires.Unix(), Issued: issuedSeconds(id),
	})
	if err != nil {
		return "", fmt.Errorf("auth: seal a resume token: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(r.aead.Seal(nil, nil, plain, nil)), nil
}

// Open reads a token. The identity is as it was, but for the app's policy, which is the present one, and an app that is gone
// or switched off takes nobody back. Every error is an [*Error] with its reason.
func (r *ResumeTokens) Open(token string) (*Resumable, error) {
	if len(token) > maxResumeToken {
		return nil, refuse(ReasonTooLarge, "the resume token is too long")
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil {
		return nil, refuseFor(ReasonMalformed, "the resume token is not base64url", err)
	}
	plain, err := r.aead.Open(nil, nil, raw, nil)
	if err != nil {
		return nil, refuseFor(ReasonSignature, "the resume token is not of this cluster", err)
	}
	var content sealed
	if err := json.Unmarshal(plain, &content); err != nil {
		return nil, refuseFor(ReasonMalformed, "the resume token is of another version", err)
	}
	verifier := r.directory.current.Load()
	a, err := verifier.enabledApp(content.App)
	if err != nil {
		return nil, err
	}
	expires := time.Unix(content.Expires, 0).UTC()
	if !verifier.now().Before(expires) {
		return nil, refuse(ReasonExpired, "the session has expired")
	}
	resumable := &Resumable{
		Session: content.Session, Generation: content.Generation,
		Identity: a.give(&Identity{
			App: content.App, User: content.User, Name: content.Name, Grants: openGrants(content.Grants), Expires: expires,
			Anonymous: content.Anonymous,
		}),
	}
	if content.Issued != 0 {
		resumable.Identity.Issued = time.Unix(content.Issued, 0).UTC()
	}
	if r.directory.Revoked(resumable.Identity, content.Session) {
		return nil, errRevoked()
	}
	return resumable, nil
}

func issuedSeconds(id *Identity) int64 {
	if id.Issued.IsZero() {
		return 0
	}
	return id.Issued.Unix()
}

func sealGrants(grants []Grant) []sealedGrant {
	short := make([]sealedGrant, len(grants))
	for i, grant := range grants {
		short[i].Room = grant.Room
		for number, can := range map[int]bool{
			sealedPublish: grant.Can.Publish, sealedModerate: grant.Can.Moderate, sealedSetCapacity: grant.Can.SetCapacity,
		} {
			if can {
				short[i].Can |= number
			}
		}
	}
	return short
}

func openGrants(short []sealedGrant) []Grant {
	grants := make([]Grant, len(short))
	for i, grant := range short {
		grants[i] = Grant{Room: grant.Room, Can: Permissions{
			Publish: grant.Can&sealedPublish != 0, Moderate: grant.Can&sealedModerate != 0,
			SetCapacity: grant.Can&sealedSetCapacity != 0,
		}}
	}
	return grants
}
