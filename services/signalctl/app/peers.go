package app

import (
	"context"
	"fmt"
	"net/http"
	"strconv"

	"github.com/spf13/cobra"
)

// member is one as the API shows it.
type member struct {
	Peer  string `json:"peer"`
	User  string `json:"user"`
	Name  string `json:"name"`
	Order int64  `json:"order"`
	Away  bool   `json:"away"`
}

func (t *tool) peersCommand() *cobra.Command {
	return group("peers", "List, mute and move those who are in a room, and let in who waits", t.peersList(), t.muteCommand(true), t.muteCommand(false),
		t.moveCommand(), t.waitingCommand(), t.admitCommand("admit", "let in", "Let in who waits for it in a moderated room, or all"),
		t.admitCommand("deny", "sent away", "Send away who waits, or all"))
}

func (t *tool) peersList() *cobra.Command {
	return &cobra.Command{
		Use: "list ROOM", Short: "List a room's members, in the order in which they came", Args: cobra.ExactArgs(1), ValidArgsFunction: t.completeRooms,
		RunE: t.run(func(ctx context.Context, args []string) error {
			a, app, err := t.inApp()
			if err != nil {
				return err
			}
			entries, err := a.list(ctx, []string{"apps", app, "rooms", args[0], "members"}, nil, "members", 0)
			if err != nil {
				return err
			}
			return showList(t, "members", entries, []string{"PEER", "USER", "NAME", "AWAY", "ORDER"}, func(m *member) []string {
				return []string{m.Peer, m.User, m.Name, yes(m.Away), strconv.FormatInt(m.Order, 10)}
			})
		}),
	}
}

// oneOrAll gives the path of an action on a room's peer, or with all on everybody.
func oneOrAll(args []string, all bool, action string) ([]string, error) {
	switch {
	case all && len(args) == 1:
		return []string{args[0], action}, nil
	case !all && len(args) == 2:
		return []string{args[0], "members", args[1], action}, nil
	}
	return nil, usagef("name a room and a peer, or a room and --all")
}

func (t *tool) muteCommand(muted bool) *cobra.Command {
	word := "mute"
	if !muted {
		word = "unmute"
	}
	var all bool
	var kind string
	c := &cobra.Command{
		Use: word + " ROOM [PEER]", Short: map[bool]string{true: "Mute a member, or everybody", false: "Unmute a member, or everybody"}[muted],
		Args: cobra.RangeArgs(1, 2), ValidArgsFunction: t.completeRoomAndPeer,
		RunE: t.run(func(ctx context.Context, args []string) error {
			path, err := oneOrAll(args, all, word)
			if err != nil {
				return err
			}
			return t.control(ctx, request{method: http.MethodPost, path: path, body: map[string]string{"kind": kind}}, func(done *affected) string {
				return fmt.Sprintf("%s: %sd %s (seq %d)", kind, word, counted(done.Affected, "member"), done.Seq)
			})
		}),
	}
	c.Flags().BoolVar(&all, "all", false, "everybody in the room")
	c.Flags().StringVar(&kind, "kind", "audio", "`what`: audio or video")
	must(c.RegisterFlagCompletionFunc("kind", cobra.FixedCompletions([]string{"audio", "video"}, cobra.ShellCompDirectiveNoFileComp)))
	return c
}

func (t *tool) moveCommand() *cobra.Command {
	return &cobra.Command{
		Use: "move ROOM PEER TO", Short: "Ask a member to go to another room",
		Long: "Asks a member to go to another room. Its client goes by itself, and needs a token that allows the room.",
		Args: cobra.ExactArgs(3), ValidArgsFunction: t.completeRoomAndPeer,
		RunE: t.run(func(ctx context.Context, args []string) error {
			path := []string{args[0], "members", args[1], "move"}
			return t.control(ctx, request{method: http.MethodPost, path: path, body: map[string]string{"room": args[2]}}, func(done *affected) string {
				return fmt.Sprintf("%s is asked to go to %s (seq %d)", args[1], args[2], done.Seq)
			})
		}),
	}
}

func (t *tool) kickCommand() *cobra.Command {
	var all bool
	var reason string
	c := &cobra.Command{
		Use: "kick ROOM [PEER]", Short: "Take a member's seat away, or everybody's",
		Args: cobra.RangeArgs(1, 2), ValidArgsFunction: t.completeRoomAndPeer,
		RunE: t.run(func(ctx context.Context, args []string) error {
			path, err := oneOrAll(args, all, "kick")
			if err != nil {
				return err
			}
			r := request{method: http.MethodPost, path: path}
			if reason != "" {
				r.body = map[string]string{"reason": reason}
			}
			return t.control(ctx, r, func(done *affected) string {
				return fmt.Sprintf("kicked %s (seq %d)", counted(done.Affected, "member"), done.Seq)
			})
		}),
	}
	c.Flags().BoolVar(&all, "all", false, "everybody in the room, which ends")
	c.Flags().StringVar(&reason, "reason", "", "`text` that people in the room are told")
	return c
}
