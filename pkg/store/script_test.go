package store_test

import (
	"io/fs"
	"path"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/store"
)

// TestScripts looks for what should have been filled in, and for parts that no script has.
func TestScripts(t *testing.T) {
	texts, err := store.ScriptTexts()
	require.NoError(t, err)
	require.Contains(t, texts, "join")
	left := regexp.MustCompile(`(?m)^[^-\n]*(@[A-Z_]+@|--@ |\b(ROOM|LOG|HELD|ROOMS|AWAY|HOLDERS|NAME|PREFIX|NODE|PEER|GENERATION|REQUEST)\b).*$`)
	for name, text := range texts {
		require.Empty(t, left.FindString(text), name)
	}

	used := map[string]bool{"prelude": true}
	var parts []string
	require.NoError(t, fs.WalkDir(store.ScriptFiles, "scripts", func(file string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		if path.Base(path.Dir(file)) == "parts" {
			parts = append(parts, strings.TrimSuffix(path.Base(file), ".lua"))
		}
		text, err := fs.ReadFile(store.ScriptFiles, file)
		for _, line := range regexp.MustCompile(`(?m)^ *--@ (.*)$`).FindAllSubmatch(text, -1) {
			for name := range strings.FieldsSeq(string(line[1])) {
				used[name] = true
			}
		}
		return err
	}))
	for _, part := range parts {
		require.True(t, used[part], "no script has the part %s", part)
	}
}
