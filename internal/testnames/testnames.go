// Package testnames finds test functions by name, for tests that hold the documentation to the tests it names.
package testnames

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
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

// Packages are test functions by the folders of their packages, as a table names them.
type Packages map[string]Functions

// row is one whose last column names a package of the repository and a test of it, with or without a subtest.
var row = regexp.MustCompile(`(?m)^\| (.+) \| (.+) \| ([a-z/]+) (Test\w+)(?:/(\w+))? \|$`)

// Table holds the table below a heading of a page to the tests that its rows name, of which there have to be more than least: one that was
// renamed or taken away would leave a promise that nothing proves. It gives which tests are named, as "package Test", and the packages.
func Table(t *testing.T, root, page, heading string, least int) (named map[string]bool, packages Packages) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, page))
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(text), "\n## "+heading+"\n")
	if !found {
		t.Fatalf("%s has no %q", page, heading)
	}
	section, _, _ = strings.Cut(section, "\n## ")
	rows := row.FindAllStringSubmatch(section, -1)
	if lines := strings.Count(section, "\n|") - 2; lines != len(rows) || lines <= least {
		t.Fatalf("%s, %s: %d rows, of which %d name a test; more than %d should, and all", page, heading, lines, len(rows), least)
	}
	named, packages = make(map[string]bool), make(Packages)
	for _, columns := range rows {
		folder, test, sub := columns[3], columns[4], columns[5]
		if packages[folder] == nil {
			packages[folder] = In(t, filepath.Join(root, folder))
		}
		if !packages[folder].Has(test, sub) {
			t.Fatalf("%s: no %s/%s in %s", columns[1], test, sub, folder)
		}
		named[folder+" "+test] = true
	}
	return named, packages
}
