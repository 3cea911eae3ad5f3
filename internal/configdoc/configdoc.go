// Package configdoc writes the reference of a configuration from the tags of its struct, and checks these.
package configdoc

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/config"
)

// Reference makes the reference of a configuration: a table for each section, and for each list of sections. In dir are the sources of the
// other package whose types it has.
func Reference(t *testing.T, typ reflect.Type, dir string) string {
	t.Helper()
	s := config.SchemaOf(typ)
	comments := fieldComments(t, dir)
	var b strings.Builder
	for _, sec := range s.Sections {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n", sec.Key, sec.Doc)
		writeTable(&b, s, func(f *config.Field) bool {
			return strings.HasPrefix(f.Key, sec.Key+".") && !strings.Contains(f.Key[len(sec.Key)+1:], ".") && !f.IsStructs()
		})
	}
	for i := range s.Fields {
		if f := &s.Fields[i]; f.IsStructs() {
			fmt.Fprintf(&b, "\n## %s\n\n%s In the file alone; a list", f.Key, f.Doc)
			if f.Max != "" {
				fmt.Fprintf(&b, " of at most %s", f.Max)
			}
			b.WriteString(" of:\n\n| key | type | meaning |\n|---|---|---|\n")
			writeEntries(t, &b, f.Key+"[].", f.Type.Elem(), comments)
		}
	}
	return b.String()
}

func writeTable(b *strings.Builder, s *config.Schema, in func(*config.Field) bool) {
	b.WriteString("| key and variable | type | default | allowed | meaning |\n|---|---|---|---|---|\n")
	for i := range s.Fields {
		if f := &s.Fields[i]; in(f) {
			fmt.Fprintf(b, "| `%s` `%s` | %s | %s | %s | %s |\n", f.Key, f.Env(), f.Kind(), quoted(f.Default), f.Allowed(), cell(f.Doc))
		}
	}
}

// writeEntries writes the keys of a struct in a list. Those of other packages have their explanation in
// the comment of the struct's field.
func writeEntries(t *testing.T, b *strings.Builder, outer string, typ reflect.Type, comments map[string]string) {
	s := config.SchemaOf(typ)
	for i := range s.Fields {
		f := &s.Fields[i]
		doc := f.Doc
		if doc == "" {
			doc = comments[fieldName(typ, f.Index)]
			doc = goSubject.ReplaceAllString(doc, "")
			doc = strings.ToUpper(doc[:min(1, len(doc))]) + doc[min(1, len(doc)):]
		}
		require.NotEmpty(t, doc, "nothing explains %s%s", outer, f.Key)
		fmt.Fprintf(b, "| `%s%s` | %s | %s |\n", outer, f.Key, f.Kind(), cell(doc))
		if f.IsStructs() {
			writeEntries(t, b, outer+f.Key+"[].", f.Type.Elem(), comments)
		}
	}
}

// fieldName is the struct and the name of the field at an index path, as in "Policy.Capacity".
func fieldName(typ reflect.Type, index []int) string {
	for _, i := range index[:len(index)-1] {
		typ = typ.Field(i).Type
	}
	return typ.Name() + "." + typ.Field(index[len(index)-1]).Name
}

// goSubject is how a Go comment starts, with the field's name, which means nothing in a file.
var goSubject = regexp.MustCompile(`^[A-Z][A-Za-z]* (is|are) `)

// docLink is a link in a Go comment.
var docLink = regexp.MustCompile(`\[([A-Za-z.]+)\]`)

// fieldComments returns the comments of all struct fields of a package, by "Struct.Field", each as one
// line.
func fieldComments(t *testing.T, dir string) map[string]string {
	comments := make(map[string]string)
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, entry := range entries {
		if filepath.Ext(entry.Name()) != ".go" || strings.HasSuffix(entry.Name(), "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(dir, entry.Name()), nil, parser.ParseComments)
		require.NoError(t, err)
		ast.Inspect(file, func(node ast.Node) bool {
			spec, ok := node.(*ast.TypeSpec)
			if !ok {
				return true
			}
			if structType, ok := spec.Type.(*ast.StructType); ok {
				for _, f := range structType.Fields.List {
					for _, name := range f.Names {
						comments[spec.Name.Name+"."+name.Name] = docLink.ReplaceAllString(strings.Join(strings.Fields(f.Doc.Text()), " "), "$1")
					}
				}
			}
			return false
		})
	}
	return comments
}

func quoted(text string) string {
	if text == "" {
		return ""
	}
	return "`" + text + "`"
}

// cell is text in a table, where a bar would end it and stars would mean emphasis.
func cell(text string) string { return strings.NewReplacer("|", `\|`, "*", `\*`).Replace(text) }

// CheckSchema holds the tags of the struct against what the loader and the documentation expect of them.
func CheckSchema(t *testing.T, typ reflect.Type) {
	t.Helper()
	s := config.SchemaOf(typ)
	keyForm := regexp.MustCompile(`^[a-z][a-z_]*(\.[a-z][a-z_]*)*$`)
	variables := make(map[string]string)

	for _, sec := range s.Sections {
		require.NotEmpty(t, sec.Doc, sec.Key)
	}
	for i := range s.Fields {
		f := &s.Fields[i]
		t.Run(f.Key, func(t *testing.T) {
			require.Regexp(t, keyForm, f.Key)
			require.Regexp(t, `^[A-Z"].*\.$`, f.Doc, "the explanation is a sentence")
			require.NotContains(t, f.Doc, "\n")

			// Two keys of one variable could not be told apart, nor one from what Kubernetes sets.
			require.Empty(t, variables[f.Env()])
			variables[f.Env()] = f.Key
			require.NotRegexp(t, config.ServiceVariable, f.Env())
			require.NotEqual(t, config.FileVariable, f.Env())

			if f.IsStructs() {
				return
			}
			def, err := f.Parse(f.Default)
			if f.Default != "" {
				require.NoError(t, err)
				require.NoError(t, f.Check(def), "the default must be allowed")
			}
			if scalar := f.Type; scalar == reflect.TypeFor[bool]() || scalar == reflect.TypeFor[int]() || scalar == reflect.TypeFor[time.Duration]() {
				require.NotEmpty(t, f.Default, "a scalar says its default")
			}
			if f.Type == reflect.TypeFor[int]() || f.Type == reflect.TypeFor[time.Duration]() {
				require.NotEmpty(t, f.Min, "a number is bounded")
				require.NotEmpty(t, f.Max, "a number is bounded")
			}
			if f.Type == reflect.TypeFor[time.Duration]() {
				require.Equal(t, f.Default, config.Format(def), "a default is written as it is printed")
			}
		})
	}

	t.Run("EveryFieldIsAKey", func(t *testing.T) {
		var walk func(typ reflect.Type)
		walk = func(typ reflect.Type) {
			for i := range typ.NumField() {
				f := typ.Field(i)
				if !f.IsExported() {
					continue
				}
				require.NotEmpty(t, f.Tag.Get("koanf"), "%s.%s", typ.Name(), f.Name) // squash included
				switch {
				case f.Type.Kind() == reflect.Struct:
					walk(f.Type)
				case f.Type.Kind() == reflect.Slice && f.Type.Elem().Kind() == reflect.Struct:
					walk(f.Type.Elem())
				}
			}
		}
		walk(typ)
	})
}
