package app

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// appKey is a key of either kind; those that sign have an algorithm, those of the API what they can.
type appKey struct {
	ID        string    `json:"id"`
	Algorithm string    `json:"algorithm"`
	Can       []string  `json:"can"`
	Expires   time.Time `json:"expires"`
	// Secret and Key are in the answer that makes it, and never again.
	Secret string `json:"secret"`
	Key    string `json:"key"`
}

// keysCommand makes the commands for the keys at a path.
func (t *tool) keysCommand(path, short string, create *cobra.Command) *cobra.Command {
	list := &cobra.Command{
		Use: "list", Short: "List them, without what is secret", Args: cobra.NoArgs,
		RunE: t.run(func(ctx context.Context, _ []string) error {
			a, app, err := t.inApp()
			if err != nil {
				return err
			}
			entries, err := a.whole(ctx, []string{"apps", app, path}, "keys")
			if err != nil {
				return err
			}
			columns, of := []string{"KEY", "ALGORITHM", "EXPIRES"}, func(k *appKey) []string { return []string{k.ID, k.Algorithm, instant(k.Expires)} }
			if path == "api-keys" {
				columns, of = []string{"KEY", "CAN", "EXPIRES"}, func(k *appKey) []string { return []string{k.ID, strings.Join(k.Can, ", "), instant(k.Expires)} }
			}
			return showList(t, "keys", entries, columns, of)
		}),
	}
	remove := &cobra.Command{
		Use: "delete KEY", Short: "Delete one", Args: cobra.ExactArgs(1),
		RunE: t.run(func(ctx context.Context, args []string) error {
			app, err := t.appID()
			if err != nil {
				return err
			}
			return t.remove(ctx, request{method: http.MethodDelete, path: []string{"apps", app, path, args[0]}}, "key "+args[0])
		}),
	}
	return group(path, short, list, create, remove)
}

// makeKey adds a key, and shows what is shown this once.
func (t *tool) makeKey(ctx context.Context, path string, body any) error {
	a, app, err := t.inApp()
	if err != nil {
		return err
	}
	answer, err := a.ask(ctx, request{method: http.MethodPost, path: []string{"apps", app, path}, body: body})
	if err != nil {
		return err
	}
	return t.show(answer, func() error {
		var k appKey
		if err := json.Unmarshal(answer, &k); err != nil {
			return err
		}
		r := table{columns: []string{"KEY", k.ID}}
		if !k.Expires.IsZero() {
			r.add("expires", instant(k.Expires))
		}
		switch {
		case k.Secret != "":
			r.add("secret", k.Secret)
			r.add("", "(keep it: it is not shown again)")
		case k.Key != "":
			r.add("key", k.Key)
			r.add("", "(keep it: it is not shown again)")
		}
		return r.write(t.process.Out)
	})
}

func (t *tool) keysCreate() *cobra.Command {
	var id, algorithm, file, expires string
	c := &cobra.Command{
		Use: "create", Short: "Add one: a secret is made, or a public key is taken", Args: cobra.NoArgs,
		RunE: t.run(func(ctx context.Context, _ []string) error {
			body := map[string]string{"algorithm": algorithm}
			if id != "" {
				body["id"] = id
			}
			if err := expiry(body, expires); err != nil {
				return err
			}
			if (file != "") == (algorithm == "HS256") {
				return usagef("HS256 takes no --public-key-file, and the other algorithms need one")
			}
			if file != "" {
				text, err := t.readFile(file)
				if err != nil {
					return err
				}
				body["public_key"] = string(text)
			}
			return t.makeKey(ctx, "keys", body)
		}),
	}
	c.Flags().StringVar(&id, "id", "", "its `id`, which tokens name as kid (default: one is made)")
	c.Flags().StringVar(&algorithm, "algorithm", "HS256", "`algorithm`: HS256, RS256, ES256 or EdDSA")
	c.Flags().StringVar(&file, "public-key-file", "", "`file` with the public key in PEM, for all but HS256")
	c.Flags().StringVar(&expires, "expires", "", expiresHelp)
	return c
}

const expiresHelp = "when it ends to count: a `time` as 2030-01-31T12:00:00Z, or from now on as 720h (default: never)"

// expiry puts into a body when the key ends to count.
func expiry(body map[string]string, expires string) error {
	if expires == "" {
		return nil
	}
	at, err := time.Parse(time.RFC3339, expires)
	if life, bad := time.ParseDuration(expires); bad == nil {
		at, err = time.Now().Add(life), nil
	}
	if err != nil {
		return usagef("--expires is a time as 2030-01-31T12:00:00Z, or how long from now on as 720h")
	}
	body["expires"] = at.UTC().Format(time.RFC3339)
	return nil
}

func (t *tool) apiKeysCreate() *cobra.Command {
	var id, can, expires string
	c := &cobra.Command{
		Use: "create", Short: "Add one", Args: cobra.NoArgs,
		RunE: t.run(func(ctx context.Context, _ []string) error {
			body := map[string]string{"can": can}
			if id != "" {
				body["id"] = id
			}
			if err := expiry(body, expires); err != nil {
				return err
			}
			return t.makeKey(ctx, "api-keys", body)
		}),
	}
	c.Flags().StringVar(&id, "id", "", "its `id`, for the audit log (default: one is made)")
	c.Flags().StringVar(&expires, "expires", "", expiresHelp)
	c.Flags().StringVar(&can, "can", "write", "what its bearer may do, a `permission`: read, write or admin")
	must(c.RegisterFlagCompletionFunc("can", cobra.FixedCompletions([]string{"read", "write", "admin"}, cobra.ShellCompDirectiveNoFileComp)))
	return c
}
