package chart

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"github.com/stretchr/testify/require"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/chart/v2/util"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"sigs.k8s.io/yaml"
)

const (
	someRules = `groups:
  - name: signalbox-test
    interval: 30s
    rules:
      - record: signalbox:sessions:sum
        expr: sum(signalbox_sessions)
      - alert: SignalboxTest
        expr: signalbox:sessions:sum > 0
        for: 5m
        labels: {severity: critical}
        annotations:
          summary: "{{ $labels.pod }} has {{ $value | humanize }}"
`
	someDashboard = `{"uid":"signalbox-test","title":"Test","templating":{"list":[{"name":"pod","query":"label_values({{pod}})"}]}}` + "\n"
)

// copied is a chart with a file of rules and one of dashboards beside what there is.
var copied = sync.OnceValues(func() (string, error) {
	dir := filepath.Join(folder, "chart", "signalbox")
	if err := os.CopyFS(dir, os.DirFS(chartDir)); err != nil && !os.IsExist(err) {
		return "", err
	}
	for name, text := range map[string]string{"rules/zz-test.yaml": someRules, "dashboards/zz-test.json": someDashboard} {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return "", err
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return "", err
		}
	}
	return dir, nil
})

func chartWithFiles(tb testing.TB) string {
	tb.Helper()
	dir, err := copied()
	require.NoError(tb, err)
	return dir
}

func TestChartIsWhatItSays(t *testing.T) {
	loaded, err := loader.LoadDir(chartDir)
	require.NoError(t, err)
	require.NoError(t, loaded.Validate())
	require.True(t, util.IsCompatibleRange(loaded.Metadata.KubeVersion, "v1.29.0-gke.100"))
	require.False(t, util.IsCompatibleRange(loaded.Metadata.KubeVersion, "v1.28.9"))
	for _, version := range kubeVersions {
		require.True(t, util.IsCompatibleRange(loaded.Metadata.KubeVersion, version))
	}
	// Artifact Hub shows these to its users, and scans them.
	var images []struct{ Name, Image string }
	require.NoError(t, yaml.UnmarshalStrict([]byte(loaded.Metadata.Annotations["artifacthub.io/images"]), &images))
	var listed []string
	for _, image := range images {
		listed = append(listed, image.Image)
	}
	var used []string
	(&rendered{objects: decoded(t, release{values: values(t, "devRedis: {enabled: true}\n"+someRelay)})}).containers(func(_ *object, c *core.Container) {
		used = append(used, c.Image)
	})
	slices.Sort(used)
	slices.Sort(listed)
	require.Equal(t, slices.Compact(used), listed)
	for _, name := range []string{"artifacthub.io/changes", "artifacthub.io/links"} {
		var list []map[string]string
		require.NoError(t, yaml.UnmarshalStrict([]byte(loaded.Metadata.Annotations[name]), &list), name)
		require.NotEmpty(t, list)
	}
}

// No template asks for anything that is another at each call, or that only a cluster knows.
func TestTemplatesAreOfTheValuesAlone(t *testing.T) {
	by := regexp.MustCompile(`\b(rand\w*|gen\w*(Cert|Key|CA)\w*|genPrivateKey|now|uuidv4|htpasswd|bcrypt|lookup|getHostByName|derivePassword|encryptAES)\b`)
	require.Regexp(t, by, "{{ randAlphaNum 10 }}", "the check itself")
	action := regexp.MustCompile(`(?s)\{\{.*?\}\}`)
	require.NoError(t, filepath.WalkDir(filepath.Join(chartDir, "templates"), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		for _, found := range action.FindAllString(string(text), -1) {
			if !strings.HasPrefix(found, "{{/*") && !strings.HasPrefix(found, "{{- /*") {
				require.NotRegexp(t, by, found, path)
			}
		}
		return err
	}))
}

// What the schema and the templates refuse, each with words that lead to the mistake.
func TestRefuses(t *testing.T) {
	both(t, func(t *testing.T, helm int) {
		for name, tc := range map[string]struct{ values, want string }{
			"no Redis":                               {"redis: {addresses: []}", "Signalbox needs a Redis"},
			"a misspelt value":                       {"replicas: 3", "replicas"},
			"a misspelt value inside":                {"drain: {windowSecs: 3}", "windowSecs"},
			"a text for a number":                    {"replicaCount: three", "replicaCount"},
			"a number for a text":                    {"image: {tag: 1.5}", "tag"},
			"no gateway":                             {"replicaCount: 0", "replicaCount"},
			"a tag that moves":                       {"image: {tag: latest}", "tag"},
			"a tag in the repository":                {"image: {repository: 'ghcr.io/x/gateway:1'}", "repository"},
			"a digest that is none":                  {"image: {digest: sha256:12}", "digest"},
			"a pull policy that is none":             {"image: {pullPolicy: Sometimes}", "pullPolicy"},
			"a mode of Redis that is none":           {"redis: {mode: standalone}", "mode"},
			"an address without a port":              {"redis: {addresses: [redis]}", "addresses"},
			"an address with a scheme":               {"redis: {addresses: ['redis://redis:6379']}", "addresses"},
			"two addresses of one server":            {"redis: {addresses: ['a:6379', 'b:6379']}", "addresses"},
			"a database of a cluster":                {"redis: {mode: cluster, database: 1}", "database"},
			"a password":                             {"redis: {password: hush}", "password"},
			"Sentinels without a name":               {"redis: {mode: sentinel}", "redis.masterName"},
			"a name without Sentinels":               {"redis: {masterName: x}", "redis.mode sentinel"},
			"an address beside one in a Secret":      {"redis: {existingSecret: x, existingSecretKeys: {url: url}}", "excludes"},
			"a Redis beside the one for trying out":  {"devRedis: {enabled: true}", "devRedis"},
			"TLS that is set up and off":             {"redis: {tls: {caSecret: x}}", "in the clear"},
			"a misspelt key of the configuration":    {"config: {rooms: {capasity: 3}}", "capasity"},
			"a capacity out of range":                {"config: {rooms: {capacity: 0}}", "capacity"},
			"a duration without a unit":              {"config: {session: {heartbeat: 25}}", "heartbeat"},
			"a duration that is none":                {"config: {session: {heartbeat: soon}}", "heartbeat"},
			"a level of the log that is none":        {"config: {log: {level: loud}}", "level"},
			"a password in the configuration":        {"config: {redis: {password: hush}}", "password"},
			"an address in the configuration":        {"config: {redis: {addresses: ['x:1']}}", "addresses"},
			"the cluster's key in the configuration": {"config: {cluster: {key: hush}}", "key"},
			"an app's secret in the configuration":   {"config: {apps: [{id: a, keys: [{id: k, algorithm: HS256, secret: hush}]}]}", "secret"},
			"a TURN password in the configuration":   {"config: {ice_servers: [{urls: ['turn:x'], username: u, credential: hush}]}", "credential"},
			"a TURN secret in the configuration":     {"config: {ice_servers: [{urls: ['turn:x'], secret: hush}]}", "secret"},
			"relays' secrets in the configuration":   {"config: {ice: {relays: {enabled: true, secrets: [hush]}}}", "secrets"},
			"an app's TURN secret in its settings":   {"config: {apps: [{id: a, ice: {servers: [{urls: ['turn:x'], secret: hush}]}}]}", "secret"},
			"the drain in the configuration":         {"config: {shutdown: {window: 5s}}", "window"},
			"a port in the configuration":            {"config: {listen: {public: ':80'}}", "public"},
			"a grace period that is too short":       {"terminationGracePeriodSeconds: 60", "takes up to 86 seconds"},
			"no time to close":                       {"drain: {closeSeconds: 0}", "closeSeconds"},
			"a drain below nothing":                  {"drain: {graceSeconds: -1}", "graceSeconds"},
			"both autoscalers":                       {"autoscaling: {enabled: true}\nkeda: {enabled: true}", "exclude each other"},
			"both monitors":                          {"podMonitor: {enabled: true}\nserviceMonitor: {enabled: true}", "counted twice"},
			"least above greatest":                   {"autoscaling: {enabled: true, minReplicas: 11}", "more than"},
			"scaling to nothing":                     {"keda: {enabled: true, minReplicas: 0}", "minReplicas"},
			"no metric":                              {"autoscaling: {enabled: true, cpu: {targetUtilization: 0}}", "needs a metric"},
			"a share of no request":                  {"autoscaling: {enabled: true}\nresources: {requests: {cpu: null}}", "resources.requests.cpu"},
			"a budget of none":                       {"podDisruptionBudget: {maxUnavailable: 0}", "maxUnavailable"},
			"a budget in words":                      {"podDisruptionBudget: {maxUnavailable: one}", "maxUnavailable"},
			"a route without a Gateway":              {"httpRoute: {enabled: true}", "parentRefs"},
			"an Ingress without a host":              {"ingress: {enabled: true}", "ingress.hosts"},
			"a path that is none":                    {"ingress: {enabled: true, hosts: [{host: a, paths: [{path: x}]}]}", "path"},
			"a type of Service that is none":         {"service: {type: ExternalName}", "type"},
			"a port out of range":                    {"service: {port: 70000}", "port"},
			"a name that is none":                    {"fullnameOverride: Calls_1", "fullnameOverride"},
			"a name that is too long":                {"fullnameOverride: " + strings.Repeat("a", 51), "fullnameOverride"},
			"a Secret's name that is none":           {"configSecret: {name: 'a b'}", "name"},
			"an annotation that is no text":          {"podAnnotations: {a: 1}", "podAnnotations"},
			"a variable without a name":              {"extraEnv: [{value: x}]", "extraEnv"},
			"a limit of memory in thousandths":       {"resources: {limits: {memory: 128m}}", "GOMEMLIMIT"},
			"a probe's misspelt key":                 {"probes: {liveness: {period: 3}}", "period"},
			"a server API without a key":             {"api: {enabled: true}", "api.keys.existingSecret"},
			"a server API that nobody reaches":       {"api: {enabled: true, keys: {existingSecret: x}}\nnetworkPolicy: {enabled: true}", "networkPolicy.apiFrom"},
			"an authority of clients without TLS":    {"api: {enabled: true, keys: {existingSecret: x}, tls: {clientCaSecret: ca}}", "api.tls.existingSecret"},
			"a way to no server API":                 {"api: {ingress: {enabled: true, hosts: [{host: a}]}}", "needs api.enabled"},
			"a way to the API without a host":        {"api: {enabled: true, keys: {existingSecret: x}, ingress: {enabled: true}}", "api.ingress.hosts"},
			"the server API on ports of the nodes":   {"api: {service: {type: NodePort}}", "type"},
			"the API's address in the configuration": {"config: {api: {address: ':9000'}}", "address"},
			"a key of the API in the configuration":  {"config: {api: {keys: [{id: a, can: read, secret: hush}]}}", "secret"},
			"a monitor's interval that is none":      {"podMonitor: {interval: often}", "interval"},
		} {
			t.Run(name, func(t *testing.T) {
				v := least(t, tc.values)
				_, err := render(release{values: v, helm: helm})
				require.Error(t, err)
				require.Contains(t, err.Error(), tc.want)
				require.NotContains(t, err.Error(), "hush")
			})
		}
	})
}

// The grace period and the gateway's own end are made of the same numbers.
func TestDrainNumbers(t *testing.T) {
	for _, tc := range []struct {
		kube, values  string
		grace, sleep  int64
		delay, within string
	}{
		{"v1.33.0", "", 86, 5, "1s", "76s"},
		{"v1.30.0", "", 86, 5, "1s", "76s"},
		{"v1.29.0", "", 86, 0, "6s", "81s"}, // without native sleep
		{"v1.33.0", "drain: {endpointDelaySeconds: 0}", 81, 0, "1s", "76s"},
		{"v1.33.0", "drain: {endpointDelaySeconds: 20, windowSeconds: 0, graceSeconds: 0, closeSeconds: 2}", 28, 20, "1s", "3s"},
		{"v1.33.0", "terminationGracePeriodSeconds: 86", 86, 5, "1s", "76s"},
		{"v1.33.0", "terminationGracePeriodSeconds: 300", 300, 5, "1s", "76s"},
	} {
		r := &rendered{objects: decoded(t, release{values: least(t, tc.values), kube: tc.kube})}
		spec := deployment(r.objects, "gateway").Spec.Template.Spec
		require.Equal(t, tc.grace, *spec.TerminationGracePeriodSeconds, tc)
		var sleep int64
		if life := spec.Containers[0].Lifecycle; life != nil {
			sleep = life.PreStop.Sleep.Seconds
		}
		require.Equal(t, tc.sleep, sleep, tc)
		s := shutdownOf(r)
		require.Equal(t, tc.delay, s.delay.String(), tc)
		within, err := time.ParseDuration(tc.within)
		require.NoError(t, err)
		require.Equal(t, within, s.timeout, tc)
		require.Empty(t, drainFindings(r), tc)
	}
}

func TestMemoryLimit(t *testing.T) {
	for limit, want := range map[string]string{
		"'1Gi'": "966367641", "'512Mi'": "483183820", "'1.5Gi'": "1449551462", "1000000000": "900000000", "2G": "1800000000", "700M": "630000000",
	} {
		c := gatewayContainer(decoded(t, release{values: least(t, "resources: {limits: {memory: "+limit+"}}")}))
		require.Equal(t, want, envValue(c, "GOMEMLIMIT"), limit)
		least := resource.MustParse(want)
		require.Negative(t, least.Cmp(*c.Resources.Limits.Memory()))
	}
	c := gatewayContainer(decoded(t, release{values: least(t, "resources: {limits: null}")}))
	require.Empty(t, envValue(c, "GOMEMLIMIT"), "there is no limit")
	c = gatewayContainer(decoded(t, release{values: least(t, "extraEnv: [{name: GOMEMLIMIT, value: 100MiB}]")}))
	require.Equal(t, "100MiB", envValue(c, "GOMEMLIMIT"), "the user's goes before")
}

func envValue(c *core.Container, name string) string {
	for _, env := range c.Env {
		if env.Name == name {
			return env.Value
		}
	}
	return ""
}

// Names that YAML would take for numbers stay texts.
func TestNumbersAsNames(t *testing.T) {
	v := least(t, `
redis: {existingSecret: "11", existingSecretKeys: {password: "12"}, tls: {enabled: true, caSecret: "13", caSecretKey: "14", clientSecret: "15"}}
configSecret: {name: "16", key: "17"}
clusterKey: {existingSecret: "18", key: "19"}
tls: {existingSecret: "20"}
serviceAccount: {name: "21"}
priorityClassName: "22"
tests: {tokenSecret: "23"}
fullnameOverride: calls
`)
	objects := decoded(t, release{name: "1", namespace: "2", values: v})
	require.Equal(t, "1", deployment(objects, "gateway").Labels["app.kubernetes.io/instance"])
	r := &rendered{objects: objects, namespace: "2", given: map[string][]string{
		"11": {"12"}, "13": {"14"}, "15": nil, "16": {"17"}, "18": {"19"}, "20": nil, "23": nil}}
	require.Empty(t, referenceFindings(r))
	require.Empty(t, selectorFindings(r))
	delete(v, "fullnameOverride")
	_, err := render(release{name: "1", values: v})
	require.ErrorContains(t, err, "begins with a letter")
}

// A changed configuration is rolled out, and nothing else is by the checksum.
func TestChecksum(t *testing.T) {
	sum := func(text string) string {
		return deployment(decoded(t, release{values: least(t, text)}), "gateway").Spec.Template.Annotations["checksum/config"]
	}
	require.Len(t, sum(""), 64)
	require.Equal(t, sum(""), sum("replicaCount: 5"))
	require.NotEqual(t, sum(""), sum("config: {rooms: {capacity: 3}}"))
	require.NotEqual(t, sum(""), sum("drain: {windowSeconds: 30}"))
}

func TestRules(t *testing.T) {
	rules := func(text string) *monitoring.PrometheusRule {
		return get[*monitoring.PrometheusRule](decoded(t, release{chart: chartWithFiles(t), values: least(t, text)}), nil)
	}
	test := func(r *monitoring.PrometheusRule) *monitoring.RuleGroup {
		if r == nil {
			return nil // no rule at all is left
		}
		for i := range r.Spec.Groups {
			if r.Spec.Groups[i].Name == "signalbox-test" {
				return &r.Spec.Groups[i]
			}
		}
		return nil
	}
	require.Nil(t, rules(""))
	require.Equal(t, "prometheus", rules("prometheusRule: {enabled: true, labels: {release: prometheus}}").Labels["release"])
	group := test(rules("prometheusRule: {enabled: true}"))
	require.Len(t, group.Rules, 2)
	alert := group.Rules[1]
	require.Equal(t, "{{ $labels.pod }} has {{ $value | humanize }}", alert.Annotations["summary"], "no template of Helm's")
	require.Equal(t, map[string]string{"severity": "critical"}, alert.Labels)
	require.Nil(t, group.Rules[0].Labels)

	group = test(rules("prometheusRule: {enabled: true, alertLabels: {team: calls}, overrides: {SignalboxTest: {for: 10m, severity: warning}}}"))
	require.Equal(t, map[string]string{"severity": "warning", "team": "calls"}, group.Rules[1].Labels)
	require.EqualValues(t, "10m", *group.Rules[1].For)

	group = test(rules("prometheusRule: {enabled: true, runbookUrl: 'https://wiki.example.org/calls/'}"))
	require.Equal(t, map[string]string{
		"summary": alert.Annotations["summary"], "runbook_url": "https://wiki.example.org/calls/SignalboxTest.md",
	}, group.Rules[1].Annotations)

	group = test(rules("prometheusRule: {enabled: true, disabled: [SignalboxTest]}"))
	require.Len(t, group.Rules, 1)
	require.Nil(t, test(rules("prometheusRule: {enabled: true, disabled: [SignalboxTest, 'signalbox:sessions:sum']}")), "an empty group")
}

func TestDashboards(t *testing.T) {
	dashboards := func(text string) *core.ConfigMap {
		return get(decoded(t, release{chart: chartWithFiles(t), values: least(t, text)}), func(m *core.ConfigMap) bool {
			return strings.HasSuffix(m.Name, "-dashboards")
		})
	}
	require.Nil(t, dashboards(""))
	m := dashboards("dashboards: {enabled: true}")
	require.Equal(t, "1", m.Labels["grafana_dashboard"])
	require.Equal(t, "Signalbox", m.Annotations["grafana_folder"])
	require.Equal(t, someDashboard, m.Data["zz-test.json"], "byte for byte")
	size := 0
	for _, text := range m.Data {
		size += len(text)
	}
	require.Less(t, size, core.MaxSecretSize, "what an object can hold")
}

func TestRedisPorts(t *testing.T) {
	for text, want := range map[string][]string{
		"redis: {addresses: ['redis:7000']}":                                                       {"7000"},
		"redis: {mode: cluster, addresses: ['a:7000', 'b:7000', 'c:7001']}":                        {"7000", "7001"},
		"redis: {mode: sentinel, masterName: m, addresses: ['a:26379']}":                           {"26379", "6379"},
		"redis: {addresses: [], existingSecret: s, existingSecretKeys: {url: u}}":                  {"6379"},
		"redis: {addresses: ['redis:7000']}\nnetworkPolicy: {egress: {redisPorts: [6379, 16379]}}": {"6379", "16379"},
	} {
		np := get[*networking.NetworkPolicy](decoded(t, release{values: loader.MergeMaps(values(t, "networkPolicy: {enabled: true}"), values(t, text))}), nil)
		var got []string
		for _, port := range np.Spec.Egress[2].Ports {
			got = append(got, port.Port.String())
		}
		require.Equal(t, want, got, text)
	}
}

// Spans are let out to their receiver, wherever the configuration has it.
func TestTracingPortIsLetOut(t *testing.T) {
	for endpoint, want := range map[string]string{
		"": "", "http://collector:4318": "4318", "http://collector": "80", "https://collector.example.com/otlp": "443", "http://[fd00::1]:4318/v1/traces": "4318",
	} {
		np := get[*networking.NetworkPolicy](decoded(t, release{values: least(t, "networkPolicy: {enabled: true, egress: {webhooks: {enabled: false}}}\nconfig: {tracing: {endpoint: '"+endpoint+"'}}")}), nil)
		var ports []string
		for _, rule := range np.Spec.Egress[3:] {
			for _, port := range rule.Ports {
				ports = append(ports, port.Port.String())
			}
		}
		if want == "" {
			require.Empty(t, ports, endpoint)
		} else {
			require.Equal(t, []string{want}, ports, endpoint)
		}
	}
}

// The notes tell commands that fit the release.
func TestNotes(t *testing.T) {
	for _, tc := range []struct {
		values string
		want   []string
		not    []string
	}{
		{"", []string{"kubectl -n signaling rollout status deployment/calls-signalbox", "helm test calls --namespace signaling", "NOBODY CAN CONNECT", "port-forward service/calls-signalbox"}, []string{"FOR TRYING OUT", "ONE GATEWAY", "<no value>"}},
		{"config: {demo: {enabled: true}, pages: {enabled: true}}\nreplicaCount: 1", []string{"FOR TRYING OUT: config.demo", "ONE GATEWAY", "call page"}, []string{"NOBODY"}},
		{"configSecret: {name: x}\ningress: {enabled: true, hosts: [{host: signal.example.com}], tls: [{secretName: t}]}", []string{"wss://signal.example.com/v1/connect"}, []string{"NOBODY", "port-forward service"}},
		{"httpRoute: {enabled: true, parentRefs: [{name: p}], hostnames: [signal.example.org]}", []string{"wss://signal.example.org/v1/connect"}, nil},
		{"service: {type: LoadBalancer, port: 443}\ntls: {existingSecret: t}", []string{"wss://$(kubectl", ":443/v1/connect"}, nil},
		{"tests: {enabled: false}", []string{"/readyz"}, []string{"helm test", "server API"}},
		{"api: {enabled: true, keys: {existingSecret: k}}", []string{"http://calls-signalbox-api.signaling:8081/v1", "port-forward service/calls-signalbox-api", "KEYS IN THE CLEAR"}, nil},
		{"api: {enabled: true, keys: {existingSecret: k}, tls: {existingSecret: t}, service: {port: 443}, ingress: {enabled: true, hosts: [{host: api.example.com}], tls: [{secretName: t}]}}", []string{"https://api.example.com/v1", "https://calls-signalbox-api.signaling:443/v1", "8081:443"}, []string{"IN THE CLEAR"}},
	} {
		notes := mustRender(t, release{values: least(t, tc.values)})["NOTES.txt"]
		t.Logf("%s\n%s", tc.values, notes)
		for _, text := range tc.want {
			require.Contains(t, notes, text, tc.values)
		}
		for _, text := range tc.not {
			require.NotContains(t, notes, text, tc.values)
		}
	}
}
