package auth

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"github.com/golang-jwt/jwt/v5"
)

// The algorithms that a key may have (RFC 7518, section 3.1, and RFC 8037, section 3.1). Names are case-sensitive.
const (
	HS256 = "HS256" // HMAC with SHA-256, a shared secret
	RS256 = "RS256" // RSASSA-PKCS1-v1_5 with SHA-256
	ES256 = "ES256" // ECDSA on P-256 with SHA-256
	EdDSA = "EdDSA" // Ed25519
)

// Algorithms lists every algorithm that a key may have.
var Algorithms = []string{HS256, RS256, ES256, EdDSA}

const (
	// minSecretBytes is the least length of an HS256 secret: that of its hash (RFC 7518, section 3.2).
	minSecretBytes = 32
	// minSecretVariety is the least number of different bytes in a secret. A random one of 32 bytes, also in hex,
	// has more; "xxxx..." has not.
	minSecretVariety = 8
	// minRSABits is the least size of an RSA modulus (RFC 7518, section 3.3).
	minRSABits = 2048
	// maxRSABits bounds the cost of one check, which a stranger can ask for.
	maxRSABits = 8192
	// maxKeyID is the greatest length of a key's id, in bytes.
	maxKeyID = 128
)

// Key checks the signatures of an app's tokens, with one algorithm alone.
type Key struct {
	// ID is what the kid header of a token says: 1 to 128 printable ASCII characters without spaces.
	ID string `koanf:"id" yaml:"id" json:"id"`
	// Algorithm is one of [Algorithms]. It alone decides how a token is checked; the token's alg must agree.
	Algorithm string `koanf:"algorithm" yaml:"algorithm" json:"algorithm"`
	// Secret is for HS256: at least 32 bytes, used as they are written.
	Secret Secret `koanf:"secret" yaml:"secret,omitempty" json:"secret,omitempty"`
	// PublicKey is for the others: one PEM block "PUBLIC KEY" (or "RSA PUBLIC KEY").
	PublicKey string `koanf:"public_key" yaml:"public_key,omitempty" json:"public_key,omitempty"`
	// Expires is when the key ends to count, as in 2030-01-31T12:00:00Z; what it has signed is refused from then on. Empty: never.
	Expires Time `koanf:"expires" yaml:"expires,omitempty" json:"expires,omitzero"`
}

// verifyKey is a Key, checked and made ready. Immutable.
type verifyKey struct {
	algorithm string
	material  any         // []byte, *rsa.PublicKey, *ecdsa.PublicKey or ed25519.PublicKey
	parser    *jwt.Parser // knows this algorithm alone, and what the app expects
	expires   Time
}

func (k *Key) compile(a *App, opts *Options) (*verifyKey, error) {
	if !validKeyID(k.ID) {
		return nil, fmt.Errorf("key %q: an id is 1 to %d printable ASCII characters without spaces", k.ID, maxKeyID)
	}
	material, err := k.material()
	if err != nil {
		return nil, fmt.Errorf("key %q: %w", k.ID, err)
	}
	key := newVerifyKey(k.Algorithm, material, a.Audience, a.Issuer, opts)
	key.expires = k.Expires
	return key, nil
}

// newVerifyKey makes a key ready whose material is for the algorithm.
func newVerifyKey(algorithm string, material any, audience, issuer string, opts *Options) *verifyKey {
	options := []jwt.ParserOption{
		jwt.WithValidMethods([]string{algorithm}),
		jwt.WithStrictDecoding(),
		jwt.WithTimeFunc(opts.Now),
		jwt.WithLeeway(opts.Leeway),
		jwt.WithExpirationRequired(),
		jwt.WithIssuedAt(),
	}
	if audience != "" {
		options = append(options, jwt.WithAudience(audience))
	}
	if issuer != "" {
		options = append(options, jwt.WithIssuer(issuer))
	}
	return &verifyKey{algorithm: algorithm, material: material, parser: jwt.NewParser(options...)}
}

// keyFor is the parser's [jwt.Keyfunc]. The token has no say in it.
func (k *verifyKey) keyFor(*jwt.Token) (any, error) { return k.material, nil }

// material gives what the algorithm checks signatures with, after making sure that it is for this algorithm and
// strong enough. Errors never repeat it.
func (k *Key) material() (any, error) {
	if k.Algorithm == HS256 {
		if k.PublicKey != "" {
			return nil, errors.New("HS256 takes a secret, not a public_key")
		}
		if err := checkSecret(k.Secret); err != nil {
			return nil, err
		}
		return []byte(k.Secret), nil
	}
	switch k.Algorithm {
	case RS256, ES256, EdDSA:
	default:
		return nil, fmt.Errorf("algorithm %q is not one of %s", k.Algorithm, strings.Join(Algorithms, ", "))
	}
	if k.Secret != "" {
		return nil, fmt.Errorf("%s takes a public_key, not a secret", k.Algorithm)
	}
	public, err := parsePublicKey(k.PublicKey)
	if err != nil {
		return nil, err
	}
	return public, checkKeyType(k.Algorithm, public)
}

func checkSecret(secret Secret) error {
	text := string(secret)
	switch {
	case len(text) < minSecretBytes:
		return fmt.Errorf("the secret is shorter than %d bytes", minSecretBytes)
	case strings.Contains(text, "-----BEGIN"):
		// A public key as HMAC secret is the classic confusion: everybody could sign.
		return errors.New("the secret is a PEM block; HS256 takes a random shared secret")
	case strings.TrimSpace(text) != text:
		return errors.New("the secret has white space at an end, for example a file's last newline")
	}
	seen := map[byte]bool{}
	for i := range len(text) {
		seen[text[i]] = true
	}
	if len(seen) < minSecretVariety {
		return fmt.Errorf("the secret has fewer than %d different bytes; take a random one", minSecretVariety)
	}
	return nil
}

func parsePublicKey(text string) (any, error) {
	block, rest := pem.Decode([]byte(text))
	if block == nil {
		return nil, errors.New("public_key has no PEM block")
	}
	if strings.TrimSpace(string(rest)) != "" {
		return nil, errors.New("public_key has something after its PEM block")
	}
	var public any
	var err error
	switch block.Type {
	case "PUBLIC KEY":
		public, err = x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		public, err = x509.ParsePKCS1PublicKey(block.Bytes)
	default:
		if strings.HasSuffix(block.Type, "PRIVATE KEY") {
			return nil, errors.New("public_key holds a private key; it does not belong here, and should be replaced")
		}
		return nil, fmt.Errorf("public_key is a PEM block %q, not \"PUBLIC KEY\"", block.Type)
	}
	if err != nil {
		return nil, fmt.Errorf("public_key: %w", err)
	}
	return public, nil
}

// checkKeyType makes sure that a public key is of the algorithm's kind and size.
func checkKeyType(algorithm string, public any) error {
	switch key := public.(type) {
	case *rsa.PublicKey:
		if algorithm != RS256 {
			return fmt.Errorf("an RSA key is not for %s", algorithm)
		}
		if bits := key.N.BitLen(); bits < minRSABits || bits > maxRSABits {
			return fmt.Errorf("the RSA key has %d bits, not %d to %d", bits, minRSABits, maxRSABits)
		}
	case *ecdsa.PublicKey:
		if algorithm != ES256 {
			return fmt.Errorf("an ECDSA key is not for %s", algorithm)
		}
		if key.Curve != elliptic.P256() {
			return fmt.Errorf("ES256 takes a key on P-256, not on %s", key.Curve.Params().Name)
		}
	case ed25519.PublicKey:
		if algorithm != EdDSA {
			return fmt.Errorf("an Ed25519 key is not for %s", algorithm)
		}
	default:
		return fmt.Errorf("a key of type %T is not for %s", public, algorithm)
	}
	return nil
}

func validKeyID(id string) bool {
	if id == "" || len(id) > maxKeyID {
		return false
	}
	return strings.IndexFunc(id, func(c rune) bool { return c <= ' ' || c > '~' }) < 0
}
