package app

import (
	"context"
	"fmt"
	"net/http"

	"github.com/spf13/cobra"
)

// waiter is somebody who waits for a seat, as the API shows it.
type waiter struct {
	Peer   string `json:"peer"`
	User   string `json:"user"`
	Name   string `json:"name"`
	Reason string `json:"reason"`
	Away   bool   `json:"away"`
}

func (t *tool) waitingCommand() *cobra.Command {
	return &cobra.Command{
		Use: "waiting ROOM", Short: "List who waits for a seat of a room, in order", Args: cobra.ExactArgs(1), ValidArgsFunction: t.completeRooms,
		RunE: t.run(func(ctx context.Context, args []string) error {
			a, app, err := t.inApp()
			if err != nil {
				return err
			}
			entries, _, err := a.page(ctx, []string{"apps", app, "rooms", args[0], "waiting"}, nil, "waiting")
			if err != nil {
				return err
			}
			return showList(t, "waiting", entries, []string{"PEER", "USER", "NAME", "REASON", "AWAY"}, func(w *waiter) []string {
				return []string{w.Peer, w.User, w.Name, w.Reason, yes(w.Away)}
			})
		}),
	}
}

// admitCommand lets in who waits, or with deny sends away.
func (t *tool) admitCommand(word, done, short string) *cobra.Command {
	var all bool
	c := &cobra.Command{
		Use: word + " ROOM [PEER]", Short: short, Args: cobra.RangeArgs(1, 2), ValidArgsFunction: t.completeRooms,
		RunE: t.run(func(ctx context.Context, args []string) error {
			path := []string{args[0], "waiting", word}
			switch {
			case all && len(args) == 1:
			case !all && len(args) == 2:
				path = []string{args[0], "waiting", args[1], word}
			default:
				return usagef("name a room and a peer, or a room and --all")
			}
			return t.control(ctx, request{method: http.MethodPost, path: path}, func(result *affected) string {
				return fmt.Sprintf("%s %s (seq %d)", done, counted(result.Affected, "peer"), result.Seq)
			})
		}),
	}
	c.Flags().BoolVar(&all, "all", false, "everybody who waits")
	return c
}
