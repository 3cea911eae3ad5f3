package wiredoc

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// source is the package as it is written.
type source struct {
	structs   map[string]*structure
	functions map[string]*ast.FuncDecl // methods as "Type.name"
	constants map[string]constant
	order     []string // the constants' names
}

// structure is a struct type.
type structure struct {
	doc    string
	fields []member
}

// member is a field of one; one that is embedded has its type's name.
type member struct {
	name, doc string
	typ       ast.Expr
}

// constant is one of the package: its value as text, and what is said about it.
type constant struct{ typ, value, doc string }

// readSource parses the package in dir, without its tests.
func readSource(dir string) (*source, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	s := &source{structs: make(map[string]*structure), functions: make(map[string]*ast.FuncDecl), constants: make(map[string]constant)}
	for _, entry := range entries {
		if filepath.Ext(entry.Name()) != ".go" || strings.HasSuffix(entry.Name(), "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(dir, entry.Name()), nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		for _, declaration := range file.Decls {
			s.add(declaration)
		}
	}
	return s, nil
}

func (s *source) add(declaration ast.Decl) {
	switch d := declaration.(type) {
	case *ast.FuncDecl:
		name := d.Name.Name
		if d.Recv != nil {
			name = typeName(d.Recv.List[0].Type) + "." + name
		}
		s.functions[name] = d
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch spec := spec.(type) {
			case *ast.TypeSpec:
				doc := spec.Doc
				if doc == nil {
					doc = d.Doc
				}
				s.addType(spec, oneLine(doc))
			case *ast.ValueSpec:
				if d.Tok == token.CONST {
					s.addConstant(spec)
				}
			}
		}
	}
}

func (s *source) addType(spec *ast.TypeSpec, doc string) {
	typ, ok := spec.Type.(*ast.StructType)
	if !ok {
		return
	}
	st := &structure{doc: doc}
	for _, field := range typ.Fields.List {
		if len(field.Names) == 0 {
			st.fields = append(st.fields, member{name: typeName(field.Type), typ: field.Type})
		}
		for _, name := range field.Names {
			st.fields = append(st.fields, member{name: name.Name, doc: oneLine(field.Doc), typ: field.Type})
		}
	}
	s.structs[spec.Name.Name] = st
}

func (s *source) addConstant(spec *ast.ValueSpec) {
	for i, name := range spec.Names {
		if i >= len(spec.Values) {
			continue
		}
		literal, ok := spec.Values[i].(*ast.BasicLit)
		if !ok {
			continue
		}
		c := constant{value: literal.Value, doc: oneLine(spec.Doc)}
		if c.doc == "" {
			c.doc = oneLine(spec.Comment)
		}
		if text, err := strconv.Unquote(literal.Value); err == nil {
			c.value = text
		}
		if spec.Type != nil {
			c.typ = typeName(spec.Type)
		}
		s.constants[name.Name] = c
		s.order = append(s.order, name.Name)
	}
}

// text gives the value of a string literal or of a constant; ok is false for anything else.
func (s *source) text(e ast.Expr) (value string, ok bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		if text, err := strconv.Unquote(e.Value); err == nil {
			return text, true
		}
		return e.Value, true
	case *ast.Ident:
		c, ok := s.constants[e.Name]
		return c.value, ok
	}
	return "", false
}

// typeName is the name of a type without its pointers, lists and maps: of what it is made of.
func typeName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.StarExpr:
		return typeName(e.X)
	case *ast.ArrayType:
		return typeName(e.Elt)
	case *ast.MapType:
		return typeName(e.Value)
	case *ast.SelectorExpr:
		return typeName(e.X) + "." + e.Sel.Name
	}
	return ""
}

func oneLine(comment *ast.CommentGroup) string {
	return strings.Join(strings.Fields(comment.Text()), " ")
}
