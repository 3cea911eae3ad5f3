package oracle_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/loadtest/internal/oracle"
)

// Each row is a history and what is wrong with it.
func TestInbox(t *testing.T) {
	for _, tc := range []struct {
		name string
		got  []uint32
		sent uint32
		want map[oracle.Rule]int64
	}{
		{"OK", []uint32{0, 1, 2, 3}, 4, map[oracle.Rule]int64{}},
		{"Nothing", nil, 0, map[oracle.Rule]int64{}},
		{"LostInside", []uint32{0, 2, 3}, 4, map[oracle.Rule]int64{oracle.Lost: 1}},
		{"LostAtTheEnd", []uint32{0, 1}, 4, map[oracle.Rule]int64{oracle.Lost: 2}},
		{"LostAll", nil, 3, map[oracle.Rule]int64{oracle.Lost: 3}},
		{"Double", []uint32{0, 1, 1, 2}, 3, map[oracle.Rule]int64{oracle.Double: 1}},
		{"DoubleAfterAGap", []uint32{0, 2, 2, 1}, 3, map[oracle.Rule]int64{oracle.Double: 1, oracle.Order: 1}},
		{"DoubleDoesNotHideALoss", []uint32{0, 1, 1}, 3, map[oracle.Rule]int64{oracle.Double: 1, oracle.Lost: 1}},
		{"Swapped", []uint32{1, 0, 2}, 3, map[oracle.Rule]int64{oracle.Order: 1}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o := oracle.New()
			inbox := o.Inbox("somebody")
			for _, seq := range tc.got {
				inbox.Got(seq)
			}
			inbox.End(tc.sent)
			require.Equal(t, tc.want, o.Counts())
		})
	}
}

func TestLedger(t *testing.T) {
	type receipt struct {
		member int
		number int64
		seq    uint32
	}
	for _, tc := range []struct {
		name string
		got  []receipt
		want int64
	}{
		{"OneOrder", []receipt{{0, 5, 0}, {1, 5, 0}, {0, 7, 1}, {1, 7, 1}}, 0},
		{"NumbersFall", []receipt{{0, 7, 1}, {0, 5, 0}}, 1},
		{"NumberTwice", []receipt{{0, 7, 1}, {0, 7, 1}}, 1},
		{"TwoOrders", []receipt{{0, 5, 0}, {0, 6, 1}, {1, 5, 1}, {1, 6, 0}}, 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o := oracle.New()
			ledger := o.Ledger("room", 64)
			var last [2]int64
			for _, r := range tc.got {
				last[r.member] = ledger.Numbered(last[r.member], r.number, 1, r.seq)
			}
			require.Equal(t, tc.want, o.Counts()[oracle.Order])
		})
	}
}

func TestSeats(t *testing.T) {
	t.Run("OverCapacity", func(t *testing.T) {
		o := oracle.New()
		o.Seated("room", 2)
		o.Seated("room", 2)
		require.Empty(t, o.Counts())
		o.Seated("room", 2)
		require.Equal(t, map[oracle.Rule]int64{oracle.Capacity: 1}, o.Counts())
		require.Equal(t, oracle.Capacity, o.Examples()[0].Rule)
	})
	t.Run("SeatsThatAreGivenUpAreFree", func(t *testing.T) {
		o := oracle.New()
		for range 10 {
			o.Seated("room", 1)
			o.Leaving("room")
		}
		require.Empty(t, o.Counts())
	})
	t.Run("OtherRoomsDoNotCount", func(t *testing.T) {
		o := oracle.New()
		o.Seated("a", 1)
		o.Seated("b", 1)
		require.Empty(t, o.Counts())
	})
	t.Run("RaceThatLeavesASeatFree", func(t *testing.T) {
		o := oracle.New()
		o.Seated("room", 2)
		o.Raced("room", 2, 100)
		require.Equal(t, map[oracle.Rule]int64{oracle.Short: 1}, o.Counts())
	})
	t.Run("RaceOfFewerThanThereAreSeats", func(t *testing.T) {
		o := oracle.New()
		o.Seated("room", 2)
		o.Raced("room", 2, 1)
		require.Empty(t, o.Counts())
	})
}
