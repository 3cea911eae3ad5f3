package socketio

import (
	"bytes"
	"encoding/json"
	"strconv"
)

// placeholdersFit reports whether every placeholder in text, which is valid JSON, stands for one of n attachments. A
// client throws when it gets one that does not, and so would every peer that the packet is passed on to.
func placeholdersFit(text []byte, n int) bool {
	if !bytes.Contains(text, []byte("_placeholder")) && !bytes.Contains(text, []byte(`\u`)) {
		return true
	}
	walk := placeholderWalk{rest: text, attachments: n, fit: true}
	walk.value()
	return walk.fit
}

// Placeholders tells for which of n attachments there are placeholders in text, which is valid JSON. It reports false if
// one is for an attachment that there is not: a client would throw.
func Placeholders(text []byte, n int) (used []bool, fit bool) {
	walk := placeholderWalk{rest: text, attachments: n, fit: true, used: make([]bool, n)}
	walk.value()
	return walk.used, walk.fit
}

// placeholderWalk looks at every object of a text that was checked before: it is valid, and its depth bounds the
// recursion.
type placeholderWalk struct {
	rest        []byte
	attachments int
	fit         bool
	used        []bool // by attachment; nil if nobody asks
}

// value takes one value and the space around it, and gives it as it came.
func (w *placeholderWalk) value() []byte {
	w.space()
	start := w.rest
	switch {
	case len(start) == 0:
	case start[0] == '{':
		w.object()
	case start[0] == '[':
		w.array()
	case start[0] == '"':
		w.text()
	default:
		w.literal()
	}
	value := start[:len(start)-len(w.rest)]
	w.space()
	return value
}

func (w *placeholderWalk) array() {
	for w.next(']') {
		w.value()
	}
}

// object is strict with keys that come twice: with any "_placeholder" that is true, every "num" has to fit.
func (w *placeholderWalk) object() {
	var few [1]int
	placeholder, fits, numbers := false, true, few[:0]
	for w.next('}') {
		key := plainKey(w.value())
		w.skip() // the colon
		value := w.value()
		switch string(key) {
		case `"_placeholder"`:
			placeholder = placeholder || string(value) == "true"
		case `"num"`:
			number, fit := w.number(value)
			fits, numbers = fits && fit, append(numbers, number)
		}
	}
	if !placeholder {
		return
	}
	w.fit = w.fit && fits && len(numbers) > 0
	if w.used != nil && w.fit {
		for _, number := range numbers {
			w.used[number] = true
		}
	}
}

// next takes what stands in front of a member, the bracket or a comma, or the bracket that ends them.
func (w *placeholderWalk) next(end byte) bool {
	if len(w.rest) == 0 {
		return false
	}
	if w.rest[0] != end {
		w.skip()
		w.space()
	}
	if len(w.rest) > 0 && w.rest[0] == end { // of none, or behind the last
		w.skip()
		return false
	}
	return len(w.rest) > 0
}

func (w *placeholderWalk) skip() { w.rest = w.rest[min(1, len(w.rest)):] }

func (w *placeholderWalk) space() { w.rest = bytes.TrimLeft(w.rest, " \t\r\n") }

func (w *placeholderWalk) text() {
	for w.skip(); len(w.rest) > 0 && w.rest[0] != '"'; {
		if i := bytes.IndexAny(w.rest, `"\`); i > 0 {
			w.rest = w.rest[i:]
			continue
		}
		w.skip() // a backslash
		w.skip()
	}
	w.skip()
}

// literal takes a number, true, false or null.
func (w *placeholderWalk) literal() {
	end := bytes.IndexAny(w.rest, ",]} \t\r\n")
	if end < 0 {
		end = len(w.rest)
	}
	w.rest = w.rest[end:]
}

// plainKey undoes escapes, which a key of a placeholder has only if somebody wants to hide it.
func plainKey(key []byte) []byte {
	if bytes.IndexByte(key, '\\') < 0 {
		return key
	}
	var text string
	_ = json.Unmarshal(key, &text) // it is valid
	return []byte(`"` + text + `"`)
}

// number reads that of an attachment, and reports whether there is one of it.
func (w *placeholderWalk) number(num []byte) (i int, fits bool) {
	if len(num) > maxLengthDigits {
		return 0, false // before it is copied: it may be a whole object
	}
	i, err := strconv.Atoi(string(num))
	return i, err == nil && 0 <= i && i < w.attachments
}
