package app

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/spf13/cobra"
)

// message is what is sent, and to whom.
type message struct {
	tool             *tool
	room, peer, user string
	everybody, toApp bool
	topic            string
	text             bool
}

func (t *tool) sendCommand() *cobra.Command {
	m := &message{tool: t}
	c := &cobra.Command{
		Use: "send DATA", Short: "Send a message to a room, a peer, a user or the whole app",
		Long: `Sends a message of the app itself: those who get it see a message without from. DATA is JSON, or - for JSON from
standard input; with --text it is text.

--room alone sends to everybody in the room, with --peer to one member. --user sends to the user in all rooms where the
user is, with --everybody to everybody there. --whole-app sends to all rooms.`,
		Args: cobra.ExactArgs(1), RunE: t.run(func(ctx context.Context, args []string) error { return m.send(ctx, args[0]) }),
	}
	flags := c.Flags()
	flags.StringVarP(&m.room, "room", "r", "", "`room` that it is for")
	flags.StringVar(&m.peer, "peer", "", "`peer` in the room that it is for")
	flags.StringVarP(&m.user, "user", "u", "", "`user` that it is for")
	flags.BoolVar(&m.everybody, "everybody", false, "with --user: everybody in the user's rooms")
	flags.BoolVar(&m.toApp, "whole-app", false, "all rooms of the app")
	flags.StringVar(&m.topic, "topic", "", "what it is about: one `word`")
	flags.BoolVar(&m.text, "text", false, "DATA is text and not JSON")
	c.MarkFlagsMutuallyExclusive("room", "user", "whole-app")
	c.MarkFlagsOneRequired("room", "user", "whole-app")
	must(c.RegisterFlagCompletionFunc("room", t.completeRooms))
	return c
}

func (m *message) send(ctx context.Context, data string) error {
	if m.peer != "" && m.room == "" || m.everybody && m.user == "" {
		return usagef("--peer goes with --room, and --everybody with --user")
	}
	body, err := m.body(data)
	if err != nil {
		return err
	}
	path := []string{"messages"}
	switch {
	case m.room != "":
		path = []string{"rooms", m.room, "messages"}
		if m.peer != "" {
			body["to"] = m.peer
		}
	case m.user != "":
		path = []string{"users", m.user, "messages"}
		if m.everybody {
			body["to"] = "rooms"
		}
	}
	a, app, err := m.tool.inApp()
	if err != nil {
		return err
	}
	answer, err := a.ask(ctx, request{method: http.MethodPost, path: append([]string{"apps", app}, path...), body: body})
	if err != nil {
		return err
	}
	return m.tool.show(answer, func() error { return m.sent(answer) })
}

func (m *message) body(data string) (map[string]any, error) {
	text := []byte(data)
	if data == "-" {
		var err error
		if text, err = m.tool.readFile(data); err != nil {
			return nil, err
		}
	}
	if m.text {
		return m.about(strings.TrimSuffix(string(text), "\n")), nil
	}
	if !json.Valid(text) {
		return nil, usagef("DATA is not JSON; with --text it is text")
	}
	return m.about(json.RawMessage(text)), nil
}

func (m *message) about(data any) map[string]any {
	body := map[string]any{"data": data}
	if m.topic != "" {
		body["topic"] = m.topic
	}
	return body
}

// sent says where it went: a room's answer names the number in it, the others list or count rooms.
func (m *message) sent(answer json.RawMessage) error {
	if m.room != "" {
		return tell(m.tool, answer, func(done *struct{ Seq int64 }) string { return fmt.Sprintf("sent to %s (seq %d)", m.room, done.Seq) })
	}
	var done struct {
		Posted  json.RawMessage `json:"posted"`
		Failed  int             `json:"failed"`
		Refused int             `json:"refused"`
	}
	if err := json.Unmarshal(answer, &done); err != nil {
		return err
	}
	var count int
	var list []json.RawMessage
	if json.Unmarshal(done.Posted, &count) != nil {
		if err := json.Unmarshal(done.Posted, &list); err != nil {
			return err
		}
		count = len(list)
	}
	switch {
	case done.Refused > 0:
		return fmt.Errorf("sent %s, and failed %d times: %d times for the app's quotas, and %d times as Redis did not answer",
			counted(count, "message"), done.Refused+done.Failed, done.Refused, done.Failed)
	case done.Failed > 0:
		return fmt.Errorf("sent %s, and failed %d times: Redis did not answer", counted(count, "message"), done.Failed)
	}
	return m.tool.say("sent %s", counted(count, "message"))
}
