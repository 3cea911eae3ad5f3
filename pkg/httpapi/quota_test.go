package httpapi_test

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/httpapi"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// allowance lets so much be done, and then refuses.
type allowance struct {
	mu              sync.Mutex
	messages, bytes int
	rooms           int
}

var _ httpapi.Quotas = (*allowance)(nil)

func (a *allowance) TakeMessage(_ string, size int) *wire.Error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.messages == 0 {
		return &wire.Error{Code: wire.CodeRateLimited, Message: "over the quota of messages of the app", RetryAfter: 1500 * time.Millisecond}
	}
	a.messages--
	a.bytes += size
	return nil
}

func (a *allowance) TakeRoom(string) (func(bool), *wire.Error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.rooms == 0 {
		return nil, &wire.Error{Code: wire.CodeLimit, Message: "over the quota of rooms of the app", RetryAfter: 5 * time.Second}
	}
	return func(made bool) {
		a.mu.Lock()
		defer a.mu.Unlock()
		if made {
			a.rooms--
		}
	}, nil
}

// set allows so much from now on.
func (a *allowance) set(messages, rooms int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.messages, a.rooms, a.bytes = messages, rooms, 0
}

func TestQuotas(t *testing.T) {
	allowed := new(allowance)
	s := start(t, func(o *httpapi.Options) { o.Quotas = allowed })
	s.join(t, "acme", "a", "p1", "ann")
	s.join(t, "acme", "b", "p1", "ann")
	const messages, ofUser, ofApp = rooms + "/a/messages", "/v1/apps/acme/users/ann/messages", "/v1/apps/acme/messages"

	t.Run("rooms", func(t *testing.T) {
		allowed.set(0, 1)
		s.ask(t, acmeKey, "POST", rooms, `{"room":"a"}`).problem(409, wire.CodeConflict)
		s.ask(t, operatorKey, "POST", rooms, `{"room":"c"}`).ok(201, nil)
		for _, key := range []string{acmeKey, operatorKey} {
			r := s.ask(t, key, "POST", rooms, `{"room":"d"}`)
			p := r.problem(429, wire.CodeLimit)
			require.Equal(t, []any{true, int64(5000), "5"}, []any{p.Retryable, p.RetryAfter, r.header.Get("Retry-After")})
		}
		s.ask(t, acmeKey, "POST", rooms, `{"room":"a"}`).problem(409, wire.CodeConflict) // it is there: that is what is wrong
		s.ask(t, acmeKey, "GET", rooms+"/d", "").problem(404, httpapi.CodeNotFound)
	})
	t.Run("messages", func(t *testing.T) {
		allowed.set(1, 0)
		s.ask(t, acmeKey, "POST", messages, `{"data":"12345"}`).ok(200, nil)
		require.Equal(t, len(`"12345"`), allowed.bytes)
		for _, path := range []string{messages, ofUser, ofApp} {
			r := s.ask(t, operatorKey, "POST", path, `{"data":1}`)
			require.Equal(t, int64(1500), r.problem(429, wire.CodeRateLimited).RetryAfter)
			require.Equal(t, "2", r.header.Get("Retry-After"))
		}
		var many struct {
			Posted  []httpapi.Posted
			Refused int
		}
		allowed.set(1, 0)
		s.ask(t, acmeKey, "POST", ofUser, `{"data":1}`).ok(200, &many)
		require.Equal(t, []int{1, 1}, []int{len(many.Posted), many.Refused})
		var app map[string]int
		allowed.set(2, 0)
		s.ask(t, acmeKey, "POST", ofApp, `{"data":1}`).ok(200, &app)
		require.Equal(t, map[string]int{"posted": 2, "failed": 0, "refused": 1}, app)
	})
	// What was refused has not taken effect: were the refusal kept, the same name would be refused for a day.
	t.Run("the same name again", func(t *testing.T) {
		allowed.set(0, 0)
		s.ask(t, acmeKey, "POST", messages, `{"data":1}`, "Idempotency-Key", "x").problem(429, wire.CodeRateLimited)
		allowed.set(1, 0)
		s.ask(t, acmeKey, "POST", messages, `{"data":1}`, "Idempotency-Key", "x").ok(200, nil)
		r := s.ask(t, acmeKey, "POST", messages, `{"data":1}`, "Idempotency-Key", "x").ok(200, nil)
		require.Equal(t, "true", r.header.Get("Idempotent-Replayed"))
	})
	t.Run("who acts on members is not held back", func(t *testing.T) {
		allowed.set(0, 0)
		s.ask(t, acmeKey, "POST", rooms+"/a/mute", `{"kind":"audio"}`).ok(200, nil)
		s.ask(t, acmeKey, "POST", rooms+"/a/kick", "").ok(200, nil)
	})
}
