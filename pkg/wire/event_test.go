package wire_test

import (
	"encoding/json"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// Scripts put a number or an id between two halves of an event: joined, they must be what the encoder makes.

func TestSplitJoinedIsTheWholeEvent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		room := rapid.StringMatching(`[A-Za-z0-9._~-]{1,128}`).Draw(t, "room")
		peer := wire.Peer{
			ID: rapid.StringMatching(`[a-z0-9]{1,64}`).Draw(t, "id"), Order: rapid.Int64Range(1, 1<<53-1).Draw(t, "order"),
			User: rapid.String().Draw(t, "user"), Name: rapid.String().Draw(t, "name"), State: drawObject(t), Away: rapid.Bool().Draw(t, "away"),
		}
		head, tail := wire.SplitJoined(room, &peer)
		require.Equal(t, string(wire.AppendEventBody(nil, room, &wire.JoinedPeer{Peer: peer})),
			string(head)+strconv.FormatInt(peer.Order, 10)+string(tail))
	})
}

func TestSplitRoomChangedIsTheWholeEvent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		change := wire.RoomChange{Properties: drawObject(t)}
		if rapid.Bool().Draw(t, "locks") {
			change.Locked = new(rapid.Bool().Draw(t, "locked"))
		}
		if rapid.Bool().Draw(t, "resizes") {
			change.Capacity = new(rapid.IntRange(1, 500).Draw(t, "capacity"))
		}
		if rapid.Bool().Draw(t, "presents") {
			change.Presenter = new(rapid.SampledFrom([]string{"", "a81x"}).Draw(t, "presenter"))
		}
		if rapid.Bool().Draw(t, "lights") {
			change.Spotlight = []byte(rapid.SampledFrom([]string{`null`, `{"interval":5000,"order":["p"]}`}).Draw(t, "spotlight"))
		}
		version := rapid.Int64Range(1, 1<<53-1).Draw(t, "version")
		by := rapid.SampledFrom([]string{"", "k3vq"}).Draw(t, "by")
		head, tail := wire.SplitRoomChanged("lobby", by, &change)
		joined := string(head) + strconv.FormatInt(version, 10) + string(tail)
		require.Equal(t, string(wire.AppendEventBody(nil, "lobby", &wire.RoomChanged{Version: version, By: by, RoomChange: change})), joined)
		_, event, err := wire.DecodeServer([]byte(joined))
		require.NoError(t, err, joined)
		require.Equal(t, version, event.Body.(*wire.RoomChanged).Version)
	})
}

// A change of nothing but the version must close its object in the right place.
func TestSplitRoomChangedOfNothing(t *testing.T) {
	head, tail := wire.SplitRoomChanged("lobby", "", &wire.RoomChange{})
	require.Equal(t, `{"type":"room","room":"lobby","version":7}`, string(head)+"7"+string(tail))
}

func TestSplitKickedIsTheWholeEvent(t *testing.T) {
	for _, text := range []string{"", "No \"spam\", please"} {
		head, tail := wire.SplitKicked("lobby", "k3vq", text)
		require.Equal(t, string(wire.AppendEventBody(nil, "lobby", &wire.LeftPeer{Peer: "a81x", Reason: wire.ReasonKicked, By: "k3vq", Text: text})),
			string(head)+"a81x"+string(tail))
	}
}

// A stored body begins with its type, by which scripts and readers tell it from anything else.
func TestBodiesBeginWithTheirType(t *testing.T) {
	for _, s := range eventSamples {
		body := wire.AppendEventBody(nil, s.event.Room, s.event.Body)
		require.Regexp(t, `^\{"type":"`+string(s.event.Body.Type())+`"[,}]`, string(body))
	}
}

// A resync has its room's number within; a second seq in front would be a duplicate field.
func TestResyncIsNotNumberedTwice(t *testing.T) {
	snapshot := wire.Snapshot{Room: "lobby", Self: "k3vq", Epoch: "9f2c", Seq: 12, Version: 1, Capacity: 2, Count: 1}
	want := wire.AppendEvent(nil, wire.Event{Room: "lobby", Seq: 12, Body: &wire.Resync{Snapshot: snapshot}})
	require.Equal(t, string(want), string(wire.MessageFrame(&wire.Resync{Snapshot: snapshot}).Text()))
	_, event, err := wire.DecodeServer(want)
	require.NoError(t, err)
	require.Equal(t, wire.Event{Room: "lobby", Seq: 12, Body: &wire.Resync{Snapshot: snapshot}}, *event)
}

// A client that keeps its place does not need to read the whole room for it.
func TestPositionOfASnapshot(t *testing.T) {
	reply, _, err := wire.DecodeServer(wire.AppendReply(nil, 2, crowd(3)))
	require.NoError(t, err)
	var position wire.Position
	require.NoError(t, reply.Decode(&position))
	require.Equal(t, wire.Position{Epoch: "9f2c", Seq: 900}, position)
}

// Unknown events are passed over, not an error: a later server may send them.
func TestUnknownEventsHaveNoBody(t *testing.T) {
	for _, message := range []string{`{"type":"poll","room":"lobby","seq":3,"data":{}}`, `{"type":"hello"}`, `{"type":""}`} {
		reply, event, err := wire.DecodeServer([]byte(message))
		require.NoError(t, err, message)
		require.Nil(t, reply)
		require.Nil(t, event.Body)
	}
}

func TestBrokenServerMessages(t *testing.T) {
	for name, message := range map[string]string{
		"empty": ``, "no type": `{}`, "type number": `{"type":1}`, "re string": `{"re":"1","ok":{}}`, "re negative": `{"re":-1,"ok":{}}`,
		"neither ok nor error": `{"re":1}`, "ok null": `{"re":1,"ok":null}`, "ok array": `{"re":1,"ok":[]}`, "error string": `{"re":1,"error":"x"}`,
		"error without code": `{"re":1,"error":{"message":"x"}}`, "error with a long wait": `{"re":1,"error":{"code":"internal","retryAfter":9007199254740991}}`,
		"event without peer": `{"type":"left-peer","room":"r","seq":1,"reason":"left"}`, "peer as a string": `{"type":"joined-peer","room":"r","seq":1,"peer":"p"}`,
		"seq as a string": `{"type":"away-peer","room":"r","seq":"1","peer":"p"}`, "peers of numbers": `{"type":"resync","room":"r","epoch":"e","seq":1,"peers":[1]}`,
		"peers as an object": `{"type":"resync","room":"r","epoch":"e","seq":1,"peers":{}}`, "servers without urls": `{"type":"ice","iceServers":[{}]}`,
		"room without version": `{"type":"room","room":"r","seq":1,"locked":true}`, "room version 0": `{"type":"room","room":"r","seq":1,"version":0}`,
		"servers with no url": `{"type":"ice","iceServers":[{"urls":[]}]}`, "urls as an object": `{"type":"ice","iceServers":[{"urls":{}}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			reply, event, err := wire.DecodeServer([]byte(message))
			require.Error(t, err)
			require.Nil(t, reply)
			require.Nil(t, event)
		})
	}
}

// Keys and values of the application's cannot break out of their place, even where nobody validated them.
func TestKeysAreEscaped(t *testing.T) {
	state := wire.Object{`a":1,"b`: nil}
	require.Equal(t, `{"id":1,"type":"state","room":"r","state":{"a\":1,\"b":null}}`,
		string(wire.AppendRequest(nil, wire.Request{ID: 1, Body: &wire.SetState{Room: "r", State: state}})))
	rooms := map[string]wire.Position{`a":1,"b`: {Epoch: `e"`, Seq: 2}}
	require.Equal(t, `{"id":1,"type":"hello","rooms":{"a\":1,\"b":{"epoch":"e\"","seq":2}}}`,
		string(wire.AppendRequest(nil, wire.Request{ID: 1, Body: &wire.Hello{Rooms: rooms}})))
}

func drawObject(t *rapid.T) wire.Object {
	names := rapid.SliceOfNDistinct(rapid.StringMatching(`[A-Za-z0-9._~-]{1,64}`), 0, 4, rapid.ID[string]).Draw(t, "keys")
	o := make(wire.Object)
	for _, name := range names {
		o[name] = []byte(rapid.SampledFrom([]string{`null`, `true`, `"x"`, `[1,{"a":2}]`}).Draw(t, "value"))
	}
	return o
}

// An offer is known by what its sender says of it, and by nothing in its data or in the room's name.
func TestOfferFrom(t *testing.T) {
	offer := func(room string, s wire.Signaled) string { return wire.OfferFrom(wire.AppendEventBody(nil, room, &s)) }
	data := json.RawMessage(`{"description":{"type":"offer"}}`)
	require.Equal(t, "ada", offer("r", wire.Signaled{From: "ada", Offer: true, Data: data}))
	require.Equal(t, "ada", offer(`x","from":"eve","offer":true,"`, wire.Signaled{From: "ada", Offer: true, Data: data}))
	for room, data := range map[string]string{
		"r":                              `{"from":"eve","offer":true,"x":1}`,
		`x","from":"eve","offer":true,"`: `{"a":1,"from":"eve","offer":true,"x":1}`,
	} {
		require.Empty(t, offer(room, wire.Signaled{From: "ada", Data: json.RawMessage(data)}), room)
	}
	require.Empty(t, wire.OfferFrom(wire.AppendEventBody(nil, "r", &wire.LeftPeer{Peer: "ada"})))
	require.Empty(t, wire.OfferFrom(nil))
}
