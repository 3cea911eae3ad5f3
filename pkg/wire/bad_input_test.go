package wire_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// A request that must not pass, with the code of its refusal and the id that the refusal answers: 0 where the id
// cannot be told.
type badInput struct {
	name    string
	message string
	code    wire.Code
	id      int64
}

func TestBadInputs(t *testing.T) {
	inputs := []struct {
		kind string
		rows []badInput
	}{
		{"NotAMessage", notMessages()},
		{"Envelope", badEnvelopes()},
		{"Numbers", badNumbers()},
		{"Types", badTypes()},
		{"Names", badNames()},
		{"Fields", badFields()},
		{"Sizes", badSizes()},
	}
	for _, kind := range inputs {
		t.Run(kind.kind, func(t *testing.T) {
			for _, row := range kind.rows {
				t.Run(row.name, func(t *testing.T) {
					request, err := wire.DecodeRequest([]byte(row.message), wire.Limits{})
					var refusal *wire.Error
					require.ErrorAs(t, err, &refusal)
					require.Equal(t, row.code, refusal.Code, refusal.Message)
					require.Equal(t, row.id, request.ID)
					require.Nil(t, request.Body)
					require.Less(t, len(refusal.Message), 200, "a refusal must not carry the input back")
				})
			}
		})
	}
}

func notMessages() (rows []badInput) {
	for name, message := range map[string]string{
		"empty":              "",
		"whitespace":         " \t\r\n ",
		"null":               "null",
		"array":              "[]",
		"array of one":       `[{"id":1,"type":"ping"}]`,
		"string":             `"x"`,
		"number":             "1",
		"true":               "true",
		"NaN":                "NaN",
		"word":               "hello",
		"byte order mark":    "\ufeff" + `{"id":1,"type":"ping"}`,
		"single quotes":      `{'id':1,'type':'ping'}`,
		"bare key":           `{id:1,type:"ping"}`,
		"leading zero":       `{"id":01,"type":"ping"}`,
		"invalid UTF-8":      "{\"id\":1,\"type\":\"publish\",\"room\":\"r\",\"data\":\"\xff\"}",
		"overlong UTF-8":     "{\"id\":1,\"type\":\"publish\",\"room\":\"r\",\"data\":\"\xc0\x80\"}",
		"surrogate in UTF-8": "{\"id\":1,\"type\":\"publish\",\"room\":\"r\",\"data\":\"\xed\xa0\x80\"}",
	} {
		rows = append(rows, badInput{name, message, wire.CodeBadRequest, 0})
	}
	// The id stands in front of the fault: the refusal can name it.
	for name, message := range map[string]string{
		"trailing data":       `{"id":1,"type":"ping"} x`,
		"two messages":        `{"id":1,"type":"ping"}{"id":2,"type":"ping"}`,
		"unclosed":            `{"id":1,"type":"ping"`,
		"unclosed string":     `{"id":1,"type":"ping`,
		"trailing comma":      `{"id":1,"type":"ping",}`,
		"comment":             `{"id":1,"type":"ping"/**/}`,
		"NaN inside":          `{"id":1,"type":"publish","room":"r","data":NaN}`,
		"Infinity inside":     `{"id":1,"type":"publish","room":"r","data":-Infinity}`,
		"raw NUL":             "{\"id\":1,\"type\":\"ping\x00\"}",
		"raw line feed":       "{\"id\":1,\"type\":\"ping\n\"}",
		"bad escape":          `{"id":1,"type":"\x70ing"}`,
		"short escape":        `{"id":1,"type":"\u00"}`,
		"depth 17":            `{"id":1,"type":"publish","room":"r","data":` + strings.Repeat("[", 16) + strings.Repeat("]", 16) + `}`,
		"depth 10k, unclosed": `{"id":1,"type":"publish","room":"r","data":` + strings.Repeat("[", 10_000),
		"depth 10k, objects":  `{"id":1,"type":"publish","room":"r","data":` + strings.Repeat(`{"a":`, 10_000) + "1" + strings.Repeat("}", 10_001),
		"65 fields":           `{"id":1,"type":"ping"` + manyFields(63) + `}`,
	} {
		rows = append(rows, badInput{name, message, wire.CodeBadRequest, 1})
	}
	return rows
}

func badEnvelopes() []badInput {
	return []badInput{
		{"no fields", `{}`, wire.CodeBadRequest, 0},
		{"no id", `{"type":"ping"}`, wire.CodeBadRequest, 0},
		{"no type", `{"id":7}`, wire.CodeBadRequest, 7},
		{"type null", `{"id":7,"type":null}`, wire.CodeBadRequest, 7},
		{"type number", `{"id":7,"type":1}`, wire.CodeBadRequest, 7},
		{"type object", `{"id":7,"type":{"type":"ping"}}`, wire.CodeBadRequest, 7},
		{"case of Type", `{"id":7,"Type":"ping"}`, wire.CodeBadRequest, 7},
		{"case of ID", `{"ID":7,"type":"ping"}`, wire.CodeBadRequest, 0},
		{"case of ping", `{"id":7,"type":"Ping"}`, wire.CodeBadRequest, 7},
		{"case of Room", `{"id":7,"type":"leave","Room":"lobby"}`, wire.CodeBadRequest, 7},
		{"duplicate id", `{"id":7,"id":8,"type":"ping"}`, wire.CodeBadRequest, 7},
		{"duplicate type", `{"id":7,"type":"leave","type":"ping"}`, wire.CodeBadRequest, 7},
		{"duplicate room", `{"id":7,"type":"leave","room":"a","room":"b"}`, wire.CodeBadRequest, 7},
		{"duplicate by escape", `{"id":7,"type":"leave","room":"a","\u0072oom":"b"}`, wire.CodeBadRequest, 7},
		{"duplicate unknown", `{"id":7,"type":"ping","x":1,"x":1}`, wire.CodeBadRequest, 7},
		{"duplicate state key", `{"id":7,"type":"state","room":"r","state":{"mic":true,"mic":false}}`, wire.CodeBadRequest, 7},
	}
}

func badNumbers() (rows []badInput) {
	for name, id := range map[string]string{
		"zero": "0", "negative": "-1", "fraction": "1.5", "whole fraction": "1.0", "exponent": "1e3", "string": `"1"`, "null": "null",
		"true": "true", "array": "[1]", "minus zero": "-0",
		"2^53": "9007199254740992", "2^63": "9223372036854775808", "2^64+1": "18446744073709551617",
		"1e400": "1e400", "a million digits": strings.Repeat("9", 1_000_000),
	} {
		rows = append(rows, badInput{"id " + name, fmt.Sprintf(`{"id":%s,"type":"ping"}`, id), wire.CodeBadRequest, 0})
	}
	for name, capacity := range map[string]string{"zero": "0", "negative": "-2", "fraction": "2.5", "2^31": "2147483648", "string": `"2"`} {
		rows = append(rows,
			badInput{"capacity " + name, fmt.Sprintf(`{"id":7,"type":"join","room":"r","capacity":%s}`, capacity), wire.CodeBadRequest, 7})
	}
	return rows
}

func badTypes() (rows []badInput) {
	for _, name := range []string{"", "nope", "welcome", "hello2", "ping ", "ping\\u0000", "signalbox.v2", strings.Repeat("x", 60_000)} {
		rows = append(rows, badInput{fmt.Sprintf("unknown %.12q", name), fmt.Sprintf(`{"id":7,"type":"%s"}`, name), wire.CodeBadRequest, 7})
	}
	requests := make(map[wire.Type]bool)
	for _, typ := range wire.RequestTypes {
		requests[typ] = true
	}
	for _, typ := range wire.EventTypes {
		if !requests[typ] {
			rows = append(rows, badInput{"only the server's " + string(typ),
				fmt.Sprintf(`{"id":7,"type":%q,"room":"r","peer":"p","from":"p","data":{}}`, typ), wire.CodeBadRequest, 7})
		}
	}
	return rows
}

func badNames() (rows []badInput) {
	for name, room := range map[string]string{
		"empty": "", "129 bytes": strings.Repeat("r", 129), "1 MiB": strings.Repeat("r", 1<<20), "path": "../other", "hash tag": "{tag}",
		"colon": "a:b", "slash": "app/room", "space": "a b", "NUL": `a\u0000b`, "CR LF": `a\r\nb`, "right-to-left override": `a\u202eb`,
		"right-to-left override, raw": "a\u202eb", "emoji": "room\U0001f600", "emoji, escaped": `\ud83d\ude00`, "lone surrogate": `\ud800`,
		"surrogates the wrong way": `\ude00\ud83d`, "umlaut": "räume", "full-width": "\uff41", "star": "*", "percent": "%2e%2e", "delete": "a\x7f",
	} {
		for _, format := range []string{
			`{"id":7,"type":"join","room":"%s"}`, `{"id":7,"type":"leave","room":"%s"}`, `{"id":7,"type":"peers","room":"%s"}`,
			`{"id":7,"type":"signal","room":"%s","to":"p","data":{}}`, `{"id":7,"type":"publish","room":"%s","data":1}`,
			`{"id":7,"type":"state","room":"%s","state":{}}`, `{"id":7,"type":"room","room":"%s","version":1,"locked":true}`,
			`{"id":7,"type":"control","room":"%s","action":"kick"}`, `{"id":7,"type":"report","room":"%s","outcome":"failed"}`,
			`{"id":7,"type":"hello","rooms":{"%s":1}}`,
		} {
			message := fmt.Sprintf(format, room)
			rows = append(rows, badInput{"room " + name + " in " + message[16:22], message, wire.CodeBadRequest, 7})
		}
	}
	for name, to := range map[string]string{
		"empty": "", "65 bytes": strings.Repeat("p", 65), "colon": "a:b", "star": "*", "quote": `a\"b`, "backslash": `a\\b`, "space": "a b",
		"NUL": `\u0000`, "line feed": `a\n`, "not ASCII": "ä", "lone surrogate": `\udfff`,
	} {
		rows = append(rows,
			badInput{"to " + name, fmt.Sprintf(`{"id":7,"type":"signal","room":"r","to":"%s","data":{}}`, to), wire.CodeBadRequest, 7},
			badInput{"presenter " + name, fmt.Sprintf(`{"id":7,"type":"room","room":"r","version":1,"presenter":"%s"}`, to), wire.CodeBadRequest, 7})
	}
	for name, display := range map[string]string{
		"129 bytes": strings.Repeat("n", 129), "NUL": `a\u0000`, "line feed": `a\nb`, "escape": `\u001b[31m`, "C1 control": "\u0085",
		"right-to-left override": `\u202e`, "isolate": "\u2066", "line separator": "\u2028", "lone surrogate": `\ud800`,
	} {
		rows = append(rows, badInput{"name " + name, fmt.Sprintf(`{"id":7,"type":"hello","app":"demo","name":"%s"}`, display), wire.CodeBadRequest, 7})
	}
	for name, key := range map[string]string{"empty": "", "65 bytes": strings.Repeat("k", 65), "space": "a b", "NUL": `\u0000`, "emoji": "😀"} {
		rows = append(rows,
			badInput{"state key " + name, fmt.Sprintf(`{"id":7,"type":"state","room":"r","state":{"%s":1}}`, key), wire.CodeBadRequest, 7},
			badInput{"property " + name, fmt.Sprintf(`{"id":7,"type":"room","room":"r","version":1,"properties":{"%s":1}}`, key), wire.CodeBadRequest, 7},
			badInput{"topic " + name, fmt.Sprintf(`{"id":7,"type":"publish","room":"r","topic":"%s","data":1}`, key), wire.CodeBadRequest, 7})
	}
	return rows
}

func badFields() (rows []badInput) {
	for name, rest := range map[string]string{
		"join: no room":                 `"type":"join"`,
		"join: room null":               `"type":"join","room":null`,
		"join: room array":              `"type":"join","room":["a","b"]`,
		"join: state null":              `"type":"join","room":"r","state":null`,
		"join: state array":             `"type":"join","room":"r","state":[]`,
		"signal: no to":                 `"type":"signal","room":"r","data":{}`,
		"signal: many targets":          `"type":"signal","room":"r","to":["a","b"],"data":{}`,
		"signal: no data":               `"type":"signal","room":"r","to":"p"`,
		"signal: data null":             `"type":"signal","room":"r","to":"p","data":null`,
		"signal: data string":           `"type":"signal","room":"r","to":"p","data":"v=0"`,
		"publish: no data":              `"type":"publish","room":"r"`,
		"publish: echo number":          `"type":"publish","room":"r","data":1,"echo":1`,
		"publish: volatile string":      `"type":"publish","room":"r","data":1,"volatile":"true"`,
		"publish: topic null":           `"type":"publish","room":"r","data":1,"topic":null`,
		"state: no state":               `"type":"state","room":"r"`,
		"state: string":                 `"type":"state","room":"r","state":"mic"`,
		"room: no version":              `"type":"room","room":"r","locked":true`,
		"room: version 0":               `"type":"room","room":"r","version":0,"locked":true`,
		"room: nothing":                 `"type":"room","room":"r","version":1`,
		"room: capacity null":           `"type":"room","room":"r","version":1,"capacity":null`,
		"room: locked null":             `"type":"room","room":"r","version":1,"locked":null`,
		"room: properties null":         `"type":"room","room":"r","version":1,"properties":null`,
		"room: spotlight array":         `"type":"room","room":"r","version":1,"spotlight":[]`,
		"control: no action":            `"type":"control","room":"r"`,
		"control: unknown action":       `"type":"control","room":"r","action":"ban"`,
		"control: mute without kind":    `"type":"control","room":"r","action":"mute"`,
		"control: kick with kind":       `"type":"control","room":"r","action":"kick","kind":"audio"`,
		"control: text with mute":       `"type":"control","room":"r","action":"mute","kind":"audio","text":"quiet"`,
		"control: long text":            `"type":"control","room":"r","action":"close","text":"` + strings.Repeat("x", wire.MaxText+1) + `"`,
		"control: escape in the text":   `"type":"control","room":"r","action":"kick","text":"\u001b[31m"`,
		"control: unknown kind":         `"type":"control","room":"r","action":"mute","kind":"screen"`,
		"control: empty kind":           `"type":"control","room":"r","action":"kick","kind":""`,
		"peers: list number":            `"type":"peers","room":"r","list":1`,
		"report: no outcome":            `"type":"report"`,
		"report: unknown outcome":       `"type":"report","outcome":"fine"`,
		"report: negative time":         `"type":"report","outcome":"connected","ms":-1`,
		"report: unknown local":         `"type":"report","outcome":"connected","local":"usb"`,
		"report: unknown remote":        `"type":"report","outcome":"connected","remote":"HOST"`,
		"report: unknown protocol":      `"type":"report","outcome":"connected","protocol":"sctp"`,
		"report: reason of many words":  `"type":"report","outcome":"failed","reason":"it did not work"`,
		"hello: token number":           `"type":"hello","token":1`,
		"hello: app with a slash":       `"type":"hello","app":"a/b"`,
		"hello: resume object":          `"type":"hello","resume":{}`,
		"hello: rooms list":             `"type":"hello","rooms":["lobby"]`,
		"hello: rooms with a bad seq":   `"type":"hello","rooms":{"lobby":{"epoch":"e","seq":-1}}`,
		"hello: rooms without seq":      `"type":"hello","rooms":{"lobby":{"epoch":"e"}}`,
		"hello: rooms without epoch":    `"type":"hello","rooms":{"lobby":{"seq":1}}`,
		"hello: rooms, empty epoch":     `"type":"hello","rooms":{"lobby":{"epoch":"","seq":1}}`,
		"hello: rooms, epoch, a star":   `"type":"hello","rooms":{"lobby":{"epoch":"*","seq":1}}`,
		"hello: rooms, epoch number":    `"type":"hello","rooms":{"lobby":{"epoch":1,"seq":1}}`,
		"hello: rooms, seq twice":       `"type":"hello","rooms":{"lobby":{"epoch":"e","seq":1,"seq":2}}`,
		"hello: rooms with a number":    `"type":"hello","rooms":{"lobby":1}`,
		"hello: rooms with a string":    `"type":"hello","rooms":{"lobby":"1"}`,
		"hello: rooms with null":        `"type":"hello","rooms":{"lobby":null}`,
		"hello: rooms null":             `"type":"hello","rooms":null`,
		"hello: rooms, second one bad":  `"type":"hello","rooms":{"lobby":{"epoch":"e","seq":1},"a":[]}`,
		"hello: resumable number":       `"type":"hello","resumable":1`,
		"hello: resumable string":       `"type":"hello","resumable":"true"`,
		"hello: attempt 0":              `"type":"hello","attempt":0`,
		"hello: attempt negative":       `"type":"hello","attempt":-1`,
		"hello: attempt string":         `"type":"hello","attempt":"1"`,
		"hello: attempt of 2^53":        `"type":"hello","attempt":9007199254740992`,
		"hello: control in the client":  `"type":"hello","client":"a\u0007"`,
		"hello: more than 64 rooms":     `"type":"hello","rooms":{` + manyRooms(65) + `}`,
		"hello: the same room twice":    `"type":"hello","rooms":{"a":{"epoch":"e","seq":1},"a":{"epoch":"e","seq":1}}`,
		"hello: rooms, string as a map": `"type":"hello","rooms":"lobby"`,
	} {
		rows = append(rows, badInput{name, `{"id":7,` + rest + `}`, wire.CodeBadRequest, 7})
	}
	return rows
}

func badSizes() []badInput {
	huge := `"` + strings.Repeat("x", 4096) + `"`
	return []badInput{
		{"state of 4 KiB in join", `{"id":7,"type":"join","room":"r","state":{"a":` + huge + `}}`, wire.CodeTooLarge, 7},
		{"state of 4 KiB", `{"id":7,"type":"state","room":"r","state":{"a":` + huge + `}}`, wire.CodeTooLarge, 7},
		{"state of 33 keys", `{"id":7,"type":"state","room":"r","state":{"a":0` + manyFields(32) + `}}`, wire.CodeTooLarge, 7},
		{"properties of 4 KiB", `{"id":7,"type":"room","room":"r","version":1,"properties":{"a":` + huge + `}}`, wire.CodeTooLarge, 7},
		{"spotlight of 4 KiB", `{"id":7,"type":"room","room":"r","version":1,"spotlight":{"a":` + huge + `}}`, wire.CodeTooLarge, 7},
	}
}

// What looks odd and is allowed: unknown fields, any order, spaces, escapes, and the application's own data untouched.
func TestOddButGoodInputs(t *testing.T) {
	for name, test := range map[string]struct {
		message string
		want    wire.RequestBody
	}{
		"unknown fields":   {`{"id":1,"type":"leave","room":"r","future":{"a":[1,2]},"Room":"other"}`, &wire.Leave{Room: "r"}},
		"the server's own": {`{"id":1,"type":"leave","room":"r","from":"admin","seq":99,"re":3,"by":"x"}`, &wire.Leave{Room: "r"}},
		"any order":        {`{"room":"r","type":"leave","id":1}`, &wire.Leave{Room: "r"}},
		"spaces":           {" {\n\t\"id\" : 1 ,\r\n \"type\" : \"leave\" , \"room\" : \"r\" } \n", &wire.Leave{Room: "r"}},
		"escaped key":      {`{"id":1,"\u0074ype":"l\u0065ave","room":"\u0072"}`, &wire.Leave{Room: "r"}},
		"longest room":     {`{"id":1,"type":"leave","room":"` + strings.Repeat("r", 128) + `"}`, &wire.Leave{Room: strings.Repeat("r", 128)}},
		"dots alone":       {`{"id":1,"type":"leave","room":".."}`, &wire.Leave{Room: ".."}},
		"64 rooms":         {`{"id":1,"type":"hello","rooms":{` + manyRooms(64) + `}}`, &wire.Hello{Rooms: positions(64)}},
		"a room named seq": {`{"id":1,"type":"hello","rooms":{"seq":{"seq":1,"epoch":"e","future":{}}}}`, &wire.Hello{Rooms: map[string]wire.Position{"seq": {Epoch: "e", Seq: 1}}}},
		"not resumable":    {`{"id":1,"type":"hello","resumable":false}`, &wire.Hello{}},
		"emoji in a name":  {`{"id":1,"type":"hello","app":"demo","name":"\ud83d\ude00"}`, &wire.Hello{App: "demo", Name: "😀"}},
		"data null":        {`{"id":1,"type":"publish","room":"r","data":null}`, &wire.Publish{Room: "r", Data: []byte("null")}},
		"depth 16":         {`{"id":1,"type":"publish","room":"r","data":` + strings.Repeat("[", 15) + strings.Repeat("]", 15) + `}`, &wire.Publish{Room: "r", Data: []byte(strings.Repeat("[", 15) + strings.Repeat("]", 15))}},
		"data with 1e400":  {`{"id":1,"type":"publish","room":"r","data":1e400}`, &wire.Publish{Room: "r", Data: []byte("1e400")}},
		"data's own twins": {`{"id":1,"type":"publish","room":"r","data":{"a":1,"a":2}}`, &wire.Publish{Room: "r", Data: []byte(`{"a":1,"a":2}`)}},
		"data, surrogate":  {`{"id":1,"type":"publish","room":"r","data":"\ud800"}`, &wire.Publish{Room: "r", Data: []byte(`"\ud800"`)}},
		"data with spaces": {`{"id":1,"type":"signal","room":"r","to":"p","data": { "a" : 1 } }`, &wire.Signal{Room: "r", To: "p", Data: []byte(`{ "a" : 1 }`)}},
		"spoofed in data":  {`{"id":1,"type":"publish","room":"r","data":{"from":"admin","seq":1}}`, &wire.Publish{Room: "r", Data: []byte(`{"from":"admin","seq":1}`)}},
		"empty state":      {`{"id":1,"type":"join","room":"r","state":{}}`, &wire.Join{Room: "r", State: wire.Object{}}},
	} {
		t.Run(name, func(t *testing.T) {
			request, err := wire.DecodeRequest([]byte(test.message), wire.Limits{})
			require.NoError(t, err)
			require.Equal(t, wire.Request{ID: 1, Body: test.want}, request)
		})
	}
}

// A garbage SDP is the receiver's affair: it passes as it came, whatever its size.
func TestGarbageSDPPassesUntouched(t *testing.T) {
	data := `{"description":{"type":"offer","sdp":"` + strings.Repeat(`a=candidate:\u0000\r\n`, 3000) + `"}}`
	request, err := wire.DecodeRequest([]byte(`{"id":1,"type":"signal","room":"r","to":"p","data":`+data+`}`), wire.Limits{})
	require.NoError(t, err)
	require.Equal(t, data, string(request.Body.(*wire.Signal).Data))
}

// What a request keeps for longer than its message must not change when the transport uses the bytes again.
func TestStateOutlivesItsMessage(t *testing.T) {
	message := []byte(`{"id":1,"type":"join","room":"lobby","state":{"mic":true,"title":"x"}}`)
	join, err := wire.DecodeRequest(message, wire.Limits{})
	require.NoError(t, err)
	change := []byte(`{"id":1,"type":"room","room":"lobby","version":1,"properties":{"a":1},"spotlight":{"interval":5000,"order":["p"]},"presenter":"p"}`)
	room, err := wire.DecodeRequest(change, wire.Limits{})
	require.NoError(t, err)
	clear(message)
	clear(change)
	require.Equal(t, &wire.Join{Room: "lobby", State: object("mic", "true", "title", `"x"`)}, join.Body)
	require.Equal(t, &wire.UpdateRoom{Room: "lobby", Version: 1, RoomChange: wire.RoomChange{
		Presenter: new("p"), Properties: object("a", "1"), Spotlight: []byte(`{"interval":5000,"order":["p"]}`)}}, room.Body)
}

func TestLimitsAreTaken(t *testing.T) {
	limits := wire.Limits{Depth: 3, Keys: 5, StateKeys: 1, StateBytes: 13}
	for name, test := range map[string]struct {
		message string
		code    wire.Code // "" passes
	}{
		"depth 3":        {`{"id":1,"type":"publish","room":"r","data":[[]]}`, ""},
		"depth 4":        {`{"id":1,"type":"publish","room":"r","data":[[[]]]}`, wire.CodeBadRequest},
		"5 fields":       {`{"id":1,"type":"leave","room":"r","x":1,"y":1}`, ""},
		"6 fields":       {`{"id":1,"type":"leave","room":"r","x":1,"y":1,"z":1}`, wire.CodeBadRequest},
		"1 state key":    {`{"id":1,"type":"state","room":"r","state":{"a":1}}`, ""},
		"2 state keys":   {`{"id":1,"type":"state","room":"r","state":{"a":1,"b":2}}`, wire.CodeTooLarge},
		"13 state bytes": {`{"id":1,"type":"state","room":"r","state":{"a":"12345"}}`, ""},
		"14 state bytes": {`{"id":1,"type":"state","room":"r","state":{"a":"123456"}}`, wire.CodeTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := wire.DecodeRequest([]byte(test.message), limits)
			if test.code == "" {
				require.NoError(t, err)
				return
			}
			var refusal *wire.Error
			require.ErrorAs(t, err, &refusal)
			require.Equal(t, test.code, refusal.Code)
		})
	}
}

// manyRooms gives n rooms of a hello, and positions what they are read as.
func manyRooms(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `"r%d":{"epoch":"e","seq":%d},`, i, i)
	}
	return strings.TrimSuffix(b.String(), ",")
}

func positions(n int) map[string]wire.Position {
	rooms := make(map[string]wire.Position)
	for i := range n {
		rooms[fmt.Sprintf("r%d", i)] = wire.Position{Epoch: "e", Seq: int64(i)}
	}
	return rooms
}

// manyFields gives n more fields of an object.
func manyFields(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `,"x%d":%d`, i, i)
	}
	return b.String()
}
