package wire_test

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

func protocolPage(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile("../../docs/protocol.md")
	require.NoError(t, err)
	return string(page)
}

// section gives the part of the page under one of its headings of the second level.
func section(t *testing.T, page, heading string) string {
	t.Helper()
	_, rest, found := strings.Cut(page, "\n## "+heading+"\n")
	require.True(t, found, "no section %q", heading)
	part, _, _ := strings.Cut(rest, "\n## ")
	return part
}

func TestPageNamesEveryRequest(t *testing.T) {
	part := section(t, protocolPage(t), "Requests")
	for _, typ := range wire.RequestTypes {
		require.Contains(t, part, fmt.Sprintf("\n### %s\n", typ))
	}
	require.Equal(t, len(wire.RequestTypes), strings.Count(part, "\n### "), "a heading of no request")
}

func TestPageNamesEveryEvent(t *testing.T) {
	part := section(t, protocolPage(t), "Events")
	named := make(map[string]bool)
	for _, row := range regexp.MustCompile("(?m)^\\| (`[^|]*`) \\|").FindAllStringSubmatch(part, -1) {
		for _, name := range strings.Split(row[1], ", ") {
			named[strings.Trim(name, "`")] = true
		}
	}
	for _, typ := range wire.EventTypes {
		require.True(t, named[string(typ)], "event %s", typ)
	}
	require.Len(t, named, len(wire.EventTypes), "a row of no event")
}

func TestPageNamesEveryErrorCode(t *testing.T) {
	part := section(t, protocolPage(t), "Error codes")
	rows := regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| (yes|no) \\|").FindAllStringSubmatch(part, -1)
	named := make(map[wire.Code]bool)
	for _, row := range rows {
		code := wire.Code(row[1])
		require.Equal(t, code.Retryable(), row[2] == "yes", code)
		named[code] = true
	}
	for _, code := range wire.Codes {
		require.True(t, named[code], "code %s", code)
	}
	require.Len(t, named, len(wire.Codes), "a row of no code")
}

func TestPageNamesEveryCloseCode(t *testing.T) {
	part := section(t, protocolPage(t), "Close codes")
	rows := regexp.MustCompile(`(?m)^\| ([0-9, ]+) \| .* \| (yes|no)[^|]*\|$`).FindAllStringSubmatch(part, -1)
	named := make(map[string]bool)
	for _, row := range rows {
		for _, number := range strings.Split(row[1], ", ") {
			var code wire.CloseCode
			_, err := fmt.Sscan(number, &code)
			require.NoError(t, err)
			require.Equal(t, code.Retryable(), row[2] == "yes", "%d", code)
			named[number] = true
		}
	}
	for code := range wire.CloseCodes {
		require.True(t, named[fmt.Sprint(int(code))], "close code %d", code)
	}
	require.Len(t, named, len(wire.CloseCodes), "a row of no close code")
}

// The page's examples are messages that the codec takes, without the ellipsis that shortens some of their strings.
func TestPageExamplesDecode(t *testing.T) {
	page := protocolPage(t)
	blocks := regexp.MustCompile("(?s)```json\n(.*?)```|`(\\{\"id\":.*?\\})`(?:[ ,.]|\n)").FindAllStringSubmatch(page, -1)
	requests := make(map[wire.Type]bool)
	server := 0
	for _, block := range blocks {
		decoder := json.NewDecoder(strings.NewReader(strings.ReplaceAll(block[1]+block[2], "…", "")))
		for decoder.More() {
			var message json.RawMessage
			require.NoError(t, decoder.Decode(&message), block[0])
			if !strings.HasPrefix(string(message), `{"id":`) {
				_, _, err := wire.DecodeServer(message)
				require.NoError(t, err, "%s", message)
				server++
				continue
			}
			request, err := wire.DecodeRequest(message, wire.Limits{})
			require.NoError(t, err, "%s", message)
			requests[request.Body.Type()] = true
		}
	}
	require.Len(t, requests, len(wire.RequestTypes), "requests with an example: %v", requests)
	require.GreaterOrEqual(t, server, 5)
}
