package app

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/spf13/cobra"
)

// node is a gateway as the API shows it.
type node struct {
	Node        string    `json:"node"`
	Name        string    `json:"name"`
	Version     string    `json:"version"`
	Started     time.Time `json:"started"`
	Sessions    int       `json:"sessions"`
	Connections int       `json:"connections"`
	Draining    bool      `json:"draining"`
}

func (t *tool) nodesCommand() *cobra.Command {
	return &cobra.Command{
		Use: "nodes", Short: "List the gateways", Args: cobra.NoArgs,
		RunE: t.run(func(ctx context.Context, _ []string) error {
			a, err := t.connect()
			if err != nil {
				return err
			}
			entries, err := a.nodes(ctx)
			if err != nil {
				return err
			}
			return showList(t, "nodes", entries, []string{"NAME", "NODE", "VERSION", "SESSIONS", "CONNECTIONS", "DRAINING", "STARTED"}, func(n *node) []string {
				return []string{n.Name, n.Node, n.Version, strconv.Itoa(n.Sessions), strconv.Itoa(n.Connections), yes(n.Draining), instant(n.Started)}
			})
		}),
	}
}

func (a *api) nodes(ctx context.Context) ([]json.RawMessage, error) {
	return a.whole(ctx, []string{"nodes"}, "nodes")
}

func (t *tool) drainCommand() *cobra.Command {
	return &cobra.Command{
		Use: "drain NODE", Short: "End a gateway in order: its sessions move to the others",
		Long: `Ends a gateway in order, as SIGTERM does: its sessions move to the others, then the process ends. Whoever supervises it
starts it anew, if that is what it does. NODE is its id, or its name if no other gateway has the same.`,
		Args: cobra.ExactArgs(1), ValidArgsFunction: t.completeNodes,
		RunE: t.run(func(ctx context.Context, args []string) error {
			a, err := t.connect()
			if err != nil {
				return err
			}
			id, err := a.nodeID(ctx, args[0])
			if err != nil {
				return err
			}
			answer, err := a.ask(ctx, request{method: http.MethodPost, path: []string{"nodes", id, "drain"}})
			if err != nil {
				return err
			}
			return tell(t, answer, func(n *node) string {
				return fmt.Sprintf("%s (%s) is told to drain, with %s", n.Name, n.Node, counted(n.Sessions, "session"))
			})
		}),
	}
}

// nodeID finds the id of a gateway by its id or its name.
func (a *api) nodeID(ctx context.Context, named string) (string, error) {
	entries, err := a.nodes(ctx)
	if err != nil {
		return "", err
	}
	var found []string
	for _, text := range entries {
		var n node
		if json.Unmarshal(text, &n) != nil {
			continue
		}
		if n.Node == named {
			return named, nil
		}
		if n.Name == named {
			found = append(found, n.Node)
		}
	}
	switch len(found) {
	case 0:
		return "", fmt.Errorf("no gateway is called %q; signalctl nodes lists them", named)
	case 1:
		return found[0], nil
	}
	return "", fmt.Errorf("%d gateways are called %q: name one by its id, as signalctl nodes lists them", len(found), named)
}

// letter is an event that a webhook's endpoint did not take.
type letter struct {
	ID       string    `json:"id"`
	Endpoint string    `json:"endpoint"`
	Reason   string    `json:"reason"`
	Parked   time.Time `json:"parked"`
	Kind     string    `json:"kind"`
	Room     string    `json:"room"`
	Seq      int64     `json:"seq"`
}

func (t *tool) webhooksCommand() *cobra.Command {
	return group("webhooks", "Events that webhooks' endpoints did not take", t.webhooksList(),
		t.lettersCommand("replay", "Deliver such events after all", "%s to be delivered anew", func(id string) request {
			body := map[string]string{}
			if id != "" {
				body["id"] = id
			}
			return request{method: http.MethodPost, path: []string{"webhooks", "dead-letters", "replay"}, body: body}
		}),
		t.lettersCommand("discard", "Forget such events", "%s forgotten", func(id string) request {
			r := request{method: http.MethodDelete, path: []string{"webhooks", "dead-letters"}}
			if id != "" {
				r.query = url.Values{"id": {id}}
			}
			return r
		}))
}

func (t *tool) webhooksList() *cobra.Command {
	var limit int
	c := &cobra.Command{
		Use: "list", Short: "List events that were given up", Args: cobra.NoArgs,
		RunE: t.run(func(ctx context.Context, _ []string) error {
			if limit < 0 {
				return usagef("--limit is not negative")
			}
			a, app, err := t.inApp()
			if err != nil {
				return err
			}
			entries, err := a.list(ctx, []string{"apps", app, "webhooks", "dead-letters"}, nil, "deadLetters", limit)
			if err != nil {
				return err
			}
			columns := []string{"LETTER", "ENDPOINT", "EVENT", "ROOM", "SEQ", "REASON", "PARKED"}
			return showList(t, "deadLetters", entries, columns, func(l *letter) []string {
				return []string{l.ID, l.Endpoint, l.Kind, l.Room, strconv.FormatInt(l.Seq, 10), l.Reason, instant(l.Parked)}
			})
		}),
	}
	c.Flags().IntVar(&limit, "limit", 0, "how many at most; 0 is all")
	return c
}

// lettersCommand makes a command for one dead letter, or all.
func (t *tool) lettersCommand(use, short, said string, ask func(id string) request) *cobra.Command {
	var all bool
	c := &cobra.Command{
		Use: use + " [LETTER]", Short: short, Args: cobra.MaximumNArgs(1),
		RunE: t.run(func(ctx context.Context, args []string) error {
			if all == (len(args) == 1) {
				return usagef("name one as webhooks list does, or --all")
			}
			id := ""
			if !all {
				id = args[0]
			}
			a, app, err := t.inApp()
			if err != nil {
				return err
			}
			r := ask(id)
			r.path = append([]string{"apps", app}, r.path...)
			answer, err := a.ask(ctx, r)
			if err != nil {
				return err
			}
			return tell(t, answer, func(done *struct{ Count int }) string { return fmt.Sprintf(said, counted(done.Count, "event")) })
		}),
	}
	c.Flags().BoolVar(&all, "all", false, "all of the app's")
	return c
}
