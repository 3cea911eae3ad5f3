package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// maxDepth bounds the nesting of a body.
const maxDepth = 32

var (
	errNotJSON = errors.New("the body is not JSON")
	errTwice   = errors.New("an object has a name twice")
	errTooDeep = errors.New("the body is nested too deeply")
	errNotUTF8 = errors.New("the body is not UTF-8")
)

// checkJSON makes sure that everybody who reads a body reads the same: of a name that is there twice one would take the first
// value, and another the last (RFC 8259, section 4).
func checkJSON(data []byte) error {
	if !utf8.Valid(data) || loneSurrogate(data) {
		return errNotUTF8
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	var open []container
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) && len(open) == 0 {
			return nil
		}
		if err != nil {
			return errNotJSON
		}
		switch delim, _ := token.(json.Delim); delim {
		case '{', '[':
			if len(open) > 0 {
				open[len(open)-1].took()
			}
			if len(open) == maxDepth {
				return errTooDeep
			}
			next := container{}
			if delim == '{' {
				next.names = make(map[string]bool)
			}
			open = append(open, next)
			continue
		case '}', ']':
			open = open[:len(open)-1]
			continue
		}
		if len(open) == 0 {
			continue
		}
		in := &open[len(open)-1]
		if in.names != nil && !in.value {
			name, _ := token.(string)
			if in.names[name] {
				return errTwice
			}
			in.names[name], in.value = true, true
			continue
		}
		in.took()
	}
}

// container is an object or a list that is being read.
type container struct {
	names map[string]bool // of an object; nil for a list
	value bool            // the next token is a value, and not a name
}

// took notes that a value was read.
func (c *container) took() { c.value = false }

// loneSurrogate reports whether there is an escape of half a character, which is none (RFC 8259, section 8.2).
func loneSurrogate(data []byte) bool {
	for i := 0; i < len(data); i++ {
		if data[i] != '\\' {
			continue
		}
		i++ // the escaped character, if it is not that of a number
		unit, ok := escapedUnit(data[i-1:])
		if !ok || !utf16.IsSurrogate(unit) {
			continue
		}
		next, ok := escapedUnit(data[min(i+5, len(data)):])
		if !ok || utf16.DecodeRune(unit, next) == utf8.RuneError {
			return true
		}
		i += 10
	}
	return false
}

// escapedUnit reads the escape \uXXXX that text begins with.
func escapedUnit(text []byte) (rune, bool) {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return 0, false
	}
	unit, err := strconv.ParseUint(string(text[2:6]), 16, 16)
	return rune(unit), err == nil
}
