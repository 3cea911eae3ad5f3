package target

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// history is a repository whose gateway prints the number of its revision: the first, one that does not build, and the last,
// of which the working tree differs.
func history(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	run := func(args ...string) {
		t.Helper()
		cmd := exec.Command("git", append([]string{
			"-c", "user.name=nobody", "-c", "user.email=nobody@example.org", "-c", "commit.gpgsign=false",
		}, args...)...)
		cmd.Dir = root
		output, err := cmd.CombinedOutput()
		require.NoError(t, err, string(output))
	}
	gateway := filepath.Join(root, gatewayPackage)
	write := func(text string) {
		t.Helper()
		require.NoError(t, os.MkdirAll(gateway, 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(gateway, "main.go"), []byte(text), 0o600))
	}
	require.NoError(t, os.WriteFile(filepath.Join(root, "go.mod"), []byte("module example.org/x\n\ngo 1.24\n"), 0o600))
	run("init", "--quiet", "--initial-branch=main")
	for _, text := range []string{program("first"), "package main\n\nfunc main() { broken() }\n", program("last")} {
		write(text)
		run("add", ".")
		run("commit", "--quiet", "--message", "change")
	}
	write(program("uncommitted"))
	return root
}

func program(says string) string {
	return "package main\n\nimport \"fmt\"\n\nfunc main() { fmt.Print(\"" + says + "\") }\n"
}

// requireNothingLeft has no worktree but the repository's own, and nothing in the folder for temporary files.
func requireNothingLeft(t *testing.T, root, temporary string) {
	t.Helper()
	worktrees, err := git(t.Context(), root, "worktree", "list", "--porcelain")
	require.NoError(t, err)
	require.Equal(t, 1, strings.Count(worktrees, "worktree "), worktrees)
	left, err := filepath.Glob(filepath.Join(temporary, "loadtest-revision-*"))
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestBuildRevision(t *testing.T) {
	root, temporary := history(t), t.TempDir()
	t.Setenv("TMPDIR", temporary)
	file := filepath.Join(t.TempDir(), "gateway")
	says := func() string {
		t.Helper()
		output, err := exec.Command(file).Output()
		require.NoError(t, err)
		return string(output)
	}

	t.Run("Earlier", func(t *testing.T) {
		commit, err := BuildRevision(t.Context(), root, "HEAD~2", file)
		require.NoError(t, err)
		require.NotEmpty(t, commit)
		require.Equal(t, "first", says())
		requireNothingLeft(t, root, temporary)
	})
	t.Run("Tree", func(t *testing.T) {
		require.NoError(t, BuildTree(t.Context(), root, file))
		require.Equal(t, "uncommitted", says())
	})
	t.Run("ThereIsNone", func(t *testing.T) {
		for _, revision := range []string{"HEAD~3", "no-such-branch", "", "--all"} {
			_, err := BuildRevision(t.Context(), root, revision, file)
			var unknown *RevisionError
			require.ErrorAs(t, err, &unknown)
			require.ErrorContains(t, err, "there is no revision")
			requireNothingLeft(t, root, temporary)
		}
	})
	t.Run("DoesNotBuild", func(t *testing.T) {
		_, err := BuildRevision(t.Context(), root, "HEAD~1", file)
		var broken *BuildError
		require.ErrorAs(t, err, &broken)
		require.ErrorContains(t, err, "HEAD~1")
		require.ErrorContains(t, err, "undefined: broken")
		requireNothingLeft(t, root, temporary)
	})
}

// An interrupt leaves no worktree behind either, whatever was under way.
func TestBuildRevisionCalledOff(t *testing.T) {
	root, temporary := history(t), t.TempDir()
	t.Setenv("TMPDIR", temporary)
	ctx, cancel := context.WithCancel(t.Context())
	built := make(chan error, 1)
	go func() {
		_, err := BuildRevision(ctx, root, "HEAD", filepath.Join(temporary, "gateway"))
		built <- err
	}()
	// Called off once the worktree is there, or is being made.
	require.Eventually(t, func() bool {
		found, err := filepath.Glob(filepath.Join(temporary, "loadtest-revision-*", "source"))
		return err == nil && len(found) > 0 || len(built) > 0
	}, time.Minute, time.Millisecond)
	cancel()
	if err := <-built; err != nil { // it may have been quicker
		require.ErrorIs(t, err, context.Canceled)
	}
	requireNothingLeft(t, root, temporary)
}

func TestRepository(t *testing.T) {
	root := history(t)
	found, err := Repository(t.Context(), filepath.Join(root, gatewayPackage))
	require.NoError(t, err)
	require.Equal(t, root, found)
	_, err = Repository(t.Context(), t.TempDir())
	require.ErrorContains(t, err, "find the repository")
}
