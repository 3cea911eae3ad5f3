package cluster

import (
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"time"
)

const (
	minHopKey  = 16
	hopKeyInfo = "signalbox: hops between gateways, version 1"
	// ticketCache is for how many nodes a ticket is kept with which a handshake is shorter.
	ticketCache = 256
)

// errStranger ends a handshake with somebody who is not of this cluster.
var errStranger = errors.New("cluster: the other side does not show the key pair of this cluster")

// identity is the key pair that every node makes of the cluster's key, and by which they know each other.
type identity struct {
	certificate tls.Certificate
	public      ed25519.PublicKey
}

func newIdentity(clusterKey []byte) (*identity, error) {
	if len(clusterKey) < minHopKey {
		return nil, fmt.Errorf("cluster: a cluster key of %d bytes, fewer than %d", len(clusterKey), minHopKey)
	}
	seed, err := hkdf.Key(sha256.New, clusterKey, nil, hopKeyInfo, ed25519.SeedSize)
	if err != nil {
		return nil, fmt.Errorf("cluster: derive the key of hops: %w", err)
	}
	private := ed25519.NewKeyFromSeed(seed)
	public := private.Public().(ed25519.PublicKey)
	certificate := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "signalbox node"},
		// It does not expire (RFC 5280, section 4.1.2.5): no node depends on another one's clock.
		NotBefore:   time.Unix(0, 0),
		NotAfter:    time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, certificate, certificate, public, private)
	if err != nil {
		return nil, fmt.Errorf("cluster: make the certificate of hops: %w", err)
	}
	return &identity{certificate: tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private}, public: public}, nil
}

// config is that of one side. It trusts the one key pair and nothing else: no authority, no name, no date. TLS itself
// checks that the other side has the private key to what it shows (RFC 8446, section 4.4.3). refused is called for each
// handshake that ends with a stranger.
func (id *identity) config(refused func()) *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS13,
		Certificates:       []tls.Certificate{id.certificate},
		InsecureSkipVerify: true, // VerifyConnection takes the place of it
		// Who shows nothing is refused by VerifyConnection, too, and counted there.
		ClientAuth:         tls.RequestClientCert,
		ClientSessionCache: tls.NewLRUClientSessionCache(ticketCache),
		// Called in every handshake, also in one that resumes an earlier session.
		VerifyConnection: func(state tls.ConnectionState) error {
			if !id.isOf(&state) {
				refused()
				return errStranger
			}
			return nil
		},
	}
}

// isOf reports whether the other side of a connection has shown this identity.
func (id *identity) isOf(state *tls.ConnectionState) bool {
	if len(state.PeerCertificates) == 0 {
		return false
	}
	shown, ok := state.PeerCertificates[0].PublicKey.(ed25519.PublicKey)
	return ok && subtle.ConstantTimeCompare(shown, id.public) == 1
}
