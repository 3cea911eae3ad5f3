// Package config puts the configuration of a program together from files, environment and flags, as the tags of one struct say. They are the
// only source of the keys, their defaults, what they allow, the help text and the docs:
//
//	koanf    the key's last part; nested structs make the parts before it
//	doc      one line of explanation, with the unit
//	default  the value when nobody sets the key; absent: the zero value
//	min, max what a number, a duration or the length of a list may be, ends included
//	oneof    the words that a string may be, separated by spaces
package config

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"

	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/v2"

	"github.com/signalbox-rtc/signalbox/pkg/telemetry"
)

// ErrAnswered is what Load returns when the arguments ask for text rather than for the program's work (--help,
// --version, --print-config): the text is written, and the process should end with success.
var ErrAnswered = errors.New("config: the arguments asked for text, which is written")

// Error is everything that is wrong with a configuration.
type Error struct {
	// Problems has one sentence for each. None holds the value of a secret.
	Problems []string
}

// Error implements error: one line a problem.
func (e *Error) Error() string {
	count := "1 error"
	if len(e.Problems) != 1 {
		count = fmt.Sprintf("%d errors", len(e.Problems))
	}
	return "the configuration has " + count + ":\n  " + strings.Join(e.Problems, "\n  ")
}

// Program is what a configuration is of. T is the struct that holds it.
type Program[T any] struct {
	// Name is the program's name, in what --version says.
	Name string
	// Usage is what --help begins with: what the program is for, and how it is called.
	Usage string
	// Derive sets what follows from other keys or from the machine; nil for nothing.
	Derive func(c *T, l *Loader)
	// Check holds the values against each other, when each fits its own key; nil for nothing.
	Check func(c *T, k *Checker)
}

// Load puts the configuration together. Each key is taken from the last of these that has it: its
// default; the files named by --config or SIGNALBOX_CONFIG, in their order; the environment, where
// redis.dial_timeout is SIGNALBOX_REDIS_DIAL_TIMEOUT; the arguments, where it is --redis.dial_timeout.
//
// args are those after the program's name, env is in the form of os.Environ, and out gets the text
// that the arguments may ask for, in which case the error is ErrAnswered. An error in the configuration
// is an *Error that names all of them, even in a value that another source overrides.
func (p *Program[T]) Load(args, env []string, out io.Writer) (*T, *Origin, error) {
	s := SchemaOf(reflect.TypeFor[T]())
	l := &Loader{schema: s, merged: koanf.New("."), sources: make(map[string]Source)}

	flags := l.flags(args)
	switch {
	case flags.help:
		return nil, nil, answer(out, helpText(p.Usage, s))
	case flags.version:
		return nil, nil, answer(out, "signalbox "+p.Name+" "+telemetry.ReadBuild().String()+"\n")
	}
	variables := l.environment(env)
	from := &Origin{args: args, env: env, files: fileNames(cmp.Or(flags.file, variables.file)), sources: l.sources}
	from.seen = from.Look()
	for _, file := range from.files {
		l.merge(l.file(file))
	}
	l.merge(variables.layer)
	l.merge(flags.layer)

	c := new(T)
	if err := l.fill(c); err != nil {
		return nil, nil, err
	}
	if p.Derive != nil {
		p.Derive(c, l)
	}
	l.problems = append(l.problems, p.check(c, from)...)
	if err := failure(l.problems); err != nil {
		return nil, nil, err
	}
	if flags.print {
		text, err := yamlText(c, s, l.sources)
		if err != nil {
			return nil, nil, err
		}
		return nil, nil, answer(out, text)
	}
	return c, from, nil
}

// Validate holds every value against what its key allows, and the values against each other. Load has
// done this already; a configuration that was changed in code needs it. from is nil for one that was made in code. The error is an *Error.
func (p *Program[T]) Validate(c *T, from *Origin) error { return failure(p.check(c, from)) }

// check gives all that is wrong with values.
func (p *Program[T]) check(c *T, from *Origin) []problem {
	k := &Checker{}
	if from != nil {
		k.sources = from.sources
	}
	k.ranges("", reflect.ValueOf(c).Elem())
	if p.Check != nil {
		p.Check(c, k)
	}
	return k.found
}

// fileNames takes a list apart. More than one file lets secrets stand in one that few may read.
func fileNames(list string) []string {
	var names []string
	for name := range strings.SplitSeq(list, ",") {
		if name = strings.TrimSpace(name); name != "" {
			names = append(names, name)
		}
	}
	return names
}

func answer(out io.Writer, text string) error {
	if _, err := io.WriteString(out, text); err != nil {
		return fmt.Errorf("config: write the answer: %w", err)
	}
	return ErrAnswered
}

// Source says where a value came from.
type Source struct {
	kind string // one of the source constants
	name string // "SIGNALBOX_REDIS_PASSWORD", "--redis.password", "signalbox.yaml:12"
}

// Kinds of sources.
const (
	sourceDefault = "default"
	sourceDerived = "derived"
	sourceFile    = "file"
	sourceEnv     = "environment"
	sourceFlag    = "flag"
)

// String is how a source is told to people.
func (s Source) String() string {
	if s.name == "" {
		return s.kind
	}
	return s.kind + " " + s.name
}

// problem is one thing that is wrong.
type problem struct {
	keys []string // that it is about; empty if it is about no known key
	text string
}

// layer is what one kind of source sets.
type layer struct {
	values  map[string]any
	sources map[string]Source
}

func newLayer() layer {
	return layer{values: make(map[string]any), sources: make(map[string]Source)}
}

// Loader is the state of Load.
type Loader struct {
	schema   *Schema
	merged   *koanf.Koanf
	sources  map[string]Source
	problems []problem
}

func (l *Loader) fail(src Source, key, format string, args ...any) {
	l.problems = append(l.problems, problem{
		keys: []string{key},
		text: key + ": " + fmt.Sprintf(format, args...) + " (" + src.String() + ")",
	})
}

// set takes the text of a known key that is no list of structs.
func (l *Loader) set(to layer, src Source, f *Field, text string) {
	value, err := f.Parse(text)
	if err == nil {
		err = f.Check(value)
	}
	if err != nil {
		l.fail(src, f.Key, "%s %v", f.show(text), err)
		return
	}
	to.values[f.Key] = value.Interface()
	to.sources[f.Key] = src
}

func (l *Loader) merge(from layer) {
	if err := l.merged.Load(confmap.Provider(from.values, "."), nil); err != nil {
		l.problems = append(l.problems, problem{text: err.Error()}) // confmap has nothing that fails
	}
	for key, src := range from.sources {
		l.sources[key] = src
	}
}

// fill fills the struct: with the defaults, and with the merged values on top.
func (l *Loader) fill(c any) error {
	all := koanf.New(".")
	defaults := newLayer()
	for i := range l.schema.Fields {
		f := &l.schema.Fields[i]
		if _, ok := l.sources[f.Key]; !ok {
			l.sources[f.Key] = Source{kind: sourceDefault}
		}
		if f.Default != "" {
			l.set(defaults, Source{kind: sourceDefault}, f, f.Default)
		}
	}
	if err := all.Load(confmap.Provider(defaults.values, "."), nil); err != nil {
		return fmt.Errorf("config: load the defaults: %w", err)
	}
	if err := all.Merge(l.merged); err != nil {
		return fmt.Errorf("config: merge the configuration: %w", err)
	}
	if err := all.Unmarshal("", c); err != nil {
		// Each value has its field's type by now, so this says something about the program.
		return fmt.Errorf("config: fill the configuration: %w", err)
	}
	return nil
}

// IsSet reports whether somebody has set a key, and tells where.
func (l *Loader) IsSet(key string) (Source, bool) {
	src := l.sources[key]
	return src, src.kind != sourceDefault
}

// Derived notes that a key's value follows from something: "from redis.url".
func (l *Loader) Derived(from string, keys ...string) {
	for _, key := range keys {
		l.sources[key] = Source{sourceDerived, from}
	}
}

// Fail notes that something is wrong with a key. The value of a secret must not be in the text.
func (l *Loader) Fail(key, format string, args ...any) { l.fail(l.sources[key], key, format, args...) }

// failure is the error of problems, if there are any. What follows from a key that is wrong by itself is left
// out: it would only confuse.
func failure(problems []problem) error {
	wrong := make(map[string]bool)
	for _, p := range problems {
		if len(p.keys) == 1 {
			wrong[p.keys[0]] = true
		}
	}
	var texts []string
	for _, p := range problems {
		if len(p.keys) > 1 && slices.ContainsFunc(p.keys, func(key string) bool { return wrong[key] }) {
			continue
		}
		texts = append(texts, p.text)
	}
	if len(texts) == 0 {
		return nil
	}
	return &Error{Problems: texts}
}
