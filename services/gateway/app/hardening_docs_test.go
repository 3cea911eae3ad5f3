package app_test

import (
	"testing"

	"github.com/signalbox-rtc/signalbox/internal/testnames"
)

// The page's table of bad input names tests.
func TestBadInputTableNamesTests(t *testing.T) {
	testnames.Table(t, "../../..", "docs/protocol.md", "Bad input", 40)
}
