package wire

// clientLimits bounds what a client accepts of its server: generous, since a snapshot holds a whole room.
var clientLimits = Limits{Depth: 64, Keys: 1024, StateKeys: 4096, StateBytes: 1 << 24}

// DecodeServer decodes one message from the server: exactly one of the results is set. An event of an unknown type
// has no body and no error: a client passes over it.
func DecodeServer(message []byte) (*Reply, *Event, error) {
	var room [16]field
	list, err := scanObject(message, room[:0], clientLimits.Depth, clientLimits.Keys)
	if err != nil {
		return nil, nil, Errorf(CodeBadRequest, "%v", err)
	}
	f := fields{list: list, limits: clientLimits}
	if f.get("re") != nil {
		reply, err := decodeReply(&f)
		return reply, nil, err
	}
	event := &Event{Room: f.optional("room", ValidRoom), Seq: f.integer("seq", 0)}
	name := f.required("type", nil)
	if event.Body = newEventBody(Type(name)); event.Body != nil {
		event.Body.decode(&f)
	}
	if f.err != nil {
		return nil, nil, f.err
	}
	return nil, event, nil
}

func decodeReply(f *fields) (*Reply, error) {
	reply := &Reply{Re: f.integer("re", 0)}
	if raw := f.get("error"); raw != nil {
		refusal := f.nested("error", raw)
		reply.Err = new(Error)
		if f.err == nil {
			reply.Err.decode(refusal)
			f.err = refusal.err
		}
	} else if reply.ok = f.payload("ok"); f.err == nil && reply.ok[0] != '{' {
		f.fail(CodeBadRequest, "ok must be an object")
	}
	if f.err != nil {
		return nil, f.err
	}
	return reply, nil
}
