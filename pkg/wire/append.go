package wire

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"unicode/utf8"
)

// encoder appends one JSON object, field by field. Every method ends with a comma, which close replaces, so that no
// method needs to know whether it is the first.
type encoder struct{ b []byte }

func (e *encoder) open() { e.b = append(e.b, '{') }

func (e *encoder) close() {
	if e.b[len(e.b)-1] == ',' {
		e.b = e.b[:len(e.b)-1]
	}
	e.b = append(e.b, '}')
}

// key appends a key of ours, which needs no escape.
func (e *encoder) key(key string) {
	e.b = append(e.b, '"')
	e.b = append(e.b, key...)
	e.b = append(e.b, '"', ':')
}

// name appends a key that came from outside.
func (e *encoder) name(key string) { e.b = append(appendString(e.b, key), ':') }

func (e *encoder) str(key, value string) {
	e.key(key)
	e.b = append(appendString(e.b, value), ',')
}

// text appends a string unless it is empty.
func (e *encoder) text(key, value string) {
	if value != "" {
		e.str(key, value)
	}
}

func (e *encoder) int(key string, value int64) {
	e.key(key)
	e.b = append(strconv.AppendInt(e.b, value, 10), ',')
}

// count appends a number unless it is 0.
func (e *encoder) count(key string, value int64) {
	if value != 0 {
		e.int(key, value)
	}
}

func (e *encoder) bool(key string, value bool) {
	e.key(key)
	e.b = append(strconv.AppendBool(e.b, value), ',')
}

// flag appends true, or nothing.
func (e *encoder) flag(key string, value bool) {
	if value {
		e.bool(key, true)
	}
}

// raw appends a value that is JSON already, or nothing when it is empty.
func (e *encoder) raw(key string, value []byte) {
	if len(value) > 0 {
		e.key(key)
		e.b = append(append(e.b, value...), ',')
	}
}

// rawOrNull appends a value that is JSON already, or null when it is empty.
func (e *encoder) rawOrNull(key string, value []byte) {
	if len(value) == 0 {
		value = []byte("null")
	}
	e.raw(key, value)
}

// object appends an object of the application's, or nothing when it is nil.
func (e *encoder) object(key string, object Object) {
	if object != nil {
		e.objectOrEmpty(key, object)
	}
}

// objectOrEmpty appends an object of the application's, which is empty when it is nil.
func (e *encoder) objectOrEmpty(key string, object Object) {
	e.key(key)
	e.open()
	if len(object) > 0 {
		e.members(object)
	}
	e.close()
	e.b = append(e.b, ',')
}

// members appends what is in an object, with its keys in order. It needs a large part of a small stack.
func (e *encoder) members(object Object) {
	var names [32]string
	for _, name := range sortedKeys(object, names[:0]) {
		e.name(name)
		value := object[name]
		if len(value) == 0 {
			value = json.RawMessage("null")
		}
		e.b = append(append(e.b, value...), ',')
	}
}

// nested appends an object that fill writes.
func (e *encoder) nested(key string, fill func(*encoder)) {
	e.key(key)
	e.open()
	fill(e)
	e.close()
	e.b = append(e.b, ',')
}

const hexDigits = "0123456789abcdef"

// appendString appends a JSON string (RFC 8259, section 7). Invalid UTF-8 becomes U+FFFD.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); {
		if c := s[i]; c < utf8.RuneSelf {
			if plainByte[c] {
				i++
				continue
			}
			b = append(b, s[start:i]...)
			switch c {
			case '"', '\\':
				b = append(b, '\\', c)
			case '\n':
				b = append(b, '\\', 'n')
			case '\r':
				b = append(b, '\\', 'r')
			case '\t':
				b = append(b, '\\', 't')
			default:
				b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
			}
			i++
			start = i
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && size == 1 {
			b = append(append(b, s[start:i]...), "\ufffd"...)
			start = i + size
		}
		i += size
	}
	b = append(b, s[start:]...)
	return append(b, '"')
}

// nullable appends a string, or null when it is empty.
func (e *encoder) nullable(key, value string) {
	if value == "" {
		e.rawOrNull(key, nil)
		return
	}
	e.str(key, value)
}

// sortedKeys gives the keys in order, in a lent slice where they fit.
func sortedKeys[V any](m map[string]V, lent []string) []string {
	keys := slices.AppendSeq(lent, maps.Keys(m))
	slices.Sort(keys)
	return keys
}
