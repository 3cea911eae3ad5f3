package archtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// goPackage is what these tests need of `go list -json`.
type goPackage struct {
	ImportPath   string
	Name         string
	Dir          string
	Doc          string
	Imports      []string
	TestImports  []string
	XTestImports []string
	TestGoFiles  []string
	XTestGoFiles []string
}

// root is the top folder of the repository, seen from this package.
var root = filepath.Join("..", "..")

// listOnce runs go list a single time for all tests.
var listOnce = sync.OnceValues(func() ([]goPackage, error) {
	cmd := exec.Command("go", "list", "-e", "-json=ImportPath,Name,Dir,Doc,Imports,TestImports,XTestImports,TestGoFiles,XTestGoFiles", "./...")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		return nil, err
	}
	var packages []goPackage
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p goPackage
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return packages, nil
		} else if err != nil {
			return nil, err
		}
		packages = append(packages, p)
	}
})

func listPackages(t *testing.T) []goPackage {
	t.Helper()
	packages, err := listOnce()
	require.NoError(t, err)
	return packages
}

// sourceFiles returns the repository's files whose names end so, relative to root. Folders that
// git does not keep are passed over.
func sourceFiles(t *testing.T, suffix string) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			switch entry.Name() {
			case ".git", "node_modules", "bin", "coverage", "test-results":
				return filepath.SkipDir
			}
			return nil
		}
		if strings.HasSuffix(path, suffix) {
			rel, err := filepath.Rel(root, path)
			if err != nil {
				return err
			}
			files = append(files, rel)
		}
		return nil
	})
	require.NoError(t, err)
	require.NotEmpty(t, files)
	return files
}

// Every package says in its comment what it is for. A package of tests alone says it in one of them.
func TestEveryPackageHasAComment(t *testing.T) {
	for _, p := range listPackages(t) {
		doc := p.Doc
		for _, name := range append(p.TestGoFiles, p.XTestGoFiles...) {
			if doc != "" {
				break
			}
			file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil, parser.PackageClauseOnly|parser.ParseComments)
			if err != nil {
				t.Error(err)
				continue
			}
			doc = file.Doc.Text()
		}
		switch {
		case doc == "":
			t.Errorf("%s has no package comment", p.ImportPath)
		case p.Name != "main" && !strings.HasPrefix(doc, "Package "+strings.TrimSuffix(p.Name, "_test")+" "):
			t.Errorf("%s: the package comment must begin with \"Package %s \", it is %q", p.ImportPath, p.Name, doc)
		}
	}
}
