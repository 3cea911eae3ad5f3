package app

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/v2"

	"github.com/signalbox-rtc/signalbox/pkg/telemetry"
)

// ErrAnswered is what Load returns when the arguments ask for text rather than for a gateway (--help,
// --version, --print-config): the text is written, and the process should end with success.
var ErrAnswered = errors.New("app: the arguments asked for text, which is written")

// ConfigError is everything that is wrong with a configuration.
type ConfigError struct {
	// Problems has one sentence for each. None holds the value of a secret.
	Problems []string
}

// Error implements error: one line a problem.
func (e *ConfigError) Error() string {
	count := "1 error"
	if len(e.Problems) != 1 {
		count = fmt.Sprintf("%d errors", len(e.Problems))
	}
	return "the configuration has " + count + ":\n  " + strings.Join(e.Problems, "\n  ")
}

// Load puts the configuration together. Each key is taken from the last of these that has it: its
// default; the files named by --config or SIGNALBOX_CONFIG, in their order; the environment, where
// redis.dial_timeout is SIGNALBOX_REDIS_DIAL_TIMEOUT; the arguments, where it is --redis.dial_timeout.
//
// args are those after the program's name, env is in the form of os.Environ, and out gets the text
// that the arguments may ask for, in which case the error is ErrAnswered. An error in the configuration
// is a *ConfigError that names all of them, even in a value that another source overrides.
func Load(args, env []string, out io.Writer) (*Config, error) {
	s := schemaOf(reflect.TypeFor[Config]())
	l := &loader{schema: s, merged: koanf.New("."), sources: make(map[string]source)}

	flags := l.flags(args)
	switch {
	case flags.help:
		return nil, answer(out, helpText(s))
	case flags.version:
		return nil, answer(out, "signalbox gateway "+telemetry.ReadBuild().String()+"\n")
	}
	variables := l.environment(env)
	from := &origin{args: args, env: env, files: fileNames(cmp.Or(flags.file, variables.file))}
	from.seen = from.look()
	for _, file := range from.files {
		l.merge(l.file(file))
	}
	l.merge(variables.layer)
	l.merge(flags.layer)

	c, err := l.config()
	if err != nil {
		return nil, err
	}
	l.derive(c)
	c.origin = from
	l.problems = append(l.problems, c.problems()...)
	if err := l.err(); err != nil {
		return nil, err
	}
	if flags.print {
		text, err := c.yaml(s)
		if err != nil {
			return nil, err
		}
		return nil, answer(out, text)
	}
	return c, nil
}

// Default returns the configuration of a gateway that is told nothing.
func Default() *Config {
	c, err := Load(nil, nil, io.Discard)
	if err != nil {
		panic(fmt.Sprintf("app: the defaults are not a valid configuration: %v", err))
	}
	return c
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
		return fmt.Errorf("app: write the answer: %w", err)
	}
	return ErrAnswered
}

// source says where a value came from.
type source struct {
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
func (s source) String() string {
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
	sources map[string]source
}

func newLayer() layer {
	return layer{values: make(map[string]any), sources: make(map[string]source)}
}

// loader is the state of Load.
type loader struct {
	schema   *schema
	merged   *koanf.Koanf
	sources  map[string]source
	problems []problem
}

func (l *loader) fail(src source, key, format string, args ...any) {
	l.problems = append(l.problems, problem{
		keys: []string{key},
		text: key + ": " + fmt.Sprintf(format, args...) + " (" + src.String() + ")",
	})
}

// set takes the text of a known key that is no list of structs.
func (l *loader) set(to layer, src source, f *field, text string) {
	value, err := f.parse(text)
	if err == nil {
		err = f.check(value)
	}
	if err != nil {
		l.fail(src, f.key, "%s %v", f.show(text), err)
		return
	}
	to.values[f.key] = value.Interface()
	to.sources[f.key] = src
}

func (l *loader) merge(from layer) {
	if err := l.merged.Load(confmap.Provider(from.values, "."), nil); err != nil {
		l.problems = append(l.problems, problem{text: err.Error()}) // confmap has nothing that fails
	}
	for key, src := range from.sources {
		l.sources[key] = src
	}
}

// config fills the struct: with the defaults, and with the merged values on top.
func (l *loader) config() (*Config, error) {
	all := koanf.New(".")
	defaults := newLayer()
	for i := range l.schema.fields {
		f := &l.schema.fields[i]
		if _, ok := l.sources[f.key]; !ok {
			l.sources[f.key] = source{kind: sourceDefault}
		}
		if f.def != "" {
			l.set(defaults, source{kind: sourceDefault}, f, f.def)
		}
	}
	if err := all.Load(confmap.Provider(defaults.values, "."), nil); err != nil {
		return nil, fmt.Errorf("app: load the defaults: %w", err)
	}
	if err := all.Merge(l.merged); err != nil {
		return nil, fmt.Errorf("app: merge the configuration: %w", err)
	}
	c := &Config{sources: l.sources}
	if err := all.Unmarshal("", c); err != nil {
		// Each value has its field's type by now, so this says something about the program.
		return nil, fmt.Errorf("app: fill the configuration: %w", err)
	}
	return c, nil
}

// derive sets what follows from other keys or from the machine.
func (l *loader) derive(c *Config) {
	if c.Node.Name == "" {
		name, err := os.Hostname()
		if err != nil {
			l.fail(source{kind: sourceDefault}, "node.name", "the host's name is unknown, so this must be set: %v", err)
			name = "unknown"
		}
		c.Node.Name = name
		l.sources["node.name"] = source{sourceDerived, "from the host's name"}
	}
	if c.Redis.URL == "" {
		return
	}
	src := l.sources["redis.url"]
	for _, key := range []string{"redis.mode", "redis.addresses", "redis.username", "redis.password", "redis.database"} {
		if other := l.sources[key]; other.kind != sourceDefault {
			l.fail(src, "redis.url", "excludes %s, which is set too (%s)", key, other)
		}
	}
	tls := c.Redis.TLS.Enabled
	if err := c.Redis.SetURL(c.Redis.URL); err != nil {
		l.fail(src, "redis.url", "%v", err)
		return
	}
	from := source{sourceDerived, "from redis.url"}
	for _, key := range []string{"redis.addresses", "redis.username", "redis.password", "redis.database"} {
		l.sources[key] = from
	}
	if c.Redis.TLS.Enabled != tls {
		l.sources["redis.tls.enabled"] = from
	}
}

// err returns the problems, if there are any. What follows from a key that is wrong by itself is left
// out: it would only confuse.
func (l *loader) err() error {
	wrong := make(map[string]bool)
	for _, p := range l.problems {
		if len(p.keys) == 1 {
			wrong[p.keys[0]] = true
		}
	}
	var texts []string
	for _, p := range l.problems {
		if len(p.keys) > 1 && slices.ContainsFunc(p.keys, func(key string) bool { return wrong[key] }) {
			continue
		}
		texts = append(texts, p.text)
	}
	if len(texts) == 0 {
		return nil
	}
	return &ConfigError{Problems: texts}
}
