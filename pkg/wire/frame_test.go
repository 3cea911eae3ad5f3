package wire_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// parseFrame reads one frame as RFC 6455, section 5.2, draws it.
func parseFrame(t *testing.T, r io.Reader) (payload []byte) {
	t.Helper()
	var head [2]byte
	_, err := io.ReadFull(r, head[:])
	require.NoError(t, err)
	require.Equal(t, byte(0x81), head[0], "FIN and text, no reserved bits")
	require.Zero(t, head[1]&0x80, "a server's frames are not masked")
	size := uint64(head[1])
	switch size {
	case 126:
		var long uint16
		require.NoError(t, binary.Read(r, binary.BigEndian, &long))
		require.GreaterOrEqual(t, long, uint16(126), "the shortest form is required")
		size = uint64(long)
	case 127:
		require.NoError(t, binary.Read(r, binary.BigEndian, &size))
		require.Zero(t, size>>63)
		require.GreaterOrEqual(t, size, uint64(1<<16), "the shortest form is required")
	}
	payload = make([]byte, size)
	_, err = io.ReadFull(r, payload)
	require.NoError(t, err)
	return payload
}

// Around each size at which the header changes its form. The smallest event is 10 bytes: the frame of less than that
// has no way in, so the sizes are those of the whole message.
func TestEventFrameSizes(t *testing.T) {
	const least = len(`{"seq":7,}`)
	for _, size := range []int{least, 11, 124, 125, 126, 127, 128, 65534, 65535, 65536, 65537, 1 << 20} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			body := []byte("{" + strings.Repeat("x", size-least) + "}")
			frame := wire.EventFrame(7, body)
			require.Len(t, frame.Text(), size)
			require.Equal(t, len(frame.WebSocket()), frame.Size())
			r := bytes.NewReader(frame.WebSocket())
			payload := parseFrame(t, r)
			require.Zero(t, r.Len(), "nothing may follow the frame")
			require.Equal(t, `{"seq":7,`+string(body[1:]), string(payload))
			require.Equal(t, payload, frame.Text())
		})
	}
}

func TestFramesHoldTheirMessages(t *testing.T) {
	for _, s := range eventSamples {
		frame := wire.MessageFrame(s.event.Body)
		if kind := s.event.Body.Type(); s.event.Room != "" && kind != wire.TypeResync && kind != wire.TypeSeated {
			frame = wire.EventFrame(s.event.Seq, wire.AppendEventBody(nil, s.event.Room, s.event.Body))
		}
		require.Equal(t, string(wire.AppendEvent(nil, s.event)), string(parseFrame(t, bytes.NewReader(frame.WebSocket()))))
	}
	for _, s := range replySamples {
		frame := wire.ReplyFrame(s.re, s.body)
		require.Equal(t, string(wire.AppendReply(nil, s.re, s.body)), string(parseFrame(t, bytes.NewReader(frame.WebSocket()))))
	}
	for _, s := range errorSamples {
		frame := wire.ErrorFrame(s.re, s.refusal)
		require.Equal(t, string(wire.AppendError(nil, s.re, s.refusal)), string(parseFrame(t, bytes.NewReader(frame.WebSocket()))))
	}
	frame := wire.ReplyFrame(1, crowd(500))
	require.Equal(t, string(wire.AppendReply(nil, 1, crowd(500))), string(parseFrame(t, bytes.NewReader(frame.WebSocket()))))
}

// Frames are shared: making one must not touch the body, which other frames are made of.
func TestEventFrameLeavesItsBody(t *testing.T) {
	body := wire.AppendEventBody(make([]byte, 0, 4096), "lobby", &wire.AwayPeer{Peer: "a81x"})
	before := string(body)
	first, second := wire.EventFrame(1, body), wire.EventFrame(22, body)
	require.Equal(t, before, string(body))
	require.Equal(t, `{"seq":1,"type":"away-peer","room":"lobby","peer":"a81x"}`, string(first.Text()))
	require.Equal(t, `{"seq":22,"type":"away-peer","room":"lobby","peer":"a81x"}`, string(second.Text()))
}

// Control frames of a server (RFC 6455, section 5.5): final, unmasked, up to 125 bytes.
func TestControlFrames(t *testing.T) {
	for _, op := range []byte{wire.OpPing, wire.OpPong} {
		for _, size := range []int{0, 1, 125} {
			payload := bytes.Repeat([]byte("p"), size)
			frame := wire.ControlFrame(op, payload)
			require.Equal(t, append([]byte{0x80 | op, byte(size)}, payload...), frame.WebSocket())
			require.Equal(t, string(payload), string(frame.Text()))
			require.Equal(t, size+2, frame.Size())
		}
	}
}

func TestFrameKind(t *testing.T) {
	for _, event := range wire.EventTypes {
		body := []byte(`{"type":"` + string(event) + `","room":"r"}`)
		require.Equal(t, event, wire.EventFrame(1, body).Kind())
	}
	require.Equal(t, wire.FrameReply, wire.ReplyFrame(1, &wire.Nothing{}).Kind())
	require.Equal(t, wire.FrameError, wire.ErrorFrame(1, wire.Errorf(wire.CodeInternal, "x")).Kind())
	require.Equal(t, wire.TypeGoAway, wire.MessageFrame(&wire.GoAway{}).Kind())
	require.Equal(t, wire.FramePing, wire.ControlFrame(wire.OpPing, nil).Kind())
	require.Equal(t, wire.FramePong, wire.ControlFrame(wire.OpPong, nil).Kind())
	require.Equal(t, wire.Type("other"), wire.EventFrame(1, []byte(`{"type":"made-up"}`)).Kind())
	require.Equal(t, wire.Type("other"), wire.EventFrame(1, []byte(`{}`)).Kind())
}

func TestFrameKindsHaveTheirOwnNames(t *testing.T) {
	for _, kind := range wire.FrameKinds {
		if slices.Contains(wire.EventTypes, kind) {
			continue
		}
		frame := wire.EventFrame(1, []byte(`{"type":"`+string(kind)+`","room":"r"}`))
		require.Equal(t, wire.Type("other"), frame.Kind(), "an event that calls itself %s", kind)
	}
}

type derivedKey struct{ name string }

// What is derived is made once for each key, however many ask for it at the same time, and all get the same.
func TestDerivedIsMadeOnce(t *testing.T) {
	const keys, askers = 5, 8
	for range 200 {
		frame := wire.EventFrame(1, []byte(`{"type":"message"}`))
		var made [keys]atomic.Int32
		var got [keys][askers]any
		start := make(chan struct{})
		var asking sync.WaitGroup
		for asker := range askers {
			asking.Go(func() {
				<-start
				for i := range keys {
					k := (i + asker) % keys
					got[k][asker] = frame.Derived(derivedKey{fmt.Sprint(k)}, func() any {
						made[k].Add(1)
						return &derivedKey{fmt.Sprint("value of ", k)}
					})
				}
			})
		}
		close(start)
		asking.Wait()
		for k := range keys {
			require.EqualValues(t, 1, made[k].Load(), "key %d", k)
			require.Equal(t, &derivedKey{fmt.Sprint("value of ", k)}, got[k][0])
			for _, value := range got[k] {
				require.Same(t, got[k][0], value, "key %d", k)
			}
		}
	}
}

// Keys of different types are different, as with contexts, and a value may be nil.
func TestDerivedKeys(t *testing.T) {
	type other struct{ name string }
	frame := wire.EventFrame(1, []byte(`{"type":"message"}`))
	require.Equal(t, 1, frame.Derived(derivedKey{"k"}, func() any { return 1 }))
	require.Equal(t, 2, frame.Derived(other{"k"}, func() any { return 2 }))
	require.Nil(t, frame.Derived(derivedKey{"nil"}, func() any { return nil }))
	require.Nil(t, frame.Derived(derivedKey{"nil"}, func() any { return 3 }), "nil was made already")
	nested := frame.Derived(derivedKey{"outer"}, func() any {
		return frame.Derived(derivedKey{"inner"}, func() any { return 4 })
	})
	require.Equal(t, 4, nested, "what is derived can be made of what is derived")
	require.Equal(t, 1, frame.Derived(derivedKey{"k"}, func() any { return 5 }))
	require.Equal(t, `{"seq":1,"type":"message"}`, string(frame.Text()))
}

// A frame is made for every event and reply of a node: with what is derived it still fits the allocator's class of 48.
func TestFrameIsSmall(t *testing.T) {
	require.LessOrEqual(t, unsafe.Sizeof(wire.Frame{}), uintptr(48))
}
