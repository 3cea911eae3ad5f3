package app

import (
	"fmt"
	"strings"
	"time"

	"github.com/signalbox-rtc/signalbox/pkg/auth"
)

// ICEConfig is how clients are told of ICE servers.
type ICEConfig struct {
	TTL              time.Duration `koanf:"ttl" default:"1h" min:"10s" max:"24h" doc:"How long credentials are good that are made for a client, where its app does not say. Fresh ones are told when two thirds to three quarters of it are over."`
	ChangesPerSecond int           `koanf:"changes_per_second" default:"1000" min:"1" max:"100000" doc:"Clients a second that this gateway tells, at most, that their servers have changed: because a relay has died, or their app's settings are others. The rest waits (signalbox_ice_changes_waiting)."`
	Relays           RelaysConfig  `koanf:"relays" doc:"The deployment's own relays, which tell the gateways of themselves through Redis."`
}

// RelaysConfig is about relays that announce themselves.
type RelaysConfig struct {
	Enabled  bool          `koanf:"enabled" default:"false" doc:"Tell clients of the relays that are there now, before ice_servers."`
	Secrets  []auth.Secret `koanf:"secrets" max:"4" doc:"What the relays share with the gateways, each of 16 bytes at least; needed with enabled. Credentials are made with the first one; relays take those of all. To change it, give the new one as the second one to all relays, then as the first one to all gateways."`
	Most     int           `koanf:"most" default:"2" min:"1" max:"8" doc:"Relays that a client is told: those of node.region first, then those with the least load."`
	Interval time.Duration `koanf:"interval" default:"2s" min:"100ms" max:"1m" doc:"How often Redis is asked which relays there are."`
}

// ICEServer is a STUN or TURN server, in the shape of the RTCIceServer dictionary of the W3C's WebRTC
// specification (section 4.2.4), with what its credentials are made of.
type ICEServer struct {
	URLs       []string      `koanf:"urls" min:"1" max:"16" doc:"stun:, stuns:, turn: or turns: addresses of the server (RFC 7064, RFC 7065)."`
	Username   string        `koanf:"username" doc:"User for turn: and turns:, where it is always the same. Not beside a secret."`
	Credential auth.Secret   `koanf:"credential" doc:"Password of that user. It is told to every client that has said hello."`
	Secret     auth.Secret   `koanf:"secret" doc:"What the server shares with whoever makes credentials that are good for a time (coturn's static-auth-secret), of 16 bytes at least. Each client is told credentials of its own then, and fresh ones before they expire."`
	Secrets    []auth.Secret `koanf:"secrets" max:"4" doc:"Further ones that the server takes: while one takes the place of another. Credentials are made with the first one of all."`
}

// Settings are what the server is told clients with, as an app's own are.
func (s *ICEServer) Settings() auth.ICEServerSettings {
	return auth.ICEServerSettings{URLs: s.URLs, Username: s.Username, Credential: s.Credential, Secret: s.Secret, Secrets: s.Secrets}
}

// iceServers are those of clients of all apps.
func (c *Config) iceServers() []auth.ICEServerSettings {
	servers := make([]auth.ICEServerSettings, len(c.ICEServers))
	for i := range c.ICEServers {
		servers[i] = c.ICEServers[i].Settings()
	}
	return servers
}

// maxRegion is the greatest length of a region's name, in bytes.
const maxRegion = 64

// noRegion reports whether a relay's region cannot have a character.
func noRegion(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`:*"\`, r) }

// ice checks the servers, and what relays are told with.
func (k *checker) ice() {
	relays := &k.config.ICE.Relays
	switch err := auth.ValidateICESecrets(relays.Secrets); {
	case err != nil:
		k.Fail("ice.relays.secrets: "+err.Error(), "ice.relays.secrets")
	case relays.Enabled && len(relays.Secrets) == 0:
		k.Fail("ice.relays.secrets: are needed with ice.relays.enabled", "ice.relays.secrets", "ice.relays.enabled")
	}
	if region := k.config.Node.Region; len(region) > maxRegion || strings.ContainsFunc(region, noRegion) {
		k.Fail(fmt.Sprintf("node.region: is not at most %d printable ASCII characters without spaces, and without : * \" and \\", maxRegion), "node.region")
	}
	for i := range k.config.ICEServers {
		key := fmt.Sprintf("ice_servers[%d]", i)
		server := k.config.ICEServers[i].Settings()
		if len(server.URLs) == 0 {
			continue // which is out of range
		}
		for _, err := range leaves(server.Validate(key)) {
			k.Fail(err.Error(), key)
		}
	}
}
