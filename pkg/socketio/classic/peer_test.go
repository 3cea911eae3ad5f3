package classic

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/socketio"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// silentSession is a session that says nothing by itself.
type silentSession struct {
	handle  func(wire.Request)
	invalid func(id int64, refusal *wire.Error)
	end     func()
}

func (s *silentSession) Handle(request wire.Request) {
	if s.handle != nil {
		s.handle(request)
	}
}

func (s *silentSession) Invalid(id int64, refusal *wire.Error) {
	if s.invalid != nil {
		s.invalid(id, refusal)
	}
}

func (s *silentSession) End(bool) {
	if s.end != nil {
		s.end()
	}
}

// polled is a server whose clients poll, without a network between.
type polled struct {
	tb     testing.TB
	server *socketio.Server
	peers  []*Peer
	sids   []string
}

// newPolled makes a server, and clients of protocol 4, which are in the root namespace at once.
func newPolled(tb testing.TB, profile Profile, clients int) *polled {
	tb.Helper()
	var peers []*Peer
	events, err := New(Options{Profiles: map[string]Profile{"/": profile},
		Open: func(_ *socketio.Socket, _ *wire.Hello, peer *Peer) (Session, error) {
			peers = append(peers, peer)
			return new(silentSession), nil
		}})
	require.NoError(tb, err)
	p := pollsOn(tb, socketio.Options{Namespaces: events.Namespaces(), QueuePackets: 1 << 20, QueueBytes: 1 << 30})
	for range clients {
		_, handshake, _ := strings.Cut(p.request(http.MethodGet, "", ""), `0{"sid":"`)
		sid, _, _ := strings.Cut(handshake, `"`)
		p.sids = append(p.sids, sid)
	}
	p.peers = peers
	require.Len(tb, p.peers, clients)
	return p
}

// pollsOn makes a server without clients.
func pollsOn(tb testing.TB, opts socketio.Options) *polled {
	tb.Helper()
	server, err := socketio.New(opts)
	require.NoError(tb, err)
	ctx := tb.Context() // done before Cleanup
	var running sync.WaitGroup
	running.Go(func() { server.Run(ctx) })
	tb.Cleanup(running.Wait)
	return &polled{tb: tb, server: server}
}

func (p *polled) request(method, sid, body string) string {
	p.tb.Helper()
	target := "/socket.io/?EIO=3&transport=polling&b64=1"
	if sid != "" {
		target += "&sid=" + sid
	}
	answer := httptest.NewRecorder()
	p.server.ServeHTTP(answer, httptest.NewRequestWithContext(p.tb.Context(), method, target, strings.NewReader(body)))
	require.Equal(p.tb, http.StatusOK, answer.Code, answer.Body)
	return answer.Body.String()
}

// drain fetches what waits for each client.
func (p *polled) drain() (heard []string) {
	p.tb.Helper()
	for i, sid := range p.sids {
		p.peers[i].socket.Session().Send([]byte("end")) // a GET that finds nothing would wait
		heard = append(heard, p.request(http.MethodGet, sid, ""))
	}
	return heard
}

// sit gives every client a seat in a room.
func (p *polled) sit(room string, capacity int) {
	for _, peer := range p.peers {
		snapshot := &wire.Snapshot{Seq: 1, Capacity: capacity}
		for _, other := range p.peers {
			snapshot.Peers = append(snapshot.Peers, wire.Peer{ID: other.socket.ID()})
		}
		peer.mu.Lock()
		peer.sit(room, snapshot)
		peer.mu.Unlock()
	}
}

// An idle client costs its peer, and nothing for what it might do one day. The figures are for 64 bits.
func TestIdlePeerIsSmall(t *testing.T) {
	require.LessOrEqual(t, unsafe.Sizeof(Peer{}), uintptr(96))
	p := newPolled(t, Profile{Kind: Call}, 1)
	peer := p.peers[0]
	idle := func() {
		t.Helper()
		require.Nil(t, peer.seats)
		require.Nil(t, peer.pending)
	}
	idle()
	for i := range 20 { // a burst
		peer.event(socketio.Event{Name: "join", Args: []json.RawMessage{text(fmt.Sprint("room", i))}}, nil)
	}
	require.Len(t, peer.pending, 20)
	for i := range 20 {
		peer.Reply(int64(i+1), &wire.Snapshot{Room: fmt.Sprint("room", i)})
	}
	require.Len(t, peer.seats, 20)
	for i := range 20 {
		peer.event(socketio.Event{Name: "leave", Args: []json.RawMessage{text(fmt.Sprint("room", i))}}, nil)
	}
	for i := range 20 {
		peer.Reply(int64(i+21), &wire.Done{})
	}
	idle()
}

// What comes from the client after the end goes nowhere, also when it came in one piece with what led to the end.
func TestNothingIsHandledAfterTheEnd(t *testing.T) {
	p := newPolled(t, Profile{Kind: Call}, 1)
	peer := p.peers[0]
	var handled []wire.Request
	peer.session = &silentSession{
		handle: func(request wire.Request) {
			handled = append(handled, request)
			peer.Close(wire.CloseRateLimited, "too many requests")
		},
		invalid: func(int64, *wire.Error) { t.Error("taken after the end") },
	}
	p.request(http.MethodPost, p.sids[0], `16:42["join","one"]16:42["join","two"]8:42["no"]`)
	require.Len(t, handled, 1)
	require.Nil(t, peer.pending)
	require.Equal(t, `65:42["error",{"code":"rate_limited","message":"too many requests"}]2:414:4end`, p.drain()[0])
}

// Between its opening and the client's being let in a session may be closed. The socket is then never let in, and nothing
// but the close itself can end the session.
func TestCloseBeforeTheClientIsIn(t *testing.T) {
	ended := false
	events, err := New(Options{Profiles: map[string]Profile{"/": {Kind: Call}},
		Open: func(*socketio.Socket, *wire.Hello, *Peer) (Session, error) {
			return &silentSession{end: func() { ended = true }}, nil
		}})
	require.NoError(t, err)
	namespaces := events.Namespaces()
	root := namespaces["/"]
	connect := root.Connect
	root.Connect = func(s *socketio.Socket) error {
		require.NoError(t, connect(s))
		s.Data.(*Peer).Close(wire.CloseExpired, "the token has expired")
		return nil
	}
	namespaces["/"] = root
	p := pollsOn(t, socketio.Options{Namespaces: namespaces})
	require.Contains(t, p.request(http.MethodGet, "", ""), `44"Forbidden"`)
	require.True(t, ended)
}

// Frames of several rooms, answers, requests and the end come from goroutines of their own.
func TestPeersAreSafe(t *testing.T) {
	const rounds = 300
	p := newPolled(t, Profile{Kind: Call, SenderID: true}, 3)
	p.sit("one", 2)
	p.sit("two", 4)
	var frames [2][]*wire.Frame
	for i, room := range []string{"one", "two"} {
		for n := range int64(rounds) {
			id := fmt.Sprint("peer", n%7)
			frames[i] = append(frames[i],
				wire.EventFrame(4*n+2, wire.AppendEventBody(nil, room, &wire.JoinedPeer{Peer: wire.Peer{ID: id}})),
				wire.EventFrame(4*n+3, wire.AppendEventBody(nil, room, &wire.Message{From: id, Data: json.RawMessage(`1`)})),
				wire.EventFrame(4*n+4, wire.AppendEventBody(nil, room, &wire.LeftPeer{Peer: id, Reason: wire.ReasonLeft})))
		}
	}
	var running sync.WaitGroup
	for _, peer := range p.peers {
		answers := make(chan wire.Request, rounds)
		peer.session = &silentSession{handle: func(request wire.Request) { answers <- request }}
		for _, list := range frames {
			running.Go(func() {
				for _, frame := range list {
					peer.Deliver(frame)
				}
			})
		}
		running.Go(func() {
			for range rounds {
				peer.event(socketio.Event{Name: "message", Args: []json.RawMessage{text("one"), json.RawMessage(`{}`)}}, func(socketio.Ack) {})
			}
			close(answers)
		})
		running.Go(func() {
			for request := range answers {
				peer.Reply(request.ID, &wire.Done{Seq: request.ID})
			}
		})
	}
	running.Wait()
	for i, heard := range p.drain() {
		require.Empty(t, p.peers[i].pending)
		for _, room := range []string{"one", "two"} {
			require.Equal(t, rounds, strings.Count(heard, `42["otherjoin","`+room+`",`))
			require.Equal(t, rounds, strings.Count(heard, `42["message","`+room+`",1`))
			require.Equal(t, rounds, strings.Count(heard, `42["bye","`+room+`",`))
		}
		require.Equal(t, rounds, strings.Count(heard, `42["message","two",1,"peer`), "a room of more than two")
	}
}

// Whatever its arguments are, an event leads to one call of the session and to one answer.
func FuzzEvents(f *testing.F) {
	for _, name := range []string{"join", "leave", "message", "room-info", "control", "offer"} {
		for _, args := range []string{
			`[]`, `["lobby"]`, `["my room",{"x":[1,"\ud800"]}]`, `["lobby",{"_placeholder":true,"num":0},2]`, `[null,7]`, `[{}]`,
			`["lobby",{"action":"mute","kind":"audio"}]`, `["lobby",{"type":"room","version":1,"locked":true}]`,
			`["lobby",{"type":"state","state":{"a":1}}]`, `["lobby",{"type":"signal","to":"a","data":{}}]`,
			`["lobby",{"id":1,"room":"vault","type":"join"}]`, `["lobby",{"\u0072oom":"vault","action":"kick"}]`,
		} {
			f.Add(name, []byte(args), uint8(1), uint8(0))
			f.Add(name, []byte(args), uint8(0), uint8(1))
		}
	}
	p := newPolled(f, Profile{Kind: Call}, 1)
	socket := p.peers[0].socket
	socket.Session().Close() // what is said goes nowhere
	kinds := map[string]wire.Type{
		"join": wire.TypeJoin, "leave": wire.TypeLeave, "room-info": wire.TypePeers, "message": wire.TypePublish}
	f.Fuzz(func(t *testing.T, name string, list []byte, attachments, how uint8) {
		var args []json.RawMessage
		if wire.EachElement(list, 64, func(value []byte) error { args = append(args, value); return nil }) != nil {
			return // never gets here
		}
		e := socketio.Event{Name: name, Args: args}
		for i := range int(attachments % 12) {
			e.Attachments = append(e.Attachments, []byte{byte(i)})
		}
		peer := &Peer{namespace: p.peers[0].namespace, socket: socket}
		calls, answered := 0, 0
		peer.session = &silentSession{
			handle: func(request wire.Request) {
				calls++
				check(t, name, args, request, kinds)
				switch how % 3 {
				case 0:
					peer.Reply(request.ID, &wire.Done{Seq: 1})
				case 1:
					peer.Refuse(request.ID, wire.Errorf(wire.CodeRoomFull, "full"))
				case 2:
					peer.Close(wire.CloseExpired, "expired")
				}
				peer.Reply(request.ID, &wire.Done{Seq: 1})
				peer.Refuse(request.ID, wire.Errorf(wire.CodeInternal, "again"))
			},
			invalid: func(id int64, refusal *wire.Error) {
				calls++
				require.Contains(t, []wire.Code{wire.CodeBadRequest, wire.CodeTooLarge}, refusal.Code)
				peer.Refuse(id, refusal)
			},
		}
		peer.event(e, func(a socketio.Ack) {
			answered++
			require.Len(t, a.Args, 1)
			var object struct {
				OK    *bool
				Error *struct{ Code, Message string }
			}
			require.NoError(t, json.Unmarshal(a.Args[0], &object), "%s", a.Args[0])
			require.NotNil(t, object.OK)
			require.Equal(t, *object.OK, object.Error == nil)
		})
		require.Equal(t, 1, calls)
		require.Equal(t, 1, answered)
		require.Empty(t, peer.pending)
	})
}

// check holds a request against the event that it was made of.
func check(t *testing.T, name string, args []json.RawMessage, request wire.Request, kinds map[string]wire.Type) {
	again, err := wire.DecodeRequest(wire.AppendRequest(nil, request), wire.Limits{Depth: 65})
	require.NoError(t, err, "a request that natives could not make")
	require.Equal(t, int64(1), again.ID)
	var room string
	require.NoError(t, json.Unmarshal(args[0], &room))
	native, ok := nativeRoom(room)
	require.True(t, ok)
	require.Contains(t, string(wire.AppendRequest(nil, request)), `"room":"`+native+`"`)
	if kind, ok := kinds[name]; ok {
		require.Equal(t, kind, request.Body.Type())
	} else {
		require.Equal(t, "control", name)
		require.Contains(t, []wire.Type{wire.TypeControl, wire.TypeRoom, wire.TypeState, wire.TypeSignal}, request.Body.Type())
	}
}

// A frame's messages are made once, however many receive it: a receiver costs its place in the socket's queue.
func TestDeliverAllocations(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector allocates")
	}
	const receivers = 100
	p := newPolled(t, Profile{Kind: Chat}, receivers)
	p.sit("lobby", 500)
	body := wire.AppendEventBody(nil, "lobby", &wire.Message{From: "a", Topic: "message", Data: json.RawMessage(`{"text":"hello"}`)})
	frame := wire.EventFrame(2, body)
	for range 64 { // fills the queues' slices
		for _, peer := range p.peers {
			peer.Deliver(frame)
		}
	}
	perFrame := testing.AllocsPerRun(50, func() {
		frame := wire.EventFrame(2, body)
		for _, peer := range p.peers {
			peer.Deliver(frame)
		}
	})
	require.LessOrEqual(t, perFrame, 30.0+receivers/50, "a slice grows once")
}

func BenchmarkDeliver(b *testing.B) {
	const receivers = 100
	for _, kind := range []Kind{Call, Chat} {
		b.Run(string(kind), func(b *testing.B) {
			p := newPolled(b, Profile{Kind: kind}, receivers)
			p.sit("lobby", 500)
			body := wire.AppendEventBody(nil, "lobby", &wire.Message{
				From: "a", Topic: "message", Data: json.RawMessage(`{"text":"` + strings.Repeat("hello ", 39) + `"}`)})
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				frame := wire.EventFrame(2, body)
				for _, peer := range p.peers {
					peer.Deliver(frame)
				}
				if i%1024 == 1023 {
					b.StopTimer()
					p.drain()
					b.StartTimer()
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/receivers, "ns/receiver")
		})
	}
}
