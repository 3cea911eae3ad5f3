package wiredoc

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// glossary says what fields mean that have no comment of their own, as they mean the same in every message, and those of which the
// object is named in front.
var glossary = map[string]string{
	"room":       "The room's name.",
	"seq":        "The number of the event that the request caused; 0 if it caused none.",
	"epoch":      "Names one life of the room.",
	"version":    "The room's version, which rises with every change of it.",
	"capacity":   "How many seats the room has.",
	"count":      "How many seats are taken.",
	"locked":     "Nobody but moderators can join.",
	"topic":      "What the message is about; absent for none.",
	"peer":       "The peer's id.",
	"to":         "The peer's id that it is for.",
	"from":       "The peer's id that sent it.",
	"by":         "The id of the peer that did it; absent when the app or the server did.",
	"user":       "The user's id, as the token has it.",
	"name":       "The name to show; absent for none.",
	"id":         "The peer's id.",
	"state":      "The peer's state.",
	"app":        "The app's id.",
	"data":       "The application's own, passed on as it came.",
	"action":     "What is done.",
	"reason":     "Why, in a word.",
	"list":       "Asks for everybody, and not for the count alone.",
	"token":      "A JWT of the same app and user.",
	"time":       "The server's clock, in Unix milliseconds.",
	"iceServers": "`RTCIceServer` dictionaries (W3C WebRTC, section 4.2.4).",
	"urls":       "Where it is: `stun:`, `turn:` and `turns:` URLs.",
	"username":   "With `credential`, of a TURN server.",
	"credential": "With `username`, of a TURN server.",
	"limits":     "What the client may send.",
	"code":       "Why; clients decide by it alone.",
	"retryable":  "Whether the same request should be sent again, after a pause.",
	"affected":   "How many peers it reached.",
	"properties": "The application's own, of the room.",
	"kind":       "Of what: `audio` or `video`.",
	"text":       "What is said about it, for people.",
	"volatile":   "It is not logged: sent at most once.",

	"JoinedPeer.peer":  "Who has the seat.",
	"WaitingPeer.peer": "Who waits.",
	"Seated.seq":       "The number of the room's latest event.",
	"Resync.seq":       "The number of the room's latest event.",
}

var (
	goLink     = regexp.MustCompile(`\[([A-Za-z]+)\](?:\.([A-Z]\w*))?`)
	answeredBy = regexp.MustCompile(` ?(?:is answered|Answered) (?:at once )?by \[\w+\](?:, and [^.]*)?\.?| ?Answers \[[^.]*\.`)
	answers    = regexp.MustCompile(`^\w+ answers .*?(?: with |: |\.$)`)
	zeroValue  = regexp.MustCompile(`"" and 0\b|""|\b0( (?:if|where|leaves|when|for))|\b(?:is|are) empty\b|\bnil\b`)
	ownKey     = regexp.MustCompile("^`[^`]+` (?:is|are) |^`[^`]+` ((?:asks|counts|names|takes|holds|has|replaces|tells) )")
	ofGoAlone  = regexp.MustCompile(`^Data is a slice of the message.*`)
)

// explain says what a field means: by its own comment, or by the glossary. Where the comment of another field or that of the object
// names it, there is no more to say, and elsewhere is true.
func (p *Protocol) explain(o *Object, f *Field) (text string, elsewhere bool) {
	if doc := ofGoAlone.ReplaceAllString(f.Doc, ""); doc != "" {
		doc = p.words(o, doc, f.Sent || f.Null)
		return capital(ownKey.ReplaceAllString(doc, "$1")), false
	}
	name := "`" + f.Key + "`"
	if strings.Contains(p.subject(o), name) {
		return "see above", true
	}
	for _, other := range o.Fields {
		if other != f && other.Doc != "" && strings.Contains(p.words(o, other.Doc, false), name) {
			return "see `" + other.Key + "`", true
		}
	}
	if own, ok := glossary[o.Name+"."+f.Key]; ok {
		return own, false
	}
	return glossary[f.Key], false
}

// subject says what an object is, without its Go name in front.
func (p *Protocol) subject(o *Object) string {
	doc := strings.TrimSpace(answeredBy.ReplaceAllString(o.Doc, ""))
	doc = answers.ReplaceAllString(doc, "")
	doc = strings.TrimPrefix(strings.TrimPrefix(doc, o.Name+" is "), o.Name)
	return capital(p.words(o, strings.TrimSpace(doc), false))
}

// words puts a comment from Go's terms into those of the protocol: fields by their keys, constants by their values, and what Go calls
// an empty string or 0 as absent, or as null where a field is always there.
func (p *Protocol) words(o *Object, doc string, always bool) string {
	key := fmt.Sprint(o.Name, always, doc)
	if _, known := p.said[key]; !known {
		p.said[key] = p.reword(o, doc, always)
	}
	return p.said[key]
}

func (p *Protocol) reword(o *Object, doc string, always bool) string {
	for _, field := range p.goNames(o.Name) {
		doc = field.name.ReplaceAllString(doc, "$1`"+field.key+"`")
	}
	doc = goLink.ReplaceAllStringFunc(doc, func(link string) string {
		found := goLink.FindStringSubmatch(link)
		name, field := found[1], found[2]
		if c, ok := p.source.constants[name]; ok {
			return "`" + c.value + "`"
		}
		if field != "" {
			return "`" + strings.ToLower(field[:1]) + field[1:] + "` of " + p.title(name)
		}
		return p.title(name)
	})
	doc = strings.ReplaceAll(doc, " (null on the wire)", "")
	empty := "absent"
	if always {
		empty = "null"
	}
	doc = zeroValue.ReplaceAllStringFunc(doc, func(s string) string {
		switch {
		case strings.HasPrefix(s, "0 "):
			return "absent" + s[1:]
		case strings.HasPrefix(s, "is "), strings.HasPrefix(s, "are "):
			verb, _, _ := strings.Cut(s, " ")
			return verb + " absent"
		}
		return empty
	})
	return doc
}

func capital(s string) string {
	first, size := utf8.DecodeRuneInString(s)
	if size == 0 {
		return ""
	}
	return string(unicode.ToUpper(first)) + s[size:]
}

// linked is the link to an object.
func (p *Protocol) linked(typ string) string {
	return "[" + typ + "](#" + strings.ToLower(typ) + "-object)"
}

// goName is where a comment names a Go field, and the field's key.
type goName struct {
	name *regexp.Regexp
	key  string
}

// goNames are the Go fields of a struct, with their keys.
func (p *Protocol) goNames(typ string) (found []goName) {
	if known, ok := p.goFields[typ]; ok {
		return known
	}
	defer func() { p.goFields[typ] = found }()
	c := codec{source: p.source, typ: typ}
	keys := make(map[string]bool)
	var objects []*Object
	for _, m := range append(p.Requests, p.Events...) {
		objects = append(objects, m.Body)
	}
	for _, o := range p.Objects {
		objects = append(objects, o)
	}
	for _, o := range append(objects, p.Refusal) {
		if o.Name == typ {
			for _, f := range o.Fields {
				keys[f.Key] = true
			}
		}
	}
	for key := range keys {
		if m, ok := c.member(typ, key); ok {
			found = append(found, goName{regexp.MustCompile("(^|[^`\\w.\\[])" + m.name + `\b`), key})
		}
	}
	return found
}

// title is what the reference calls a Go type.
func (p *Protocol) title(typ string) string {
	for _, m := range p.Requests {
		if m.Body.Name == typ {
			return "`" + m.Type + "`"
		}
	}
	for _, m := range p.Events {
		if m.Body.Name == typ {
			return "`" + m.Type + "`"
		}
	}
	if _, ok := p.Objects[typ]; ok {
		return p.linked(typ)
	}
	if name, ok := names[typ]; ok {
		return "[" + name.title + "](#names)"
	}
	if typ == "KeptTopics" {
		return "`chat` and `whiteboard`"
	}
	return typ
}
