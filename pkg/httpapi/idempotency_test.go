package httpapi_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/httpapi"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// A request takes effect once however often it is sent, and each time gets the answer of the first.
func TestIdempotency(t *testing.T) {
	s := start(t, nil)
	s.join(t, "acme", "a", "p1", "ann")
	seq := func() int64 {
		var room httpapi.Room
		s.ask(t, acmeKey, "GET", rooms+"/a", "").ok(200, &room)
		return room.Seq
	}
	before := seq()
	post := func(key, name, body string) *reply {
		return s.ask(t, key, "POST", rooms+"/a/messages", body, "Idempotency-Key", name)
	}
	first := post(acmeKey, "one", `{"data":1}`).ok(200, nil)
	require.Empty(t, first.header.Get("Idempotent-Replayed"))
	again := post(acmeKey, "one", `{"data":1}`).ok(200, nil)
	require.Equal(t, "true", again.header.Get("Idempotent-Replayed"))
	require.Equal(t, first.body, again.body)
	require.Equal(t, first.header.Get("Content-Type"), again.header.Get("Content-Type"))
	require.Equal(t, before+1, seq())

	post(acmeKey, "one", `{"data":2}`).problem(422, httpapi.CodeIdempotencyMismatch)
	s.ask(t, acmeKey, "POST", rooms+"/b/messages", `{"data":1}`, "Idempotency-Key", "one").problem(422, httpapi.CodeIdempotencyMismatch)
	require.Equal(t, before+1, seq())
	post(operatorKey, "one", `{"data":1}`).ok(200, nil) // another one's names
	post(acmeKey, "two", `{"data":1}`).ok(200, nil)
	require.Equal(t, before+3, seq())

	// A refusal is an answer, too, with all of its headers.
	made := s.ask(t, acmeKey, "POST", rooms, `{"room":"new"}`, "Idempotency-Key", "three").ok(201, nil)
	s.ask(t, acmeKey, "DELETE", rooms+"/new", "").ok(200, nil)
	again = s.ask(t, acmeKey, "POST", rooms, `{"room":"new"}`, "Idempotency-Key", "three").ok(201, nil)
	require.Equal(t, made.header.Get("ETag"), again.header.Get("ETag"))
	s.ask(t, acmeKey, "GET", rooms+"/new", "").problem(404, httpapi.CodeNotFound)
	refused := s.ask(t, acmeKey, "POST", rooms+"/new/kick", "", "Idempotency-Key", "four")
	refused.problem(404, httpapi.CodeNotFound)
	s.ask(t, acmeKey, "POST", rooms, `{"room":"new"}`).ok(201, nil)
	again = s.ask(t, acmeKey, "POST", rooms+"/new/kick", "", "Idempotency-Key", "four")
	again.problem(404, httpapi.CodeNotFound)
	require.Equal(t, refused.body, again.body)
}

// Of many at once one is carried out. The others are told to come again, or get its answer.
func TestIdempotencyAtOnce(t *testing.T) {
	s := start(t, nil)
	s.join(t, "acme", "a", "p1", "ann")
	var room httpapi.Room
	s.ask(t, acmeKey, "GET", rooms+"/a", "").ok(200, &room)
	before := room.Seq
	replies := make([]*reply, 16)
	var asking sync.WaitGroup
	for i := range replies {
		asking.Go(func() {
			replies[i] = s.ask(t, acmeKey, "POST", rooms+"/a/messages", `{"data":1}`, "Idempotency-Key", "once")
		})
	}
	asking.Wait()
	answered := 0
	for _, r := range replies {
		if r.status == 200 {
			require.JSONEq(t, fmt.Sprintf(`{"room":"a","epoch":%q,"seq":%d}`, room.Epoch, before+1), string(r.body))
			answered++
			continue
		}
		p := r.problem(409, httpapi.CodeInProgress)
		require.True(t, p.Retryable)
		require.Equal(t, "1", r.header.Get("Retry-After"))
	}
	require.Positive(t, answered)
	s.ask(t, acmeKey, "GET", rooms+"/a", "").ok(200, &room)
	require.Equal(t, before+1, room.Seq)
}

// Who reads Redis does not get at what was answered: a token is as good as its user.
func TestAnswersAreSealed(t *testing.T) {
	s := start(t, nil)
	var minted struct{ Token string }
	s.ask(t, acmeKey, "POST", "/v1/apps/acme/tokens", `{"user":"ann","rooms":[{"room":"*"}]}`, "Idempotency-Key", "secret-name").ok(201, &minted)
	require.NotEmpty(t, minted.Token)
	keys, err := s.redis.Do("KEYS", "sb:answer:*")
	require.NoError(t, err)
	require.Len(t, keys, 1)
	name := keys.([]any)[0].(string)
	require.NotContains(t, name, "secret-name")
	value, err := s.redis.Do("GET", name)
	require.NoError(t, err)
	require.NotContains(t, fmt.Sprint(value), minted.Token[:20])
	ttl, err := s.redis.Do("TTL", name)
	require.NoError(t, err)
	require.InDelta(t, 24*3600, ttl, 60)

	// What cannot be opened is not carried out once more.
	_, err = s.redis.Do("SET", name, strings.Repeat("x", 100))
	require.NoError(t, err)
	s.ask(t, acmeKey, "POST", "/v1/apps/acme/tokens", `{"user":"ann","rooms":[{"room":"*"}]}`, "Idempotency-Key", "secret-name").problem(409, wire.CodeOutcomeUnknown)
}

// When Redis does not answer, nothing is carried out, and the problem says so; afterwards the same name works.
func TestIdempotencyWithoutRedis(t *testing.T) {
	s := start(t, nil)
	s.join(t, "acme", "a", "p1", "ann")
	s.redis.Kill()
	p := s.ask(t, acmeKey, "POST", rooms+"/a/messages", `{"data":1}`, "Idempotency-Key", "one").problem(503, wire.CodeUnavailable)
	require.True(t, p.Retryable)
	s.ask(t, acmeKey, "GET", rooms+"/a", "").problem(503, wire.CodeUnavailable)
	s.ask(t, acmeKey, "GET", rooms, "").problem(503, wire.CodeUnavailable)
	s.ask(t, acmeKey, "GET", "/v1/apps/acme", "").ok(200, nil) // Redis is not asked
	require.Empty(t, s.log.lines(t, "a request to the server API failed"))
}
