package auth

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// SigningKey is the private side of a [Key].
type SigningKey struct {
	// ID goes into the kid header; "" leaves it out, which works for an app with one key.
	ID string
	// Algorithm is one of [Algorithms].
	Algorithm string
	// Secret is for HS256.
	Secret Secret
	// PrivateKey is for the others: one PEM block "PRIVATE KEY" (PKCS #8), "RSA PRIVATE KEY" or "EC PRIVATE KEY".
	PrivateKey Secret
}

// Claims is what a token says. [Sign] leaves out what is zero.
type Claims struct {
	App       string
	User      string
	Name      string
	Grants    []Grant
	IssuedAt  time.Time
	NotBefore time.Time
	Expires   time.Time
	Audience  []string
	Issuer    string
}

// Sign mints a token. It refuses claims that no [Verifier] would take, so that a mistake shows where it is made.
// Times are cut to seconds.
func Sign(key SigningKey, c Claims) (string, error) {
	payload, err := c.payload()
	if err != nil {
		return "", fmt.Errorf("auth: sign: %w", err)
	}
	private, err := key.material()
	if err != nil {
		return "", fmt.Errorf("auth: sign: %w", err)
	}
	token := jwt.NewWithClaims(jwt.GetSigningMethod(key.Algorithm), payload)
	if key.ID != "" {
		if !validKeyID(key.ID) {
			return "", errors.New("auth: sign: the key's id is not valid")
		}
		token.Header["kid"] = key.ID
	}
	signed, err := token.SignedString(private)
	if err != nil {
		return "", fmt.Errorf("auth: sign: %w", err)
	}
	return signed, nil
}

// GenerateKey makes a new random key of the algorithm: what goes into an app's configuration, and its private side.
func GenerateKey(id, algorithm string) (Key, SigningKey, error) {
	public := Key{ID: id, Algorithm: algorithm}
	private := SigningKey{ID: id, Algorithm: algorithm}
	var pair any
	var publicPart any
	var err error
	switch algorithm {
	case HS256:
		// Two of 26 base32 characters: 256 bits and more, and nothing that a shell or YAML would eat.
		public.Secret = Secret(rand.Text() + rand.Text())
		private.Secret = public.Secret
		return public, private, nil
	case RS256:
		var key *rsa.PrivateKey
		if key, err = rsa.GenerateKey(rand.Reader, minRSABits); err == nil {
			pair, publicPart = key, key.Public()
		}
	case ES256:
		var key *ecdsa.PrivateKey
		if key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err == nil {
			pair, publicPart = key, key.Public()
		}
	case EdDSA:
		publicPart, pair, err = ed25519.GenerateKey(rand.Reader)
	default:
		err = fmt.Errorf("algorithm %q is not one of %s", algorithm, strings.Join(Algorithms, ", "))
	}
	if err != nil {
		return Key{}, SigningKey{}, fmt.Errorf("auth: generate key: %w", err)
	}
	publicDER, err := x509.MarshalPKIXPublicKey(publicPart)
	if err != nil {
		return Key{}, SigningKey{}, fmt.Errorf("auth: generate key: %w", err)
	}
	privateDER, err := x509.MarshalPKCS8PrivateKey(pair)
	if err != nil {
		return Key{}, SigningKey{}, fmt.Errorf("auth: generate key: %w", err)
	}
	public.PublicKey = string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: publicDER}))
	private.PrivateKey = Secret(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: privateDER}))
	return public, private, nil
}

// payload writes what claims.go reads.
func (c *Claims) payload() (jwt.MapClaims, error) {
	switch {
	case !validAppID(c.App):
		return nil, errors.New("the app's id is not valid")
	case !validUser(c.User):
		return nil, errors.New("the user is not 1 to 128 printable characters")
	case !validDisplayName(c.Name):
		return nil, errors.New(messageBadName)
	case c.Expires.IsZero():
		return nil, errors.New("there is no expiry")
	case len(c.Grants) > MaxGrants:
		return nil, fmt.Errorf("there are more than %d grants", MaxGrants)
	}
	payload := jwt.MapClaims{"app": c.App, "sub": c.User, "exp": c.Expires.Unix()}
	if c.Name != "" {
		payload["name"] = c.Name
	}
	if !c.IssuedAt.IsZero() {
		payload["iat"] = c.IssuedAt.Unix()
	}
	if !c.NotBefore.IsZero() {
		payload["nbf"] = c.NotBefore.Unix()
	}
	if len(c.Audience) > 0 {
		payload["aud"] = c.Audience
	}
	if c.Issuer != "" {
		payload["iss"] = c.Issuer
	}
	if len(c.Grants) == 0 {
		return payload, nil
	}
	rooms := make([]map[string]any, len(c.Grants))
	for i, grant := range c.Grants {
		if err := validatePattern(grant.Room); err != nil {
			return nil, err
		}
		rooms[i] = map[string]any{"room": grant.Room, "can": grant.Can.words()}
	}
	payload["rooms"] = rooms
	return payload, nil
}

// words is never nil: an absent can list would mean publish.
func (p Permissions) words() []string {
	words := []string{}
	if p.Publish {
		words = append(words, canPublish)
	}
	if p.Moderate {
		words = append(words, canModerate)
	}
	if p.SetCapacity {
		words = append(words, canCapacity)
	}
	return words
}

// material gives what the library signs with, under the same rules as [Key].
func (k *SigningKey) material() (any, error) {
	if k.Algorithm == HS256 {
		if k.PrivateKey != "" {
			return nil, errors.New("HS256 takes a secret, not a private key")
		}
		if err := checkSecret(k.Secret); err != nil {
			return nil, err
		}
		return []byte(k.Secret), nil
	}
	block, rest := pem.Decode([]byte(k.PrivateKey))
	if block == nil || strings.TrimSpace(string(rest)) != "" {
		return nil, errors.New("the private key is not one PEM block")
	}
	var private any
	var err error
	switch block.Type {
	case "PRIVATE KEY":
		private, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		private, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		private, err = x509.ParseECPrivateKey(block.Bytes)
	default:
		return nil, fmt.Errorf("the private key is a PEM block %q", block.Type)
	}
	if err != nil {
		return nil, errors.New("the private key does not parse")
	}
	var public any
	switch key := private.(type) {
	case *rsa.PrivateKey:
		public = &key.PublicKey
	case *ecdsa.PrivateKey:
		public = &key.PublicKey
	case ed25519.PrivateKey:
		public = key.Public()
	}
	return private, checkKeyType(k.Algorithm, public)
}
