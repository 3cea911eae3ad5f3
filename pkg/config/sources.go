package config

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// FileVariable is the one variable of ours that is no key.
const FileVariable = envPrefix + "CONFIG"

// ServiceVariable matches what Kubernetes puts into every container's environment about the Services of
// its namespace, in the style of old container links: for a Service named signalbox or signalbox-gateway
// they start like ours.
var ServiceVariable = regexp.MustCompile(`_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT|PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$`)

// variables is what the environment says.
type variables struct {
	layer
	file string
}

// environment reads the variables that start with SIGNALBOX_. One that is empty counts as absent.
func (l *Loader) environment(env []string) variables {
	v := variables{layer: newLayer()}
	byName := make(map[string]*Field, len(l.schema.Fields))
	known := []string{FileVariable}
	for i := range l.schema.Fields {
		f := &l.schema.Fields[i]
		byName[f.Env()] = f
		if !f.IsStructs() {
			known = append(known, f.Env())
		}
	}
	for _, entry := range slices.Sorted(slices.Values(env)) {
		name, text, _ := strings.Cut(entry, "=")
		src := Source{sourceEnv, name}
		f := byName[name]
		switch {
		case !strings.HasPrefix(name, envPrefix) || text == "":
		case name == FileVariable:
			v.file = text
		case f != nil && f.IsStructs():
			l.fail(src, f.Key, "can only be set in the file")
		case f != nil:
			l.set(v.layer, src, f, text)
		case ServiceVariable.MatchString(name):
		default:
			l.unknown(src, name, nearest(name, known))
		}
	}
	return v
}

// arguments is what the flags say.
type arguments struct {
	layer
	file                 string
	help, version, print bool
}

// flags reads arguments of the forms --key=value and --key value, and --key alone for what is true or
// false. One dash does as well as two. Of flags given twice the last one counts.
func (l *Loader) flags(args []string) arguments {
	a := arguments{layer: newLayer()}
	switches := map[string]*bool{"help": &a.help, "h": &a.help, "version": &a.version, "print-config": &a.print}
	known := []string{"config", "help", "version", "print-config"}
	for i := range l.schema.Fields {
		if f := &l.schema.Fields[i]; !f.IsStructs() {
			known = append(known, f.Key)
		}
	}
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		name, text, hasText := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(arg, "-"), "-"), "=")
		if !strings.HasPrefix(arg, "-") || name == "" {
			before, _, _ := strings.Cut(arg, "=") // what follows may be a secret
			l.problems = append(l.problems, problem{text: strconv.Quote(before) + ": unexpected argument; every argument is a flag, as in --key=value"})
			continue
		}
		src := Source{sourceFlag, "--" + name}
		f := l.schema.byKey[name]
		isSwitch := switches[name] != nil || f != nil && f.Type == boolType
		if !hasText && isSwitch {
			text, hasText = "true", true
		}
		if !hasText && len(args) > 0 && (!strings.HasPrefix(args[0], "-") || f != nil && f.isNumber()) {
			text, args, hasText = args[0], args[1:], true
		}
		switch {
		case switches[name] != nil:
			value, err := parseScalar(boolType, text)
			if err != nil {
				l.fail(src, name, "%q %v", text, err)
				continue
			}
			*switches[name] = value.Bool()
		case f == nil && name != "config":
			l.unknown(src, "--"+name, dashed(nearest(name, known)))
		case f != nil && f.IsStructs():
			l.fail(src, name, "can only be set in the file")
		case !hasText:
			l.fail(src, name, "needs a value, as in --%s=...", name)
		case name == "config":
			a.file = text
		default:
			l.set(a.layer, src, f, text)
		}
	}
	return a
}

func dashed(name string) string {
	if name == "" {
		return ""
	}
	return "--" + name
}

// unknown refuses a name that is nobody's.
func (l *Loader) unknown(src Source, name, near string) {
	text := name + ": unknown"
	if near != "" {
		text += "; did you mean " + near + "?"
	}
	l.problems = append(l.problems, problem{text: text + " (" + src.String() + ")"})
}
