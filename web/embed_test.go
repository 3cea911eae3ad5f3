package web_test

import (
	"io/fs"
	"path"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/web"
)

// TestPagesNeedNothingInline guards what the content security policy would stop only in the browser, and silently for
// everybody but the one who looks at the console.
func TestPagesNeedNothingInline(t *testing.T) {
	t.Parallel()
	forbidden := map[string]*regexp.Regexp{
		"inline script":    regexp.MustCompile(`(?i)<script(?:[^>]*)>\s*[^<\s]`),
		"script not of us": regexp.MustCompile(`(?i)<script[^>]*src="(?:https?:)?//`),
		"event attribute":  regexp.MustCompile(`(?i)<[^>]+\son[a-z]+\s*=`),
		"inline style":     regexp.MustCompile(`(?i)<style|<[^>]+\sstyle\s*=`),
		"javascript: link": regexp.MustCompile(`(?i)javascript:`),
	}
	for name, content := range files(t, ".html", ".svg") {
		for what, pattern := range forbidden {
			require.NotRegexp(t, pattern, content, "%s: %s", name, what)
		}
	}
}

// TestReferencesLeadSomewhere looks at every file that a page, a script or a sheet names.
func TestReferencesLeadSomewhere(t *testing.T) {
	t.Parallel()
	reference := regexp.MustCompile(`(?:href="|src="|from '|file: '|icons\.svg#)([^"'$]*)`)
	icons, err := fs.ReadFile(web.Files, "icons.svg")
	require.NoError(t, err)
	found := 0
	for name, content := range files(t, ".html", ".js", ".css") {
		for _, match := range reference.FindAllStringSubmatch(content, -1) {
			file, icon, isIcon := strings.Cut(strings.TrimPrefix(match[1], "./"), "#")
			if file == "" || strings.HasPrefix(file, "/sdk/") {
				continue
			}
			found++
			if !strings.Contains(file, ".") {
				continue // an icon's name behind "icons.svg#"
			}
			_, err := fs.Stat(web.Files, path.Clean(file))
			require.NoError(t, err, "%s names %s", name, match[1])
			if isIcon {
				require.Contains(t, string(icons), `id="`+icon+`"`, "%s names %s", name, match[1])
			}
		}
	}
	require.Greater(t, found, 20)
}

func TestSecurityHeaders(t *testing.T) {
	t.Parallel()
	directives := map[string]string{}
	for directive := range strings.SplitSeq(web.ContentSecurityPolicy, "; ") {
		name, value, _ := strings.Cut(directive, " ")
		directives[name] = value
	}
	for name, want := range map[string]string{
		"default-src": "'self'", "script-src": "'self'", "style-src": "'self'", "frame-ancestors": "'none'", "base-uri": "'none'", "form-action": "'none'",
	} {
		require.Equal(t, want, directives[name], name)
	}
	require.NotContains(t, web.ContentSecurityPolicy, "unsafe")
	require.NotContains(t, web.ContentSecurityPolicy, "*")
	require.Contains(t, web.PermissionsPolicy, "camera=(self), microphone=(self)")
	for name, value := range web.SecurityHeaders {
		require.NotEmpty(t, value, name)
		require.NotContains(t, value, "\n", name)
	}
}

// files gives the contents of our own embedded files with one of the extensions, by name.
func files(t *testing.T, extensions ...string) map[string]string {
	t.Helper()
	contents := map[string]string{}
	require.NoError(t, fs.WalkDir(web.Files, ".", func(name string, entry fs.DirEntry, err error) error {
		if name == "third_party" {
			return fs.SkipDir
		}
		for _, extension := range extensions {
			if err == nil && path.Ext(name) == extension {
				content, readErr := fs.ReadFile(web.Files, name)
				contents[name] = string(content)
				err = readErr
			}
		}
		return err
	}))
	require.NotEmpty(t, contents)
	return contents
}
