package probe

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/signalbox-rtc/signalbox/pkg/auth"
	"github.com/signalbox-rtc/signalbox/services/gateway/app"
)

// Command is the name of the subcommand.
const Command = "probe"

const usage = `Joins a room with two clients, and relays a message and a signal between them.

Usage: gateway probe --url URL [--token-file FILE | --app ID] [--config FILE]

The clients get in with the token of --token-file or, without one, into an app of the gateways' configuration
(--config FILE, or SIGNALBOX_CONFIG): the demo app, one that lets anonymous clients in, or one with a key of HS256,
with which the probe signs a token that is good for as long as it may take. --app chooses one.

It ends with 0 when all works, with 1 when something does not, and with 2 when it was called wrongly.

`

// Main is the subcommand, from its arguments to its exit code.
func Main(ctx context.Context, args, env []string, out, errOut io.Writer) int {
	flags := flag.NewFlagSet(Command, flag.ContinueOnError)
	flags.SetOutput(errOut)
	flags.Usage = func() {
		_, _ = io.WriteString(flags.Output(), usage) // to a terminal
		flags.PrintDefaults()
	}
	address := flags.String("url", "", "`URL` of the gateways, as in http://signalbox:8080")
	appID := flags.String("app", "", "`id` of the app to get into")
	tokenFile := flags.String("token-file", "", "`file` with a token")
	config := flags.String("config", "", "`file` with the gateways' configuration, or several with commas between")
	room := flags.String("room", "", "`name` of the room (default: one that nobody else has)")
	timeout := flags.Duration("timeout", 30*time.Second, "how long all may take")
	caFile := flags.String("ca-file", "", "`file` with the certificates to trust, in PEM")
	serverName := flags.String("server-name", "", "`name` that the certificate must have (default: the host of the URL)")
	insecure := flags.Bool("insecure", false, "do not look at the certificate: inside a cluster it is that of another name")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	}
	if *address == "" || flags.NArg() > 0 {
		complain(errOut, "--url is needed, and nothing but flags; --help tells more")
		return 2
	}
	o := Options{URL: *address, Room: *room, Out: out}
	var err error
	if o.TLS, err = transport(*caFile, *serverName, *insecure); err == nil {
		err = o.identify(*tokenFile, *appID, *config, env, *timeout)
	}
	if err != nil {
		complain(errOut, err)
		return 2
	}
	ctx, cancel := context.WithTimeout(ctx, *timeout)
	defer cancel()
	began := time.Now()
	if err := Run(ctx, o); err != nil {
		complain(errOut, err)
		return 1
	}
	o.say("all works, in %s", since(began))
	return 0
}

// complain says why it does not go on. The exit code says so too, should nobody read it.
func complain(to io.Writer, why any) { _, _ = fmt.Fprintln(to, "probe:", why) }

// identify chooses as whom the clients come.
func (o *Options) identify(tokenFile, appID, config string, env []string, timeout time.Duration) error {
	if tokenFile != "" {
		text, err := os.ReadFile(tokenFile)
		o.Token = strings.TrimSpace(string(text))
		return err
	}
	if config = cmp.Or(config, variable(env, "SIGNALBOX_CONFIG")); config == "" {
		if o.App = appID; appID == "" {
			return errors.New("one of --token-file, --app and --config is needed")
		}
		return nil
	}
	c, err := app.Load([]string{"--config", config}, env, io.Discard)
	if err != nil {
		return err
	}
	return o.Enter(c, appID, timeout)
}

// Enter has the clients come into an app of a gateway's configuration, or the one that appID names: the demo app, one that lets
// anonymous clients in, or one with a key of HS256, with which a token is signed that is good for timeout and a little more.
func (o *Options) Enter(c *app.Config, appID string, timeout time.Duration) error {
	apps := c.AllApps()
	for i := len(apps) - 1; i >= 0; i-- { // the demo app is the last
		if a := &apps[i]; (appID == "" || a.ID == appID) && !a.Disabled {
			if ok, err := o.enter(a, timeout); ok || err != nil {
				return err
			}
		}
	}
	return errors.New("no app of the configuration lets the probe in: give a token with --token-file")
}

// enter reports whether it can get into an app.
func (o *Options) enter(a *auth.App, timeout time.Duration) (bool, error) {
	if a.Anonymous {
		o.App = a.ID
		return true, nil
	}
	for _, key := range a.Keys {
		if key.Algorithm != auth.HS256 {
			continue // of the others a gateway has the public side alone
		}
		now, lifetime := time.Now(), timeout+time.Minute
		if a.MaxLifetime > 0 {
			lifetime = min(lifetime, time.Duration(a.MaxLifetime))
		}
		claims := auth.Claims{
			App: a.ID, User: "signalbox-probe", IssuedAt: now, Expires: now.Add(lifetime), Issuer: a.Issuer,
			Grants: []auth.Grant{{Room: "*", Can: auth.Permissions{Publish: true}}},
		}
		if a.Audience != "" {
			claims.Audience = []string{a.Audience}
		}
		var err error
		o.Token, err = auth.Sign(auth.SigningKey{ID: key.ID, Algorithm: key.Algorithm, Secret: key.Secret}, claims)
		return err == nil, err
	}
	return false, nil
}

// variable is the value of an environment's variable.
func variable(env []string, name string) string {
	for _, entry := range env {
		if key, value, _ := strings.Cut(entry, "="); key == name {
			return value
		}
	}
	return ""
}
