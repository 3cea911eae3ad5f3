package app

import (
	"fmt"
	"io"
	"os"

	"github.com/signalbox-rtc/signalbox/pkg/config"
)

// ErrAnswered is what Load returns when the arguments ask for text rather than for a gateway: see [config.ErrAnswered].
var ErrAnswered = config.ErrAnswered

// ConfigError is everything that is wrong with a configuration.
type ConfigError = config.Error

// program is what the configuration is of. It is made anew for each call, as it names functions that call it.
func program() *config.Program[Config] {
	return &config.Program[Config]{
		Name: "gateway",
		Usage: `Signalbox gateway: holds the sessions of WebRTC clients and relays their signaling.

Usage: gateway [--config FILE] [--KEY=VALUE ...]
       gateway probe --help
`,
		Derive: derive,
		Check:  check,
	}
}

// Load puts the configuration together from defaults, files, environment and arguments: see [config.Program.Load].
func Load(args, env []string, out io.Writer) (*Config, error) {
	c, from, err := program().Load(args, env, out)
	if err != nil {
		return nil, err
	}
	c.origin = from
	return c, nil
}

// Default returns the configuration of a gateway that is told nothing.
func Default() *Config {
	c, err := Load(nil, nil, io.Discard)
	if err != nil {
		panic(fmt.Sprintf("app: the defaults are not a valid configuration: %v", err))
	}
	return c
}

// Validate holds every value against what its key allows, and the values against each other. Load has
// done this already; a Config that was changed in code needs it. The error is a *ConfigError.
func (c *Config) Validate() error { return program().Validate(c, c.origin) }

// derive sets what follows from other keys or from the machine.
func derive(c *Config, l *config.Loader) {
	if c.Node.Name == "" {
		name, err := os.Hostname()
		if err != nil {
			l.Fail("node.name", "the host's name is unknown, so this must be set: %v", err)
			name = "unknown"
		}
		c.Node.Name = name
		l.Derived("from the host's name", "node.name")
	}
	c.Redis.Derive(l)
}
