package wire_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

func TestScan(t *testing.T) {
	for name, test := range map[string]struct {
		text string
		want []wire.Member
		err  error
	}{
		"empty object":   {text: `{}`},
		"values":         {text: `{"a":1,"b":[{}],"c":{"d":"}"}}`, want: []wire.Member{{"a", "1"}, {"b", "[{}]"}, {"c", `{"d":"}"}`}}},
		"spaces":         {text: " {\t\"a\" :\n1\r, \"b\": true } ", want: []wire.Member{{"a", "1"}, {"b", "true"}}},
		"escaped key":    {text: `{"\u0061\"\\":null}`, want: []wire.Member{{`a"\`, "null"}}},
		"empty key":      {text: `{"":0}`, want: []wire.Member{{"", "0"}}},
		"lone surrogate": {text: `{"\ud800":0}`, want: []wire.Member{{"\ufffd", "0"}}},
		"keys by case":   {text: `{"a":0,"A":1}`, want: []wire.Member{{"a", "0"}, {"A", "1"}}},
		"duplicate":      {text: `{"a":0,"b":1,"a":2}`, want: []wire.Member{{"a", "0"}, {"b", "1"}}, err: wire.ErrDuplicate},
		"inner twins":    {text: `{"a":{"b":1,"b":2}}`, want: []wire.Member{{"a", `{"b":1,"b":2}`}}},
		"depth":          {text: `{"a":[[[0]]]}`, want: []wire.Member{{"a", "[[[0]]]"}}},
		"too deep":       {text: `{"a":[[[[]]]]}`, err: wire.ErrDepth},
		"side by side":   {text: `{"a":[[],[],{},[{}]],"b":[[[]]]}`, want: []wire.Member{{"a", "[[],[],{},[{}]]"}, {"b", "[[[]]]"}}},
		"too many":       {text: `{"a":0,"b":0,"c":0,"d":0}`, want: []wire.Member{{"a", "0"}, {"b", "0"}, {"c", "0"}}, err: wire.ErrKeys},
		"not an object":  {text: `[1]`, err: wire.ErrObject},
		"empty":          {text: ``, err: wire.ErrSyntax},
		"trailing":       {text: `{}{}`, err: wire.ErrSyntax},
		"not UTF-8":      {text: "{\"a\":\"\xff\"}", err: wire.ErrUTF8},
	} {
		t.Run(name, func(t *testing.T) {
			members, err := wire.Scan([]byte(test.text), 4, 3)
			require.ErrorIs(t, err, test.err)
			require.Equal(t, test.want, members)
		})
	}
}

// The scanner looks at eight bytes of a string at a time: every byte at every place of such a word, and behind it.
func TestScanEveryByteAtEveryPlace(t *testing.T) {
	for c := range 256 {
		for place := range 20 {
			text := []byte(`{"k":"` + strings.Repeat("~", 20) + `"}`)
			text[6+place] = byte(c)
			_, err := wire.Scan(text, 4, 4)
			require.Equal(t, json.Valid(text) && utf8.Valid(text), err == nil, "byte %#x at %d: %v", c, place, err)
		}
	}
}

// What encoding/json calls valid is what the scanner takes, but for what the protocol forbids beyond JSON.
func FuzzScanAgreesWithEncodingJSON(f *testing.F) {
	seedMessages(f)
	for _, seed := range []string{
		`{"a":-0.5e+10,"b":[1E-2,0,-0],"c":"\u00e9\\\/\b\f\n\r\t"}`, `{"a":01}`, `{"a":1.}`, `{"a":.5}`, `{"a":+1}`, `{"a":-}`, `{"a":1e}`,
		`{"a":tru}`, `{"a":nulll}`, `{,}`, `{"a":1,,}`, `{"a" 1}`, `[1,]`, `[,1]`, `"\ud800\udc00"`, `{"a":"` + "\x7f" + `"}`, `{"a":[}]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		const enough = 1 << 20
		members, err := wire.Scan(text, enough, enough)
		switch {
		case err == nil:
			require.True(t, json.Valid(text), "%q", text)
			compareMembers(t, text, members)
		case errors.Is(err, wire.ErrSyntax):
			require.False(t, json.Valid(text), "%q", text)
		case errors.Is(err, wire.ErrUTF8):
			require.False(t, utf8.Valid(text), "%q", text)
		case errors.Is(err, wire.ErrDuplicate), errors.Is(err, wire.ErrObject):
		default:
			require.NoError(t, err)
		}
	})
}

// compareMembers checks that the scanner found the fields that encoding/json finds.
func compareMembers(t *testing.T, text []byte, members []wire.Member) {
	t.Helper()
	var want map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(text, &want))
	got := make(map[string]json.RawMessage, len(members))
	for _, m := range members {
		got[m.Key] = json.RawMessage(m.Value)
	}
	require.Len(t, got, len(members))
	require.Equal(t, want, got)
}

func FuzzStringAgreesWithEncodingJSON(f *testing.F) {
	for _, seed := range []string{"", "plain", "\"\\/\b\f\n\r\t", "\x00\x1f\x7f", "é♥😀", "\u2028\u2029\ufffd", "\xff\xfe", "a\xc0\x80b", "<script>&", "\xed\xa0\x80"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		encoded := wire.AppendString([]byte("x"), text)
		require.Equal(t, byte('x'), encoded[0])
		encoded = encoded[1:]
		theirs, err := json.Marshal(text)
		require.NoError(t, err)
		var got, want string
		require.NoError(t, json.Unmarshal(encoded, &got), "%q", encoded)
		require.NoError(t, json.Unmarshal(theirs, &want))
		require.Equal(t, want, got)
	})
}
