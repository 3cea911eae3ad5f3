// Package chart tests the Helm chart without a cluster: what it renders is decoded into the types of the API, held against
// policies, and loaded by the real gateway.
package chart

import (
	"cmp"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	helm3loader "helm.sh/helm/v3/pkg/chart/loader"
	helm3util "helm.sh/helm/v3/pkg/chartutil"
	helm3engine "helm.sh/helm/v3/pkg/engine"
	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
)

var update = flag.Bool("update", false, "write the files that are made from others")

// root is the top folder of the repository, and chartDir that of the chart.
var (
	root     = filepath.Join("..", "..")
	chartDir = filepath.Join(root, "helm", "signalbox")
)

// release is one installation of the chart.
type release struct {
	chart     string // its folder; the real one if empty
	name      string
	namespace string
	kube      string // version of Kubernetes
	helm      int    // 3 or 4
	values    map[string]any
}

func (r release) withDefaults() release {
	r.chart, r.name, r.namespace = cmp.Or(r.chart, chartDir), cmp.Or(r.name, "calls"), cmp.Or(r.namespace, "signaling")
	r.kube, r.helm = cmp.Or(r.kube, kubeVersions[1]), cmp.Or(r.helm, 4)
	return r
}

// kubeVersions are the oldest that the chart takes, one of today, and the newest.
var kubeVersions = []string{"v1.29.0", "v1.33.0", "v1.37.0"}

// render gives what Helm makes of the chart's templates, by the name of the template.
func render(r release) (map[string]string, error) {
	r = r.withDefaults()
	var files map[string]string
	var err error
	if r.helm == 3 {
		files, err = renderHelm3(r)
	} else {
		files, err = renderHelm4(r)
	}
	if err != nil {
		return nil, err
	}
	short := make(map[string]string, len(files))
	for path, text := range files {
		_, name, _ := strings.Cut(path, "/templates/")
		short[name] = text
	}
	return short, nil
}

func renderHelm4(r release) (map[string]string, error) {
	loaded, err := loader.LoadDir(r.chart)
	if err != nil {
		return nil, err
	}
	capabilities := *common.DefaultCapabilities
	version, err := common.ParseKubeVersion(r.kube)
	if err != nil {
		return nil, err
	}
	capabilities.KubeVersion = *version
	options := common.ReleaseOptions{Name: r.name, Namespace: r.namespace, Revision: 1, IsInstall: true}
	values, err := util.ToRenderValues(loaded, r.values, options, &capabilities)
	if err != nil {
		return nil, err
	}
	return engine.Render(loaded, values)
}

func renderHelm3(r release) (map[string]string, error) {
	loaded, err := helm3loader.LoadDir(r.chart)
	if err != nil {
		return nil, err
	}
	capabilities := *helm3util.DefaultCapabilities
	version, err := helm3util.ParseKubeVersion(r.kube)
	if err != nil {
		return nil, err
	}
	capabilities.KubeVersion = *version
	options := helm3util.ReleaseOptions{Name: r.name, Namespace: r.namespace, Revision: 1, IsInstall: true}
	values, err := helm3util.ToRenderValues(loaded, r.values, options, &capabilities)
	if err != nil {
		return nil, err
	}
	return helm3engine.Render(loaded, values)
}

func mustRender(tb testing.TB, r release) map[string]string {
	tb.Helper()
	files, err := render(r)
	require.NoError(tb, err)
	return files
}

// values reads a text as Helm reads a file of values.
func values(tb testing.TB, text string) map[string]any {
	tb.Helper()
	v, err := loader.LoadValues(strings.NewReader(text))
	require.NoError(tb, err)
	return v
}

// variants are the files in ci/, by their names without the end.
func variants(tb testing.TB) map[string]map[string]any {
	tb.Helper()
	paths, err := filepath.Glob(filepath.Join(chartDir, "ci", "*-values.yaml"))
	require.NoError(tb, err)
	require.GreaterOrEqual(tb, len(paths), 5)
	all := make(map[string]map[string]any)
	for _, path := range paths {
		text, err := os.ReadFile(path)
		require.NoError(tb, err)
		all[strings.TrimSuffix(filepath.Base(path), "-values.yaml")] = values(tb, string(text))
	}
	return all
}

// least are the values without which the chart refuses to be rendered.
func least(tb testing.TB, more string) map[string]any {
	return loader.MergeMaps(values(tb, "redis: {addresses: ['redis:6379']}"), values(tb, more))
}

// both makes test run for both versions of Helm.
func both(t *testing.T, test func(t *testing.T, helm int)) {
	for _, helm := range []int{3, 4} {
		t.Run(fmt.Sprintf("Helm%d", helm), func(t *testing.T) { test(t, helm) })
	}
}

// Nothing in a template is by chance, and both versions of Helm, as long as they are used, make the same of it.
func TestRenderedTwiceIsTheSame(t *testing.T) {
	for name, v := range variants(t) {
		t.Run(name, func(t *testing.T) {
			first := mustRender(t, release{values: v})
			require.Equal(t, first, mustRender(t, release{values: v}))
			require.Equal(t, first, mustRender(t, release{values: v, helm: 3}))
		})
	}
}

// The comparison above would see a password that a template makes up.
func TestRandomTemplateIsSeen(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "signalbox")
	require.NoError(t, os.CopyFS(dir, os.DirFS(chartDir)))
	text := "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata: {password: {{ randAlphaNum 20 }}}\n"
	require.NoError(t, os.WriteFile(filepath.Join(dir, "templates", "random.yaml"), []byte(text), 0o600))
	r := release{chart: dir, values: least(t, "")}
	require.NotEqual(t, mustRender(t, r), mustRender(t, r))
}

func TestTemplatesLeaveNoTrace(t *testing.T) {
	for name, v := range variants(t) {
		for path, text := range mustRender(t, release{values: v}) {
			for i, line := range strings.Split(text, "\n") {
				require.NotContains(t, line, "<no value>", "%s: %s:%d", name, path, i+1)
				require.NotContains(t, line, "%!", "%s: %s:%d", name, path, i+1)
				if path != "NOTES.txt" {
					require.Equal(t, strings.TrimRight(line, " "), line, "%s: %s:%d has blanks at its end", name, path, i+1)
				}
			}
		}
	}
}

// Two releases beside each other share no object, and neither selects the other's pods.
func TestTwoReleasesDoNotCollide(t *testing.T) {
	long := strings.Repeat("very-long-release-name-", 3)[:51]
	for name, v := range variants(t) {
		v = maps.Clone(v)
		// Names that the values themselves give are for one release alone.
		delete(v, "serviceAccount")
		for _, pair := range [][2]string{{"one", "two"}, {"signalbox", "signalbox-two"}, {long + "-1", long + "-2"}} {
			t.Run(name+"/"+pair[0], func(t *testing.T) {
				one, two := decoded(t, release{name: pair[0], values: v}), decoded(t, release{name: pair[1], values: v})
				require.Empty(t, collisions(one, two))
			})
		}
	}
	same := decoded(t, release{values: least(t, "")})
	require.NotEmpty(t, collisions(same, same), "the check itself")
	named := least(t, "fullnameOverride: fixed")
	require.NotEmpty(t, collisions(decoded(t, release{name: "one", values: named}), decoded(t, release{name: "two", values: named})))
}

// collisions are objects of the same name, and selectors that find the other release's pods.
func collisions(one, two []*object) []string {
	var found []string
	for _, a := range one {
		for _, b := range two {
			if a.identity() == b.identity() {
				found = append(found, a.identity()+" is of both")
			}
			for _, selector := range a.selectors() {
				if b.pod != nil && selector.Matches(b.podLabels) {
					found = append(found, a.identity()+" selects pods of "+b.identity())
				}
			}
		}
	}
	return found
}

func TestNames(t *testing.T) {
	for _, tc := range []struct{ release, values, want string }{
		{"calls", "", "calls-signalbox"},
		{"signalbox", "", "signalbox"},
		{"my-signalbox", "", "my-signalbox"},
		{"calls", "nameOverride: sb", "calls-sb"},
		{"calls", "fullnameOverride: exact", "exact"},
		{strings.Repeat("r", 53), "", strings.Repeat("r", 41) + "-"},
	} {
		objects := decoded(t, release{name: tc.release, values: least(t, tc.values)})
		name := deployment(objects, "gateway").Name
		require.True(t, strings.HasPrefix(name, tc.want) && len(name) <= 50, "%s: %s", tc.release, name)
		if !strings.HasSuffix(tc.want, "-") {
			require.Equal(t, tc.want, name)
		}
	}
}

// sorted gives a map's keys in order.
func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
