package app

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
)

// appSummary is an app as lists have it.
type appSummary struct {
	ID       string `json:"id"`
	Managed  bool   `json:"managed"`
	Disabled bool   `json:"disabled"`
}

// appSettings is what people are shown of an app.
type appSettings struct {
	appSummary
	Version   int64    `json:"version"`
	Anonymous bool     `json:"anonymous"`
	Origins   []string `json:"origins"`
	Keys      []struct {
		ID string `json:"id"`
	} `json:"keys"`
	Webhooks []struct {
		ID string `json:"id"`
	} `json:"webhooks"`
	Policy struct {
		Capacity int `json:"capacity"`
	} `json:"policy"`
}

func (t *tool) appsCommand() *cobra.Command {
	return group("apps", "List, make and change apps",
		t.appsList(), t.appsGet(), t.appsCreate(), t.appsUpdate(), t.appsDelete(),
		t.keysCommand("keys", "Keys that sign an app's tokens", t.keysCreate()),
		t.keysCommand("api-keys", "An app's keys of the server API", t.apiKeysCreate()),
	)
}

func (t *tool) appsList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the apps that the key is for", Args: cobra.NoArgs,
		RunE: t.run(func(ctx context.Context, _ []string) error {
			a, err := t.connect()
			if err != nil {
				return err
			}
			entries, err := a.list(ctx, []string{"apps"}, nil, "apps", 0)
			if err != nil {
				return err
			}
			return showList(t, "apps", entries, []string{"APP", "MANAGED", "DISABLED"}, func(s *appSummary) []string {
				return []string{s.ID, yes(s.Managed), yes(s.Disabled)}
			})
		}),
	}
}

func (t *tool) appsGet() *cobra.Command {
	return &cobra.Command{
		Use: "get APP", Short: "Show an app's settings", Args: cobra.ExactArgs(1), ValidArgsFunction: t.completeApps,
		RunE: t.run(func(ctx context.Context, args []string) error {
			return t.changeApp(ctx, request{method: http.MethodGet, path: []string{"apps", args[0]}})
		}),
	}
}

// changeApp makes a request that is answered with an app.
func (t *tool) changeApp(ctx context.Context, r request) error {
	a, err := t.connect()
	if err != nil {
		return err
	}
	answer, err := a.ask(ctx, r)
	if err != nil {
		return err
	}
	return t.show(answer, func() error {
		var s appSettings
		if err := json.Unmarshal(answer, &s); err != nil {
			return err
		}
		keys, webhooks := make([]string, len(s.Keys)), make([]string, len(s.Webhooks))
		for i := range s.Keys {
			keys[i] = s.Keys[i].ID
		}
		for i := range s.Webhooks {
			webhooks[i] = s.Webhooks[i].ID
		}
		capacity := ""
		if s.Policy.Capacity > 0 {
			capacity = strconv.Itoa(s.Policy.Capacity)
		}
		r := table{columns: []string{"APP", s.ID}}
		r.add("managed", yes(s.Managed))
		r.add("version", strconv.FormatInt(s.Version, 10))
		r.add("disabled", yes(s.Disabled))
		r.add("anonymous", yes(s.Anonymous))
		r.add("origins", strings.Join(s.Origins, ", "))
		r.add("keys", strings.Join(keys, ", "))
		r.add("webhooks", strings.Join(webhooks, ", "))
		r.add("capacity", capacity)
		return r.write(t.process.Out)
	})
}

// settings are the flags of an app's settings.
type settings struct {
	file                string
	set                 []string
	anonymous, disabled bool
	origins             []string
	version             int64
}

const settingsHelp = `

Settings are those of an app in the configuration (docs/configuration.md), but its keys: they come from a file with a JSON
object (-f), and from --set name=JSON, which goes before it.`

func (s *settings) flags(c *cobra.Command) {
	flags := c.Flags()
	flags.StringVarP(&s.file, "file", "f", "", "`file` with settings as a JSON object, - for standard input")
	flags.StringArrayVar(&s.set, "set", nil, "one `name=value`, as in --set 'policy={\"capacity\":3}'; may be repeated")
	flags.BoolVar(&s.anonymous, "anonymous", false, "let users in without a token")
	flags.BoolVar(&s.disabled, "disabled", false, "refuse all its users")
	flags.StringArrayVar(&s.origins, "origin", nil, "web `origin` whose pages may connect; may be repeated")
}

// body puts the settings together.
func (s *settings) body(t *tool, c *cobra.Command) (map[string]json.RawMessage, error) {
	body := make(map[string]json.RawMessage)
	if s.file != "" {
		text, err := t.readFile(s.file)
		if err != nil {
			return nil, err
		}
		if json.Unmarshal(text, &body) != nil || body == nil {
			return nil, usagef("%s does not hold a JSON object", s.file)
		}
	}
	named, err := properties(s.set)
	if err != nil {
		return nil, err
	}
	for name, value := range named {
		body[name] = value
	}
	for _, flag := range []struct {
		name, setting string
		value         any
	}{{"anonymous", "anonymous", s.anonymous}, {"disabled", "disabled", s.disabled}, {"origin", "origins", s.origins}} {
		if c.Flags().Changed(flag.name) {
			if body[flag.setting], err = json.Marshal(flag.value); err != nil {
				return nil, err
			}
		}
	}
	return body, nil
}

func (t *tool) appsCreate() *cobra.Command {
	s := new(settings)
	c := &cobra.Command{
		Use: "create APP", Short: "Make an app", Long: "Makes an app, without keys: see apps keys create." + settingsHelp, Args: cobra.ExactArgs(1),
	}
	s.flags(c)
	c.RunE = t.run(func(ctx context.Context, args []string) error {
		body, err := s.body(t, c)
		if err != nil {
			return err
		}
		if body["id"], err = json.Marshal(args[0]); err != nil {
			return err
		}
		return t.changeApp(ctx, request{method: http.MethodPost, path: []string{"apps"}, body: body})
	})
	return c
}

func (t *tool) appsUpdate() *cobra.Command {
	s := new(settings)
	c := &cobra.Command{
		Use: "update APP", Short: "Change an app",
		Long: "Changes an app's settings: those that are named, the others stay. null takes one away." + settingsHelp,
		Args: cobra.ExactArgs(1), ValidArgsFunction: t.completeApps,
	}
	s.flags(c)
	c.Flags().Int64Var(&s.version, "if-version", 0, "only if this is the app's `version`")
	c.RunE = t.run(func(ctx context.Context, args []string) error {
		body, err := s.body(t, c)
		if err != nil {
			return err
		}
		if len(body) == 0 {
			return usagef("nothing is to change")
		}
		return t.changeApp(ctx, request{method: http.MethodPatch, path: []string{"apps", args[0]}, header: ifVersion(s.version), body: body})
	})
	return c
}

// ifVersion guards a change by an app's version, if that is not 0.
func ifVersion(version int64) http.Header {
	if version == 0 {
		return nil
	}
	return http.Header{"If-Match": {`"` + strconv.FormatInt(version, 10) + `"`}}
}

func (t *tool) appsDelete() *cobra.Command {
	var version int64
	c := &cobra.Command{
		Use: "delete APP", Short: "Delete an app: its users are refused from then on", Args: cobra.ExactArgs(1), ValidArgsFunction: t.completeApps,
		RunE: t.run(func(ctx context.Context, args []string) error {
			return t.remove(ctx, request{method: http.MethodDelete, path: []string{"apps", args[0]}, header: ifVersion(version)}, "app "+args[0])
		}),
	}
	c.Flags().Int64Var(&version, "if-version", 0, "only if this is the app's `version`")
	return c
}

// remove makes a request that is answered with nothing.
func (t *tool) remove(ctx context.Context, r request, what string) error {
	a, err := t.connect()
	if err != nil {
		return err
	}
	if _, err := a.ask(ctx, r); err != nil {
		return err
	}
	return t.show(json.RawMessage(`{}`), func() error { return t.say("%s is deleted", what) })
}
