package wiredoc

import (
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// The patterns of names take what the codec takes. The codec counts bytes and looks at the direction of text, which a schema cannot.
func TestNamesAreThoseOfTheCodec(t *testing.T) {
	for function, name := range names {
		t.Run(function, func(t *testing.T) {
			// Go's regexp has no \u.
			pattern := regexp.MustCompile(regexp.MustCompile(`\\u([0-9A-F]{4})`).ReplaceAllString(name.form["pattern"].(string), `\x{$1}`))
			longest, bounded := name.form["maxLength"].(int)
			matches := func(s string) bool {
				return pattern.MatchString(s) && (!bounded || utf8.RuneCountInString(s) <= longest)
			}
			for b := range 256 {
				s := string([]byte{byte(b)})
				if !bounded || b < utf8.RuneSelf {
					require.Equal(t, name.check(s), matches(s), "%q", s)
				}
			}
			for _, length := range []int{0, 1, 63, 64, 65, 127, 128, 129, 255, 256, 257} {
				s := strings.Repeat("a", length)
				require.Equal(t, name.check(s), matches(s), "%d bytes", length)
			}
			rapid.Check(t, func(t *rapid.T) {
				if s := rapid.String().Draw(t, "s"); name.check(s) && !matches(s) {
					t.Fatalf("the codec takes %q", s)
				}
			})
		})
	}
}

func TestLimitsOfStatesAreThoseOfTheCodec(t *testing.T) {
	state := func(keys, bytes int) []byte {
		var b strings.Builder
		for i := range keys - 1 {
			b.WriteString(`"k` + strings.Repeat("x", i) + `":0,`)
		}
		b.WriteString(`"v":"`)
		b.WriteString(strings.Repeat("v", bytes-b.Len()-len(`{"}`)) + `"`)
		return []byte(`{"id":1,"type":"join","room":"r","state":{` + b.String() + `}}`)
	}
	for _, tc := range []struct {
		keys, bytes int
		ok          bool
	}{{stateKeys, stateBytes, true}, {stateKeys + 1, stateBytes, false}, {1, stateBytes + 1, false}} {
		_, err := wire.DecodeRequest(state(tc.keys, tc.bytes), wire.Limits{})
		require.Equal(t, tc.ok, err == nil, "%d keys, %d bytes: %v", tc.keys, tc.bytes, err)
	}
}
