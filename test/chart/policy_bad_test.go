package chart

import (
	"slices"
	"strings"
	"testing"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"github.com/stretchr/testify/require"
	apps "k8s.io/api/apps/v1"
	autoscaling "k8s.io/api/autoscaling/v2"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/intstr"
	gateway "sigs.k8s.io/gateway-api/apis/v1"
)

// parts are the objects of a variant that the table below breaks.
type parts struct {
	*rendered
	deployment *apps.Deployment
	pod        *core.PodSpec
	container  *core.Container
	config     *core.ConfigMap
	test       *core.Pod
	redis      *apps.Deployment
	public     *core.Service
	internal   *core.Service
	api        *core.Service
	account    *core.ServiceAccount
	ingress    *networking.Ingress
	route      *gateway.HTTPRoute
	hpa        *autoscaling.HorizontalPodAutoscaler
	keda       *scaledObject
	budget     *policy.PodDisruptionBudget
	network    *networking.NetworkPolicy
	podMonitor *monitoring.PodMonitor
	svcMonitor *monitoring.ServiceMonitor
	relay      *relayParts // nil without
}

// relayParts are those of the relays.
type relayParts struct {
	workload   *object
	container  *core.Container
	config     *core.ConfigMap
	network    *networking.NetworkPolicy
	budget     *policy.PodDisruptionBudget
	deployment *apps.Deployment
}

func relayPartsOf(r *rendered) *relayParts {
	workload := r.relayOf()
	if workload == nil {
		return nil
	}
	p := &relayParts{workload: workload, container: &workload.pod.Containers[0], deployment: deployment(r.objects, "relay")}
	p.config = get(r.objects, func(m *core.ConfigMap) bool { return m.Data["relay.yaml"] != "" })
	for _, o := range r.objects {
		switch typed := o.typed.(type) {
		case *networking.NetworkPolicy:
			p.network = typed // the last one is theirs
		case *policy.PodDisruptionBudget:
			p.budget = typed
		}
	}
	return p
}

// replaceConfig changes the relays' configuration.
func (p *relayParts) replaceConfig(old, text string) {
	p.config.Data["relay.yaml"] = strings.Replace(p.config.Data["relay.yaml"], old, text, 1)
}

func partsOf(r *rendered) *parts {
	p := &parts{rendered: r, deployment: deployment(r.objects, "gateway"), container: gatewayContainer(r.objects), redis: deployment(r.objects, "redis")}
	p.pod = &p.deployment.Spec.Template.Spec
	p.config = get(r.objects, func(m *core.ConfigMap) bool { return m.Data["signalbox.yaml"] != "" })
	p.test = get[*core.Pod](r.objects, nil)
	p.public = get(r.objects, isPublic)
	p.internal = get(r.objects, func(s *core.Service) bool { return strings.HasSuffix(s.Name, "-internal") })
	p.api = get(r.objects, func(s *core.Service) bool { return s.Labels["app.kubernetes.io/component"] == "server-api" })
	p.account = get[*core.ServiceAccount](r.objects, nil)
	p.ingress = get[*networking.Ingress](r.objects, nil)
	p.route = get[*gateway.HTTPRoute](r.objects, nil)
	p.hpa = get[*autoscaling.HorizontalPodAutoscaler](r.objects, nil)
	p.keda = get[*scaledObject](r.objects, nil)
	p.budget = get[*policy.PodDisruptionBudget](r.objects, nil)
	p.network = get[*networking.NetworkPolicy](r.objects, nil)
	p.podMonitor = get[*monitoring.PodMonitor](r.objects, nil)
	p.svcMonitor = get[*monitoring.ServiceMonitor](r.objects, nil)
	p.relay = relayPartsOf(r)
	return p
}

// replaceConfig changes the gateway's configuration.
func (p *parts) replaceConfig(old, text string) {
	p.config.Data["signalbox.yaml"] = strings.Replace(p.config.Data["signalbox.yaml"], old, text, 1)
}

// What each policy is there to find: every row breaks a variant in one place.
func TestPoliciesFindWhatTheyShould(t *testing.T) {
	yes, no := true, false
	shown := make(map[string]bool)
	for _, tc := range []struct {
		policy, name, variant string
		breakIt               func(p *parts)
		want                  string
	}{
		{"PodSecurity", "root", "cluster", func(p *parts) { p.pod.SecurityContext.RunAsNonRoot = &no }, "runAsNonRoot"},
		{"PodSecurity", "no seccomp profile", "cluster", func(p *parts) { p.pod.SecurityContext.SeccompProfile = nil }, "seccompProfile"},
		{"PodSecurity", "a capability", "cluster", func(p *parts) { p.container.SecurityContext.Capabilities.Drop = nil }, "capabilities"},
		{"PodSecurity", "the host's network", "cluster", func(p *parts) { p.pod.HostNetwork = true }, "host"},
		{"PodSecurity", "the test's pod", "cluster", func(p *parts) { p.test.Spec.Containers[0].SecurityContext = nil }, "Pod signaling/calls-signalbox-test"},
		{"PodSecurity", "the Redis for trying out", "single-redis", func(p *parts) {
			p.redis.Spec.Template.Spec.Containers[0].SecurityContext.AllowPrivilegeEscalation = &yes
		}, "signalbox-redis"},
		{"PodSecurity", "an init container", "everything", func(p *parts) { p.pod.InitContainers[0].SecurityContext.AllowPrivilegeEscalation = nil }, "wait"},

		{"Containers", "no limit of memory", "cluster", func(p *parts) { delete(p.container.Resources.Limits, "memory") }, "no limit of memory"},
		{"Containers", "no request", "cluster", func(p *parts) { delete(p.container.Resources.Requests, "cpu") }, "requests no cpu"},
		{"Containers", "of the test", "cluster", func(p *parts) { p.test.Spec.Containers[0].Resources = core.ResourceRequirements{} }, "container probe requests no memory"},
		{"Containers", "a tag that moves", "cluster", func(p *parts) { p.container.Image = "ghcr.io/x/gateway:latest" }, "without a fixed version"},
		{"Containers", "no tag", "cluster", func(p *parts) { p.container.Image = "localhost:5000/gateway" }, "without a fixed version"},
		{"Containers", "a root that can be written", "cluster", func(p *parts) { p.container.SecurityContext.ReadOnlyRootFilesystem = &no }, "can write"},
		{"Containers", "a GOMEMLIMIT of another limit", "cluster", func(p *parts) { p.container.Resources.Limits["memory"] = resource.MustParse("2Gi") }, "GOMEMLIMIT"},
		{"Containers", "no GOMEMLIMIT", "cluster", func(p *parts) { p.dropEnv("GOMEMLIMIT") }, "no GOMEMLIMIT"},

		{"ServiceAccounts", "a token in a pod", "cluster", func(p *parts) { p.pod.AutomountServiceAccountToken = nil }, "mounts a token"},
		{"ServiceAccounts", "a token in the test", "cluster", func(p *parts) { p.test.Spec.AutomountServiceAccountToken = &yes }, "mounts a token"},
		{"ServiceAccounts", "a token of the account", "cluster", func(p *parts) { p.account.AutomountServiceAccountToken = nil }, "mounts its token"},
		{"ServiceAccounts", "Service links", "cluster", func(p *parts) { p.pod.EnableServiceLinks = nil }, "variable for every Service"},
		{"ServiceAccounts", "an account that nobody makes", "cluster", func(p *parts) { p.pod.ServiceAccountName = "other" }, "nobody makes"},

		{"Probes", "a path that is not there", "cluster", func(p *parts) { p.container.LivenessProbe.HTTPGet.Path = "/healthz" }, "/healthz"},
		{"Probes", "a port that is not there", "cluster", func(p *parts) { p.container.ReadinessProbe.HTTPGet.Port = intstr.FromString("ops") }, "port ops"},
		{"Probes", "a port by its number", "cluster", func(p *parts) { p.container.ReadinessProbe.HTTPGet.Port = intstr.FromInt32(9090) }, "no named port"},
		{"Probes", "one path for two purposes", "cluster", func(p *parts) { p.container.LivenessProbe.HTTPGet.Path = "/readyz" }, "is restarted for"},
		{"Probes", "no readiness", "cluster", func(p *parts) { p.container.ReadinessProbe = nil }, "no readiness"},
		{"Probes", "no startup", "cluster", func(p *parts) { p.container.StartupProbe = nil }, "no startup"},
		{"Probes", "a shell that is not there", "cluster", func(p *parts) {
			p.container.LivenessProbe.ProbeHandler = core.ProbeHandler{Exec: &core.ExecAction{Command: []string{"true"}}}
		}, "cannot answer"},
		{"Probes", "of the Redis for trying out", "single-redis", func(p *parts) { p.redis.Spec.Template.Spec.Containers[0].LivenessProbe = nil }, "signalbox-redis"},

		{"Selectors", "a Service that finds nothing", "cluster", func(p *parts) { p.public.Spec.Selector["app.kubernetes.io/component"] = "gatway" }, "selects 0 kinds"},
		{"Selectors", "a Service that finds Redis too", "single-redis", func(p *parts) { delete(p.public.Spec.Selector, "app.kubernetes.io/component") }, "selects 3 kinds"},
		{"Selectors", "a Service that finds all", "cluster", func(p *parts) { p.public.Spec.Selector = map[string]string{} }, "every pod"},
		{"Selectors", "a Deployment that does not find its own", "cluster", func(p *parts) { p.deployment.Spec.Selector.MatchLabels["app.kubernetes.io/component"] = "test" }, "selects the pods of Pod"},
		{"Selectors", "a budget", "cluster", func(p *parts) { p.budget.Spec.Selector.MatchLabels["app.kubernetes.io/instance"] = "x" }, "PodDisruptionBudget"},
		{"Selectors", "a policy", "cluster", func(p *parts) { p.network.Spec.PodSelector.MatchLabels["app.kubernetes.io/instance"] = "x" }, "NetworkPolicy"},
		{"Selectors", "a PodMonitor", "cluster", func(p *parts) { p.podMonitor.Spec.Selector.MatchLabels["app.kubernetes.io/instance"] = "x" }, "PodMonitor"},
		{"Selectors", "a ServiceMonitor that finds the public Service", "sentinel", func(p *parts) { p.svcMonitor.Spec.Selector.MatchLabels["app.kubernetes.io/component"] = "gateway" }, "internal Service"},
		{"Selectors", "a spread", "cluster", func(p *parts) {
			p.pod.TopologySpreadConstraints[0].LabelSelector.MatchLabels["app.kubernetes.io/instance"] = "x"
		}, "selects 0 kinds"},
		{"Selectors", "an autoscaler of another name", "cluster", func(p *parts) { p.hpa.Spec.ScaleTargetRef.Name = "x" }, "not the gateways"},
		{"Selectors", "a ScaledObject of another kind", "everything", func(p *parts) { p.keda.Spec.ScaleTargetRef.Kind = "StatefulSet" }, "not the gateways"},

		{"Ports", "of a Service", "cluster", func(p *parts) { p.public.Spec.Ports[0].TargetPort = intstr.FromString("http") }, "port http"},
		{"Ports", "of the internal Service", "cluster", func(p *parts) { p.internal.Spec.Ports[1].TargetPort = intstr.FromInt32(7947) }, "port 7947"},
		{"Ports", "of an Ingress", "sentinel", func(p *parts) {
			p.ingress.Spec.Rules[0].HTTP.Paths[0].Backend.Service.Port.Name = "http"
		}, "does not have"},
		{"Ports", "an Ingress to a Service that is not there", "sentinel", func(p *parts) {
			p.ingress.Spec.Rules[0].HTTP.Paths[0].Backend.Service.Name = "x"
		}, "not there"},
		{"Ports", "an Ingress to the internal Service", "sentinel", func(p *parts) {
			p.ingress.Spec.Rules[0].HTTP.Paths[0].Backend.Service.Name = p.internal.Name
		}, "to the world"},
		{"Ports", "a route to the internal Service", "gateway-api", func(p *parts) {
			p.route.Spec.Rules[0].BackendRefs[0].Name = gateway.ObjectName(p.internal.Name)
		}, "to the world"},
		{"Ports", "of a route", "gateway-api", func(p *parts) { *p.route.Spec.Rules[0].BackendRefs[0].Port = 81 }, "does not have"},
		{"Ports", "of a PodMonitor", "cluster", func(p *parts) { *p.podMonitor.Spec.PodMetricsEndpoints[0].Port = "metrics" }, "reads a port"},
		{"Ports", "path of a PodMonitor", "cluster", func(p *parts) { p.podMonitor.Spec.PodMetricsEndpoints[0].Path = "/m" }, "/m"},
		{"Ports", "of a ServiceMonitor", "sentinel", func(p *parts) { p.svcMonitor.Spec.Endpoints[0].Port = "metrics" }, "port metrics"},

		{"Environment", "a misspelt variable", "cluster", func(p *parts) { p.container.Env[0].Name = "SIGNALBOX_CONFG" }, "SIGNALBOX_CONFG"},
		{"Environment", "a variable of another program", "cluster", func(p *parts) { p.container.Env[0].Name = "REDIS_PASSWORD" }, "REDIS_PASSWORD"},
		{"Environment", "a variable twice", "cluster", func(p *parts) { p.container.Env = append(p.container.Env, p.container.Env[0]) }, "twice"},

		{"SecretReferences", "a Secret that is not there", "cluster", func(p *parts) { delete(p.given, "redis-ca") }, "Secret redis-ca"},
		{"SecretReferences", "a key that is not there", "cluster", func(p *parts) { p.given["redis-auth"] = []string{"pass"} }, "the key password"},
		{"SecretReferences", "of an Ingress", "sentinel", func(p *parts) { p.ingress.Spec.TLS[0].SecretName = "x" }, "Secret x"},
		{"SecretReferences", "a Secret that nothing uses", "cluster", func(p *parts) { p.given["spare"] = nil }, "nothing uses"},
		{"SecretReferences", "a ConfigMap that is not there", "cluster", func(p *parts) { p.config.Name = "x" }, "ConfigMap calls-signalbox"},
		{"SecretReferences", "a volume that is not mounted", "cluster", func(p *parts) { p.container.VolumeMounts = p.container.VolumeMounts[1:] }, "nowhere"},
		{"SecretReferences", "a volume that is not there", "cluster", func(p *parts) { p.pod.Volumes = p.pod.Volumes[1:] }, "which is not there"},
		{"SecretReferences", "for pulling images", "everything", func(p *parts) { p.pod.ImagePullSecrets[0].Name = "x" }, "Secret x"},

		{"NoSecrets", "a password in a variable", "cluster", func(p *parts) {
			p.container.Env = append(p.container.Env, core.EnvVar{Name: "SIGNALBOX_REDIS_PASSWORD", Value: "hush"})
		}, "SIGNALBOX_REDIS_PASSWORD"},
		{"NoSecrets", "a password in an address", "cluster", func(p *parts) {
			p.container.Env = append(p.container.Env, core.EnvVar{Name: "X", Value: "redis://user:hush@redis:6379"})
		}, "secret X"},
		{"NoSecrets", "a password in an argument", "cluster", func(p *parts) { p.container.Args = []string{"--redis.password=hush"} }, "--redis.password"},
		{"NoSecrets", "a password in the configuration", "cluster", func(p *parts) { p.replaceConfig("redis:\n", "redis:\n  password: hush\n") }, "secret password"},
		{"NoSecrets", "an address in the configuration", "cluster", func(p *parts) { p.replaceConfig("redis:\n", "redis:\n  url: redis://redis:6379\n") }, "secret url"},
		{"NoSecrets", "the cluster's key", "cluster", func(p *parts) { p.replaceConfig("cluster:\n", "cluster:\n  key: hush\n") }, "secret key"},
		{"NoSecrets", "a key of an app", "cluster", func(p *parts) { p.replaceConfig("redis:\n", "apps: [{keys: [{secret: hush}]}]\nredis:\n") }, "secret secret"},
		{"NoSecrets", "a private key", "cluster", func(p *parts) { p.config.Data["x"] = "-----BEGIN EC PRIVATE KEY-----" }, "secret in x"},

		{"Names", "a long one", "cluster", func(p *parts) { p.public.Name = strings.Repeat("a", 64) }, "63"},
		{"Names", "a Service that begins with a digit", "cluster", func(p *parts) { p.public.Name = "1a" }, "no name of a Service"},
		{"Names", "two alike", "cluster", func(p *parts) { p.internal.Name = p.public.Name }, "twice"},
		{"Names", "another namespace", "cluster", func(p *parts) { p.account.Namespace = "default" }, "namespace"},
		{"Names", "no labels", "cluster", func(p *parts) { delete(p.public.Labels, "app.kubernetes.io/instance") }, "no label"},
		{"Names", "a label's value", "cluster", func(p *parts) { p.public.Labels["helm.sh/chart"] = "a+b" }, "a+b"},

		{"Scaling", "a number beside an autoscaler", "cluster", func(p *parts) { p.deployment.Spec.Replicas = new(int32) }, "at each upgrade"},
		{"Scaling", "two autoscalers", "cluster", func(p *parts) { p.objects = append(p.objects, p.objectOf(p.hpa)) }, "fight"},
		{"Scaling", "least above greatest", "cluster", func(p *parts) { *p.hpa.Spec.MinReplicas = 50 }, "between 50 and 20"},
		{"Scaling", "away at once", "cluster", func(p *parts) { *p.hpa.Spec.Behavior.ScaleDown.StabilizationWindowSeconds = 0 }, "at once"},
		{"Scaling", "away faster than sessions move", "cluster", func(p *parts) { p.hpa.Spec.Behavior.ScaleDown.Policies[0].PeriodSeconds = 30 }, "need 1m0s"},
		{"Scaling", "by KEDA's autoscaler", "everything", func(p *parts) { p.keda.Spec.Advanced = nil }, "at once"},
		{"Scaling", "another container's load", "cluster", func(p *parts) { p.hpa.Spec.Metrics[0].ContainerResource.Container = "sidecar" }, "sidecar"},
		{"Scaling", "a budget that lets all go", "cluster", func(p *parts) { *p.budget.Spec.MaxUnavailable = intstr.FromString("100%") }, "3 of 3"},
		{"Scaling", "a budget that lets none go", "cluster", func(p *parts) { *p.budget.Spec.MaxUnavailable = intstr.FromInt32(0) }, "0 of 3"},
		{"Scaling", "a budget by what must stay", "cluster", func(p *parts) { p.budget.Spec.MaxUnavailable = nil }, "no node could be emptied"},
		{"Scaling", "a budget that broken gateways hold", "cluster", func(p *parts) { p.budget.Spec.UnhealthyPodEvictionPolicy = nil }, "broken gateways"},
		{"Scaling", "a roll-out that takes away first", "cluster", func(p *parts) { *p.deployment.Spec.Strategy.RollingUpdate.MaxUnavailable = intstr.FromInt32(1) }, "before new ones"},
		{"Scaling", "a spread that counts old pods", "cluster", func(p *parts) { p.pod.TopologySpreadConstraints[0].MatchLabelKeys = nil }, "roll-out before"},

		{"Drain", "killed too early", "cluster", func(p *parts) { *p.pod.TerminationGracePeriodSeconds = 30 }, "killed after 30s"},
		{"Drain", "no grace period", "cluster", func(p *parts) { p.pod.TerminationGracePeriodSeconds = nil }, "of the cluster"},
		{"Drain", "a window that does not fit", "cluster", func(p *parts) { p.replaceConfig("window: 60s", "window: 80s") }, "has to fit in"},
		{"Drain", "a longer timeout", "cluster", func(p *parts) { p.replaceConfig("timeout: 76s", "timeout: 90s") }, "may need 1m35s"},
		{"Drain", "a longer sleep", "cluster", func(p *parts) { p.container.Lifecycle.PreStop.Sleep.Seconds = 60 }, "may need"},
		{"Drain", "a shell that is not there", "cluster", func(p *parts) { p.container.Lifecycle.PreStop.Sleep = nil }, "no shell"},
		{"Drain", "no delay at all", "cluster", func(p *parts) {
			p.container.Lifecycle = nil
			p.replaceConfig("delay: 1s", "delay: 0s")
		}, "before anybody can know"},
		{"Drain", "a roll-out without time", "cluster", func(p *parts) { *p.deployment.Spec.ProgressDeadlineSeconds = 60 }, "before its first pod"},

		{"Network", "metrics for everybody", "cluster", func(p *parts) { p.network.Spec.Ingress[2].From = nil }, "operations to everybody"},
		{"Network", "a port that nobody reaches", "cluster", func(p *parts) { p.network.Spec.Ingress = p.network.Spec.Ingress[1:] }, "nobody to port public"},
		{"Network", "a port that is not there", "cluster", func(p *parts) { *p.network.Spec.Ingress[0].Ports[0].Port = intstr.FromString("http") }, "port http"},
		{"Network", "the cloud's metadata", "sentinel", func(p *parts) { p.network.Spec.Egress[2].To[0].IPBlock.Except = nil }, "metadata of the cloud"},
		{"Network", "no DNS", "cluster", func(p *parts) { p.network.Spec.Egress = p.network.Spec.Egress[1:] }, "keeps gateways from DNS"},
		{"Network", "the server API for everybody", "server-api", func(p *parts) { p.network.Spec.Ingress[3].From = nil }, "api to everybody"},

		{"ServerAPI", "on the public Service", "server-api", func(p *parts) {
			p.public.Spec.Ports = append(p.public.Spec.Ports, core.ServicePort{Name: "api", Port: 8081, TargetPort: intstr.FromString("api")})
		}, "leads to the server API"},
		{"ServerAPI", "on the internal Service, by its number", "server-api", func(p *parts) { p.internal.Spec.Ports[0].TargetPort = intstr.FromInt32(8081) }, "leads to the server API"},
		{"ServerAPI", "through the clients' Ingress", "everything", func(p *parts) {
			p.ingressOf("gateway").Spec.Rules[0].HTTP.Paths[0].Backend.Service.Name = p.api.Name
		}, "opens the server API"},
		{"ServerAPI", "through the clients' route", "server-api", func(p *parts) {
			p.route.Spec.Rules[0].BackendRefs[0].Name = gateway.ObjectName(p.api.Name)
		}, "opens the server API"},
		{"ServerAPI", "a port without the Service", "server-api", func(p *parts) { p.api.Spec.Ports[0].TargetPort = intstr.FromString("public") }, "no Service leads"},
		{"ServerAPI", "on the loopback interface", "server-api", func(p *parts) { p.replaceConfig("address: :8081", "address: 127.0.0.1:8081") }, "listens at"},
		{"ServerAPI", "for everybody and not asked for", "cluster", func(p *parts) { p.replaceConfig("cluster:\n", "api:\n  address: :8081\ncluster:\n") }, "without a port"},
		{"ServerAPI", "keys for the test", "server-api", func(p *parts) { p.test.Spec.Volumes = append(p.test.Spec.Volumes, p.pod.Volumes...) }, "has the keys"},

		{"Egress", "no way for webhooks", "cluster", func(p *parts) { p.dropEgress(443) }, "keeps webhooks"},
		{"Egress", "a private network", "cluster", func(p *parts) {
			to := p.network.Spec.Egress[3].To[0].IPBlock
			to.Except = slices.DeleteFunc(to.Except, func(network string) bool { return network == "10.0.0.0/8" })
		}, "out to 10.0.0.1: true"},
		{"Egress", "a public network is not let out to", "cluster", func(p *parts) {
			to := p.network.Spec.Egress[3].To[0].IPBlock
			to.Except = append(to.Except, "198.50.0.0/16")
		}, "out to 198.50.0.0: false"},
		{"Egress", "a network of one's own that gateways would not go to", "everything", func(p *parts) { p.network.Spec.Egress[4].To[0].IPBlock.CIDR = "10.0.0.0/8" }, "out to 10.39.255.255: true"},
		{"Egress", "of IPv6", "cluster", func(p *parts) { p.network.Spec.Egress[3].To[1].IPBlock.CIDR = "::/0" }, "out to ::"},
		{"Egress", "a network that the configuration allows", "server-api", func(p *parts) { p.network.Spec.Egress[3].To = p.network.Spec.Egress[3].To[:2] }, "out to 10.30.0.0: false"},

		{"PodSecurity", "a relay's capability", "relay", func(p *parts) { p.relay.container.SecurityContext.Capabilities.Drop = nil }, "DaemonSet signaling/calls-signalbox-relay"},
		{"Environment", "a misspelt variable of the relay", "relay", func(p *parts) { p.relay.container.Env[0].Name = "SIGNALBOX_CONFG" }, "which the relay does not know"},
		{"Relay", "another secret", "relay", func(p *parts) { p.relay.workload.pod.Volumes[1].Secret.SecretName = "other" }, "do not share a secret"},
		{"Relay", "another key of the secret", "relay-service", func(p *parts) { p.relay.workload.pod.Volumes[1].Secret.Items[0].Key = "other" }, "do not share a secret"},
		{"Relay", "a secret for nothing", "cluster", func(p *parts) {
			p.container.Env = append(p.container.Env, core.EnvVar{Name: "SIGNALBOX_ICE_RELAYS_SECRETS"})
		}, "that are not there"},
		{"Relay", "gateways that do not tell of it", "relay", func(p *parts) { p.replaceConfig("enabled: true", "enabled: false") }, "do not tell of"},
		{"Relay", "a relay that tells nobody", "relay", func(p *parts) { p.relay.replaceConfig("enabled: true", "enabled: false") }, "does not tell"},
		{"Relay", "killed too early", "relay", func(p *parts) { *p.relay.workload.pod.TerminationGracePeriodSeconds = 600 }, "is killed before"},
		{"Relay", "a longer drain", "relay", func(p *parts) { p.relay.replaceConfig("drain: 3600s", "drain: 2h") }, "is killed before"},
		{"Relay", "no names of the cluster", "relay", func(p *parts) { p.relay.workload.pod.DNSPolicy = "" }, "by their names"},
		{"Relay", "metrics on every address", "relay", func(p *parts) { p.relay.container.Env[3].Value = ":9091" }, "every address of the node"},
		{"Relay", "a roll-out without time", "relay-service", func(p *parts) { *p.relay.deployment.Spec.ProgressDeadlineSeconds = 600 }, "while calls go on"},
		{"Relay", "a roll-out that waits for ports", "everything", func(p *parts) {
			*p.relay.deployment.Spec.Strategy.RollingUpdate.MaxSurge = intstr.FromInt32(1)
		}, "that the pods before have"},
		{"Relay", "a budget that broken relays hold", "relay", func(p *parts) { p.relay.budget.Spec.UnhealthyPodEvictionPolicy = nil }, "from being emptied"},
		{"Relay", "a relay port that is closed", "relay-service", func(p *parts) { *p.relay.network.Spec.Ingress[1].Ports[0].EndPort-- }, "keeps peers from"},
		{"Relay", "a port that clients do not reach", "relay-service", func(p *parts) { p.relay.network.Spec.Ingress = p.relay.network.Spec.Ingress[1:] }, "nobody to port turn-udp"},
		{"Relay", "metrics for everybody", "relay-service", func(p *parts) { p.relay.network.Spec.Ingress[2].From = nil }, "operations to everybody"},
		{"Relay", "a way into the cluster", "relay-service", func(p *parts) {
			to := p.relay.network.Spec.Egress[2].To[0].IPBlock
			to.Except = slices.DeleteFunc(to.Except, func(network string) bool { return network == "10.0.0.0/8" })
		}, "out to 10.49.255.255: true"},
		{"Relay", "the cloud's metadata", "relay-service", func(p *parts) {
			to := p.relay.network.Spec.Egress[2].To[0].IPBlock
			to.Except = slices.DeleteFunc(to.Except, func(network string) bool { return network == "169.254.0.0/16" })
		}, "out to 169.254.0.1: true"},
		{"Relay", "peers that the configuration allows", "relay-service", func(p *parts) { p.relay.network.Spec.Egress = p.relay.network.Spec.Egress[:3] }, "out to 10.50.0.0: false"},
		{"Relay", "out to everywhere", "relay-service", func(p *parts) { p.relay.network.Spec.Egress[2].To = nil }, "out to everywhere"},
	} {
		t.Run(tc.policy+"/"+tc.name, func(t *testing.T) {
			p := partsOf(variant(t, tc.variant, kubeVersions[1]))
			kept := make(map[string][]string)
			for name, keys := range p.given {
				kept[name] = keys
			}
			p.given = kept
			require.Empty(t, policies[tc.policy](p.rendered), "before")
			tc.breakIt(p)
			require.Contains(t, strings.Join(policies[tc.policy](p.rendered), "\n"), tc.want)
		})
		shown[tc.policy] = true
	}
	for name := range policies {
		require.True(t, shown[name], "nothing shows that %s can fail", name)
	}
}

func (p *parts) dropEnv(name string) {
	kept := p.container.Env[:0]
	for _, env := range p.container.Env {
		if env.Name != name {
			kept = append(kept, env)
		}
	}
	p.container.Env = kept
}

// ingressOf is the Ingress of a component.
func (p *parts) ingressOf(component string) *networking.Ingress {
	return get(p.objects, func(i *networking.Ingress) bool { return i.Labels["app.kubernetes.io/component"] == component })
}

// dropEgress takes away what goes out to a port.
func (p *parts) dropEgress(port int32) {
	p.network.Spec.Egress = slices.DeleteFunc(p.network.Spec.Egress, func(rule networking.NetworkPolicyEgressRule) bool {
		return slices.ContainsFunc(rule.Ports, func(out networking.NetworkPolicyPort) bool { return out.Port.IntVal == port })
	})
}

func (p *parts) objectOf(typed any) *object {
	for _, o := range p.objects {
		if o.typed == typed {
			return o
		}
	}
	return nil
}
