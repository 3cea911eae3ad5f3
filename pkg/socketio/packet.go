package socketio

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"unicode"

	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// PacketType is the type of a Socket.IO packet.
type PacketType byte

// The types. Protocol 4 calls PacketConnectError ERROR.
const (
	PacketConnect      PacketType = iota // client: enter a namespace; server: entered
	PacketDisconnect                     // both: the namespace is left
	PacketEvent                          // both: a name and arguments
	PacketAck                            // both: the answer to an event with an id
	PacketConnectError                   // server: the namespace may not be entered
	PacketBinaryEvent                    // an event with attachments
	PacketBinaryAck                      // an answer with attachments
	packetTypes
)

// hasArguments tells the types that carry arguments, and may carry an id, from the others.
func (t PacketType) hasArguments() bool {
	return t == PacketEvent || t == PacketAck || t == PacketBinaryEvent || t == PacketBinaryAck
}

// NoAck stands for no id of an acknowledgement.
const NoAck int64 = -1

// rootNamespace is where a client is that asks for none.
const rootNamespace = "/"

// Packet is one packet of Socket.IO, without its attachments: those follow as binary messages. JSON is kept as it came.
type Packet struct {
	Type PacketType
	// Namespace is "/" or the name; in protocol 4 a CONNECT's has its query behind a question mark.
	Namespace string
	// ID is that of the acknowledgement that an event asks for, or that an answer is; NoAck if there is none.
	ID int64
	// Attachments is how many follow. In the arguments {"_placeholder":true,"num":i} stands for each.
	Attachments int
	// Data is the payload of a CONNECT or CONNECT_ERROR; nil if there is none.
	Data json.RawMessage
	// Name is an event's.
	Name string
	// Args are the arguments of an event, without its name, or of an answer.
	Args []json.RawMessage
}

// Limits bounds what is in a packet.
type Limits struct {
	// Attachments is how many a packet may have; 10 if 0.
	Attachments int
	// Arguments is how many an event or answer may have, the name included; 256 if 0.
	Arguments int
	// Depth is how deeply JSON may nest; 64 if 0.
	Depth int
	// NamespaceBytes is how long a namespace may be, with the query of protocol 4; 4096 if 0.
	NamespaceBytes int
	// ConnectBytes is how large the payload of a CONNECT may be, which is kept as long as its socket; 16384 if 0.
	ConnectBytes int
}

func (l *Limits) setDefaults() {
	for _, d := range []struct {
		field *int
		value int
	}{{&l.Attachments, 10}, {&l.Arguments, 256}, {&l.Depth, 64}, {&l.NamespaceBytes, 4096}, {&l.ConnectBytes, 16384}} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
}

// DecodePacket reads a packet from the text of an Engine.IO message:
//
//	<type>[<attachments>-][<namespace>,][<id>][<JSON>]
//
// Errors are a [*FormatError]. The packet's JSON is made of slices of text.
func DecodePacket(text []byte, limits Limits) (Packet, error) {
	limits.setDefaults()
	p := Packet{Namespace: rootNamespace, ID: NoAck}
	if len(text) == 0 || text[0] < '0' || text[0]-'0' >= byte(packetTypes) {
		return Packet{}, malformed(BadPacket, "an unknown type")
	}
	p.Type = PacketType(text[0] - '0')
	d := packetDecoder{rest: text[1:], limits: limits}
	if p.Type == PacketBinaryEvent || p.Type == PacketBinaryAck {
		p.Attachments = d.attachments()
	}
	d.namespace(&p)
	p.ID = d.id()
	d.payload(&p)
	if d.err != nil {
		return Packet{}, d.err
	}
	return p, nil
}

// packetDecoder reads the parts of a packet one after the other. After an error it reads nothing more.
type packetDecoder struct {
	rest   []byte
	limits Limits
	err    error
}

func (d *packetDecoder) fail(code FormatCode, detail string) {
	if d.err == nil {
		d.err = malformed(code, detail)
	}
}

func (d *packetDecoder) attachments() int {
	digits := d.digits(maxLengthDigits)
	n, ok := parseDigits(digits)
	if !ok || !bytes.HasPrefix(d.rest, []byte{'-'}) {
		d.fail(BadAttachments, "no count")
		return 0
	}
	if n > d.limits.Attachments {
		d.fail(BadAttachments, "more than "+strconv.Itoa(d.limits.Attachments))
	}
	d.rest = d.rest[1:]
	return n
}

// namespace reads up to the comma. Where nothing follows, there may be none.
func (d *packetDecoder) namespace(p *Packet) {
	if d.err != nil || len(d.rest) == 0 || d.rest[0] != '/' {
		return
	}
	name, rest, _ := bytes.Cut(d.rest, []byte{','})
	if len(name) > d.limits.NamespaceBytes {
		d.fail(BadNamespace, "too long")
		return
	}
	if bytes.ContainsFunc(name, unicode.IsControl) {
		d.fail(BadNamespace, "a control character")
		return
	}
	d.rest = rest
	if len(name) > 1 {
		p.Namespace = string(name)
	}
}

// maxIDDigits is the length of 2^53-1, the highest number that a client counts to without a gap.
const maxIDDigits = 16

func (d *packetDecoder) id() int64 {
	digits := d.digits(maxIDDigits)
	if d.err != nil || len(digits) == 0 {
		return NoAck
	}
	id, err := strconv.ParseInt(string(digits), 10, 64)
	if err != nil || id > 1<<53-1 {
		d.fail(BadAckID, "too high")
	}
	return id
}

// digits takes the digits in front, most of them at the most.
func (d *packetDecoder) digits(most int) []byte {
	n := 0
	for n < len(d.rest) && n < most && '0' <= d.rest[n] && d.rest[n] <= '9' {
		n++
	}
	digits := d.rest[:n]
	d.rest = d.rest[n:]
	return digits
}

// payload reads the JSON and holds it against the type.
func (d *packetDecoder) payload(p *Packet) {
	if d.err != nil {
		return
	}
	switch p.Type {
	case PacketConnect, PacketConnectError:
		d.data(p)
	case PacketDisconnect:
		if len(d.rest) > 0 {
			d.fail(BadPayload, "a DISCONNECT with a payload")
		}
	case PacketEvent, PacketBinaryEvent:
		d.arguments(p)
		d.name(p)
	case PacketAck, PacketBinaryAck:
		if p.ID == NoAck {
			d.fail(BadAckID, "an answer to nothing")
		}
		d.arguments(p)
	}
	if p.ID != NoAck && !p.Type.hasArguments() {
		d.fail(BadAckID, "an id where none belongs")
	}
}

// data reads the payload of a CONNECT, an object, or of a CONNECT_ERROR, which protocol 4 sends as a text, too.
func (d *packetDecoder) data(p *Packet) {
	if len(d.rest) == 0 {
		return
	}
	if len(d.rest) > d.limits.ConnectBytes {
		d.fail(BadPayload, "too large")
		return
	}
	if err := wire.CheckJSON(d.rest, d.limits.Depth); err != nil {
		d.fail(BadJSON, err.Error())
		return
	}
	data := bytes.TrimSpace(d.rest)
	if data[0] != '{' && (data[0] != '"' || p.Type == PacketConnect) {
		d.fail(BadPayload, "not an object")
		return
	}
	p.Data = data
}

// errTooMany stops the splitting of an array.
var errTooMany = malformed(BadPayload, "too many arguments")

// arguments splits the array of an event or answer.
func (d *packetDecoder) arguments(p *Packet) {
	if len(d.rest) > 0 && d.rest[0] != '[' {
		d.fail(BadPayload, "not an array")
		return
	}
	var first [4]json.RawMessage // most events have a name and one or two arguments
	args := first[:0]
	err := wire.EachElement(d.rest, d.limits.Depth, func(value []byte) error {
		if len(args) == d.limits.Arguments {
			return errTooMany
		}
		args = append(args, value)
		return nil
	})
	switch {
	case errors.Is(err, errTooMany):
		d.err = err
		return
	case err != nil:
		d.fail(BadJSON, err.Error())
		return
	}
	if p.Attachments > 0 && !placeholdersFit(d.rest, p.Attachments) {
		d.fail(BadAttachments, "a placeholder for an attachment that there is not")
		return
	}
	p.Args = slices.Clone(args)
}

// reservedEvents are those that clients emit to themselves.
var reservedEvents = []string{"connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"}

// name takes the event's name from its arguments. It is a text, or a number, which JavaScript takes for its text.
func (d *packetDecoder) name(p *Packet) {
	if d.err != nil {
		return
	}
	if len(p.Args) == 0 {
		d.fail(BadEvent, "no name")
		return
	}
	raw := p.Args[0]
	switch c := raw[0]; {
	case c == '"' && bytes.IndexByte(raw, '\\') < 0:
		p.Name = string(raw[1 : len(raw)-1])
	case c == '"':
		var name string // p itself would be moved to the heap
		if err := json.Unmarshal(raw, &name); err != nil {
			d.fail(BadJSON, err.Error())
		}
		p.Name = name
	case c == '-' || '0' <= c && c <= '9':
		p.Name = string(raw)
	default:
		d.fail(BadEvent, "a name that is no text")
	}
	if slices.Contains(reservedEvents, p.Name) {
		d.fail(BadEvent, "a reserved name")
	}
	p.Args = p.Args[1:]
}

// AppendPacket appends a packet as the text of an Engine.IO message. Its JSON is taken as it is and has to be valid.
func AppendPacket(dst []byte, p Packet) []byte {
	dst = append(dst, '0'+byte(p.Type))
	if p.Type == PacketBinaryEvent || p.Type == PacketBinaryAck {
		dst = append(strconv.AppendInt(dst, int64(p.Attachments), 10), '-')
	}
	if p.Namespace != rootNamespace && p.Namespace != "" {
		dst = append(append(dst, p.Namespace...), ',')
	}
	if p.ID >= 0 && p.Type.hasArguments() {
		dst = strconv.AppendInt(dst, p.ID, 10)
	}
	switch p.Type {
	case PacketEvent, PacketBinaryEvent:
		dst = wire.AppendString(append(dst, '['), p.Name)
		for _, arg := range p.Args {
			dst = append(append(dst, ','), arg...)
		}
		return append(dst, ']')
	case PacketAck, PacketBinaryAck:
		dst = append(dst, '[')
		for i, arg := range p.Args {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(dst, arg...)
		}
		return append(dst, ']')
	}
	return append(dst, p.Data...)
}
