package wire

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"math/bits"
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

// field is one member of an object: its key, unquoted, and its value as it came. Both are slices of the message,
// but for a key that was written with escapes.
type field struct {
	key   []byte
	value []byte
}

// scanObject splits the one JSON object that b holds into its fields, checking the whole text (RFC 8259) but decoding
// only the keys. list is where they are appended to, so that a caller can lend an array; beside an error it holds the
// fields in front of the fault.
func scanObject(b []byte, list []field, maxDepth, maxKeys int) ([]field, error) {
	if !utf8.Valid(b) {
		return list, errUTF8
	}
	s := scanner{b: b, maxDepth: maxDepth}
	s.space()
	if s.i >= len(s.b) || s.b[s.i] != '{' {
		if err := s.value(); err != nil {
			return list, err
		}
		return list, errObject
	}
	s.i++
	s.depth++
	for n := 0; ; n++ {
		s.space()
		if n == 0 && s.eat('}') {
			break
		}
		if n >= maxKeys {
			return list, errKeys
		}
		member, err := s.member()
		if err != nil {
			return list, err
		}
		for i := range list {
			if bytes.Equal(list[i].key, member.key) {
				return list, errDuplicate
			}
		}
		list = append(list, member)
		s.space()
		if s.eat(',') {
			continue
		}
		if !s.eat('}') {
			return list, errSyntax
		}
		break
	}
	s.space()
	if s.i != len(s.b) {
		return list, errSyntax
	}
	return list, nil
}

// scanArray calls element with each value of the one JSON array that b holds, until element gives an error.
func scanArray(b []byte, maxDepth int, element func(value []byte) error) error {
	s := scanner{b: b, maxDepth: maxDepth, depth: 1}
	s.space()
	if !s.eat('[') {
		return errSyntax
	}
	s.space()
	for first := true; !first || !s.eat(']'); first = false {
		s.space()
		start := s.i
		if err := s.value(); err != nil {
			return err
		}
		if err := element(s.b[start:s.i]); err != nil {
			return err
		}
		s.space()
		if s.eat(',') {
			continue
		}
		if !s.eat(']') {
			return errSyntax
		}
		break
	}
	s.space()
	if s.i != len(s.b) {
		return errSyntax
	}
	return nil
}

// scanner checks JSON without building anything from it. Its recursion is bounded by maxDepth.
type scanner struct {
	b        []byte
	i        int
	depth    int
	maxDepth int
}

// member passes over a key, a colon and a value.
func (s *scanner) member() (field, error) {
	start := s.i
	if err := s.str(); err != nil {
		return field{}, err
	}
	key, err := unquote(s.b[start:s.i])
	if err != nil {
		return field{}, err
	}
	s.space()
	if !s.eat(':') {
		return field{}, errSyntax
	}
	s.space()
	start = s.i
	if err := s.value(); err != nil {
		return field{}, err
	}
	return field{key: key, value: s.b[start:s.i]}, nil
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

func (s *scanner) str() error {
	if !s.eat('"') {
		return errSyntax
	}
	for {
		s.i = skipPlain(s.b, s.i)
		if s.i >= len(s.b) {
			return errSyntax
		}
		switch s.b[s.i] {
		case '"':
			s.i++
			return nil
		case '\\':
			for s.i < len(s.b) && s.b[s.i] == '\\' { // they come in twos: the lines of a session description end in \r\n
				if err := s.escape(); err != nil {
					return err
				}
			}
		default: // a control character
			return errSyntax
		}
	}
}

// escape passes over a backslash and what belongs to it.
func (s *scanner) escape() error {
	if s.i+1 >= len(s.b) {
		return errSyntax
	}
	switch s.b[s.i+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.i += 2
		return nil
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
		return nil
	}
	return errSyntax
}

// plainByte marks the bytes of a string that stand for themselves.
var plainByte = func() (set [256]bool) {
	for c := range 256 {
		set[c] = c >= ' ' && c != '"' && c != '\\'
	}
	return set
}()

// skipPlain gives the place of the first byte of b at or after i that is not plain, or len(b). Session descriptions
// are long strings, so it looks at eight bytes at a time: subtracting a limit from each byte of a word borrows into
// the byte's high bit where the byte was below it, and the lowest such bit is never wrong.
func skipPlain(b []byte, i int) int {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	for ; i+8 <= len(b); i += 8 {
		w := binary.LittleEndian.Uint64(b[i:])
		quote, backslash := w^ones*'"', w^ones*'\\' // zero where the byte is the one
		if special := ((w-ones*' ')&^w | (quote-ones)&^quote | (backslash-ones)&^backslash) & highs; special != 0 {
			return i + bits.TrailingZeros64(special)/8
		}
	}
	for i < len(b) && plainByte[b[i]] {
		i++
	}
	return i
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

// unquote decodes a checked JSON string: a slice of raw where nothing is escaped. Lone surrogates become U+FFFD, as
// in encoding/json.
func unquote(raw []byte) ([]byte, error) {
	inner := raw[1 : len(raw)-1]
	if bytes.IndexByte(inner, '\\') < 0 {
		return inner, nil
	}
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return nil, errSyntax
	}
	return []byte(text), nil
}
