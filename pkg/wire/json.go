package wire

import "unicode/utf8"

// What other protocols need of this one's JSON: raw values checked and split without being decoded.

// CheckJSON reports what is wrong with b, unless it is one value of JSON (RFC 8259) in UTF-8, nested no deeper than
// maxDepth.
func CheckJSON(b []byte, maxDepth int) error {
	if !utf8.Valid(b) {
		return errUTF8
	}
	s := scanner{b: b, maxDepth: maxDepth}
	s.space()
	if err := s.value(); err != nil {
		return err
	}
	s.space()
	if s.i != len(s.b) {
		return errSyntax
	}
	return nil
}

// EachElement checks the one array of JSON that b holds as [CheckJSON] does, and calls element with each of its values,
// a slice of b, until element gives an error.
func EachElement(b []byte, maxDepth int, element func(value []byte) error) error {
	if !utf8.Valid(b) {
		return errUTF8
	}
	return scanArray(b, maxDepth, element)
}

// AppendString appends a JSON string. Invalid UTF-8 becomes U+FFFD.
func AppendString(b []byte, s string) []byte { return appendString(b, s) }
