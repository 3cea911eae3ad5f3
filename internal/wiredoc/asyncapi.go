package wiredoc

import (
	"bytes"
	"encoding/json"
	"fmt"

	"go.yaml.in/yaml/v3"

	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

const asyncHead = `# The native protocol as an AsyncAPI 3.0 document: what a gateway receives and sends.
# Generated from pkg/wire: go test ./internal/wiredoc -update
`

// AsyncAPI gives the protocol as an AsyncAPI 3.0 document, in YAML.
func (p *Protocol) AsyncAPI() ([]byte, error) {
	messages, channelMessages, operations := node{}, node{}, node{}
	add := func(name string, message node) node {
		messages[name] = message
		channelMessages[name] = node{"$ref": "#/components/messages/" + name}
		return node{"$ref": "#/channels/connection/messages/" + name}
	}
	channel := node{"$ref": "#/channels/connection"}
	refusals, err := p.refusals()
	if err != nil {
		return nil, err
	}
	refused := add("error", refusals)
	for i := range p.Requests {
		m := &p.Requests[i]
		request, err := message(m.Type, p.subject(m.Body), m.payload(p, true), m.Samples)
		if err != nil {
			return nil, err
		}
		reply, err := message(m.Type+" answered", "", p.replyPayload(m), m.ReplySamples)
		if err != nil {
			return nil, err
		}
		operations[m.Type] = node{
			"action": "receive", "channel": channel, "summary": "The client's " + m.Type + " request.",
			"messages": []any{add("request-"+m.Type, request)},
			"reply":    node{"channel": channel, "messages": []any{add("reply-"+m.Type, reply), refused}},
		}
	}
	for i := range p.Events {
		m := &p.Events[i]
		event, err := message(m.Type, p.subject(m.Body), m.payload(p, false), m.Samples)
		if err != nil {
			return nil, err
		}
		operations["event-"+m.Type] = node{
			"action": "send", "channel": channel, "summary": "The server's " + m.Type + " event.", "messages": []any{add("event-"+m.Type, event)},
		}
	}
	document := node{
		"asyncapi": "3.0.0",
		"info": node{
			"title": "Signalbox, native protocol", "version": fmt.Sprint(wire.Version),
			"description": "One JSON object in each text frame of a WebSocket with the subprotocol " + wire.Subprotocol + ". docs/protocol.md says how it is used.",
			"license":     node{"name": "Apache-2.0"},
		},
		"defaultContentType": "application/json",
		"servers":            node{"gateway": node{"host": "signal.example.com", "protocol": "wss", "description": "Any gateway of the cluster."}},
		"channels": node{"connection": node{
			"address": "/v1/connect", "description": "A client's connection.", "messages": channelMessages,
			"bindings": node{"ws": node{"method": "GET", "headers": node{
				"type": "object", "required": []string{"Sec-WebSocket-Protocol"},
				"properties": node{"Sec-WebSocket-Protocol": node{"const": wire.Subprotocol}},
			}, "bindingVersion": "0.1.0"}},
		}},
		"operations": operations,
		"components": node{"messages": messages, "schemas": p.schemas()},
	}
	var b bytes.Buffer
	b.WriteString(asyncHead)
	encoder := yaml.NewEncoder(&b)
	encoder.SetIndent(2)
	if err := encoder.Encode(document); err != nil {
		return nil, err
	}
	return b.Bytes(), encoder.Close()
}

// message is one of the document, with its samples as examples.
func message(title, summary string, payload node, samples []Sample) (node, error) {
	m := node{"title": title, "payload": payload}
	if summary != "" {
		m["summary"] = summary
	}
	delete(payload, "description")
	var examples []any
	for _, sample := range samples {
		var value any
		decoder := json.NewDecoder(bytes.NewReader(sample.Text))
		decoder.UseNumber()
		if err := decoder.Decode(&value); err != nil {
			return nil, fmt.Errorf("%s: %w", sample.Name, err)
		}
		examples = append(examples, node{"name": sample.Name, "payload": whole(value)})
	}
	m["examples"] = examples
	return m, nil
}

// whole makes numbers of what was decoded integers, which YAML would write as text.
func whole(value any) any {
	switch v := value.(type) {
	case json.Number:
		n, err := v.Int64()
		if err != nil {
			f, _ := v.Float64()
			return f
		}
		return n
	case map[string]any:
		for key := range v {
			v[key] = whole(v[key])
		}
	case []any:
		for i := range v {
			v[i] = whole(v[i])
		}
	}
	return value
}

// replyPayload is what answers a request that is not refused.
func (p *Protocol) replyPayload(m *Message) node {
	ok := ref(m.Replies[0])
	if len(m.Replies) > 1 {
		var either []any
		for _, reply := range m.Replies {
			either = append(either, ref(reply))
		}
		ok = node{"anyOf": either}
	}
	return node{"type": "object", "required": []string{"ok", "re"}, "properties": node{"re": requestID(), "ok": ok}}
}

func requestID() node {
	return node{
		"type": "integer", "minimum": 0, "maximum": maxInteger, "description": "The id of the request that is answered; 0 where it could not be read.",
	}
}

// refusals is the message that answers a request with an error.
func (p *Protocol) refusals() (node, error) {
	payload := node{"type": "object", "required": []string{"error", "re"}, "properties": node{"re": requestID(), "error": ref("Error")}}
	return message("refused", "Answers any request that is refused.", payload, p.RefusalSamples)
}
