package wire

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
)

// Object is a JSON object whose values belong to the application: top-level keys, each with its value as it came.
type Object map[string]json.RawMessage

// fields reads the known fields of one message. The first thing wrong with them is kept; readers after it do nothing,
// so that decoding reads as a list of fields.
type fields struct {
	list   []field
	limits Limits
	err    *Error
}

func (f *fields) fail(code Code, format string, args ...any) {
	if f.err == nil {
		f.err = Errorf(code, format, args...)
	}
}

// get gives a field's value, or nil when it is absent.
func (f *fields) get(key string) []byte {
	for i := range f.list {
		if f.list[i].key == key {
			return f.list[i].value
		}
	}
	return nil
}

func (f *fields) text(key string) (string, bool) {
	raw := f.get(key)
	if raw == nil || f.err != nil {
		return "", false
	}
	if raw[0] != '"' {
		f.fail(CodeBadRequest, "%s must be a string", key)
		return "", false
	}
	text, err := unquote(raw)
	if err != nil {
		f.fail(CodeBadRequest, "%s: %v", key, err)
	}
	return text, err == nil
}

// optional reads a string that valid accepts; absent is "".
func (f *fields) optional(key string, valid func(string) bool) string {
	text, ok := f.text(key)
	if ok && valid != nil && !valid(text) {
		f.fail(CodeBadRequest, "%s is not a valid name", key)
		return ""
	}
	return text
}

// required reads a string that valid accepts.
func (f *fields) required(key string, valid func(string) bool) string {
	if f.get(key) == nil {
		f.fail(CodeBadRequest, "%s is missing", key)
	}
	return f.optional(key, valid)
}

// word reads a string that must be one of words; absent is "".
func (f *fields) word(key string, words ...string) string {
	text, ok := f.text(key)
	if ok && !slices.Contains(words, text) {
		f.fail(CodeBadRequest, "%s must be one of %v", key, words)
	}
	return text
}

func (f *fields) boolean(key string) bool {
	raw := f.get(key)
	if raw == nil || f.err != nil {
		return false
	}
	if raw[0] != 't' && raw[0] != 'f' {
		f.fail(CodeBadRequest, "%s must be true or false", key)
	}
	return raw[0] == 't'
}

// maxInteger is the largest whole number that JavaScript keeps exactly: 2^53-1.
const maxInteger = 1<<53 - 1

// integer reads a whole number from least to 2^53-1, written without fraction or exponent; absent is 0.
func (f *fields) integer(key string, least int64) int64 {
	raw := f.get(key)
	if raw == nil || f.err != nil {
		return 0
	}
	n, err := strconv.ParseInt(string(raw), 10, 64)
	if err != nil || n < least || n > maxInteger {
		f.fail(CodeBadRequest, "%s must be a whole number from %d to 2^53-1", key, least)
		return 0
	}
	return n
}

// raw reads any value, as it came.
func (f *fields) raw(key string) json.RawMessage { return f.get(key) }

// payload reads a value that must be there.
func (f *fields) payload(key string) json.RawMessage {
	raw := f.get(key)
	if raw == nil {
		f.fail(CodeBadRequest, "%s is missing", key)
	}
	return raw
}

// object reads a nested object of the application's, within the state limits; absent is nil.
func (f *fields) object(key string) Object {
	raw := f.get(key)
	if raw == nil || f.err != nil {
		return nil
	}
	if raw[0] != '{' {
		f.fail(CodeBadRequest, "%s must be an object", key)
		return nil
	}
	if len(raw) > f.limits.StateBytes {
		f.fail(CodeTooLarge, "%s has %d bytes; %d are allowed", key, len(raw), f.limits.StateBytes)
		return nil
	}
	// A state outlives its message, whose bytes the transport uses again.
	list, err := scanObject(bytes.Clone(raw), nil, f.limits.Depth, f.limits.StateKeys)
	switch err {
	case nil:
	case errKeys:
		f.fail(CodeTooLarge, "%s has more than %d keys", key, f.limits.StateKeys)
		return nil
	default:
		f.fail(CodeBadRequest, "%s: %v", key, err)
		return nil
	}
	object := make(Object, len(list))
	for _, member := range list {
		if !ValidKey(member.key) {
			f.fail(CodeBadRequest, "%s has a key that is not a valid name", key)
			return nil
		}
		object[member.key] = member.value
	}
	return object
}

// each calls read for every element of an array of objects; absent means none.
func (f *fields) each(key string, read func(*fields)) {
	raw := f.get(key)
	if raw == nil || f.err != nil {
		return
	}
	var list []json.RawMessage
	if raw[0] != '[' || json.Unmarshal(raw, &list) != nil {
		f.fail(CodeBadRequest, "%s must be an array", key)
		return
	}
	for _, element := range list {
		nested := f.nested(key, element)
		if f.err != nil {
			return
		}
		read(nested)
		if nested.err != nil {
			f.err = nested.err
			return
		}
	}
}

// nested gives the fields of an object inside the message.
func (f *fields) nested(key string, raw []byte) *fields {
	list, err := scanObject(raw, nil, f.limits.Depth, f.limits.Keys)
	if err != nil {
		f.fail(CodeBadRequest, "%s: %v", key, err)
	}
	return &fields{list: list, limits: f.limits}
}
