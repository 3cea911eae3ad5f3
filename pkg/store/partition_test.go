package store_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/signalbox-rtc/signalbox/internal/redistest"
	"github.com/signalbox-rtc/signalbox/pkg/store"
)

const slots = 16384

func TestTagsLieInTheMiddleOfTheirShareOfTheSlots(t *testing.T) {
	for _, count := range []int{1, 2, 3, 7, 64, 100, 1000, 4096} {
		seen := map[string]bool{}
		for i, tag := range store.PartitionTags(count) {
			require.Regexp(t, `^[0-9a-z]{1,5}$`, tag)
			require.False(t, seen[tag], "%s is the tag of two partitions", tag)
			seen[tag] = true
			require.Equal(t, (2*i+1)*slots/(2*count), int(store.CRC16(tag))%slots)
		}
		require.Len(t, seen, count)
	}
}

func TestTagsAreEven(t *testing.T) {
	// Primaries own equal runs of slots, as redis-cli deals them out.
	for _, primaries := range []int{1, 2, 3, 5, 6, 12} {
		owned := make([]int, primaries)
		for _, tag := range store.PartitionTags(64) {
			owned[int(store.CRC16(tag))%slots*primaries/slots]++
		}
		for _, n := range owned {
			require.InDelta(t, 64/float64(primaries), n, 1, "%v", owned)
		}
	}
}

// Another tag or another partition is another place for the same room: a change here breaks every deployment.
func TestTagsAndPartitionsStayWhatTheyAre(t *testing.T) {
	require.EqualValues(t, 0x31C3, store.CRC16("123456789"), "the check value of CRC-16/XMODEM")
	tags := store.PartitionTags(64)
	require.Equal(t, []string{"53t", "j3j", "iu", "712", "he", "802"},
		[]string{tags[0], tags[1], tags[31], tags[32], tags[62], tags[63]})

	n := startNode(t, embedded(t).options, "n")
	for room, want := range map[store.Room]int{
		{App: "acme", Name: "lobby"}: 56, {App: "a", Name: "b"}: 33, {App: "demo", Name: "stand-up"}: 37, {App: "x9", Name: "A.b_~-"}: 10,
	} {
		require.Equal(t, want, n.store.Partition(room), "%v", room)
	}
}

func TestServerAgreesOnTheSlots(t *testing.T) {
	s := redistest.Cluster(t, 1).Nodes()[0]
	for _, tag := range store.PartitionTags(64) {
		slot, err := s.Do("CLUSTER", "KEYSLOT", "sb:{"+tag+"}:room:acme/lobby")
		require.NoError(t, err)
		require.EqualValues(t, int(store.CRC16(tag))%slots, slot)
	}
}

func TestRoomsSpreadOverThePartitions(t *testing.T) {
	n := startNode(t, embedded(t).options, "n")
	rooms := make([]int, n.store.Partitions())
	const perPartition = 200
	for i := range perPartition * len(rooms) {
		rooms[n.store.Partition(store.Room{App: "acme", Name: fmt.Sprintf("room-%d", i)})]++
	}
	for p, count := range rooms {
		require.InDelta(t, perPartition, count, perPartition/2, "partition %d", p)
	}
}

func TestRecordsRoundTrip(t *testing.T) {
	id := rapid.StringMatching(`[!#-)+-9;-\[\]-~]{1,64}`).Filter(func(s string) bool { return s != "-" })
	rapid.Check(t, func(t *rapid.T) {
		want := store.Event{
			Room:  store.Room{App: rapid.StringMatching(`[a-z0-9][a-z0-9-]{0,62}`).Draw(t, "app"), Name: rapid.StringMatching(`[A-Za-z0-9._~-]{1,128}`).Draw(t, "room")},
			Epoch: id.Draw(t, "epoch"), Seq: rapid.Int64Min(1).Draw(t, "seq"), Type: rapid.StringMatching(`[a-z-]{1,32}`).Draw(t, "type"),
			Body: []byte(`{"type":"` + rapid.String().Draw(t, "rest") + `}`),
		}
		version, to, except := "1", "*", "-"
		if rapid.Bool().Draw(t, "directed") {
			want.To = id.Draw(t, "to")
			to = want.To
		}
		if rapid.Bool().Draw(t, "excepted") {
			want.Except = id.Draw(t, "except")
			except = want.Except
		}
		if want.Volatile = rapid.Bool().Draw(t, "volatile"); want.Volatile {
			version = "1v"
		}
		by := "-"
		if rapid.Bool().Draw(t, "requested") {
			by = fmt.Sprintf("%s/%d", id.Draw(t, "by"), rapid.Int64Min(1).Draw(t, "request"))
		}
		record := fmt.Sprintf("%s %s %d %s/%s %s %s %s %s %s", version, want.Epoch, want.Seq, want.Room.App, want.Room.Name, want.Type, to, except, by, want.Body)
		got, err := store.ParseRecord([]byte(record))
		require.NoError(t, err)
		require.Equal(t, want, got)
	})
}

// parent is a place in a sampled trace.
const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

const goodRecord = `1 E 7 acme/lobby message * alice bob/5 {"type":"message","data":"a b"}`

func TestBadRecords(t *testing.T) {
	for _, good := range []string{
		goodRecord, strings.Replace(goodRecord, "message", "message;0", 1), strings.Replace(goodRecord, "message", "message;1785000000000000;"+parent, 1),
	} {
		event, err := store.ParseRecord([]byte(good))
		require.NoError(t, err, good)
		require.Equal(t, "message", event.Type)
	}
	for name, record := range map[string]string{
		"empty":              ``,
		"other mark":         `1x E 7 acme/lobby message * - - {"type":"message"}`,
		"other version":      `2 E 7 acme/lobby message * - - {"type":"message"}`,
		"no epoch":           `1  7 acme/lobby message * - - {"type":"message"}`,
		"seq 0":              `1 E 0 acme/lobby message * - - {"type":"message"}`,
		"seq with a sign":    `1 E +7 acme/lobby message * - - {"type":"message"}`,
		"seq with a zero":    `1 E 07 acme/lobby message * - - {"type":"message"}`,
		"seq too large":      `1 E 9223372036854775808 acme/lobby message * - - {"type":"message"}`,
		"seq a fraction":     `1 E 7.0 acme/lobby message * - - {"type":"message"}`,
		"no room":            `1 E 7 acme message * - - {"type":"message"}`,
		"app in capitals":    `1 E 7 Acme/lobby message * - - {"type":"message"}`,
		"two slashes":        `1 E 7 acme/a/b message * - - {"type":"message"}`,
		"type in capitals":   `1 E 7 acme/lobby Message * - - {"type":"message"}`,
		"no receiver":        `1 E 7 acme/lobby message  - - {"type":"message"}`,
		"receiver dash":      `1 E 7 acme/lobby message - - - {"type":"message"}`,
		"except star":        `1 E 7 acme/lobby message * * - {"type":"message"}`,
		"no body":            `1 E 7 acme/lobby message * - -`,
		"body not an event":  `1 E 7 acme/lobby message * - - {"seq":1}`,
		"body not an object": `1 E 7 acme/lobby message * - - "type"`,
		"no request":         `1 E 7 acme/lobby message * - {"type":"message"}`,
		"request of nobody":  `1 E 7 acme/lobby message * - /5 {"type":"message"}`,
		"request 0":          `1 E 7 acme/lobby message * - bob/0 {"type":"message"}`,
		"request no number":  `1 E 7 acme/lobby message * - bob/x {"type":"message"}`,
		"body cut":           `1 E 7 acme/lobby message * - - {"type":"message"`,
		"stamp empty":        `1 E 7 acme/lobby message; * - - {"type":"message"}`,
		"stamp no number":    `1 E 7 acme/lobby message;x * - - {"type":"message"}`,
		"stamp negative":     `1 E 7 acme/lobby message;-1 * - - {"type":"message"}`,
		"stamp too large":    `1 E 7 acme/lobby message;9223372036854775808 * - - {"type":"message"}`,
		"stamp no trace":     `1 E 7 acme/lobby message;1; * - - {"type":"message"}`,
		"stamp bad trace":    `1 E 7 acme/lobby message;1;00-0-0-01 * - - {"type":"message"}`,
		"stamp trace 0":      `1 E 7 acme/lobby message;1;00-00000000000000000000000000000000-b7ad6b7169203331-01 * - - {"type":"message"}`,
		"stamp of no type":   `1 E 7 acme/lobby ;1 * - - {"type":"message"}`,
	} {
		t.Run(name, func(t *testing.T) {
			_, err := store.ParseRecord([]byte(record))
			require.Error(t, err)
		})
	}
}

// FuzzParseRecord: no input panics, and what is taken for a record gives the same event when written again.
func FuzzParseRecord(f *testing.F) {
	f.Add(goodRecord)
	f.Add(`1 E 7 acme/lobby signal bob - ada/9 {"type":"signal"}`)
	f.Add(`1v E 7 acme/lobby fenced bob - - {"type":"fenced","generation":3}`)
	f.Add(`1 E 0 a/b c * - - {}`)
	f.Add(`1 E 7 acme/lobby signal;1785000000000000 bob - - {"type":"signal"}`)
	f.Add(`1 E 7 acme/lobby signal;0;` + parent + ` bob - - {"type":"signal"}`)
	f.Fuzz(func(t *testing.T, record string) {
		e, err := store.ParseRecord([]byte(record))
		if err != nil {
			return
		}
		version, to, except := "1", "*", "-"
		if e.Volatile {
			version = "1v"
		}
		if e.To != "" {
			to = e.To
		}
		if e.Except != "" {
			except = e.Except
		}
		fields := strings.SplitN(record, " ", 9)
		kind, by := fields[4], fields[7] // what an event does not have: the stamp, and the request
		unstamped, _, _ := strings.Cut(kind, ";")
		require.Equal(t, unstamped, e.Type)
		again := fmt.Sprintf("%s %s %d %s/%s %s %s %s %s %s", version, e.Epoch, e.Seq, e.Room.App, e.Room.Name, kind, to, except, by, e.Body)
		require.Equal(t, record, again)
	})
}

// Every event of a node passes here: one allocation, for its strings.
func TestParseRecordAllocations(t *testing.T) {
	record := []byte(goodRecord)
	allocations := testing.AllocsPerRun(100, func() {
		_, err := store.ParseRecord(record)
		require.NoError(t, err)
	})
	require.LessOrEqual(t, allocations, 1.0)
}

func BenchmarkParseRecord(b *testing.B) {
	record := fmt.Appendf(nil, `1 ABCDEFGHIJKL 123456 acme/lobby signal bob - ada/9 {"type":"signal","data":"%0550d"}`, 1)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := store.ParseRecord(record); err != nil {
			b.Fatal(err)
		}
	}
}
