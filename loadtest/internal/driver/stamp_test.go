package driver

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPayloads(t *testing.T) {
	for _, tc := range []struct {
		name        string
		payload     *Payload
		least, most int
	}{
		{"Message", NewPayload(1024, ""), 1024, 1024},
		{"SmallMessage", NewPayload(0, ""), 1, 60},
		{"Offer", NewDescription("offer", 2500), 2500, 2700},
		{"Candidate", NewCandidate(), 150, 320},
	} {
		t.Run(tc.name, func(t *testing.T) {
			stamp := Stamp{Stream: 7, Seq: 1 << 31, Sent: 1790000000123456789}
			text := tc.payload.Append([]byte("head"), stamp)[len("head"):]
			require.True(t, json.Valid(text), "%s", text)
			require.GreaterOrEqual(t, len(text), tc.least)
			require.LessOrEqual(t, len(text), tc.most)
			require.Equal(t, len(text), tc.payload.Size())
			for _, frame := range []string{"%s", `42["message","room",%s]`, `{"seq":5,"type":"signal","data":%s}`} {
				found, ok := StampIn(fmt.Appendf(nil, frame, text))
				require.True(t, ok)
				require.Equal(t, stamp, found)
			}
		})
	}
}

func TestStampIsNotFoundInOtherFrames(t *testing.T) {
	for _, frame := range []string{"", `{"re":1,"ok":{}}`, `{"lt":"`, `{"lt":"0001"}`, `{"lt":"zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz"}`} {
		_, ok := StampIn([]byte(frame))
		require.False(t, ok, frame)
	}
}

// One message costs the driver no allocation: neither when it is sent nor when it comes.
func TestStampsAllocateNothing(t *testing.T) {
	payload, buffer := NewPayload(1024, ""), make([]byte, 0, 2048)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		text := payload.Append(buffer, Stamp{Stream: 1, Seq: 2, Sent: 3})
		if _, ok := StampIn(text); !ok {
			t.Fatal("not found")
		}
	}))
}
