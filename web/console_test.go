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

// TestConsoleMakesNoMarkupOfText guards what a name of a room or a user could become in an operator's browser.
func TestConsoleMakesNoMarkupOfText(t *testing.T) {
	t.Parallel()
	forbidden := regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function|DOMParser|setHTML|javascript:|srcdoc|localStorage|document\.cookie`)
	inline := regexp.MustCompile(`(?i)<style|\sstyle=|\son[a-z]+=|<script[^>]*>\s*[^<\s]`)
	names, err := fs.ReadDir(web.Console, "console")
	require.NoError(t, err)
	require.Greater(t, len(names), 5)
	for _, entry := range names {
		content, err := fs.ReadFile(web.Console, path.Join("console", entry.Name()))
		require.NoError(t, err)
		require.NotRegexp(t, forbidden, string(content), entry.Name())
		if strings.HasSuffix(entry.Name(), ".html") {
			require.NotRegexp(t, inline, string(content), entry.Name())
		}
	}
}

func TestConsoleSecurityPolicy(t *testing.T) {
	t.Parallel()
	policy := web.ConsoleHeaders["Content-Security-Policy"]
	require.Contains(t, policy, "default-src 'none'; script-src 'self'; ")
	require.Contains(t, policy, "require-trusted-types-for 'script'; trusted-types 'none'")
	require.Contains(t, policy, "frame-ancestors 'none'")
	require.NotContains(t, policy, "unsafe")
	require.NotContains(t, policy, "*")
	require.NotContains(t, policy, "ws:")
	require.NotEqual(t, policy, web.SecurityHeaders["Content-Security-Policy"], "the pages' own stays")
	_, err := fs.Stat(web.Files, "console")
	require.Error(t, err, "clients are not served the console")
}
