package auth

import "testing"

// ParsePublished reads published keys: none of them may be for an HMAC.
func ParsePublished(t *testing.T, text []byte) {
	opts := Options{}
	opts.setDefaults()
	keys, err := (&keySet{opts: &opts}).parse(text)
	if err != nil {
		return
	}
	for _, key := range keys {
		if err := checkKeyType(key.algorithm, key.material); err != nil || key.algorithm == HS256 {
			t.Fatal(key.algorithm, err)
		}
	}
}
