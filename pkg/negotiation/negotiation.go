// Package negotiation looks at what peers send each other to connect, where their app wants that: session descriptions (RFC 8866, as
// JSEP uses them, RFC 9429) and ICE candidates (RFC 8839). It holds them to bounds and to their grammar, leaves out candidates that are
// not to pass, and writes addresses that are not to be seen as unspecified ones.
//
// It knows the shapes in which pages send them: the W3C's RTCSessionDescriptionInit and RTCIceCandidateInit, by themselves or as
// description and candidate of an object, and the usual {"type": "candidate", "candidate": "..."}. What is of another shape passes: this
// keeps an app's own pages to its rules, and does not keep two peers from telling each other what they want to.
package negotiation

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"slices"
	"strings"

	"github.com/pion/ice/v4"
	"github.com/pion/sdp/v3"

	"github.com/signalbox-rtc/signalbox/pkg/auth"
)

// The bounds of an app that does not say others.
const (
	defaultDescriptionBytes    = 64 << 10
	defaultSections            = 64
	defaultCandidates          = 128
	defaultCandidatesPerMinute = 600
)

// Kind is what is looked at.
type Kind int

// The kinds.
const (
	Description Kind = iota
	Candidate
	Kinds
)

// KindNames are the kinds' names in metrics.
var KindNames = [Kinds]string{"description", "candidate"}

// Result is what comes of one description or candidate.
type Result int

// The results. The first four are of what passes, or does without those that do not, the others of what is refused.
const (
	Passed Result = iota
	// Hidden is an address that is written as an unspecified one.
	Hidden
	// Network and Type are candidates that are left out for their address or their type.
	Network
	Type
	// Malformed is against the grammar.
	Malformed
	// TooLarge, TooManySections and TooManyCandidates are over the bounds of a description, Rate over that of candidates.
	TooLarge
	TooManySections
	TooManyCandidates
	Rate
	Results
)

// ResultNames are the results' names in metrics.
var ResultNames = [Results]string{
	"passed", "hidden", "network", "type", "malformed", "too_large", "too_many_sections", "too_many_candidates", "rate",
}

// Refuses reports whether it is a reason to refuse what was sent.
func (r Result) Refuses() bool { return r >= Malformed }

// Rules are what an app lets pass, made ready. They may be used by any goroutine.
type Rules struct {
	enforce                                bool
	descriptionBytes, sections, candidates int
	candidatesPerMinute                    int
	types                                  []string
	hidePrivate                            bool
	deny, allow                            []netip.Prefix
}

// New makes an app's rules; nil where it wants nothing to be looked at. The configuration has been validated.
func New(n *auth.Negotiation) *Rules {
	if !n.On() {
		return nil
	}
	r := &Rules{
		enforce: n.Mode == auth.NegotiationEnforce, descriptionBytes: n.DescriptionBytes, sections: n.Sections, candidates: n.Candidates,
		candidatesPerMinute: n.CandidatesPerMinute, types: slices.Clone(n.Types), hidePrivate: n.HidePrivate == auth.On,
	}
	r.deny, _ = auth.Networks(n.Deny)
	r.allow, _ = auth.Networks(n.Allow)
	for _, bound := range []struct {
		value    *int
		standard int
	}{
		{&r.descriptionBytes, defaultDescriptionBytes}, {&r.sections, defaultSections}, {&r.candidates, defaultCandidates},
		{&r.candidatesPerMinute, defaultCandidatesPerMinute},
	} {
		if *bound.value == 0 {
			*bound.value = bound.standard
		}
	}
	return r
}

// CandidatesPerMinute is how many candidates a session may send by themselves in a minute.
func (r *Rules) CandidatesPerMinute() int { return r.candidatesPerMinute }

// Verdict is what comes of a message.
type Verdict struct {
	// Data is what goes on in its place: the same if nothing is to change, or only observed.
	Data json.RawMessage
	// Drop has nothing go on: it was a candidate alone that does not pass. Refused is why the message is refused, Passed if it is not.
	// Neither is set while only observing.
	Drop    bool
	Refused Result
	// Found counts what was found.
	Found [Kinds][Results]int
}

// Look gives what becomes of a message's data. mayTrickle says whether the session may send one candidate more at the moment; it is
// asked for a candidate that comes by itself.
func (r *Rules) Look(data json.RawMessage, mayTrickle func() bool) Verdict {
	v := Verdict{Data: data}
	object := objectOf(data)
	if object == nil {
		return v
	}
	changed := r.describe(&v, object)
	if inner := objectOf(object["description"]); inner != nil && r.describe(&v, inner) {
		object["description"], changed = encode(inner), true
	}
	changed = r.trickle(&v, object, mayTrickle) || changed
	switch {
	case !r.enforce:
		return Verdict{Data: data, Found: v.Found}
	case changed && !v.Drop && v.Refused == Passed:
		v.Data = encode(object)
	}
	return v
}

// objectOf reads an object by the exact names of its members, the last of which counts, as in a browser; nil if it is none.
func objectOf(data json.RawMessage) map[string]json.RawMessage {
	var object map[string]json.RawMessage
	if len(data) == 0 || data[0] != '{' || json.Unmarshal(data, &object) != nil {
		return nil
	}
	return object
}

func encode(value any) json.RawMessage {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		panic(err) // of what was decoded before
	}
	return bytes.TrimSuffix(text.Bytes(), []byte("\n"))
}

func textOf(value json.RawMessage) (text string, ok bool) {
	return text, len(value) > 0 && value[0] == '"' && json.Unmarshal(value, &text) == nil
}

// found notes a result.
func (v *Verdict) found(kind Kind, result Result) {
	v.Found[kind][result]++
	if result.Refuses() && v.Refused == Passed {
		v.Refused = result
	}
}

// describe looks at an RTCSessionDescriptionInit, and reports whether it changed it.
func (r *Rules) describe(v *Verdict, object map[string]json.RawMessage) bool {
	text, ok := textOf(object["sdp"])
	if !ok || text == "" { // a rollback has none
		return false
	}
	rewritten, result := r.description(v, text)
	v.found(Description, result)
	if result.Refuses() || rewritten == text {
		return false
	}
	object["sdp"] = encode(rewritten)
	return true
}

// description holds a description to the rules.
func (r *Rules) description(v *Verdict, text string) (string, Result) {
	if len(text) > r.descriptionBytes {
		return "", TooLarge
	}
	var parsed sdp.SessionDescription
	if parsed.UnmarshalString(text) != nil {
		return "", Malformed
	}
	if len(parsed.MediaDescriptions) > r.sections {
		return "", TooManySections
	}
	var out strings.Builder
	out.Grow(len(text))
	candidates := 0
	for line := range strings.Lines(text) {
		content := strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
		if strings.ContainsRune(content, '\r') { // some would read it as the end of a line
			return "", Malformed
		}
		if candidate, ok := strings.CutPrefix(content, "a=candidate:"); ok {
			if candidates++; candidates > r.candidates {
				return "", TooManyCandidates
			}
			passing, result := r.candidate(candidate)
			v.found(Candidate, result)
			if result == Passed || result == Hidden {
				out.WriteString("a=candidate:" + passing + line[len(content):])
			}
			continue
		}
		out.WriteString(r.hideIn(v, content) + line[len(content):])
	}
	return out.String(), Passed
}

// hideIn gives a line of a description, with an address that is not to be seen as an unspecified one: o=, c= (RFC 8866, sections 5.2
// and 5.7) and a=rtcp (RFC 3605). A loopback address there tells nothing: it is what browsers write for none.
func (r *Rules) hideIn(v *Verdict, line string) string {
	if !strings.HasPrefix(line, "o=") && !strings.HasPrefix(line, "c=") && !strings.HasPrefix(line, "a=rtcp:") {
		return line
	}
	at := strings.LastIndexByte(line, ' ') + 1
	name, rest, _ := strings.Cut(line[at:], "/") // of multicast
	address, err := netip.ParseAddr(name)
	if err != nil || address.IsUnspecified() || address.IsLoopback() || r.passes(address) {
		return line
	}
	v.found(Description, Hidden)
	if rest != "" {
		rest = "/" + rest
	}
	return line[:at] + unspecified(address).String() + rest
}

// unspecified is the address that stands for one that is not to be seen.
func unspecified(address netip.Addr) netip.Addr {
	if address.Is4() {
		return netip.IPv4Unspecified()
	}
	return netip.IPv6Unspecified()
}

// trickle looks at a candidate that comes by itself, and reports whether it changed it.
func (r *Rules) trickle(v *Verdict, object map[string]json.RawMessage, mayTrickle func() bool) bool {
	member, inner := object, objectOf(object["candidate"])
	if inner != nil {
		member = inner
	}
	text, ok := textOf(member["candidate"])
	if !ok || text == "" { // the end of candidates
		return false
	}
	if !mayTrickle() {
		v.found(Candidate, Rate)
		return false
	}
	bare, prefixed := strings.CutPrefix(text, "candidate:")
	passing, result := r.candidate(bare)
	v.found(Candidate, result)
	switch result {
	case Network, Type:
		v.Drop = true
	case Hidden:
		if prefixed {
			passing = "candidate:" + passing
		}
		member["candidate"] = encode(passing)
		if inner != nil {
			object["candidate"] = encode(inner)
		}
		return true
	}
	return false
}

// candidate holds a candidate-attribute without its name (RFC 8839, section 5.1) to the rules, and gives it as it passes.
func (r *Rules) candidate(text string) (string, Result) {
	candidate, err := ice.UnmarshalCandidate(text)
	if err != nil || strings.ContainsAny(text, "\r\n") {
		return "", Malformed
	}
	if len(r.types) > 0 && !slices.Contains(r.types, candidate.Type().String()) {
		return "", Type
	}
	// A name of mDNS (RFC 9429, section 5.1.4) tells nobody an address: it is what browsers hide theirs behind.
	if address, err := netip.ParseAddr(candidate.Address()); err == nil && !r.passes(address) {
		return "", Network
	}
	related := candidate.RelatedAddress()
	if related == nil {
		return text, Passed
	}
	address, err := netip.ParseAddr(related.Address)
	if err != nil || address.IsUnspecified() || r.passes(address) {
		return text, Passed
	}
	// The related address is for diagnosis alone (RFC 8839, section 5.1): 0.0.0.0 and 9 are what hides it.
	fields := strings.Split(text, " ")
	for i, field := range fields[:len(fields)-1] {
		switch field {
		case "raddr":
			fields[i+1] = unspecified(address).String()
		case "rport":
			fields[i+1] = "9"
		}
	}
	return strings.Join(fields, " "), Hidden
}

// sharedSpace is that of carriers' address translators (RFC 6598).
var sharedSpace = netip.MustParsePrefix("100.64.0.0/10")

// passes reports whether an address may be seen.
func (r *Rules) passes(address netip.Addr) bool {
	address = address.Unmap().WithZone("")
	private := address.IsPrivate() || address.IsLinkLocalUnicast() || address.IsLoopback() || sharedSpace.Contains(address)
	in := func(list []netip.Prefix) bool {
		return slices.ContainsFunc(list, func(network netip.Prefix) bool { return network.Contains(address) })
	}
	return !(private && r.hidePrivate) && !in(r.deny) && (len(r.allow) == 0 || in(r.allow))
}
