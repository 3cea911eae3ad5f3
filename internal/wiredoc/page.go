package wiredoc

import (
	"bytes"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"

	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

const pageHead = `# Protocol reference

<!-- Generated from pkg/wire: go test ./internal/wiredoc -update -->

Every message of the native protocol, version 1, with its fields and limits, and an example. [protocol.md](protocol.md) says how they work
together, and is the place to begin. [asyncapi.yaml](asyncapi.yaml) is the same as an AsyncAPI 3.0 document, for tools.

This page is made of the lines of the codec that read and write each field, and the examples are its golden files.

A client sends [requests](#requests), and gets one [reply](#replies) to each, and [events](#events) unasked. Each is one JSON object in one text
frame of a WebSocket at ` + "`/v1/connect`, with the subprotocol `" + wire.Subprotocol + "`" + `. Fields that are not named here are ignored.

In the column *there*, *always* means that a message without the field is refused, if it is a request, or is never sent, if it is not;
*null too* that its value can be null.
`

// limits are the keys of the configuration that bound what a client sends.
var limits = []string{
	"limits.message_bytes", "limits.json_depth", "limits.json_keys", "limits.message_fragments", "limits.message_read_timeout",
	"limits.requests_per_second", "limits.requests_burst", "limits.requests_wait", "limits.bad_messages", "session.in_flight", "session.hello_timeout",
	"rooms.per_session", "rooms.state_bytes", "rooms.state_keys",
}

// Page gives the protocol as a page of Markdown, with the limits that the reference of the configuration has. Each field is explained
// there, or it is an error.
func (p *Protocol) Page(configuration []byte) ([]byte, error) {
	b := new(page)
	b.WriteString(pageHead)
	b.names()
	b.limits(configuration)
	b.replies(p)
	b.WriteString("\n## Requests\n\nEach has `id`, the client's own counter, a whole number from 1 to 2^53-1 that rises with each request of the session, and `type`.\n")
	for i := range p.Requests {
		b.request(p, &p.Requests[i])
	}
	b.WriteString("\n## Events\n\nEach has `type`. Those of a room have `room`, and `seq`, the event's number in the room, unless it says otherwise below.\n")
	for i := range p.Events {
		b.event(p, &p.Events[i])
	}
	b.WriteString("\n## Objects\n\nWhat is within messages, and in `ok` of replies.\n")
	for _, name := range slices.Sorted(maps.Keys(p.Objects)) {
		if o := p.Objects[name]; len(o.Fields) > 0 {
			b.object(p, o)
		}
	}
	b.closeCodes(p)
	return b.Bytes(), b.err
}

// page is one that is written, and the first thing that is wrong with it.
type page struct {
	bytes.Buffer
	err error
}

func (b *page) printf(format string, args ...any) { _, _ = fmt.Fprintf(b, format, args...) }

func (b *page) names() {
	b.WriteString("\n## Names\n\nStrings that have a form, and are refused in any other:\n\n| what | form |\n|---|---|\n")
	for _, row := range []struct{ what, form string }{
		{"room name", fmt.Sprintf("1 to %d of `A-Z a-z 0-9 . _ ~ -`", wire.MaxRoomName)},
		{"topic", fmt.Sprintf("1 to %d of the same", wire.MaxTopic)},
		{"key", fmt.Sprintf("1 to %d of the same: of states and properties, and words", wire.MaxKey)},
		{"id", fmt.Sprintf("1 to %d printable ASCII characters without space, `\"`, `\\`, `:` and `*`: of peers, and epochs", wire.MaxID)},
		{"display name", fmt.Sprintf("up to %d bytes of UTF-8 without control characters, line separators, U+FFFD, and characters that turn the direction of text", wire.MaxDisplayName)},
		{"line of text", fmt.Sprintf("up to %d bytes of the same", wire.MaxText)},
		{"state", fmt.Sprintf("an object with keys as above and any JSON values: %d keys and %d bytes of JSON unless [configured](configuration.md#rooms) otherwise", stateKeys, stateBytes)},
	} {
		b.printf("| %s | %s |\n", row.what, row.form)
	}
}

func (b *page) limits(configuration []byte) {
	b.WriteString("\n## Limits\n\nUnless they are [configured](configuration.md) otherwise. A reply to `hello` tells some of them, as `limits`.\n\n" +
		"| key | default | what it bounds |\n|---|---|---|\n")
	for _, key := range limits {
		row := regexp.MustCompile("(?m)^\\| `" + regexp.QuoteMeta(key) + "` `\\w+` \\| [^|]+ \\| `([^`]+)` \\| [^|]* \\| (.+) \\|$").FindSubmatch(configuration)
		if row == nil {
			b.err = fmt.Errorf("the configuration has no %s", key)
			return
		}
		b.printf("| `%s` | %s | %s |\n", key, row[1], row[2])
	}
}

func (b *page) replies(p *Protocol) {
	b.WriteString("\n## Replies\n\nA reply has `re`, the `id` of its request, or 0 where that could not be read, and either `ok`, of which each request below " +
		"says what is in it, or `error`:\n\n")
	b.table(p, p.Refusal, false)
	b.samples(p.RefusalSamples[:1])
	b.WriteString("\n| code | retryable | meaning |\n|---|---|---|\n")
	for _, name := range p.source.order {
		if c := p.source.constants[name]; c.typ == "Code" {
			_, meaning, _ := strings.Cut(c.doc, ": ")
			b.printf("| `%s` | %s | %s |\n", c.value, yesNo(wire.Code(c.value).Retryable()), cell(sentence(meaning)))
		}
	}
}

func (b *page) request(p *Protocol, m *Message) {
	b.printf("\n### %s\n\n", m.Type)
	if doc := p.subject(m.Body); doc != "" {
		b.printf("%s\n\n", doc)
	}
	b.table(p, m.Body, true)
	if len(m.Body.Rules) > 0 {
		b.WriteString("\nRefused otherwise: ")
		b.printf("%s.\n", strings.Join(m.Body.Rules, "; "))
	}
	b.samples(m.Samples)
	var answers []string
	for _, reply := range m.Replies {
		if len(p.Objects[reply].Fields) == 0 {
			answers = append(answers, "nothing")
		} else {
			answers = append(answers, p.linked(reply))
		}
	}
	b.printf("\nReply, `ok` with %s:\n", strings.Join(answers, " or "))
	b.samples(m.ReplySamples)
}

func (b *page) event(p *Protocol, m *Message) {
	b.printf("\n### %s event\n\n", m.Type)
	if doc := p.subject(m.Body); doc != "" {
		b.printf("%s", doc)
	}
	switch {
	case m.Room == Never:
		b.WriteString(" Of no room: without `room` and `seq`.")
	case m.Seq == Never && !slices.ContainsFunc(m.Body.Fields, func(f *Field) bool { return f.Key == "seq" }):
		b.WriteString(" Without `seq`.")
	case m.Seq == Sometimes:
		b.WriteString(" Not always with `seq`: where no event of the room made it.")
	}
	b.WriteString("\n\n")
	b.table(p, m.Body, false)
	b.samples(m.Samples)
}

func (b *page) object(p *Protocol, o *Object) {
	b.printf("\n### %s object\n\n", o.Name)
	if doc := p.subject(o); doc != "" {
		b.printf("%s\n\n", doc)
	}
	b.table(p, o, p.sentByClients()[o.Name])
}

func (b *page) table(p *Protocol, o *Object, fromClient bool) {
	if len(o.Fields) == 0 {
		b.WriteString("It has no fields of its own.\n")
		return
	}
	b.WriteString("| field | type | there | meaning |\n|---|---|---|---|\n")
	for _, f := range o.Fields {
		there := ""
		if f.Need || !fromClient && f.Sent {
			there = "always"
		}
		if f.Null {
			there = strings.TrimPrefix(there+", null too", ", ")
		}
		meaning, _ := p.explain(o, f)
		if meaning == "" && b.err == nil {
			b.err = fmt.Errorf("nothing explains %s of %s", f.Key, o.Name)
		}
		b.printf("| `%s` | %s | %s | %s |\n", f.Key, cell(f.typ(p)), there, cell(meaning))
	}
}

// typ says in words what a value is.
func (f *Field) typ(p *Protocol) string {
	switch {
	case f.Of != "" && f.List:
		return "list of " + p.linked(f.Of)
	case f.Of != "" && f.Map:
		return "object: " + p.linked(f.Of) + " by room"
	case f.Of != "":
		return p.linked(f.Of)
	case f.Texts && f.Valid != "":
		return fmt.Sprintf("list of %d to %d [%ss](#names)", f.Least, f.Most, names[f.Valid].title)
	case f.Texts:
		return "list of strings"
	}
	switch f.Kind {
	case "text":
		if name, ok := names[f.Valid]; ok {
			return "[" + name.title + "](#names)"
		}
		return "string"
	case "word":
		return "`" + strings.Join(f.Words, "`, `") + "`"
	case "boolean":
		return "true, false"
	case "integer", "count":
		return f.numbers()
	case "object":
		return "[state](#names)"
	case "json-object":
		return "any object"
	}
	return "any JSON"
}

func (f *Field) numbers() string {
	most := fmt.Sprint(f.Most)
	switch {
	case f.Most > 0:
	case f.Kind == "count":
		most = fmt.Sprintf("%d", math.MaxInt32)
	default:
		most = "2^53-1"
	}
	return fmt.Sprintf("%d to %s", f.Least, most)
}

func (b *page) samples(all []Sample) {
	b.WriteString("\n```json\n")
	for _, sample := range all {
		b.printf("%s\n", sample.Text)
	}
	b.WriteString("```\n")
}

func (b *page) closeCodes(p *Protocol) {
	b.WriteString("\n## Close codes\n\nWith which the server closes a connection.\n\n| code | word | come back | meaning |\n|---|---|---|---|\n")
	for _, name := range p.source.order {
		c := p.source.constants[name]
		if c.typ != "CloseCode" {
			continue
		}
		var code wire.CloseCode
		_, _ = fmt.Sscan(c.value, &code)
		_, meaning, _ := strings.Cut(c.doc, ", ")
		b.printf("| %d | `%s` | %s | %s |\n", code, code, yesNo(code.Retryable()), cell(sentence(meaning)))
	}
}

func yesNo(yes bool) string {
	if yes {
		return "yes"
	}
	return "no"
}

func sentence(s string) string { return strings.TrimSuffix(s, ".") }

// cell is text in a table, where a bar would end it.
func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }
