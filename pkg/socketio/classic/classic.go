// Package classic lets stock socket.io clients take part in the cluster's rooms by the events that call and chat pages
// have always used: join, leave and message, joined, otherjoin, full, leaved and bye. It stands between a socket of
// pkg/socketio and a session, and turns what the one says into what the other understands:
//
//	client                             Peer                        session
//	  | join("my room"), callback        |                            |
//	  |--------------------------------->| {"type":"join",...}        |
//	  |                                  |--------------------------->| Handle
//	  |                                  |                   snapshot |
//	  |        joined("my room", id)     |<---------------------------| Reply
//	  |<---------------------------------|                            |
//	  |        callback({"ok":true,...}) |                            |
//	  |<---------------------------------|                            |
//	  |                                  |          joined-peer event |
//	  |        otherjoin("my room", id)  |<---------------------------| Deliver
//	  |<---------------------------------|                            |
//
// docs/classic.md is the contract with those who write pages.
package classic

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/signalbox-rtc/signalbox/pkg/socketio"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// Events that clients send, each with a callback or without. Message and control are sent to them as well.
const (
	eventJoin     = "join"      // room
	eventLeave    = "leave"     // room
	eventMessage  = "message"   // room, data; to clients of a call (room, data[, sender]), of a chat (room, sender, data)
	eventRoomInfo = "room-info" // room
	eventControl  = "control"   // room, native request; to clients (room, native event)

	eventICEServers = "ice-servers" // nothing
)

// Events that are only sent to clients.
const (
	eventJoined    = "joined"    // room, own id
	eventOtherJoin = "otherjoin" // room, id; in a call
	eventFull      = "full"      // room, own id
	eventLeaved    = "leaved"    // room, own id
	eventBye       = "bye"       // room, id
	eventICE       = "ice"       // {iceServers[, expires]}
	eventError     = "error"     // {code, message[, room]}
)

// Kind is the kind of pages that a namespace serves.
type Kind string

// The kinds.
const (
	// Call is for rooms of two or a few: message(room, data) goes to the others, who hear of each newcomer.
	Call Kind = "call"
	// Chat is for rooms of many: message(room, id, data) goes to everybody, the sender included.
	Chat Kind = "chat"
)

// Profile is how a namespace speaks.
type Profile struct {
	Kind Kind
	// SenderID adds the sender's id as the third argument of message, in rooms of more than two seats. Call only.
	SenderID bool
}

// Session is what a peer's requests go to. Handle and Invalid are called from one goroutine at a time and may wait; End
// may be called from any, and from within [Peer.Close].
type Session interface {
	// Handle takes one request. It is answered by [Peer.Reply] or [Peer.Refuse], which may be called before it returns.
	Handle(wire.Request)
	// Invalid takes what was no valid request. It is answered by [Peer.Refuse].
	Invalid(id int64, refusal *wire.Error)
	// End gives up the seats. left tells whether the client meant to go. Only the first call counts.
	End(left bool)
}

// Options configures the events.
type Options struct {
	// Profiles are the namespaces to be served, by name: "/", "/chat". A name has at most 27 bytes, as ids of peers that
	// speak protocol 4 are made of it.
	Profiles map[string]Profile
	// Open opens the session of a socket that has asked for its namespace; what the session says goes to peer. A refusal
	// that is a [wire.Error] is told to the client.
	Open func(s *socketio.Socket, hello *wire.Hello, peer *Peer) (Session, error)
	// Recovery lets clients of protocol 5 recover their connection's state: every event to them gets one more argument.
	Recovery bool
	// MessageBytes is how large the data of one message may be as it is passed on, in bytes; 131072 if 0.
	MessageBytes int
	// Limits bounds the objects of control.
	Limits     wire.Limits
	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

// longestSessionID is that of the ids that sessions of pkg/socketio get in a cluster.
const longestSessionID = 36

func (o *Options) validate() error {
	if len(o.Profiles) == 0 || o.Open == nil {
		return errors.New("classic: a profile and Open are needed")
	}
	for name, profile := range o.Profiles {
		if !strings.HasPrefix(name, "/") || !wire.ValidID(name+"#"+strings.Repeat("x", longestSessionID)) {
			return fmt.Errorf("classic: %q cannot be a namespace: ids of peers are made of it", name)
		}
		switch {
		case profile.Kind != Call && profile.Kind != Chat:
			return fmt.Errorf("classic: namespace %s is of an unknown kind %q", name, profile.Kind)
		case profile.Kind == Chat && profile.SenderID:
			return fmt.Errorf("classic: namespace %s: in chat the sender's id is there always", name)
		}
	}
	if o.MessageBytes < 0 {
		return fmt.Errorf("classic: a limit is negative: %d", o.MessageBytes)
	}
	if o.MessageBytes == 0 {
		o.MessageBytes = 128 << 10
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Registerer == nil {
		o.Registerer = prometheus.NewRegistry()
	}
	return nil
}

// Events serves the namespaces.
type Events struct {
	opts    Options
	metrics *metrics
}

// New makes events without any client.
func New(opts Options) (*Events, error) {
	if err := opts.validate(); err != nil {
		return nil, err
	}
	return &Events{opts: opts, metrics: newMetrics(opts.Registerer)}, nil
}

// namespace is one of the namespaces that are served.
type namespace struct {
	events  *Events
	profile Profile
	// plain and signed are how events are put to its clients; signed has the sender's id where plain has none.
	plain, signed variant
}

// Namespaces gives what [socketio.Options] needs.
func (e *Events) Namespaces() map[string]socketio.Namespace {
	namespaces := make(map[string]socketio.Namespace, len(e.opts.Profiles))
	for name, profile := range e.opts.Profiles {
		n := &namespace{
			events: e, profile: profile,
			plain:  variant{namespace: name, kind: profile.Kind},
			signed: variant{namespace: name, kind: profile.Kind, signed: true},
		}
		namespaces[name] = socketio.Namespace{
			Connect: n.connect,
			Event: func(s *socketio.Socket, event socketio.Event, answer func(socketio.Ack)) {
				if peer, ok := s.Data.(*Peer); ok {
					peer.event(event, answer)
				}
			},
			Disconnect: func(s *socketio.Socket, reason socketio.Reason) {
				if peer, ok := s.Data.(*Peer); ok {
					peer.disconnected(reason)
				}
			},
		}
	}
	return namespaces
}
