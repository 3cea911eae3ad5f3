package app

import (
	"fmt"
	"io"
	"time"

	"github.com/signalbox-rtc/signalbox/pkg/auth"
	"github.com/signalbox-rtc/signalbox/pkg/config"
	gateway "github.com/signalbox-rtc/signalbox/services/gateway/app"
)

//go:generate go test -run TestPage -update .

// Config is everything that a relay can be told. Its tags are the only source of the keys, their defaults, what they allow, the help text
// and the tables in docs/relay.md: see [config].
//
// A Config comes from Load, or from Default with changes made in code and then Validate. After that it is only read.
type Config struct {
	Listen      ListenConfig        `koanf:"listen" doc:"The addresses it listens on."`
	TLS         gateway.TLSConfig   `koanf:"tls" doc:"The certificate of listen.tls. Without one there is no TLS."`
	Relay       RelayConfig         `koanf:"relay" doc:"What clients and peers know it by."`
	Credentials CredentialsConfig   `koanf:"credentials" doc:"Whom it lets in: TURN REST credentials, as gateways make them, and whatever served coturn before."`
	Peers       PeersConfig         `koanf:"peers" doc:"Whom it sends to."`
	Quotas      QuotasConfig        `koanf:"quotas" doc:"What users and apps may take. A user is the part of the user name behind the expiry; credentials that others have made belong to no app."`
	Limits      LimitsConfig        `koanf:"limits" doc:"What one client may take."`
	Announce    AnnounceConfig      `koanf:"announce" doc:"Telling the gateways of this relay, through Redis. An outage of Redis stops nothing."`
	Redis       gateway.RedisConfig `koanf:"redis" doc:"The gateways' Redis, for announce.enabled."`
	Log         gateway.LogConfig   `koanf:"log" doc:"The log, on standard error."`
	Shutdown    ShutdownConfig      `koanf:"shutdown" doc:"The end of the process."`

	// origin is where it came from; nil when made in code.
	origin *config.Origin
}

// ListenConfig holds the addresses.
type ListenConfig struct {
	UDP        []string `koanf:"udp" default:":3478" max:"16" doc:"Addresses for STUN and TURN over UDP, as host:port. Name them one by one on a machine with several: answers then come from the address that was asked."`
	TCP        []string `koanf:"tcp" default:":3478" max:"16" doc:"Addresses for TURN over TCP, as host:port."`
	TLS        []string `koanf:"tls" default:":5349" max:"16" doc:"Addresses for TURN over TLS, as host:port. Used with tls.cert_file. Port 443 gets through most firewalls."`
	Sockets    int      `koanf:"sockets" default:"0" min:"0" max:"256" doc:"Sockets of each UDP address, each read by a goroutine of its own. 0: as many as there are processors."`
	Operations string   `koanf:"operations" default:"127.0.0.1:9090" doc:"Address for /metrics, /livez and /readyz, as host:port. They are open to whoever reaches it: in a pod set \":9090\", elsewhere leave it on the loopback interface."`
	Pprof      bool     `koanf:"pprof" default:"false" doc:"Serve Go's profiles under /debug/pprof/ of the operations address."`
}

// RelayConfig is what others know a relay by.
type RelayConfig struct {
	Realm      string   `koanf:"realm" default:"signalbox" doc:"Realm of the credentials, told to clients."`
	Region     string   `koanf:"region" doc:"Where the relay stands, in your own words without spaces. Gateways give clients relays of their region first."`
	ExternalIP []string `koanf:"external_ip" max:"2" doc:"Addresses that peers send to, one of each family that is to be served. Behind a NAT the public one, all relay ports of which must lead here. Empty: what relay.stun_server says, else the addresses of this machine on its way out (of IPv6 only a global one)."`
	STUNServer string   `koanf:"stun_server" doc:"STUN server, as host:port, that is asked for the external addresses at start."`
	PortsFrom  int      `koanf:"ports_from" default:"49152" min:"1024" max:"65535" doc:"First of the UDP ports that are relayed from. Peers must reach them."`
	PortsTo    int      `koanf:"ports_to" default:"65535" min:"1024" max:"65535" doc:"Last of them. At most half are used at a time."`
	URLs       []string `koanf:"urls" max:"32" doc:"How clients reach this relay, as in turns:turn.example.com:443?transport=tcp. Empty: made of the external addresses and of listen. TLS needs a name that the certificate has, so turns: is never made of an address."`
}

// CredentialsConfig is about whom a relay lets in.
type CredentialsConfig struct {
	Secrets     []auth.Secret `koanf:"secrets" max:"16" doc:"Secrets, of 16 bytes at least, that passwords are made with; any of them is good. To change one, add the new one here, give out credentials with it, and take the old one away when the last credentials that were made with it have expired."`
	File        string        `koanf:"secrets_file" doc:"File with further secrets, one a line. A changed file is taken without a restart; one that is wrong is refused, and the secrets stay as they were."`
	Reload      time.Duration `koanf:"reload_interval" default:"30s" min:"100ms" max:"24h" doc:"How often that file is looked at."`
	MaxAhead    time.Duration `koanf:"max_ahead" default:"24h" min:"1m" max:"8760h" doc:"How far in the future the expiry of credentials may lie. Whoever has learned a secret cannot make any for longer."`
	AfterExpiry time.Duration `koanf:"after_expiry" default:"12h" min:"0s" max:"8760h" doc:"For how long after its credentials' expiry an allocation that was made before may be refreshed, so that no call is cut. New ones are not made."`
}

// PeersConfig is about whom a relay sends to.
type PeersConfig struct {
	Allow     []string `koanf:"allow" max:"256" doc:"Networks in CIDR notation, or addresses, that may be peers although they are not public, as 10.20.0.0/16. Everybody with credentials can then send UDP to them."`
	Deny      []string `koanf:"deny" max:"256" doc:"Networks or addresses that may not be peers. It goes before peers.allow, however narrow that is."`
	PortsFrom int      `koanf:"ports_from" default:"1024" min:"1" max:"65535" doc:"Least port of a peer outside of peers.allow: DNS, NTP and the like are below, and neither browsers nor NATs use such ports (RFC 4787, REQ-3)."`
}

// QuotasConfig bounds users and apps.
type QuotasConfig struct {
	Allocations        int `koanf:"allocations" default:"10000" min:"1" max:"1000000" doc:"Allocations at a time, of all. At most half of the ports. Further ones are answered with 508."`
	UserAllocations    int `koanf:"user_allocations" default:"64" min:"0" max:"1000000" doc:"Allocations of a user. Further ones are answered with 486. A browser makes one for each URL, network interface and call. 0: no limit."`
	AppAllocations     int `koanf:"app_allocations" default:"0" min:"0" max:"1000000" doc:"Allocations of an app's users together. 0: no limit."`
	BytesPerSecond     int `koanf:"bytes_per_second" default:"0" min:"0" max:"1000000000000" doc:"Bytes a second that are relayed, both ways together. What comes above is dropped, and counted. 0: no limit."`
	UserBytesPerSecond int `koanf:"user_bytes_per_second" default:"4000000" min:"0" max:"1000000000000" doc:"Bytes a second of a user. 0: no limit."`
	AppBytesPerSecond  int `koanf:"app_bytes_per_second" default:"0" min:"0" max:"1000000000000" doc:"Bytes a second of an app's users together. 0: no limit."`
}

// LimitsConfig bounds one client.
type LimitsConfig struct {
	Lifetime      time.Duration `koanf:"lifetime" default:"10m" min:"1m" max:"59m" doc:"How long an allocation lives without being refreshed, if its client does not say. A client may ask for less than an hour."`
	Permissions   int           `koanf:"permissions" default:"64" min:"1" max:"10000" doc:"Peers, told by their addresses, of an allocation."`
	Channels      int           `koanf:"channels" default:"64" min:"1" max:"10000" doc:"Channels of an allocation."`
	Connections   int           `koanf:"connections" default:"10000" min:"1" max:"1000000" doc:"TCP and TLS connections. Further ones are closed."`
	PacketBytes   int           `koanf:"packet_bytes" default:"1600" min:"576" max:"65535" doc:"Greatest size of a client's message, in bytes. From peers it is below 1600 in any case."`
	IdleTimeout   time.Duration `koanf:"idle_timeout" default:"30s" min:"100ms" max:"1h" doc:"How long a connection may stay without an allocation, and a message take to come whole."`
	WriteTimeout  time.Duration `koanf:"write_timeout" default:"10s" min:"100ms" max:"5m" doc:"How long a write to a connection may take before it is closed."`
	Answers       int           `koanf:"answers" default:"20000" min:"1" max:"1000000000" doc:"Requests a second over UDP that are answered although they show no good credentials, in all: STUN's, and the first of each client. Further ones are dropped. What shows good credentials is not counted."`
	SourceAnswers int           `koanf:"source_answers" default:"1000" min:"1" max:"1000000000" doc:"Those of one source, an IPv4 address or an IPv6 network of 64 bits; five times that at once, for the many who may be behind one NAT."`
}

// AnnounceConfig is about telling the gateways.
type AnnounceConfig struct {
	Enabled bool          `koanf:"enabled" default:"false" doc:"Tell the gateways of this relay, so that they give its URLs to clients."`
	Beat    time.Duration `koanf:"beat" default:"2s" min:"100ms" max:"1m" doc:"How often."`
	Lease   time.Duration `koanf:"lease" default:"6s" min:"200ms" max:"10m" doc:"How long after that the gateways believe it; at least two beats."`
}

// ShutdownConfig is about the end of the process.
type ShutdownConfig struct {
	Drain time.Duration `koanf:"drain" default:"10m" min:"0s" max:"24h" doc:"How long allocations may go on after SIGTERM before they are cut. New ones are refused meanwhile. Keep it below what the supervisor grants (terminationGracePeriodSeconds in Kubernetes)."`
}

// program is what the configuration is of.
func program() *config.Program[Config] {
	return &config.Program[Config]{
		Name: "relay",
		Usage: `Signalbox relay: STUN and TURN for WebRTC clients that do not reach each other.

Usage: relay [--config FILE] [--KEY=VALUE ...]
`,
		Derive: func(c *Config, l *config.Loader) { c.Redis.Derive(l) },
		Check:  check,
	}
}

// Load puts the configuration together from defaults, files, environment and arguments: see [config.Program.Load].
func Load(args, env []string, out io.Writer) (*Config, error) {
	c, from, err := program().Load(args, env, out)
	if err != nil {
		return nil, err
	}
	c.origin = from
	return c, nil
}

// Default returns the configuration of a relay that is told nothing. It lacks a secret.
func Default() *Config {
	lenient := program()
	lenient.Check = nil
	c, _, err := lenient.Load(nil, nil, io.Discard)
	if err != nil {
		panic(fmt.Sprintf("app: the defaults are not a valid configuration: %v", err))
	}
	return c
}

// Validate holds every value against what its key allows, and the values against each other. Load has done this already; a Config that was
// changed in code needs it. The error is a *config.Error.
func (c *Config) Validate() error { return program().Validate(c, c.origin) }
