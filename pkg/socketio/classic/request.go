package classic

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"

	"github.com/signalbox-rtc/signalbox/pkg/socketio"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// The topics of what classic clients publish.
const (
	topicMessage = "message"
	topicBinary  = "binary"
)

// event takes one event of the client. answer is nil unless the client has asked for an acknowledgement.
func (p *Peer) event(e socketio.Event, answer func(socketio.Ack)) {
	p.lastID++
	q := pending{id: p.lastID, event: e.Name, answer: answer}
	body, refused := p.read(&q, e)
	switch {
	case !p.await(q):
	case refused != nil:
		p.session.Invalid(q.id, refused)
	default:
		p.session.Handle(wire.Request{ID: q.id, Body: body})
	}
}

// read makes a request of an event.
func (p *Peer) read(q *pending, e socketio.Event) (wire.RequestBody, *wire.Error) {
	switch e.Name {
	case eventJoin, eventLeave, eventMessage, eventRoomInfo, eventControl:
	case eventICEServers:
		return &wire.AskICE{}, nil
	default:
		q.event = eventUnknown
		return nil, wire.Errorf(wire.CodeBadRequest, "an unknown event")
	}
	room, native, refused := roomArgument(e.Args)
	if refused != nil {
		return nil, refused
	}
	q.room = room
	switch e.Name {
	case eventJoin:
		q.effect = effectJoin
		return &wire.Join{Room: native, Wait: wantsToWait(e.Args)}, nil
	case eventLeave:
		q.effect = effectLeave
		return &wire.Leave{Room: native}, nil
	case eventMessage:
		return p.readMessage(q, native, e)
	case eventControl:
		return p.readControl(q, native, e.Args)
	}
	return &wire.Peers{Room: native}, nil
}

// wantsToWait reports whether the object behind a room's name asks for a place in the queue of a full room. What is none is passed over, as
// further arguments are.
func wantsToWait(args []json.RawMessage) bool {
	var options struct{ Wait bool }
	return len(args) > 1 && args[1][0] == '{' && json.Unmarshal(args[1], &options) == nil && options.Wait
}

// readMessage sends a message to the one other peer, where there is one, and else to the room. It stays JSON as it came.
func (p *Peer) readMessage(q *pending, native string, e socketio.Event) (wire.RequestBody, *wire.Error) {
	data, topic := json.RawMessage("null"), topicMessage
	if len(e.Args) > 1 {
		data = e.Args[1]
	}
	used, refused := usedAttachments(data, e.Attachments)
	if refused != nil {
		return nil, refused
	}
	size := len(data)
	if len(used) > 0 {
		size = packedSize(data, used)
	}
	if most := p.namespace.events.opts.MessageBytes; size > most {
		return nil, wire.Errorf(wire.CodeTooLarge, "the data has %d bytes as it is passed on; %d are allowed", size, most)
	}
	if len(used) > 0 {
		data, topic = packBinary(data, used), topicBinary
	}
	if wire.CheckJSON(data, maxDataDepth) != nil {
		return nil, wire.Errorf(wire.CodeBadRequest, "the data is nested too deeply")
	}
	if p.namespace.profile.Kind == Chat {
		return &wire.Publish{Room: native, Topic: topic, Data: data, Echo: true}, nil
	}
	// What is signaled is an object; native clients rely on it.
	if topic == topicMessage && data[0] == '{' {
		if other, ok := p.onlyOther(q.room); ok {
			q.effect = effectSignal
			return &wire.Signal{Room: native, To: other, Data: data}, nil
		}
	}
	return &wire.Publish{Room: native, Topic: topic, Data: data}, nil
}

// maxDataDepth is how deeply data may nest, so that clients take the event around it (64 levels).
const maxDataDepth = 63

// readControl makes a native request of the object, to which the native rules apply.
func (p *Peer) readControl(q *pending, native string, args []json.RawMessage) (wire.RequestBody, *wire.Error) {
	if len(args) < 2 || args[1][0] != '{' {
		return nil, wire.Errorf(wire.CodeBadRequest, "an object must follow the room's name")
	}
	object := args[1]
	if most := p.namespace.events.opts.MessageBytes; len(object) > most {
		return nil, wire.Errorf(wire.CodeTooLarge, "the object has %d bytes; %d are allowed", len(object), most)
	}
	message := strconv.AppendInt([]byte(`{"id":`), q.id, 10)
	message = append(message, `,"room":"`...) // a native name needs no escapes
	message = append(append(message, native...), '"')
	if !hasKey(object, "type") {
		message = append(message, `,"type":"control"`...)
	}
	if fields := bytes.TrimSpace(object[1 : len(object)-1]); len(fields) > 0 {
		message = append(append(message, ','), fields...)
	}
	request, err := wire.DecodeRequest(append(message, '}'), p.namespace.events.opts.Limits)
	if err != nil {
		var refused *wire.Error
		if !errors.As(err, &refused) {
			refused = wire.Errorf(wire.CodeBadRequest, "%v", err)
		}
		return nil, refused
	}
	publish, publishes := request.Body.(*wire.Publish)
	switch request.Body.(type) {
	case *wire.Control, *wire.UpdateRoom, *wire.SetState, *wire.Signal, *wire.Publish, *wire.AskHistory, *wire.Undo, *wire.Clear, *wire.Report:
	default:
		return nil, wire.Errorf(wire.CodeBadRequest, "type must be control, room, state, signal, publish, history, undo, clear or report")
	}
	if publishes && !publish.Keep {
		return nil, wire.Errorf(wire.CodeBadRequest, "what is published so has keep; for all else there is message")
	}
	// An object with a room or an id of its own has it twice in the message, which is refused. This is the second lock.
	if request.ID != q.id || request.Room() != native {
		return nil, wire.Errorf(wire.CodeBadRequest, "the object must have neither id nor room")
	}
	return request.Body, nil
}
