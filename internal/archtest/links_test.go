package archtest

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"
)

var (
	inlineLink    = regexp.MustCompile(`\]\(\s*<?([^)\s>]+)>?(?:\s+"[^"]*")?\s*\)`)
	referenceLink = regexp.MustCompile(`(?m)^ {0,3}\[[^\]]+\]:\s*<?(\S+?)>?(?:\s+"[^"]*")?\s*$`)
	htmlLink      = regexp.MustCompile(`(?i)\b(?:src|href|srcset)="([^"]+)"`)
	inlineCode    = regexp.MustCompile("`[^`\n]*`")
	scheme        = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9+.-]*:`)
	heading       = regexp.MustCompile(`(?m)^#{1,6}\s+(.+?)\s*#*$`)
	explicitID    = regexp.MustCompile(`\b(?:id|name)="([^"]+)"`)
	linkInHeading = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)
)

// Relative links of the docs lead to files and headings that exist.
func TestLinksInTheDocs(t *testing.T) {
	for _, path := range sourceFiles(t, ".md") {
		for _, finding := range linkFindings(t, filepath.Join(root, path)) {
			t.Error(finding)
		}
	}
}

func TestLinkRulesFindWhatTheyShould(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	write("other.md", "# Title\n\n## What's `new`, and why?\n\n## Twice\n\n## Twice\n\n```\n# not a heading\n```\n<a id=\"own\"></a>\n")
	write("sub/page.md", "# Sub\n")
	for _, tc := range []struct {
		text string
		ok   bool
	}{
		{"[a](other.md)", true},
		{"[a](other.md \"title\")", true},
		{"[a](./sub/page.md#sub)", true},
		{"[a](sub)", true},
		{"[a](other.md#whats-new-and-why)", true},
		{"[a](other.md#twice-1)", true},
		{"[a](other.md#own)", true},
		{"# Here\n[a](#here)", true},
		{"[a](https://example.org/none) <mailto:x@example.org>", true},
		{"`[a](none.md)`", true},
		{"```\n[a](none.md)\n```", true},
		{"[a]\n\n[a]: other.md", true},
		{"![a](none.png)", false},
		{"[a](none.md)", false},
		{"[a](/other.md)", false},
		{"[a](other.md#none)", false},
		{"[a](other.md#not-a-heading)", false},
		{"[a](#none)", false},
		{"[a]\n\n[a]: none.md", false},
		{"<img src=\"none.svg\">", false},
		{"[![badge](none.svg)](other.md)", false},
	} {
		t.Run(tc.text, func(t *testing.T) {
			write("case.md", tc.text)
			findings := linkFindings(t, filepath.Join(dir, "case.md"))
			if tc.ok {
				require.Empty(t, findings)
			} else {
				require.Len(t, findings, 1)
			}
		})
	}
}

// linkFindings returns the dead relative links of one Markdown file. Links with a scheme are left
// alone: tests do not reach out.
func linkFindings(t *testing.T, path string) []string {
	t.Helper()
	text := prose(t, path)
	var targets []string
	for _, pattern := range []*regexp.Regexp{inlineLink, referenceLink, htmlLink} {
		for _, match := range pattern.FindAllStringSubmatch(inlineCode.ReplaceAllString(text, ""), -1) {
			targets = append(targets, match[1])
		}
	}
	var findings []string
	for _, target := range targets {
		if scheme.MatchString(target) {
			continue
		}
		if problem := followLink(t, path, target); problem != "" {
			findings = append(findings, fmt.Sprintf("%s: link %s: %s", path, target, problem))
		}
	}
	return findings
}

// followLink returns what is wrong with a relative link, or "".
func followLink(t *testing.T, from, target string) string {
	t.Helper()
	file, anchor, _ := strings.Cut(target, "#")
	file, err := url.PathUnescape(file)
	if err != nil {
		return err.Error()
	}
	if strings.HasPrefix(file, "/") {
		return "is not relative"
	}
	to := from
	if file != "" {
		to = filepath.Join(filepath.Dir(from), filepath.FromSlash(file))
	}
	if _, err := os.Stat(to); err != nil {
		return "no such file"
	}
	if anchor == "" || filepath.Ext(to) != ".md" {
		return ""
	}
	if !anchors(prose(t, to))[anchor] {
		return "no such heading"
	}
	return ""
}

// prose reads a Markdown file without its fenced code.
func prose(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	var kept strings.Builder
	fence := ""
	for line := range strings.Lines(string(text)) {
		trimmed := strings.TrimSpace(line)
		switch {
		case fence == "" && (strings.HasPrefix(trimmed, "```") || strings.HasPrefix(trimmed, "~~~")):
			fence = trimmed[:3]
		case fence != "" && strings.HasPrefix(trimmed, fence):
			fence = ""
		case fence == "":
			kept.WriteString(line)
		}
	}
	return kept.String()
}

// anchors returns the fragments under which a page's headings are reached: lower case, punctuation
// dropped, blanks as hyphens, repeated ones numbered, as Git hosts render them.
func anchors(text string) map[string]bool {
	found := map[string]bool{}
	for _, match := range explicitID.FindAllStringSubmatch(text, -1) {
		found[match[1]] = true
	}
	count := map[string]int{}
	for _, match := range heading.FindAllStringSubmatch(text, -1) {
		title := linkInHeading.ReplaceAllString(match[1], "$1")
		slug := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
				return unicode.ToLower(r)
			}
			return -1
		}, title)
		if n := count[slug]; n > 0 {
			found[fmt.Sprintf("%s-%d", slug, n)] = true
		} else {
			found[slug] = true
		}
		count[slug]++
	}
	return found
}
