package wire

// clientLimits bounds what a client accepts of its server: generous, since a snapshot holds a whole room.
var clientLimits = Limits{Depth: 64, Keys: 1024, StateKeys: 4096, StateBytes: 1 << 24}

// DecodeServer decodes one message from the server: exactly one of the results is set. An event of an unknown type
// has no body and no error: a client passes over it. The data of a [Signaled] or a [Message], and a reply's body
// until [Reply.Decode], are slices of the message.
func DecodeServer(message []byte) (*Reply, *Event, error) {
	f, _ := readFields(message, clientLimits)
	defer f.release()
	var reply *Reply
	var event *Event
	switch {
	case f.err != nil:
	case f.get("re") != nil:
		reply = decodeReply(f)
	default:
		event = decodeEvent(f)
	}
	if f.err != nil {
		return nil, nil, f.err
	}
	return reply, event, nil
}

func decodeReply(f *fields) *Reply {
	reply := &Reply{Re: f.integer("re", 0)}
	if f.get("error") != nil {
		reply.Err = new(Error)
		f.nested("error", reply.Err.decode)
		return reply
	}
	if reply.ok = f.payload("ok"); f.err == nil && reply.ok[0] != '{' {
		f.fail(CodeBadRequest, "ok must be an object")
	}
	return reply
}

func decodeEvent(f *fields) *Event {
	f.need("type")
	body := newEventBody(Type(f.bytes("type")))
	event := &Event{Room: f.optional("room", ValidRoom), Seq: f.integer("seq", 0)}
	if body != nil {
		event.Body = body
		body.decode(f)
	}
	return event
}
