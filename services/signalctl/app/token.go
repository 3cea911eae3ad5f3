package app

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/signalbox-rtc/signalbox/pkg/auth"
)

// token is what was minted, as the API says it.
type token struct {
	Token   string    `json:"token"`
	Key     string    `json:"key"`
	Expires time.Time `json:"expires"`
}

// grant is one of the API's.
type grant struct {
	Room string    `json:"room"`
	Can  *[]string `json:"can,omitempty"` // nil: publish
}

// mint is what a token is made of.
type mint struct {
	tool                               *tool
	user, name                         string
	rooms                              []string
	life                               time.Duration
	keyID                              string
	secretFile, privateFile, algorithm string
	issuer, audience                   string
}

func (t *tool) tokenCommand() *cobra.Command {
	m := &mint{tool: t}
	c := &cobra.Command{
		Use: "token --user ID", Short: "Mint a token for a user",
		Long: `Mints a token with which a user's client says hello, and writes it.

The API mints it with a key of the app's that has a secret. With --secret-file or --private-key-file it is signed here instead,
and nobody is asked.

--room takes the name of a room, or how names begin and a star, and behind a colon what the user may do there: publish,
moderate, capacity. Without a colon it is publish; with nothing behind it, only to listen. Without --room, the user may
publish in every room.`,
		Args: cobra.NoArgs, RunE: t.run(func(ctx context.Context, _ []string) error { return m.run(ctx) }),
	}
	flags := c.Flags()
	flags.StringVarP(&m.user, "user", "u", "", "`id` of the user, as the app has it (required)")
	flags.StringVar(&m.name, "name", "", "what others see as the user's `name`")
	flags.StringArrayVarP(&m.rooms, "room", "r", nil, "`room` and what may be done there, as in lobby:publish,moderate; may be repeated")
	flags.DurationVar(&m.life, "expires", 10*time.Minute, "how long it is good")
	flags.StringVar(&m.keyID, "kid", "", "`id` of the key that signs")
	flags.StringVar(&m.secretFile, "secret-file", "", "`file` with the secret of a key of HS256: sign here")
	flags.StringVar(&m.privateFile, "private-key-file", "", "`file` with a private key in PEM: sign here")
	flags.StringVar(&m.algorithm, "algorithm", auth.EdDSA, "`algorithm` of the private key: RS256, ES256 or EdDSA")
	flags.StringVar(&m.issuer, "issuer", "", "`issuer` that the app asks for, of what is signed here")
	flags.StringVar(&m.audience, "audience", "", "`audience` that the app asks for, of what is signed here")
	must(c.MarkFlagRequired("user"))
	c.MarkFlagsMutuallyExclusive("secret-file", "private-key-file")
	must(c.RegisterFlagCompletionFunc("room", t.completeRooms))
	return c
}

func (m *mint) run(ctx context.Context) error {
	if m.life < time.Second {
		return usagef("--expires is at least 1s")
	}
	grants, err := parseGrants(m.rooms)
	if err != nil {
		return err
	}
	if m.secretFile != "" || m.privateFile != "" {
		return m.sign(grants)
	}
	a, app, err := m.tool.inApp()
	if err != nil {
		return err
	}
	body := map[string]any{"user": m.user, "expiresIn": int(m.life.Seconds()), "rooms": grants}
	for name, value := range map[string]string{"name": m.name, "key": m.keyID} {
		if value != "" {
			body[name] = value
		}
	}
	answer, err := a.ask(ctx, request{method: http.MethodPost, path: []string{"apps", app, "tokens"}, body: body})
	if err != nil {
		return err
	}
	return tell(m.tool, answer, func(minted *token) string { return minted.Token })
}

// sign mints it here.
func (m *mint) sign(grants []grant) error {
	app, err := m.tool.appID()
	if err != nil {
		return err
	}
	text, err := m.tool.readFile(cmp.Or(m.secretFile, m.privateFile))
	if err != nil {
		return fmt.Errorf("read the key: %w", err)
	}
	key := auth.SigningKey{ID: m.keyID, Algorithm: m.algorithm, PrivateKey: auth.Secret(text)}
	if m.secretFile != "" {
		key = auth.SigningKey{ID: m.keyID, Algorithm: auth.HS256, Secret: auth.Secret(strings.TrimSpace(string(text)))}
	}
	now := time.Now()
	claims := auth.Claims{App: app, User: m.user, Name: m.name, IssuedAt: now, Expires: now.Add(m.life), Issuer: m.issuer}
	if m.audience != "" {
		claims.Audience = []string{m.audience}
	}
	for _, g := range grants {
		claims.Grants = append(claims.Grants, auth.Grant{Room: g.Room, Can: g.permissions()})
	}
	signed, err := auth.Sign(key, claims)
	if err != nil {
		return errors.New(strings.TrimPrefix(err.Error(), "auth: "))
	}
	if m.tool.asJSON {
		return m.tool.writeJSON(token{signed, m.keyID, claims.Expires.UTC().Truncate(time.Second)})
	}
	return m.tool.say("%s", signed)
}

// parseGrants reads rooms as the flags name them: "lobby", "lobby:publish,moderate", "lobby:". None is every room.
func parseGrants(texts []string) ([]grant, error) {
	if len(texts) == 0 {
		return []grant{{Room: "*"}}, nil
	}
	var grants []grant
	for _, text := range texts {
		room, words, limited := strings.Cut(text, ":")
		g := grant{Room: room}
		if limited {
			can := []string{}
			for word := range strings.SplitSeq(words, ",") {
				switch word = strings.TrimSpace(word); word {
				case "":
				case "publish", "moderate", "capacity":
					can = append(can, word)
				default:
					return nil, usagef("--room: a user may publish, moderate or capacity, and not %q", word)
				}
			}
			g.Can = &can
		}
		grants = append(grants, g)
	}
	return grants, nil
}

func (g *grant) permissions() auth.Permissions {
	if g.Can == nil {
		return auth.Permissions{Publish: true}
	}
	var can auth.Permissions
	for _, word := range *g.Can {
		switch word {
		case "publish":
			can.Publish = true
		case "moderate":
			can.Moderate = true
		case "capacity":
			can.SetCapacity = true
		}
	}
	return can
}

// properties reads what flags say as name=JSON; what is no JSON is text.
func properties(texts []string) (map[string]json.RawMessage, error) {
	if len(texts) == 0 {
		return nil, nil
	}
	values := make(map[string]json.RawMessage, len(texts))
	for _, text := range texts {
		name, value, ok := strings.Cut(text, "=")
		if !ok || name == "" {
			return nil, usagef("%q is not of the form name=value", text)
		}
		values[name] = asJSON(value)
	}
	return values, nil
}

// asJSON takes a text for JSON if it is, and else for a string.
func asJSON(text string) json.RawMessage {
	if json.Valid([]byte(text)) {
		return json.RawMessage(text)
	}
	quoted, err := json.Marshal(text)
	must(err) // every string can be
	return quoted
}
