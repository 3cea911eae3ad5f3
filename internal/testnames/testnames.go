// Package testnames finds test functions by name, for tests that hold the documentation to the tests it names.
package testnames

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// Functions are the test functions of one package, by name.
type Functions map[string]*ast.FuncDecl

// In reads the test functions of the package in a folder.
func In(t *testing.T, folder string) Functions {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	functions := make(Functions)
	for _, path := range paths {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, declaration := range file.Decls {
			if function, ok := declaration.(*ast.FuncDecl); ok && function.Recv == nil && strings.HasPrefix(function.Name.Name, "Test") {
				functions[function.Name.Name] = function
			}
		}
	}
	return functions
}

// Has reports whether there is a test, and, unless sub is empty, a string literal in it as the name of a subtest is one.
func (f Functions) Has(test, sub string) bool {
	function := f[test]
	if function == nil || sub == "" {
		return function != nil
	}
	found := false
	ast.Inspect(function, func(node ast.Node) bool {
		if literal, ok := node.(*ast.BasicLit); ok && literal.Kind == token.STRING {
			value, err := strconv.Unquote(literal.Value)
			found = found || err == nil && value == sub
		}
		return !found
	})
	return found
}
