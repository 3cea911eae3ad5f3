package chart

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"github.com/stretchr/testify/require"
	autoscaling "k8s.io/api/autoscaling/v2"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/pod-security-admission/api"
	podsecurity "k8s.io/pod-security-admission/policy"
	gateway "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/yaml"
)

// rendered is what a policy judges.
type rendered struct {
	objects []*object
	// given are the Secrets and ConfigMaps with their keys that the user of a variant has made.
	given     map[string][]string
	namespace string
}

// policies each say what is wrong with a rendered chart. The table in policy_bad_test.go shows each one find it.
var policies = map[string]func(*rendered) []string{
	"PodSecurity":      podSecurityFindings,
	"Containers":       containerFindings,
	"ServiceAccounts":  serviceAccountFindings,
	"Probes":           probeFindings,
	"Selectors":        selectorFindings,
	"Ports":            portFindings,
	"Environment":      environmentFindings,
	"SecretReferences": referenceFindings,
	"NoSecrets":        secretFindings,
	"Names":            nameFindings,
	"Scaling":          scalingFindings,
	"Drain":            drainFindings,
	"Network":          networkFindings,
	"ServerAPI":        serverAPIFindings,
	"Egress":           egressFindings,
	"Relay":            relayFindings,
}

// given are what each variant's user has made before: all that its pods ask for, and nothing else.
var given = map[string]map[string][]string{
	"single-redis": {},
	"sentinel": {
		"redis-auth": {"redis-password", "sentinel-password"}, "signalbox-apps": {"signalbox.yaml"}, "signalbox-cluster": {"cluster-key"},
		"signal-tls": {"tls.crt", "tls.key"},
	},
	"cluster": {
		"redis-auth": {"password"}, "redis-ca": {"ca.crt"}, "redis-client": {"tls.crt", "tls.key"},
		"signalbox-apps": {"apps.yaml"}, "signalbox-cluster": {"cluster-key"}, "signal-tls": {"tls.crt", "tls.key"},
	},
	"gateway-api": {"redis-url": {"url"}, "probe-token": {"token"}},
	"server-api": {
		"redis-auth": {"password"}, "signalbox-cluster": {"cluster-key"}, "signalbox-api": {"api.yaml"}, "backends-ca": {"ca.crt"},
		"signalbox-api-tls": {"tls.crt", "tls.key"}, "signalbox-apps": {"signalbox.yaml"},
	},
	"relay": {
		"redis-auth": {"password"}, "signalbox-apps": {"signalbox.yaml"}, "signalbox-cluster": {"cluster-key"},
		"turn": {"secrets"}, "turn-tls": {"tls.crt", "tls.key"},
	},
	"relay-service": {
		"redis-auth": {"password"}, "redis-ca": {"ca.crt"}, "redis-client": {"tls.crt", "tls.key"},
		"signalbox-apps": {"signalbox.yaml"}, "signalbox-cluster": {"cluster-key"}, "turn": {"turn.txt"}, "turn-tls": {"tls.crt", "tls.key"},
	},
	"everything": {
		"registry": {".dockerconfigjson"}, "redis-auth": {"password"}, "redis-ca": {"bundle.pem"}, "signalbox-apps": {"signalbox.yaml"},
		"signalbox-cluster": {"key"}, "signal-tls": {"tls.crt", "tls.key"}, "signalbox-api": {"keys.yaml"},
		"turn": {"secrets"},
	},
}

func variant(tb testing.TB, name, kube string) *rendered {
	tb.Helper()
	r := release{chart: chartWithFiles(tb), values: variants(tb)[name], kube: kube}.withDefaults()
	return &rendered{objects: decoded(tb, r), given: given[name], namespace: r.namespace}
}

func TestPolicies(t *testing.T) {
	require.Equal(t, sorted(variants(t)), sorted(given))
	for name := range given {
		for _, kube := range kubeVersions {
			v := variant(t, name, kube)
			for _, check := range sorted(policies) {
				t.Run(name+"/"+kube+"/"+check, func(t *testing.T) {
					for _, finding := range policies[check](v) {
						t.Error(finding)
					}
				})
			}
		}
	}
}

// findings collects sentences.
type findings []string

func (f *findings) add(format string, args ...any) { *f = append(*f, fmt.Sprintf(format, args...)) }

// pods calls do with every pod that the chart can bring to life, those of hooks and tests too.
func (r *rendered) pods(do func(o *object, spec *core.PodSpec)) {
	for _, o := range r.objects {
		if o.pod != nil {
			do(o, o.pod)
		}
	}
}

// containers calls do with every container of every pod.
func (r *rendered) containers(do func(o *object, c *core.Container)) {
	r.pods(func(o *object, spec *core.PodSpec) {
		for i := range spec.InitContainers {
			do(o, &spec.InitContainers[i])
		}
		for i := range spec.Containers {
			do(o, &spec.Containers[i])
		}
	})
}

// podSecurityFindings asks the evaluator of the API server for the restricted profile.
func podSecurityFindings(r *rendered) (found []string) {
	var f findings
	evaluator, err := podsecurity.NewEvaluator(podsecurity.DefaultChecks(), nil)
	if err != nil {
		return []string{err.Error()}
	}
	restricted := api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}
	r.pods(func(o *object, spec *core.PodSpec) {
		if o.isRelay() {
			spec = withoutHostNetwork(spec)
		}
		for _, result := range evaluator.EvaluatePod(restricted, &o.metaOfPod, spec) {
			if !result.Allowed {
				f.add("%s: %s: %s", o.identity(), result.ForbiddenReason, result.ForbiddenDetail)
			}
		}
	})
	return f
}

func containerFindings(r *rendered) []string {
	var f findings
	r.containers(func(o *object, c *core.Container) {
		who := o.identity() + ": container " + c.Name
		for _, name := range []core.ResourceName{core.ResourceCPU, core.ResourceMemory} {
			if c.Resources.Requests.Name(name, "").IsZero() {
				f.add("%s requests no %s", who, name)
			}
		}
		limit := c.Resources.Limits.Memory()
		if limit.IsZero() {
			f.add("%s has no limit of memory", who)
		}
		if c.SecurityContext == nil || c.SecurityContext.ReadOnlyRootFilesystem == nil || !*c.SecurityContext.ReadOnlyRootFilesystem {
			f.add("%s can write to its root", who)
		}
		_, tag, ok := strings.Cut(c.Image[strings.LastIndex(c.Image, "/")+1:], ":")
		if !ok || tag == "" || strings.HasSuffix(c.Image, ":latest") {
			f.add("%s has an image without a fixed version: %s", who, c.Image)
		}
		for _, env := range c.Env {
			if env.Name != "GOMEMLIMIT" {
				continue
			}
			bytes, err := strconv.ParseInt(env.Value, 10, 64)
			if share := float64(bytes) / float64(limit.Value()); err != nil || share < 0.85 || share > 0.95 {
				f.add("%s has a GOMEMLIMIT of %q, with a limit of memory of %s", who, env.Value, limit)
			}
		}
	})
	if c := gatewayContainer(r.objects); c != nil && !slices.ContainsFunc(c.Env, func(e core.EnvVar) bool { return e.Name == "GOMEMLIMIT" }) {
		f.add("the gateway has no GOMEMLIMIT")
	}
	return f
}

func serviceAccountFindings(r *rendered) []string {
	var f findings
	off := func(b *bool) bool { return b != nil && !*b }
	r.pods(func(o *object, spec *core.PodSpec) {
		if !off(spec.AutomountServiceAccountToken) {
			f.add("%s mounts a token of the API server", o.identity())
		}
		if !off(spec.EnableServiceLinks) {
			f.add("%s gets a variable for every Service of the namespace", o.identity())
		}
		if name := spec.ServiceAccountName; name != "" && get(r.objects, func(a *core.ServiceAccount) bool { return a.Name == name }) == nil {
			f.add("%s runs as %s, which nobody makes", o.identity(), name)
		}
	})
	for _, o := range r.objects {
		if account, ok := o.typed.(*core.ServiceAccount); ok && !off(account.AutomountServiceAccountToken) {
			f.add("%s mounts its token", o.identity())
		}
	}
	return f
}

// operationsPaths are what the gateway answers on its operations address. TestProbePathsAnswer asks a real one.
var operationsPaths = []string{"/livez", "/readyz", "/metrics"}

func probeFindings(r *rendered) []string {
	var f findings
	for _, o := range r.objects {
		if _, isPod := o.typed.(*core.Pod); isPod || o.pod == nil {
			continue
		}
		c := &o.pod.Containers[0]
		if c.LivenessProbe == nil || c.ReadinessProbe == nil {
			f.add("%s has no liveness or no readiness probe", o.identity())
			continue
		}
		for _, probe := range []*core.Probe{c.StartupProbe, c.LivenessProbe, c.ReadinessProbe} {
			switch {
			case probe == nil:
			case probe.HTTPGet != nil:
				f.probePort(o, c, probe.HTTPGet.Port)
				if !slices.Contains(operationsPaths, probe.HTTPGet.Path) {
					f.add("%s is probed at %s, which the gateway does not answer", o.identity(), probe.HTTPGet.Path)
				}
			case probe.TCPSocket != nil:
				f.probePort(o, c, probe.TCPSocket.Port)
			default:
				f.add("%s has a probe that its image cannot answer", o.identity())
			}
		}
		if live, ready := c.LivenessProbe.HTTPGet, c.ReadinessProbe.HTTPGet; live != nil && ready != nil && live.Path == ready.Path {
			f.add("%s is restarted for what should only take it out of the Service", o.identity())
		}
		if (c.Name == "gateway" || c.Name == "relay") && c.StartupProbe == nil {
			f.add("%s has no startup probe", o.identity())
		}
	}
	return f
}

func (f *findings) probePort(o *object, c *core.Container, port intstr.IntOrString) {
	if port.Type != intstr.String || !hasPort(c, port) {
		f.add("%s is probed at port %s, which is no named port of the container", o.identity(), port.String())
	}
}

func hasPort(c *core.Container, port intstr.IntOrString) bool {
	return slices.ContainsFunc(c.Ports, func(p core.ContainerPort) bool {
		return p.Name == port.StrVal && port.Type == intstr.String || p.ContainerPort == port.IntVal && port.Type == intstr.Int
	})
}

// selected are the pods that a selector finds.
func (r *rendered) selected(s labels.Selector) (found []*object) {
	r.pods(func(o *object, _ *core.PodSpec) {
		if s.Matches(o.podLabels) {
			found = append(found, o)
		}
	})
	return found
}

func selectorFindings(r *rendered) []string {
	var f findings
	for _, o := range r.objects {
		for _, selector := range o.selectors() {
			switch found := r.selected(selector); {
			case selector.Empty():
				f.add("%s selects every pod of the namespace", o.identity())
			case len(found) != 1:
				f.add("%s selects %d kinds of pods, by %s", o.identity(), len(found), selector)
			case o.pod != nil && found[0] != o:
				f.add("%s selects the pods of %s", o.identity(), found[0].identity())
			}
		}
		switch typed := o.typed.(type) {
		case *monitoring.ServiceMonitor:
			selector := labels.SelectorFromSet(typed.Spec.Selector.MatchLabels)
			if service := get(r.objects, func(s *core.Service) bool { return selector.Matches(labels.Set(s.Labels)) }); service == nil || service.Spec.ClusterIP != core.ClusterIPNone {
				f.add("%s does not select the internal Service first", o.identity())
			}
			if n := len(servicesOf(r.objects, selector)); n != 1 {
				f.add("%s selects %d Services", o.identity(), n)
			}
		case *autoscaling.HorizontalPodAutoscaler:
			f.target(r, o, typed.Spec.ScaleTargetRef.APIVersion, typed.Spec.ScaleTargetRef.Kind, typed.Spec.ScaleTargetRef.Name)
		case *scaledObject:
			f.target(r, o, typed.Spec.ScaleTargetRef.APIVersion, typed.Spec.ScaleTargetRef.Kind, typed.Spec.ScaleTargetRef.Name)
		}
	}
	return f
}

func servicesOf(objects []*object, s labels.Selector) (found []*core.Service) {
	for _, o := range objects {
		if service, ok := o.typed.(*core.Service); ok && s.Matches(labels.Set(service.Labels)) {
			found = append(found, service)
		}
	}
	return found
}

func (f *findings) target(r *rendered, o *object, version, kind, name string) {
	d := deployment(r.objects, "gateway")
	if version != "apps/v1" || kind != "Deployment" || d == nil || name != d.Name {
		f.add("%s scales %s %s, which is not the gateways", o.identity(), kind, name)
	}
}

func portFindings(r *rendered) []string {
	var f findings
	for _, o := range r.objects {
		switch typed := o.typed.(type) {
		case *core.Service:
			for _, port := range typed.Spec.Ports {
				for _, workload := range r.selected(labels.SelectorFromSet(typed.Spec.Selector)) {
					if !hasPort(&workload.pod.Containers[0], port.TargetPort) && !r.isRelayPort(workload, port) {
						f.add("%s leads to port %s, which %s does not have", o.identity(), port.TargetPort.String(), workload.identity())
					}
				}
			}
		case *networking.Ingress:
			for _, rule := range typed.Spec.Rules {
				for _, path := range rule.HTTP.Paths {
					f.backend(r, o, path.Backend.Service.Name, func(p core.ServicePort) bool {
						return p.Name == path.Backend.Service.Port.Name || p.Port == path.Backend.Service.Port.Number
					})
				}
			}
		case *gateway.HTTPRoute:
			for _, rule := range typed.Spec.Rules {
				for _, ref := range rule.BackendRefs {
					f.backend(r, o, string(ref.Name), func(p core.ServicePort) bool { return ref.Port != nil && p.Port == *ref.Port })
				}
			}
		case *monitoring.PodMonitor:
			for _, endpoint := range typed.Spec.PodMetricsEndpoints {
				for _, workload := range r.selected(labels.SelectorFromSet(typed.Spec.Selector.MatchLabels)) {
					if endpoint.Port == nil || !hasPort(&workload.pod.Containers[0], intstr.FromString(*endpoint.Port)) {
						f.add("%s reads a port that %s does not have", o.identity(), workload.identity())
					}
				}
				if !slices.Contains(operationsPaths, endpoint.Path) {
					f.add("%s reads %s, which the gateway does not answer", o.identity(), endpoint.Path)
				}
			}
		case *monitoring.ServiceMonitor:
			for _, service := range servicesOf(r.objects, labels.SelectorFromSet(typed.Spec.Selector.MatchLabels)) {
				for _, endpoint := range typed.Spec.Endpoints {
					if !slices.ContainsFunc(service.Spec.Ports, func(p core.ServicePort) bool { return p.Name == endpoint.Port }) {
						f.add("%s reads port %s, which %s does not have", o.identity(), endpoint.Port, service.Name)
					}
				}
			}
		}
	}
	return f
}

// backend checks where an Ingress or a route leads: to a port of the public Service.
func (f *findings) backend(r *rendered, o *object, name string, is func(core.ServicePort) bool) {
	service := get(r.objects, func(s *core.Service) bool { return s.Name == name })
	switch {
	case service == nil:
		f.add("%s leads to the Service %s, which is not there", o.identity(), name)
	case service.Spec.ClusterIP == core.ClusterIPNone:
		f.add("%s opens the internal Service to the world", o.identity())
	case !slices.ContainsFunc(service.Spec.Ports, is):
		f.add("%s leads to a port that %s does not have", o.identity(), name)
	}
}

func gatewayContainer(objects []*object) *core.Container {
	d := deployment(objects, "gateway")
	if d == nil {
		return nil
	}
	for i := range d.Spec.Template.Spec.Containers {
		if c := &d.Spec.Template.Spec.Containers[i]; c.Name == "gateway" {
			return c
		}
	}
	return nil
}

// runtimeVariables are those of Go's runtime, by its documentation.
var runtimeVariables = []string{"GOMEMLIMIT", "GODEBUG", "GOGC", "GOMAXPROCS", "GOTRACEBACK"}

func environmentFindings(r *rendered) []string {
	var f findings
	variables := map[string]map[string]bool{"gateway": gatewayVariables(), "relay": relayVariables()}
	r.containers(func(o *object, c *core.Container) {
		known := variables[c.Name]
		if known == nil {
			return
		}
		seen := make(map[string]bool)
		for _, env := range c.Env {
			if seen[env.Name] {
				f.add("%s has the variable %s twice", o.identity(), env.Name)
			}
			seen[env.Name] = true
			if !known[env.Name] && !slices.Contains(runtimeVariables, env.Name) {
				f.add("%s has the variable %s, which the %s does not know", o.identity(), env.Name, c.Name)
			}
		}
	})
	return f
}

func referenceFindings(r *rendered) []string {
	var f findings
	used := make(map[string]bool)
	have := make(map[string][]string)
	for name, keys := range r.given {
		have["Secret "+name] = keys
	}
	for _, o := range r.objects {
		if m, ok := o.typed.(*core.ConfigMap); ok {
			have["ConfigMap "+m.Name] = sorted(m.Data)
		}
	}
	needs := func(o *object, name string, keys ...string) {
		used[name] = true
		if _, ok := have[name]; !ok {
			f.add("%s needs the %s, which is not there", o.identity(), name)
			return
		}
		for _, key := range keys {
			if !slices.Contains(have[name], key) {
				f.add("%s needs the key %s, which the %s does not have", o.identity(), key, name)
			}
		}
	}
	r.pods(func(o *object, spec *core.PodSpec) {
		for _, pull := range spec.ImagePullSecrets {
			needs(o, "Secret "+pull.Name, ".dockerconfigjson")
		}
		for _, volume := range spec.Volumes {
			if s := volume.Secret; s != nil {
				needs(o, "Secret "+s.SecretName, itemKeys(s.Items)...)
			}
			if m := volume.ConfigMap; m != nil {
				needs(o, "ConfigMap "+m.Name, itemKeys(m.Items)...)
			}
			if !isMounted(spec, volume.Name) {
				f.add("%s mounts the volume %s nowhere", o.identity(), volume.Name)
			}
		}
	})
	r.containers(func(o *object, c *core.Container) {
		for _, mount := range c.VolumeMounts {
			if !slices.ContainsFunc(o.pod.Volumes, func(v core.Volume) bool { return v.Name == mount.Name }) {
				f.add("%s mounts the volume %s, which is not there", o.identity(), mount.Name)
			}
		}
		for _, env := range c.Env {
			if env.ValueFrom != nil && env.ValueFrom.SecretKeyRef != nil {
				needs(o, "Secret "+env.ValueFrom.SecretKeyRef.Name, env.ValueFrom.SecretKeyRef.Key)
			}
			if env.ValueFrom != nil && env.ValueFrom.ConfigMapKeyRef != nil {
				needs(o, "ConfigMap "+env.ValueFrom.ConfigMapKeyRef.Name, env.ValueFrom.ConfigMapKeyRef.Key)
			}
		}
		for _, from := range c.EnvFrom {
			if from.SecretRef != nil {
				needs(o, "Secret "+from.SecretRef.Name)
			}
			if from.ConfigMapRef != nil {
				needs(o, "ConfigMap "+from.ConfigMapRef.Name)
			}
		}
	})
	for _, o := range r.objects {
		if ingress, ok := o.typed.(*networking.Ingress); ok {
			for _, tls := range ingress.Spec.TLS {
				needs(o, "Secret "+tls.SecretName, "tls.crt", "tls.key")
			}
		}
	}
	for name := range r.given {
		if !used["Secret "+name] {
			f.add("nothing uses the Secret %s", name)
		}
	}
	return f
}

func itemKeys(items []core.KeyToPath) (keys []string) {
	for _, item := range items {
		keys = append(keys, item.Key)
	}
	return keys
}

func isMounted(spec *core.PodSpec, volume string) bool {
	for _, c := range slices.Concat(spec.InitContainers, spec.Containers) {
		if slices.ContainsFunc(c.VolumeMounts, func(m core.VolumeMount) bool { return m.Name == volume }) {
			return true
		}
	}
	return false
}

var (
	secretName  = regexp.MustCompile(`(?i)(password|passwd|secret|token|credential|private.?key|cluster_key|redis_url|api.?key)`)
	secretValue = regexp.MustCompile(`-----BEGIN [A-Z ]*PRIVATE KEY-----|://[^/@\s]*:[^/@\s]+@|eyJ[A-Za-z0-9_-]{10,}\.eyJ`)
)

func secretFindings(r *rendered) []string {
	var f findings
	r.containers(func(o *object, c *core.Container) {
		for _, env := range c.Env {
			if env.Value != "" && (secretName.MatchString(env.Name) || secretValue.MatchString(env.Value)) {
				f.add("%s has the secret %s as plain text", o.identity(), env.Name)
			}
		}
		for _, arg := range slices.Concat(c.Command, c.Args) {
			name, value, _ := strings.Cut(arg, "=")
			// The name of a file with a secret is none.
			if secretValue.MatchString(arg) || value != "" && secretName.MatchString(name) && !strings.HasSuffix(name, "-file") {
				f.add("%s has a secret in its arguments: %s", o.identity(), name)
			}
		}
	})
	for _, o := range r.objects {
		m, ok := o.typed.(*core.ConfigMap)
		if !ok {
			continue
		}
		for key, text := range m.Data {
			if secretValue.MatchString(text) {
				f.add("%s has a secret in %s", o.identity(), key)
			}
			var tree any
			if strings.HasSuffix(key, ".yaml") && yaml.Unmarshal([]byte(text), &tree) == nil {
				f.secretKeys(o.identity()+" "+key, tree)
			}
		}
	}
	return f
}

// secretKeys looks for keys of the gateway's configuration that are secret.
func (f *findings) secretKeys(where string, tree any) {
	switch tree := tree.(type) {
	case map[string]any:
		for key, value := range tree {
			_, isText := value.(string)
			// The name of a file with secrets is none.
			if isText && value != "" && !strings.HasSuffix(key, "_file") && (secretName.MatchString(key) || key == "url" || key == "key") {
				f.add("%s has the secret %s", where, key)
			}
			f.secretKeys(where, value)
		}
	case []any:
		for _, value := range tree {
			f.secretKeys(where, value)
		}
	}
}

func nameFindings(r *rendered) []string {
	var f findings
	seen := make(map[string]bool)
	for _, o := range r.objects {
		if seen[o.identity()] {
			f.add("%s is there twice", o.identity())
		}
		seen[o.identity()] = true
		for _, problem := range validation.IsDNS1123Label(o.typed.GetName()) {
			f.add("%s: %s", o.identity(), problem)
		}
		if _, ok := o.typed.(*core.Service); ok && len(validation.IsDNS1035Label(o.typed.GetName())) > 0 {
			f.add("%s is no name of a Service", o.identity())
		}
		if o.typed.GetNamespace() != r.namespace {
			f.add("%s is not in the release's namespace", o.identity())
		}
		if o.template == "extraobjects.yaml" {
			continue // as their author wants them
		}
		all := labels.Merge(o.typed.GetLabels(), o.podLabels)
		for _, key := range []string{"app.kubernetes.io/name", "app.kubernetes.io/instance", "app.kubernetes.io/component", "helm.sh/chart"} {
			if o.typed.GetLabels()[key] == "" {
				f.add("%s has no label %s", o.identity(), key)
			}
		}
		for key, value := range all {
			for _, problem := range slices.Concat(validation.IsQualifiedName(key), validation.IsValidLabelValue(value)) {
				f.add("%s: label %s=%s: %s", o.identity(), key, value, problem)
			}
		}
	}
	return f
}

func scalingFindings(r *rendered) []string {
	var f findings
	d := deployment(r.objects, "gateway")
	if d == nil {
		return []string{"there are no gateways"}
	}
	var least int32
	if d.Spec.Replicas != nil {
		least = *d.Spec.Replicas
	}
	scalers := 0
	scaler := func(o *object, low, high int32, behavior *autoscaling.HorizontalPodAutoscalerBehavior) {
		scalers++
		least = low
		if low < 1 || low > high {
			f.add("%s scales between %d and %d", o.identity(), low, high)
		}
		if behavior == nil || behavior.ScaleDown == nil || behavior.ScaleDown.StabilizationWindowSeconds == nil || *behavior.ScaleDown.StabilizationWindowSeconds < 60 {
			f.add("%s takes gateways away at once", o.identity())
			return
		}
		for _, p := range behavior.ScaleDown.Policies {
			// The next gateway goes when the sessions of the one before have moved.
			if window := shutdownOf(r).window; p.Type != autoscaling.PodsScalingPolicy || p.Value != 1 || time.Duration(p.PeriodSeconds)*time.Second < window {
				f.add("%s takes %d %s away in %ds, while sessions need %s to move", o.identity(), p.Value, p.Type, p.PeriodSeconds, window)
			}
		}
	}
	for _, o := range r.objects {
		switch typed := o.typed.(type) {
		case *autoscaling.HorizontalPodAutoscaler:
			scaler(o, *typed.Spec.MinReplicas, typed.Spec.MaxReplicas, typed.Spec.Behavior)
			for _, metric := range typed.Spec.Metrics {
				if c := metric.ContainerResource; c != nil && c.Container != "gateway" {
					f.add("%s looks at the container %s", o.identity(), c.Container)
				}
			}
		case *scaledObject:
			var behavior *autoscaling.HorizontalPodAutoscalerBehavior
			if a := typed.Spec.Advanced; a != nil && a.HorizontalPodAutoscalerConfig != nil {
				behavior = a.HorizontalPodAutoscalerConfig.Behavior
			}
			scaler(o, *typed.Spec.MinReplicaCount, *typed.Spec.MaxReplicaCount, behavior)
		}
	}
	if scalers > 1 {
		f.add("%d autoscalers fight over the number of gateways", scalers)
	}
	if scalers == 1 && d.Spec.Replicas != nil {
		f.add("the Deployment sets the number of gateways back at each upgrade")
	}
	for _, o := range r.objects {
		budget, ok := o.typed.(*policy.PodDisruptionBudget)
		if !ok || o.isRelay() {
			continue
		}
		if budget.Spec.UnhealthyPodEvictionPolicy == nil || *budget.Spec.UnhealthyPodEvictionPolicy != policy.AlwaysAllow {
			f.add("%s keeps nodes with broken gateways from being emptied", o.identity())
		}
		if budget.Spec.MaxUnavailable == nil {
			f.add("%s has no maxUnavailable: with as many gateways as it wants, no node could be emptied", o.identity())
			continue
		}
		away, err := intstr.GetScaledValueFromIntOrPercent(budget.Spec.MaxUnavailable, int(least), true)
		if err != nil || away < 1 || least > 1 && away >= int(least) {
			f.add("%s lets %d of %d gateways go at once", o.identity(), away, least)
		}
	}
	if s := d.Spec.Strategy.RollingUpdate; s == nil || s.MaxUnavailable.String() != "0" {
		f.add("a roll-out takes gateways away before new ones are there")
	}
	for _, spread := range d.Spec.Template.Spec.TopologySpreadConstraints {
		if !slices.Contains(spread.MatchLabelKeys, "pod-template-hash") {
			f.add("the spread counts pods of the roll-out before")
		}
	}
	return f
}

// shutdown is what the rendered configuration says of the end.
type shutdown struct{ timeout, delay, window, grace time.Duration }

func shutdownOf(r *rendered) (s shutdown) {
	m := get(r.objects, func(m *core.ConfigMap) bool { return m.Data["signalbox.yaml"] != "" })
	var config struct {
		Shutdown struct{ Timeout, Delay, Window, Grace string }
	}
	if m == nil || yaml.Unmarshal([]byte(m.Data["signalbox.yaml"]), &config) != nil {
		return s
	}
	for to, text := range map[*time.Duration]string{
		&s.timeout: config.Shutdown.Timeout, &s.delay: config.Shutdown.Delay, &s.window: config.Shutdown.Window, &s.grace: config.Shutdown.Grace,
	} {
		*to, _ = time.ParseDuration(text)
	}
	return s
}

func drainFindings(r *rendered) []string {
	var f findings
	d := deployment(r.objects, "gateway")
	if d == nil {
		return []string{"there are no gateways"}
	}
	s, spec := shutdownOf(r), d.Spec.Template.Spec
	var sleep time.Duration
	if life := gatewayContainer(r.objects).Lifecycle; life != nil && life.PreStop != nil {
		if life.PreStop.Sleep == nil {
			f.add("preStop is no sleep, and the image has no shell")
		} else {
			sleep = time.Duration(life.PreStop.Sleep.Seconds) * time.Second
		}
	}
	if s.timeout <= 0 || s.delay+s.window+s.grace >= s.timeout {
		f.add("shutdown.timeout is %s, and what has to fit in %s", s.timeout, s.delay+s.window+s.grace)
	}
	if spec.TerminationGracePeriodSeconds == nil {
		f.add("the pods have the grace period of the cluster")
		return f
	}
	if granted := time.Duration(*spec.TerminationGracePeriodSeconds) * time.Second; granted < sleep+s.timeout+time.Second {
		f.add("the pods are killed after %s, and may need %s", granted, sleep+s.timeout)
	}
	// Endpoints need a moment to be taken out, here or there.
	if sleep+s.delay < time.Second {
		f.add("new clients are refused before anybody can know")
	}
	if deadline := d.Spec.ProgressDeadlineSeconds; deadline == nil || *deadline <= d.Spec.MinReadySeconds {
		f.add("a roll-out fails before its first pod can be available")
	}
	return f
}

func networkFindings(r *rendered) []string {
	var f findings
	linkLocal := netip.MustParsePrefix("169.254.0.0/16")
	for _, o := range r.objects {
		np, ok := o.typed.(*networking.NetworkPolicy)
		if !ok || o.isRelay() {
			continue
		}
		open := make(map[string]bool)
		for _, rule := range np.Spec.Ingress {
			for _, port := range rule.Ports {
				if port.Port.Type == intstr.String && !hasPort(gatewayContainer(r.objects), *port.Port) {
					f.add("%s opens port %s, which the gateways do not have", o.identity(), port.Port)
				}
				open[port.Port.String()] = true
				if name := port.Port.StrVal; len(rule.From) == 0 && (name == "operations" || name == "cluster" || name == "api") {
					f.add("%s opens port %s to everybody", o.identity(), name)
				}
			}
		}
		for _, c := range gatewayContainer(r.objects).Ports {
			if !open[c.Name] {
				f.add("%s lets nobody to port %s", o.identity(), c.Name)
			}
		}
		if !slices.Contains(np.Spec.PolicyTypes, networking.PolicyTypeEgress) {
			continue
		}
		var dns, hops bool
		for _, rule := range np.Spec.Egress {
			for _, port := range rule.Ports {
				dns = dns || port.Port.IntVal == 53 && len(rule.To) == 0
				hops = hops || port.Port.IntVal == 7946
			}
			for _, to := range rule.To {
				if to.IPBlock != nil && netip.MustParsePrefix(to.IPBlock.CIDR).Contains(linkLocal.Addr()) && !slices.Contains(to.IPBlock.Except, linkLocal.String()) {
					f.add("%s lets gateways to the metadata of the cloud", o.identity())
				}
			}
		}
		if !dns || !hops {
			f.add("%s keeps gateways from DNS or from each other", o.identity())
		}
	}
	return f
}
