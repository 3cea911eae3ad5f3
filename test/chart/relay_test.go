package chart

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/yaml"

	"github.com/signalbox-rtc/signalbox/internal/redistest"
	"github.com/signalbox-rtc/signalbox/pkg/config"
	"github.com/signalbox-rtc/signalbox/pkg/webhook"
	"github.com/signalbox-rtc/signalbox/services/relay/app"
)

const (
	// turnSecrets are a file of secrets, one a line, as relays read it, and gateways have it in a variable.
	turnSecrets = "the-first-secret-of-the-relays\nthe-one-before-it\n"
	// someRelay are the least values of a relay.
	someRelay = "relay: {enabled: true, secret: {existingSecret: turn}, external: {hostIPs: true}}"
)

// relayBinary builds the relay once.
var relayBinary = sync.OnceValues(func() (string, error) { return build("relay") })

// relayVariables are all that the relay knows, and what the chart's values may name.
var relayVariables = sync.OnceValue(func() map[string]bool {
	known := variablesOf(reflect.TypeFor[app.Config]())
	known["NODE_NAME"], known["HOST_IP"] = true, true
	return known
})

func (o *object) isRelay() bool { return o.typed.GetLabels()["app.kubernetes.io/component"] == "relay" }

// relayOf gives the workload of the relays; nil without.
func (r *rendered) relayOf() *object {
	for _, o := range r.objects {
		if o.isRelay() && o.pod != nil {
			return o
		}
	}
	return nil
}

// relayConfigOf reads what is rendered for the relays.
func (r *rendered) relayConfigOf(tb testing.TB) *app.Config {
	tb.Helper()
	c, err := r.loadRelay(tb)
	require.NoError(tb, err)
	return c
}

// loadRelay has the relay's own code read the ConfigMap, the variables and the files of the pod.
func (r *rendered) loadRelay(tb testing.TB) (*app.Config, error) {
	tb.Helper()
	workload := r.relayOf()
	m := mount(tb, r.objects, workload.pod, &workload.pod.Containers[0])
	return app.Load(workload.pod.Containers[0].Args, m.env, nil)
}

// withoutHostNetwork is a pod as it would be on a network of its own: all else has to hold to the restricted profile.
func withoutHostNetwork(spec *core.PodSpec) *core.PodSpec {
	spec = spec.DeepCopy()
	spec.HostNetwork = false
	return spec
}

// isRelayPort reports whether a Service leads to one of the ports that a relay relays from, which are not listed in its container.
func (r *rendered) isRelayPort(workload *object, port core.ServicePort) bool {
	from, to := relayFileOf(r).Relay.PortsFrom, relayFileOf(r).Relay.PortsTo
	return workload.isRelay() && port.TargetPort.Type == intstr.Int && port.TargetPort.IntValue() >= from && port.TargetPort.IntValue() <= to
}

// relayFile is what the policies below ask of the relay's file.
type relayFile struct {
	Relay struct {
		PortsFrom int `json:"ports_from"`
		PortsTo   int `json:"ports_to"`
	} `json:"relay"`
	Peers struct {
		Allow []string `json:"allow"`
	} `json:"peers"`
	Announce struct {
		Enabled bool `json:"enabled"`
	} `json:"announce"`
	Shutdown struct {
		Drain string `json:"drain"`
	} `json:"shutdown"`
}

func relayFileOf(r *rendered) (file relayFile) {
	m := get(r.objects, func(m *core.ConfigMap) bool { return m.Data["relay.yaml"] != "" })
	if m != nil {
		_ = yaml.Unmarshal([]byte(m.Data["relay.yaml"]), &file)
	}
	return file
}

// relayFindings look at what relays need beside what every pod does: time for calls to end, one secret with the gateways, ports that lead
// to them, and no way into the cluster.
func relayFindings(r *rendered) []string {
	var f findings
	workload := r.relayOf()
	_, asked := envOf(gatewayContainer(r.objects), "SIGNALBOX_ICE_RELAYS_SECRETS")
	if workload == nil {
		if asked {
			f.add("gateways ask for the secret of relays that are not there")
		}
		return f
	}
	c := &workload.pod.Containers[0]
	f.relaySecret(r, workload)
	f.relayDrain(r, workload)
	if workload.pod.HostNetwork && workload.pod.DNSPolicy != core.DNSClusterFirstWithHostNet {
		f.add("%s does not find the cluster's Services by their names", workload.identity())
	}
	if address, _ := envOf(c, "SIGNALBOX_LISTEN_OPERATIONS"); workload.pod.HostNetwork && !strings.HasPrefix(address.Value, "[$(HOST_IP)]:") {
		f.add("%s shows its metrics on every address of the node", workload.identity())
	}
	for _, o := range r.objects {
		switch typed := o.typed.(type) {
		case *networking.NetworkPolicy:
			if o.isRelay() {
				f.relayNetwork(r, o, typed, c)
			}
		case *policy.PodDisruptionBudget:
			if o.isRelay() && (typed.Spec.MaxUnavailable == nil || typed.Spec.UnhealthyPodEvictionPolicy == nil || *typed.Spec.UnhealthyPodEvictionPolicy != policy.AlwaysAllow) {
				f.add("%s may keep nodes from being emptied", o.identity())
			}
		}
	}
	return f
}

func envOf(c *core.Container, name string) (core.EnvVar, bool) {
	i := slices.IndexFunc(c.Env, func(e core.EnvVar) bool { return e.Name == name })
	if i < 0 {
		return core.EnvVar{}, false
	}
	return c.Env[i], true
}

// relaySecret holds what relays and gateways share against each other.
func (f *findings) relaySecret(r *rendered, workload *object) {
	var shared *core.SecretVolumeSource
	for _, volume := range workload.pod.Volumes {
		if volume.Name == "turn" {
			shared = volume.Secret
		}
	}
	env, _ := envOf(gatewayContainer(r.objects), "SIGNALBOX_ICE_RELAYS_SECRETS")
	if shared == nil || env.ValueFrom == nil || env.ValueFrom.SecretKeyRef.Name != shared.SecretName || env.ValueFrom.SecretKeyRef.Key != shared.Items[0].Key {
		f.add("gateways and %s do not share a secret", workload.identity())
	}
	m := get(r.objects, func(m *core.ConfigMap) bool { return m.Data["signalbox.yaml"] != "" })
	if !strings.Contains(m.Data["signalbox.yaml"], "relays:\n    enabled: true") {
		f.add("gateways do not tell of %s", workload.identity())
	}
	if !relayFileOf(r).Announce.Enabled {
		f.add("%s does not tell the gateways of itself", workload.identity())
	}
}

// relayDrain holds the grace period against the time that calls may take to end.
func (f *findings) relayDrain(r *rendered, workload *object) {
	text := relayFileOf(r).Shutdown.Drain
	drain, err := time.ParseDuration(text)
	if granted := workload.pod.TerminationGracePeriodSeconds; err != nil || granted == nil || time.Duration(*granted)*time.Second < drain+5*time.Second {
		f.add("%s is killed before its calls may take to end, which is %q", workload.identity(), text)
	}
	if d, ok := workload.typed.(*apps.Deployment); ok && (d.Spec.ProgressDeadlineSeconds == nil || time.Duration(*d.Spec.ProgressDeadlineSeconds)*time.Second <= drain) {
		f.add("a roll-out of %s fails while calls go on", workload.identity())
	}
	if d, ok := workload.typed.(*apps.Deployment); ok && workload.pod.HostNetwork && d.Spec.Strategy.RollingUpdate.MaxSurge.String() != "0" {
		f.add("a roll-out of %s waits for ports that the pods before have", workload.identity())
	}
}

// relayNetwork holds a policy against what clients and peers need, and against what a relay itself would send to.
func (f *findings) relayNetwork(r *rendered, o *object, np *networking.NetworkPolicy, c *core.Container) {
	from, to := relayFileOf(r).Relay.PortsFrom, relayFileOf(r).Relay.PortsTo
	open := make(map[string]bool)
	for _, rule := range np.Spec.Ingress {
		for _, port := range rule.Ports {
			open[port.Port.String()] = true
			if port.Port.StrVal == "operations" && len(rule.From) == 0 {
				f.add("%s opens port operations to everybody", o.identity())
			}
			if port.EndPort != nil && (port.Port.IntValue() != from || int(*port.EndPort) != to || len(rule.From) > 0) {
				f.add("%s keeps peers from relay ports", o.identity())
			}
		}
	}
	for _, port := range c.Ports {
		if !open[port.Name] {
			f.add("%s lets nobody to port %s", o.identity(), port.Name)
		}
	}
	if !open[strconv.Itoa(from)] {
		f.add("%s keeps peers from relay ports", o.identity())
	}
	if !slices.Contains(np.Spec.PolicyTypes, networking.PolicyTypeEgress) {
		return
	}
	var blocks []*networking.IPBlock
	for _, rule := range np.Spec.Egress {
		for _, port := range rule.Ports {
			if port.EndPort == nil || port.Protocol == nil || *port.Protocol != core.ProtocolUDP {
				continue
			}
			for _, to := range rule.To {
				blocks = append(blocks, to.IPBlock)
			}
			if len(rule.To) == 0 {
				f.add("%s lets relays out to everywhere", o.identity())
			}
		}
	}
	guard := webhook.Guard{Allowed: r.relayAllows()}
	for _, address := range telling(blocks, guard.Allowed) {
		if out := letsOut(blocks, address); out != guard.Allows(address) {
			f.add("%s lets relays out to %s: %t, and they would send there: %t", o.identity(), address, out, !out)
			break
		}
	}
}

// relayAllows are the networks of peers.allow.
func (r *rendered) relayAllows() (networks []netip.Prefix) {
	for _, text := range relayFileOf(r).Peers.Allow {
		network, err := netip.ParsePrefix(text)
		if err != nil {
			address := netip.MustParseAddr(text)
			network = netip.PrefixFrom(address, address.BitLen())
		}
		networks = append(networks, network)
	}
	return networks
}

// The real relay takes what every variant renders: file, variables and arguments together.
func TestRelayLoadsTheConfiguration(t *testing.T) {
	for name, v := range variants(t) {
		r := &rendered{objects: decoded(t, release{values: v})}
		workload := r.relayOf()
		if workload == nil {
			continue
		}
		t.Run(name, func(t *testing.T) {
			m := mount(t, r.objects, workload.pod, &workload.pod.Containers[0])
			out, err := command(t, relayBinary, m.env, append(workload.pod.Containers[0].Args, "--print-config")...).CombinedOutput()
			require.NoError(t, err, string(out))
			require.NotContains(t, string(out), "hush")
			c := r.relayConfigOf(t)
			require.Empty(t, c.Warnings(), "a variant is an example")
			require.True(t, c.Announce.Enabled)
			require.FileExists(t, m.here("/etc/signalbox/turn/"+filepath.Base(c.Credentials.File)))
			switch name {
			case "relay":
				require.Equal(t, []string{"198.51.100.7", "2001:db8::7"}, c.Relay.ExternalIP)
				require.Equal(t, "turns:node-1.turn.example.com:443?transport=tcp", c.Relay.URLs[3])
				require.Equal(t, []string{":443"}, c.Listen.TLS)
				require.Equal(t, "[198.51.100.7]:9091", c.Listen.Operations)
				require.Equal(t, "eu-west", c.Relay.Region, "that of the gateways")
				require.Equal(t, time.Hour, c.Shutdown.Drain)
				require.Equal(t, 16, c.Quotas.UserAllocations)
			case "relay-service":
				require.Equal(t, []string{"198.51.100.1"}, c.Relay.ExternalIP)
				require.Equal(t, "/etc/signalbox/redis-client/tls.key", c.Redis.TLS.KeyFile)
				require.Equal(t, ":9091", c.Listen.Operations)
				require.Equal(t, 50099, c.Relay.PortsTo)
			case "everything":
				require.Equal(t, "stun.example.com:3478", c.Relay.STUNServer)
				require.Equal(t, []string{":13478"}, c.Listen.UDP)
				require.Equal(t, 2, c.Listen.Sockets)
				require.Equal(t, 3, c.Redis.Database)
			}
		})
	}
}

// The test above would see a key that the relay does not know.
func TestRelayRefusesWhatItDoesNotKnow(t *testing.T) {
	r := &rendered{objects: decoded(t, release{values: variants(t)["relay"]})}
	m := get(r.objects, func(m *core.ConfigMap) bool { return m.Data["relay.yaml"] != "" })
	m.Data["relay.yaml"] += "quota: {allocations: 3}\n"
	_, err := r.loadRelay(t)
	var wrong *config.Error
	require.ErrorAs(t, err, &wrong)
	require.ErrorContains(t, err, "quota")
}

// A relay of the chart, but for its addresses, starts, answers its probes, and gateways of the chart with the same Secret tell of it.
func TestRelayRuns(t *testing.T) {
	redis := redistest.Single(t)
	url := "--redis.addresses=" + strings.TrimPrefix(redis.URL(), "redis://")
	r := &rendered{objects: decoded(t, release{values: values(t, "devRedis: {enabled: true}\nconfig: {demo: {enabled: true}}\n"+someRelay)})}
	workload := r.relayOf()
	c := &workload.pod.Containers[0]
	m := mount(t, r.objects, workload.pod, c)
	cmd := command(t, relayBinary, m.env, url, "--listen.udp=127.0.0.1:0", "--listen.tcp=127.0.0.1:0", "--listen.operations=[127.0.0.1]:0",
		"--relay.external_ip=127.0.0.1", "--credentials.secrets_file="+m.here("/etc/signalbox/turn/secrets"), "--shutdown.drain=1s")
	cmd.Cancel = func() error { return nil } // it is told to end below, as the kubelet does
	stderr, err := cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	ready := make(chan string, 1)
	var reading sync.WaitGroup
	reading.Go(func() {
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			var line struct{ Msg, Operations string }
			if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "relay is ready" {
				ready <- line.Operations
			}
		}
	})
	t.Cleanup(func() {
		require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
		reading.Wait()
		_ = cmd.Wait() // with the test's context, which has ended
		require.Zero(t, cmd.ProcessState.ExitCode(), "it ends in order")
	})
	var operations string
	select {
	case operations = <-ready:
	case <-time.After(patience):
		require.FailNow(t, "the relay is not ready")
	}
	for _, path := range []string{c.StartupProbe.HTTPGet.Path, c.LivenessProbe.HTTPGet.Path, c.ReadinessProbe.HTTPGet.Path, "/metrics"} {
		require.Equal(t, http.StatusOK, status(t, "http://"+operations+path), path)
	}

	spec, gateway := deployment(r.objects, "gateway").Spec.Template.Spec, gatewayContainer(r.objects)
	at := start(t, mount(t, r.objects, &spec, gateway), url, "--listen.public=127.0.0.1:0", "--listen.operations=127.0.0.1:0",
		"--listen.cluster=127.0.0.1:0", "--shutdown.window=0s", "--shutdown.grace=0s", "--shutdown.delay=0s")
	require.Eventually(t, func() bool {
		return strings.Contains(text(t, "http://"+at.Operations+"/metrics"), `signalbox_ice_relays{state="usable"} 1`)
	}, patience, 50*time.Millisecond)
}

func text(t *testing.T, url string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	read, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return string(read)
}

// What the schema and the templates refuse of relays.
func TestRefusesOfRelays(t *testing.T) {
	for name, tc := range map[string]struct{ values, want string }{
		"no secret":                           {"relay: {enabled: true, external: {hostIPs: true}}", "relay.secret.existingSecret"},
		"no external address":                 {"relay: {enabled: true, secret: {existingSecret: turn}}", "one of relay.external"},
		"a low port of a pod":                 {"relay: {enabled: true, hostNetwork: false, secret: {existingSecret: turn}, external: {stunServer: 'a:1'}, urls: ['turn:a'], service: {enabled: true}, ports: {udp: 443}}", "relay.service.ports"},
		"two external addresses":              {"relay: {enabled: true, secret: {existingSecret: turn}, external: {hostIPs: true, stunServer: 'a:1'}}", "one of relay.external"},
		"one address of two relays":           {"relay: {enabled: true, secret: {existingSecret: turn}, external: {ips: [198.51.100.1]}}", "relay.replicaCount 1"},
		"the node's address of a pod":         {"relay: {enabled: true, hostNetwork: false, secret: {existingSecret: turn}, external: {hostIPs: true}}", "needs relay.hostNetwork"},
		"no way for clients":                  {"relay: {enabled: true, hostNetwork: false, secret: {existingSecret: turn}, external: {stunServer: 'a:1'}}", "no client would reach"},
		"a Service that nobody is told of":    {"relay: {enabled: true, secret: {existingSecret: turn}, external: {stunServer: 'a:1'}, service: {enabled: true}}", "relay.urls"},
		"ports the wrong way round":           {someRelay[:len(someRelay)-1] + ", ports: {relayFrom: 50000, relayTo: 40000}}", "relay.ports.relayFrom"},
		"a port within the relay ports":       {someRelay[:len(someRelay)-1] + ", ports: {operations: 50000}}", "one of the relay ports"},
		"one port for two":                    {someRelay[:len(someRelay)-1] + ", ports: {operations: 3478}}", "no two may be the same"},
		"relay ports on two relays' Service":  {"relay: {enabled: true, hostNetwork: false, secret: {existingSecret: turn}, external: {stunServer: 'a:1'}, urls: ['turn:a'], service: {enabled: true, relayPorts: true}}", "single relay"},
		"thousands of ports on a Service":     {"relay: {enabled: true, replicaCount: 1, hostNetwork: false, secret: {existingSecret: turn}, external: {ips: [198.51.100.1]}, urls: ['turn:a'], service: {enabled: true, relayPorts: true}}", "200 ports"},
		"a secret in the configuration":       {someRelay[:len(someRelay)-1] + ", config: {credentials: {secrets: [hush]}}}", "secrets"},
		"a password in the configuration":     {someRelay[:len(someRelay)-1] + ", config: {redis: {password: hush}}}", "password"},
		"a misspelt key of the configuration": {someRelay[:len(someRelay)-1] + ", config: {quotas: {user: 3}}}", "user"},
		"ports in the configuration":          {someRelay[:len(someRelay)-1] + ", config: {relay: {ports_from: 50000}}}", "ports_from"},
		"an URL that is none":                 {someRelay[:len(someRelay)-1] + ", urls: ['https://turn.example.com']}", "urls"},
		"a kind that is none":                 {someRelay[:len(someRelay)-1] + ", kind: StatefulSet}", "kind"},
		"a limit of memory in thousandths":    {someRelay[:len(someRelay)-1] + ", resources: {limits: {memory: 128m}}}", "relay.resources.limits.memory"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := render(release{values: least(t, tc.values)})
			require.ErrorContains(t, err, tc.want)
			require.NotContains(t, err.Error(), "hush")
		})
	}
}

// A port of the node that root alone may have takes root with that one capability, unless the nodes let everybody.
func TestRelayOnALowPort(t *testing.T) {
	context := func(more string) *core.SecurityContext {
		r := &rendered{objects: decoded(t, release{values: least(t, someRelay[:len(someRelay)-1]+more+"}")})}
		return r.relayOf().pod.Containers[0].SecurityContext
	}
	for _, more := range []string{"", ", ports: {tls: 443}", ", tls: {existingSecret: a}, ports: {tls: 443}, unprivilegedPorts: true"} {
		c := context(more)
		require.Empty(t, c.Capabilities.Add, more)
		require.Nil(t, c.RunAsUser, more)
	}
	c := context(", tls: {existingSecret: a}, ports: {tls: 443}")
	require.Equal(t, []core.Capability{"NET_BIND_SERVICE"}, c.Capabilities.Add)
	require.Equal(t, []core.Capability{"ALL"}, c.Capabilities.Drop)
	require.Zero(t, *c.RunAsUser)
	require.False(t, *c.RunAsNonRoot)
	require.False(t, *c.AllowPrivilegeEscalation)
	require.True(t, *c.ReadOnlyRootFilesystem)
}

// Without being asked for there is nothing of relays, and gateways know of none.
func TestRelayIsOffByDefault(t *testing.T) {
	r := &rendered{objects: decoded(t, release{values: least(t, "networkPolicy: {enabled: true}\npodMonitor: {enabled: true}")})}
	require.Nil(t, r.relayOf())
	for _, o := range r.objects {
		require.False(t, o.isRelay(), o.identity())
		require.NotContains(t, o.text, "relay", o.identity())
	}
}

// Each protocol has a Service of its own where a load balancer takes no two.
func TestRelayServices(t *testing.T) {
	protocols := func(v map[string]any) map[string][]string {
		found := make(map[string][]string)
		for _, o := range decoded(t, release{values: v}) {
			if s, ok := o.typed.(*core.Service); ok && o.isRelay() {
				for _, port := range s.Spec.Ports {
					found[s.Name] = append(found[s.Name], port.Name+"/"+string(port.Protocol)+"/"+strconv.Itoa(int(port.Port)))
				}
			}
		}
		return found
	}
	split := protocols(variants(t)["relay-service"])
	require.Equal(t, []string{"turn-tcp/TCP/3478", "turn-tls/TCP/443"}, split["calls-signalbox-relay-tcp"])
	require.Len(t, split["calls-signalbox-relay-udp"], 101)
	require.Equal(t, "relay-50099/UDP/50099", split["calls-signalbox-relay-udp"][100])
	require.Equal(t, map[string][]string{"sb-relay": {"turn-udp/UDP/3478", "turn-tcp/TCP/3478", "turn-tls/TCP/443"}}, func() map[string][]string {
		found := protocols(variants(t)["everything"])
		return map[string][]string{"sb-relay": found["calls-sb-relay"]}
	}())
	require.Empty(t, protocols(variants(t)["relay"]))
}

// What the chart takes for granted of the relay's image.
func TestDockerfileFitsTheRelay(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join(root, "Dockerfile"))
	require.NoError(t, err)
	_, stage, found := strings.Cut(string(raw), "\nFROM scratch AS relay\n")
	require.True(t, found)
	stage, _, _ = strings.Cut(stage, "\nFROM ")
	r := &rendered{objects: decoded(t, release{values: least(t, someRelay)})}
	spec := r.relayOf().pod
	require.Contains(t, stage, "\nUSER "+strconv.FormatInt(*spec.SecurityContext.RunAsUser, 10)+":")
	require.Contains(t, stage, "\nENTRYPOINT [\"/relay\"]")
	require.Empty(t, spec.Containers[0].Command, "the image's own")
}
