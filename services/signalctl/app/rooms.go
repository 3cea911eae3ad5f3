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

// room is one as the API shows it.
type room struct {
	Room       string                     `json:"room"`
	Epoch      string                     `json:"epoch"`
	Seq        int64                      `json:"seq"`
	Version    int64                      `json:"version"`
	Capacity   int                        `json:"capacity"`
	Members    int                        `json:"members"`
	Locked     bool                       `json:"locked"`
	Presenter  string                     `json:"presenter"`
	Properties map[string]json.RawMessage `json:"properties"`
	Created    time.Time                  `json:"created"`
}

func (r *room) seats() string { return fmt.Sprintf("%d/%d", r.Members, r.Capacity) }

// affected is what became of a control.
type affected struct {
	Seq      int64 `json:"seq"`
	Affected int   `json:"affected"`
}

func (t *tool) roomsCommand() *cobra.Command {
	return group("rooms", "List, make, change and close rooms",
		t.roomsList(), t.roomsGet(), t.roomsCreate(), t.roomsUpdate(), t.roomsClose())
}

// beginningWith has a list of rooms be of those whose names begin with something.
func beginningWith(prefix string) url.Values {
	if prefix == "" {
		return nil
	}
	return url.Values{"prefix": {prefix}}
}

func (t *tool) roomsList() *cobra.Command {
	var limit int
	var prefix string
	c := &cobra.Command{
		Use: "list", Short: "List an app's rooms", Args: cobra.NoArgs,
		RunE: t.run(func(ctx context.Context, _ []string) error {
			if limit < 0 {
				return usagef("--limit is not negative")
			}
			a, app, err := t.inApp()
			if err != nil {
				return err
			}
			entries, err := a.list(ctx, []string{"apps", app, "rooms"}, beginningWith(prefix), "rooms", limit)
			if err != nil {
				return err
			}
			sortBy(entries, func(r *room) string { return r.Room })
			return showList(t, "rooms", entries, []string{"ROOM", "SEATS", "LOCKED", "SEQ", "VERSION", "CREATED"}, func(r *room) []string {
				return []string{
					r.Room, r.seats(), yes(r.Locked), strconv.FormatInt(r.Seq, 10), strconv.FormatInt(r.Version, 10), instant(r.Created),
				}
			})
		}),
	}
	c.Flags().IntVar(&limit, "limit", 0, "how many at most; 0 is all")
	c.Flags().StringVar(&prefix, "prefix", "", "only those whose names begin with it")
	must(c.RegisterFlagCompletionFunc("prefix", t.completeRooms))
	return c
}

// changeRoom makes a request that is answered with a room.
func (t *tool) changeRoom(ctx context.Context, r request) error {
	a, app, err := t.inApp()
	if err != nil {
		return err
	}
	r.path = append([]string{"apps", app, "rooms"}, r.path...)
	answer, err := a.ask(ctx, r)
	if err != nil {
		return err
	}
	return t.showRoom(answer)
}

func (t *tool) showRoom(answer json.RawMessage) error {
	return t.show(answer, func() error {
		var r room
		if err := json.Unmarshal(answer, &r); err != nil {
			return err
		}
		out := table{columns: []string{"ROOM", r.Room}}
		out.add("seats", r.seats())
		out.add("locked", yes(r.Locked))
		out.add("presenter", r.Presenter)
		out.add("seq", strconv.FormatInt(r.Seq, 10))
		out.add("version", strconv.FormatInt(r.Version, 10))
		out.add("epoch", r.Epoch)
		out.add("created", instant(r.Created))
		for _, name := range sorted(r.Properties) {
			out.add("property "+name, string(r.Properties[name]))
		}
		return out.write(t.process.Out)
	})
}

func (t *tool) roomsGet() *cobra.Command {
	return &cobra.Command{
		Use: "get ROOM", Short: "Show a room", Args: cobra.ExactArgs(1), ValidArgsFunction: t.completeRooms,
		RunE: t.run(func(ctx context.Context, args []string) error {
			return t.changeRoom(ctx, request{method: http.MethodGet, path: args})
		}),
	}
}

func (t *tool) roomsCreate() *cobra.Command {
	var capacity int
	var locked bool
	var with []string
	c := &cobra.Command{
		Use: "create ROOM", Short: "Make a room before anybody joins it", Args: cobra.ExactArgs(1),
		RunE: t.run(func(ctx context.Context, args []string) error {
			values, err := properties(with)
			if err != nil {
				return err
			}
			body := map[string]any{"room": args[0]}
			if capacity != 0 {
				body["capacity"] = capacity
			}
			if locked {
				body["locked"] = true
			}
			if values != nil {
				body["properties"] = values
			}
			return t.changeRoom(ctx, request{method: http.MethodPost, body: body})
		}),
	}
	c.Flags().IntVar(&capacity, "capacity", 0, "how many `seats` it has (default: as the app's policy says)")
	c.Flags().BoolVar(&locked, "locked", false, "only moderators may join")
	c.Flags().StringArrayVar(&with, "property", nil, "`name=value` that the app notes with it, JSON or text; may be repeated")
	return c
}

func (t *tool) roomsUpdate() *cobra.Command {
	var capacity int
	var locked bool
	var presenter string
	var with []string
	var version int64
	c := &cobra.Command{
		Use: "update ROOM", Short: "Change a room",
		Long: `Changes what is named, and leaves the rest. The change is made for the version that --if-version names, or else for the
present one: if somebody else changes the room at the same moment, it is refused.`,
		Args: cobra.ExactArgs(1), ValidArgsFunction: t.completeRooms,
	}
	flags := c.Flags()
	flags.IntVar(&capacity, "capacity", 0, "how many `seats` it has; nobody is sent away")
	flags.BoolVar(&locked, "locked", false, "only moderators may join")
	flags.StringVar(&presenter, "presenter", "", "`peer` that presents, empty for none")
	flags.StringArrayVar(&with, "property", nil, "`name=value` that the app notes with it, JSON or text; null removes one; may be repeated")
	flags.Int64Var(&version, "if-version", -1, "only if this is the room's `version`")
	c.RunE = t.run(func(ctx context.Context, args []string) error {
		body := map[string]any{}
		for name, value := range map[string]any{"capacity": capacity, "locked": locked, "presenter": presenter} {
			if flags.Changed(name) {
				body[name] = value
			}
		}
		values, err := properties(with)
		if err != nil {
			return err
		}
		if values != nil {
			body["properties"] = values
		}
		if len(body) == 0 {
			return usagef("nothing is to change")
		}
		if !flags.Changed("if-version") {
			if version, err = t.versionOf(ctx, args[0]); err != nil {
				return err
			}
		}
		body["version"] = version
		return t.changeRoom(ctx, request{method: http.MethodPatch, path: args, body: body})
	})
	return c
}

// versionOf asks for a room's present version.
func (t *tool) versionOf(ctx context.Context, name string) (int64, error) {
	a, app, err := t.inApp()
	if err != nil {
		return 0, err
	}
	answer, err := a.ask(ctx, request{method: http.MethodGet, path: []string{"apps", app, "rooms", name}})
	if err != nil {
		return 0, err
	}
	var r room
	err = json.Unmarshal(answer, &r)
	return r.Version, err
}

func (t *tool) roomsClose() *cobra.Command {
	var reason string
	c := &cobra.Command{
		Use: "close ROOM", Short: "Close a room: everybody in it is told", Args: cobra.ExactArgs(1), ValidArgsFunction: t.completeRooms,
		RunE: t.run(func(ctx context.Context, args []string) error {
			r := request{method: http.MethodDelete, path: args}
			if reason != "" {
				r.query = url.Values{"reason": {reason}}
			}
			return t.control(ctx, r, func(done *affected) string {
				return fmt.Sprintf("room %s is closed, with %s in it", args[0], counted(done.Affected, "member"))
			})
		}),
	}
	c.Flags().StringVar(&reason, "reason", "", "`text` that people in it are told, and webhooks")
	return c
}

// control makes a request that acts in a room: its path begins with the room's name.
func (t *tool) control(ctx context.Context, r request, line func(*affected) string) error {
	a, app, err := t.inApp()
	if err != nil {
		return err
	}
	r.path = append([]string{"apps", app, "rooms"}, r.path...)
	answer, err := a.ask(ctx, r)
	if err != nil {
		return err
	}
	return tell(t, answer, line)
}
