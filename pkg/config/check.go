package config

import (
	"fmt"
	"net"
	"reflect"
	"strconv"
	"strings"
)

// Checker collects what is wrong with a configuration.
type Checker struct {
	sources map[string]Source
	found   []problem
}

// Fail adds a sentence about keys whose values do not fit, each with where it came from.
func (k *Checker) Fail(text string, keys ...string) {
	var from []string
	for _, key := range keys {
		if src, ok := k.sources[key]; ok {
			from = append(from, key+": "+src.String())
		}
	}
	if len(from) > 0 {
		text += " (" + strings.Join(from, ", ") + ")"
	}
	k.found = append(k.found, problem{keys: keys, text: text})
}

// ranges holds each value against its field's tags, in lists of structs too.
func (k *Checker) ranges(outer string, value reflect.Value) {
	for _, f := range SchemaOf(value.Type()).Fields {
		v := value.FieldByIndex(f.Index)
		key := outer + f.Key
		if err := f.Check(v); err != nil {
			shown := f.show(Format(v))
			if v.Kind() == reflect.Slice {
				shown = fmt.Sprintf("the list of %d", v.Len())
			}
			k.Fail(key+": "+shown+" "+err.Error(), key)
		}
		if f.IsStructs() {
			for i := range v.Len() {
				k.ranges(fmt.Sprintf("%s[%d].", key, i), v.Index(i))
			}
		}
	}
}

// Differ checks that two addresses are not one.
func (k *Checker) Differ(one, address, other, otherAddress string) {
	if _, port, err := net.SplitHostPort(address); err == nil && port != "0" && address == otherAddress {
		k.Fail(fmt.Sprintf("%s and %s: are both %q", one, other, address), one, other)
	}
}

// AtMost checks that a number is no more than another one.
func (k *Checker) AtMost(key string, value int, limitKey string, limit int) {
	if value > limit {
		k.Fail(fmt.Sprintf("%s: %d is more than %s, which is %d", key, value, limitKey, limit), key, limitKey)
	}
}

// Address checks host:port. The host may be empty, which is every interface or this machine.
func (k *Checker) Address(key, text string) {
	_, port, err := net.SplitHostPort(text)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		k.Fail(fmt.Sprintf("%s: %q is not host:port", key, text), key)
	}
}
