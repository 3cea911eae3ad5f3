package store_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/internal/redistest"
	"github.com/signalbox-rtc/signalbox/pkg/store"
)

// What goes to Redis together: messages of one peer that are alike, unless something lies between.
func TestGroups(t *testing.T) {
	of := func(room, peer string, request int64, changes ...func(*store.Send)) store.Send {
		m := store.Send{
			Seat: store.Seat{Room: store.Room{App: "acme", Name: room}, Peer: peer, Node: "n"}, Request: request,
			To: "bob", Type: "signal", Event: []byte(`{"type":"signal"}`),
		}
		for _, change := range changes {
			change(&m)
		}
		return m
	}
	large := func(m *store.Send) { m.Event = []byte(`{"type":"` + strings.Repeat("x", 40<<10) + `"}`) }
	room := func(name string) store.Room { return store.Room{App: "acme", Name: name} }
	many := make([]any, 100)
	for i := range many {
		many[i] = of("r", "ada", 0)
	}
	var first, rest []int
	for i := range many {
		if i < 64 {
			first = append(first, i)
		} else {
			rest = append(rest, i)
		}
	}
	for name, tc := range map[string]struct {
		batch []any
		want  [][]int
	}{
		"one peer":            {[]any{of("r", "ada", 1), of("r", "ada", 2), of("r", "ada", 3)}, [][]int{{0, 1, 2}}},
		"several peers":       {[]any{of("r", "ada", 1), of("r", "eve", 1), of("r", "ada", 2), of("r", "eve", 2)}, [][]int{{0, 2}, {1, 3}}},
		"several rooms":       {[]any{of("r", "ada", 1), of("s", "ada", 2), of("r", "ada", 3)}, [][]int{{0, 2}, {1}}},
		"without numbers":     {[]any{of("r", "ada", 0), of("r", "ada", 7), of("r", "ada", 0)}, [][]int{{0, 1, 2}}},
		"a number comes back": {[]any{of("r", "ada", 2), of("r", "ada", 2), of("r", "ada", 3)}, [][]int{{0}, {1, 2}}},
		"a number comes back behind none": {[]any{of("r", "ada", 2), of("r", "ada", 0), of("r", "ada", 2), of("r", "ada", 0), of("r", "ada", 1)},
			[][]int{{0, 1}, {2, 3}, {4}}},
		"another receiver": {[]any{of("r", "ada", 1), of("r", "ada", 2, func(m *store.Send) { m.To = "*" }), of("r", "ada", 3)},
			[][]int{{0}, {1}, {2}}},
		"volatile":           {[]any{of("r", "ada", 1), of("r", "ada", 2, func(m *store.Send) { m.Volatile = true })}, [][]int{{0}, {1}}},
		"another generation": {[]any{of("r", "ada", 1), of("r", "ada", 2, func(m *store.Send) { m.Generation = 1 })}, [][]int{{0}, {1}}},
		"another node":       {[]any{of("r", "ada", 1), of("r", "ada", 2, func(m *store.Send) { m.Node = "o" })}, [][]int{{0}, {1}}},
		"a leave in the room": {[]any{of("r", "ada", 1), of("s", "ada", 1), room("r"), of("r", "ada", 2), of("s", "ada", 2)},
			[][]int{{0}, {1, 4}, {2}, {3}}},
		"something for all of a partition": {[]any{of("r", "ada", 1), store.Room{}, of("r", "ada", 2)}, [][]int{{0}, {1}, {2}}},
		"large ones":                       {[]any{of("r", "ada", 1, large), of("r", "ada", 2, large), of("r", "ada", 3)}, [][]int{{0}, {1, 2}}},
		"many":                             {many, [][]int{first, rest}},
	} {
		require.Equal(t, tc.want, store.Split(tc.batch...), name)
	}
}

// inOneBatch makes calls of a node that go to Redis as one pipeline, and waits for the answers.
func inOneBatch(t *testing.T, opts store.Options, id string, calls func(n *node, answer func(i int) func(int64, error)), count int) []string {
	t.Helper()
	s, err := store.Open(t.Context(), opts)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	answers := make([]string, count)
	var pending, running sync.WaitGroup
	pending.Add(count)
	calls(&node{id: id, store: s}, func(i int) func(int64, error) {
		return func(seq int64, err error) {
			answers[i] = replyLine(err, "%d", seq)
			pending.Done()
		}
	})
	running.Go(func() { _ = s.Run(ctx) })
	pending.Wait()
	cancel()
	running.Wait()
	require.NoError(t, s.Close())
	return answers
}

// Every message of a group is answered for itself, and told in order.
func testGroup(t *testing.T, d deployment) {
	a, b := twoNodes(t, d)
	mustJoin(t, a, lobby, "alice", "anna")
	mustJoin(t, b, lobby, "bob")
	seat := a.seat(lobby, "alice")
	numbered := func(m store.Send, request int64) store.Send { m.Request = request; return m }
	mustSend(t, a, numbered(message(seat, "bob", "before"), 1)) // 4
	a.drain(t, lobby)
	b.drain(t, lobby)
	epoch := a.look(t, lobby).Epoch

	sends := []store.Send{
		numbered(message(seat, "bob", "before"), 1), numbered(message(seat, "bob", "one"), 2), numbered(message(seat, "bob", "two"), 3),
		message(a.seat(lobby, "anna"), "", "all"), numbered(message(seat, "bob", "three"), 5), message(a.seat(lobby, "anna"), "", "of you"),
		numbered(message(seat, "nobody", "lost"), 6), numbered(message(seat, "nobody", "lost"), 7),
		message(a.seat(lobby, "stranger"), "bob", "x"), message(a.seat(lobby, "stranger"), "bob", "y"),
		message(later(seat, a.id, 1), "bob", "x"), message(later(seat, a.id, 1), "bob", "y"),
		numbered(message(seat, "bob", "two"), 3), numbered(message(seat, "bob", "never"), 4), numbered(message(seat, "bob", "four"), 8),
	}
	registry := prometheus.NewRegistry()
	opts := d.options
	opts.Registerer = registry
	answers := inOneBatch(t, opts, a.id, func(n *node, answer func(int) func(int64, error)) {
		for i, m := range sends {
			n.store.Send(m, answer(i))
		}
	}, len(sends))
	require.Equal(t, []string{
		"4", "5", "6", "8", "7", "9", "peer_gone", "peer_gone", "not_member", "not_member",
		"fenced", "fenced", "6", "outcome_unknown", "10",
	}, answers)
	calls, sum := histogram(t, registry, "signalbox_redis_script_calls")
	require.Equal(t, []any{uint64(6), float64(len(sends))}, []any{calls, sum}, "of alice four, of anna and of the stranger one each")
	require.Equal(t, []string{"5", "6", "7", "8", "9", "10"}, numbersOf(b.expect(t, 6)))
	require.Equal(t, []string{"8", "9"}, numbersOf(a.expect(t, 2)), "alice is told what anna says")
	require.Equal(t, []int64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, loggedNumbers(t, d, a.store))

	resumed, err := b.resume(resumeOf(later(seat, b.id, 1), epoch, 7))
	require.NoError(t, err)
	require.EqualValues(t, 8, resumed.Request)
	require.Equal(t, []string{"8", "9"}, numbersOf(resumed.Missed), "from the middle of an entry of the log")
	resumed, err = a.resume(resumeOf(later(b.seat(lobby, "bob"), a.id, 1), epoch, 5))
	require.NoError(t, err)
	require.Equal(t, []string{"6", "7", "8", "9", "10"}, numbersOf(resumed.Missed), "from within an entry")
}

func numbersOf(events []store.Event) []string {
	numbers := make([]string, len(events))
	for i, event := range events {
		numbers[i] = fmt.Sprint(event.Seq)
	}
	return numbers
}

// Redis has lost the scripts: a group is sent again as a whole, and once.
func TestGroupsAreSentAgain(t *testing.T) {
	server := redistest.Single(t)
	opts := store.Options{Addresses: []string{server.Addr()}, Logger: quietLogger()}.Patient()
	guest := startNode(t, opts, "n")
	mustJoin(t, guest, lobby, "a", "b")
	answers := inOneBatch(t, opts, "n", func(n *node, answer func(int) func(int64, error)) {
		_, err := server.Do("SCRIPT", "FLUSH")
		require.NoError(t, err)
		for i := range 5 {
			n.store.Send(message(n.seat(lobby, "a"), "b", "x"), answer(i))
		}
	}, 5)
	require.Equal(t, []string{"3", "4", "5", "6", "7"}, answers)
	require.Equal(t, []string{"2", "3", "4", "5", "6", "7"}, numbersOf(guest.expect(t, 6)), "one has joined alone")
}

// Several records come as one message; what is not of the form is told, and what is before it delivered.
func TestRecords(t *testing.T) {
	for message, want := range map[string][]string{
		"":                      {""},
		"1 e 1 a/r x * - - {}":  {"1 e 1 a/r x * - - {}"},
		"2 ":                    {""},
		"2 3 abc":               {"abc"},
		"2 3 abc 2 de":          {"abc", "de"},
		"2 3 abc 5 d e f 1 g":   {"abc", "d e f", "g"},
		"2 3 abc 2 d":           {"abc", ""},
		"2 3 abc2 de":           {"abc", ""},
		"2 3 abc ":              {"abc", ""},
		"2 0 ":                  {""},
		"2 -1 abc":              {""},
		"2 x abc":               {""},
		"2 99999999999999999 a": {""},
	} {
		var got []string
		for record := range store.Records(message) {
			got = append(got, string(record))
		}
		require.Equal(t, want, got, "%q", message)
	}
}
