package socketio_test

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/socketio"
)

func args(values ...string) []json.RawMessage {
	list := []json.RawMessage{}
	for _, value := range values {
		list = append(list, json.RawMessage(value))
	}
	return list
}

// Golden vectors of Socket.IO packets.
var packetVectors = []struct {
	name   string
	wire   string
	packet socketio.Packet
}{
	{"connect", `0`, socketio.Packet{Type: socketio.PacketConnect, Namespace: "/", ID: socketio.NoAck}},
	{
		"connect with auth", `0{"token":"123"}`,
		socketio.Packet{Type: socketio.PacketConnect, Namespace: "/", ID: socketio.NoAck, Data: json.RawMessage(`{"token":"123"}`)},
	},
	{"connect to a namespace", `0/chat,`, socketio.Packet{Type: socketio.PacketConnect, Namespace: "/chat", ID: socketio.NoAck}},
	{
		"connect to a namespace with a query, protocol 4", `0/chat?token=a%2Cb&x,`,
		socketio.Packet{Type: socketio.PacketConnect, Namespace: "/chat?token=a%2Cb&x", ID: socketio.NoAck},
	},
	{"disconnect", `1`, socketio.Packet{Type: socketio.PacketDisconnect, Namespace: "/", ID: socketio.NoAck}},
	{"disconnect from a namespace", `1/chat,`, socketio.Packet{Type: socketio.PacketDisconnect, Namespace: "/chat", ID: socketio.NoAck}},
	{
		"event", `2["message","room",{"a":[1,2.50,18446744073709551616]}]`,
		socketio.Packet{Type: socketio.PacketEvent, Namespace: "/", ID: socketio.NoAck, Name: "message", Args: args(`"room"`, `{"a":[1,2.50,18446744073709551616]}`)},
	},
	{"event without arguments", `2["x"]`, socketio.Packet{Type: socketio.PacketEvent, Namespace: "/", ID: socketio.NoAck, Name: "x", Args: args()}},
	{"event with an id", `20["x",null]`, socketio.Packet{Type: socketio.PacketEvent, Namespace: "/", ID: 0, Name: "x", Args: args(`null`)}},
	{
		"event in a namespace with the highest id", `2/admin,9007199254740991["x"]`,
		socketio.Packet{Type: socketio.PacketEvent, Namespace: "/admin", ID: 1<<53 - 1, Name: "x", Args: args()},
	},
	{
		"a lone surrogate is kept", `2["x","\ud800"]`,
		socketio.Packet{Type: socketio.PacketEvent, Namespace: "/", ID: socketio.NoAck, Name: "x", Args: args(`"\ud800"`)},
	},
	{
		"an event without bytes that looks like one with", `2["x",{"_placeholder":true,"num":7}]`,
		socketio.Packet{Type: socketio.PacketEvent, Namespace: "/", ID: socketio.NoAck, Name: "x", Args: args(`{"_placeholder":true,"num":7}`)},
	},
	{"ack", `3/chat,12["ok"]`, socketio.Packet{Type: socketio.PacketAck, Namespace: "/chat", ID: 12, Args: args(`"ok"`)}},
	{"empty ack", `30[]`, socketio.Packet{Type: socketio.PacketAck, Namespace: "/", ID: 0, Args: args()}},
	{
		"connect error", `4/chat,{"message":"Invalid namespace"}`,
		socketio.Packet{Type: socketio.PacketConnectError, Namespace: "/chat", ID: socketio.NoAck, Data: json.RawMessage(`{"message":"Invalid namespace"}`)},
	},
	{
		"error, protocol 4", `4"not allowed"`,
		socketio.Packet{Type: socketio.PacketConnectError, Namespace: "/", ID: socketio.NoAck, Data: json.RawMessage(`"not allowed"`)},
	},
	{
		"binary event", `52-/chat,7["x",{"_placeholder":true,"num":0},[{"a":{"num":1,"_placeholder":true}}]]`,
		socketio.Packet{
			Type: socketio.PacketBinaryEvent, Namespace: "/chat", ID: 7, Attachments: 2, Name: "x",
			Args: args(`{"_placeholder":true,"num":0}`, `[{"a":{"num":1,"_placeholder":true}}]`),
		},
	},
	{
		"binary ack", `61-3[{"_placeholder":true,"num":0}]`,
		socketio.Packet{Type: socketio.PacketBinaryAck, Namespace: "/", ID: 3, Attachments: 1, Args: args(`{"_placeholder":true,"num":0}`)},
	},
	{
		"binary event without attachments", `50-["x"]`,
		socketio.Packet{Type: socketio.PacketBinaryEvent, Namespace: "/", ID: socketio.NoAck, Name: "x", Args: args()},
	},
}

func TestPacketVectors(t *testing.T) {
	for _, tc := range packetVectors {
		t.Run(tc.name, func(t *testing.T) {
			decoded, err := socketio.DecodePacket([]byte(tc.wire), socketio.Limits{})
			require.NoError(t, err)
			require.Equal(t, tc.packet, decoded)
			require.Equal(t, tc.wire, string(socketio.AppendPacket(nil, tc.packet)))
		})
	}
}

// Other ways to write the same, which clients use.
func TestPacketVariants(t *testing.T) {
	for _, tc := range []struct{ name, wire, same string }{
		{"no comma behind a namespace", `0/chat`, `0/chat,`},
		{"no comma behind a namespace that is left", `1/chat`, `1/chat,`},
		{"the root by name", `2/,["x"]`, `2["x"]`},
		{"blanks in the JSON", "2[ \"x\" ,\t1 ] ", `2["x",1]`},
		{"a name with escapes", `2["\u0078\n"]`, `2["x\n"]`},
		{"a number for a name", `2[1,2]`, `2["1",2]`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			decoded, err := socketio.DecodePacket([]byte(tc.wire), socketio.Limits{})
			require.NoError(t, err)
			require.Equal(t, tc.same, string(socketio.AppendPacket(nil, decoded)))
		})
	}
}

func TestPacketErrors(t *testing.T) {
	deep := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	for _, tc := range []struct {
		name, wire string
		want       socketio.FormatCode
	}{
		{"empty", ``, socketio.BadPacket},
		{"no type", `abc`, socketio.BadPacket},
		{"an unknown type", `7["x"]`, socketio.BadPacket},
		{"a blank in front of the JSON", `2 ["x"]`, socketio.BadPayload},
		{"an object for an event", `2{}`, socketio.BadPayload},
		{"nothing for an event", `2`, socketio.BadJSON},
		{"an event without name", `2[]`, socketio.BadEvent},
		{"an object for a name", `2[{}]`, socketio.BadEvent},
		{"null for a name", `2[null]`, socketio.BadEvent},
		{"a reserved name", `2["connect"]`, socketio.BadEvent},
		{"a reserved name with escapes", `2["\u0064isconnect"]`, socketio.BadEvent},
		{"more behind the array", `2["x"]1`, socketio.BadJSON},
		{"broken JSON", `2["x",{"a":]`, socketio.BadJSON},
		{"not UTF-8", "2[\"x\",\"\xff\"]", socketio.BadJSON},
		{"a raw control character", "2[\"x\",\"\x1e\"]", socketio.BadJSON},
		{"too deep", `2["x",` + deep(64) + `]`, socketio.BadJSON},
		{"a million levels", `2["x",` + deep(500_000) + `]`, socketio.BadJSON},
		{"too many arguments", `2["x"` + strings.Repeat(",0", 256) + `]`, socketio.BadPayload},
		{"letters for an id", `2abc["x"]`, socketio.BadPayload},
		{"an id too high", `29007199254740992["x"]`, socketio.BadAckID},
		{"an id of a hundred digits", `2` + strings.Repeat("1", 100) + `["x"]`, socketio.BadPayload},
		{"an answer to nothing", `3["x"]`, socketio.BadAckID},
		{"an object for an answer", `31{}`, socketio.BadPayload},
		{"an id with a CONNECT", `05`, socketio.BadAckID},
		{"a text for auth", `0"token"`, socketio.BadPayload},
		{"null for auth", `0null`, socketio.BadPayload},
		{"broken auth", `0{"a"}`, socketio.BadJSON},
		{"deep auth", `0{"a":` + deep(64) + `}`, socketio.BadJSON},
		{"a DISCONNECT with a payload", `1{}`, socketio.BadPayload},
		{"a namespace too long", `0/` + strings.Repeat("x", 4096) + `,`, socketio.BadNamespace},
		{"a namespace with a control character", "0/a\x1eb,", socketio.BadNamespace},
		{"no count of attachments", `5["x"]`, socketio.BadAttachments},
		{"no end of the count", `51["x"]`, socketio.BadAttachments},
		{"a negative count", `5-1-["x"]`, socketio.BadAttachments},
		{"eleven attachments", `511-["x"]`, socketio.BadAttachments},
		{"a million attachments", `51000000-["x"]`, socketio.BadAttachments},
		{"a count of a hundred digits", `5` + strings.Repeat("9", 100) + `-["x"]`, socketio.BadAttachments},
		{"a count for an event without bytes", `21-["x"]`, socketio.BadPayload},
		{"a placeholder too high", `51-["x",{"_placeholder":true,"num":1}]`, socketio.BadAttachments},
		{"a negative placeholder", `51-["x",{"_placeholder":true,"num":-1}]`, socketio.BadAttachments},
		{"a placeholder between two", `51-["x",{"_placeholder":true,"num":0.5}]`, socketio.BadAttachments},
		{"a text for a placeholder's number", `51-["x",{"_placeholder":true,"num":"0"}]`, socketio.BadAttachments},
		{"a placeholder without number", `51-["x",{"_placeholder":true}]`, socketio.BadAttachments},
		{"a placeholder with escapes", `51-["x",{"_placehol\u0064er":true,"num":1}]`, socketio.BadAttachments},
		{"a placeholder with its number twice", `51-["x",{"_placeholder":true,"num":0,"num":9}]`, socketio.BadAttachments},
		{"a placeholder deep down", `51-["x",[{"a":[{"_placeholder":true,"num":1}]}]]`, socketio.BadAttachments},
		{"a placeholder behind a text with escapes", `51-["x",{"a\\\"":"\\","b":[] , "_placeholder" : true , "num" : 1 }]`, socketio.BadAttachments},
		{"a placeholder behind empty ones", `51-["x",{},[ ],{"_placeholder":true,"num":1}]`, socketio.BadAttachments},
		{"a placeholder in a number", `51-["x",{"_placeholder":true,"num":{"_placeholder":true,"num":0}}]`, socketio.BadAttachments},
	} {
		t.Run(tc.name, func(t *testing.T) {
			packet, err := socketio.DecodePacket([]byte(tc.wire), socketio.Limits{})
			requireCode(t, tc.want, err)
			require.Zero(t, packet)
		})
	}
}

// What is no placeholder may have any number.
func TestNoPlaceholders(t *testing.T) {
	for _, arg := range []string{`{"num":9}`, `{"_placeholder":false,"num":9}`, `{"_placeholder":"true"}`, `["_placeholder",true,"num",9]`, `{"a":"_placeholder"}`} {
		_, err := socketio.DecodePacket([]byte(fmt.Sprintf(`51-["x",%s,{"_placeholder":true,"num":0}]`, arg)), socketio.Limits{})
		require.NoError(t, err, arg)
	}
}

func TestPacketLimits(t *testing.T) {
	limits := socketio.Limits{Attachments: 1, Arguments: 2, Depth: 2, NamespaceBytes: 3}
	for _, wire := range []string{`51-["x"]`, `2["x",1]`, `2["x",[]]`, `0/ab,`} {
		_, err := socketio.DecodePacket([]byte(wire), limits)
		require.NoError(t, err, wire)
	}
	for _, wire := range []string{`52-["x"]`, `2["x",1,2]`, `2["x",[[]]]`, `0/abc,`} {
		_, err := socketio.DecodePacket([]byte(wire), limits)
		require.Error(t, err, wire)
	}
}

// What was taken means the same after encoding and decoding again.
func FuzzDecodePacket(f *testing.F) {
	for _, v := range packetVectors {
		f.Add([]byte(v.wire))
	}
	f.Fuzz(func(t *testing.T, wire []byte) {
		packet, err := socketio.DecodePacket(wire, socketio.Limits{})
		if err != nil {
			var format *socketio.FormatError
			require.ErrorAs(t, err, &format)
			require.Zero(t, packet)
			return
		}
		for _, arg := range packet.Args {
			require.True(t, json.Valid(arg), "%s", arg)
		}
		if packet.Attachments > 0 {
			requirePlaceholdersFit(t, packet)
		}
		encoded := socketio.AppendPacket(nil, packet)
		again, err := socketio.DecodePacket(encoded, socketio.Limits{})
		require.NoError(t, err, "%s", encoded)
		require.Equal(t, packet, again)
	})
}

// requirePlaceholdersFit looks at a packet's arguments as a client does.
func requirePlaceholdersFit(t *testing.T, packet socketio.Packet) {
	t.Helper()
	var look func(value any)
	look = func(value any) {
		switch value := value.(type) {
		case []any:
			for _, inner := range value {
				look(inner)
			}
		case map[string]any:
			if value["_placeholder"] == true {
				num, ok := value["num"].(float64)
				require.True(t, ok && num >= 0 && num < float64(packet.Attachments) && num == math.Trunc(num), "%v", value)
			}
			for _, inner := range value {
				look(inner)
			}
		}
	}
	for _, arg := range packet.Args {
		var value any
		if json.Unmarshal(arg, &value) == nil { // not a number that is too large for Go
			look(value)
		}
	}
}
