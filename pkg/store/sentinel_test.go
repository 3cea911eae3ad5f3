package store_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/store"
)

func TestSentinelsDecide(t *testing.T) {
	type answers = []store.Naming
	old, young, down := store.Naming{Primary: "old", Epoch: 4}, store.Naming{Primary: "young", Epoch: 5}, store.Naming{}
	for _, tc := range []struct {
		name   string
		before store.Naming
		answers
		want string
	}{
		{"all agree", down, answers{old, old, old}, "old"},
		{"one alone has heard the news", old, answers{old, young, old}, "young"},
		{"one has slept through the news", young, answers{old, young, young}, "young"},
		{"who has slept is the only one to answer", young, answers{old, down, down}, "young"},
		{"most of them were set up anew", young, answers{old, old, down}, "old"},
		{"at the start one is enough", down, answers{down, old, down}, "old"},
		{"two of one epoch", down, answers{{Primary: "b", Epoch: 4}, old, old}, "old"},
		{"the same again", young, answers{down, young, down}, "young"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			require.Equal(t, tc.want, store.Decide(tc.before, tc.answers))
		})
	}
}
