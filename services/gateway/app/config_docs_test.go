package app_test

import (
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/internal/configdoc"
	"github.com/signalbox-rtc/signalbox/services/gateway/app"
)

var update = flag.Bool("update", false, "write the generated files instead of comparing them")

// documentationFile is the reference that is made from the struct.
var documentationFile = filepath.Join("..", "..", "..", "docs", "configuration.md")

const documentationHead = `<!-- Generated from services/gateway/app/config.go: go generate ./services/gateway/app -->

# Configuration of the gateway

Every key has one name. It can be set in four places; the last one that has it wins:

1. its default;
2. a YAML file, named by ` + "`--config FILE`" + ` or ` + "`SIGNALBOX_CONFIG`" + `, or several with commas between, in their order: so secrets can
   have a file of their own;
3. the environment: ` + "`redis.dial_timeout`" + ` is ` + "`SIGNALBOX_REDIS_DIAL_TIMEOUT`" + `;
4. flags: ` + "`--redis.dial_timeout=1s`" + ` or ` + "`--redis.dial_timeout 1s`" + `; for what is true or false the flag alone is enough.

- A duration is a number with its unit: ` + "`500ms`, `1.5s`, `2m`" + `. Sizes are whole numbers of bytes. A time is as RFC 3339 has it:
  ` + "`2030-01-31T12:00:00Z`" + `.
- In a variable or flag, a list is separated by commas or line breaks. Lists of sections (` + "`apps`, `ice_servers`, `api.keys`" + `) go into the file alone.
- An empty variable, and a key of the file with nothing behind it, count as not set.
- Unknown keys, variables that start with ` + "`SIGNALBOX_`" + ` and flags are errors that name the nearest known one; so are
  values of the wrong type or out of range. All errors are told at once, with file and line. The variables that
  Kubernetes makes for Services (` + "`SIGNALBOX_SERVICE_HOST`" + ` and the like) are passed over.
- Give secrets by file or variable: other users of a machine can read the flags of its processes. Secrets are never
  printed or logged.
- ` + "`--print-config`" + ` prints the configuration in effect, with the source of each value, and ends. ` + "`--help`" + ` lists all keys.

## An example

` + "```yaml" + `
listen:
  operations: ":9090"
redis:
  mode: sentinel
  addresses: [sentinel-0:26379, sentinel-1:26379, sentinel-2:26379]
  master_name: signalbox
  # the password comes from SIGNALBOX_REDIS_PASSWORD
apps:
  - id: acme
    keys:
      - id: "2030-01"
        algorithm: HS256
        secret: write-32-or-more-random-bytes-here
    origins: ["https://app.acme.example"]
    policy:
      capacity: 12
      max_capacity: 100
ice_servers:
  - urls: ["stun:stun.acme.example:3478"]
` + "```" + `
`

func TestConfigurationDocs(t *testing.T) {
	got := documentationHead + configdoc.Reference(t, reflect.TypeFor[app.Config](), filepath.Join("..", "..", "..", "pkg", "auth"))
	if *update {
		require.NoError(t, os.WriteFile(documentationFile, []byte(got), 0o644))
		return
	}
	want, err := os.ReadFile(documentationFile)
	require.NoError(t, err)
	require.Equal(t, string(want), got, "docs/configuration.md is out of date: go generate ./services/gateway/app")
}

func TestConfigurationDocsExample(t *testing.T) {
	_, example, _ := strings.Cut(documentationHead, "```yaml\n")
	example, _, _ = strings.Cut(example, "```")
	path := filepath.Join(t.TempDir(), "example.yaml")
	require.NoError(t, os.WriteFile(path, []byte(example), 0o600))
	c, err := app.Load([]string{"--config", path}, nil, nil)
	require.NoError(t, err)
	require.Empty(t, c.Warnings())
	require.Equal(t, "acme", c.Apps[0].ID)
}

func TestSchema(t *testing.T) { configdoc.CheckSchema(t, reflect.TypeFor[app.Config]()) }
