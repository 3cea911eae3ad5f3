package client_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/client"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

var errCut = errors.New("cut")

// keeper is a gateway of one room that keeps the session of one client: every request takes effect once, and what the
// client has missed is told again. It cuts its connections where the test says.
type keeper struct {
	g    *gateway
	cut  func(point int) bool
	over chan struct{}
	ran  sync.WaitGroup

	mu      sync.Mutex
	point   int           // guarded by mu: places so far at which a connection can be cut
	attempt int64         // guarded by mu
	seated  bool          // guarded by mu
	log     []string      // guarded by mu: the texts of the room's messages; the first has seq 2
	effects map[int64]int // guarded by mu: of requests: the length of the log behind each
}

func newKeeper(t *testing.T, cut func(point int) bool) *keeper {
	k := &keeper{g: newMemGateway(t), cut: cut, over: make(chan struct{}), effects: make(map[int64]int)}
	k.ran.Go(func() {
		for {
			select {
			case p := <-k.g.accepted:
				k.ran.Go(func() {
					_ = k.serve(p)
					p.cut()
				})
			case <-k.over:
				return
			}
		}
	})
	return k
}

// here is a place at which the connection may be cut.
func (k *keeper) here() error {
	k.point++
	if k.cut(k.point) {
		return errCut
	}
	return nil
}

// say writes a message, and may cut the connection in front of it or behind it.
func (k *keeper) say(p *peer, message []byte) error {
	if err := k.here(); err != nil {
		return err
	}
	if err := p.ws.WriteMessage(websocket.TextMessage, message); err != nil {
		return err
	}
	return k.here()
}

func (k *keeper) serve(p *peer) error {
	attempt := int64(0)
	for {
		request, err := p.tryRead()
		if err != nil {
			return err
		}
		k.mu.Lock()
		if hello, ok := request.Body.(*wire.Hello); ok {
			attempt = hello.Attempt
			err = k.greet(p, request.ID, hello)
		} else if attempt != k.attempt {
			err = errCut // a later connection has the session
		} else if err = k.here(); err == nil {
			err = k.handle(p, request)
		}
		k.mu.Unlock()
		if err != nil {
			return err
		}
	}
}

func (k *keeper) greet(p *peer, id int64, hello *wire.Hello) error {
	if hello.Resume == "" {
		k.attempt = hello.Attempt
		return k.say(p, wire.AppendReply(nil, id, resumableWelcome("token-1")))
	}
	if hello.Attempt <= k.attempt {
		return fmt.Errorf("attempt %d after %d", hello.Attempt, k.attempt)
	}
	k.attempt = hello.Attempt
	rooms := make(map[string]wire.ResumedRoom)
	position, in := hello.Rooms["lobby"]
	if in && k.seated {
		rooms = replayed("lobby")
	}
	if err := k.say(p, wire.AppendReply(nil, id, resumedWelcome(fmt.Sprint("token-", hello.Attempt), rooms))); err != nil {
		return err
	}
	for seq := position.Seq + 1; in && seq < int64(len(k.log))+2; seq++ {
		if err := k.tell(p, seq); err != nil {
			return err
		}
	}
	return nil
}

// tell sends the message of a number.
func (k *keeper) tell(p *peer, seq int64) error {
	return k.say(p, wire.AppendEvent(nil, wire.Event{Room: "lobby", Seq: seq, Body: &wire.Message{From: "a81x", Data: []byte(k.log[seq-2])}}))
}

func (k *keeper) handle(p *peer, request wire.Request) error {
	switch body := request.Body.(type) {
	case *wire.Join:
		k.seated = true
		return k.say(p, wire.AppendReply(nil, request.ID, snapshot("lobby", int64(len(k.log))+1)))
	case *wire.Publish:
		before, repeated := k.effects[request.ID]
		if repeated {
			return k.say(p, wire.AppendReply(nil, request.ID, &wire.Done{Seq: int64(before), Repeated: true}))
		}
		// To everybody the client's message and an answer of somebody else's.
		first := int64(len(k.log)) + 2
		k.log = append(k.log, string(body.Data), `"re: `+string(body.Data[1:]))
		k.effects[request.ID] = int(first)
		for seq := first; seq < first+2; seq++ {
			if err := k.tell(p, seq); err != nil {
				return err
			}
		}
		return k.say(p, wire.AppendReply(nil, request.ID, &wire.Done{Seq: first}))
	}
	return k.say(p, wire.AppendReply(nil, request.ID, &wire.Pong{Time: 1}))
}

// runCuts lets a client join and publish against a keeper, and checks that every message took effect once, in order, and
// that everything was told once, in order. It gives the number of places at which a connection could have been cut.
func runCuts(t *testing.T, cut func(point int) bool) (points int) {
	synctest.Test(t, func(t *testing.T) {
		k := newKeeper(t, cut)
		opts, _ := returning(k.g)
		opts.Backoff.Healthy = 1 // the pauses of many cuts would take years, even of fake time
		var got recorder
		opts.OnEvent = got.add
		c, err := client.Dial(t.Context(), opts)
		for err != nil { // no session yet
			require.True(t, client.Retryable(err), err)
			c, err = client.Dial(t.Context(), opts)
		}
		const inFlight, calls = 4, 3
		_, err = c.Join(t.Context(), wire.Join{Room: "lobby"})
		require.NoError(t, err)
		var want []string
		for i := range calls {
			done, err := c.Publish(t.Context(), *publish(fmt.Sprint("call ", i)))
			require.NoError(t, err)
			require.Equal(t, int64(len(want)+2), done.Seq)
			want = append(want, fmt.Sprintf(`"call %d"`, i), fmt.Sprintf(`"re: call %d"`, i))
		}
		outcomes := make(chan outcome, inFlight)
		for i := range inFlight {
			send(t, c, publish(fmt.Sprint("go ", i)), outcomes)
			want = append(want, fmt.Sprintf(`"go %d"`, i), fmt.Sprintf(`"re: go %d"`, i))
		}
		for range inFlight {
			require.NoError(t, next(t, outcomes).err)
		}
		_, err = c.Publish(t.Context(), *publish("last"))
		require.NoError(t, err)
		want = append(want, `"last"`, `"re: last"`)
		for len(got.all()) < len(want) {
			// The last reply may have come over a connection that was cut before the events of its resume.
			_, err := c.Ping(t.Context())
			require.NoError(t, err)
		}
		k.mu.Lock()
		require.Equal(t, want, k.log)
		points = k.point
		k.mu.Unlock()
		var heard []string
		for i, event := range got.all() {
			require.Equal(t, int64(i+2), event.Seq)
			heard = append(heard, string(event.Body.(*wire.Message).Data))
		}
		require.Equal(t, want, heard)
		c.Close()
		close(k.over)
		k.ran.Wait()
	})
	return points
}

// send hands a request over once there is a connection.
func send(t *testing.T, c *client.Client, body wire.RequestBody, outcomes chan<- outcome) {
	t.Helper()
	for {
		sent := make(chan bool, 1)
		c.Go(body, func(_ *wire.Reply, err error) {
			lost, ok := errors.AsType[*client.LostError](err)
			if ok && lost.Error() == "client: connection lost: client: not connected" {
				sent <- false
				return
			}
			outcomes <- outcome{err: err}
		})
		synctest.Wait()
		if len(sent) == 0 {
			return
		}
		_, err := c.Ping(t.Context()) // waits for the connection
		require.NoError(t, err)
	}
}

// One cut at each place in turn, and cuts at every second, third, ... place.
func TestCutsAtEveryPoint(t *testing.T) {
	points := runCuts(t, func(int) bool { return false })
	require.Greater(t, points, 40)
	for at := 1; at <= points+1; at++ {
		t.Run(fmt.Sprint("At", at), func(t *testing.T) {
			runCuts(t, func(point int) bool { return point == at })
		})
	}
}

func TestManyCuts(t *testing.T) {
	for every := 6; every <= 20; every++ {
		for first := range every {
			t.Run(fmt.Sprintf("Every%dFrom%d", every, first), func(t *testing.T) {
				runCuts(t, func(point int) bool { return point%every == first })
			})
		}
	}
}
