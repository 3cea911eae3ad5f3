package config

import (
	"fmt"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v3"
)

// helpText is what --help shows: every key with its type, explanation and default.
func helpText(usage string, s *Schema) string {
	var b strings.Builder
	b.WriteString(usage)
	b.WriteString(`
  --config FILE    read FILE (YAML), or several with commas between, of which later ones go before
                   earlier ones; the variable SIGNALBOX_CONFIG does the same
  --print-config   print the configuration in effect, with the source of each value, and end
  --version        print the version and end
  --help           print this and end

Flags override the environment, which overrides the file, which overrides the defaults.
The variable of redis.dial_timeout is SIGNALBOX_REDIS_DIAL_TIMEOUT, and so on. Give secrets by file
or variable rather than by flag: other users of a machine can read its command lines.
`)
	for i := range s.Fields {
		f := &s.Fields[i]
		if f.IsStructs() {
			continue
		}
		fmt.Fprintf(&b, "\n  --%s (%s", f.Key, f.Kind())
		if allowed := f.Allowed(); allowed != "" {
			fmt.Fprintf(&b, ": %s", allowed)
		}
		if f.Default != "" {
			fmt.Fprintf(&b, "; default %s", f.Default)
		}
		fmt.Fprintf(&b, ")\n      %s\n", f.Doc)
	}
	b.WriteString("\nIn the file alone:\n")
	for i := range s.Fields {
		if f := &s.Fields[i]; f.IsStructs() {
			fmt.Fprintf(&b, "\n  %s\n      %s\n", f.Key, f.Doc)
		}
	}
	return b.String()
}

// yamlText is what --print-config shows: a file that would say the same, but for the secrets, with the
// source of each value as a comment.
func yamlText(c any, s *Schema, sources map[string]Source) (string, error) {
	root := &yaml.Node{Kind: yaml.MappingNode}
	sections := map[string]*yaml.Node{"": root}
	value := reflect.ValueOf(c).Elem()
	for i := range s.Fields {
		f := &s.Fields[i]
		node := valueNode(value.FieldByIndex(f.Index))
		key := textNode(lastPart(f.Key))
		comment := "# " + sources[f.Key].String()
		if node.Kind == yaml.ScalarNode {
			node.LineComment = comment
		} else {
			key.HeadComment = comment
		}
		put(sections, f.Key, key, node)
	}
	var b strings.Builder
	encoder := yaml.NewEncoder(&b)
	encoder.SetIndent(2)
	if err := encoder.Encode(root); err != nil {
		return "", fmt.Errorf("config: print the configuration: %w", err)
	}
	return b.String(), nil
}

// put hangs a value into the mapping of its section, which is made when it is the first there.
func put(sections map[string]*yaml.Node, key string, name, value *yaml.Node) {
	parent := strings.TrimSuffix(strings.TrimSuffix(key, lastPart(key)), ".")
	mapping := sections[parent]
	if mapping == nil {
		mapping = &yaml.Node{Kind: yaml.MappingNode}
		sections[parent] = mapping
		put(sections, parent, textNode(lastPart(parent)), mapping)
	}
	mapping.Content = append(mapping.Content, name, value)
}

func lastPart(key string) string { return key[strings.LastIndex(key, ".")+1:] }

// valueNode turns a value into YAML. Secrets hide themselves.
func valueNode(value reflect.Value) *yaml.Node {
	switch {
	case value.Kind() == reflect.Slice:
		node := &yaml.Node{Kind: yaml.SequenceNode}
		for i := range value.Len() {
			node.Content = append(node.Content, valueNode(value.Index(i)))
		}
		if value.Len() == 0 {
			node.Style = yaml.FlowStyle
		}
		return node
	case value.Kind() == reflect.Struct:
		node := &yaml.Node{Kind: yaml.MappingNode}
		sections := map[string]*yaml.Node{"": node}
		for _, f := range SchemaOf(value.Type()).Fields {
			put(sections, f.Key, textNode(lastPart(f.Key)), valueNode(value.FieldByIndex(f.Index)))
		}
		return node
	case value.Type() == boolType || value.Type() == intType:
		return &yaml.Node{Kind: yaml.ScalarNode, Value: Format(value)}
	}
	return textNode(Format(value))
}

// textNode is a string, quoted where YAML would take it for something else.
func textNode(text string) *yaml.Node {
	node := new(yaml.Node)
	node.SetString(text)
	return node
}
