package wire

import (
	"unicode"
	"unicode/utf8"
)

// The longest names, in bytes.
const (
	MaxRoomName    = 128
	MaxID          = 64
	MaxTopic       = 64
	MaxKey         = 64
	MaxDisplayName = 128
	MaxText        = 256
)

// nameByte marks the bytes of room names, topics and keys: A-Z a-z 0-9 . _ ~ -
var nameByte = func() (set [256]bool) {
	for c := range 256 {
		set[c] = 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '.' || c == '_' || c == '~' || c == '-'
	}
	return set
}()

func validName(s string, longest int) bool {
	if len(s) == 0 || len(s) > longest {
		return false
	}
	for i := range len(s) {
		if !nameByte[s[i]] {
			return false
		}
	}
	return true
}

// ValidRoom reports whether s can name a room: 1 to 128 of A-Z a-z 0-9 . _ ~ -
func ValidRoom(s string) bool { return validName(s, MaxRoomName) }

// ValidTopic reports whether s can be a topic.
func ValidTopic(s string) bool { return validName(s, MaxTopic) }

// ValidKey reports whether s can be a key of a state or of a room's properties.
func ValidKey(s string) bool { return validName(s, MaxKey) }

// ValidID reports whether s can be a peer's or node's id: up to 64 printable ASCII characters without space, quote,
// backslash, colon and asterisk, which separate fields in keys and records.
func ValidID(s string) bool {
	if len(s) == 0 || len(s) > MaxID {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case c <= ' ' || c >= 0x7f, c == '"', c == '\\', c == ':', c == '*':
			return false
		}
	}
	return true
}

// ValidDisplayName reports whether s can be shown as a name: up to 128 bytes of UTF-8 without control characters, line
// separators, and characters that turn the direction of text (a right-to-left override can disguise one name as
// another). U+FFFD is refused, since it stands for what was not text.
func ValidDisplayName(s string) bool { return validText(s, MaxDisplayName) }

// ValidText reports whether s can be what somebody says about a kick or the end of a room: as [ValidDisplayName], and up to 256 bytes.
func ValidText(s string) bool { return validText(s, MaxText) }

func validText(s string, longest int) bool {
	if len(s) > longest || !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		if unicode.IsControl(r) || r == utf8.RuneError || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029' {
			return false
		}
	}
	return true
}
