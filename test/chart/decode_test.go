package chart

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"github.com/stretchr/testify/require"
	apps "k8s.io/api/apps/v1"
	autoscaling "k8s.io/api/autoscaling/v2"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	gateway "sigs.k8s.io/gateway-api/apis/v1"
	strict "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

// scaledObject is KEDA's, as far as the chart uses it. KEDA's own module brings hundreds of others.
type scaledObject struct {
	meta.TypeMeta   `json:",inline"`
	meta.ObjectMeta `json:"metadata"`
	Spec            struct {
		ScaleTargetRef struct {
			APIVersion string `json:"apiVersion"`
			Kind       string `json:"kind"`
			Name       string `json:"name"`
		} `json:"scaleTargetRef"`
		MinReplicaCount *int32 `json:"minReplicaCount"`
		MaxReplicaCount *int32 `json:"maxReplicaCount"`
		PollingInterval *int32 `json:"pollingInterval"`
		Fallback        *struct {
			FailureThreshold int32  `json:"failureThreshold"`
			Replicas         int32  `json:"replicas"`
			Behavior         string `json:"behavior"`
		} `json:"fallback"`
		Advanced *struct {
			HorizontalPodAutoscalerConfig *struct {
				Behavior *autoscaling.HorizontalPodAutoscalerBehavior `json:"behavior"`
			} `json:"horizontalPodAutoscalerConfig"`
		} `json:"advanced"`
		Triggers []struct {
			Type       string                       `json:"type"`
			Name       string                       `json:"name"`
			MetricType autoscaling.MetricTargetType `json:"metricType"`
			Metadata   map[string]string            `json:"metadata"`
		} `json:"triggers"`
	} `json:"spec"`
}

// kinds are all that the chart may make. There is no Secret among them: one that a template makes is either the same for
// everybody or another at each upgrade.
var kinds = map[string]func() meta.Object{
	"v1/ConfigMap":                            func() meta.Object { return new(core.ConfigMap) },
	"v1/Pod":                                  func() meta.Object { return new(core.Pod) },
	"v1/Service":                              func() meta.Object { return new(core.Service) },
	"v1/ServiceAccount":                       func() meta.Object { return new(core.ServiceAccount) },
	"apps/v1/DaemonSet":                       func() meta.Object { return new(apps.DaemonSet) },
	"apps/v1/Deployment":                      func() meta.Object { return new(apps.Deployment) },
	"autoscaling/v2/HorizontalPodAutoscaler":  func() meta.Object { return new(autoscaling.HorizontalPodAutoscaler) },
	"networking.k8s.io/v1/Ingress":            func() meta.Object { return new(networking.Ingress) },
	"networking.k8s.io/v1/NetworkPolicy":      func() meta.Object { return new(networking.NetworkPolicy) },
	"policy/v1/PodDisruptionBudget":           func() meta.Object { return new(policy.PodDisruptionBudget) },
	"gateway.networking.k8s.io/v1/HTTPRoute":  func() meta.Object { return new(gateway.HTTPRoute) },
	"keda.sh/v1alpha1/ScaledObject":           func() meta.Object { return new(scaledObject) },
	"monitoring.coreos.com/v1/PodMonitor":     func() meta.Object { return new(monitoring.PodMonitor) },
	"monitoring.coreos.com/v1/ServiceMonitor": func() meta.Object { return new(monitoring.ServiceMonitor) },
	"monitoring.coreos.com/v1/PrometheusRule": func() meta.Object { return new(monitoring.PrometheusRule) },
}

// object is one manifest.
type object struct {
	template  string // that made it
	kind      string // with its API version
	typed     meta.Object
	text      string
	pod       *core.PodSpec // of a Pod, or of a workload's template; nil without
	podLabels labels.Set
	metaOfPod meta.ObjectMeta
}

func (o *object) identity() string {
	kind := o.kind[strings.LastIndex(o.kind, "/")+1:]
	return kind + " " + o.typed.GetNamespace() + "/" + o.typed.GetName()
}

// selectors are those by which an object finds pods.
func (o *object) selectors() []labels.Selector {
	var found []labels.Selector
	add := func(s *meta.LabelSelector) {
		selector, err := meta.LabelSelectorAsSelector(s)
		if err != nil {
			selector = labels.Nothing()
		}
		found = append(found, selector)
	}
	switch typed := o.typed.(type) {
	case *core.Service:
		found = append(found, labels.SelectorFromSet(typed.Spec.Selector))
	case *apps.Deployment:
		add(typed.Spec.Selector)
		for _, spread := range typed.Spec.Template.Spec.TopologySpreadConstraints {
			add(spread.LabelSelector)
		}
	case *apps.DaemonSet:
		add(typed.Spec.Selector)
	case *policy.PodDisruptionBudget:
		add(typed.Spec.Selector)
	case *networking.NetworkPolicy:
		add(&typed.Spec.PodSelector)
	case *monitoring.PodMonitor:
		add(&typed.Spec.Selector)
	}
	return found
}

// decode reads the manifests of a rendered chart. It is strict: a field that the type lacks, or that is there twice, is an
// error.
func decode(files map[string]string) ([]*object, error) {
	var objects []*object
	for _, template := range sorted(files) {
		if strings.HasSuffix(template, ".txt") || strings.HasPrefix(template, "_") {
			continue
		}
		for _, text := range documents(files[template]) {
			o, err := decodeOne(text)
			if err != nil {
				return nil, fmt.Errorf("%s: %w\n%s", template, err, text)
			}
			o.template = template
			objects = append(objects, o)
		}
	}
	return objects, nil
}

// documents takes a YAML text apart, without those that hold nothing.
func documents(text string) []string {
	var found []string
	for part := range strings.SplitSeq("\n"+text, "\n---") {
		var anything any
		if err := yaml.Unmarshal([]byte(part), &anything); err != nil || anything != nil {
			found = append(found, strings.Trim(part, "\n")+"\n")
		}
	}
	return found
}

func decodeOne(text string) (*object, error) {
	raw, err := yaml.YAMLToJSONStrict([]byte(text))
	if err != nil {
		return nil, err
	}
	var head meta.TypeMeta
	if err := json.Unmarshal(raw, &head); err != nil {
		return nil, err
	}
	o := &object{kind: head.APIVersion + "/" + head.Kind, text: text}
	make, ok := kinds[o.kind]
	if !ok {
		return nil, fmt.Errorf("the chart may not make a %s", o.kind)
	}
	o.typed = make()
	wrong, err := strict.UnmarshalStrict(raw, o.typed)
	if err != nil {
		return nil, err
	}
	if len(wrong) > 0 {
		return nil, fmt.Errorf("%s: %v", o.kind, wrong)
	}
	switch typed := o.typed.(type) {
	case *core.Pod:
		o.pod, o.podLabels, o.metaOfPod = &typed.Spec, typed.Labels, typed.ObjectMeta
	case *apps.DaemonSet:
		o.pod, o.podLabels, o.metaOfPod = &typed.Spec.Template.Spec, typed.Spec.Template.Labels, typed.Spec.Template.ObjectMeta
	case *apps.Deployment:
		o.pod, o.podLabels, o.metaOfPod = &typed.Spec.Template.Spec, typed.Spec.Template.Labels, typed.Spec.Template.ObjectMeta
	}
	return o, nil
}

// decoded renders and decodes.
func decoded(tb testing.TB, r release) []*object {
	tb.Helper()
	objects, err := decode(mustRender(tb, r))
	require.NoError(tb, err)
	return objects
}

// get gives the one object of a type for which is holds.
func get[T meta.Object](objects []*object, is func(T) bool) T {
	for _, o := range objects {
		if typed, ok := o.typed.(T); ok && (is == nil || is(typed)) {
			return typed
		}
	}
	var none T
	return none
}

// deployment gives that of a component.
func deployment(objects []*object, component string) *apps.Deployment {
	return get(objects, func(d *apps.Deployment) bool { return d.Labels["app.kubernetes.io/component"] == component })
}

// Every variant is made of objects as the API knows them, for every version of Kubernetes, with both versions of Helm.
func TestVariantsDecode(t *testing.T) {
	both(t, func(t *testing.T, helm int) {
		for name, v := range variants(t) {
			for _, kube := range kubeVersions {
				require.NotEmpty(t, decoded(t, release{values: v, kube: kube, helm: helm}), name)
			}
		}
	})
}

// The variants together show everything that the chart can make.
func TestVariantsMakeEveryKind(t *testing.T) {
	missing := make(map[string]bool)
	for kind := range kinds {
		missing[kind] = true
	}
	for _, v := range variants(t) {
		for _, o := range decoded(t, release{chart: chartWithFiles(t), values: v}) {
			delete(missing, o.kind)
		}
	}
	require.Empty(t, missing)
}

func TestDecodeFindsWhatItShould(t *testing.T) {
	for name, tc := range map[string]struct{ text, want string }{
		"an unknown field":      {"apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {prots: []}\n", `unknown field "spec.prots"`},
		"a field in other case": {"apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {Ports: []}\n", `unknown field "spec.Ports"`},
		"a field twice":         {"apiVersion: v1\nkind: Service\nmetadata: {name: a}\nmetadata: {name: b}\n", "already set"},
		"a wrong type":          {"apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {ports: 7}\n", "cannot unmarshal"},
		"a Secret":              {"apiVersion: v1\nkind: Secret\nmetadata: {name: a}\n", "may not make a v1/Secret"},
		"an API that is gone":   {"apiVersion: policy/v1beta1\nkind: PodDisruptionBudget\nmetadata: {name: a}\n", "may not make"},
		"no YAML":               {"apiVersion: v1\n kind: x: y\n", "yaml"},
		"a number for a text":   {"apiVersion: keda.sh/v1alpha1\nkind: ScaledObject\nmetadata: {name: a}\nspec: {triggers: [{type: cpu, metadata: {value: 70}}]}\n", "cannot unmarshal"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := decode(map[string]string{"x.yaml": tc.text})
			require.ErrorContains(t, err, tc.want)
		})
	}
}
