package auth

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// maxJSONDepth is how deep objects and arrays of a header or payload may nest.
const maxJSONDepth = 16

const messageNotStrict = "a token is three parts of unpadded base64url, joined by dots"

// segmentEncoding refuses set bits after the last character, so that a token has one spelling only
// (RFC 4648, section 3.5).
var segmentEncoding = base64.RawURLEncoding.Strict()

// header is what counts of a token's JOSE header.
type header struct {
	algorithm string // one of Algorithms
	kid       string
	hasKid    bool
}

// peek reads the token before any signature is checked, so that the app and the key can be chosen. It is also the strict
// gate for the form of the whole token: encoding/json would take duplicate names and broken UTF-8, and
// encoding/base64 skips line ends.
func peek(token string) (header, *claims, error) {
	parts, ok := splitToken(token)
	if !ok {
		return header{}, nil, refuse(ReasonMalformed, messageNotStrict)
	}
	members, err := decodeSegment(parts[0])
	if err != nil {
		return header{}, nil, refuseFor(ReasonMalformed, "the header is not one strict JSON object", err)
	}
	payload, err := decodeSegment(parts[1])
	if err != nil {
		return header{}, nil, refuseFor(ReasonMalformed, "the payload is not one strict JSON object", err)
	}
	head, err := readHeader(members)
	if err != nil {
		return header{}, nil, err
	}
	return head, &claims{members: payload}, nil
}

// splitToken gives the three parts. The last may be empty here, so that an unsigned token is told that its algorithm
// is refused.
func splitToken(token string) ([3]string, bool) {
	var parts [3]string
	dots := 0
	start := 0
	for i := range len(token) {
		switch c := token[i]; {
		case c == '.':
			if dots == 2 || i == start {
				return parts, false
			}
			parts[dots] = token[start:i]
			dots++
			start = i + 1
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_':
		default:
			return parts, false
		}
	}
	parts[2] = token[start:]
	return parts, dots == 2
}

func readHeader(members map[string]any) (header, error) {
	var head header
	// RFC 7515, section 4.1.11: what is critical must be understood, and we know no extension.
	if _, there := members["crit"]; there {
		return head, refuse(ReasonMalformed, "a crit header is not supported")
	}
	var ok bool
	if head.algorithm, ok = members["alg"].(string); !ok || !slices.Contains(Algorithms, head.algorithm) {
		return head, refuse(ReasonAlgorithm, "the algorithm is not one of "+strings.Join(Algorithms, ", "))
	}
	kid, there := members["kid"]
	if !there {
		return head, nil
	}
	head.hasKid = true
	if head.kid, ok = kid.(string); !ok {
		return head, refuse(ReasonMalformed, "kid must be a string")
	}
	return head, nil
}

func decodeSegment(part string) (map[string]any, error) {
	data, err := segmentEncoding.DecodeString(part)
	if err != nil {
		return nil, err
	}
	return decodeObject(data)
}

var errDepth = fmt.Errorf("nested deeper than %d", maxJSONDepth)

// decodeObject reads one JSON object and nothing after it, with names as they are written (encoding/json folds case
// for struct fields) and each at most once per object. Numbers are [json.Number].
func decodeObject(data []byte) (map[string]any, error) {
	if !utf8.Valid(data) {
		return nil, errors.New("not UTF-8")
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	value, err := decodeValue(dec, 0)
	if err != nil {
		return nil, err
	}
	object, ok := value.(map[string]any)
	if !ok {
		return nil, errors.New("not an object")
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the object")
	}
	return object, nil
}

func decodeValue(dec *json.Decoder, depth int) (any, error) {
	if depth > maxJSONDepth {
		return nil, errDepth
	}
	token, err := dec.Token()
	if err != nil {
		return nil, err
	}
	delim, ok := token.(json.Delim)
	if !ok {
		return token, nil
	}
	if delim == '[' {
		var list []any
		for dec.More() {
			value, err := decodeValue(dec, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, value)
		}
		_, err := dec.Token() // the closing bracket
		return list, err
	}
	object := map[string]any{}
	for dec.More() {
		token, err := dec.Token()
		if err != nil {
			return nil, err
		}
		name, ok := token.(string)
		if !ok {
			return nil, errors.New("a name is not a string")
		}
		if _, twice := object[name]; twice {
			return nil, errors.New("a name is there twice")
		}
		if object[name], err = decodeValue(dec, depth+1); err != nil {
			return nil, err
		}
	}
	_, err = dec.Token() // the closing brace
	return object, err
}
