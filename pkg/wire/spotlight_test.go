package wire_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

func TestSpotlightOn(t *testing.T) {
	s := &wire.Spotlight{Start: 10_000, Interval: 2000, Order: []string{"a", "b", "c"}}
	everybody := func(string) bool { return true }
	for now, want := range map[int64]string{0: "a", 10_000: "a", 11_999: "a", 12_000: "b", 15_999: "c", 16_000: "a", 10_000 + 2000*3_000_001: "b"} {
		require.Equal(t, want, s.On(now, everybody), now)
	}
	require.Equal(t, "c", s.On(12_000, func(peer string) bool { return peer != "b" }), "who has left is passed over")
	require.Equal(t, "a", s.On(14_000, func(peer string) bool { return peer == "a" }))
	require.Equal(t, "", s.On(14_000, func(string) bool { return false }))
}

// Who joins or leaves changes nobody else's turn: only the turns of those who are not there fall to the next.
func TestSpotlightKeepsItsPhase(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := &wire.Spotlight{
			Start: rapid.Int64Range(0, 1<<40).Draw(t, "start"), Interval: rapid.Int64Range(1000, 60_000).Draw(t, "interval"),
			Order: rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z]{1,4}`), 1, 12, rapid.ID[string]).Draw(t, "order"),
		}
		missing := rapid.SliceOfDistinct(rapid.SampledFrom(s.Order), rapid.ID[string]).Draw(t, "missing")
		here := func(peer string) bool { return !slices.Contains(missing, peer) }
		now := s.Start + rapid.Int64Range(0, 1<<40).Draw(t, "since")
		turn := s.On(now, func(string) bool { return true })
		on := s.On(now, here)
		if here(turn) {
			require.Equal(t, turn, on)
		} else if len(missing) < len(s.Order) {
			require.True(t, here(on))
		}
		read, err := wire.ParseSpotlight(s.Append(nil))
		require.NoError(t, err)
		require.Equal(t, s, read)
	})
}

func TestSpotlightRefused(t *testing.T) {
	many, err := json.Marshal(slices.Repeat([]string{"a"}, 501))
	require.NoError(t, err)
	for _, raw := range []string{
		`{}`, `{"interval":999,"order":["a"]}`, `{"interval":86400001,"order":["a"]}`, `{"interval":5000,"order":[]}`, `{"interval":5000}`,
		`{"interval":5000,"order":["a b"]}`, `{"interval":5000,"order":[1]}`, `{"interval":"5000","order":["a"]}`, `{"interval":5000.5,"order":["a"]}`,
		`{"start":-1,"interval":5000,"order":["a"]}`, `{"start":9007199254740992,"interval":5000,"order":["a"]}`, `{"interval":5000,"order":{"a":1}}`,
		`{"interval":5000,"order":` + string(many) + `}`,
	} {
		_, err := wire.DecodeRequest([]byte(`{"id":1,"type":"room","room":"r","version":1,"spotlight":`+raw+`}`), wire.Limits{})
		var refusal *wire.Error
		require.ErrorAs(t, err, &refusal, raw)
		require.Equal(t, wire.CodeBadRequest, refusal.Code)
		require.True(t, strings.HasPrefix(refusal.Message, "spotlight: "), refusal.Message)
	}
}
