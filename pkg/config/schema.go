package config

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
	appsTime     = reflect.TypeFor[auth.Time]()
	secretType   = reflect.TypeFor[auth.Secret]()
	boolType     = reflect.TypeFor[bool]()
	intType      = reflect.TypeFor[int]()
)

// Field is one key of a configuration struct: a scalar, a list of scalars or a list of structs.
type Field struct {
	Key     string // "redis.dial_timeout"; inside a list's struct only the key's own part
	Index   []int  // where in the struct, for reflect.Value.FieldByIndex
	Type    reflect.Type
	Doc     string
	Default string // as text
	Min     string
	Max     string
	OneOf   []string
}

// Section is a nested struct.
type Section struct {
	Key string
	Doc string
}

// Schema is what a configuration struct says about itself.
type Schema struct {
	Fields   []Field   // in the order of the struct
	Sections []Section // in the order of the struct
	byKey    map[string]*Field
}

// SchemaOf reads the tags of a struct. Fields without a koanf tag are not configuration.
func SchemaOf(t reflect.Type) *Schema {
	s := &Schema{byKey: make(map[string]*Field)}
	s.add(t, "", nil)
	for i := range s.Fields {
		s.byKey[s.Fields[i].Key] = &s.Fields[i]
	}
	return s
}

func (s *Schema) add(t reflect.Type, prefix string, index []int) {
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
			s.Sections = append(s.Sections, Section{prefix + name, tag.Get("doc")})
			s.add(structField.Type, prefix+name+".", at)
			continue
		}
		s.Fields = append(s.Fields, Field{
			Key:     prefix + name,
			Index:   at,
			Type:    structField.Type,
			Doc:     tag.Get("doc"),
			Default: tag.Get("default"),
			Min:     tag.Get("min"),
			Max:     tag.Get("max"),
			OneOf:   strings.Fields(tag.Get("oneof")),
		})
	}
}

// isSection reports whether keys start with key and a dot.
func (s *Schema) isSection(key string) bool {
	return slices.ContainsFunc(s.Sections, func(sec Section) bool { return sec.Key == key })
}

// names returns all keys and sections.
func (s *Schema) names() []string {
	var names []string
	for _, f := range s.Fields {
		names = append(names, f.Key)
	}
	for _, sec := range s.Sections {
		names = append(names, sec.Key)
	}
	return names
}

// Env is the environment variable that sets the key.
func (f *Field) Env() string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(f.Key, ".", "_"))
}

// IsSecret reports whether the value must not be shown.
func (f *Field) IsSecret() bool {
	return f.Type == secretType || f.isList() && f.Type.Elem() == secretType
}

// isDuration reports whether values of a type are written as durations.
func isDuration(t reflect.Type) bool { return t == durationType || t == appsDuration }

// isList reports whether the value is a list of scalars.
func (f *Field) isList() bool { return f.Type.Kind() == reflect.Slice && !f.IsStructs() }

// IsStructs reports whether the value is a list of structs, which only a file can hold.
func (f *Field) IsStructs() bool {
	return f.Type.Kind() == reflect.Slice && f.Type.Elem().Kind() == reflect.Struct
}

// isNumber reports whether a value may start with a minus sign.
func (f *Field) isNumber() bool { return f.Type == intType || isDuration(f.Type) }

// Kind names the type for people.
func (f *Field) Kind() string {
	switch {
	case f.IsStructs():
		return "list"
	case f.isList() && f.IsSecret():
		return "list of secrets"
	case f.isList():
		return "list of text"
	case f.IsSecret():
		return "secret"
	}
	return kindOf(f.Type)
}

func kindOf(t reflect.Type) string {
	switch {
	case isDuration(t):
		return "duration"
	case t == appsTime:
		return "time"
	case t == boolType:
		return "true or false"
	case t == intType:
		return "whole number"
	}
	return "text"
}

// Allowed says what the value may be, and is empty where anything of the type is.
func (f *Field) Allowed() string {
	unit := ""
	if f.Type.Kind() == reflect.Slice {
		unit = " entries"
	}
	switch {
	case len(f.OneOf) > 0:
		return strings.Join(f.OneOf, ", ")
	case f.Min != "" && f.Max != "":
		return f.Min + " to " + f.Max + unit
	case f.Min != "":
		return "at least " + f.Min + unit
	case f.Max != "":
		return "at most " + f.Max + unit
	}
	return ""
}

// Parse turns text, as every source has it, into a value of the field's type. Lists are separated by
// commas, or by line breaks, as files with one entry a line have them. The error is the end of a sentence that starts with the value.
func (f *Field) Parse(text string) (reflect.Value, error) {
	if !f.isList() {
		return parseScalar(f.Type, text)
	}
	list := reflect.MakeSlice(f.Type, 0, 1)
	for part := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == ',' || r == '\n' }) {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		value, err := parseScalar(f.Type.Elem(), part)
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
	case t == appsTime:
		var instant auth.Time
		if err := instant.UnmarshalText([]byte(text)); err != nil {
			return value, fmt.Errorf("is %w", err)
		}
		value.SetInt(int64(instant))
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
		panic(fmt.Sprintf("config: no configuration key can be a %s", t))
	}
	return value, nil
}

// Check holds a value against min, max and oneof. The error is the end of a sentence that starts with
// the value.
func (f *Field) Check(value reflect.Value) error {
	if f.Type == secretType && value.String() == hiddenValue {
		return fmt.Errorf("is what --print-config shows in place of a secret, not the secret")
	}
	if len(f.OneOf) > 0 && !slices.Contains(f.OneOf, value.String()) {
		return fmt.Errorf("is not one of %s", f.Allowed())
	}
	measure := func(v reflect.Value) int64 { return v.Int() }
	bound := func(text string) int64 {
		limit, err := parseScalar(f.Type, text)
		if err != nil {
			panic(fmt.Sprintf("config: bad bound %q of %s", text, f.Key))
		}
		return limit.Int()
	}
	if f.Type.Kind() == reflect.Slice {
		measure = func(v reflect.Value) int64 { return int64(v.Len()) }
		bound = func(text string) int64 {
			limit, err := strconv.ParseInt(text, 10, 64)
			if err != nil {
				panic(fmt.Sprintf("config: bad bound %q of %s", text, f.Key))
			}
			return limit
		}
	}
	if f.Min != "" && measure(value) < bound(f.Min) || f.Max != "" && measure(value) > bound(f.Max) {
		return fmt.Errorf("is out of range; allowed: %s", f.Allowed())
	}
	return nil
}

// show is the value as an error message or the help may repeat it.
func (f *Field) show(text string) string {
	if f.IsSecret() {
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

// Format is the opposite of parseScalar, for people: 2m0s is 2m.
func Format(value reflect.Value) string {
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
