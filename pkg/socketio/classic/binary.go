package classic

import (
	"encoding/base64"
	"encoding/json"

	"github.com/signalbox-rtc/signalbox/pkg/socketio"
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
	numbers, ok := socketio.Placeholders(data, len(attachments))
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
	if _, fit := socketio.Placeholders(fields["data"], len(attachments)); !fit {
		return nil, nil, false
	}
	return fields["data"], attachments, true
}
