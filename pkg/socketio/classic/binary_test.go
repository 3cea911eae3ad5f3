package classic_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/socketio/classic"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// placeholders gives those from one number up to another one, with commas between.
func placeholders(from, to int) string {
	var list []string
	for i := from; i < to; i++ {
		list = append(list, fmt.Sprintf(`{"_placeholder":true,"num":%d}`, i))
	}
	return strings.Join(list, ",")
}

// many gives n small attachments.
func many(n int) (attachments []string) {
	for i := range n {
		attachments = append(attachments, string(rune('a'+i)))
	}
	return attachments
}

// Bytes cross the cluster as JSON, and arrive as bytes.
func TestBinary(t *testing.T) {
	for _, tc := range []struct {
		name, event string
		attachments []string
		topic, data string
		hears       []string
	}{
		{
			name: "AsData", event: `["message","lobby",{"_placeholder":true,"num":0}]`, attachments: []string{"\x00\xff\x04"},
			topic: "binary", data: `{"data":{"_placeholder":true,"num":0},"attachments":["AP8E"]}`,
			hears: []string{`1-["message","lobby",{"_placeholder":true,"num":0}]`, "bin:\x00\xff\x04"},
		},
		{
			name:  "WithinData",
			event: `["message","lobby",{"name":"\ud800", "parts":[{"num":0,"_placeholder":true},{"_placeholder":true,"num":1}],"n":1e400}]`, attachments: []string{"", "b"},
			topic: "binary", data: `{"data":{"name":"\ud800", "parts":[{"num":0,"_placeholder":true},{"_placeholder":true,"num":1}],"n":1e400},"attachments":["","Yg=="]}`,
			hears: []string{`2-["message","lobby",{"name":"\ud800", "parts":[{"num":0,"_placeholder":true},{"_placeholder":true,"num":1}],"n":1e400}]`, "bin:", "bin:b"},
		},
		{
			name: "AsManyAsClientsTake", event: `["message","lobby",[` + placeholders(0, 10) + `]]`, attachments: many(10),
			topic: "binary", data: `{"data":[` + placeholders(0, 10) + `],"attachments":["YQ==","Yg==","Yw==","ZA==","ZQ==","Zg==","Zw==","aA==","aQ==","ag=="]}`,
			hears: append([]string{`10-["message","lobby",[` + placeholders(0, 10) + `]]`},
				"bin:a", "bin:b", "bin:c", "bin:d", "bin:e", "bin:f", "bin:g", "bin:h", "bin:i", "bin:j"),
		},
		{ // the argument behind data is ignored, and its bytes are not passed on
			name: "BehindData", event: `["message","lobby",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]`, attachments: many(2),
			topic: "binary", data: `{"data":{"_placeholder":true,"num":0},"attachments":["YQ=="]}`,
			hears: []string{`1-["message","lobby",{"_placeholder":true,"num":0}]`, "bin:a"},
		},
		{
			name: "BehindDataAlone", event: `["message","lobby","text",{"_placeholder":true,"num":0}]`, attachments: many(1),
			topic: "message", data: `"text"`, hears: []string{`["message","lobby","text"]`},
		},
		{
			name: "TwiceTheSame", event: `["message","lobby",[{"_placeholder":true,"num":0},{"_placeholder":true,"num":0}]]`, attachments: many(1),
			topic: "binary", data: `{"data":[{"_placeholder":true,"num":0},{"_placeholder":true,"num":0}],"attachments":["YQ=="]}`,
			hears: []string{`1-["message","lobby",[{"_placeholder":true,"num":0},{"_placeholder":true,"num":0}]]`, "bin:a"},
		},
		{ // without bytes it is data like any other
			name: "OnlyLooksAlike", event: `["message","lobby",{"_placeholder":true,"num":7}]`,
			topic: "message", data: `{"_placeholder":true,"num":7}`, hears: []string{`["message","lobby",{"_placeholder":true,"num":7}]`},
		},
		{
			name: "AlmostLooksAlike", event: `["message","lobby",[{"_placeholder":1,"num":9},{"_placeholder":false,"num":9},{"_placeholder":true,"num":0}]]`, attachments: many(1),
			topic: "binary", data: `{"data":[{"_placeholder":1,"num":9},{"_placeholder":false,"num":9},{"_placeholder":true,"num":0}],"attachments":["YQ=="]}`,
			hears: []string{`1-["message","lobby",[{"_placeholder":1,"num":9},{"_placeholder":false,"num":9},{"_placeholder":true,"num":0}]]`, "bin:a"},
		},
	} {
		for _, generation := range generations {
			t.Run(tc.name+"/"+generation, func(t *testing.T) {
				s := serve(t, classic.Options{})
				c, session := s.enter(generation, "/")
				c.joins(session, "lobby", "lobby", 4)
				c.emits(tc.event, tc.attachments...)
				request := session.wants(t, `{"type":"publish","room":"lobby","topic":"`+tc.topic+`","data":`+tc.data+`}`)
				publish := request.Body.(*wire.Publish)
				require.True(t, json.Valid(publish.Data))
				session.peer.Deliver(event(11, "lobby", &wire.Message{From: "a", Topic: publish.Topic, Data: publish.Data}))
				c.hears(tc.hears...)
				c.silent()
			})
		}
	}
}

// What somebody else has published as binary, and a stock client could not take as such, arrives as the data that it is.
func TestBinaryOfOtherShapes(t *testing.T) {
	packed := func(data, attachments string) string {
		return `{"data":` + data + `,"attachments":` + attachments + `}`
	}
	const placeholder = `{"_placeholder":true,"num":0}`
	for _, data := range []string{
		`null`, `"AP8E"`, `[]`, `{}`, `{"data":1}`, `{"attachments":["YQ=="]}`,
		packed(placeholder, `[]`), packed(placeholder, `null`), packed(placeholder, `"YQ=="`), packed(placeholder, `[1]`), packed(placeholder, `[["YQ=="]]`),
		packed(placeholder, `["YQ"]`), packed(placeholder, `["YR=="]`), packed(placeholder, `["!"]`), packed(placeholder, `["_w=="]`),
		packed(placeholder, `[`+strings.TrimSuffix(strings.Repeat(`"YQ==",`, 11), ",")+`]`),
		packed(`{"_placeholder":true,"num":1}`, `["YQ=="]`), packed(`{"_placeholder":true,"num":-1}`, `["YQ=="]`),
		packed(`{"_placeholder":true,"num":0.5}`, `["YQ=="]`), packed(`{"_placeholder":true,"num":"0"}`, `["YQ=="]`),
		packed(`{"_placeholder":true}`, `["YQ=="]`), packed(`[`+placeholder+`,{"x":{"_placeholder":true,"num":1}}]`, `["YQ=="]`),
		packed(`{"_placeholder":true,"num":0,"num":3}`, `["YQ=="]`), packed(`{"\u005fplaceholder":true,"num":3}`, `["YQ=="]`),
		`{"data":` + placeholder + `,"attachments":["YQ=="],"more":1}`, `{"Data":` + placeholder + `,"Attachments":["YQ=="]}`,
	} {
		s := serve(t, classic.Options{})
		c, session := s.enter(v4, "/chat")
		c.joins(session, "lobby", "lobby", 4)
		session.peer.Deliver(event(11, "lobby", &wire.Message{From: "a", Topic: "binary", Data: json.RawMessage(data)}))
		c.hears(`["message","lobby","a",` + data + `]`)
	}
}

// Bytes that no placeholder asks for are sent as well, as natives may do: clients pass over them.
func TestBinaryUnused(t *testing.T) {
	s := serve(t, classic.Options{})
	c, session := s.enter(v2, "/")
	c.joins(session, "lobby", "lobby", 4)
	session.peer.Deliver(event(11, "lobby", &wire.Message{From: "a", Topic: "binary", Data: json.RawMessage(
		`{"attachments":["YQ==","Yg=="], "data":{"_placeholder":true,"num":1}}`)}))
	c.hears(`2-["message","lobby",{"_placeholder":true,"num":1}]`, "bin:a", "bin:b")
}
