package session_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/internal/memnet"
	"github.com/signalbox-rtc/signalbox/internal/memredis"
	"github.com/signalbox-rtc/signalbox/pkg/auth"
	"github.com/signalbox-rtc/signalbox/pkg/session"
	"github.com/signalbox-rtc/signalbox/pkg/store"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// twoGateways runs a test on fake time with two gateways on one Redis.
func twoGateways(t *testing.T, opts session.Options, test func(t *testing.T, one, two *gateway, redis *miniredis.Miniredis)) {
	t.Helper()
	memredis.Bubble(t, func(t *testing.T) {
		network := new(memnet.Network)
		redis := memredis.Serve(t, network)
		at := store.Options{Addresses: []string{memredis.Addr}, Dialer: network.DialContext}
		test(t, newGatewayOf(t, "1", opts, at), newGatewayOf(t, "2", opts, at), redis)
	})
}

// begin gives a new session that can be resumed.
func (g *gateway) begin() (*client, *wire.Welcome) {
	g.tb.Helper()
	c, welcome := g.connect(), new(wire.Welcome)
	c.ok(`{"id":1,"type":"hello","app":"open","name":"Ada","resumable":true,"attempt":1}`, welcome)
	return c, welcome
}

// resumeOf is the hello of a client that comes back.
func resumeOf(token string, attempt int, rooms map[string]wire.Position) string {
	where, err := json.Marshal(func() map[string]any {
		all := make(map[string]any)
		for room, p := range rooms {
			all[room] = map[string]any{"epoch": p.Epoch, "seq": p.Seq}
		}
		return all
	}())
	if err != nil {
		panic(err)
	}
	text := fmt.Sprintf(`{"id":90,"type":"hello","resume":%q,"rooms":%s`, token, where)
	if attempt > 0 {
		text += fmt.Sprintf(`,"attempt":%d`, attempt)
	}
	return text + "}"
}

// resume has a session go on over a new connection.
func (g *gateway) resume(token string, attempt int, rooms map[string]wire.Position) (*client, *wire.Welcome) {
	g.tb.Helper()
	c, welcome := g.connect(), new(wire.Welcome)
	c.ok(resumeOf(token, attempt, rooms), welcome)
	return c, welcome
}

func TestWelcomeOfAResumableSession(t *testing.T) {
	hello := func(more string) string { return `{"id":1,"type":"hello",` + more + `}` }
	for name, tc := range map[string]struct {
		hello string
		grace time.Duration // of the server
		want  int64
	}{
		"Resumable":    {hello(`"app":"open","resumable":true`), 30 * time.Second, 30000},
		"NotAskedFor":  {hello(`"app":"open","attempt":3`), 30 * time.Second, 0},
		"AppSaysMore":  {hello(`"app":"brief","resumable":true`), 30 * time.Second, 5000},
		"AppSaysNone":  {hello(`"app":"fleeting","resumable":true`), 30 * time.Second, 0},
		"ServerHasOff": {hello(`"app":"open","resumable":true`), 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, session.Options{Grace: tc.grace}, func(t *testing.T, g *gateway) {
				c, welcome := g.connect(), new(wire.Welcome)
				c.ok(tc.hello, welcome)
				require.Equal(t, tc.want, welcome.Grace)
				require.Equal(t, tc.want > 0, welcome.Resume != "")
				require.False(t, welcome.Resumed)
				require.Nil(t, welcome.Rooms)
				// What it says, it does.
				other, _ := g.enter()
				room := joinOf("r")
				if strings.Contains(tc.hello, "open") {
					other.ok(room, new(wire.Snapshot))
					c.ok(room, new(wire.Snapshot))
					other.event()
					c.lose()
					if tc.want == 0 {
						require.Equal(t, wire.LeftPeer{Peer: welcome.Session, Reason: wire.ReasonDisconnected}, *other.event().Body.(*wire.LeftPeer))
					} else {
						require.Equal(t, wire.AwayPeer{Peer: welcome.Session}, *other.event().Body.(*wire.AwayPeer))
					}
				}
			})
		})
	}
}

// A session goes on over another gateway, also while its old connection stands: that one is closed for good, and nobody
// sees the peer away.
func TestResumeOnAnotherGateway(t *testing.T) {
	for name, lost := range map[string]bool{"lost before": true, "the old one stands": false} {
		for number := range 2 {
			t.Run(fmt.Sprint(name, ", gateway ", number+1), func(t *testing.T) {
				twoGateways(t, keptFor, func(t *testing.T, one, two *gateway, _ *miniredis.Miniredis) {
					next := []*gateway{one, two}[number]
					c, begun := one.begin()
					bob, _ := two.enter()
					bob.ok(joinOf("r"), new(wire.Snapshot))
					var snapshot, other wire.Snapshot
					c.ok(joinOf("r"), &snapshot)
					c.ok(`{"id":3,"type":"join","room":"s"}`, &other)
					bob.event()
					if lost {
						c.lose()
						require.Equal(t, wire.TypeAwayPeer, bob.event().Body.Type())
					}
					bob.ok(`{"id":3,"type":"publish","room":"r","data":"missed"}`, new(wire.Done))

					again, welcome := next.resume(begun.Resume, 2, at(&snapshot, &other))
					require.True(t, welcome.Resumed)
					require.Equal(t, []any{begun.Session, begun.User, "gateway-" + fmt.Sprint(number+1), int64(30000)},
						[]any{welcome.Session, welcome.User, welcome.Node, welcome.Grace})
					require.NotEqual(t, begun.Resume, welcome.Resume)
					require.Equal(t, map[string]wire.ResumedRoom{
						"r": {Result: wire.ResumeReplayed, Request: 2}, "s": {Result: wire.ResumeReplayed, Request: 3}}, welcome.Rooms)
					require.JSONEq(t, `"missed"`, string(again.event().Body.(*wire.Message).Data))
					if lost {
						require.Equal(t, wire.TypeBackPeer, bob.event().Body.Type())
					} else {
						c.requireClosed(wire.CloseTakenOver)
					}
					again.ok(`{"id":4,"type":"publish","room":"r","data":"back"}`, new(wire.Done))
					require.Equal(t, begun.Session, bob.event().Body.(*wire.Message).From, "nothing else was told")
					again.leave()
					require.Equal(t, wire.LeftPeer{Peer: begun.Session, Reason: wire.ReasonLeft}, *bob.event().Body.(*wire.LeftPeer))
				})
			})
		}
	}
}

// Who answers an offer that another one has overtaken is told, by what its gateway has delivered: Redis is not asked. Who does not say what it
// answers is not, nor is a session that has come back.
func TestStaleAnswers(t *testing.T) {
	twoGateways(t, keptFor, func(t *testing.T, one, two *gateway, _ *miniredis.Miniredis) {
		ada, begun := one.begin()
		var snapshot wire.Snapshot
		ada.ok(joinOf("r"), &snapshot)
		bob, bobs := two.enter()
		bob.ok(joinOf("r"), new(wire.Snapshot))
		ada.event()
		signal := func(id int, to, about string) string {
			return fmt.Sprintf(`{"id":%d,"type":"signal","room":"r","to":%q,%s"data":{"description":{}}}`, id, to, about)
		}
		answer := func(id int, seq int64) string { return signal(id, bobs.Session, fmt.Sprintf(`"answers":%d,`, seq)) }
		var first, second, last wire.Done
		bob.ok(signal(10, begun.Session, `"offer":true,`), &first)
		offered := ada.event()
		require.Equal(t, first.Seq, offered.Seq)
		require.True(t, offered.Body.(*wire.Signaled).Offer)
		ada.ok(answer(10, first.Seq), new(wire.Done))
		require.False(t, bob.event().Body.(*wire.Signaled).Offer)
		bob.ok(signal(11, begun.Session, `"offer":true,`), &second)
		ada.event()
		bob.ok(signal(12, begun.Session, ""), &last) // a candidate: it is no offer
		ada.event()

		asked := one.metric("signalbox_redis_script_calls")
		ada.refused(answer(11, first.Seq), wire.CodeStale)
		require.Equal(t, asked, one.metric("signalbox_redis_script_calls"), "Redis is not asked")
		require.EqualValues(t, 1, one.metric("signalbox_requests_refused_total", "stale"))
		ada.ok(answer(12, second.Seq), new(wire.Done))
		ada.ok(signal(13, bobs.Session, ""), new(wire.Done))
		for range 2 {
			require.Equal(t, wire.TypeSignal, bob.event().Body.Type(), "the stale one did not come")
		}
		snapshot.Seq = last.Seq
		again, _ := two.resume(begun.Resume, 2, at(&snapshot))
		again.ok(answer(91, first.Seq), new(wire.Done))
	})
}

// A report whose answer was lost is sent again, to whatever gateway, and counts once.
func TestReportsCountOnce(t *testing.T) {
	twoGateways(t, keptFor, func(t *testing.T, one, two *gateway, _ *miniredis.Miniredis) {
		c, begun := one.begin()
		var snapshot wire.Snapshot
		c.ok(joinOf("r"), &snapshot)
		report := `{"id":50,"type":"report","room":"r","outcome":"failed","reason":"ice","restarts":1}`
		c.ok(report, new(wire.Nothing))
		synctest.Wait()
		again, _ := two.resume(begun.Resume, 2, at(&snapshot))
		again.ok(strings.Replace(report, `"id":50`, `"id":91`, 1), new(wire.Nothing)) // another one
		synctest.Wait()
		third, _ := one.resume(begun.Resume, 3, at(&snapshot))
		third.ok(strings.Replace(report, `"id":50`, `"id":91`, 1), new(wire.Nothing))
		third.ok(strings.Replace(report, `"id":50`, `"id":92`, 1), new(wire.Nothing))
		synctest.Wait()
		for g, want := range map[*gateway]int{one: 2, two: 1} {
			require.EqualValues(t, want, g.metric("signalbox_call_outcomes_total", session.OtherApps, "failed"))
			require.EqualValues(t, want, g.metric("signalbox_call_failures_total", "ice"))
			require.EqualValues(t, want, g.metric("signalbox_call_restarts_total", session.OtherApps))
		}
	})
}

// The client's own count tells which connection is the last. What comes late is refused, and may begin anew: as somebody else.
func TestAttempts(t *testing.T) {
	twoGateways(t, keptFor, func(t *testing.T, one, two *gateway, _ *miniredis.Miniredis) {
		c, begun := one.begin()
		var snapshot wire.Snapshot
		c.ok(joinOf("r"), &snapshot)
		third, welcome := two.resume(begun.Resume, 3, at(&snapshot))
		c.requireClosed(wire.CloseTakenOver)
		for _, g := range []*gateway{one, two} {
			for _, attempt := range []int{1, 2, 3} {
				late := g.connect()
				late.refused(resumeOf(begun.Resume, attempt, at(&snapshot)), wire.CodeResumeRefused)
				synctest.Wait()
				require.True(t, late.open(), "it may say hello again")
				var anew wire.Welcome
				late.ok(helloOpen, &anew)
				require.NotEqual(t, begun.Session, anew.Session, "another session")
				var joined wire.Snapshot
				late.ok(joinOf("r"), &joined)
				require.Equal(t, []any{anew.Session, 2}, []any{joined.Self, joined.Count})
				require.Equal(t, wire.TypeJoinedPeer, third.event().Body.Type())
				late.leave()
				require.Equal(t, wire.TypeLeftPeer, third.event().Body.Type())
			}
		}
		require.True(t, third.open())
		third.ok(`{"id":91,"type":"publish","room":"r","data":1}`, new(wire.Done))
		require.EqualValues(t, 3, two.metric("signalbox_hellos_total", "resume_superseded"))

		// Who does not count is taken for later than those before, also by the token of an earlier connection.
		third.ok(`{"id":93,"type":"peers","room":"r","list":true}`, &snapshot)
		uncounted, _ := one.resume(begun.Resume, 0, at(&snapshot))
		third.requireClosed(wire.CloseTakenOver)
		time.Sleep(time.Millisecond)
		last, _ := one.resume(welcome.Resume, 0, at(&snapshot))
		uncounted.requireClosed(wire.CloseTakenOver)
		last.ok(`{"id":92,"type":"publish","room":"r","data":1}`, new(wire.Done))
	})
}

// What shows no session leaves the connection open for a hello, though not for ever.
func TestResumeIsRefused(t *testing.T) {
	for name, tc := range map[string]struct {
		token  func(g *gateway, good string) string
		result string
	}{
		"Nonsense":     {func(*gateway, string) string { return "nonsense!" }, "resume_malformed"},
		"Forged":       {func(_ *gateway, good string) string { return good[:len(good)-4] + "AAAA" }, "resume_signature"},
		"OtherCluster": {func(g *gateway, _ string) string { return g.sealed("another cluster's key", "open") }, "resume_signature"},
		"AppOff":       {func(g *gateway, _ string) string { return g.sealed(clusterKey, "off") }, "resume_app_disabled"},
		"AppGone":      {func(g *gateway, _ string) string { return g.sealed(clusterKey, "gone") }, "resume_unknown_app"},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, keptFor, func(t *testing.T, g *gateway) {
				_, begun := g.begin()
				c := g.connect()
				time.Sleep(4 * time.Second)
				c.refused(resumeOf(tc.token(g, begun.Resume), 2, nil), wire.CodeResumeRefused)
				require.EqualValues(t, 1, g.metric("signalbox_hellos_total", tc.result))
				time.Sleep(4 * time.Second) // it has its time again
				c.ok(helloOpen, new(wire.Welcome))
			})
		})
	}
	t.Run("Expired", func(t *testing.T) {
		inBubble(t, keptFor, func(t *testing.T, g *gateway) {
			c, welcome := g.connect(), new(wire.Welcome)
			c.ok(fmt.Sprintf(`{"id":1,"type":"hello","token":%q,"resumable":true}`, g.token(nil)), welcome)
			c.requireClosedAfter(t, time.Hour, wire.CloseExpired)
			g.connect().refused(resumeOf(welcome.Resume, 2, nil), wire.CodeResumeRefused)
			require.EqualValues(t, 1, g.metric("signalbox_hellos_total", "resume_expired"))
		})
	})
	t.Run("BesideAToken", func(t *testing.T) {
		inBubble(t, keptFor, func(t *testing.T, g *gateway) {
			_, begun := g.begin()
			c := g.connect()
			c.refused(fmt.Sprintf(`{"id":1,"type":"hello","resume":%q,"app":"open"}`, begun.Resume), wire.CodeUnauthorized)
			c.requireClosed(wire.CloseUnauthorized)
		})
	})
	t.Run("AgainAndAgain", func(t *testing.T) {
		inBubble(t, keptFor, func(t *testing.T, g *gateway) {
			c := g.connect()
			for range 51 {
				c.refused(resumeOf("nonsense!", 2, nil), wire.CodeResumeRefused)
			}
			c.requireClosed(wire.CloseBadMessages)
		})
	})
	t.Run("Silence", func(t *testing.T) {
		inBubble(t, keptFor, func(t *testing.T, g *gateway) {
			c := g.connect()
			c.refused(resumeOf("nonsense!", 2, nil), wire.CodeResumeRefused)
			c.requireClosedAfter(t, 5*time.Second, wire.CloseHelloTimeout)
		})
	})
	t.Run("Off", func(t *testing.T) {
		inBubble(t, session.Options{}, func(t *testing.T, g *gateway) {
			c := g.connect()
			c.refused(resumeOf(g.sealed(clusterKey, "open"), 2, nil), wire.CodeResumeRefused)
			require.EqualValues(t, 1, g.metric("signalbox_hellos_total", "resume_off"))
		})
	})
	t.Run("TooManyRooms", func(t *testing.T) {
		inBubble(t, keptFor, func(t *testing.T, g *gateway) {
			_, begun := g.begin()
			rooms := make(map[string]wire.Position)
			for i := range 17 {
				rooms[fmt.Sprint("r", i)] = wire.Position{Epoch: "e"}
			}
			c := g.connect()
			c.refused(resumeOf(begun.Resume, 2, rooms), wire.CodeResumeRefused)
			c.ok(helloOpen, new(wire.Welcome))
			require.EqualValues(t, 1, g.metric("signalbox_hellos_total", "resume_limit"))
		})
	})
}

const clusterKey = "the key of a cluster of tests"

// sealed is a resume token of an anonymous session.
func (g *gateway) sealed(key, app string) string {
	g.tb.Helper()
	directory, err := auth.NewDirectory(auth.Options{})
	require.NoError(g.tb, err)
	tokens, err := auth.NewResumeTokens(directory, []byte(key))
	require.NoError(g.tb, err)
	token, err := tokens.Seal(auth.Resumable{Session: "s", Generation: 1, Identity: &auth.Identity{
		App: app, User: "u", Expires: time.Now().Add(time.Hour), Anonymous: true}})
	require.NoError(g.tb, err)
	return token
}

// requireClosedAfter waits for the session's end, which must be after a time.
func (c *client) requireClosedAfter(t *testing.T, after time.Duration, code wire.CloseCode) {
	t.Helper()
	begun := time.Now()
	c.requireClosed(code)
	require.InDelta(t, after.Seconds(), time.Since(begun).Seconds(), 1)
}

// Redis does not answer: the client is to come back, and has its session then.
func TestResumeWithoutRedis(t *testing.T) {
	for name, trouble := range map[string]string{"refuses": "LOADING Redis is loading the dataset in memory", "is silent": ""} {
		t.Run(name, func(t *testing.T) {
			memredis.Bubble(t, func(t *testing.T) {
				network := new(memnet.Network)
				redis := memredis.Serve(t, network)
				way := &memnet.Cable{Network: network}
				patient := store.Options{Addresses: []string{memredis.Addr}, Dialer: way.DialContext}
				if trouble == "" {
					patient.ReadTimeout, patient.WriteTimeout, patient.DialTimeout = time.Hour, time.Hour, time.Hour
				}
				opts := keptFor
				opts.HelloTimeout = 4 * time.Second // less than a resume may take
				g := newGateway(t, opts, patient)
				c, begun := g.begin()
				var snapshot wire.Snapshot
				c.ok(joinOf("r"), &snapshot)
				c.lose()
				synctest.Wait()
				if trouble == "" {
					way.Each((*memnet.Conn).Freeze)
				} else {
					redis.SetError(trouble)
				}
				at := at(&snapshot)
				second, asked := g.connect(), time.Now()
				second.refused(resumeOf(begun.Resume, 2, at), wire.CodeUnavailable)
				require.LessOrEqual(t, time.Since(asked), 5*time.Second)
				second.requireClosed(wire.CloseMoved)
				require.EqualValues(t, 1, g.metric("signalbox_hellos_total", "resume_failed"))
				if trouble == "" {
					way.Each((*memnet.Conn).Sever)
				} else {
					redis.SetError("")
				}
				time.Sleep(2 * time.Second)
				third, welcome := g.resume(begun.Resume, 3, at)
				require.Equal(t, wire.ResumeReplayed, welcome.Rooms["r"].Result)
				third.ok(`{"id":91,"type":"publish","room":"r","data":1}`, new(wire.Done))
			})
		})
	}
}

// A close code after which nobody comes back gives the seats up at once, others keep them.
func TestWhichEndsKeepSeats(t *testing.T) {
	for name, tc := range map[string]struct {
		kept bool
		end  func(g *gateway, c *client)
	}{
		"Leaves":       {false, func(_ *gateway, c *client) { c.leave() }},
		"Lost":         {true, func(_ *gateway, c *client) { c.lose() }},
		"TabClosed":    {true, func(_ *gateway, c *client) { c.requests <- step{err: &ended{code: wire.CloseGoingAway}} }},
		"OwnCode":      {true, func(_ *gateway, c *client) { c.requests <- step{err: &ended{code: 4999}} }},
		"NoSignOfLife": {true, func(_ *gateway, c *client) { c.requests <- step{err: &ended{code: wire.CloseHeartbeat}} }},
		"TooLarge":     {false, func(_ *gateway, c *client) { c.requests <- step{err: &ended{code: wire.CloseTooLarge}} }},
		"Protocol":     {false, func(_ *gateway, c *client) { c.requests <- step{err: &ended{code: wire.CloseProtocolError}} }},
		"Panic":        {true, func(_ *gateway, c *client) { c.requests <- step{panics: "a fault of ours"} }},
		"Moved":        {true, func(g *gateway, _ *client) { g.end() }},
		"TooSlow": {true, func(_ *gateway, c *client) {
			c.fail(errors.New("broken pipe"))
			c.say(`{"id":3,"type":"ping"}`)
		}},
		"BadMessages": {false, func(_ *gateway, c *client) {
			for range 51 {
				c.say("x")
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			twoGateways(t, keptFor, func(t *testing.T, one, two *gateway, _ *miniredis.Miniredis) {
				other, _ := two.enter()
				other.ok(joinOf("r"), new(wire.Snapshot))
				c, welcome := one.begin()
				var snapshot wire.Snapshot
				c.ok(joinOf("r"), &snapshot)
				other.event()
				tc.end(one, c)
				<-c.served
				if !tc.kept {
					require.Equal(t, welcome.Session, other.event().Body.(*wire.LeftPeer).Peer)
					return
				}
				require.Equal(t, wire.AwayPeer{Peer: welcome.Session}, *other.event().Body.(*wire.AwayPeer))
				_, again := two.resume(welcome.Resume, 2, at(&snapshot))
				require.Equal(t, wire.ResumeReplayed, again.Rooms["r"].Result)
			})
		})
	}
}

// A request that took effect is answered as then when it comes again, over whatever connection, and is told once.
func TestRequestsTakeEffectOnce(t *testing.T) {
	twoGateways(t, keptFor, func(t *testing.T, one, two *gateway, _ *miniredis.Miniredis) {
		bob, _ := two.enter()
		bob.ok(joinOf("r"), new(wire.Snapshot))
		c, begun := one.begin()
		var snapshot wire.Snapshot
		c.ok(joinOf("r"), &snapshot) // id 2
		bob.event()
		var first, again wire.Done
		c.ok(`{"id":5,"type":"publish","room":"r","data":"five"}`, &first)
		c.ok(`{"id":7,"type":"state","room":"r","state":{"hand":true}}`, new(wire.Done))
		bob.event()
		bob.event()
		c.lose()
		require.Equal(t, wire.TypeAwayPeer, bob.event().Body.Type())

		c, welcome := two.resume(begun.Resume, 2, at(&snapshot)) // its own id is 90, and does not count
		require.EqualValues(t, 7, welcome.Rooms["r"].Request)
		bob.event()
		c.ok(`{"id":5,"type":"publish","room":"r","data":"five"}`, &again)
		require.Equal(t, first, again)
		c.refused(`{"id":6,"type":"publish","room":"r","data":"six, which took no effect"}`, wire.CodeOutcomeUnknown)
		c.ok(`{"id":7,"type":"state","room":"r","state":{"hand":true}}`, new(wire.Done))
		c.ok(`{"id":8,"type":"publish","room":"r","data":"eight"}`, new(wire.Done))
		require.JSONEq(t, `"eight"`, string(bob.event().Body.(*wire.Message).Data), "nothing was told twice")
		c.refused(`{"id":8,"type":"publish","room":"r","data":"eight"}`, wire.CodeBadRequest) // on one connection ids rise
	})
	// Who cannot come back has numbers for its replies alone.
	inBubble(t, keptFor, func(t *testing.T, g *gateway) {
		c, _ := g.enter()
		c.ok(joinOf("r"), new(wire.Snapshot))
		c.ok(`{"id":5,"type":"publish","room":"r","data":1}`, new(wire.Done))
	})
}

// A client that was away while more happened than its queue holds is not closed for it: it would come back for the same
// again, and never get it.
func TestMissedMoreThanTheQueueHolds(t *testing.T) {
	opts := keptFor
	opts.QueueMessages, opts.RequestsBurst = 20, 1000
	inBubble(t, opts, func(t *testing.T, g *gateway) {
		c, begun := g.begin()
		var one, two wire.Snapshot
		c.ok(joinOf("one"), &one)
		c.ok(`{"id":3,"type":"join","room":"two"}`, &two)
		bob, _ := g.enter()
		bob.ok(joinOf("one"), new(wire.Snapshot))
		bob.ok(`{"id":3,"type":"join","room":"two"}`, new(wire.Snapshot))
		c.lose()
		bob.event()
		bob.event()
		for i := range 80 {
			bob.ok(fmt.Sprintf(`{"id":%d,"type":"publish","room":%q,"data":%d}`, 4+i, []string{"one", "two"}[i%2], i), new(wire.Done))
		}
		c = g.connect()
		c.hold()
		defer c.release()
		c.say(resumeOf(begun.Resume, 2, at(&one, &two)))
		require.Equal(t, wire.TypeBackPeer, bob.event().Body.Type())
		require.Equal(t, wire.TypeBackPeer, bob.event().Body.Type())
		synctest.Wait()
		for i := range 15 { // fewer than its queue holds
			bob.ok(fmt.Sprintf(`{"id":%d,"type":"publish","room":"one","data":"now"}`, 100+i), new(wire.Done))
		}
		synctest.Wait()
		c.release()
		var welcome wire.Welcome
		reply := c.reply()
		require.Nil(t, reply.Err)
		require.NoError(t, reply.Decode(&welcome))
		last, count := map[string]int64{}, 0
		for count < 80+15 {
			event := c.event()
			require.Greater(t, event.Seq, last[event.Room])
			if last[event.Room] = event.Seq; event.Body.Type() == wire.TypeMessage {
				count++
			}
		}
		require.True(t, c.open())
		c.hold()
		for i := range 40 { // and as slow as before it must not be
			bob.ok(fmt.Sprintf(`{"id":%d,"type":"publish","room":"one","data":"later"}`, 200+i), new(wire.Done))
		}
		synctest.Wait()
		c.release()
		c.requireClosed(wire.CloseSlowReceiver)
	})
}

// A user's next session takes the seat, room by room; the earlier one goes on without it.
func TestSameUserReplaces(t *testing.T) {
	for policy, replaced := range map[auth.SameUser]bool{auth.SameUserReplace: true, auth.SameUserAllow: false, "": false} {
		t.Run(string(policy), func(t *testing.T) {
			inBubble(t, session.Options{Grace: time.Minute, SameUser: policy}, func(t *testing.T, g *gateway) {
				hello := fmt.Sprintf(`{"id":1,"type":"hello","token":%q,"resumable":true}`, g.token(nil))
				first, second := g.connect(), g.connect()
				var snapshot wire.Snapshot
				first.ok(hello, new(wire.Welcome))
				second.ok(hello, new(wire.Welcome))
				first.ok(joinOf("team-1"), &snapshot)
				second.ok(joinOf("team-1"), &snapshot)
				if !replaced {
					require.Equal(t, 2, snapshot.Count)
					require.Equal(t, wire.TypeJoinedPeer, first.event().Body.Type())
					return
				}
				require.Equal(t, 1, snapshot.Count)
				require.Equal(t, wire.Closed{Reason: wire.ReasonReplaced}, *first.event().Body.(*wire.Closed))
				first.refused(`{"id":3,"type":"publish","room":"team-1","data":1}`, wire.CodeNotMember)
				first.ok(`{"id":4,"type":"ping"}`, new(wire.Pong))
			})
		})
	}
}
