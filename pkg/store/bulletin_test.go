package store_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/store"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// follower keeps what a store tells of the bulletin. A reload is "reload".
type follower struct {
	stop func() // ends it; may be called twice

	mu   sync.Mutex
	told []string
	fail error // of the next call
}

func follow(t *testing.T, s *store.Store) *follower {
	t.Helper()
	f := new(follower)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		err := s.Follow(ctx, store.Follower{
			Reload:    func(context.Context) error { return f.tell("reload") },
			Announced: func(_ context.Context, kind string, body []byte) error { return f.tell(kind + " " + string(body)) },
		})
		if err != nil {
			t.Error(err)
		}
	})
	f.stop = func() {
		cancel()
		running.Wait()
	}
	t.Cleanup(f.stop)
	return f
}

func (f *follower) tell(what string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.told = append(f.told, what)
	err := f.fail
	f.fail = nil
	return err
}

func (f *follower) failNext() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fail = errors.New("not now")
}

// await waits until exactly this was told since the last time.
func (f *follower) await(t *testing.T, want ...string) {
	t.Helper()
	f.until(t, len(want))
	f.mu.Lock()
	defer f.mu.Unlock()
	require.Equal(t, want, f.told)
	f.told = nil
}

func (f *follower) until(t *testing.T, count int) {
	t.Helper()
	await(t, func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return len(f.told) >= count
	})
}

// awaitLast waits until something was told, and forgets what came before it.
func (f *follower) awaitLast(t *testing.T, want string) {
	t.Helper()
	await(t, func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		if n := len(f.told); n == 0 || f.told[n-1] != want {
			return false
		}
		f.told = nil
		return true
	})
}

func TestManagedApps(t *testing.T) {
	deployments(t, func(t *testing.T, d deployment) {
		n, ctx := startNode(t, d.options, "n"), t.Context()
		apps, known, err := n.store.Apps(ctx)
		require.NoError(t, err)
		require.Empty(t, apps)
		require.False(t, known)
		f := follow(t, n.store)
		f.await(t, "reload")

		first, err := n.store.PutApp(ctx, "acme", []byte(`{"a": 1}`), 0)
		require.NoError(t, err)
		_, err = n.store.PutApp(ctx, "acme", []byte("{}"), 0)
		requireCode(t, wire.CodeConflict, err)
		_, err = n.store.PutApp(ctx, "acme", []byte("{}"), first+1)
		requireCode(t, wire.CodeConflict, err)
		_, err = n.store.PutApp(ctx, "other", []byte("{}"), first)
		requireCode(t, wire.CodeConflict, err)
		second, err := n.store.PutApp(ctx, "acme", []byte(`{"a":"\xff\x00 x"}`), first)
		require.NoError(t, err)
		require.Greater(t, second, first)
		other, err := n.store.PutApp(ctx, "other", []byte("{}"), store.AnyVersion)
		require.NoError(t, err)

		app, err := n.store.App(ctx, "acme")
		require.NoError(t, err)
		require.Equal(t, &store.StoredApp{ID: "acme", Version: second, Data: []byte(`{"a":"\xff\x00 x"}`)}, app)
		apps, known, err = n.store.Apps(ctx)
		require.NoError(t, err)
		require.True(t, known)
		require.ElementsMatch(t, []store.StoredApp{*app, {ID: "other", Version: other, Data: []byte("{}")}}, apps)

		requireCode(t, wire.CodeConflict, n.store.DeleteApp(ctx, "acme", first))
		require.NoError(t, n.store.DeleteApp(ctx, "acme", second))
		require.ErrorIs(t, n.store.DeleteApp(ctx, "acme", store.AnyVersion), store.ErrNoApp)
		_, err = n.store.App(ctx, "acme")
		require.ErrorIs(t, err, store.ErrNoApp)
		require.NoError(t, n.store.DeleteApp(ctx, "other", store.AnyVersion))
		_, known, err = n.store.Apps(ctx)
		require.NoError(t, err)
		require.True(t, known, "they were deleted, not lost")
		again, err := n.store.PutApp(ctx, "acme", []byte("{}"), 0)
		require.NoError(t, err)
		require.Greater(t, again, other+1, "a version never means two things")
		f.await(t, "app acme", "app acme", "app other", "app acme", "app other", "app acme")

		for _, id := range []string{"", ".", "A", "a/b"} {
			_, err = n.store.PutApp(ctx, id, nil, 0)
			requireCode(t, wire.CodeBadRequest, err)
			_, err = n.store.App(ctx, id)
			require.ErrorIs(t, err, store.ErrNoApp)
		}
		_, err = n.store.PutApp(ctx, "large", make([]byte, 256<<10+1), 0)
		requireCode(t, wire.CodeTooLarge, err)
	})
}

func TestManagedAppsArePutBack(t *testing.T) {
	deployments(t, func(t *testing.T, d deployment) {
		n, ctx := startNode(t, d.options, "n"), t.Context()
		before := []store.StoredApp{{ID: "a", Version: 5, Data: []byte("{}")}, {ID: "b", Version: 7, Data: []byte("1 2")}}
		require.NoError(t, n.store.PutBackApps(ctx, before))
		apps, _, err := n.store.Apps(ctx)
		require.NoError(t, err)
		require.ElementsMatch(t, before, apps)
		version, err := n.store.PutApp(ctx, "c", nil, 0)
		require.NoError(t, err)
		require.Greater(t, version, int64(7))
		require.NoError(t, n.store.PutBackApps(ctx, []store.StoredApp{{ID: "gone", Version: 1}}))
		_, err = n.store.App(ctx, "gone")
		require.ErrorIs(t, err, store.ErrNoApp, "what another gateway has put back stays")
	})
}

func TestRevocationsAreKept(t *testing.T) {
	deployments(t, func(t *testing.T, d deployment) {
		n, ctx := startNode(t, d.options, "n"), t.Context()
		f := follow(t, n.store)
		f.await(t, "reload")
		begun := time.Now().Add(-time.Second)
		require.NoError(t, n.store.Revoke(ctx, store.Revocation{App: "acme", User: `a"d\u00e4`}, time.Hour))
		require.NoError(t, n.store.Revoke(ctx, store.Revocation{App: "acme", Session: "s"}, time.Hour))
		require.NoError(t, n.store.Revoke(ctx, store.Revocation{App: "acme", User: "brief"}, time.Millisecond))
		await(t, func() bool {
			list, err := n.store.Revocations(ctx)
			require.NoError(t, err)
			if len(list) != 2 {
				return false
			}
			if list[0].User == "" { // they may be of one millisecond
				list[0], list[1] = list[1], list[0]
			}
			require.Equal(t, `a"d\u00e4`, list[0].User)
			require.Equal(t, "s", list[1].Session)
			require.Greater(t, list[0].At, begun.UnixMilli())
			require.Equal(t, list[0].At+time.Hour.Milliseconds(), list[0].Until)
			return true
		})
		f.until(t, 3)
		r, err := store.ParseRevocation([]byte(f.told[0][len("revoked "):]))
		require.NoError(t, err)
		require.Equal(t, `a"d\u00e4`, r.User)

		list, err := n.store.Revocations(ctx)
		require.NoError(t, err)
		d.all(t, "FLUSHALL")
		require.NoError(t, n.store.PutBackRevocations(ctx, nil))
		require.NoError(t, n.store.PutBackRevocations(ctx, list))
		again, err := n.store.Revocations(ctx)
		require.NoError(t, err)
		require.Equal(t, list, again)

		for _, bad := range []store.Revocation{{App: "acme"}, {App: "acme", User: "u", Session: "s"}, {User: "u"}} {
			requireCode(t, wire.CodeBadRequest, n.store.Revoke(ctx, bad, time.Hour))
		}
		requireCode(t, wire.CodeBadRequest, n.store.Revoke(ctx, store.Revocation{App: "acme", User: "u"}, 0))
	})
}

func TestBulletin(t *testing.T) {
	deployments(t, func(t *testing.T, d deployment) {
		registry := prometheus.NewRegistry()
		d.options.Registerer, d.options.Logger = registry, quietLogger()
		n, ctx := startNode(t, d.options, "n"), t.Context()
		require.NoError(t, n.store.Announce(ctx, "before", nil))
		one := follow(t, n.store)
		one.await(t, "reload")
		require.NoError(t, n.store.Announce(ctx, "a", []byte("1")))
		two := follow(t, n.store)
		two.await(t, "reload")
		require.NoError(t, n.store.Announce(ctx, "b", []byte("2\x00")))
		one.await(t, "a 1", "b 2\x00")
		two.await(t, "b 2\x00")

		// What it could not take is part of what it reads anew.
		two.failNext()
		require.NoError(t, n.store.Announce(ctx, "c", nil))
		one.await(t, "c ")
		two.await(t, "c ", "reload")
		two.failNext()
		d.all(t, "FLUSHALL")
		require.NoError(t, n.store.Announce(ctx, "d", nil))
		one.await(t, "reload")
		two.await(t, "reload", "reload")
		require.NoError(t, n.store.Announce(ctx, "e", nil))
		one.await(t, "e ")
		two.await(t, "e ")
		require.GreaterOrEqual(t, metric(t, registry, "signalbox_redis_bulletin_reloads_total", ""), 5.0)
		require.GreaterOrEqual(t, metric(t, registry, "signalbox_redis_bulletin_announcements_total", ""), 6.0)

		begun := time.Now()
		one.stop()
		require.Less(t, time.Since(begun), 4*time.Second, "it waits for Redis and ends all the same")
		requireCode(t, wire.CodeBadRequest, n.store.Announce(ctx, "", nil))
		requireCode(t, wire.CodeBadRequest, n.store.Announce(ctx, "x", make([]byte, 64<<10+1)))
	})
}

// Who is slower than the bulletin is long gets to know that announcements are missing.
func TestBulletinIsTrimmed(t *testing.T) {
	d := single(t)
	n, ctx := startNode(t, d.options, "n"), t.Context()
	f := follow(t, n.store)
	f.await(t, "reload")
	require.NoError(t, n.store.Announce(ctx, "first", nil))
	f.await(t, "first ")
	f.mu.Lock() // it hears one, and is busy with it
	for i := range 1102 {
		require.NoError(t, n.store.Announce(ctx, "n", []byte(strconv.Itoa(i))))
	}
	f.mu.Unlock()
	f.awaitLast(t, "reload")
	length, err := d.servers[0].Do("XLEN", "sb:{cluster}:bulletin")
	require.NoError(t, err)
	require.EqualValues(t, 1000, length)
	require.NoError(t, n.store.Announce(ctx, "last", nil))
	f.await(t, "last ")
}

// followsOn checks that announcements are heard, whatever happened to Redis: they may be part of what is read anew.
func (f *follower) followsOn(t *testing.T, s *store.Store, word string) {
	t.Helper()
	for i := 0; ; i++ {
		kind := fmt.Sprint(word, i)
		if s.Announce(t.Context(), kind, nil) != nil {
			f.pause(t)
			continue
		}
		f.until(t, 1)
		f.mu.Lock()
		last := f.told[len(f.told)-1]
		f.told = nil
		f.mu.Unlock()
		if last == kind+" " {
			return
		}
	}
}

func (f *follower) pause(t *testing.T) {
	t.Helper()
	select {
	case <-time.After(20 * time.Millisecond):
	case <-t.Context().Done():
	}
}
