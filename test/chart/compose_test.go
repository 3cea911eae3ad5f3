package chart

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/services/gateway/app"
	relay "github.com/signalbox-rtc/signalbox/services/relay/app"
)

const composeFolder = "../../deploy/compose"

// loadCompose reads the Compose file as Docker does: with its profiles, and with what is in the environment alone.
func loadCompose(t *testing.T, env ...string) (*types.Project, error) {
	t.Helper()
	options, err := cli.NewProjectOptions([]string{filepath.Join(composeFolder, "compose.yaml")}, cli.WithEnv(env), cli.WithProfiles([]string{"*"}))
	require.NoError(t, err)
	return options.LoadProject(t.Context())
}

func environment(service types.ServiceConfig) (env []string) {
	for key, value := range service.Environment {
		env = append(env, key+"="+*value)
	}
	slices.Sort(env)
	return env
}

const turnSecret = "TURN_SECRET=0123456789abcdef0123456789abcdef"

// What the file gives to each program is a configuration that the program takes, and says the same as the ports beside it.
func TestComposeIsTakenByThePrograms(t *testing.T) {
	project, err := loadCompose(t, turnSecret)
	require.NoError(t, err)
	require.ElementsMatch(t, []string{"redis", "gateway-1", "gateway-2", "proxy", "relay"}, project.ServiceNames())
	redis := project.Services["redis"]
	for _, name := range []string{"gateway-1", "gateway-2"} {
		service := project.Services[name]
		c, err := app.Load(nil, environment(service), nil)
		require.NoError(t, err)
		require.Equal(t, name, c.Node.Name)
		require.Equal(t, []string{fmt.Sprintf("redis:%d", redis.Ports[0].Target)}, c.Redis.Addresses)
		require.Equal(t, fmt.Sprintf(":%d", service.Ports[0].Target), c.Listen.Public)
		require.True(t, c.Demo.Enabled && c.Pages.Enabled && c.ICE.Relays.Enabled)
		require.Contains(t, service.DependsOn, "redis")
	}
	r, err := relay.Load(nil, environment(project.Services["relay"]), nil)
	require.NoError(t, err)
	require.True(t, r.Announce.Enabled)
	require.Equal(t, []string{fmt.Sprintf("%s:%s", redis.Ports[0].HostIP, redis.Ports[0].Published)}, r.Redis.Addresses)
	require.Equal(t, "host", project.Services["relay"].NetworkMode)
}

// Whoever starts it reaches everything from this machine, and nobody else does.
func TestComposeListensOnThisMachineAlone(t *testing.T) {
	project, err := loadCompose(t, turnSecret)
	require.NoError(t, err)
	published := make(map[string]bool)
	for name, service := range project.Services {
		for _, port := range service.Ports {
			require.Equal(t, "127.0.0.1", port.HostIP, name)
			require.False(t, published[port.Published], "%s: %s is taken", name, port.Published)
			published[port.Published] = true
		}
	}
	require.Len(t, published, 4)
}

// There is no secret in the repository, so that one has to be made.
func TestComposeAsksForASecret(t *testing.T) {
	_, err := loadCompose(t)
	require.ErrorContains(t, err, "TURN_SECRET")
}

func TestComposeBuildsWhatTheDockerfileHas(t *testing.T) {
	project, err := loadCompose(t, turnSecret)
	require.NoError(t, err)
	dockerfile, err := os.ReadFile(filepath.Join(root, "Dockerfile"))
	require.NoError(t, err)
	built := 0
	for name, service := range project.Services {
		if service.Build == nil {
			continue
		}
		built++
		require.Contains(t, string(dockerfile), " AS "+service.Build.Target+"\n", name)
		same, err := filepath.Rel(root, service.Build.Context)
		if filepath.IsAbs(service.Build.Context) {
			absolute, absErr := filepath.Abs(root)
			require.NoError(t, absErr)
			same, err = filepath.Rel(absolute, service.Build.Context)
		}
		require.NoError(t, err)
		require.Equal(t, ".", same, name)
	}
	require.Equal(t, 3, built)
}

// The proxy asks the gateways that there are, at the ports that they have.
func TestComposeProxyKnowsTheGateways(t *testing.T) {
	project, err := loadCompose(t, turnSecret)
	require.NoError(t, err)
	text, err := os.ReadFile(filepath.Join(composeFolder, "Caddyfile"))
	require.NoError(t, err)
	upstreams := regexp.MustCompile(`reverse_proxy (.+) \{`).FindStringSubmatch(string(text))
	require.NotNil(t, upstreams)
	var want []string
	for name, service := range project.Services {
		if strings.HasPrefix(name, "gateway-") {
			c, err := app.Load(nil, environment(service), nil)
			require.NoError(t, err)
			want = append(want, name+c.Listen.Public)
			require.Contains(t, string(text), "health_port "+strings.TrimPrefix(c.Listen.Operations, ":"))
		}
	}
	require.ElementsMatch(t, want, strings.Fields(upstreams[1]))
	require.Contains(t, string(text), fmt.Sprintf("\n:%d {", project.Services["proxy"].Ports[0].Target))
}
