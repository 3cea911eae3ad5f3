package target

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// gatewayPackage is where the gateway is, from the top of the repository.
const gatewayPackage = "./services/gateway"

// RevisionError is a revision that the repository does not have.
type RevisionError struct{ Revision, Root string }

func (e *RevisionError) Error() string {
	return fmt.Sprintf("there is no revision %q in %s; `git log --oneline` names some", e.Revision, e.Root)
}

// BuildError is a gateway that does not build.
type BuildError struct{ What, Output string }

func (e *BuildError) Error() string {
	return fmt.Sprintf("the gateway of %s does not build:\n%s", e.What, e.Output)
}

// Repository gives the top of the repository that a folder is in.
func Repository(ctx context.Context, folder string) (string, error) {
	root, err := git(ctx, folder, "rev-parse", "--show-toplevel")
	if err != nil {
		return "", fmt.Errorf("find the repository of %s: %w", folder, err)
	}
	return root, nil
}

// Describe names the revision of the working tree that a folder is in, as git does, and "" where there is none.
func Describe(ctx context.Context, folder string) string {
	name, err := git(ctx, folder, "describe", "--tags", "--always", "--dirty")
	if err != nil {
		return "" // a release without its repository
	}
	return name
}

// BuildTree builds the gateway of a repository's working tree, as it is, into a file.
func BuildTree(ctx context.Context, root, file string) error {
	return buildGateway(ctx, "the working tree", root, file)
}

// BuildRevision builds the gateway of one of a repository's revisions into a file, out of a worktree that is gone when it
// returns, and gives the short name of the commit.
func BuildRevision(ctx context.Context, root, revision, file string) (commit string, err error) {
	hash, err := git(ctx, root, "rev-parse", "--verify", "--quiet", "--end-of-options", revision+"^{commit}")
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	if err != nil {
		return "", &RevisionError{Revision: revision, Root: root}
	}
	if commit, err = git(ctx, root, "rev-parse", "--short", hash); err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "loadtest-revision-")
	if err != nil {
		return "", err
	}
	source := filepath.Join(dir, "source")
	defer func() {
		// Also when ctx has ended: the repository is not to keep a worktree that nobody knows of.
		err = errors.Join(err, removeWorktree(context.WithoutCancel(ctx), root, source), os.RemoveAll(dir))
	}()
	if _, err := git(ctx, root, "worktree", "add", "--detach", "--quiet", source, hash); err != nil {
		return "", fmt.Errorf("check %s out: %w", revision, err)
	}
	return commit, buildGateway(ctx, fmt.Sprintf("%s (%s)", revision, commit), source, file)
}

// removeWorktree removes what there is of a worktree: a checkout that was called off may have left a part of one.
func removeWorktree(ctx context.Context, root, source string) error {
	if _, err := git(ctx, root, "worktree", "remove", "--force", source); err == nil {
		return nil
	}
	if err := os.RemoveAll(source); err != nil {
		return err
	}
	_, err := git(ctx, root, "worktree", "prune")
	return err
}

// buildGateway builds both sides of a comparison alike, and as a release is built. What git knows stays out of the program:
// the sides differ in it, and not in what is measured.
func buildGateway(ctx context.Context, what, root, file string) error {
	cmd := command(ctx, root, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", file, gatewayPackage)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	output, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return &BuildError{What: what, Output: strings.TrimSpace(string(output) + "\n" + err.Error())}
	}
	return nil
}

// git runs git in a folder and gives what it printed.
func git(ctx context.Context, folder string, args ...string) (string, error) {
	output, err := command(ctx, folder, "git", args...).Output()
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	if err != nil {
		text := err.Error()
		if exit := new(exec.ExitError); errors.As(err, &exit) && len(exit.Stderr) > 0 {
			text = strings.TrimSpace(string(exit.Stderr))
		}
		return "", fmt.Errorf("git %s: %s", args[0], text)
	}
	return strings.TrimSpace(string(output)), nil
}

// endTime is for a program that was told to end.
const endTime = 5 * time.Second

// command makes a program that is told to end, and does not leave its own children behind, when ctx ends.
func command(ctx context.Context, folder, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = folder
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = endTime
	return cmd
}
