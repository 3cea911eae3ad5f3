package ice_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/ice"
	"github.com/signalbox-rtc/signalbox/pkg/store"
)

func none(context.Context) ([]store.Relay, error) { return nil, nil }

// list is what Redis says of the relays.
type list struct {
	mu     sync.Mutex
	relays []store.Relay
	err    error
}

func (l *list) set(err error, relays ...store.Relay) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.relays, l.err = relays, err
}

func (l *list) get(context.Context) ([]store.Relay, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.relays, l.err
}

func relay(id, region string, load float64) store.Relay {
	return store.Relay{ID: id, Region: region, URLs: []string{"turn:" + id + ".example.org"}, Load: load}
}

// withRelays runs a test of a gateway in the north.
func withRelays(t *testing.T, test func(t *testing.T, f *fixture, l *list), relays ...store.Relay) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		l := &list{relays: relays}
		f := run(t, ice.Relays{List: l.get, Secret: relaySecret, Region: "north"})
		f.told() // the first list
		time.Sleep(time.Second)
		test(t, f, l)
	})
}

// told gives the relays that a user is told of, in their order.
func relaysOf(f *fixture, app, user string) []string {
	var ids []string
	for _, url := range urls(f.Issue(app, user).Servers) {
		var id string
		if _, err := fmt.Sscanf(url, "turn:r%s", &id); err == nil {
			ids = append(ids, "r"+id[:1])
		}
	}
	return ids
}

func TestNearestRelaysComeFirstThenThoseWithTheLeastLoad(t *testing.T) {
	withRelays(t, func(t *testing.T, f *fixture, l *list) {
		require.Equal(t, []string{"r1", "r2"}, relaysOf(f, "plain", "ann"))
		grant := f.Issue("acme", "ann")
		require.Equal(t, []string{"turn:acme.example", "turn:r1.example.org", "turn:r2.example.org", "stun:stun.example.org", "turn:ours.example.org", "turn:fixed.example.org"},
			urls(grant.Servers), "behind the app's own")
		requireOf(t, grant.Servers[1], relaySecret, "acme", "ann", time.Unix(time.Now().Add(10*time.Minute).Unix(), 0))
		require.Empty(t, relaysOf(f, "umbra", "ann"), "it wants none of ours")

		l.set(nil, relay("r1", "north", .9), relay("r2", "north", .2), relay("r3", "south", 0), relay("r4", "", .1))
		time.Sleep(2 * time.Second)
		require.Equal(t, []string{"r2", "r1"}, relaysOf(f, "plain", "ann"))
		l.set(nil, relay("r3", "south", .3), relay("r4", "", .1), relay("r5", "north", 1))
		time.Sleep(2 * time.Second)
		require.Equal(t, []string{"r5", "r4"}, relaysOf(f, "plain", "ann"))
		require.EqualValues(t, 3, f.value(t, "signalbox_ice_relays", "usable"))
	}, relay("r1", "north", .1), relay("r2", "north", .5), relay("r3", "south", 0), relay("r4", "", .1))
}

// Of relays that are as good as each other each client has its own, on every gateway the same.
func TestClientsSpreadOverRelays(t *testing.T) {
	three := []store.Relay{relay("r1", "north", .11), relay("r2", "north", .14), relay("r3", "north", .19)}
	first := make(map[string]int)
	chosen := make(map[int]string)
	withRelays(t, func(t *testing.T, f *fixture, _ *list) {
		for n := range 300 {
			relays := relaysOf(f, "plain", fmt.Sprint(n))
			require.Len(t, relays, 2)
			first[relays[0]]++
			chosen[n] = fmt.Sprint(relays)
		}
		for _, relay := range three {
			require.Greater(t, first[relay.ID], 50, first)
		}
	}, three...)
	withRelays(t, func(t *testing.T, f *fixture, _ *list) {
		for n := range 300 {
			require.Equal(t, chosen[n], fmt.Sprint(relaysOf(f, "plain", fmt.Sprint(n))))
		}
	}, three...)
}

func TestDrainingRelayIsOutAtOnce(t *testing.T) {
	withRelays(t, func(t *testing.T, f *fixture, l *list) {
		told, umbra, before := f.Issue("plain", "ann").Told, f.Issue("umbra", "ann").Told, f.told()
		require.False(t, f.Stale("plain", told))
		drains := relay("r1", "north", .1)
		drains.Draining = true
		l.set(nil, drains, relay("r2", "north", .1), relay("r3", "north", .9))
		time.Sleep(2 * time.Second)
		require.Equal(t, before+1, f.told())
		require.True(t, f.Stale("plain", told))
		require.False(t, f.Stale("umbra", umbra), "it was told of none")
		require.Equal(t, []string{"r2", "r3"}, relaysOf(f, "plain", "ann"))
		require.EqualValues(t, 2, f.value(t, "signalbox_ice_relays", "usable"))
		require.EqualValues(t, 1, f.value(t, "signalbox_ice_relays", "draining"))
	}, relay("r1", "north", .1), relay("r2", "north", .1), relay("r3", "north", .9))
}

// Who comes is not told of a relay whose lease has ended; who was is told anew once it is not back in a moment.
func TestDeadRelayIsOutWithinSeconds(t *testing.T) {
	withRelays(t, func(t *testing.T, f *fixture, l *list) {
		told, before := f.Issue("plain", "ann").Told, f.told()
		l.set(nil, relay("r2", "north", .1), relay("r3", "north", .9))
		time.Sleep(2 * time.Second)
		require.Equal(t, []string{"r2", "r3"}, relaysOf(f, "plain", "ann"))
		require.False(t, f.Stale("plain", told))
		time.Sleep(4 * time.Second)
		require.True(t, f.Stale("plain", told))
		require.Equal(t, before+1, f.told())
	}, relay("r1", "north", .1), relay("r2", "north", .1), relay("r3", "north", .9))
}

// A Redis that has lost its data is no reason to tell everybody of no relay, and then of the same again.
func TestRelaysOutliveRedis(t *testing.T) {
	both := []store.Relay{relay("r1", "north", .1), relay("r2", "north", .1)}
	withRelays(t, func(t *testing.T, f *fixture, l *list) {
		told, before := f.Issue("plain", "ann").Told, f.told()
		l.set(errors.New("no route to host"))
		time.Sleep(time.Minute)
		require.Len(t, relaysOf(f, "plain", "ann"), 2)
		require.Positive(t, f.value(t, "signalbox_ice_relays_failures_total"))
		require.InDelta(t, 60, f.value(t, "signalbox_ice_relays_age_seconds"), 2)

		l.set(nil)
		time.Sleep(2 * time.Second)
		require.Len(t, relaysOf(f, "plain", "ann"), 2)
		l.set(nil, both[1])
		time.Sleep(2 * time.Second)
		l.set(nil, both...)
		time.Sleep(time.Minute)
		require.False(t, f.Stale("plain", told))
		require.Equal(t, before, f.told())
		require.Less(t, f.value(t, "signalbox_ice_relays_age_seconds"), 2.)

		l.set(nil)
		time.Sleep(6 * time.Second)
		require.Empty(t, relaysOf(f, "plain", "ann"))
		require.True(t, f.Stale("plain", told))
		alone := f.Issue("plain", "ann").Told
		l.set(nil, both[0])
		time.Sleep(2 * time.Second)
		require.True(t, f.Stale("plain", alone), "there is one")
	}, both...)
}

// A relay that says another address of itself is another one.
func TestMovedRelayIsTold(t *testing.T) {
	withRelays(t, func(t *testing.T, f *fixture, l *list) {
		told, before := f.Issue("plain", "ann").Told, f.told()
		moved := relay("r1", "north", .7)
		l.set(nil, moved)
		time.Sleep(2 * time.Second)
		require.Equal(t, before, f.told(), "its load concerns nobody")
		moved.URLs = []string{"turn:r9.example.org"}
		l.set(nil, moved)
		time.Sleep(2 * time.Second)
		require.Equal(t, before+1, f.told())
		require.True(t, f.Stale("plain", told))
		require.Equal(t, []string{"r9"}, relaysOf(f, "plain", "ann"))
	}, relay("r1", "north", .1))
}
