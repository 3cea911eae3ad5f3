package chart

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	gateway "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/yaml"

	"github.com/signalbox-rtc/signalbox/internal/redistest"
	"github.com/signalbox-rtc/signalbox/pkg/webhook"
)

const (
	operatorKey = "a-key-of-the-operator-for-a-test-alone"
	keysFile    = `
api:
  keys:
    - {id: operator, secret: ` + operatorKey + `, can: admin}
    - {id: billing, certificate: billing.backend.example.com, can: read}
`
)

// configuration is what the policies below ask of the gateway's file.
type configuration struct {
	API struct {
		Address string `json:"address"`
	} `json:"api"`
	Webhooks struct {
		AllowNetworks []netip.Prefix `json:"allow_networks"`
	} `json:"webhooks"`
}

func configurationOf(r *rendered) (c configuration) {
	m := get(r.objects, func(m *core.ConfigMap) bool { return m.Data["signalbox.yaml"] != "" })
	if m != nil {
		_ = yaml.Unmarshal([]byte(m.Data["signalbox.yaml"]), &c)
	}
	return c
}

// serverAPIFindings look for ways to the server API: there is one Service for it, where there is to be one, and clients have none.
func serverAPIFindings(r *rendered) []string {
	var f findings
	address := configurationOf(r).API.Address
	has := hasPort(gatewayContainer(r.objects), intstr.FromString("api"))
	switch {
	case has && address != ":8081":
		f.add("the server API has a port, and listens at %q", address)
	case !has && address != "":
		f.add("the server API listens at %s without a port", address)
	}
	isAPI := func(s *core.Service) bool { return s != nil && s.Labels["app.kubernetes.io/component"] == "server-api" }
	named := func(name string) bool {
		return isAPI(get(r.objects, func(s *core.Service) bool { return s.Name == name }))
	}
	served := false
	for _, o := range r.objects {
		switch typed := o.typed.(type) {
		case *core.Service:
			leads := slices.ContainsFunc(typed.Spec.Ports, func(p core.ServicePort) bool {
				return p.TargetPort.StrVal == "api" || p.TargetPort.IntVal == 8081
			})
			served = served || leads && isAPI(typed)
			if leads && !isAPI(typed) {
				f.add("%s leads to the server API", o.identity())
			}
		case *networking.Ingress:
			for _, rule := range typed.Spec.Rules {
				for _, path := range rule.HTTP.Paths {
					if named(path.Backend.Service.Name) && typed.Labels["app.kubernetes.io/component"] != "server-api" {
						f.add("%s opens the server API to clients", o.identity())
					}
				}
			}
		case *gateway.HTTPRoute:
			for _, rule := range typed.Spec.Rules {
				for _, ref := range rule.BackendRefs {
					if named(string(ref.Name)) {
						f.add("%s opens the server API to clients", o.identity())
					}
				}
			}
		case *core.Pod:
			if slices.ContainsFunc(typed.Spec.Volumes, func(v core.Volume) bool { return v.Name == "api-keys" }) {
				f.add("%s has the keys of the server API", o.identity())
			}
		}
	}
	if served != has {
		f.add("no Service leads to the server API, or one leads to none")
	}
	return f
}

// egressFindings hold the addresses that a policy lets gateways out to, for what apps name, against those that gateways would go to.
func egressFindings(r *rendered) []string {
	var f findings
	guard := webhook.Guard{Allowed: configurationOf(r).Webhooks.AllowNetworks}
	for _, o := range r.objects {
		np, ok := o.typed.(*networking.NetworkPolicy)
		if !ok || o.isRelay() || !slices.Contains(np.Spec.PolicyTypes, networking.PolicyTypeEgress) {
			continue
		}
		i := slices.IndexFunc(np.Spec.Egress, func(rule networking.NetworkPolicyEgressRule) bool {
			return slices.ContainsFunc(rule.Ports, func(p networking.NetworkPolicyPort) bool { return p.Port.IntVal == 443 || p.Port.IntVal == 8443 })
		})
		if i < 0 {
			f.add("%s keeps webhooks, published keys and hooks from going out", o.identity())
			continue
		}
		var blocks []*networking.IPBlock
		for _, to := range np.Spec.Egress[i].To {
			if to.IPBlock != nil {
				blocks = append(blocks, to.IPBlock)
			}
		}
		everywhere := slices.ContainsFunc(blocks, func(b *networking.IPBlock) bool { return b.CIDR == "0.0.0.0/0" })
		for _, address := range telling(blocks, guard.Allowed) {
			// Who names networks of their own may mean fewer.
			if out := letsOut(blocks, address); out && !guard.Allows(address) || !out && everywhere && guard.Allows(address) {
				f.add("%s lets gateways out to %s: %t, and they would go there: %t", o.identity(), address, out, !out)
				break
			}
		}
	}
	return f
}

// telling are addresses at which a policy and the gateways could differ: beside each end of a network that the policy or the configuration
// names, and the first of each network that a registry might name.
func telling(blocks []*networking.IPBlock, allowed []netip.Prefix) (addresses []netip.Addr) {
	networks := slices.Clone(allowed)
	for _, block := range blocks {
		for _, text := range append([]string{block.CIDR}, block.Except...) {
			networks = append(networks, netip.MustParsePrefix(text))
		}
	}
	for _, network := range networks {
		first, last := network.Masked().Addr(), lastOf(network)
		for _, address := range []netip.Addr{first, first.Prev(), last, last.Next()} {
			if address.IsValid() {
				addresses = append(addresses, address)
			}
		}
	}
	for high := range 1 << 16 {
		addresses = append(addresses, netip.AddrFrom4([4]byte{byte(high >> 8), byte(high), 0, 1}), netip.AddrFrom16([16]byte{byte(high >> 8), byte(high), 15: 1}))
	}
	for _, text := range []string{"192.0.0.0/16", "192.88.0.0/16", "198.51.0.0/16", "203.0.0.0/16"} { // those with networks of 24 bits
		bytes := netip.MustParsePrefix(text).Addr().As4()
		for third := range 256 {
			addresses = append(addresses, netip.AddrFrom4([4]byte{bytes[0], bytes[1], byte(third), 1}))
		}
	}
	return addresses
}

func lastOf(network netip.Prefix) netip.Addr {
	bytes := network.Masked().Addr().AsSlice()
	for bit := network.Bits(); bit < 8*len(bytes); bit++ {
		bytes[bit/8] |= 1 << (7 - bit%8)
	}
	last, _ := netip.AddrFromSlice(bytes)
	return last
}

func letsOut(blocks []*networking.IPBlock, address netip.Addr) bool {
	within := func(network string) bool { return netip.MustParsePrefix(network).Contains(address) }
	return slices.ContainsFunc(blocks, func(b *networking.IPBlock) bool { return within(b.CIDR) && !slices.ContainsFunc(b.Except, within) })
}

// What apps name is let out to at the ports that it may have.
func TestWebhooksAreLetOut(t *testing.T) {
	for text, want := range map[string]string{
		"":                                       "443",
		"config: {webhooks: {allow_http: true}}": "80 443",
		"networkPolicy: {egress: {webhooks: {ports: [8443]}}}":                        "8443",
		"networkPolicy: {egress: {webhooks: {enabled: false}}}":                       "",
		"networkPolicy: {egress: {enabled: false}}":                                   "",
		"config: {webhooks: {allow_networks: [10.1.0.0/16, '::/0']}}":                 "443 10.1.0.0/16 ::/0 except fe80::/10",
		"networkPolicy: {egress: {webhooks: {to: [{ipBlock: {cidr: 10.2.0.0/16}}]}}}": "443 10.2.0.0/16",
	} {
		v := least(t, text)
		on, _ := v["networkPolicy"].(map[string]any)
		if on == nil {
			on = make(map[string]any)
		}
		on["enabled"] = true
		v["networkPolicy"] = on
		np := get[*networking.NetworkPolicy](decoded(t, release{values: v}), nil)
		var got []string
		for _, rule := range np.Spec.Egress[min(3, len(np.Spec.Egress)):] {
			for _, port := range rule.Ports {
				got = append(got, port.Port.String())
			}
			for _, to := range rule.To {
				switch block := to.IPBlock; {
				case len(block.Except) > 1: // the public ones
				case len(block.Except) == 1:
					got = append(got, block.CIDR, "except", block.Except[0])
				default:
					got = append(got, block.CIDR)
				}
			}
		}
		require.Equal(t, want, strings.Join(got, " "), text)
	}
}

// Without being asked for there is nothing of the server API but what a gateway with keys has on its loopback interface.
func TestServerAPIIsOffByDefault(t *testing.T) {
	r := &rendered{objects: decoded(t, release{values: least(t, "api: {keys: {existingSecret: k}}\nnetworkPolicy: {enabled: true}")})}
	require.Empty(t, serverAPIFindings(r))
	require.False(t, hasPort(gatewayContainer(r.objects), intstr.FromString("api")))
	require.Contains(t, envValue(gatewayContainer(r.objects), "SIGNALBOX_CONFIG"), ",/etc/signalbox/api/api.yaml")
	c := configurationOf(r)
	require.Empty(t, c.API.Address)
}

// A gateway of the chart serves the server API in TLS, to who has a key of the Secret or a certificate that it names.
func TestGatewayServesTheAPI(t *testing.T) {
	redis := redistest.Single(t)
	objects := decoded(t, release{values: variants(t)["server-api"]})
	spec, c := deployment(objects, "gateway").Spec.Template.Spec, gatewayContainer(objects)
	m := mount(t, objects, &spec, c)
	ours := newAuthority(t)
	certificate, key := ours.files(t, "calls-signalbox-api.signaling")
	for path, text := range map[string][]byte{
		"/etc/signalbox/api-tls/tls.crt": certificate, "/etc/signalbox/api-tls/tls.key": key, "/etc/signalbox/api-client-ca/ca.crt": ours.pem(),
	} {
		require.NoError(t, os.MkdirAll(filepath.Dir(m.here(path)), 0o700))
		require.NoError(t, os.WriteFile(m.here(path), text, 0o600))
	}
	m.env = slices.DeleteFunc(m.env, func(e string) bool { return strings.HasPrefix(e, "SIGNALBOX_REDIS_PASSWORD=") })
	at := start(t, m, "--redis.addresses="+strings.TrimPrefix(redis.URL(), "redis://"), "--listen.public=127.0.0.1:0", "--listen.operations=127.0.0.1:0",
		"--listen.cluster=127.0.0.1:0", "--shutdown.window=0s", "--shutdown.grace=0s", "--shutdown.delay=0s", "--api.address=127.0.0.1:0",
		"--api.tls.cert_file="+m.here("/etc/signalbox/api-tls/tls.crt"), "--api.tls.key_file="+m.here("/etc/signalbox/api-tls/tls.key"),
		"--api.tls.client_ca_file="+m.here("/etc/signalbox/api-client-ca/ca.crt"))

	ask := func(key string, certificates ...tls.Certificate) int {
		roots := x509.NewCertPool()
		require.True(t, roots.AppendCertsFromPEM(ours.pem()))
		transport := &http.Transport{TLSClientConfig: &tls.Config{
			RootCAs: roots, Certificates: certificates, ServerName: "calls-signalbox-api.signaling", MinVersion: tls.VersionTLS12,
		}}
		defer transport.CloseIdleConnections()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+at.API+"/v1/nodes", nil)
		require.NoError(t, err)
		if key != "" {
			request.Header.Set("Authorization", "Bearer "+key)
		}
		response, err := (&http.Client{Transport: transport, Timeout: patience}).Do(request)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		return response.StatusCode
	}
	require.Equal(t, http.StatusUnauthorized, ask(""))
	require.Equal(t, http.StatusOK, ask(operatorKey))
	for name, want := range map[string]int{"billing.backend.example.com": http.StatusOK, "other.backend.example.com": http.StatusUnauthorized} {
		pair, err := tls.X509KeyPair(ours.files(t, name))
		require.NoError(t, err)
		require.Equal(t, want, ask("", pair), name)
	}
}

// authority signs certificates.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	certificate, err := x509.ParseCertificate(raw)
	require.NoError(t, err)
	return &authority{certificate: certificate, key: key}
}

func (a *authority) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.certificate.Raw})
}

// files are a certificate for a name and its key.
func (a *authority) files(t *testing.T, name string) (certificate, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), DNSNames: []string{name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, a.certificate, private.Public(), a.key)
	require.NoError(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}
