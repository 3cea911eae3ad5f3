package app

import (
	"fmt"
	"time"

	"github.com/signalbox-rtc/signalbox/pkg/auth"
	"github.com/signalbox-rtc/signalbox/pkg/httpapi"
)

// APIConfig is about the server API.
type APIConfig struct {
	Address           string        `koanf:"address" default:"127.0.0.1:8081" doc:"Address of the server API, as host:port. It is served where there are api.keys."`
	TLS               APITLSConfig  `koanf:"tls" doc:"TLS of the server API. Without a certificate it speaks plain HTTP."`
	RequestsPerSecond int           `koanf:"requests_per_second" default:"50" min:"1" max:"100000" doc:"Requests a second that one key may make of this gateway for long. Further ones are answered with 429 and Retry-After."`
	RequestsBurst     int           `koanf:"requests_burst" default:"100" min:"1" max:"1000000" doc:"Requests that one key may make at once after a pause."`
	BodyBytes         int           `koanf:"body_bytes" default:"65536" min:"1024" max:"16777216" doc:"Greatest size of a request's body, in bytes."`
	BodyTimeout       time.Duration `koanf:"body_timeout" default:"10s" min:"100ms" max:"5m" doc:"How long the body of a request may take."`
	Timeout           time.Duration `koanf:"timeout" default:"10s" min:"100ms" max:"5m" doc:"How long Redis may take for an answer before the request is answered with 503."`
	IdempotencyTTL    time.Duration `koanf:"idempotency_ttl" default:"24h" min:"1m" max:"168h" doc:"How long the answer to a request with an Idempotency-Key is kept, for those who send it again."`
	Listeners         int           `koanf:"listeners" default:"100" min:"1" max:"100000" doc:"Streams of a room's events that this gateway serves at a time. Further ones are answered with 429."`
	EventsPeriod      time.Duration `koanf:"events_period" default:"500ms" min:"10ms" max:"1m" doc:"How often each of them asks Redis for what has happened."`
	Console           ConsoleConfig `koanf:"console" doc:"The console, which shows operators the cluster in a browser."`
	Keys              []APIKey      `koanf:"keys" max:"256" doc:"The operator's keys of the server API. Without any there is no server API."`
}

// APITLSConfig is TLS of the server API.
type APITLSConfig struct {
	CertFile     string `koanf:"cert_file" doc:"File with the certificate chain in PEM, leaf first. It is reloaded as that of tls.cert_file."`
	KeyFile      string `koanf:"key_file" doc:"File with the private key in PEM."`
	ClientCAFile string `koanf:"client_ca_file" doc:"File with the certificates in PEM that client certificates are verified by. A client with one of these needs no other key, if api.keys[].certificate names it."`
}

// Enabled reports whether the server API speaks TLS.
func (c APITLSConfig) Enabled() bool { return c.CertFile != "" }

// Enabled reports whether there is a server API.
func (c APIConfig) Enabled() bool { return c.Address != "" && len(c.Keys) > 0 }

// APIKey is a key of the server API.
type APIKey struct {
	ID          string      `koanf:"id" doc:"Names the key, in the audit log."`
	Secret      auth.Secret `koanf:"secret" doc:"The key itself, of 32 characters at least; or its hash."`
	Hash        string      `koanf:"hash" doc:"SHA-256 of the key in lower-case hex: printf %s KEY | sha256sum."`
	Certificate string      `koanf:"certificate" doc:"Name in a client certificate that stands for the key: a URI or DNS name of its subject alternative names, or its common name."`
	Apps        []string    `koanf:"apps" max:"1024" doc:"Apps that the key is for. Empty: all, and what belongs to none."`
	Can         string      `koanf:"can" oneof:"read write admin" doc:"What it may do: read; write, which is to change rooms, members and sessions, to send messages and to mint tokens, too; or admin, which is everything."`
}

// minAPISecret is the least length of a key, in bytes: what nobody tries all of.
const minAPISecret = 32

// keys are those of the configuration as the API takes them.
func (c *APIConfig) keys() ([]httpapi.Key, error) {
	keys := make([]httpapi.Key, len(c.Keys))
	for i, key := range c.Keys {
		can, ok := httpapi.ParsePermission(key.Can)
		if !ok {
			return nil, fmt.Errorf("api.keys[%d].can: %q is not read, write or admin", i, key.Can)
		}
		hash := key.Hash
		if key.Secret != "" {
			if hash != "" {
				return nil, fmt.Errorf("api.keys[%d]: has a secret and a hash", i)
			}
			if len(key.Secret) < minAPISecret {
				return nil, fmt.Errorf("api.keys[%d].secret: is shorter than %d bytes", i, minAPISecret)
			}
			hash = auth.HashAPIKey(string(key.Secret))
		}
		keys[i] = httpapi.Key{ID: key.ID, Hash: hash, Certificate: key.Certificate, Apps: key.Apps, Can: can}
	}
	return keys, nil
}

// api checks what the server API is told.
func (k *checker) api() {
	c := &k.config.API
	if c.Enabled() {
		k.Address("api.address", c.Address)
		for other, address := range map[string]string{"listen.public": k.config.Listen.Public, "listen.operations": k.config.Listen.Operations} {
			k.Differ("api.address", c.Address, other, address)
		}
	}
	if (c.TLS.CertFile == "") != (c.TLS.KeyFile == "") {
		k.Fail("api.tls.cert_file and api.tls.key_file: one needs the other", "api.tls.cert_file", "api.tls.key_file")
	}
	if c.TLS.ClientCAFile != "" && !c.TLS.Enabled() {
		k.Fail("api.tls.client_ca_file: needs api.tls.cert_file", "api.tls.client_ca_file")
	}
	k.AtMost("api.requests_per_second", c.RequestsPerSecond, "api.requests_burst", c.RequestsBurst)
	keys, err := c.keys()
	if err == nil {
		err = httpapi.ValidateKeys(keys)
	}
	if err != nil {
		k.Fail("api.keys: "+err.Error(), "api.keys")
	}
}
