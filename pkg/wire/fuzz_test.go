package wire_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// seedMessages gives a fuzz test every sample of the protocol.
func seedMessages(f *testing.F) {
	f.Helper()
	for _, s := range requestSamples {
		f.Add(wire.AppendRequest(nil, s.request))
	}
	for _, s := range replySamples {
		f.Add(wire.AppendReply(nil, s.re, s.body))
	}
	for _, s := range errorSamples {
		f.Add(wire.AppendError(nil, s.re, s.refusal))
	}
	for _, s := range eventSamples {
		f.Add(wire.AppendEvent(nil, s.event))
	}
}

// DecodeRequest never panics, answers every bad message with a code, and what it took means the same after encoding
// and decoding again.
func FuzzDecodeRequest(f *testing.F) {
	seedMessages(f)
	f.Fuzz(func(t *testing.T, message []byte) {
		request, err := wire.DecodeRequest(message, wire.Limits{})
		if err != nil {
			var refusal *wire.Error
			require.ErrorAs(t, err, &refusal)
			require.Contains(t, []wire.Code{wire.CodeBadRequest, wire.CodeTooLarge}, refusal.Code)
			require.Nil(t, request.Body)
			return
		}
		require.Contains(t, wire.RequestTypes, request.Body.Type())
		encoded := wire.AppendRequest(nil, request)
		again, err := wire.DecodeRequest(encoded, wire.Limits{})
		require.NoError(t, err, "%s", encoded)
		require.Equal(t, request, again)
		require.Equal(t, string(encoded), string(wire.AppendRequest(nil, again)))
	})
}

// DecodeServer never panics, and what it took means the same after encoding and decoding again.
func FuzzDecodeServer(f *testing.F) {
	seedMessages(f)
	f.Fuzz(func(t *testing.T, message []byte) {
		reply, event, err := wire.DecodeServer(message)
		switch {
		case err != nil:
			require.Nil(t, reply)
			require.Nil(t, event)
		case event != nil:
			require.Nil(t, reply)
			checkEvent(t, event)
		case reply.Err != nil:
			encoded := wire.AppendError(nil, reply.Re, reply.Err)
			again, _, err := wire.DecodeServer(encoded)
			require.NoError(t, err, "%s", encoded)
			require.Equal(t, reply, again)
		default:
			for _, fresh := range replyBodies {
				checkReplyBody(t, reply, fresh)
			}
		}
	})
}

// replyBodies gives an empty body of each kind.
var replyBodies = []func() wire.ReplyBody{
	func() wire.ReplyBody { return new(wire.Welcome) },
	func() wire.ReplyBody { return new(wire.Snapshot) },
	func() wire.ReplyBody { return new(wire.Position) },
	func() wire.ReplyBody { return new(wire.Done) },
	func() wire.ReplyBody { return new(wire.ICEServers) },
	func() wire.ReplyBody { return new(wire.Updated) },
	func() wire.ReplyBody { return new(wire.Controlled) },
	func() wire.ReplyBody { return new(wire.HeadCount) },
	func() wire.ReplyBody { return new(wire.Pong) },
	func() wire.ReplyBody { return new(wire.Nothing) },
}

func checkEvent(t *testing.T, event *wire.Event) {
	t.Helper()
	if event.Body == nil {
		return // a type that only a later version knows
	}
	encoded := wire.AppendEvent(nil, *event)
	_, again, err := wire.DecodeServer(encoded)
	require.NoError(t, err, "%s", encoded)
	require.Equal(t, event, again)
	require.Equal(t, string(encoded), string(wire.AppendEvent(nil, *again)))
}

func checkReplyBody(t *testing.T, reply *wire.Reply, fresh func() wire.ReplyBody) {
	t.Helper()
	body := fresh()
	if reply.Decode(body) != nil {
		return
	}
	encoded := wire.AppendReply(nil, reply.Re, body)
	again, _, err := wire.DecodeServer(encoded)
	require.NoError(t, err, "%s", encoded)
	bodyAgain := fresh()
	require.NoError(t, again.Decode(bodyAgain), "%s", encoded)
	require.Equal(t, body, bodyAgain)
	require.Equal(t, string(encoded), string(wire.AppendReply(nil, again.Re, bodyAgain)))
}
