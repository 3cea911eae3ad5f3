package socketio

import (
	"errors"
	"fmt"
	"time"
)

// FormatCode says which rule of the two protocols some input breaks.
type FormatCode string

// The rules of Engine.IO.
const (
	BadEnginePacket FormatCode = "engine_packet" // no packet, or of an unknown type, or of one that may not come here
	BadLength       FormatCode = "length"        // a length of a payload that is not right
	BadBase64       FormatCode = "base64"
	BadUTF8         FormatCode = "utf8"
	BadForm         FormatCode = "form"  // binary where only text may be
	BadFrame        FormatCode = "frame" // a WebSocket frame that RFC 6455 does not allow, or too many that carry nothing
	BadTime         FormatCode = "time"  // a body or message that does not come to its end
)

// The rules of Socket.IO.
const (
	BadPacket      FormatCode = "packet" // no packet, or of an unknown type, or of one that may not come here
	BadNamespace   FormatCode = "namespace"
	BadAckID       FormatCode = "ack_id"
	BadAttachments FormatCode = "attachments" // too many, too large or too late, a placeholder without one, or text between them
	BadJSON        FormatCode = "json"        // not JSON, or nested too deeply
	BadPayload     FormatCode = "payload"     // JSON of a kind that does not go with the type
	BadEvent       FormatCode = "event"       // an event without a name, or with a reserved one
)

// FormatError is input that is not valid. The session that it came from is closed.
type FormatError struct {
	Code   FormatCode
	Detail string
}

// Error says what is wrong.
func (e *FormatError) Error() string {
	return fmt.Sprintf("socketio: not valid (%s): %s", e.Code, e.Detail)
}

func malformed(code FormatCode, detail string) error { return &FormatError{Code: code, Detail: detail} }

// Why an acknowledgement did not come.
var (
	// ErrDisconnected means that the socket's namespace was left, or its session ended.
	ErrDisconnected = errors.New("socketio: disconnected")
	// ErrAckTimeout means that the client did not answer in time.
	ErrAckTimeout = errors.New("socketio: no acknowledgement in time")
	// ErrTooManyAcks means that too many acknowledgements of the client were awaited at once; nothing was sent.
	ErrTooManyAcks = errors.New("socketio: too many acknowledgements awaited")
)

// Refusal is an error that is told to the client: by an [AdmissionHook], which refuses a session, or by a namespace's
// Connect, which refuses that namespace alone. Of other errors the client gets to know no more than that there was one.
type Refusal struct {
	// Message is what the client gets to read.
	Message string
	// Data is what a client of Socket.IO 5 finds in its error's data, as JSON; nil for none. A hook's is not sent.
	Data []byte
	// RetryAfter makes a hook's refusal one for the time being: it is answered with 503 instead of 403, and with this many
	// seconds, rounded up, in Retry-After. It is not used by a namespace's.
	RetryAfter time.Duration
}

// Error gives the message.
func (r *Refusal) Error() string { return r.Message }

// Reason is why a session or a socket has ended, in the words of the reference where it has them.
type Reason string

// Reasons.
const (
	ReasonClientDisconnect Reason = "client namespace disconnect"
	ReasonServerDisconnect Reason = "server namespace disconnect"
	ReasonTransportClose   Reason = "transport close" // the client closed its session
	ReasonPageClosed       Reason = "page closed"     // likewise, as a browser does whose page is left
	ReasonTransportError   Reason = "transport error" // a request was aborted or doubled, a write failed, a socket broke
	ReasonPingTimeout      Reason = "ping timeout"
	ReasonParseError       Reason = "parse error"
	ReasonForcedClose      Reason = "forced close" // Session.Close
	ReasonShutdown         Reason = "server shutting down"
	ReasonConnectTimeout   Reason = "connect timeout" // no namespace was asked for in time
	ReasonSlow             Reason = "slow client"     // more waits for it than may
	ReasonInternal         Reason = "internal error"  // a handler panicked
)

// reasons lists all of them, for metrics.
var reasons = []Reason{
	ReasonClientDisconnect, ReasonServerDisconnect, ReasonTransportClose, ReasonPageClosed, ReasonTransportError,
	ReasonPingTimeout, ReasonParseError, ReasonForcedClose, ReasonShutdown, ReasonConnectTimeout, ReasonSlow, ReasonInternal,
}
