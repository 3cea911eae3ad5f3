package socketio

import (
	"bytes"
	"encoding/json"
	"strconv"
)

// placeholdersFit reports whether every placeholder in text, which is valid JSON, stands for one of n attachments. A
// client throws when it gets one that does not, and so would every peer that the packet is passed on to.
func placeholdersFit(text []byte, n int) bool {
	if !bytes.Contains(text, []byte("_placeholder")) && !bytes.Contains(text, []byte(`\u`)) {
		return true
	}
	walk := placeholderWalk{decoder: json.NewDecoder(bytes.NewReader(text)), attachments: n}
	walk.decoder.UseNumber()
	token, err := walk.decoder.Token()
	return err == nil && walk.value(token)
}

// placeholderWalk looks at every object of a text. Its recursion is bounded by the depth that was checked before.
type placeholderWalk struct {
	decoder     *json.Decoder
	attachments int
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

// object is strict with keys that come twice: with any "_placeholder" that is true, every "num" has to fit.
func (w *placeholderWalk) object() bool {
	placeholder, numbered, fits := false, false, true
	for {
		key, err := w.decoder.Token()
		if err != nil {
			return false
		}
		if key == json.Delim('}') {
			return !placeholder || numbered && fits
		}
		value, err := w.decoder.Token()
		if err != nil {
			return false
		}
		switch key {
		case "_placeholder":
			placeholder = placeholder || value == true
		case "num":
			numbered, fits = true, fits && w.fits(value)
		}
		if !w.value(value) {
			return false
		}
	}
}

func (w *placeholderWalk) fits(num json.Token) bool {
	number, ok := num.(json.Number)
	if !ok {
		return false
	}
	i, err := strconv.Atoi(number.String())
	return err == nil && 0 <= i && i < w.attachments
}
