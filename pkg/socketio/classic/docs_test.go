package classic

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The page is the contract: its tables name the events of both directions, and no others.
func TestPageNamesEveryEvent(t *testing.T) {
	page, err := os.ReadFile("../../../docs/classic.md")
	require.NoError(t, err)
	for heading, want := range map[string][]string{
		"From the client": {eventJoin, eventLeave, eventMessage, eventRoomInfo, eventControl, eventICEServers},
		"From the server": {
			eventJoined, eventOtherJoin, eventFull, eventError, eventMessage, eventLeaved, eventBye, eventControl, eventICE},
	} {
		_, rest, found := strings.Cut(string(page), "\n## "+heading+"\n")
		require.True(t, found, heading)
		part, _, _ := strings.Cut(rest, "\n## ")
		named := make(map[string]bool)
		for _, row := range regexp.MustCompile("(?m)^\\| `([a-z-]+)\\(").FindAllStringSubmatch(part, -1) {
			named[row[1]] = true
		}
		for _, event := range want {
			require.True(t, named[event], "%s: %s", heading, event)
		}
		require.Len(t, named, len(want), "%s: %v", heading, named)
	}
	require.Contains(t, string(page), "signalbox_classic_events_total")
}
