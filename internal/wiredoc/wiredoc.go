// Package wiredoc reads the native protocol out of the sources of pkg/wire: which messages there are, and of each which fields its codec
// reads and writes, of what kind and within what limits. It writes a reference and an AsyncAPI document of it.
//
// The codec is written by hand, one line a field, and these lines are what is read here, with the comments of the types. A line of a form
// that is not known is an error, so that the documents cannot fall behind.
package wiredoc

import (
	"bytes"
	"fmt"
	"go/ast"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// Protocol is all of it.
type Protocol struct {
	Requests []Message
	Events   []Message
	// Refusal is what a reply has as error.
	Refusal        *Object
	RefusalSamples []Sample
	// Objects are those within messages, by the name of their Go type.
	Objects map[string]*Object
	source  *source
	// goFields are the names of fields that were looked up, by type, and said the comments that were put into other words.
	goFields map[string][]goName
	said     map[string]string
}

// Message is a request or an event.
type Message struct {
	Type string
	Body *Object
	// Replies are the Go types of what answers a request.
	Replies []string
	// Samples are golden files, and ReplySamples those of the answers.
	Samples, ReplySamples []Sample
	// Room and Seq say of an event whether it has them.
	Room, Seq Presence
}

// Sample is one golden file.
type Sample struct {
	Name string
	Text []byte
}

// Presence is in how many of a message's samples a field is.
type Presence int

// What there is of it.
const (
	Never Presence = iota
	Sometimes
	Always
)

var named = regexp.MustCompile(`\[(\w+)\]`)

// Read reads the protocol from the folder of pkg/wire.
func Read(dir string) (*Protocol, error) {
	s, err := readSource(dir)
	if err != nil {
		return nil, err
	}
	p := &Protocol{source: s, Objects: make(map[string]*Object), goFields: make(map[string][]goName), said: make(map[string]string)}
	if p.Refusal, err = s.object("Error", p.Objects); err != nil {
		return nil, err
	}
	for _, code := range wire.Codes {
		found, err := samples(dir, "error-"+string(code), nil)
		if err != nil {
			return nil, err
		}
		p.RefusalSamples = append(p.RefusalSamples, found...)
	}
	for _, t := range wire.RequestTypes {
		m, err := p.message(dir, "request", string(t), s.bodies("newRequestBody"))
		if err != nil {
			return nil, err
		}
		// The comment of the constant says what answers it: // [Hello] -> [Welcome]: opens the session
		_, answers, _ := strings.Cut(s.constantOf(string(t)).doc, "->")
		answers, _, _ = strings.Cut(answers, ":")
		for _, name := range named.FindAllStringSubmatch(answers, -1) {
			m.Replies = append(m.Replies, name[1])
			if err := p.add(name[1]); err != nil {
				return nil, err
			}
		}
		if len(m.Replies) == 0 {
			return nil, fmt.Errorf("nothing says what answers %s", t)
		}
		if m.ReplySamples, err = samples(dir, "reply-"+string(t), wire.RequestTypes); err != nil {
			return nil, err
		}
		p.Requests = append(p.Requests, m)
	}
	for _, t := range wire.EventTypes {
		m, err := p.message(dir, "event", string(t), s.bodies("newEventBody"))
		if err != nil {
			return nil, err
		}
		m.Room, m.Seq = m.presence(`"room":`), m.presence(`"seq":`)
		p.Events = append(p.Events, m)
	}
	return p, nil
}

func (p *Protocol) message(dir, kind, typ string, bodies map[string]string) (m Message, err error) {
	m.Type = typ
	if m.Body, err = p.source.object(bodies[typ], p.Objects); err != nil {
		return m, err
	}
	if err = p.addWithin(m.Body); err != nil {
		return m, err
	}
	others := wire.RequestTypes
	if kind == "event" {
		others = wire.EventTypes
	}
	m.Samples, err = samples(dir, kind+"-"+typ, others)
	return m, err
}

// add reads an object and what is within it.
func (p *Protocol) add(typ string) (err error) {
	if p.Objects[typ] != nil {
		return nil
	}
	if typ == "Spotlight" {
		p.Objects[typ] = spotlight(p.source)
		return nil
	}
	if p.Objects[typ], err = p.source.object(typ, p.Objects); err != nil {
		return err
	}
	return p.addWithin(p.Objects[typ])
}

func (p *Protocol) addWithin(o *Object) error {
	for _, field := range o.Fields {
		if field.Of != "" {
			if err := p.add(field.Of); err != nil {
				return err
			}
		}
	}
	return nil
}

// spotlight is the one object that package encoding/json reads. Its limits are in the comments of its fields, too.
func spotlight(s *source) *Object {
	o := &Object{Name: "Spotlight", Doc: s.structs["Spotlight"].doc, Fields: []*Field{
		{Key: "start", Kind: "integer", Null: true, Sent: true},
		{Key: "interval", Kind: "integer", Least: 1000, Most: 86400000, Need: true},
		{Key: "order", Kind: "payload", Texts: true, Valid: "ValidID", Least: 1, Most: 500, Need: true},
	}}
	for i, m := range s.structs["Spotlight"].fields {
		o.Fields[i].Doc = m.doc
	}
	return o
}

// bodies gives the Go type of each message, from the function that makes an empty one.
func (s *source) bodies(function string) map[string]string {
	bodies := make(map[string]string)
	ast.Inspect(s.functions[function].Body, func(node ast.Node) bool {
		if branch, ok := node.(*ast.CaseClause); ok && len(branch.List) == 1 {
			typ, _ := s.text(branch.List[0])
			made := branch.Body[0].(*ast.ReturnStmt).Results[0].(*ast.CallExpr)
			bodies[typ] = typeName(made.Args[0])
		}
		return true
	})
	return bodies
}

// constantOf finds the constant of a message's type.
func (s *source) constantOf(typ string) constant {
	for name, c := range s.constants {
		if strings.HasPrefix(name, "Type") && c.typ == "Type" && c.value == typ {
			return c
		}
	}
	return constant{}
}

// samples reads the golden files of one message: those of the name, and of the name with more behind it that is no other's.
func samples(dir, name string, others []wire.Type) (found []Sample, err error) {
	files, err := filepath.Glob(filepath.Join(dir, "testdata", name+"*.json"))
	if err != nil {
		return nil, err
	}
	kind, _, _ := strings.Cut(name, "-")
	for _, file := range files {
		sample := strings.TrimSuffix(filepath.Base(file), ".json")
		of := name
		if len(others) > 0 {
			of = ""
		}
		for _, t := range others { // the longest that fits: waiting-peer is not of waiting
			if prefix := kind + "-" + string(t); (sample == prefix || strings.HasPrefix(sample, prefix+"-")) && len(prefix) > len(of) {
				of = prefix
			}
		}
		if of != name {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		found = append(found, Sample{sample, bytes.TrimSpace(text)})
	}
	slices.SortStableFunc(found, func(a, b Sample) int { return len(a.Name) - len(b.Name) })
	if len(found) == 0 {
		return nil, fmt.Errorf("no golden file of %s", name)
	}
	return found, nil
}

// presence looks for a field of the envelope.
func (m *Message) presence(key string) Presence {
	count := 0
	for _, sample := range m.Samples {
		if bytes.HasPrefix(sample.Text[1:], []byte(key)) || bytes.Contains(sample.Text, []byte(`"type":"`+m.Type+`",`+key)) {
			count++
		}
	}
	switch count {
	case 0:
		return Never
	case len(m.Samples):
		return Always
	}
	return Sometimes
}
