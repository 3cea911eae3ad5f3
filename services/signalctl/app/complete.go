package app

import (
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// completeTimeout is how long whoever pressed Tab waits, at most.
const completeTimeout = 2 * time.Second

// completeMost is how many names are looked at for a completion.
const completeMost = 5000

// names completes from a list of the API; whatever goes wrong gives no names.
func (t *tool) names(ctx context.Context, path []string, filter url.Values, field, toComplete string, name func(json.RawMessage) string) ([]string, cobra.ShellCompDirective) {
	ctx, cancel := context.WithTimeout(ctx, completeTimeout)
	defer cancel()
	a, err := t.connect()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	entries, err := a.entries(ctx, path, filter, field)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var found []string
	for _, entry := range entries {
		if n := clean(name(entry), false); n != "" && strings.HasPrefix(n, toComplete) {
			found = append(found, n)
		}
	}
	slices.Sort(found)
	return slices.Compact(found), cobra.ShellCompDirectiveNoFileComp
}

// entries are some of a list, whether it comes in pages or not.
func (a *api) entries(ctx context.Context, path []string, filter url.Values, field string) ([]json.RawMessage, error) {
	if field == "nodes" {
		return a.nodes(ctx)
	}
	return a.list(ctx, path, filter, field, completeMost)
}

// stringOf gives a name's reader: the field of an entry.
func stringOf[T any](field func(*T) string) func(json.RawMessage) string {
	return func(text json.RawMessage) string {
		entry := new(T)
		if json.Unmarshal(text, entry) != nil {
			return ""
		}
		return field(entry)
	}
}

func (t *tool) completeApps(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 && !strings.HasPrefix(cmd.Use, "list") && strings.Contains(cmd.Use, " APP") {
		return nil, cobra.ShellCompDirectiveNoFileComp // it is named already
	}
	return t.names(cmd.Context(), []string{"apps"}, nil, "apps", toComplete, stringOf(func(s *appSummary) string { return s.ID }))
}

func (t *tool) completeRooms(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
	app, err := t.appID()
	if err != nil || len(args) > 0 && strings.Contains(cmd.Use, " ROOM") {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	// Of more rooms than are looked at, those that are meant.
	return t.names(cmd.Context(), []string{"apps", app, "rooms"}, beginningWith(toComplete), "rooms", toComplete, stringOf(func(r *room) string { return r.Room }))
}

// completeRoomAndPeer completes a room's name first, then its members', then another room's.
func (t *tool) completeRoomAndPeer(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
	switch len(args) {
	case 0, 2:
		return t.completeRooms(cmd, nil, toComplete)
	case 1:
		app, err := t.appID()
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return t.names(cmd.Context(), []string{"apps", app, "rooms", args[0], "members"}, nil, "members", toComplete, stringOf(func(m *member) string { return m.Peer }))
	}
	return nil, cobra.ShellCompDirectiveNoFileComp
}

func (t *tool) completeNodes(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return t.names(cmd.Context(), []string{"nodes"}, nil, "nodes", toComplete, stringOf(func(n *node) string { return cmp.Or(n.Name, n.Node) }))
}

// sortBy sorts entries by a field of theirs.
func sortBy[T any](entries []json.RawMessage, field func(*T) string) {
	of := stringOf(field)
	slices.SortStableFunc(entries, func(a, b json.RawMessage) int { return cmp.Compare(of(a), of(b)) })
}

// sorted gives a map's names in order.
func sorted[T any](m map[string]T) []string { return slices.Sorted(maps.Keys(m)) }
