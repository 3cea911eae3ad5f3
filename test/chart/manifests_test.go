package chart

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	core "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

const manifestsHead = "# Made of helm/signalbox by make manifests. To change it, change its values in test/chart, or add a patch to the kustomization.\n"

// manifests are the chart's objects without Helm, by the names of their files.
func manifests(tb testing.TB) map[string]string {
	tb.Helper()
	made := make(map[string]string)
	manifestsOf(tb, made, "manifests-values.yaml", func(template string) string {
		if template == "devredis.yaml" {
			return "redis"
		}
		return "base"
	})
	manifestsOf(tb, made, "manifests-relay-values.yaml", func(template string) string {
		if template == "relay.yaml" {
			return "relay"
		}
		return "" // as above
	})
	return made
}

// manifestsOf adds what is rendered of a file of values, in the folders that in says for templates.
func manifestsOf(tb testing.TB, made map[string]string, valuesFile string, in func(template string) string) {
	tb.Helper()
	text, err := os.ReadFile(valuesFile)
	require.NoError(tb, err)
	files := mustRender(tb, release{name: "signalbox", namespace: "signalbox", values: values(tb, string(text))})
	for _, template := range sorted(files) {
		folder := in(template)
		if folder == "" || strings.HasSuffix(template, ".txt") || strings.HasPrefix(template, "_") || strings.HasPrefix(template, "tests/") {
			continue
		}
		for _, document := range documents(files[template]) {
			o, err := decodeOne(document)
			require.NoError(tb, err)
			kind := strings.ToLower(o.kind[strings.LastIndex(o.kind, "/")+1:])
			short := strings.TrimPrefix(strings.TrimPrefix(o.typed.GetName(), "signalbox"), "-"+folder)
			name := filepath.Join(folder, strings.ReplaceAll(strings.Trim(kind+"-"+short, "-"), "--", "-")+".yaml")
			made[name] = manifestsHead + withoutHelm(document)
		}
	}
}

// withoutHelm leaves out what only Helm gives a meaning.
func withoutHelm(document string) string {
	var b strings.Builder
	for line := range strings.Lines(document) {
		switch {
		case strings.Contains(line, "helm.sh/chart:"):
		case strings.Contains(line, "app.kubernetes.io/managed-by:"):
		default:
			b.WriteString(line)
		}
	}
	return b.String()
}

func TestManifests(t *testing.T) {
	dir := filepath.Join(root, "deploy", "k8s")
	want := manifests(t)
	if *update {
		for _, old := range manifestFiles(t, dir) {
			require.NoError(t, os.Remove(filepath.Join(dir, old)))
		}
	}
	for name, text := range want {
		made(t, filepath.Join(dir, name), text)
	}
	require.Equal(t, sorted(want), manifestFiles(t, dir), "a file of an object that the chart does not make any more")
}

// manifestFiles are those that are made.
func manifestFiles(tb testing.TB, dir string) (found []string) {
	tb.Helper()
	for _, sub := range []string{"base", "redis", "relay"} {
		paths, err := filepath.Glob(filepath.Join(dir, sub, "*.yaml"))
		require.NoError(tb, err)
		for _, path := range paths {
			text, err := os.ReadFile(path)
			require.NoError(tb, err)
			if strings.HasPrefix(string(text), manifestsHead) {
				found = append(found, filepath.Join(sub, filepath.Base(path)))
			}
		}
	}
	slices.Sort(found)
	return found
}

// Each kustomization names every file beside it, and no other.
func TestKustomizations(t *testing.T) {
	dir := filepath.Join(root, "deploy", "k8s")
	for sub, kind := range map[string]string{
		".": "v1beta1/Kustomization", "base": "v1beta1/Kustomization", "redis": "v1beta1/Kustomization", "relay": "v1alpha1/Component",
	} {
		text, err := os.ReadFile(filepath.Join(dir, sub, "kustomization.yaml"))
		require.NoError(t, err)
		var k struct {
			APIVersion string   `json:"apiVersion"`
			Kind       string   `json:"kind"`
			Namespace  string   `json:"namespace"`
			Resources  []string `json:"resources"`
			Images     []any    `json:"images"`
			Patches    []struct {
				Target map[string]string `json:"target"`
				Patch  string            `json:"patch"`
			} `json:"patches"`
		}
		require.NoError(t, yaml.UnmarshalStrict(text, &k))
		require.Equal(t, "kustomize.config.k8s.io/"+kind, k.APIVersion+"/"+k.Kind)
		found, err := os.ReadDir(filepath.Join(dir, sub))
		require.NoError(t, err)
		var beside []string
		for _, e := range found {
			// A component is taken by those who want it.
			if name := e.Name(); name != "kustomization.yaml" && name != "README.md" && name != "relay" {
				beside = append(beside, name)
			}
		}
		require.Equal(t, beside, slices.Sorted(slices.Values(k.Resources)), sub)
	}
}

// The component for relays has gateways do what the chart has them do: its patch adds the variables that the chart sets, or a key of its file.
func TestRelayComponent(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "deploy", "k8s", "relay", "kustomization.yaml"))
	require.NoError(t, err)
	var k struct {
		Patches []struct {
			Target struct{ Kind, Name string }
			Patch  string
		}
	}
	require.NoError(t, yaml.Unmarshal(text, &k))
	require.Len(t, k.Patches, 1)
	var steps []struct {
		Op, Path string
		Value    core.EnvVar
	}
	require.NoError(t, yaml.UnmarshalStrict([]byte(k.Patches[0].Patch), &steps))
	text, err = os.ReadFile("manifests-relay-values.yaml")
	require.NoError(t, err)
	objects := decoded(t, release{name: "signalbox", namespace: "signalbox", values: values(t, string(text))})
	require.Equal(t, "Deployment "+deployment(objects, "gateway").Name, k.Patches[0].Target.Kind+" "+k.Patches[0].Target.Name)
	added := make(map[string]core.EnvVar)
	for _, step := range steps {
		require.Equal(t, "add /spec/template/spec/containers/0/env/-", step.Op+" "+step.Path)
		require.True(t, gatewayVariables()[step.Value.Name], step.Value.Name)
		added[step.Value.Name] = step.Value
	}
	byChart, found := envOf(gatewayContainer(objects), "SIGNALBOX_ICE_RELAYS_SECRETS")
	require.True(t, found)
	require.Equal(t, byChart, added["SIGNALBOX_ICE_RELAYS_SECRETS"])
	require.Equal(t, "true", added["SIGNALBOX_ICE_RELAYS_ENABLED"].Value)
	require.Len(t, added, 2)
}

// The plain manifests hold to the same policies as the chart.
func TestManifestsHoldToThePolicies(t *testing.T) {
	r := &rendered{namespace: "signalbox", given: map[string][]string{"signalbox-turn": {"secrets"}}}
	files := manifests(t)
	for _, name := range sorted(files) {
		o, err := decodeOne(files[name])
		require.NoError(t, err)
		r.objects = append(r.objects, o)
	}
	for check, find := range policies {
		if check == "Relay" {
			continue // a component's gateways are patched: TestRelayComponent
		}
		for _, finding := range find(r) {
			if !strings.Contains(finding, "has no label helm.sh/chart") {
				t.Errorf("%s: %s", check, finding)
			}
		}
	}
}
