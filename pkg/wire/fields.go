package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strconv"
	"sync"
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

// fieldsPool spares two allocations a message.
var fieldsPool = sync.Pool{New: func() any { return &fields{list: make([]field, 0, 16)} }}

// readFields splits an object. What it gives goes back with release, also beside an error.
func readFields(object []byte, limits Limits) (f *fields, err error) {
	f = fieldsPool.Get().(*fields)
	f.limits = limits
	f.list, err = scanObject(object, f.list, limits.Depth, limits.Keys)
	if err != nil {
		f.fail(CodeBadRequest, "%v", err)
	}
	return f, err
}

// release ends the use of f, but not of what was read from it.
func (f *fields) release() {
	if cap(f.list) > 64 {
		return // a rare giant is not worth keeping
	}
	clear(f.list) // the pool must not keep the message alive
	f.list, f.err = f.list[:0], nil
	fieldsPool.Put(f)
}

func (f *fields) fail(code Code, format string, args ...any) {
	if f.err == nil {
		f.err = Errorf(code, format, args...)
	}
}

// get gives a field's value, or nil when it is absent.
func (f *fields) get(key string) []byte {
	for i := range f.list {
		if string(f.list[i].key) == key {
			return f.list[i].value
		}
	}
	return nil
}

// bytes reads a string without a copy: it is only valid as long as the message.
func (f *fields) bytes(key string) []byte {
	raw := f.get(key)
	if raw == nil || f.err != nil {
		return nil
	}
	if raw[0] != '"' {
		f.fail(CodeBadRequest, "%s must be a string", key)
		return nil
	}
	text, err := unquote(raw)
	if err != nil {
		f.fail(CodeBadRequest, "%s: %v", key, err)
		return nil
	}
	return text
}

// text reads a string; absent is "".
func (f *fields) text(key string) string { return string(f.bytes(key)) }

// optional reads a string that valid accepts; absent is "".
func (f *fields) optional(key string, valid func(string) bool) string {
	text := f.text(key)
	if f.err == nil && !valid(text) && f.get(key) != nil {
		f.fail(CodeBadRequest, "%s is not a valid name", key)
		return ""
	}
	return text
}

// required reads a string that valid accepts.
func (f *fields) required(key string, valid func(string) bool) string {
	f.need(key)
	return f.optional(key, valid)
}

// anyText accepts what the server says without a look of the client's own.
func anyText(string) bool { return true }

// need fails when a field is absent.
func (f *fields) need(key string) {
	if f.get(key) == nil {
		f.fail(CodeBadRequest, "%s is missing", key)
	}
}

// word reads a string that must be one of words; absent is "".
func (f *fields) word(key string, words ...string) string {
	text := f.text(key)
	if f.err == nil && !slices.Contains(words, text) && f.get(key) != nil {
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
	return f.whole(key, least, maxInteger)
}

// count reads a whole number from least to 2^31-1, which is an int everywhere; absent is 0.
func (f *fields) count(key string, least int) int {
	return int(f.whole(key, int64(least), math.MaxInt32))
}

func (f *fields) whole(key string, least, most int64) int64 {
	raw := f.get(key)
	if raw == nil || f.err != nil {
		return 0
	}
	const longest = len("9007199254740991")
	if len(raw) <= longest {
		if n, err := strconv.ParseInt(string(raw), 10, 64); err == nil && least <= n && n <= most {
			return n
		}
	}
	f.fail(CodeBadRequest, "%s must be a whole number from %d to %d", key, least, most)
	return 0
}

// id reads a request's id, also from a message with a fault behind it, so that the refusal can say what it answers.
func (f *fields) id() int64 {
	fault := f.err
	f.err = nil
	f.need("id")
	id := f.integer("id", 1)
	if fault != nil {
		f.err = fault
	}
	return id
}

// payload reads a value that must be there, as it came.
func (f *fields) payload(key string) json.RawMessage {
	f.need(key)
	return f.get(key)
}

// isNull reports whether a field is there and null.
func (f *fields) isNull(key string) bool {
	raw := f.get(key)
	return raw != nil && raw[0] == 'n'
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
	state, err := readFields(bytes.Clone(raw), Limits{Depth: f.limits.Depth, Keys: f.limits.StateKeys})
	defer state.release()
	switch {
	case err == nil:
	case errors.Is(err, errKeys):
		f.fail(CodeTooLarge, "%s has more than %d keys", key, f.limits.StateKeys)
		return nil
	default:
		f.fail(CodeBadRequest, "%s: %v", key, err)
		return nil
	}
	object := make(Object, len(state.list))
	for _, member := range state.list {
		name := string(member.key)
		if !ValidKey(name) {
			f.fail(CodeBadRequest, "%s has a key that is not a valid name", key)
			return nil
		}
		object[name] = member.value
	}
	return object
}

// nested calls read for the fields of an object inside the message, unless it is absent.
func (f *fields) nested(key string, read func(*fields)) {
	if raw := f.get(key); raw != nil && f.err == nil {
		f.inner(key, raw, read)
	}
}

// eachRoom calls read for the fields of every member of an object that has rooms as its keys.
func (f *fields) eachRoom(read func(room string, f *fields)) {
	for _, member := range f.list {
		room := string(member.key)
		if !ValidRoom(room) {
			f.fail(CodeBadRequest, "a key is not a room name")
		}
		if f.err != nil {
			return
		}
		f.inner(room, member.value, func(f *fields) { read(room, f) })
	}
}

// each calls read for every element of an array of objects; absent means none.
func (f *fields) each(key string, read func(*fields)) {
	raw := f.get(key)
	if raw == nil || f.err != nil {
		return
	}
	err := scanArray(raw, f.limits.Depth, func(element []byte) error {
		f.inner(key, element, read)
		if f.err != nil {
			return f.err
		}
		return nil
	})
	if err != nil {
		f.fail(CodeBadRequest, "%s must be an array of objects", key)
	}
}

// inner calls read for the fields of raw, which belongs to the field key, and says in which field its fault is.
func (f *fields) inner(key string, raw []byte, read func(*fields)) {
	within, _ := readFields(raw, f.limits)
	defer within.release()
	if within.err == nil {
		read(within)
	}
	if within.err != nil {
		f.fail(within.err.Code, "%s: %s", key, within.err.Message)
	}
}
