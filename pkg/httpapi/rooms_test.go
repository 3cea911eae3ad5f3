package httpapi_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/httpapi"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

func TestRooms(t *testing.T) {
	s := start(t, nil)
	var made httpapi.Room
	r := s.ask(t, acmeKey, "POST", rooms, `{"room":"lobby","properties":{"topic":{"a":[]}}}`).ok(201, &made)
	require.Equal(t, rooms+"/lobby", r.header.Get("Location"))
	require.Equal(t, 3, made.Capacity, "as the app's policy says")
	require.NotEmpty(t, made.Epoch)
	require.JSONEq(t, `{"a":[]}`, string(made.Properties["topic"]))
	s.ask(t, acmeKey, "POST", rooms, `{"room":"lobby"}`).problem(409, wire.CodeConflict)

	var got httpapi.Room
	r = s.ask(t, acmeKey, "GET", rooms+"/lobby", "").ok(200, &got)
	require.Equal(t, made, got)
	tag := r.header.Get("ETag")
	require.NotEmpty(t, tag)
	same := s.ask(t, acmeKey, "GET", rooms+"/lobby", "", "If-None-Match", `"other.1.1", `+tag).ok(304, nil)
	require.Empty(t, same.body)
	require.Equal(t, tag, same.header.Get("ETag"))

	s.join(t, "acme", "lobby", "p1", "ann")
	s.ask(t, acmeKey, "GET", rooms+"/lobby", "", "If-None-Match", tag).ok(200, &got)
	require.Equal(t, 1, got.Members)
	require.Greater(t, got.Seq, made.Seq)

	s.ask(t, acmeKey, "DELETE", rooms+"/lobby", "").ok(200, nil)
	s.ask(t, acmeKey, "GET", rooms+"/lobby", "").problem(404, httpapi.CodeNotFound)
	s.ask(t, acmeKey, "DELETE", rooms+"/lobby", "").problem(404, httpapi.CodeNotFound)
}

// A change is made for a state, and for no other one.
func TestUpdateRoom(t *testing.T) {
	s := start(t, nil)
	tag := s.ask(t, acmeKey, "POST", rooms, `{"room":"a"}`).ok(201, nil).header.Get("ETag")
	s.ask(t, acmeKey, "PATCH", rooms+"/a", `{"locked":true}`).problem(428, httpapi.CodePreconditionRequired)

	s.join(t, "acme", "a", "p1", "ann") // does not stand in the way
	var room httpapi.Room
	r := s.ask(t, acmeKey, "PATCH", rooms+"/a", `{"locked":true,"capacity":5,"properties":{"x":1},"presenter":"p1"}`, "If-Match", tag).ok(200, &room)
	require.True(t, room.Locked)
	require.Equal(t, 5, room.Capacity)
	require.Equal(t, "p1", room.Presenter)
	require.NotEqual(t, tag, r.header.Get("ETag"))

	p := s.ask(t, acmeKey, "PATCH", rooms+"/a", `{"locked":false}`, "If-Match", tag).problem(412, httpapi.CodePreconditionFailed)
	require.Equal(t, room.Version, p.Version)
	p = s.ask(t, acmeKey, "PATCH", rooms+"/a", fmt.Sprintf(`{"locked":false,"version":%d}`, room.Version-1)).problem(409, wire.CodeConflict)
	require.Equal(t, room.Version, p.Version)
	s.ask(t, acmeKey, "PATCH", rooms+"/a", fmt.Sprintf(`{"locked":false,"version":%d}`, p.Version)).ok(200, &room)
	require.False(t, room.Locked)
	s.ask(t, acmeKey, "PATCH", rooms+"/a", `{"spotlight":{"start":7,"interval":5000,"order":["p1"]}}`, "If-Match", "*").ok(200, &room)
	require.JSONEq(t, `{"start":7,"interval":5000,"order":["p1"]}`, string(room.Spotlight))
	s.ask(t, acmeKey, "PATCH", rooms+"/a", `{"spotlight":{"interval":5,"order":["p1"]}}`, "If-Match", "*").problem(422, wire.CodeBadRequest)
	s.ask(t, acmeKey, "PATCH", rooms+"/a", `{}`, "If-Match", "*").ok(200, nil)
	s.ask(t, acmeKey, "PATCH", rooms+"/a", `{"version":1}`).problem(409, wire.CodeConflict)
	s.ask(t, acmeKey, "PATCH", rooms+"/a", `{"spotlight":null}`, "If-Match", "*").ok(200, nil)
	var dark httpapi.Room
	s.ask(t, acmeKey, "GET", rooms+"/a", "").ok(200, &dark)
	require.Nil(t, dark.Spotlight)
	s.ask(t, acmeKey, "PATCH", rooms+"/a", `{"presenter":"nobody"}`, "If-Match", "*").problem(404, wire.CodePeerGone)
	s.ask(t, acmeKey, "PATCH", rooms+"/a", `{"capacity":21}`, "If-Match", "*").problem(422, wire.CodeLimit)

	s.ask(t, acmeKey, "DELETE", rooms+"/a", "").ok(200, nil)
	s.ask(t, acmeKey, "POST", rooms, `{"room":"a"}`).ok(201, nil)
	s.ask(t, acmeKey, "PATCH", rooms+"/a", `{"locked":true}`, "If-Match", tag).problem(412, httpapi.CodePreconditionFailed)
}

// A list is whole however it is cut into pages, and holds no other app's rooms.
func TestListRooms(t *testing.T) {
	s := start(t, nil)
	var want []string
	for i := range 25 {
		name := fmt.Sprintf("room-%02d", i)
		want = append(want, name)
		s.ask(t, operatorKey, "POST", rooms, `{"room":"`+name+`"}`).ok(201, nil)
		s.ask(t, operatorKey, "POST", "/v1/apps/umbra/rooms", `{"room":"`+name+`"}`).ok(201, nil)
	}
	for _, limit := range []int{1, 7, 25, 100} {
		var names []string
		for cursor := ""; ; {
			var page struct {
				Rooms []httpapi.Room
				Next  string
			}
			s.ask(t, acmeKey, "GET", fmt.Sprintf("%s?limit=%d&cursor=%s", rooms, limit, cursor), "").ok(200, &page)
			require.LessOrEqual(t, len(page.Rooms), limit)
			for _, room := range page.Rooms {
				require.Equal(t, "acme", room.App)
				names = append(names, room.Room)
			}
			if cursor = page.Next; cursor == "" {
				break
			}
		}
		slices.Sort(names)
		require.Equal(t, want, names)
	}
	var figures map[string]int
	s.ask(t, acmeKey, "GET", "/v1/apps/acme/statistics", "").ok(200, &figures)
	require.Equal(t, map[string]int{"sessions": 0, "rooms": 25, "members": 0, "seats": 75, "locked": 0}, figures)
	var whole map[string]int
	require.Eventually(t, func() bool { // this node is on the roster after its first beat
		s.ask(t, readerKey, "GET", "/v1/statistics", "").ok(200, &whole)
		return whole["nodes"] > 0
	}, time.Minute, 10*time.Millisecond)
	require.Equal(t, map[string]int{"apps": 2, "rooms": 50, "nodes": 1, "sessions": 0, "connections": 0}, whole)
}

func TestMembers(t *testing.T) {
	s := start(t, nil)
	for _, peer := range []string{"p1", "p2", "p3"} {
		s.join(t, "acme", "a", peer, "user-"+peer)
	}
	type list struct {
		Epoch   string
		Seq     int64
		Count   int
		Members []httpapi.Member
		Next    string
	}
	var page list
	s.ask(t, acmeKey, "GET", rooms+"/a/members?limit=2", "").ok(200, &page)
	require.Equal(t, 3, page.Count)
	require.Len(t, page.Members, 2)
	require.Equal(t, "user-p1", page.Members[0].User)
	var rest list
	s.ask(t, acmeKey, "GET", rooms+"/a/members?cursor="+page.Next, "").ok(200, &rest)
	require.Len(t, rest.Members, 1)
	require.Equal(t, "p3", rest.Members[0].Peer)
	require.Empty(t, rest.Next)

	var affected httpapi.Affected
	s.ask(t, acmeKey, "POST", rooms+"/a/members/p1/mute", `{"kind":"audio"}`).ok(200, &affected)
	require.Equal(t, httpapi.Affected{Epoch: page.Epoch, Seq: page.Seq + 1, Affected: 1}, affected)
	var member httpapi.Member
	s.ask(t, acmeKey, "GET", rooms+"/a/members/p1", "").ok(200, &member)
	require.Equal(t, json.RawMessage("true"), member.State["mutedAudio"])
	s.ask(t, acmeKey, "POST", rooms+"/a/members/p1/unmute", `{"kind":"audio"}`).ok(200, nil)
	s.ask(t, acmeKey, "POST", rooms+"/a/mute", `{"kind":"video"}`).ok(200, &affected)
	require.Equal(t, 3, affected.Affected)
	s.ask(t, acmeKey, "POST", rooms+"/a/unmute", `{"kind":"video"}`).ok(200, nil)
	s.ask(t, acmeKey, "POST", rooms+"/a/members/p1/move", `{"room":"b"}`).ok(200, nil)
	s.ask(t, acmeKey, "POST", rooms+"/a/members/p1/kick", `{"reason":"two\nlines"}`).problem(422, httpapi.CodeInvalid)
	s.ask(t, acmeKey, "POST", rooms+"/a/members/p1/kick", `{"reason":"`+strings.Repeat("ü", 200)+`"}`).problem(422, httpapi.CodeInvalid)
	s.ask(t, acmeKey, "POST", rooms+"/a/members/p1/kick", `{"reason":"no spam"}`).ok(200, nil)
	for _, path := range []string{"/members/p1/kick", "/members/p1/mute", "/members/p1/move", "/members/a%20b/kick"} {
		body := map[string]string{"/members/p1/mute": `{"kind":"audio"}`, "/members/p1/move": `{"room":"b"}`}[path]
		s.ask(t, acmeKey, "POST", rooms+"/a"+path, body).problem(404, wire.CodePeerGone)
	}
	s.ask(t, acmeKey, "GET", rooms+"/a/members/p1", "").problem(404, wire.CodePeerGone)
	s.ask(t, acmeKey, "DELETE", rooms+"/a?reason=%1b%5b31m", "").problem(422, httpapi.CodeInvalid)
	s.ask(t, acmeKey, "POST", rooms+"/a/kick", "").ok(200, &affected)
	require.Equal(t, 2, affected.Affected)
	s.ask(t, acmeKey, "GET", rooms+"/a/members", "").problem(404, httpapi.CodeNotFound)
}

func TestMessages(t *testing.T) {
	s := start(t, nil)
	s.join(t, "acme", "a", "p1", "ann")
	s.join(t, "acme", "a", "p2", "ben")
	s.join(t, "acme", "b", "p1", "ann")
	s.join(t, "umbra", "a", "p1", "ann")
	var before, after httpapi.Room
	s.ask(t, acmeKey, "GET", rooms+"/a", "").ok(200, &before)
	var posted httpapi.Posted
	s.ask(t, acmeKey, "POST", rooms+"/a/messages", `{"topic":"news","data":{"n":1}}`).ok(200, &posted)
	require.Equal(t, httpapi.Posted{Room: "a", Epoch: before.Epoch, Seq: before.Seq + 1}, posted)
	s.ask(t, acmeKey, "POST", rooms+"/a/messages", `{"to":"p2","data":null}`).ok(200, nil)
	s.ask(t, acmeKey, "POST", rooms+"/a/messages", `{"to":"p9","data":1}`).problem(404, wire.CodePeerGone)
	s.ask(t, acmeKey, "POST", rooms+"/a/messages", `{"topic":"news"}`).problem(422, wire.CodeBadRequest)

	var many struct {
		Posted []httpapi.Posted
		Failed int
	}
	s.ask(t, acmeKey, "POST", "/v1/apps/acme/users/ann/messages", `{"data":1}`).ok(200, &many)
	require.Len(t, many.Posted, 2)
	s.ask(t, acmeKey, "POST", "/v1/apps/acme/users/ben/messages", `{"data":1,"to":"rooms"}`).ok(200, &many)
	require.Len(t, many.Posted, 1)
	s.ask(t, acmeKey, "POST", "/v1/apps/acme/users/nobody/messages", `{"data":1}`).ok(200, &many)
	require.Empty(t, many.Posted)
	var app map[string]int
	s.ask(t, acmeKey, "POST", "/v1/apps/acme/messages", `{"data":1}`).ok(200, &app)
	require.Equal(t, map[string]int{"posted": 2, "failed": 0, "refused": 0}, app)
	s.ask(t, acmeKey, "GET", rooms+"/a", "").ok(200, &after)
	require.Equal(t, before.Seq+5, after.Seq)
	var of map[string][]string
	s.ask(t, acmeKey, "GET", "/v1/apps/acme/users/ann/rooms", "").ok(200, &of)
	require.Equal(t, map[string][]string{"rooms": {"a", "b"}}, of)
}

// The epoch of an answer used to be read before the call: a room that ended and began anew in between gave the number of one life with the
// epoch of the other, and so one place to two messages.
func TestPlacesAreOfOneInstant(t *testing.T) {
	s := start(t, nil)
	done := make(chan struct{})
	var renewing, posting sync.WaitGroup
	renewing.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
				s.ask(t, acmeKey, "DELETE", rooms+"/a", "")
				s.ask(t, acmeKey, "POST", rooms, `{"room":"a"}`)
			}
		}
	})
	var mu sync.Mutex
	seen := make(map[httpapi.Posted]int)
	for range 8 {
		posting.Go(func() {
			for range 100 {
				var posted httpapi.Posted
				if r := s.ask(t, acmeKey, "POST", rooms+"/a/messages", `{"data":1}`); r.status == 200 && assert.NoError(t, json.Unmarshal(r.body, &posted)) {
					mu.Lock()
					seen[posted]++
					mu.Unlock()
				}
			}
		})
	}
	posting.Wait()
	close(done)
	renewing.Wait()
	require.NotEmpty(t, seen)
	for place, times := range seen {
		require.Equal(t, 1, times, "%v", place)
	}
}
