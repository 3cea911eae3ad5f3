package app

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/signalbox-rtc/signalbox/pkg/auth"
)

// envPrefix starts the name of every environment variable that is ours.
const envPrefix = "SIGNALBOX_"

// squash is the tag of a nested struct whose keys are those of the struct around it.
const squash = ",squash"

// hiddenValue stands where a secret is set and must not be shown.
const hiddenValue = "(hidden)"

var (
	durationType = reflect.TypeFor[time.Duration]()
	appsDuration = reflect.TypeFor[auth.Duration]() // of apps, which the server API reads, too
	secretType   = reflect.TypeFor[auth.Secret]()
	boolType     = reflect.TypeFor[bool]()
	intType      = reflect.TypeFor[int]()
)

// field is one key of a configuration struct: a scalar, a list of scalars or a list of structs.
type field struct {
	key   string // "redis.dial_timeout"; inside a list's struct only the key's own part
	index []int  // where in the struct, for reflect.Value.FieldByIndex
	typ   reflect.Type
	doc   string
	def   string // the default as text
	min   string
	max   string
	oneof []string
}

// section is a nested struct.
type section struct {
	key string
	doc string
}

// schema is what a configuration struct says about itself.
type schema struct {
	fields   []field   // in the order of the struct
	sections []section // in the order of the struct
	byKey    map[string]*field
}

// schemaOf reads the tags of a struct. Fields without a koanf tag are not configuration.
func schemaOf(t reflect.Type) *schema {
	s := &schema{byKey: make(map[string]*field)}
	s.add(t, "", nil)
	for i := range s.fields {
		s.byKey[s.fields[i].key] = &s.fields[i]
	}
	return s
}

func (s *schema) add(t reflect.Type, prefix string, index []int) {
	for i := range t.NumField() {
		structField := t.Field(i)
		tag := structField.Tag
		name := tag.Get("koanf")
		if name == squash {
			s.add(structField.Type, prefix, append(slices.Clone(index), i))
			continue
		}
		if name == "" || !structField.IsExported() {
			continue
		}
		at := append(slices.Clone(index), i)
		if structField.Type.Kind() == reflect.Struct {
			s.sections = append(s.sections, section{prefix + name, tag.Get("doc")})
			s.add(structField.Type, prefix+name+".", at)
			continue
		}
		s.fields = append(s.fields, field{
			key:   prefix + name,
			index: at,
			typ:   structField.Type,
			doc:   tag.Get("doc"),
			def:   tag.Get("default"),
			min:   tag.Get("min"),
			max:   tag.Get("max"),
			oneof: strings.Fields(tag.Get("oneof")),
		})
	}
}

// isSection reports whether keys start with key and a dot.
func (s *schema) isSection(key string) bool {
	return slices.ContainsFunc(s.sections, func(sec section) bool { return sec.key == key })
}

// names returns all keys and sections.
func (s *schema) names() []string {
	var names []string
	for _, f := range s.fields {
		names = append(names, f.key)
	}
	for _, sec := range s.sections {
		names = append(names, sec.key)
	}
	return names
}

// env is the environment variable that sets the key.
func (f *field) env() string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(f.key, ".", "_"))
}

// isSecret reports whether the value must not be shown.
func (f *field) isSecret() bool {
	return f.typ == secretType || f.isList() && f.typ.Elem() == secretType
}

// isDuration reports whether values of a type are written as durations.
func isDuration(t reflect.Type) bool { return t == durationType || t == appsDuration }

// isList reports whether the value is a list of scalars.
func (f *field) isList() bool { return f.typ.Kind() == reflect.Slice && !f.isStructs() }

// isStructs reports whether the value is a list of structs, which only a file can hold.
func (f *field) isStructs() bool {
	return f.typ.Kind() == reflect.Slice && f.typ.Elem().Kind() == reflect.Struct
}

// isNumber reports whether a value may start with a minus sign.
func (f *field) isNumber() bool { return f.typ == intType || isDuration(f.typ) }

// kind names the type for people.
func (f *field) kind() string {
	switch {
	case f.isStructs():
		return "list"
	case f.isList() && f.isSecret():
		return "list of secrets"
	case f.isList():
		return "list of text"
	case f.isSecret():
		return "secret"
	}
	return kindOf(f.typ)
}

func kindOf(t reflect.Type) string {
	switch {
	case isDuration(t):
		return "duration"
	case t == boolType:
		return "true or false"
	case t == intType:
		return "whole number"
	}
	return "text"
}

// allowed says what the value may be, and is empty where anything of the type is.
func (f *field) allowed() string {
	unit := ""
	if f.typ.Kind() == reflect.Slice {
		unit = " entries"
	}
	switch {
	case len(f.oneof) > 0:
		return strings.Join(f.oneof, ", ")
	case f.min != "" && f.max != "":
		return f.min + " to " + f.max + unit
	case f.min != "":
		return "at least " + f.min + unit
	case f.max != "":
		return "at most " + f.max + unit
	}
	return ""
}

// parse turns text, as every source has it, into a value of the field's type. Lists are separated by
// commas. The error is the end of a sentence that starts with the value.
func (f *field) parse(text string) (reflect.Value, error) {
	if !f.isList() {
		return parseScalar(f.typ, text)
	}
	list := reflect.MakeSlice(f.typ, 0, 1)
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		value, err := parseScalar(f.typ.Elem(), part)
		if err != nil {
			return reflect.Value{}, err
		}
		list = reflect.Append(list, value)
	}
	return list, nil
}

func parseScalar(t reflect.Type, text string) (reflect.Value, error) {
	value := reflect.New(t).Elem()
	switch {
	case isDuration(t):
		d, err := time.ParseDuration(text)
		if err != nil {
			return value, fmt.Errorf("is not a duration; write a number with its unit, such as 500ms, 1.5s or 2m")
		}
		value.SetInt(int64(d))
	case t == boolType:
		if text != "true" && text != "false" {
			return value, fmt.Errorf("is neither true nor false")
		}
		value.SetBool(text == "true")
	case t == intType:
		n, err := strconv.ParseInt(text, 10, t.Bits())
		if err != nil {
			return value, fmt.Errorf("is not a whole number")
		}
		value.SetInt(n)
	case t.Kind() == reflect.String:
		value.SetString(text)
	default:
		panic(fmt.Sprintf("app: no configuration key can be a %s", t))
	}
	return value, nil
}

// check holds a value against min, max and oneof. The error is the end of a sentence that starts with
// the value.
func (f *field) check(value reflect.Value) error {
	if f.typ == secretType && value.String() == hiddenValue {
		return fmt.Errorf("is what --print-config shows in place of a secret, not the secret")
	}
	if len(f.oneof) > 0 && !slices.Contains(f.oneof, value.String()) {
		return fmt.Errorf("is not one of %s", f.allowed())
	}
	measure := func(v reflect.Value) int64 { return v.Int() }
	bound := func(text string) int64 {
		limit, err := parseScalar(f.typ, text)
		if err != nil {
			panic(fmt.Sprintf("app: bad bound %q of %s", text, f.key))
		}
		return limit.Int()
	}
	if f.typ.Kind() == reflect.Slice {
		measure = func(v reflect.Value) int64 { return int64(v.Len()) }
		bound = func(text string) int64 {
			limit, err := strconv.ParseInt(text, 10, 64)
			if err != nil {
				panic(fmt.Sprintf("app: bad bound %q of %s", text, f.key))
			}
			return limit
		}
	}
	if f.min != "" && measure(value) < bound(f.min) || f.max != "" && measure(value) > bound(f.max) {
		return fmt.Errorf("is out of range; allowed: %s", f.allowed())
	}
	return nil
}

// show is the value as an error message or the help may repeat it.
func (f *field) show(text string) string {
	if f.isSecret() {
		if text == "" {
			return `""`
		}
		return hiddenValue
	}
	const most = 100
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "..."
	}
	return strconv.Quote(text)
}

// formatScalar is the opposite of parseScalar, for people: 2m0s is 2m.
func formatScalar(value reflect.Value) string {
	if isDuration(value.Type()) {
		return auth.Duration(value.Int()).String()
	}
	return fmt.Sprint(value.Interface()) // a secret hides itself
}

// nearest returns the known name that is most like a wrong one, and "" when none is like it.
func nearest(wrong string, known []string) string {
	best, least := "", max(2, len(wrong)/3)+1
	for _, name := range known {
		if d := editDistance(wrong, name); d < least {
			best, least = name, d
		}
	}
	if best != "" {
		return best
	}
	// The right last part in the wrong section, or in none.
	part := wrong[strings.LastIndex(wrong, ".")+1:]
	for _, name := range known {
		if strings.HasSuffix(name, "."+part) {
			return name
		}
	}
	return ""
}

// editDistance is Levenshtein's: how many bytes must be added, taken away or replaced.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
