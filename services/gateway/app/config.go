package app

import (
	"log/slog"
	"time"

	"github.com/signalbox-rtc/signalbox/pkg/auth"
	"github.com/signalbox-rtc/signalbox/pkg/config"
)

//go:generate go test -run TestConfigurationDocs -update .

// Config is everything that a gateway can be told. Its tags are the only source of the keys, their
// defaults, what they allow, the help text and docs/configuration.md: see [config].
//
// A Config comes from Load, or from Default with changes made in code and then Validate. After that it
// is only read.
type Config struct {
	Node       NodeConfig     `koanf:"node" doc:"This gateway."`
	Listen     ListenConfig   `koanf:"listen" doc:"The addresses it listens on."`
	TLS        TLSConfig      `koanf:"tls" doc:"TLS of the public address. Without a certificate it speaks plain HTTP, for use behind a proxy that ends TLS."`
	Redis      RedisConfig    `koanf:"redis" doc:"The Redis that makes gateways one cluster."`
	Cluster    ClusterConfig  `koanf:"cluster" doc:"What all gateways of a cluster must agree on."`
	Rooms      RoomsConfig    `koanf:"rooms" doc:"What rooms may be, unless their app says otherwise."`
	Session    SessionConfig  `koanf:"session" doc:"One client's session and its connection."`
	Limits     LimitsConfig   `koanf:"limits" doc:"What one connection may ask for."`
	Quotas     QuotasConfig   `koanf:"quotas" doc:"What an app may use that does not say so itself. See [quotas.md](quotas.md)."`
	SocketIO   SocketIOConfig `koanf:"socketio" doc:"Stock socket.io clients: which namespace is served how, and what a client may ask for. See [classic.md](classic.md) and [socketio.md](socketio.md)."`
	API        APIConfig      `koanf:"api" doc:"The server API, for the backends of apps and for the operator. See [api.md](api.md)."`
	Origins    OriginsConfig  `koanf:"origins" doc:"Which web pages may connect, beside those that an app names itself."`
	Demo       DemoConfig     `koanf:"demo" doc:"The app \"demo\", which lets everybody in without a token. For trying out."`
	Pages      PagesConfig    `koanf:"pages" doc:"The demo pages."`
	Metrics    MetricsConfig  `koanf:"metrics" doc:"What is measured. See [metrics.md](metrics.md)."`
	Tracing    TracingConfig  `koanf:"tracing" doc:"Traces of connects and requests, for OpenTelemetry. See [operations.md](operations.md#traces)."`
	Webhooks   WebhooksConfig `koanf:"webhooks" doc:"Telling the apps' backends what happens in their rooms. See [webhooks.md](webhooks.md)."`
	Log        LogConfig      `koanf:"log" doc:"The log, on standard error."`
	Readiness  ReadyConfig    `koanf:"readiness" doc:"When /readyz says that this gateway wants new clients. See [operations.md](operations.md)."`
	Shutdown   ShutdownConfig `koanf:"shutdown" doc:"The end of the process. See [operations.md](operations.md)."`
	ICE        ICEConfig      `koanf:"ice" doc:"How clients are told of STUN and TURN servers. See [ice.md](ice.md)."`
	ICEServers []ICEServer    `koanf:"ice_servers" max:"16" doc:"STUN and TURN servers that clients of all apps are told about, unless an app has ice.inherit off."`
	Apps       []auth.App     `koanf:"apps" doc:"The apps (tenants) whose users may connect. Changes of the file are taken while the gateway runs."`
	AppsReload ReloadConfig   `koanf:"apps_reload" doc:"How changes of apps in the configuration's files are taken while the gateway runs. No connection is dropped for them."`

	// origin is where it came from; nil when made in code.
	origin *config.Origin
}

// NodeConfig is about this gateway.
type NodeConfig struct {
	Name    string `koanf:"name" doc:"Name shown to users as the gateway that serves them, and in the log. Empty: the host's name."`
	Region  string `koanf:"region" doc:"Where it stands, as relays say where they do: clients are told of the relays of the same region first. Empty: all are as near."`
	Address string `koanf:"address" doc:"Where the other gateways reach listen.cluster of this one, as host:port. Empty: its host if it names one, else the address of this machine on the way to Redis."`
}

// ListenConfig holds the addresses.
type ListenConfig struct {
	Public     string `koanf:"public" default:":8080" doc:"Address for clients, as host:port."`
	Operations string `koanf:"operations" default:"127.0.0.1:9090" doc:"Address for /metrics, /livez and /readyz, as host:port. They are open to whoever reaches it: in a pod set \":9090\", elsewhere leave it on the loopback interface."`
	Cluster    string `koanf:"cluster" default:":7946" doc:"Address for the other gateways of the cluster, as host:port. They forward requests of polling clients there, in TLS with keys made of the cluster's; nobody else gets past the handshake. Used with socketio.enabled."`
	// The default is the loopback and the private networks: RFC 1918, RFC 4193.
	TrustedProxies []string      `koanf:"trusted_proxies" default:"127.0.0.0/8,::1/128,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,fc00::/7" max:"256" doc:"Networks of the proxies in front, in CIDR notation. What they say in X-Forwarded-For is taken for the client's address; from others it is passed over."`
	ParkAfter      time.Duration `koanf:"park_after" default:"10s" min:"0s" max:"1h" doc:"How long a client of the native protocol sends no message before its session is parked: until something comes it then takes no goroutine, and about half of the memory. Only for connections in plain TCP, so not beside tls.cert_file, and on Linux. 0s: none is parked. See [operations.md](operations.md#parked-sessions)."`
	Pprof          bool          `koanf:"pprof" default:"false" doc:"Serve Go's profiles under /debug/pprof/ of the operations address."`
}

// TLSConfig is about the certificate of the public listener.
type TLSConfig struct {
	CertFile       string        `koanf:"cert_file" doc:"File with the certificate chain in PEM, leaf first."`
	KeyFile        string        `koanf:"key_file" doc:"File with the private key in PEM."`
	ReloadInterval time.Duration `koanf:"reload_interval" default:"30s" min:"1s" max:"24h" doc:"How often both files are looked at; a changed pair is taken without a restart."`
}

// Enabled reports whether the public listener speaks TLS.
func (c TLSConfig) Enabled() bool { return c.CertFile != "" }

// ClusterConfig is what all gateways share.
type ClusterConfig struct {
	Partitions     int           `koanf:"partitions" default:"64" min:"1" max:"1024" doc:"Number of partitions that rooms are spread over. Fixed by the first gateway of a cluster; one with another number does not start."`
	Key            auth.Secret   `koanf:"key" doc:"Secret of at least 32 characters, the same on all gateways, by which they trust each other. Empty: the first gateway makes one and keeps it in Redis."`
	Beat           time.Duration `koanf:"beat" default:"2s" min:"100ms" max:"1m" doc:"How often a gateway tells the others, through Redis, that it is there."`
	Lease          time.Duration `koanf:"lease" default:"6s" min:"200ms" max:"10m" doc:"How long after that the others believe it, and then give up its seats; at least three beats."`
	Canary         time.Duration `koanf:"canary" default:"1s" min:"10ms" max:"5m" doc:"How often a gateway sends itself a message through Redis, as the others send theirs: on each connection that brings it events."`
	CanaryTimeout  time.Duration `koanf:"canary_timeout" default:"2s" min:"100ms" max:"5m" doc:"How long that may need to come back. After two in a row that do not, the connection is given up and made again, to the server that is the primary now."`
	DialTimeout    time.Duration `koanf:"dial_timeout" default:"3s" min:"10ms" max:"1m" doc:"How long a connection to another gateway may take to be made, TLS included."`
	ForwardTimeout time.Duration `koanf:"forward_timeout" default:"5s" min:"100ms" max:"5m" doc:"How long another gateway may take to answer a request that was forwarded to it, beyond the time for which a poll waits anyway."`
}

// RoomsConfig bounds rooms.
type RoomsConfig struct {
	Capacity     int           `koanf:"capacity" default:"50" min:"1" max:"10000" doc:"Seats of a new room when neither app nor client says."`
	MaxCapacity  int           `koanf:"max_capacity" default:"500" min:"1" max:"10000" doc:"Most seats that a room can have."`
	LogLength    int           `koanf:"log_length" default:"256" min:"16" max:"100000" doc:"Events of a room that are kept for those who come back; at times up to twice as many."`
	ResumeWindow time.Duration `koanf:"resume_window" default:"2m" min:"5s" max:"24h" doc:"How long events are kept for those who come back."`
	Grace        time.Duration `koanf:"grace" default:"30s" min:"0s" max:"1h" doc:"How long a seat is kept when its connection is lost, for clients that can resume. An app's policy.grace goes before it. Longer than resume_window, who comes back late may have to start over. 0s: no seat is kept."`
	SameUser     string        `koanf:"same_user" default:"allow" oneof:"allow replace" doc:"What becomes of a user's seat in a room when the user takes another one there with a new session: both stay, or the new one takes its place. An app's policy.same_user goes before it."`
	PerSession   int           `koanf:"per_session" default:"16" min:"1" max:"1024" doc:"Rooms that one session may be in at once."`
	StateBytes   int           `koanf:"state_bytes" default:"4096" min:"2" max:"1048576" doc:"Greatest size of a peer's own state, in bytes of JSON."`
	StateKeys    int           `koanf:"state_keys" default:"32" min:"1" max:"1024" doc:"Greatest number of keys in a peer's own state."`
	Waiting      int           `koanf:"waiting" default:"100" min:"0" max:"1000" doc:"Clients that may wait for a seat of a full room, or to be let into a moderated one. An app's policy.waiting goes before it. See [protocol.md](protocol.md#waiting-for-a-seat)."`
	Keep         time.Duration `koanf:"keep" default:"0s" min:"0s" max:"720h" doc:"How long a room stays when its last peer has left, with its chat and its settings. An app's policy.keep goes before it."`
	ChatLength   int           `koanf:"chat_length" default:"100" min:"1" max:"10000" doc:"Messages of a room's chat that are kept for those who join later. See [protocol.md](protocol.md#history)."`
	Whiteboard   int           `koanf:"whiteboard_length" default:"2000" min:"1" max:"100000" doc:"Strokes of a room's whiteboard that are kept for those who join later."`
	HistoryBytes int           `koanf:"history_bytes" default:"262144" min:"1024" max:"16777216" doc:"Greatest size of what is kept of a room's chat, and of its whiteboard, in bytes: the oldest goes."`
}

// SessionConfig bounds a session in time and in memory.
type SessionConfig struct {
	HelloTimeout     time.Duration `koanf:"hello_timeout" default:"5s" min:"100ms" max:"5m" doc:"How long a new connection may wait before it says hello."`
	ExpiryNotice     time.Duration `koanf:"expiry_notice" default:"1m" min:"0s" max:"1h" doc:"How long before its token expires a client of the native protocol is told, so that it can refresh the session; at the earliest when half of the time is over. 0s: it is not told."`
	Heartbeat        time.Duration `koanf:"heartbeat" default:"25s" min:"1s" max:"10m" doc:"How often a silent connection is pinged. Keep it below the idle timeout of every proxy on the way."`
	HeartbeatTimeout time.Duration `koanf:"heartbeat_timeout" default:"10s" min:"100ms" max:"5m" doc:"How long the answer to a ping may take before the connection counts as lost."`
	WriteTimeout     time.Duration `koanf:"write_timeout" default:"10s" min:"100ms" max:"5m" doc:"How long one write to a client may take."`
	QueueMessages    int           `koanf:"queue_messages" default:"512" min:"16" max:"1000000" doc:"Messages that may wait for a slow client before its connection is closed, to be resumed."`
	QueueBytes       int           `koanf:"queue_bytes" default:"1048576" min:"4096" max:"1073741824" doc:"Bytes that may wait for a slow client before its connection is closed, to be resumed. When nothing waits, one message fits whatever its size."`
	InFlight         int           `koanf:"in_flight" default:"64" min:"1" max:"10000" doc:"Requests of one session that may wait for Redis at once; the next is read when one is answered."`
}

// LimitsConfig bounds what a connection may send.
type LimitsConfig struct {
	MessageBytes       int           `koanf:"message_bytes" default:"65536" min:"1024" max:"16777216" doc:"Greatest size of a client's message, in bytes."`
	JSONDepth          int           `koanf:"json_depth" default:"16" min:"4" max:"1000" doc:"Greatest nesting of a client's message."`
	JSONKeys           int           `koanf:"json_keys" default:"64" min:"8" max:"100000" doc:"Greatest number of keys in each object of a client's message."`
	MessageReadTimeout time.Duration `koanf:"message_read_timeout" default:"10s" min:"100ms" max:"5m" doc:"How long a message may take from its first byte to its last."`
	MessageFragments   int           `koanf:"message_fragments" default:"128" min:"1" max:"1000000" doc:"Fragments that a client's message may have, however small. One of more is taken as long as they have 64 bytes on average."`
	RequestsPerSecond  int           `koanf:"requests_per_second" default:"50" min:"1" max:"100000" doc:"Requests a second that a connection may make for long."`
	RequestsBurst      int           `koanf:"requests_burst" default:"100" min:"1" max:"1000000" doc:"Requests that a connection may make at once after a pause."`
	RequestsWait       time.Duration `koanf:"requests_wait" default:"5s" min:"10ms" max:"5m" doc:"How far a connection over its rate is slowed down before it is closed instead."`
	BadMessages        int           `koanf:"bad_messages" default:"50" min:"1" max:"1000000" doc:"Messages that are not valid that a session may send before its connection is closed."`
	PingsPerSecond     int           `koanf:"pings_per_second" default:"10" min:"1" max:"10000" doc:"WebSocket pings and pongs a second that a connection may send."`
	Connections        int           `koanf:"connections" default:"0" min:"0" max:"10000000" doc:"Connections that this gateway takes; further ones are refused. 0: no limit."`
	AcceptsPerSecond   int           `koanf:"accepts_per_second" default:"500" min:"0" max:"1000000" doc:"New clients of all transports that this gateway takes in a second for long. Further ones are answered with 503 and told in Retry-After when to come back: all of a herd are back after as many seconds as it has clients for each of these. 0: no limit."`
	AcceptsBurst       int           `koanf:"accepts_burst" default:"500" min:"1" max:"1000000" doc:"New clients that it takes at once after a pause; at least as many as in a second, as Retry-After knows only whole ones."`
	HeaderBytes        int           `koanf:"header_bytes" default:"8192" min:"1024" max:"1048576" doc:"Greatest size of the headers of an HTTP request, in bytes."`
	HeaderTimeout      time.Duration `koanf:"header_timeout" default:"5s" min:"100ms" max:"5m" doc:"How long the headers of an HTTP request may take."`
}

// SocketIOConfig is about stock socket.io clients.
type SocketIOConfig struct {
	Enabled        bool          `koanf:"enabled" default:"true" doc:"Serve socket.io clients of all versions since 1.0 on the public address."`
	Path           string        `koanf:"path" default:"/socket.io/" doc:"Where, with a slash at both ends."`
	CallNamespaces []string      `koanf:"call_namespaces" default:"/" max:"16" doc:"Namespaces with the events of a call: message goes to the others in the room."`
	ChatNamespaces []string      `koanf:"chat_namespaces" default:"/chat" max:"16" doc:"Namespaces with the events of a chat: message goes to everybody in the room, with the sender's id."`
	CallCapacity   int           `koanf:"call_capacity" default:"2" min:"0" max:"10000" doc:"Seats of a room that a client of a call namespace creates. 0: as its app's policy says."`
	SenderID       bool          `koanf:"sender_id" default:"false" doc:"In call rooms of more than two seats, add the sender's id to message as a third argument."`
	Recovery       bool          `koanf:"recovery" default:"false" doc:"Let clients from 4.6 on recover their connection's state: what they missed while a connection was lost is sent to them, on any gateway, as far as rooms.grace and the rooms' logs reach. It changes the arguments of all events to clients of version 3 and 4, which get one more at the end."`
	App            string        `koanf:"app" doc:"App of clients that show no token and name no app. Empty: the demo app if it is on, else they are refused."`
	PingInterval   time.Duration `koanf:"ping_interval" default:"10s" min:"100ms" max:"10m" doc:"Period of heartbeats. Keep it below the read timeout of every proxy on the way."`
	PingTimeout    time.Duration `koanf:"ping_timeout" default:"5s" min:"100ms" max:"5m" doc:"How long the answer may take. A client that died without a word is gone after both."`
	UpgradeTimeout time.Duration `koanf:"upgrade_timeout" default:"10s" min:"100ms" max:"5m" doc:"How long the change from polling to WebSocket may take."`
	ConnectTimeout time.Duration `koanf:"connect_timeout" default:"45s" min:"100ms" max:"10m" doc:"How long a client of version 3 or 4 may take to ask for its first namespace."`
	MaxPayload     int           `koanf:"max_payload" default:"1000000" min:"1024" max:"104857600" doc:"Greatest size of a request's body or of a WebSocket message, in bytes. Many packets can be in a body."`
	MessageBytes   int           `koanf:"message_bytes" default:"131072" min:"1024" max:"16777216" doc:"Greatest size of one message's data as it goes to the room, in bytes of JSON; bytes count as base64."`
	Attachments    int           `koanf:"attachments" default:"10" min:"1" max:"10" doc:"Pieces of binary data that an event may have. Stock clients take no more than 10."`
	JSONDepth      int           `koanf:"json_depth" default:"64" min:"4" max:"1000" doc:"Greatest nesting of an event with its arguments. Of a message's data no more than 63 levels go to the room."`
	Sessions       int           `koanf:"sessions" default:"100000" min:"1" max:"10000000" doc:"Clients that this gateway takes at a time; further ones are answered with 503."`
	QueuePackets   int           `koanf:"queue_packets" default:"1024" min:"16" max:"1000000" doc:"Packets that may wait for a slow client before it is closed."`
	QueueBytes     int           `koanf:"queue_bytes" default:"4194304" min:"4096" max:"1073741824" doc:"Bytes that may wait for a slow client before it is closed."`
	Namespaces     int           `koanf:"namespaces_per_session" default:"16" min:"1" max:"1000" doc:"Namespaces that a client may be in at a time."`
	BindingCookie  string        `koanf:"binding_cookie" doc:"Name of a cookie by which polling clients of version 1 and 2 are known, instead of their address, once they have shown it. Empty: none is set."`
}

// OriginsConfig says which pages may connect.
type OriginsConfig struct {
	Allowed      []string `koanf:"allowed" max:"1024" doc:"Web origins for all apps: https://example.com, https://example.com:8443, https://*.example.com (one label for the star) or * (any). The gateway's own host is always allowed."`
	AllowMissing bool     `koanf:"allow_missing" default:"true" doc:"Take connections without an Origin header. Browsers always send one; other programs need not, and could send any."`
}

// DemoConfig is about the demo app.
type DemoConfig struct {
	Enabled  bool `koanf:"enabled" default:"false" doc:"Let everybody in without a token, into the rooms of the app \"demo\"."`
	Capacity int  `koanf:"capacity" default:"8" min:"1" max:"10000" doc:"Seats of a new room of the demo app when the client does not say."`
}

// PagesConfig is about the web pages.
type PagesConfig struct {
	Enabled bool `koanf:"enabled" default:"false" doc:"Serve the call page and the chat page on the public address."`
}

// MetricsConfig is about what is measured.
type MetricsConfig struct {
	LatencySamples int `koanf:"latency_samples" default:"50" min:"0" max:"1000000" doc:"Messages a second, about, whose time to their receivers is measured (signalbox_relay_latency_seconds). When more are sent, they are picked by chance. 0: none."`
	Apps           int `koanf:"apps" default:"20" min:"0" max:"1000" doc:"Apps that have a label of their own in metrics: the first ones of apps. All others together are \"other\"."`
}

// TracingConfig is about traces.
type TracingConfig struct {
	Endpoint     string        `koanf:"endpoint" doc:"OTLP receiver over HTTP that takes the spans, as http://collector:4318; /v1/traces is added where there is no path. Empty: nothing is traced. The certificates for https are the system's, or OTEL_EXPORTER_OTLP_CERTIFICATE's."`
	Headers      auth.Secret   `koanf:"headers" doc:"HTTP headers for the receiver, as name=value,name=value: what it asks for to know who sends."`
	OneIn        int           `koanf:"one_in" default:"100" min:"1" max:"1000000000" doc:"Of how many connects, and of how many requests, one is traced."`
	TrustParents bool          `koanf:"trust_parents" default:"false" doc:"A client that connects with a traceparent header is part of that trace, with all its requests if the trace is sampled. Only where clients cannot choose that header freely: otherwise anybody can have everything traced. false: its spans have a link to it."`
	Queue        int           `koanf:"queue" default:"2048" min:"16" max:"1000000" doc:"Spans that may wait for the receiver. Further ones are dropped and counted (signalbox_trace_spans_dropped_total)."`
	Timeout      time.Duration `koanf:"timeout" default:"10s" min:"100ms" max:"5m" doc:"How long one request to the receiver may take."`
}

// LogConfig is about the log.
type LogConfig struct {
	Level  string `koanf:"level" default:"info" oneof:"debug info warn error" doc:"Least weight of what is logged."`
	Format string `koanf:"format" default:"json" oneof:"json text" doc:"One JSON object a line, or text for people."`
	Buffer int    `koanf:"buffer" default:"4096" min:"16" max:"1000000" doc:"Lines that may wait for whoever takes the log. Further ones are dropped and counted (signalbox_log_dropped_total), so that a log that is stuck stops nothing."`
}

// SlogLevel returns Level as the log package knows it, and slog.LevelInfo for a word that is none.
func (c LogConfig) SlogLevel() slog.Level {
	var level slog.Level
	if level.UnmarshalText([]byte(c.Level)) != nil {
		return slog.LevelInfo
	}
	return level
}

// ReloadConfig is about changes of the configuration's files.
type ReloadConfig struct {
	Interval time.Duration `koanf:"interval" default:"10s" min:"0s" max:"24h" doc:"How often the files are looked at. Files that are wrong are refused, logged and counted (signalbox_config_reloads_total), and the apps stay as they were. Other keys count from the next start on. SIGHUP has the files looked at at once. 0s: they are looked at then alone."`
}

// ReadyConfig is about /readyz.
type ReadyConfig struct {
	HoldDown time.Duration `koanf:"hold_down" default:"20s" min:"0s" max:"1h" doc:"How long Redis, or the inboxes in it, must have been failing before readiness turns red; on each gateway up to half as long again, by chance, so that not all leave the Service at once. It turns green at once. Longer than a failover of Redis takes."`
}

// ShutdownConfig is about the end of the process.
type ShutdownConfig struct {
	Timeout      time.Duration `koanf:"timeout" default:"25s" min:"0s" max:"1h" doc:"How long an orderly end may take before connections are cut. Keep it below what the supervisor grants (30s in Kubernetes). delay, window and grace have to fit in."`
	Delay        time.Duration `koanf:"delay" default:"1s" min:"0s" max:"1h" doc:"How long new clients are still taken while readiness is red already, as those who send them here need a while to learn of it. Later ones are answered with 503."`
	Window       time.Duration `koanf:"window" default:"10s" min:"0s" max:"1h" doc:"Time after that over which sessions move to other gateways, each at a moment of its own."`
	Grace        time.Duration `koanf:"grace" default:"2s" min:"0s" max:"1h" doc:"How long after its moment a session of the native protocol may take to move by itself before it is closed."`
	LapsedWindow time.Duration `koanf:"lapsed_window" default:"1s" min:"0s" max:"1h" doc:"Time over which sessions are closed by a gateway that the others have taken for dead, or that failed: it has no seats to keep. At most shutdown.timeout."`
}
