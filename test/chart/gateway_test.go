package chart

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	core "k8s.io/api/core/v1"

	"github.com/signalbox-rtc/signalbox/internal/redistest"
	"github.com/signalbox-rtc/signalbox/pkg/auth"
	"github.com/signalbox-rtc/signalbox/services/gateway/app"
)

// patience is how long a test waits for what must happen.
const patience = time.Minute

// folder holds the built gateway, and is removed in the end.
var folder string

// binary builds the gateway once.
var binary = sync.OnceValues(func() (string, error) { return build("gateway") })

// build builds a service.
func build(service string) (string, error) {
	path := filepath.Join(folder, service)
	build := exec.Command("go", "build", "-o", path, "./services/"+service)
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	return path, nil
}

func TestMain(m *testing.M) {
	var err error
	if folder, err = os.MkdirTemp("", "signalbox-chart-"); err != nil {
		panic(err)
	}
	code := m.Run()
	_ = os.RemoveAll(folder)
	os.Exit(code)
}

func gatewayCommand(tb testing.TB, env []string, args ...string) *exec.Cmd {
	tb.Helper()
	return command(tb, binary, env, args...)
}

func command(tb testing.TB, binary func() (string, error), env []string, args ...string) *exec.Cmd {
	tb.Helper()
	path, err := binary()
	require.NoError(tb, err)
	cmd := exec.CommandContext(tb.Context(), path, args...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH")}, env...)
	return cmd
}

// walk calls do with every key of the gateway's configuration and its field. Keys in lists have [] in their names.
func walk(t reflect.Type, prefix string, do func(key string, f reflect.StructField)) {
	for i := range t.NumField() {
		f := t.Field(i)
		name := f.Tag.Get("koanf")
		switch {
		case name == "":
		case f.Type.Kind() == reflect.Struct:
			walk(f.Type, prefix+name+".", do)
		case f.Type.Kind() == reflect.Slice && f.Type.Elem().Kind() == reflect.Struct:
			walk(f.Type.Elem(), prefix+name+"[].", do)
		default:
			do(prefix+name, f)
		}
	}
}

// gatewayVariables are all that the gateway knows.
var gatewayVariables = sync.OnceValue(func() map[string]bool { return variablesOf(reflect.TypeFor[app.Config]()) })

func variablesOf(config reflect.Type) map[string]bool {
	known := map[string]bool{"SIGNALBOX_CONFIG": true}
	walk(config, "", func(key string, _ reflect.StructField) {
		if !strings.Contains(key, "[]") {
			known["SIGNALBOX_"+strings.ToUpper(strings.ReplaceAll(key, ".", "_"))] = true
		}
	})
	return known
}

// The list that the policy works with is the gateway's own: it refuses what is not on it.
func TestGatewayVariables(t *testing.T) {
	for name := range gatewayVariables() {
		_, err := app.Load(nil, []string{name + "="}, nil)
		require.NoError(t, err)
	}
	_, err := app.Load(nil, []string{"SIGNALBOX_REDIS_ADRESSES=x:1"}, nil)
	require.ErrorContains(t, err, "SIGNALBOX_REDIS_ADRESSES")
	require.False(t, gatewayVariables()["SIGNALBOX_REDIS_ADRESSES"])
}

const appsFile = `
apps:
  - id: example
    origins: ["https://app.example.com"]
    keys: [{id: one, algorithm: HS256, secret: a-secret-of-more-than-32-bytes-for-a-test}]
`

// secretValues are what the Secrets of the variants hold.
var secretValues = map[string]string{
	"url": "rediss://signalbox:hush@redis.example.com:6380/2", "password": "hush", "redis-password": "hush", "sentinel-password": "hush-too",
	"cluster-key": "0123456789abcdef0123456789abcdef-cluster", "key": "0123456789abcdef0123456789abcdef-cluster",
	"secrets": turnSecrets, "turn.txt": turnSecrets, "signalbox.yaml": appsFile, "apps.yaml": appsFile, "api.yaml": keysFile, "keys.yaml": keysFile,
}

// mounted is a pod's file system below /etc/signalbox, in a folder.
type mounted struct {
	dir string
	env []string
}

// mount makes what a container finds in its files and variables.
func mount(tb testing.TB, objects []*object, spec *core.PodSpec, c *core.Container) *mounted {
	tb.Helper()
	m := &mounted{dir: tb.TempDir()}
	for _, vm := range c.VolumeMounts {
		for _, volume := range spec.Volumes {
			if volume.Name != vm.Name {
				continue
			}
			files := make(map[string]string)
			if volume.ConfigMap != nil {
				files = get(objects, func(o *core.ConfigMap) bool { return o.Name == volume.ConfigMap.Name }).Data
			}
			if volume.Secret != nil {
				for _, item := range volume.Secret.Items {
					files[item.Path] = secretValues[item.Key]
				}
			}
			for name, text := range files {
				path := filepath.Join(m.dir, vm.MountPath, name)
				require.NoError(tb, os.MkdirAll(filepath.Dir(path), 0o700))
				require.NoError(tb, os.WriteFile(path, []byte(text), 0o600))
			}
		}
	}
	for _, env := range c.Env {
		value := m.expanded(m.here(env.Value))
		if from := env.ValueFrom; from != nil && from.SecretKeyRef != nil {
			value = secretValues[from.SecretKeyRef.Key]
			require.NotEmpty(tb, value, from.SecretKeyRef.Key)
		} else if from != nil && from.FieldRef != nil {
			value = fieldValues[from.FieldRef.FieldPath]
			require.NotEmpty(tb, value, from.FieldRef.FieldPath)
		}
		m.env = append(m.env, env.Name+"="+value)
	}
	return m
}

// fieldValues are what pods learn of themselves.
var fieldValues = map[string]string{
	"metadata.name": "pod-0", "spec.nodeName": "node-1", "status.hostIP": "198.51.100.7", "status.hostIPs": "198.51.100.7,2001:db8::7",
}

// expanded puts variables that are there already in place of $(NAME), as the kubelet does.
func (m *mounted) expanded(text string) string {
	for _, entry := range m.env {
		name, value, _ := strings.Cut(entry, "=")
		text = strings.ReplaceAll(text, "$("+name+")", value)
	}
	return text
}

// here moves paths of the pod into the folder.
func (m *mounted) here(text string) string {
	return strings.ReplaceAll(text, "/etc/signalbox/", m.dir+"/etc/signalbox/")
}

// The real gateway takes what every variant renders: file, variables and arguments together.
func TestGatewayLoadsTheConfiguration(t *testing.T) {
	for name, v := range variants(t) {
		for _, kube := range kubeVersions {
			t.Run(name+"/"+kube, func(t *testing.T) {
				objects := decoded(t, release{values: v, kube: kube})
				spec, c := deployment(objects, "gateway").Spec.Template.Spec, gatewayContainer(objects)
				m := mount(t, objects, &spec, c)
				cmd := gatewayCommand(t, m.env, append(c.Args, "--print-config")...)
				var stderr bytes.Buffer
				cmd.Stderr = &stderr
				printed, err := cmd.Output()
				require.NoError(t, err, stderr.String())
				require.NotContains(t, string(printed), "hush")
				require.Contains(t, string(printed), "name: pod-0")
				require.Contains(t, string(printed), `operations: :9090`)

				c2, err := app.Load([]string{"--config", value(m.env, "SIGNALBOX_CONFIG")}, m.env, nil)
				require.NoError(t, err)
				require.Empty(t, warnings(c2), "a variant is an example")
				switch name {
				case "sentinel":
					require.Equal(t, auth.Secret("hush"), c2.Redis.Password)
					require.Equal(t, auth.Secret("hush-too"), c2.Redis.SentinelPassword)
					require.Len(t, c2.Redis.Addresses, 3)
					require.Len(t, c2.Apps, 1)
				case "cluster":
					require.Equal(t, 1<<30, c2.Session.QueueBytes)
					require.Equal(t, "/etc/signalbox/redis-client/tls.key", c2.Redis.TLS.KeyFile)
					require.Equal(t, "/etc/signalbox/tls/tls.crt", c2.TLS.CertFile)
				case "gateway-api":
					require.Equal(t, []string{"redis.example.com:6380"}, c2.Redis.Addresses)
					require.True(t, c2.Redis.TLS.Enabled)
					require.EqualValues(t, 45*time.Second, c2.Apps[0].Policy.Grace)
				case "everything":
					require.Equal(t, 16, c2.Redis.PoolSize)
					require.Equal(t, 3, c2.Redis.Database)
					require.Equal(t, 12, c2.Rooms.Capacity)
					require.Equal(t, 2*time.Minute, c2.Shutdown.Window)
					require.Len(t, c2.API.Keys, 2)
					require.True(t, c2.API.TLS.Enabled())
				case "relay":
					require.True(t, c2.ICE.Relays.Enabled)
					require.Equal(t, []auth.Secret{"the-first-secret-of-the-relays", "the-one-before-it"}, c2.ICE.Relays.Secrets)
					require.Equal(t, 30*time.Minute, c2.ICE.TTL)
				case "server-api":
					require.Equal(t, ":8081", c2.API.Address)
					require.Equal(t, "/etc/signalbox/api-client-ca/ca.crt", c2.API.TLS.ClientCAFile)
					require.Equal(t, []string{"10.30.0.0/16"}, c2.Webhooks.AllowNetworks)
					require.Equal(t, 200, c2.Quotas.PerIP.Connections)
					require.Equal(t, "operator", c2.API.Keys[0].ID)
				}
			})
		}
	}
}

// The test above would see a key that the gateway does not know, one that it does not take from a variable, and a file that is
// not mounted.
func TestGatewayRefusesWhatItDoesNotKnow(t *testing.T) {
	for name, tc := range map[string]struct {
		breakIt func(*core.ConfigMap, *core.Container)
		want    string
	}{
		"a key":   {func(m *core.ConfigMap, _ *core.Container) { m.Data["signalbox.yaml"] += "rooms: {capasity: 3}\n" }, "rooms.capasity"},
		"a value": {func(m *core.ConfigMap, _ *core.Container) { m.Data["signalbox.yaml"] += "rooms: {capacity: 3.0e+00}\n" }, "rooms.capacity"},
		"a variable": {func(_ *core.ConfigMap, c *core.Container) {
			c.Env = append(c.Env, core.EnvVar{Name: "SIGNALBOX_APPS", Value: "x"})
		}, "in the file"},
		"a file": {func(_ *core.ConfigMap, c *core.Container) { c.VolumeMounts = c.VolumeMounts[1:] }, "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			objects := decoded(t, release{values: variants(t)["sentinel"]})
			spec, c := deployment(objects, "gateway").Spec.Template.Spec, gatewayContainer(objects)
			tc.breakIt(get(objects, func(m *core.ConfigMap) bool { return m.Data["signalbox.yaml"] != "" }), c)
			m := mount(t, objects, &spec, c)
			out, err := gatewayCommand(t, m.env, append(c.Args, "--print-config")...).CombinedOutput()
			require.Error(t, err)
			require.Contains(t, string(out), tc.want)
		})
	}
}

func value(env []string, name string) string {
	for _, entry := range env {
		if key, value, _ := strings.Cut(entry, "="); key == name {
			return value
		}
	}
	return ""
}

// warnings of a configuration, but for that about profiles, which one variant has on.
func warnings(c *app.Config) (found []string) {
	for _, w := range c.Warnings() {
		if !strings.Contains(w, "pprof") {
			found = append(found, w)
		}
	}
	return found
}

// A gateway of the chart, but for its addresses, starts, answers each path that something looks at, and passes `helm test`.
func TestGatewayRuns(t *testing.T) {
	redis := redistest.Single(t)
	objects := decoded(t, release{values: variants(t)["single-redis"]})
	spec, c := deployment(objects, "gateway").Spec.Template.Spec, gatewayContainer(objects)
	m := mount(t, objects, &spec, c)
	at := start(t, m, "--redis.addresses="+strings.TrimPrefix(redis.URL(), "redis://"), "--listen.public=127.0.0.1:0",
		"--listen.operations=127.0.0.1:0", "--listen.cluster=127.0.0.1:0", "--shutdown.window=0s", "--shutdown.grace=0s", "--shutdown.delay=0s")

	paths := map[string]bool{}
	for _, probe := range []*core.Probe{c.StartupProbe, c.LivenessProbe, c.ReadinessProbe} {
		paths[probe.HTTPGet.Path] = true
	}
	for _, path := range operationsPaths {
		paths[path] = true
	}
	for path := range paths {
		require.Equal(t, http.StatusOK, status(t, "http://"+at.Operations+path), path)
	}
	require.Equal(t, http.StatusNotFound, status(t, "http://"+at.Operations+"/healthz"), "the check itself")

	pod := get[*core.Pod](objects, nil)
	test := mount(t, objects, &pod.Spec, &pod.Spec.Containers[0])
	var args []string
	for _, arg := range pod.Spec.Containers[0].Args {
		if strings.HasPrefix(arg, "--url=") {
			require.Equal(t, "--url=http://"+get(objects, isPublic).Name+":8080", arg)
			arg = "--url=http://" + at.Public
		}
		args = append(args, test.here(arg))
	}
	out, err := gatewayCommand(t, test.env, args...).CombinedOutput()
	require.NoError(t, err, string(out))
	require.Contains(t, string(out), "all works")
	t.Logf("helm test says:\n%s", out)
}

func isPublic(s *core.Service) bool { return s.Labels["app.kubernetes.io/component"] == "gateway" }

// addresses are where a gateway says that it is served.
type addresses struct{ Public, Operations, API string }

// start runs the gateway until the test ends, and gives its addresses.
func start(t *testing.T, m *mounted, args ...string) addresses {
	t.Helper()
	cmd := gatewayCommand(t, m.env, args...)
	cmd.Cancel = func() error { return nil } // it is told to end below, as the kubelet does
	stderr, err := cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	ready := make(chan addresses, 1)
	var ended sync.WaitGroup
	ended.Go(func() {
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			var line struct {
				Msg string
				addresses
			}
			if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "gateway is ready" {
				ready <- line.addresses
			}
		}
	})
	t.Cleanup(func() {
		require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
		ended.Wait()
		_ = cmd.Wait() // with the test's context, which has ended
		require.Zero(t, cmd.ProcessState.ExitCode(), "it ends in order")
	})
	select {
	case at := <-ready:
		return at
	case <-time.After(patience):
		require.FailNow(t, "the gateway is not ready")
		return addresses{}
	}
}

func status(t *testing.T, url string) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	return response.StatusCode
}
