package wire_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

var update = flag.Bool("update", false, "write the golden files anew; their difference is a change of the protocol")

func TestGoldenRequests(t *testing.T) {
	for _, sample := range requestSamples {
		t.Run(sample.name, func(t *testing.T) {
			golden := readGolden(t, sample.name, wire.AppendRequest(nil, sample.request))
			decoded, err := wire.DecodeRequest(golden, wire.Limits{})
			require.NoError(t, err)
			require.Equal(t, sample.request, decoded)
			require.Equal(t, string(golden), string(wire.AppendRequest(nil, decoded)))
		})
	}
}

func TestGoldenReplies(t *testing.T) {
	for _, sample := range replySamples {
		t.Run(sample.name, func(t *testing.T) {
			golden := readGolden(t, sample.name, wire.AppendReply(nil, sample.re, sample.body))
			reply, event, err := wire.DecodeServer(golden)
			require.NoError(t, err)
			require.Nil(t, event)
			require.Nil(t, reply.Err)
			require.Equal(t, sample.re, reply.Re)
			decoded := reflect.New(reflect.TypeOf(sample.body).Elem()).Interface().(wire.ReplyBody)
			require.NoError(t, reply.Decode(decoded))
			require.Equal(t, sample.body, decoded)
			require.Equal(t, string(golden), string(wire.AppendReply(nil, reply.Re, decoded)))
		})
	}
}

func TestGoldenErrors(t *testing.T) {
	for _, sample := range errorSamples {
		t.Run(sample.name, func(t *testing.T) {
			golden := readGolden(t, sample.name, wire.AppendError(nil, sample.re, sample.refusal))
			reply, event, err := wire.DecodeServer(golden)
			require.NoError(t, err)
			require.Nil(t, event)
			require.Equal(t, sample.re, reply.Re)
			require.Equal(t, sample.refusal, reply.Err)
			require.Equal(t, string(golden), string(wire.AppendError(nil, reply.Re, reply.Err)))
		})
	}
}

func TestGoldenEvents(t *testing.T) {
	for _, sample := range eventSamples {
		t.Run(sample.name, func(t *testing.T) {
			golden := readGolden(t, sample.name, wire.AppendEvent(nil, sample.event))
			reply, event, err := wire.DecodeServer(golden)
			require.NoError(t, err)
			require.Nil(t, reply)
			require.Equal(t, sample.event, *event)
			require.Equal(t, string(golden), string(wire.AppendEvent(nil, *event)))
		})
	}
}

// A message without a golden file could change unseen, and a file without a message is checked by nobody.
func TestGoldenFilesAreComplete(t *testing.T) {
	names := make(map[string]bool)
	for _, s := range requestSamples {
		names[s.name] = true
	}
	for _, s := range replySamples {
		names[s.name] = true
	}
	for _, s := range errorSamples {
		names[s.name] = true
	}
	for _, s := range eventSamples {
		names[s.name] = true
	}
	has := func(prefix string) bool {
		for name := range names {
			if name == prefix || strings.HasPrefix(name, prefix+"-") {
				return true
			}
		}
		return false
	}
	for _, typ := range wire.RequestTypes {
		require.True(t, has("request-"+string(typ)), "request %s", typ)
		require.True(t, has("reply-"+string(typ)), "reply to %s", typ)
	}
	for _, typ := range wire.EventTypes {
		require.True(t, has("event-"+string(typ)), "event %s", typ)
	}
	for _, code := range wire.Codes {
		require.True(t, has("error-"+string(code)), "error %s", code)
	}
	files, err := filepath.Glob("testdata/*.json")
	require.NoError(t, err)
	for _, file := range files {
		require.True(t, names[strings.TrimSuffix(filepath.Base(file), ".json")], "%s belongs to no sample", file)
	}
}

// readGolden gives the message in a golden file, after comparing it with what encoding made, or writing that.
func readGolden(t *testing.T, name string, encoded []byte) []byte {
	t.Helper()
	path := filepath.Join("testdata", name+".json")
	if *update {
		require.NoError(t, os.WriteFile(path, append(bytes.Clone(encoded), '\n'), 0o644))
	}
	golden, err := os.ReadFile(path)
	require.NoError(t, err)
	golden = bytes.TrimSuffix(golden, []byte{'\n'})
	require.Equal(t, string(golden), string(encoded))
	return golden
}
