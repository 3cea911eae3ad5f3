package classic

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strconv"

	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// Bytes cross the cluster as base64, beside the JSON with the placeholders of Socket.IO in which they belong:
//
//	{"data":{"file":{"_placeholder":true,"num":0}},"attachments":["aGVsbG8="]}
const (
	packedHead   = `{"data":`
	packedMiddle = `,"attachments":[`
	packedTail   = `]}`
)

// maxAttachments is how many stock clients take in one packet.
const maxAttachments = 10

// usedAttachments gives those of an event's attachments that belong to its data. Clients number them in the order of the
// arguments, so the data's come first: what was an argument behind it is left out.
func usedAttachments(data json.RawMessage, attachments [][]byte) ([][]byte, *wire.Error) {
	if len(attachments) == 0 {
		return nil, nil
	}
	numbers, ok := placeholders(data, len(attachments))
	if !ok {
		return nil, wire.Errorf(wire.CodeBadRequest, "a placeholder without an attachment")
	}
	used := 0
	for used < len(numbers) && numbers[used] {
		used++
	}
	for _, later := range numbers[used:] {
		if later {
			return nil, wire.Errorf(wire.CodeBadRequest, "the data's attachments must be the first ones")
		}
	}
	if used > maxAttachments {
		return nil, wire.Errorf(wire.CodeTooLarge, "more than %d attachments", maxAttachments)
	}
	return attachments[:used], nil
}

// packedSize is the size of what packBinary makes.
func packedSize(data json.RawMessage, attachments [][]byte) int {
	size := len(packedHead) + len(data) + len(packedMiddle) + len(packedTail) + len(attachments) - 1
	for _, attachment := range attachments {
		size += base64.StdEncoding.EncodedLen(len(attachment)) + len(`""`)
	}
	return size
}

// packBinary makes one value of JSON of data and its attachments.
func packBinary(data json.RawMessage, attachments [][]byte) json.RawMessage {
	b := make([]byte, 0, packedSize(data, attachments))
	b = append(append(append(b, packedHead...), data...), packedMiddle...)
	for i, attachment := range attachments {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(base64.StdEncoding.AppendEncode(append(b, '"'), attachment), '"')
	}
	return append(b, packedTail...)
}

// unpackBinary takes apart what packBinary has made. It reports false for what somebody else has made of it, and a stock
// client might not take.
func unpackBinary(packed json.RawMessage) (data json.RawMessage, attachments [][]byte, ok bool) {
	var fields map[string]json.RawMessage
	var encoded []string
	if json.Unmarshal(packed, &fields) != nil || len(fields) != 2 || fields["data"] == nil ||
		json.Unmarshal(fields["attachments"], &encoded) != nil {
		return nil, nil, false
	}
	if len(encoded) == 0 || len(encoded) > maxAttachments {
		return nil, nil, false
	}
	for _, text := range encoded {
		attachment, err := base64.StdEncoding.Strict().DecodeString(text)
		if err != nil {
			return nil, nil, false
		}
		attachments = append(attachments, attachment)
	}
	if _, fit := placeholders(fields["data"], len(attachments)); !fit {
		return nil, nil, false
	}
	return fields["data"], attachments, true
}

// placeholders tells for which of n attachments there are placeholders in data, which is valid JSON. It reports false if
// one is for an attachment that there is not: a client would throw.
func placeholders(data json.RawMessage, n int) (numbers []bool, ok bool) {
	walk := placeholderWalk{decoder: json.NewDecoder(bytes.NewReader(data)), numbers: make([]bool, n)}
	walk.decoder.UseNumber()
	token, err := walk.decoder.Token()
	return walk.numbers, err == nil && walk.value(token)
}

// placeholderWalk looks at every object of a text. Its recursion is bounded by the depth that was checked before.
type placeholderWalk struct {
	decoder *json.Decoder
	numbers []bool
}

// value looks into the value that begins with token.
func (w *placeholderWalk) value(token json.Token) bool {
	switch token {
	case json.Delim('['):
		return w.array()
	case json.Delim('{'):
		return w.object()
	}
	return true
}

func (w *placeholderWalk) array() bool {
	for {
		token, err := w.decoder.Token()
		if err != nil {
			return false
		}
		if token == json.Delim(']') {
			return true
		}
		if !w.value(token) {
			return false
		}
	}
}

// object is strict with keys that come twice: with any "_placeholder" that is true, every "num" counts.
func (w *placeholderWalk) object() bool {
	var few [1]int
	placeholder, numbers := false, few[:0]
	for {
		key, err := w.decoder.Token()
		if err != nil {
			return false
		}
		if key == json.Delim('}') {
			return !placeholder || w.note(numbers)
		}
		value, err := w.decoder.Token()
		if err != nil {
			return false
		}
		switch key {
		case "_placeholder":
			placeholder = placeholder || value == true
		case "num":
			numbers = append(numbers, number(value))
		}
		if !w.value(value) {
			return false
		}
	}
}

func (w *placeholderWalk) note(numbers []int) bool {
	for _, i := range numbers {
		if i < 0 || i >= len(w.numbers) {
			return false
		}
		w.numbers[i] = true
	}
	return len(numbers) > 0
}

// number gives a whole number, or -1 for anything else.
func number(value json.Token) int {
	text, ok := value.(json.Number)
	if !ok {
		return -1
	}
	i, err := strconv.Atoi(text.String())
	if err != nil {
		return -1
	}
	return i
}
