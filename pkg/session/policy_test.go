package session_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/session"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// What a room takes is its policy's to say, by its name.
func TestPolicyOfRoomHolds(t *testing.T) {
	inBubble(t, session.Options{}, func(t *testing.T, g *gateway) {
		c := g.connect()
		c.ok(`{"id":1,"type":"hello","app":"ruled"}`, new(wire.Welcome))
		for i, room := range []string{"plain", "quiet", "strict"} {
			c.ok(fmt.Sprintf(`{"id":%d,"type":"join","room":%q}`, i+2, room), new(wire.Snapshot))
		}
		// The same is done in each room; what differs is the policy.
		publish := func(id int, room, rest string) string {
			return fmt.Sprintf(`{"id":%d,"type":"publish","room":%q,"echo":true,%s}`, id, room, rest)
		}
		c.say(publish(10, "plain", `"topic":"news","data":"a long message"`))
		frames := []string{string(c.next().Text()), string(c.next().Text())}
		require.Contains(t, frames[0]+frames[1], `"a long message"`)
		c.ok(publish(11, "quiet", `"topic":"news","data":"a long message"`), new(wire.Done)) // and no echo is next
		require.Contains(t, c.refused(publish(12, "strict", `"topic":"news","data":1`), wire.CodeForbidden).Err.Message, `"news"`)
		c.refused(publish(13, "strict", `"data":1`), wire.CodeForbidden)
		c.refused(publish(14, "strict", `"topic":"chat","data":"123456789"`), wire.CodeTooLarge)
		c.refused(`{"id":15,"type":"signal","room":"strict","to":"x","data":{"a":"1234"}}`, wire.CodeTooLarge)
		c.refused(`{"id":16,"type":"signal","room":"strict","to":"x","data":{"a":12}}`, wire.CodePeerGone)
		c.say(publish(17, "strict", `"topic":"chat","data":"12345678"`))
		frames = []string{string(c.next().Text()), string(c.next().Text())}
		require.Contains(t, frames[0]+frames[1], `"12345678"`)
		require.EqualValues(t, 2, g.metric("signalbox_request_duration_seconds", "refused", "signal"))
	})
}

// Who joins or looks is told, and so is who has to start over.
func TestRelayOnlyIsTold(t *testing.T) {
	inBubble(t, session.Options{}, func(t *testing.T, g *gateway) {
		c := g.connect()
		c.ok(`{"id":1,"type":"hello","app":"ruled"}`, new(wire.Welcome))
		for i, tc := range []struct {
			request string
			want    bool
		}{
			{`"type":"join","room":"hidden"`, true}, {`"type":"peers","room":"hidden","list":true`, true},
			{`"type":"join","room":"plain"`, false}, {`"type":"peers","room":"plain","list":true`, false},
		} {
			snapshot := new(wire.Snapshot)
			c.ok(fmt.Sprintf(`{"id":%d,%s}`, i+2, tc.request), snapshot)
			require.Equal(t, tc.want, snapshot.RelayOnly, tc.request)
		}
	})
}
