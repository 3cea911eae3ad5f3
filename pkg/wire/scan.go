package wire

import (
	"encoding/json"
	"errors"
	"unicode/utf8"
)

// What the scanner refuses; callers put them into a bad_request.
var (
	errSyntax    = errors.New("not valid JSON")
	errDepth     = errors.New("nested too deeply")
	errKeys      = errors.New("too many fields")
	errDuplicate = errors.New("duplicate field")
	errObject    = errors.New("not a JSON object")
	errUTF8      = errors.New("not valid UTF-8")
)

// field is one member of an object: its key, unquoted, and its value as it came.
type field struct {
	key   string
	value []byte
}

// scanObject splits the one JSON object that b holds into its fields, checking the whole text (RFC 8259) but decoding
// only the keys. Values are slices of b. fields is where they are appended to, so that a caller can lend an array.
func scanObject(b []byte, fields []field, maxDepth, maxKeys int) ([]field, error) {
	if !utf8.Valid(b) {
		return nil, errUTF8
	}
	s := scanner{b: b, maxDepth: maxDepth}
	s.space()
	if s.i >= len(s.b) || s.b[s.i] != '{' {
		if err := s.value(); err != nil {
			return nil, err
		}
		return nil, errObject
	}
	s.i++
	s.depth++
	for n := 0; ; n++ {
		s.space()
		if n == 0 && s.eat('}') {
			break
		}
		if n >= maxKeys {
			return nil, errKeys
		}
		start := s.i
		if err := s.str(); err != nil {
			return nil, err
		}
		key, err := unquote(s.b[start:s.i])
		if err != nil {
			return nil, err
		}
		for _, f := range fields {
			if f.key == key {
				return nil, errDuplicate
			}
		}
		s.space()
		if !s.eat(':') {
			return nil, errSyntax
		}
		s.space()
		start = s.i
		if err := s.value(); err != nil {
			return nil, err
		}
		fields = append(fields, field{key: key, value: s.b[start:s.i]})
		s.space()
		if s.eat(',') {
			continue
		}
		if !s.eat('}') {
			return nil, errSyntax
		}
		break
	}
	s.space()
	if s.i != len(s.b) {
		return nil, errSyntax
	}
	return fields, nil
}

// scanner checks JSON without building anything from it. Its recursion is bounded by maxDepth.
type scanner struct {
	b        []byte
	i        int
	depth    int
	maxDepth int
}

func (s *scanner) space() {
	for s.i < len(s.b) {
		switch s.b[s.i] {
		case ' ', '\t', '\n', '\r':
			s.i++
		default:
			return
		}
	}
}

func (s *scanner) eat(c byte) bool {
	if s.i < len(s.b) && s.b[s.i] == c {
		s.i++
		return true
	}
	return false
}

// value passes over one value of any kind.
func (s *scanner) value() error {
	if s.i >= len(s.b) {
		return errSyntax
	}
	switch s.b[s.i] {
	case '"':
		return s.str()
	case '{':
		return s.members('}', true)
	case '[':
		return s.members(']', false)
	case 't':
		return s.literal("true")
	case 'f':
		return s.literal("false")
	case 'n':
		return s.literal("null")
	}
	return s.number()
}

// members passes over an object or an array.
func (s *scanner) members(end byte, keyed bool) error {
	if s.depth++; s.depth > s.maxDepth {
		return errDepth
	}
	s.i++
	s.space()
	if s.eat(end) {
		s.depth--
		return nil
	}
	for {
		s.space()
		if keyed {
			if err := s.str(); err != nil {
				return err
			}
			s.space()
			if !s.eat(':') {
				return errSyntax
			}
			s.space()
		}
		if err := s.value(); err != nil {
			return err
		}
		s.space()
		if s.eat(',') {
			continue
		}
		if !s.eat(end) {
			return errSyntax
		}
		s.depth--
		return nil
	}
}

// plainByte marks the bytes of a string that need no look of their own.
var plainByte = func() (set [256]bool) {
	for c := range 256 {
		set[c] = c >= ' ' && c != '"' && c != '\\'
	}
	return set
}()

func (s *scanner) str() error {
	if !s.eat('"') {
		return errSyntax
	}
	for s.i < len(s.b) {
		c := s.b[s.i]
		if plainByte[c] {
			s.i++
			continue
		}
		if c == '"' {
			s.i++
			return nil
		}
		if c != '\\' || s.i+1 >= len(s.b) {
			return errSyntax
		}
		switch s.b[s.i+1] {
		case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
			s.i += 2
		case 'u':
			if s.i+6 > len(s.b) {
				return errSyntax
			}
			for _, h := range s.b[s.i+2 : s.i+6] {
				if !('0' <= h && h <= '9' || 'a' <= h && h <= 'f' || 'A' <= h && h <= 'F') {
					return errSyntax
				}
			}
			s.i += 6
		default:
			return errSyntax
		}
	}
	return errSyntax
}

func (s *scanner) literal(word string) error {
	if len(s.b)-s.i < len(word) || string(s.b[s.i:s.i+len(word)]) != word {
		return errSyntax
	}
	s.i += len(word)
	return nil
}

func (s *scanner) digits() bool {
	start := s.i
	for s.i < len(s.b) && '0' <= s.b[s.i] && s.b[s.i] <= '9' {
		s.i++
	}
	return s.i > start
}

func (s *scanner) number() error {
	s.eat('-')
	if !s.eat('0') && !s.digits() {
		return errSyntax
	}
	if s.eat('.') && !s.digits() {
		return errSyntax
	}
	if s.eat('e') || s.eat('E') {
		if !s.eat('+') {
			s.eat('-')
		}
		if !s.digits() {
			return errSyntax
		}
	}
	return nil
}

// unquote decodes a checked JSON string. Lone surrogates become U+FFFD, as in encoding/json.
func unquote(raw []byte) (string, error) {
	for _, c := range raw[1 : len(raw)-1] {
		if c == '\\' {
			var text string
			if err := json.Unmarshal(raw, &text); err != nil {
				return "", errSyntax
			}
			return text, nil
		}
	}
	return string(raw[1 : len(raw)-1]), nil
}
