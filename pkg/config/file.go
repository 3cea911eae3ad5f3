package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"

	"github.com/knadh/koanf/maps"
	"go.yaml.in/yaml/v3"
)

// maxConfigBytes bounds the configuration file. Ten thousand apps fit.
const maxConfigBytes = 16 << 20

// file reads a YAML file. What is wrong with it becomes a problem, with the line.
func (l *Loader) file(path string) layer {
	r := &fileReader{Loader: l, path: path}
	to := newLayer()
	root, err := r.read()
	if err != nil {
		l.problems = append(l.problems, problem{text: err.Error() + " (" + Source{sourceFile, path}.String() + ")"})
		return to
	}
	if root != nil {
		r.mapping(root, l.schema, "", "", to)
	}
	return to
}

// fileReader walks through the nodes of one file. It works on nodes rather than on decoded values, to
// know the lines, and to take scalars as they are written: a password of 0123 is no number.
type fileReader struct {
	*Loader
	path string
}

// read returns the node of the file's one document, and nil if there is none.
func (r *fileReader) read() (*yaml.Node, error) {
	text, err := readFile(r.path)
	if err != nil {
		return nil, err
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var document, second yaml.Node
	switch err := decoder.Decode(&document); {
	case errors.Is(err, io.EOF):
		return nil, nil
	case err != nil && strings.Contains(err.Error(), "unknown anchor"):
		// The parser's message would repeat the text, which may be a password that starts with a star.
		return nil, errors.New("is not YAML as it should be: text that starts with * needs quotes")
	case err != nil:
		return nil, fmt.Errorf("is not YAML: %w", err)
	case len(document.Content) == 0:
		return nil, nil
	}
	if !errors.Is(decoder.Decode(&second), io.EOF) {
		return nil, errors.New("holds more than one YAML document")
	}
	return document.Content[0], nil
}

func (r *fileReader) at(node *yaml.Node) Source {
	return Source{sourceFile, r.path + ":" + strconv.Itoa(node.Line)}
}

// mapping reads the keys of one section. prefix is the section within its schema, with a dot at its
// end; outer is where that schema's struct stands in the file, as in "apps[2].", for messages.
func (r *fileReader) mapping(node *yaml.Node, s *Schema, outer, prefix string, to layer) {
	node = resolve(node)
	if isNull(node) {
		return
	}
	if node.Kind != yaml.MappingNode {
		r.fail(r.at(node), orRoot(outer+prefix), "is %s, not a section with keys", nodeKind(node))
		return
	}
	lines := make(map[string]int)
	for i := 0; i+1 < len(node.Content); i += 2 {
		name, value := resolve(node.Content[i]), node.Content[i+1]
		key := prefix + name.Value
		src := r.at(name)
		if name.Kind != yaml.ScalarNode {
			r.fail(src, orRoot(outer+prefix), "has a key that is %s", nodeKind(name))
			continue
		}
		if line, twice := lines[key]; twice {
			r.fail(src, outer+key, "is there twice, first in line %d", line)
			continue
		}
		lines[key] = name.Line
		if s.isSection(key) {
			r.mapping(value, s, outer, key+".", to)
			continue
		}
		f := s.byKey[key]
		if f == nil {
			near := nearest(key, s.names())
			if near != "" {
				near = outer + near
			}
			r.unknown(src, outer+key, near)
			continue
		}
		r.value(resolve(value), f, outer, to)
	}
}

// value reads what stands behind a known key. Nothing at all (or null) leaves the key unset.
func (r *fileReader) value(node *yaml.Node, f *Field, outer string, to layer) {
	if isNull(node) {
		return
	}
	named := *f
	named.Key = outer + f.Key // as messages name it
	before := len(r.problems)
	var value any
	switch {
	case f.IsStructs():
		value = r.structs(node, &named)
	case f.isList():
		value = r.list(node, &named)
	default:
		value = r.scalar(node, &named, f.Type)
	}
	if len(r.problems) == before {
		to.values[f.Key] = value
		to.sources[f.Key] = r.at(node)
	}
}

func (r *fileReader) scalar(node *yaml.Node, f *Field, t reflect.Type) any {
	if node.Kind != yaml.ScalarNode {
		r.fail(r.at(node), f.Key, "is %s, not a single value", nodeKind(node))
		return nil
	}
	value, err := parseScalar(t, node.Value)
	if err == nil && t == f.Type {
		err = f.Check(value)
	}
	if err != nil {
		r.fail(r.at(node), f.Key, "%s %v", f.show(node.Value), err)
		return nil
	}
	return value.Interface()
}

func (r *fileReader) list(node *yaml.Node, f *Field) any {
	if node.Kind != yaml.SequenceNode {
		r.fail(r.at(node), f.Key, "is %s, not a list", nodeKind(node))
		return nil
	}
	list := make([]any, 0, len(node.Content))
	for _, entry := range node.Content {
		list = append(list, r.scalar(resolve(entry), f, f.Type.Elem()))
	}
	r.checkLength(node, f, len(list))
	return list
}

func (r *fileReader) structs(node *yaml.Node, f *Field) any {
	if node.Kind != yaml.SequenceNode {
		r.fail(r.at(node), f.Key, "is %s, not a list", nodeKind(node))
		return nil
	}
	s := SchemaOf(f.Type.Elem())
	list := make([]any, 0, len(node.Content))
	for i, entry := range node.Content {
		to := newLayer()
		r.mapping(entry, s, fmt.Sprintf("%s[%d].", f.Key, i), "", to)
		list = append(list, maps.Unflatten(to.values, "."))
	}
	r.checkLength(node, f, len(list))
	return list
}

func (r *fileReader) checkLength(node *yaml.Node, f *Field, length int) {
	if err := f.Check(reflect.MakeSlice(f.Type, length, length)); err != nil {
		r.fail(r.at(node), f.Key, "the list of %d %v", length, err)
	}
}

// resolve follows an alias to what it stands for. The schema has a fixed depth, so an alias that holds
// itself ends there.
func resolve(node *yaml.Node) *yaml.Node {
	if node.Kind == yaml.AliasNode {
		return node.Alias
	}
	return node
}

func isNull(node *yaml.Node) bool {
	return node.Kind == yaml.ScalarNode && node.ShortTag() == "!!null"
}

func nodeKind(node *yaml.Node) string {
	switch node.Kind {
	case yaml.MappingNode:
		return "a section with keys"
	case yaml.SequenceNode:
		return "a list"
	}
	return "a single value"
}

// orRoot names a section without the dot at its end.
func orRoot(prefix string) string {
	if prefix == "" {
		return "the file"
	}
	return prefix[:len(prefix)-1]
}
