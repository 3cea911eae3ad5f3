package archtest

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// maxLines is where a file is refused. Past 500 already, look for the missing piece.
const maxLines = 600

func TestNoFileIsTooLong(t *testing.T) {
	for _, path := range sourceFiles(t, ".go") {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(root, path))
		require.NoError(t, err)
		if lines := bytes.Count(text, []byte("\n")); lines > maxLines {
			t.Errorf("%s has %d lines, more than %d: is a piece of its own hidden in it?", path, lines, maxLines)
		}
	}
}

// A test that sleeps to wait is slow on a fast machine and fails on a slow one. On fake time a sleep
// is neither, so it is let pass inside a bubble.
func TestNoTestSleeps(t *testing.T) {
	// All of it runs in one bubble, which its functions do not show.
	const onFakeTime = "test/sim"

	byFolder := map[string]map[string][]byte{}
	for _, path := range sourceFiles(t, "_test.go") {
		text, err := os.ReadFile(filepath.Join(root, path))
		require.NoError(t, err)
		folder := filepath.Dir(path)
		if byFolder[folder] == nil {
			byFolder[folder] = map[string][]byte{}
		}
		byFolder[folder][path] = text
	}
	delete(byFolder, onFakeTime)
	for _, sources := range byFolder {
		findings, err := sleepFindings(sources)
		require.NoError(t, err)
		for _, finding := range findings {
			t.Error(finding)
		}
	}
}

func TestSleepRuleFindsWhatItShould(t *testing.T) {
	const head = "package x\nimport (\"testing\"; \"testing/synctest\"; \"time\")\n"
	for _, tc := range []struct {
		name, source string
		want         int
	}{
		{"plain", "func TestX(t *testing.T) { time.Sleep(1) }", 1},
		{"in a goroutine", "func TestX(t *testing.T) { go func() { time.Sleep(1) }() }", 1},
		{"beside a bubble", "func TestX(t *testing.T) { synctest.Test(t, func(t *testing.T) {}); time.Sleep(1) }", 1},
		{"in a helper", "func wait() { time.Sleep(1) }", 1},
		{"in a bubble", "func TestX(t *testing.T) { synctest.Test(t, func(t *testing.T) { go func() { time.Sleep(1) }() }) }", 0},
		{
			"in a bubble that a helper makes",
			"func bubble(t *testing.T, f func(*testing.T)) { synctest.Test(t, f) }\n" +
				"func TestX(t *testing.T) { bubble(t, func(t *testing.T) { time.Sleep(1) }) }",
			0,
		},
		{
			"in a bubble that a helper makes through another",
			"func inner(t *testing.T, f func(*testing.T)) { synctest.Test(t, f) }\n" +
				"func outer(t *testing.T, f func(*testing.T)) { inner(t, f) }\n" +
				"func TestX(t *testing.T) { outer(t, func(t *testing.T) { time.Sleep(1) }) }",
			0,
		},
		{
			"in a bubble that a variable makes",
			"func TestX(t *testing.T) { run := func(f func(*testing.T)) { synctest.Test(t, f) }\n" +
				"run(func(t *testing.T) { time.Sleep(1) }) }",
			0,
		},
		{
			"in a function that a variable holds",
			"func TestX(t *testing.T) { run := func(f func()) { f() }; run(func() { time.Sleep(1) }) }",
			1,
		},
		{"only the name", "func TestX(t *testing.T) { t.Log(\"time.Sleep(1)\") }", 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			findings, err := sleepFindings(map[string][]byte{"x_test.go": []byte(head + tc.source)})
			require.NoError(t, err)
			require.Len(t, findings, tc.want)
		})
	}
}

// sleepFindings returns the calls of time.Sleep in one folder's test files that are not inside a
// function literal passed to synctest.Test or to a function of these files that calls it.
func sleepFindings(sources map[string][]byte) ([]string, error) {
	set := token.NewFileSet()
	var files []*ast.File
	bubbles := map[string]bool{"synctest.Test": true, "memredis.Bubble": true}
	for path, text := range sources {
		file, err := parser.ParseFile(set, path, text, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		files = append(files, file)
	}
	// A helper may make its bubble through another one: mark until nothing is new.
	for known := 0; known < len(bubbles); {
		known = len(bubbles)
		for _, file := range files {
			markBubbles(file, bubbles)
		}
	}
	var findings []string
	for _, file := range files {
		ast.Inspect(file, func(node ast.Node) bool {
			call, ok := node.(*ast.CallExpr)
			if !ok {
				return true
			}
			name := callee(call)
			if name == "time.Sleep" {
				findings = append(findings, fmt.Sprintf("%s: time.Sleep in a test: poll a condition with a deadline, or use testing/synctest", set.Position(call.Pos())))
			}
			return !bubbles[name]
		})
	}
	return findings, nil
}

// markBubbles notes the functions of a file, declared or assigned to a variable, that make a bubble, by themselves or
// through a function that is noted already.
func markBubbles(file *ast.File, bubbles map[string]bool) {
	ast.Inspect(file, func(node ast.Node) bool {
		switch node := node.(type) {
		case *ast.FuncDecl:
			if callsAny(node, bubbles) {
				bubbles[node.Name.Name] = true
			}
		case *ast.AssignStmt:
			name, isName := node.Lhs[0].(*ast.Ident)
			function, isFunction := node.Rhs[0].(*ast.FuncLit)
			if isName && isFunction && callsAny(function, bubbles) {
				bubbles[name.Name] = true
			}
		}
		return true
	})
}

func callsAny(within ast.Node, names map[string]bool) bool {
	found := false
	ast.Inspect(within, func(node ast.Node) bool {
		if call, ok := node.(*ast.CallExpr); ok && names[callee(call)] {
			found = true
		}
		return !found
	})
	return found
}

// callee returns the name of what is called as it is written: f or pkg.f.
func callee(call *ast.CallExpr) string {
	switch function := call.Fun.(type) {
	case *ast.Ident:
		return function.Name
	case *ast.SelectorExpr:
		if qualifier, ok := function.X.(*ast.Ident); ok {
			return qualifier.Name + "." + function.Sel.Name
		}
	}
	return ""
}
