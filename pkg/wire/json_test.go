package wire_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

func TestCheckJSON(t *testing.T) {
	for _, tc := range []struct {
		name, text string
		want       error
	}{
		{"object", ` {"a":[1,2.5e-3,"x\u0000"],"b":{}} `, nil},
		{"number", `0`, nil},
		{"as deep as allowed", `[[[[]]]]`, nil},
		{"too deep", `[[[[[]]]]]`, wire.ErrDepth},
		{"a million levels", strings.Repeat("[", 1_000_000), wire.ErrDepth},
		{"empty", ``, wire.ErrSyntax},
		{"two values", `1 2`, wire.ErrSyntax},
		{"cut off", `{"a":`, wire.ErrSyntax},
		{"not UTF-8", "\"\xff\"", wire.ErrUTF8},
	} {
		t.Run(tc.name, func(t *testing.T) {
			require.ErrorIs(t, wire.CheckJSON([]byte(tc.text), 4), tc.want)
		})
	}
}

// What it takes is what the standard library takes.
func TestCheckJSONAgreesWithTheStandardLibrary(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := []byte(rapid.StringMatching(`[\[\]{}",:0-9.eEtrufalsn \\-]{0,24}`).Draw(t, "text"))
		require.Equal(t, json.Valid(text), wire.CheckJSON(text, 100) == nil, "%s", text)
	})
}

func TestEachElement(t *testing.T) {
	var got []string
	collect := func(value []byte) error {
		got = append(got, string(value))
		return nil
	}
	require.NoError(t, wire.EachElement([]byte(` [ "a" , {"b":[1]}, 18446744073709551616 ] `), 4, collect))
	require.Equal(t, []string{`"a"`, `{"b":[1]}`, `18446744073709551616`}, got)
	got = nil
	require.NoError(t, wire.EachElement([]byte(`[]`), 4, collect))
	require.Empty(t, got)

	stop := errors.New("stop")
	require.ErrorIs(t, wire.EachElement([]byte(`[1,2]`), 4, func([]byte) error { return stop }), stop)
	for _, text := range []string{``, `{}`, `[`, `[1`, `[1,]`, `[1]2`, `[[[[[]]]]]`, "[\"\xff\"]"} {
		require.Error(t, wire.EachElement([]byte(text), 4, func([]byte) error { return nil }), text)
	}
}
