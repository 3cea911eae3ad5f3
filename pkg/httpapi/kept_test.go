package httpapi_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/httpapi"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// What the app's backend says can be kept for those who join later, and it sees and takes back what is kept, whoever has said it.
func TestKeptMessages(t *testing.T) {
	s := start(t, nil)
	var room httpapi.Room
	s.ask(t, acmeKey, "POST", rooms, `{"room":"club"}`).ok(201, &room)
	const chat, board = rooms + "/club/history/chat", rooms + "/club/history/whiteboard"
	say := func(topic, text string) (posted httpapi.Posted) {
		s.ask(t, acmeKey, "POST", rooms+"/club/messages", fmt.Sprintf(`{"topic":%q,"keep":true,"data":{"text":%q}}`, topic, text)).ok(200, &posted)
		return posted
	}
	first := say("chat", "one")
	require.Equal(t, httpapi.Posted{Room: "club", Epoch: room.Epoch, Seq: 1}, first)
	for _, text := range []string{"two", "three"} {
		say("chat", text)
	}
	drawn := say("whiteboard", "a line")

	type list struct {
		Epoch    string
		Seq      int64
		Dropped  int64
		Messages []httpapi.KeptMessage
	}
	look := func(path string) (l list) {
		s.ask(t, acmeKey, "GET", path, "").ok(200, &l)
		return l
	}
	all := look(chat)
	require.Equal(t, []any{room.Epoch, drawn.Seq, 3}, []any{all.Epoch, all.Seq, len(all.Messages)})
	require.Equal(t, `{"text":"one"}`, string(all.Messages[0].Data))
	require.Empty(t, all.Messages[0].Peer, "the app itself")
	require.WithinDuration(t, time.Now(), all.Messages[0].Time, time.Minute)
	last := look(chat + "?limit=1")
	require.Equal(t, all.Messages[2:], last.Messages)
	require.Equal(t, all.Messages[1:2], look(fmt.Sprintf("%s?limit=1&before=%d", chat, last.Messages[0].Seq)).Messages)

	var undone httpapi.Posted
	s.ask(t, acmeKey, "DELETE", fmt.Sprintf("%s/%d", chat, first.Seq), "").ok(200, &undone)
	require.Equal(t, httpapi.Posted{Room: "club", Epoch: room.Epoch, Seq: 5}, undone)
	s.ask(t, acmeKey, "DELETE", fmt.Sprintf("%s/%d", chat, first.Seq), "").problem(404, httpapi.CodeNotFound)
	require.Equal(t, all.Messages[1:], look(chat).Messages)
	s.ask(t, acmeKey, "DELETE", chat, "").ok(200, &undone)
	require.EqualValues(t, 6, undone.Seq)
	require.Empty(t, look(chat).Messages)
	require.Len(t, look(board).Messages, 1, "a topic of its own")

	s.ask(t, acmeKey, "POST", rooms+"/club/messages", `{"topic":"news","keep":true,"data":1}`).problem(422, httpapi.CodeInvalid)
	s.ask(t, acmeKey, "POST", rooms+"/club/messages", `{"topic":"chat","keep":true,"to":"p1","data":1}`).problem(422, httpapi.CodeInvalid)
	s.ask(t, acmeKey, "GET", rooms+"/club/history/news", "").problem(422, wire.CodeBadRequest)
	s.ask(t, acmeKey, "GET", rooms+"/nowhere/history/chat", "").problem(404, httpapi.CodeNotFound)
	s.ask(t, acmeKey, "DELETE", rooms+"/nowhere/history/chat", "").problem(404, httpapi.CodeNotFound)
	s.ask(t, acmeKey, "POST", rooms+"/nowhere/messages", `{"topic":"chat","keep":true,"data":1}`).problem(404, httpapi.CodeNotFound)
	s.ask(t, umbraKey, "GET", chat, "").problem(404, httpapi.CodeNotFound)
}

// An app whose policy keeps nothing keeps nothing of its own either.
func TestNothingIsKeptAgainstThePolicy(t *testing.T) {
	s := start(t, nil)
	s.ask(t, acmeKey, "POST", rooms, `{"room":"silent"}`).ok(201, nil)
	s.ask(t, acmeKey, "POST", rooms+"/silent/messages", `{"topic":"chat","keep":true,"data":1}`).problem(403, wire.CodeForbidden)
}
