package app_test

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

	"github.com/stretchr/testify/require"
)

// The page's table of bad input names tests. One that was renamed or taken away would leave a promise that nothing
// proves.
func TestBadInputTableNamesTests(t *testing.T) {
	const root = "../../.."
	page, err := os.ReadFile(filepath.Join(root, "docs/protocol.md"))
	require.NoError(t, err)
	_, section, found := strings.Cut(string(page), "\n## Bad input\n")
	require.True(t, found)
	section, _, _ = strings.Cut(section, "\n## ")
	rows := regexp.MustCompile(`(?m)^\| (.+) \| (.+) \| ([a-z/]+) (Test\w+)(?:/(\w+))? \|$`).FindAllStringSubmatch(section, -1)
	require.Equal(t, strings.Count(section, "\n|")-2, len(rows), "a row that names no test")
	require.Greater(t, len(rows), 40)

	packages := make(map[string]map[string]*ast.FuncDecl)
	for _, row := range rows {
		folder, test, sub := row[3], row[4], row[5]
		if packages[folder] == nil {
			packages[folder] = testFunctions(t, filepath.Join(root, folder))
		}
		function := packages[folder][test]
		require.NotNil(t, function, "%s: no %s in %s", row[1], test, folder)
		if sub != "" {
			require.True(t, mentions(function, sub), "%s: no %s/%s in %s", row[1], test, sub, folder)
		}
	}
}

// testFunctions gives the test functions of a package.
func testFunctions(t *testing.T, folder string) map[string]*ast.FuncDecl {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
	require.NoError(t, err)
	functions := make(map[string]*ast.FuncDecl)
	for _, path := range paths {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		for _, declaration := range file.Decls {
			if function, ok := declaration.(*ast.FuncDecl); ok && function.Recv == nil && strings.HasPrefix(function.Name.Name, "Test") {
				functions[function.Name.Name] = function
			}
		}
	}
	return functions
}

// mentions reports whether a function has a string literal, as the name of a subtest is one.
func mentions(function *ast.FuncDecl, text string) bool {
	found := false
	ast.Inspect(function, func(node ast.Node) bool {
		if literal, ok := node.(*ast.BasicLit); ok && literal.Kind == token.STRING {
			value, err := strconv.Unquote(literal.Value)
			found = found || err == nil && value == text
		}
		return !found
	})
	return found
}
