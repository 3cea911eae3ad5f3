package classic

import (
	"encoding/json"
	"errors"
	"net/url"
	"strings"

	"github.com/signalbox-rtc/signalbox/pkg/socketio"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// connect opens the session of a socket.
func (n *namespace) connect(s *socketio.Socket) error {
	hello, err := helloOf(s)
	if err != nil {
		return refusal(err)
	}
	peer := &Peer{namespace: n, socket: s}
	shown := peer.readRecovery(hello)
	session, err := n.events.opts.Open(s, hello, peer)
	if err != nil {
		if hello.Resume != "" && comesLater(err) {
			s.Session().Close() // first: after a refusal, the client would not come again by itself
		}
		return refusal(err)
	}
	peer.recovery(shown)
	if !peer.begin(session) {
		session.End(false)
		return refusal(wire.Errorf(wire.CodeUnavailable, "the session was closed at once"))
	}
	s.Data = peer
	return nil
}

// refusal gives a [wire.Error] the form in which a client gets to see it, and leaves other errors as they are.
func refusal(err error) error {
	var refused *wire.Error
	if !errors.As(err, &refused) {
		return err
	}
	return &socketio.Refusal{Message: refused.Message, Data: appendError(nil, refused, refused.Message)}
}

// disconnected ends the session of a socket that has left, or was lost. A stock client that misses its heartbeat, or whose
// device says that the network is gone, closes its transport before it comes back.
func (p *Peer) disconnected(reason socketio.Reason) {
	p.mu.Lock()
	p.closed = true
	p.pending, p.seats = nil, nil
	recoverable := p.recoverable
	p.mu.Unlock()
	p.session.End(reason == socketio.ReasonClientDisconnect || reason == socketio.ReasonPageClosed ||
		reason == socketio.ReasonTransportClose && !recoverable)
}

// credentials are what a client says of itself.
type credentials struct{ token, app, name string }

// helloOf gathers what a client says of itself. Each part is taken from the first place that has it: the object that
// comes with the CONNECT of protocol 5, the namespace's query of protocol 4, the query of the handshake, its header.
func helloOf(s *socketio.Socket) (*wire.Hello, error) {
	handshake := s.Session().Handshake()
	auth, err := credentialsIn(s.Auth())
	if err != nil {
		return nil, err
	}
	of := func(query url.Values) credentials {
		return credentials{query.Get("token"), query.Get("app"), query.Get("name")}
	}
	var found credentials
	for _, place := range []credentials{
		auth, of(s.Query()), of(handshake.Query), {token: bearer(handshake.Header.Get("Authorization"))},
	} {
		first(&found.token, place.token)
		first(&found.app, place.app)
		first(&found.name, place.name)
	}
	if found.token != "" {
		found.app = "" // a token names its app itself
	}
	hello := &wire.Hello{Token: found.token, App: found.app, Name: found.name, Client: "socket.io"}
	// Once through the native codec: its rules are for these names, too.
	checked, err := wire.DecodeRequest(wire.AppendRequest(nil, wire.Request{ID: 1, Body: hello}), wire.Limits{})
	if err != nil {
		return nil, err
	}
	return checked.Body.(*wire.Hello), nil
}

func first(found *string, value string) {
	if *found == "" {
		*found = value
	}
}

// credentialsIn reads the object that a client of protocol 5 has sent, if it has.
func credentialsIn(auth json.RawMessage) (credentials, error) {
	var found credentials
	if len(auth) == 0 {
		return found, nil
	}
	var object map[string]json.RawMessage // a struct would take keys in any case
	if err := json.Unmarshal(auth, &object); err != nil {
		return found, wire.Errorf(wire.CodeBadRequest, "auth is not an object")
	}
	for _, field := range []struct {
		key   string
		value *string
	}{{"token", &found.token}, {"app", &found.app}, {"name", &found.name}} {
		// null leaves it empty: that is what pages send that have none.
		if raw, ok := object[field.key]; ok && json.Unmarshal(raw, field.value) != nil {
			return found, wire.Errorf(wire.CodeBadRequest, "auth.%s is not a string", field.key)
		}
	}
	return found, nil
}

// bearer gives the token of an Authorization header (RFC 6750, section 2.1).
func bearer(header string) string {
	scheme, token, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}
