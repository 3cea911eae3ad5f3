package web_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io/fs"
	"maps"
	"os"
	"path"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/web"
)

// stockClients are the npm packages, by their name in the lock file, that third_party holds files of.
var stockClients = []string{"socket.io-client", "socket.io-client-2"}

// TestThirdPartyIsAsCopied guards the copies against a hand that slips: what browsers run is what was published.
func TestThirdPartyIsAsCopied(t *testing.T) {
	t.Parallel()
	list, err := os.ReadFile("third_party/SHA256SUMS")
	require.NoError(t, err)
	want := map[string]string{}
	for line := range strings.Lines(string(list)) {
		sum, name, ok := strings.Cut(strings.TrimSpace(line), "  ")
		require.True(t, ok, line)
		want["third_party/"+name] = sum
	}
	got := map[string]string{}
	for name, content := range thirdParty(t) {
		sum := sha256.Sum256(content)
		got[name] = hex.EncodeToString(sum[:])
	}
	require.Equal(t, want, got, "run make vendor, and look at what changes")
}

// TestThirdPartyIsWhatTheLockSays compares the copies with the packages that npm has verified.
func TestThirdPartyIsWhatTheLockSays(t *testing.T) {
	t.Parallel()
	var lock struct {
		Packages map[string]struct{ Version string }
	}
	decodeFile(t, "third_party/package-lock.json", &lock)
	packages := map[string]string{} // folder of the copies to folder of the package
	for _, name := range stockClients {
		folder := "node_modules/" + name
		version := lock.Packages[folder].Version
		require.NotEmpty(t, version, folder)
		packages["third_party/socket.io-client/"+version] = "third_party/" + folder
	}
	require.Contains(t, packages, web.SocketIOClient)
	copies := thirdParty(t)
	requireCharts(t, lock.Packages["node_modules/uplot"].Version, copies)
	maps.DeleteFunc(copies, func(name string, _ []byte) bool { return path.Dir(name) == "third_party/uplot" })
	for folder := range packages {
		require.Contains(t, copies, folder+"/LICENSE")
		require.Contains(t, copies, folder+"/socket.io.js")
	}
	for name := range copies {
		require.Contains(t, packages, path.Dir(name), "%s is of no package of the lock file", name)
	}

	if _, err := os.Stat("third_party/node_modules"); err != nil {
		t.Skip("the packages are not installed (npm ci in web/third_party does that): their files are compared by checksum alone")
	}
	for folder, source := range packages {
		var installed struct{ Version string }
		decodeFile(t, source+"/package.json", &installed)
		require.Equal(t, path.Base(folder), installed.Version, "%s is not what the lock file says: run npm ci in web/third_party", source)
	}
	for name, content := range copies {
		file := path.Join(packages[path.Dir(name)], "dist", path.Base(name))
		if path.Base(name) == "LICENSE" {
			file = path.Join(packages[path.Dir(name)], "LICENSE")
		}
		original, err := os.ReadFile(file)
		require.NoError(t, err)
		require.True(t, bytes.Equal(original, content), "%s differs from %s: run make vendor", name, file)
	}
}

// requireCharts compares the copies of uPlot, which has one version, with its package.
func requireCharts(t *testing.T, version string, copies map[string][]byte) {
	t.Helper()
	require.NotEmpty(t, version)
	for name, source := range map[string]string{"uplot.js": "dist/uPlot.iife.min.js", "uplot.css": "dist/uPlot.min.css", "LICENSE-uplot": "LICENSE"} {
		content := copies["third_party/uplot/"+name]
		require.NotEmpty(t, content, name)
		original, err := os.ReadFile("third_party/node_modules/uplot/" + source)
		if os.IsNotExist(err) {
			continue // not installed: the checksum has to do
		}
		require.NoError(t, err)
		require.True(t, bytes.Equal(original, content), "%s differs from uPlot %s: run make vendor", name, version)
	}
}

// thirdParty gives the embedded files below third_party, by name.
func thirdParty(t *testing.T) map[string][]byte {
	t.Helper()
	contents := map[string][]byte{}
	for _, files := range []fs.FS{web.Files, web.Console} {
		require.NoError(t, fs.WalkDir(files, "third_party", func(name string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			contents[name], err = fs.ReadFile(files, name)
			return err
		}))
	}
	require.NotEmpty(t, contents)
	return contents
}

func decodeFile(t *testing.T, name string, into any) {
	t.Helper()
	content, err := os.ReadFile(name)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(content, into))
}
