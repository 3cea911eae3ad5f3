package wire

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Spotlight is a rotation: from Start on every peer of Order is on for Interval, one after the other, again and again. The server keeps
// nothing else of it and tells nobody whose turn it is: every client computes it from the server's time, which costs no message, and
// which no gateway's end disturbs.
type Spotlight struct {
	// Start is when the first peer's first turn began, in Unix milliseconds of the server's clock ([Welcome].Time, [Pong].Time). 0
	// in a request is now.
	Start int64 `json:"start"`
	// Interval is a turn's length in milliseconds, 1000 to 86400000.
	Interval int64 `json:"interval"`
	// Order are 1 to 500 peer ids.
	Order []string `json:"order"`
}

const (
	minSpotlightInterval = 1000
	maxSpotlightInterval = 24 * 60 * 60 * 1000
	maxSpotlightOrder    = 500
)

// ParseSpotlight reads a rotation. The error is an [*Error] with the code bad_request.
func ParseSpotlight(raw json.RawMessage) (*Spotlight, error) {
	s, refusal := parseSpotlight(raw)
	if refusal != nil {
		return nil, refusal
	}
	return s, nil
}

func parseSpotlight(raw json.RawMessage) (*Spotlight, *Error) {
	var s Spotlight
	bad := func(format string, args ...any) (*Spotlight, *Error) {
		return nil, Errorf(CodeBadRequest, "spotlight: "+format, args...)
	}
	if err := json.Unmarshal(raw, &s); err != nil {
		return bad("start and interval are whole numbers, order is a list of peer ids")
	}
	switch {
	case s.Start < 0 || s.Start > maxInteger:
		return bad("start must be a time in milliseconds since 1970")
	case s.Interval < minSpotlightInterval || s.Interval > maxSpotlightInterval:
		return bad("interval must be %d to %d milliseconds", minSpotlightInterval, maxSpotlightInterval)
	case len(s.Order) == 0 || len(s.Order) > maxSpotlightOrder:
		return bad("order must have 1 to %d peers", maxSpotlightOrder)
	}
	for _, peer := range s.Order {
		if !ValidID(peer) {
			return bad("order has what is no peer's id")
		}
	}
	return &s, nil
}

// Append appends the rotation as it is sent.
func (s *Spotlight) Append(b []byte) []byte {
	return fmt.Appendf(b, `{"start":%d,"interval":%d,"order":["%s"]}`, s.Start, s.Interval, strings.Join(s.Order, `","`)) // ids need no escaping
}

// On gives the peer that is on at a time, in Unix milliseconds of the server's clock. Before the start it is the first one. When
// the one whose turn it is has left, or never came, it is the next one in the order who is there; "" when nobody is.
func (s *Spotlight) On(now int64, here func(peer string) bool) string {
	turn := int(max(now-s.Start, 0) / s.Interval % int64(len(s.Order)))
	for i := range s.Order {
		if peer := s.Order[(turn+i)%len(s.Order)]; here(peer) {
			return peer
		}
	}
	return ""
}
