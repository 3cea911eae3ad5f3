package socketio_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/signalbox-rtc/signalbox/pkg/socketio"
)

func text(t socketio.EngineType, data string) socketio.EnginePacket {
	return socketio.EnginePacket{Type: t, Data: []byte(data)}
}

func message(data string) socketio.EnginePacket { return text(socketio.EngineMessage, data) }

func bytesOf(data ...byte) socketio.EnginePacket {
	return socketio.EnginePacket{Type: socketio.EngineMessage, Binary: true, Data: data}
}

// Golden vectors of single packets, as they are in one WebSocket message.
func TestEngineVectors(t *testing.T) {
	for _, tc := range []struct {
		name    string
		version socketio.Version
		asText  bool
		packet  socketio.EnginePacket
		wire    string
		binary  bool
	}{
		{"open", 4, false, text(socketio.EngineOpen, `{"sid":"x"}`), `0{"sid":"x"}`, false},
		{"close", 4, false, text(socketio.EngineClose, ""), "1", false},
		{"ping", 3, false, text(socketio.EnginePing, "probe"), "2probe", false},
		{"pong", 4, false, text(socketio.EnginePong, "probe"), "3probe", false},
		{"message", 4, false, message("hello"), "4hello", false},
		{"empty message", 3, false, message(""), "4", false},
		{"upgrade", 3, false, text(socketio.EngineUpgrade, ""), "5", false},
		{"noop", 4, false, text(socketio.EngineNoop, ""), "6", false},
		{"emoji", 3, false, message("€😀"), "4€😀", false},
		{"bytes, version 4", 4, false, bytesOf(1, 2, 3, 4), "\x01\x02\x03\x04", true},
		{"bytes, version 4, whatever b64 says", 4, true, bytesOf(1, 2, 3, 4), "\x01\x02\x03\x04", true},
		{"bytes, version 3", 3, false, bytesOf(1, 2, 3, 4), "\x04\x01\x02\x03\x04", true},
		{"bytes, version 3, b64", 3, true, bytesOf(1, 2, 3, 4), "b4AQIDBA==", false},
		{"no bytes, version 4", 4, false, bytesOf(), "", true},
		{"no bytes, version 3", 3, false, bytesOf(), "\x04", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			encoded, binary := socketio.AppendEngine(nil, tc.version, tc.asText, tc.packet)
			require.Equal(t, tc.wire, string(encoded))
			require.Equal(t, tc.binary, binary)
			decoded, err := socketio.DecodeEngine(tc.version, tc.binary, []byte(tc.wire))
			require.NoError(t, err)
			requirePacket(t, tc.packet, decoded)
		})
	}
}

// requirePacket takes nil and empty data for the same.
func requirePacket(t require.TestingT, want, got socketio.EnginePacket) {
	require.Equal(t, want.Type, got.Type)
	require.Equal(t, want.Binary, got.Binary)
	require.Equal(t, string(want.Data), string(got.Data))
}

func TestEngineErrors(t *testing.T) {
	for _, tc := range []struct {
		name    string
		version socketio.Version
		binary  bool
		wire    string
		want    socketio.FormatCode
	}{
		{"empty", 4, false, "", socketio.BadEnginePacket},
		{"no digit", 4, false, "abc", socketio.BadEnginePacket},
		{"a type too high", 3, false, "7", socketio.BadEnginePacket},
		{"below the digits", 3, false, "/", socketio.BadEnginePacket},
		{"not UTF-8", 4, false, "4\xff", socketio.BadUTF8},
		{"not base64", 4, false, "b!", socketio.BadBase64},
		{"base64 cut off", 4, false, "bAQI", socketio.BadBase64},
		{"base64 without type, version 3", 3, false, "b", socketio.BadEnginePacket},
		{"base64 that is a ping, version 3", 3, false, "b2AQID", socketio.BadEnginePacket},
		{"empty binary, version 3", 3, true, "", socketio.BadEnginePacket},
		{"binary that is a ping, version 3", 3, true, "\x02\x01", socketio.BadEnginePacket},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := socketio.DecodeEngine(tc.version, tc.binary, []byte(tc.wire))
			requireCode(t, tc.want, err)
		})
	}
}

func requireCode(t require.TestingT, want socketio.FormatCode, err error) {
	var format *socketio.FormatError
	require.ErrorAs(t, err, &format)
	require.Equal(t, want, format.Code)
	require.Contains(t, format.Error(), string(want))
}

// Golden vectors of payloads.
var payloadVectors = []struct {
	name    string
	version socketio.Version
	asText  bool
	packets []socketio.EnginePacket
	wire    string
	binary  bool
}{
	{"one", 4, false, []socketio.EnginePacket{message("hello")}, "4hello", false},
	{"several", 4, false, []socketio.EnginePacket{message("test1"), message("test2"), text(socketio.EnginePing, "")}, "4test1\x1e4test2\x1e2", false},
	{"bytes among them", 4, false, []socketio.EnginePacket{message("hello"), bytesOf(1, 2, 3, 4)}, "4hello\x1ebAQIDBA==", false},
	{"no bytes", 4, false, []socketio.EnginePacket{bytesOf()}, "b", false},
	{"one, version 3", 3, false, []socketio.EnginePacket{message("hello")}, "6:4hello", false},
	{"several, version 3", 3, true, []socketio.EnginePacket{message("test1"), text(socketio.EnginePong, "")}, "6:4test11:3", false},
	{"three bytes, one unit", 3, false, []socketio.EnginePacket{message("€"), message("中文")}, "2:4€3:4中文", false},
	{"four bytes, two units", 3, false, []socketio.EnginePacket{message("😀!"), message("x")}, "4:4😀!2:4x", false},
	{"none, version 3", 3, false, nil, "0:", false},
	{"b64", 3, true, []socketio.EnginePacket{message("hello"), bytesOf(1, 2, 3, 4)}, "6:4hello10:b4AQIDBA==", false},
	{
		"binary, version 3", 3, false, []socketio.EnginePacket{message("hello"), bytesOf(1, 2, 3, 4)},
		"\x00\x06\xff4hello\x01\x05\xff\x04\x01\x02\x03\x04", true,
	},
	{
		"binary with emoji counts bytes", 3, false, []socketio.EnginePacket{message("😀"), bytesOf(9)},
		"\x00\x05\xff4😀\x01\x02\xff\x04\x09", true,
	},
	{
		"a length of three digits", 3, false, []socketio.EnginePacket{bytesOf(), message(strings.Repeat("x", 122))},
		"\x01\x01\xff\x04\x00\x01\x02\x03\xff4" + strings.Repeat("x", 122), true,
	},
}

func TestPayloadVectors(t *testing.T) {
	for _, tc := range payloadVectors {
		t.Run(tc.name, func(t *testing.T) {
			encoded, binary := socketio.AppendPayload(nil, tc.version, tc.asText, tc.packets)
			require.Equal(t, tc.wire, string(encoded))
			require.Equal(t, tc.binary, binary)
			decoded, err := collect(tc.version, tc.binary, tc.wire)
			require.NoError(t, err)
			require.Len(t, decoded, len(tc.packets))
			for i := range decoded {
				requirePacket(t, tc.packets[i], decoded[i])
			}
		})
	}
}

func collect(v socketio.Version, binary bool, body string) (packets []socketio.EnginePacket, err error) {
	for packet, err := range socketio.DecodePayload(v, binary, []byte(body)) {
		if err != nil {
			return packets, err
		}
		packets = append(packets, packet)
	}
	return packets, nil
}

// Some clients send all text in the binary form.
func TestPayloadOfTextAlone(t *testing.T) {
	packets, err := collect(3, true, "\x00\x02\xff4a\x00\x02\xff4b")
	require.NoError(t, err)
	require.Len(t, packets, 2)
	requirePacket(t, message("b"), packets[1])
}

func TestPayloadErrors(t *testing.T) {
	for _, tc := range []struct {
		name    string
		version socketio.Version
		binary  bool
		body    string
		want    socketio.FormatCode
		before  int // packets in front of the fault
	}{
		{"empty, version 4", 4, false, "", socketio.BadEnginePacket, 0},
		{"only a separator", 4, false, "\x1e", socketio.BadEnginePacket, 0},
		{"a separator at the end", 4, false, "4a\x1e", socketio.BadEnginePacket, 1},
		{"binary, version 4", 4, true, "4a", socketio.BadForm, 0},
		{"not UTF-8, version 4", 4, false, "4a\x1e4\xff", socketio.BadUTF8, 0},
		{"empty, version 3", 3, false, "", socketio.BadLength, 0},
		{"no length", 3, false, "4hello", socketio.BadLength, 0},
		{"a length of nothing", 3, false, ":4", socketio.BadLength, 0},
		{"a negative length", 3, false, "-1:4", socketio.BadLength, 0},
		{"too long a length", 3, false, "0000000001:4", socketio.BadLength, 0},
		{"a huge length", 3, false, "999999999:4", socketio.BadLength, 0},
		{"a length too high", 3, false, "6:4hell", socketio.BadLength, 0},
		{"a length too low", 3, false, "4:4hello", socketio.BadLength, 1},
		{"a length of bytes", 3, false, "5:4😀", socketio.BadLength, 0},
		{"half an emoji", 3, false, "2:4😀", socketio.BadLength, 0},
		{"an empty packet", 3, false, "1:40:", socketio.BadEnginePacket, 1},
		{"not UTF-8, version 3", 3, false, "2:4\xff", socketio.BadUTF8, 0},
		{"binary: empty", 3, true, "", socketio.BadEnginePacket, 0},
		{"binary: another kind", 3, true, "\x02\x01\xff4", socketio.BadEnginePacket, 0},
		{"binary: no length", 3, true, "\x00\xff4", socketio.BadLength, 0},
		{"binary: no end of the length", 3, true, "\x00\x01\x01", socketio.BadLength, 0},
		{"binary: too many digits", 3, true, "\x00\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\xff", socketio.BadLength, 0},
		{"binary: cut off", 3, true, "\x00\x03\xff4a", socketio.BadLength, 0},
		{"binary: no text", 3, true, "\x00\x02\xff4\xff", socketio.BadUTF8, 0},
		{"binary: a ping of bytes", 3, true, "\x01\x01\xff\x02", socketio.BadEnginePacket, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			packets, err := collect(tc.version, tc.binary, tc.body)
			requireCode(t, tc.want, err)
			require.Len(t, packets, tc.before)
		})
	}
}

// Whatever is packed comes out again, for both versions and all forms.
func TestPayloadRoundTrip(t *testing.T) {
	packet := rapid.Custom(func(t *rapid.T) socketio.EnginePacket {
		if rapid.Bool().Draw(t, "binary") {
			return bytesOf(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes")...)
		}
		data := strings.ReplaceAll(rapid.String().Draw(t, "text"), "\x1e", "")
		return text(socketio.EngineType(rapid.IntRange(0, 6).Draw(t, "type")), data)
	})
	rapid.Check(t, func(t *rapid.T) {
		packets := rapid.SliceOfN(packet, 1, 20).Draw(t, "packets")
		version := rapid.SampledFrom([]socketio.Version{3, 4}).Draw(t, "version")
		body, binary := socketio.AppendPayload(nil, version, rapid.Bool().Draw(t, "asText"), packets)
		decoded, err := collect(version, binary, string(body))
		require.NoError(t, err, "%q", body)
		require.Len(t, decoded, len(packets))
		for i := range packets {
			requirePacket(t, packets[i], decoded[i])
		}
	})
}

// Nobody can make the decoder work longer or remember more than the body is long.
func FuzzDecodePayload(f *testing.F) {
	for _, v := range payloadVectors {
		f.Add(int(v.version), v.binary, []byte(v.wire))
	}
	f.Fuzz(func(t *testing.T, version int, binary bool, body []byte) {
		v := socketio.Version(3 + version&1)
		var packets []socketio.EnginePacket
		size := 0
		for packet, err := range socketio.DecodePayload(v, binary, body) {
			if err != nil {
				var format *socketio.FormatError
				require.ErrorAs(t, err, &format)
				return
			}
			packets = append(packets, packet)
			size += len(packet.Data) + 1
		}
		require.LessOrEqual(t, size, len(body)+1)
		if len(packets) == 0 {
			return // "0:"
		}
		encoded, form := socketio.AppendPayload(nil, v, false, packets)
		again, err := collect(v, form, string(encoded))
		require.NoError(t, err)
		require.Len(t, again, len(packets))
		for i := range packets {
			requirePacket(t, packets[i], again[i])
		}
	})
}
