package chart

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"
)

const manifestsHead = "# Made of helm/signalbox by make manifests. To change it, change manifests-values.yaml, or add a patch to the kustomization.\n"

// manifests are the chart's objects without Helm, by the names of their files.
func manifests(tb testing.TB) map[string]string {
	tb.Helper()
	text, err := os.ReadFile("manifests-values.yaml")
	require.NoError(tb, err)
	files := mustRender(tb, release{name: "signalbox", namespace: "signalbox", values: values(tb, string(text))})
	made := make(map[string]string)
	for _, template := range sorted(files) {
		if strings.HasSuffix(template, ".txt") || strings.HasPrefix(template, "_") || strings.HasPrefix(template, "tests/") {
			continue
		}
		for _, document := range documents(files[template]) {
			o, err := decodeOne(document)
			require.NoError(tb, err)
			kind := strings.ToLower(o.kind[strings.LastIndex(o.kind, "/")+1:])
			name := filepath.Join("base", strings.Trim(kind+"-"+strings.TrimPrefix(o.typed.GetName(), "signalbox"), "-")+".yaml")
			name = strings.ReplaceAll(name, "--", "-")
			if template == "devredis.yaml" {
				name = filepath.Join("redis", kind+".yaml")
			}
			made[name] = manifestsHead + withoutHelm(document)
		}
	}
	return made
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
	for _, sub := range []string{"base", "redis"} {
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
	for _, sub := range []string{".", "base", "redis"} {
		text, err := os.ReadFile(filepath.Join(dir, sub, "kustomization.yaml"))
		require.NoError(t, err)
		var k struct {
			APIVersion string   `json:"apiVersion"`
			Kind       string   `json:"kind"`
			Namespace  string   `json:"namespace"`
			Resources  []string `json:"resources"`
			Images     []any    `json:"images"`
		}
		require.NoError(t, yaml.UnmarshalStrict(text, &k))
		require.Equal(t, "kustomize.config.k8s.io/v1beta1/Kustomization", k.APIVersion+"/"+k.Kind)
		found, err := os.ReadDir(filepath.Join(dir, sub))
		require.NoError(t, err)
		var beside []string
		for _, e := range found {
			if name := e.Name(); name != "kustomization.yaml" && name != "README.md" {
				beside = append(beside, name)
			}
		}
		require.Equal(t, beside, slices.Sorted(slices.Values(k.Resources)), sub)
	}
}

// The plain manifests hold to the same policies as the chart.
func TestManifestsHoldToThePolicies(t *testing.T) {
	r := &rendered{namespace: "signalbox", given: map[string][]string{}}
	files := manifests(t)
	for _, name := range sorted(files) {
		o, err := decodeOne(files[name])
		require.NoError(t, err)
		r.objects = append(r.objects, o)
	}
	for check, find := range policies {
		for _, finding := range find(r) {
			if !strings.Contains(finding, "has no label helm.sh/chart") {
				t.Errorf("%s: %s", check, finding)
			}
		}
	}
}
