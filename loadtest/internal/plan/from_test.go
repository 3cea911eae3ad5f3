package plan

import (
	"bytes"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/loadtest/internal/scenario"
)

// requireAlike compares constants part by part: measurements are whole bytes and microseconds.
func requireAlike(t *testing.T, want, got *Constants) {
	t.Helper()
	alike := func(name string, want, got Cost) {
		t.Helper()
		for i, part := range want.parts() {
			require.InDelta(t, *part, *got.parts()[i], 0.5, "%s, part %d", name, i)
		}
	}
	for _, pace := range Paces {
		alike(string(pace)+" message", want.Rates[pace].Message, got.Rates[pace].Message)
		alike(string(pace)+" join", want.Rates[pace].Join, got.Rates[pace].Join)
		alike(string(pace)+" delivery", want.Rates[pace].Delivery, got.Rates[pace].Delivery)
	}
	alike("inbox", want.Inbox, got.Inbox)
	alike("broadcast", want.Broadcast, got.Broadcast)
	alike("connect", want.Connect, got.Connect)
	alike("connection", want.Connection, got.Connection)
	alike("node", want.Node, got.Node)
	w, g := want.Memory, got.Memory
	for _, pair := range [][2]float64{
		{w.GatewayMiB, g.GatewayMiB}, {w.GatewayBusyMiB, g.GatewayBusyMiB}, {w.AwakeKiB, g.AwakeKiB}, {w.ParkedKiB, g.ParkedKiB}, {w.SeatKiB, g.SeatKiB},
		{w.GatewayFiles, g.GatewayFiles}, {w.RedisMiB, g.RedisMiB}, {w.RedisRoomBytes, g.RedisRoomBytes}, {w.RedisSeatBytes, g.RedisSeatBytes},
		{w.RedisMessageBytes, g.RedisMessageBytes}, {want.MessagesPerCall, got.MessagesPerCall}, {want.JoinsPerCall, got.JoinsPerCall},
	} {
		require.InDelta(t, pair[0], pair[1], 0.5)
	}
}

// What runs were made from is found in them again.
func TestFromFindsWhatRunsCost(t *testing.T) {
	want := known()
	runs := learned(t, want)
	got, err := From(runs)
	require.NoError(t, err)
	requireAlike(t, want, got)
	require.Equal(t, "a machine", got.Measured.Machine)
	require.Equal(t, int(roles), got.Measured.Runs)

	// The order is of no account, several runs of a kind give their medians, and strangers are left out.
	slices.Reverse(runs)
	wild := *runs[0]
	wild.Processes = slices.Clone(wild.Processes)
	for i := range wild.Processes {
		wild.Processes[i].CPU *= 100
	}
	stranger := *runs[1]
	stranger.Driver = "socketio"
	spread := wild
	spread.Processes = slices.Clone(wild.Processes)
	for i := range spread.Processes {
		if redis := spread.Processes[i].Redis; redis != nil {
			primary := *redis
			primary.Bus = new(scenario.BusUse)
			spread.Processes[i].Redis = &primary
		}
	}
	mixed := ran(settings(t, scenario.Mixed, nil), scenario.Work{}, Cost{})
	got, err = From(slices.Concat([]*scenario.Result{&wild, &stranger, &spread, &spread, mixed}, runs, runs))
	require.NoError(t, err)
	requireAlike(t, want, got)
}

// Each run that is missing is named with the command that makes it.
func TestFromNamesWhatIsMissing(t *testing.T) {
	runs := learned(t, known())
	for i, run := range runs {
		of := rolesOf(run)
		require.Len(t, of, 1)
		_, err := From(slices.Delete(slices.Clone(runs), i, i+1))
		var missing *MissingError
		require.ErrorAs(t, err, &missing)
		require.Equal(t, []string{hows[of[0]]}, missing.Runs)
		require.ErrorContains(t, err, "make loadtest-plan-measure")
	}
	_, err := From(nil)
	var missing *MissingError
	require.ErrorAs(t, err, &missing)
	require.Len(t, missing.Runs, int(roles))
}

func TestFromRefusesWhatSaysTooLittle(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(*scenario.Result)
		want   string
	}{
		{"NotPassed", func(r *scenario.Result) { r.Passed, r.Reasons = false, []string{"3 errors"} }, "3 errors"},
		{"NoServers", func(r *scenario.Result) { r.Processes = r.Processes[:1] }, "does not say"},
		{"NothingOfRedis", func(r *scenario.Result) { r.Processes[0].Redis = nil }, "does not say"},
		{"NoTime", func(r *scenario.Result) { r.Seconds = 0 }, "does not say"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			runs := learned(t, known())
			tc.change(runs[0])
			_, err := From(runs)
			require.ErrorContains(t, err, tc.want)
		})
	}
	runs := learned(t, known())
	for _, run := range runs {
		run.Work.Direct = 0 // so that no message seems to cost anything to speak of, or all the world
	}
	_, err := From(runs)
	require.NoError(t, err, "there is one at least")
	for _, run := range runs {
		for i := range run.Processes {
			run.Processes[i].CPU = 0
		}
	}
	_, err = From(runs)
	require.ErrorIs(t, err, ErrNoConstants)
}

func TestConstantsAreReadBack(t *testing.T) {
	var text bytes.Buffer
	want, err := From(learned(t, known()))
	require.NoError(t, err)
	require.NoError(t, want.Write(&text))
	got, err := Read(text.Bytes())
	require.NoError(t, err)
	require.Equal(t, want, got)
	for _, broken := range []string{"", "{}", "{", `{"rates": {}}`, `{"speed": 3}`} {
		_, err := Read([]byte(broken))
		require.ErrorIs(t, err, ErrNoConstants, broken)
		require.ErrorContains(t, err, "make loadtest-plan-measure")
	}
}
