package classic_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/gorilla/websocket"
)

// visit is one stay of a client: it comes, joins, says and hears things, and goes in one way or another. It gives what
// was wrong with what it heard.
func visit(n *node, token, room string, i, round int) string {
	dialer := &websocket.Dialer{NetDialContext: n.network.DialContext}
	conn, response, err := dialer.DialContext(n.tb.Context(), "ws://"+host+"/socket.io/?transport=websocket&EIO=4", nil)
	if err != nil {
		return err.Error()
	}
	response.Body.Close()
	defer conn.Close()
	_ = conn.SetReadDeadline(time.Now().Add(30 * time.Second))
	send := func(text string) { _ = conn.WriteMessage(websocket.TextMessage, []byte(text)) }
	send(`40{"token":"` + token + `"}`)
	send(`420["join","` + room + `"]`)
	send(`421["message","` + room + `",{"from":` + fmt.Sprint(i) + `}]`)
	last := "431["
	if round%3 == 0 {
		send(`422["leave","` + room + `"]`)
		send(`423["join","` + room + `"]`)
		send(`424["message","` + room + `",null]`)
		last = "434["
	}
	v := view{acks: make(map[string]bool)}
	for text := ""; !strings.HasPrefix(text, last); {
		_, message, err := conn.ReadMessage()
		if err != nil {
			return err.Error()
		}
		text = string(message)
		if fault := v.hear(text); fault != "" {
			return fault + " in " + text
		}
	}
	switch (i + round) % 4 {
	case 0:
		send(`42["leave","` + room + `"]`)
		send("41")
	case 1:
		send("41")
	case 2: // takes somebody with it
		for other := range v.others {
			send(`42["control","` + room + `",{"action":"kick","to":"` + other + `"}]`)
			break
		}
		send("1")
	}
	return ""
}

// view is what a page knows of its room.
type view struct {
	others map[string]bool // nil without a seat
	acks   map[string]bool
}

// hear notes one message, and gives what is wrong with it.
func (v *view) hear(text string) string {
	if answer, ok := strings.CutPrefix(text, "43"); ok {
		return v.answer(answer)
	}
	array, ok := strings.CutPrefix(text, "42")
	if !ok {
		return ""
	}
	var args []any
	if err := json.Unmarshal([]byte(array), &args); err != nil {
		return err.Error()
	}
	if args[0] == "full" || args[0] == "error" {
		return ""
	}
	if args[0] == "joined" {
		v.others = make(map[string]bool) // the answer, which is next, says who they are
		return ""
	}
	if v.others == nil {
		return "said without a seat"
	}
	switch args[0] {
	case "leaved":
		v.others = nil
	case "otherjoin":
		peer := args[2].(string)
		if v.others[peer] {
			return "arrived twice"
		}
		v.others[peer] = true
	case "bye":
		peer := args[2].(string)
		if !v.others[peer] {
			return "gone without having been there"
		}
		delete(v.others, peer)
	case "message", "control":
	default:
		return "unknown"
	}
	return ""
}

func (v *view) answer(text string) string {
	id, object, _ := strings.Cut(text, "[")
	if v.acks[id] {
		return "a second answer"
	}
	v.acks[id] = true
	var answer struct {
		Others []string `json:"others"`
	}
	if err := json.Unmarshal([]byte(strings.TrimSuffix(object, "]")), &answer); err != nil {
		return err.Error()
	}
	for _, peer := range answer.Others {
		v.others[peer] = true
	}
	return ""
}
