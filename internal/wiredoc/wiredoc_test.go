package wiredoc_test

import (
	"flag"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/internal/wiredoc"
)

const (
	wireFolder   = "../../pkg/wire"
	pageFile     = "../../docs/protocol-reference.md"
	documentFile = "../../docs/asyncapi.yaml"
)

var update = flag.Bool("update", false, "write docs/protocol-reference.md and docs/asyncapi.yaml anew")

func read(t *testing.T) *wiredoc.Protocol {
	t.Helper()
	protocol, err := wiredoc.Read(wireFolder)
	require.NoError(t, err)
	return protocol
}

func TestReference(t *testing.T) {
	configuration, err := os.ReadFile("../../docs/configuration.md")
	require.NoError(t, err)
	page, err := read(t).Page(configuration)
	require.NoError(t, err)
	requireFile(t, pageFile, page)
}

func TestDocument(t *testing.T) {
	document, err := read(t).AsyncAPI()
	require.NoError(t, err)
	requireFile(t, documentFile, document)
}

func requireFile(t *testing.T, path string, want []byte) {
	t.Helper()
	if *update {
		require.NoError(t, os.WriteFile(path, want, 0o644))
		return
	}
	got, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), string(got), "%s is out of date: go test ./internal/wiredoc -update", path)
}
