package wiredoc

import (
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// node is a JSON object that keeps no order: it is written with its keys sorted.
type node = map[string]any

const maxInteger = 1<<53 - 1 // the largest whole number that JavaScript keeps exactly

// The defaults of [wire.Limits] for states.
const (
	stateKeys  = 32
	stateBytes = 4096
)

// names are the forms that strings of the protocol have, by the function of pkg/wire that checks them.
var names = map[string]struct {
	schema string
	title  string
	form   node
	check  func(string) bool
}{
	"ValidRoom":  {"RoomName", "room name", nameForm(wire.MaxRoomName, "The name of a room."), wire.ValidRoom},
	"ValidTopic": {"Topic", "topic", nameForm(wire.MaxTopic, "What a message is about."), wire.ValidTopic},
	"ValidKey":   {"Key", "key", nameForm(wire.MaxKey, "A key or a word."), wire.ValidKey},
	"ValidID": {"ID", "id", node{
		"type": "string", "pattern": fmt.Sprintf(`^[!#-)+-9;-\[\]-~]{1,%d}$`, wire.MaxID),
		"description": "The id of a peer, which is its session's, or an epoch; given by the server.",
	}, wire.ValidID},
	"ValidDisplayName": {"DisplayName", "display name", textForm(wire.MaxDisplayName, "A name for people."), wire.ValidDisplayName},
	"ValidText":        {"Text", "line of text", textForm(wire.MaxText, "A line for people."), wire.ValidText},
}

func nameForm(longest int, doc string) node {
	return node{"type": "string", "pattern": fmt.Sprintf(`^[A-Za-z0-9._~-]{1,%d}$`, longest), "description": doc}
}

// textForm cannot say that the limit is of bytes, nor which characters turn the direction of text; the description does.
func textForm(longest int, doc string) node {
	return node{
		"type": "string", "maxLength": longest, "pattern": `^[^\u0000-\u001F\u007F-\u009F\u2028\u2029\uFFFD]*$`,
		"description": doc + fmt.Sprintf(" Up to %d bytes of UTF-8, without control characters and such that turn the direction of text.", longest),
	}
}

func ref(to string) node { return node{"$ref": "#/components/schemas/" + to} }

// schema is what a value of the field has to be.
func (f *Field) schema() node {
	s := f.value()
	if f.Null {
		s = node{"oneOf": []any{s, node{"type": "null"}}}
	}
	return s
}

func (f *Field) value() node {
	switch {
	case f.Of != "" && f.List:
		return node{"type": "array", "items": ref(f.Of)}
	case f.Of != "" && f.Map:
		return node{"type": "object", "propertyNames": ref("RoomName"), "additionalProperties": ref(f.Of)}
	case f.Of != "":
		return ref(f.Of)
	case f.Texts:
		list := node{"type": "array", "minItems": 1, "items": node{"type": "string"}}
		if name, ok := names[f.Valid]; ok {
			list["items"] = ref(name.schema)
		}
		if f.Most > 0 {
			list["maxItems"] = f.Most
		}
		return list
	}
	switch f.Kind {
	case "text":
		if name, ok := names[f.Valid]; ok {
			return ref(name.schema)
		}
		return node{"type": "string"}
	case "word":
		return node{"type": "string", "enum": f.Words}
	case "boolean":
		return node{"type": "boolean"}
	case "integer":
		return node{"type": "integer", "minimum": f.Least, "maximum": f.most()}
	case "count":
		return node{"type": "integer", "minimum": f.Least, "maximum": min(f.most(), math.MaxInt32)}
	case "object":
		return ref("State")
	case "json-object":
		return node{"type": "object"}
	}
	return node{} // any JSON value
}

func (f *Field) most() int64 {
	if f.Most > 0 {
		return f.Most
	}
	return maxInteger
}

// schema is what the object has to be. Of what a client sends the fields are required that the server needs, of what it gets those
// that the server always sends.
func (o *Object) schema(p *Protocol, fromClient bool) node {
	s := node{"type": "object"}
	properties, required := node{}, []string{}
	for _, f := range o.Fields {
		value := f.schema()
		if doc, elsewhere := p.explain(o, f); doc != "" && !elsewhere && value["$ref"] == nil {
			value["description"] = doc
		}
		properties[f.Key] = value
		if f.Need || !fromClient && f.Sent {
			required = append(required, f.Key)
		}
	}
	if len(properties) > 0 {
		s["properties"] = properties
	}
	if len(required) > 0 {
		s["required"] = required
	}
	if doc := p.subject(o); doc != "" {
		s["description"] = doc
	}
	return s
}

// schemas are those of all objects and names.
func (p *Protocol) schemas() node {
	all := node{
		"State": node{
			"type": "object", "propertyNames": ref("Key"),
			"description": fmt.Sprintf("Top-level keys of the application's, each with any JSON value. The server takes %d keys and %d bytes of JSON unless it is "+
				"configured otherwise (`rooms.state_keys`, `rooms.state_bytes`).", stateKeys, stateBytes),
		},
		"Error": p.Refusal.schema(p, false),
	}
	for _, name := range names {
		all[name.schema] = name.form
	}
	fromClient := p.sentByClients()
	for name, o := range p.Objects {
		all[name] = o.schema(p, fromClient[name])
	}
	all["Error"].(node)["properties"].(node)["code"] = node{"type": "string", "enum": wire.Codes, "description": "Why; clients decide by it alone."}
	return all
}

// sentByClients are the objects within requests: what a client may leave out of them, the server may not ask for.
func (p *Protocol) sentByClients() map[string]bool {
	sent := make(map[string]bool)
	var mark func(o *Object)
	mark = func(o *Object) {
		for _, f := range o.Fields {
			if f.Of != "" && !sent[f.Of] {
				sent[f.Of] = true
				mark(p.Objects[f.Of])
			}
		}
	}
	for i := range p.Requests {
		mark(p.Requests[i].Body)
	}
	return sent
}

// payload is the schema of a whole request or event: the object with its envelope.
func (m *Message) payload(p *Protocol, request bool) node {
	s := m.Body.schema(p, request)
	properties, _ := s["properties"].(node)
	properties = maps.Clone(properties)
	if properties == nil {
		properties = node{}
	}
	required, _ := s["required"].([]string)
	properties["type"] = node{"const": m.Type}
	required = append(required, "type")
	if request {
		properties["id"] = node{
			"type": "integer", "minimum": 1, "maximum": maxInteger, "description": "The client's own counter, which rises with each request of the session.",
		}
		required = append(required, "id")
	}
	if m.Room != Never {
		properties["room"] = ref("RoomName")
	}
	if m.Seq != Never {
		properties["seq"] = node{"type": "integer", "minimum": 1, "maximum": maxInteger, "description": "The event's number in its room."}
	}
	if m.Room == Always {
		required = append(required, "room")
	}
	if m.Seq == Always {
		required = append(required, "seq")
	}
	slices.Sort(required)
	s["properties"], s["required"] = properties, slices.Compact(required)
	return s
}
