package classic

import (
	"bytes"
	"encoding/json"
	"iter"
	"strconv"
	"strings"

	"github.com/signalbox-rtc/signalbox/pkg/socketio"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// object is a JSON object that is being written, one field after the other.
type object struct{ b []byte }

func (o *object) key(key string) {
	if o.b[len(o.b)-1] != '{' {
		o.b = append(o.b, ',')
	}
	o.b = append(wire.AppendString(o.b, key), ':')
}

func (o *object) raw(key string, value []byte) {
	o.key(key)
	o.b = append(o.b, value...)
}

func (o *object) text(key, value string) {
	o.key(key)
	o.b = wire.AppendString(o.b, value)
}

func (o *object) number(key string, value int64) {
	o.key(key)
	o.b = strconv.AppendInt(o.b, value, 10)
}

func (o *object) texts(key string, values []string) {
	o.key(key)
	o.b = append(o.b, '[')
	for i, value := range values {
		if i > 0 {
			o.b = append(o.b, ',')
		}
		o.b = wire.AppendString(o.b, value)
	}
	o.b = append(o.b, ']')
}

// ice writes ICE servers as RTCPeerConnection takes them, and until when they are good.
func (o *object) ice(m *wire.ICE) {
	o.key("iceServers")
	o.b = append(o.b, '[')
	for i, server := range m.Servers {
		if i > 0 {
			o.b = append(o.b, ',')
		}
		inner := object{b: append(o.b, '{')}
		inner.texts("urls", server.URLs)
		if server.Username != "" {
			inner.text("username", server.Username)
			inner.text("credential", server.Credential)
		}
		inner.b = append(inner.b, '}')
		o.b = inner.b
	}
	o.b = append(o.b, ']')
	if m.Expires > 0 {
		o.number("expires", m.Expires)
	}
}

// granted begins the answer to what was granted: the room, if it is about one, under the name that the client gave it.
func granted(room string) object {
	o := object{b: []byte(`{"ok":true`)}
	if room != "" {
		o.text("room", room)
	}
	return o
}

// refused gives the whole answer to what was not.
func refused(why *wire.Error, message string) []byte {
	return append(appendError([]byte(`{"ok":false,"error":`), why, message), '}')
}

// appendError appends an error as callbacks and CONNECT errors have it, with a message in place of its own.
func appendError(b []byte, why *wire.Error, message string) []byte {
	o := object{b: append(b, '{')}
	o.text("code", string(why.Code))
	o.text("message", message)
	if why.RetryAfter > 0 {
		o.number("retryAfter", why.RetryAfter.Milliseconds())
	}
	if why.Version != 0 {
		o.number("version", why.Version)
	}
	return append(o.b, '}')
}

// text gives a string as JSON.
func text(s string) json.RawMessage { return wire.AppendString(nil, s) }

func ack(answer []byte) socketio.Ack { return socketio.Ack{Args: []json.RawMessage{answer}} }

// inOwnWords gives an error's message with the client's own name of the room in place of the cluster's.
func inOwnWords(message, room string) string {
	if native, ok := nativeRoom(room); ok && native != room {
		return strings.ReplaceAll(message, strconv.Quote(native), strconv.Quote(room))
	}
	return message
}

// withRoom gives an object, which is valid JSON, with another room. All else stays as it is.
func withRoom(event json.RawMessage, room string) json.RawMessage {
	o := object{b: []byte{'{'}}
	for key, value := range fieldsOf(event) {
		if key == "room" {
			value = text(room)
		}
		o.raw(key, value)
	}
	return append(o.b, '}')
}

// hasKey tells whether an object, which is valid JSON, has a key.
func hasKey(object json.RawMessage, key string) bool {
	for name := range fieldsOf(object) {
		if name == key {
			return true
		}
	}
	return false
}

// fieldsOf gives the fields of an object, which is valid JSON, in order.
func fieldsOf(object json.RawMessage) iter.Seq2[string, json.RawMessage] {
	return func(yield func(string, json.RawMessage) bool) {
		decoder := json.NewDecoder(bytes.NewReader(object))
		if start, err := decoder.Token(); err != nil || start != json.Delim('{') {
			return
		}
		for decoder.More() {
			token, err := decoder.Token()
			key, ok := token.(string)
			var value json.RawMessage
			if err != nil || !ok || decoder.Decode(&value) != nil || !yield(key, value) {
				return
			}
		}
	}
}
