package app_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/auth"
	"github.com/signalbox-rtc/signalbox/pkg/client"
	"github.com/signalbox-rtc/signalbox/pkg/httpapi"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
	"github.com/signalbox-rtc/signalbox/services/gateway/app"
)

// apiKey is the operator's in these tests.
const apiKey = "the-operators-key-for-tests-0123456789"

// apiConfig is demoConfig with a server API.
func apiConfig(name string, redis backend) *app.Config {
	config := demoConfig(name, redis)
	config.API.Address = "127.0.0.1:0"
	config.API.Keys = []app.APIKey{{ID: "root", Secret: apiKey, Can: "admin"}}
	config.API.Timeout = patience
	config.API.RequestsPerSecond, config.API.RequestsBurst = 100_000, 100_000 // tests ask until something has happened
	return config
}

// callAPI makes a request to a gateway's server API and reads the answer into what is given, which may be nil.
func callAPI(tb testing.TB, g *gateway, method, path, body string, into any) (status int) {
	tb.Helper()
	request, err := http.NewRequestWithContext(tb.Context(), method, "http://"+g.APIAddr().String()+path, strings.NewReader(body))
	require.NoError(tb, err)
	request.Header.Set("Authorization", "Bearer "+apiKey)
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	require.NoError(tb, err)
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	require.NoError(tb, err)
	if into != nil {
		require.NoError(tb, json.Unmarshal(text, into), string(text))
	}
	return response.StatusCode
}

// Without a key there is no server API; with one it comes with the gateway and goes with it.
func TestAPIListens(t *testing.T) {
	redis := singleRedis(t)
	without := demoConfig("without", redis)
	without.API.Address = "127.0.0.1:0"
	require.Nil(t, openGateway(t, app.Options{Config: without}).APIAddr())

	g := openGateway(t, app.Options{Config: apiConfig("with", redis)})
	require.NoError(t, g.WaitReady(t.Context()))
	require.Equal(t, http.StatusOK, callAPI(t, g, "GET", "/v1/nodes", "", nil))
	address := g.APIAddr().String()
	http.DefaultClient.CloseIdleConnections()
	require.NoError(t, g.end())
	_, err := g.dial(t.Context(), "tcp", address)
	require.Error(t, err)
}

// A client certificate stands for a key; one of another authority does not get past the handshake.
func TestAPICertificates(t *testing.T) {
	dir := t.TempDir()
	ours, theirs := newAuthority(t), newAuthority(t)
	serverCert, serverKey := ours.issue(t, dir, "server", x509.ExtKeyUsageServerAuth)
	config := apiConfig("tls", singleRedis(t))
	config.API.TLS = app.APITLSConfig{CertFile: serverCert, KeyFile: serverKey, ClientCAFile: ours.file(t, dir)}
	config.API.Keys = append(config.API.Keys, app.APIKey{ID: "backend", Certificate: "backend", Can: "read"})
	g := openGateway(t, app.Options{Config: config})

	ask := func(authority *authority, name string) (int, error) {
		roots := x509.NewCertPool()
		roots.AddCert(ours.certificate)
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: "server", MinVersion: tls.VersionTLS12}}}
		defer client.CloseIdleConnections()
		if authority != nil {
			certFile, keyFile := authority.issue(t, t.TempDir(), name, x509.ExtKeyUsageClientAuth)
			pair, err := tls.LoadX509KeyPair(certFile, keyFile)
			require.NoError(t, err)
			client.Transport.(*http.Transport).TLSClientConfig.Certificates = []tls.Certificate{pair}
		}
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+g.APIAddr().String()+"/v1/nodes", nil)
		require.NoError(t, err)
		response, err := client.Do(request)
		if err != nil {
			return 0, err
		}
		return response.StatusCode, response.Body.Close()
	}
	for _, tc := range []struct {
		authority *authority
		name      string
		want      int
	}{{ours, "backend", 200}, {ours, "somebody", 401}, {nil, "", 401}} {
		status, err := ask(tc.authority, tc.name)
		require.NoError(t, err)
		require.Equal(t, tc.want, status)
	}
	_, err := ask(theirs, "backend")
	require.Error(t, err)
}

// What is wrong with the API's configuration is told before anything starts.
func TestAPIConfig(t *testing.T) {
	for name, tc := range map[string]struct{ file, want string }{
		"a short secret":        {"api: {keys: [{id: a, secret: short, can: read}]}", "api.keys[0].secret: is shorter than 32"},
		"neither":               {"api: {keys: [{id: a, can: read}]}", "neither a hash nor a certificate"},
		"both":                  {"api: {keys: [{id: a, secret: " + apiKey + ", hash: ff, can: read}]}", "has a secret and a hash"},
		"no hash":               {"api: {keys: [{id: a, hash: ff, can: read}]}", "64 digits"},
		"no permission":         {"api: {keys: [{id: a, secret: " + apiKey + "}]}", "read, write, admin"},
		"an id twice":           {"api: {keys: [{id: a, secret: " + apiKey + ", can: read}, {id: a, secret: " + apiKey + "x, can: read}]}", "twice"},
		"half a pair":           {"api: {tls: {cert_file: x}}", "one needs the other"},
		"an authority alone":    {"api: {tls: {client_ca_file: x}}", "needs api.tls.cert_file"},
		"the clients' address":  {"api: {address: ':8080', keys: [{id: a, secret: " + apiKey + ", can: read}]}", "are both"},
		"an address that is no": {"api: {address: x, keys: [{id: a, secret: " + apiKey + ", can: read}]}", "host:port"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := load(t, tc.file, nil, nil)
			require.ErrorContains(t, err, tc.want)
			require.NotContains(t, err.Error(), apiKey)
		})
	}
	c, err := load(t, "api: {address: ':8081', keys: [{id: a, secret: "+apiKey+", can: read, apps: [acme]}]}", nil, nil)
	require.NoError(t, err)
	require.Contains(t, strings.Join(c.Warnings(), "\n"), "api.address can be reached from other machines")
	require.Equal(t, []string{"acme"}, c.API.Keys[0].Apps)
}

// authority issues certificates.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	certificate, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return &authority{certificate, key}
}

// file writes the authority's own certificate.
func (a *authority) file(t *testing.T, dir string) string {
	t.Helper()
	return writePEM(t, filepath.Join(dir, "ca.pem"), "CERTIFICATE", a.certificate.Raw)
}

func (a *authority) issue(t *testing.T, dir, name string, usage x509.ExtKeyUsage) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{usage},
	}, a.certificate, key.Public(), a.key)
	require.NoError(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	return writePEM(t, filepath.Join(dir, name+".pem"), "CERTIFICATE", der), writePEM(t, filepath.Join(dir, name+"-key.pem"), "PRIVATE KEY", private)
}

func writePEM(t *testing.T, path, kind string, der []byte) string {
	t.Helper()
	require.NoError(t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
	return path
}

// Whichever gateway is asked, the API acts in the whole cluster: an app that is made by one is known to the other, and clients of
// both get what either is asked to do. Numbers of answers and events agree.
func TestAPIActsInTheWholeCluster(t *testing.T) {
	onBoth(t, func(t *testing.T, redis backend) {
		gateways := startGateways(t, 2, redis, func(c *app.Config) { *c = *apiConfig(c.Node.Name, redis) })
		one, two := gateways[0], gateways[1]
		for _, g := range gateways {
			require.NoError(t, g.WaitReady(t.Context()))
		}
		require.Equal(t, 201, callAPI(t, one, "POST", "/v1/apps", `{"id":"nova","policy":{"capacity":3}}`, nil))
		require.Equal(t, 201, callAPI(t, one, "POST", "/v1/apps/nova/keys", `{"id":"k1"}`, nil))
		token := func(user string) func(*client.Options) {
			var minted struct{ Token string }
			until(t, func() bool { // the other one learns of the app and its key within moments
				return callAPI(t, two, "POST", "/v1/apps/nova/tokens", `{"user":"`+user+`","rooms":[{"room":"*"}]}`, &minted) == 201
			}, "a token")
			return func(o *client.Options) { o.App, o.Name, o.Token = "", "", minted.Token }
		}
		require.Equal(t, 201, callAPI(t, two, "POST", "/v1/apps/nova/rooms", `{"room":"a","properties":{"x":1}}`, nil))
		ann, ben := connect(t, one, "", token("ann")), connect(t, two, "", token("ben"))
		snapshot := ann.mustJoin(t, "a")
		require.Equal(t, 3, snapshot.Capacity)
		require.JSONEq(t, "1", string(snapshot.Properties["x"]))
		ben.mustJoin(t, "a")
		for _, g := range gateways { // with the next beats, whichever is asked
			until(t, func() bool {
				var of struct{ Sessions, Members int }
				var all struct {
					Apps  []httpapi.AppSessions
					Count int
				}
				return callAPI(t, g, "GET", "/v1/apps/nova/statistics", "", &of) == 200 && of.Sessions == 2 && of.Members == 2 &&
					callAPI(t, g, "GET", "/v1/statistics/apps", "", &all) == 200 && all.Count == 1 && all.Apps[0] == httpapi.AppSessions{App: "nova", Sessions: 2}
			}, "the app's sessions on both")
		}

		var posted struct{ Seq int64 }
		require.Equal(t, 200, callAPI(t, two, "POST", "/v1/apps/nova/rooms/a/messages", `{"topic":"news","data":"hello"}`, &posted))
		for _, p := range []*peer{ann, ben} {
			message := p.await(t, wire.TypeMessage)
			require.Equal(t, posted.Seq, message.Seq)
			require.Empty(t, message.Body.(*wire.Message).From)
		}
		var affected struct {
			Seq      int64
			Affected int
		}
		require.Equal(t, 200, callAPI(t, one, "POST", "/v1/apps/nova/rooms/a/members/"+ben.id()+"/kick", `{"reason":"no spam"}`, &affected))
		require.Equal(t, 1, affected.Affected)
		require.Equal(t, &wire.Closed{Reason: wire.ReasonKicked, Text: "no spam"}, ben.await(t, wire.TypeClosed).Body)
		left := ann.await(t, wire.TypeLeftPeer)
		require.Equal(t, affected.Seq, left.Seq)
		ben.mustJoin(t, "b")
		require.Equal(t, 200, callAPI(t, one, "DELETE", "/v1/apps/nova/rooms/b?reason=Bis%20morgen", "", &affected))
		require.Equal(t, &wire.Closed{Reason: wire.ReasonClosed, Text: "Bis morgen"}, ben.await(t, wire.TypeClosed).Body)

		require.Equal(t, 204, callAPI(t, two, "POST", "/v1/apps/nova/users/ann/revoke", "", nil))
		require.Equal(t, wire.CloseRevoked, closeCode(t, ann))
	})
}

// What the API does counts together with what clients do, on whichever gateway, and for the operator's key as well.
func TestAPIIsHeldToQuotas(t *testing.T) {
	const most, perSecond = 3, 4
	redis := singleRedis(t)
	gateways := startGateways(t, 2, redis, func(c *app.Config) {
		*c = *apiConfig(c.Node.Name, redis)
		c.Apps = append(c.Apps, auth.App{ID: "acme", Anonymous: true, Quotas: auth.Quotas{Rooms: most, MessagesPerSecond: perSecond}})
	})
	for _, g := range gateways {
		require.NoError(t, g.WaitReady(t.Context()))
	}
	client := connect(t, gateways[0], "ann", anonymousOf("acme"))
	until(t, func() bool {
		_, err := client.Join(t.Context(), wire.Join{Room: "hers"})
		return err == nil
	}, "a room by a client")
	rooms, refusals := 1, 0
	for n := range 2 * most {
		var p httpapi.Problem
		switch status := callAPI(t, gateways[n%2], "POST", "/v1/apps/acme/rooms", fmt.Sprintf(`{"room":"room-%d"}`, n), &p); status {
		case http.StatusCreated:
			rooms++
		default:
			require.Equal(t, http.StatusTooManyRequests, status)
			require.Positive(t, p.RetryAfter)
			refusals++
		}
	}
	require.LessOrEqual(t, rooms, most)
	require.Positive(t, refusals)

	begun, taken, refused := time.Now(), 0, 0
	for range 20 {
		for _, g := range gateways {
			if callAPI(t, g, "POST", "/v1/apps/acme/rooms/hers/messages", `{"data":1}`, nil) == http.StatusOK {
				taken++
			} else {
				refused++
			}
		}
		if _, err := client.Publish(t.Context(), wire.Publish{Room: "hers", Data: json.RawMessage("1")}); err == nil {
			taken++
		} else {
			require.Equal(t, wire.CodeRateLimited, code(err))
			refused++
		}
	}
	require.Positive(t, taken)
	require.Positive(t, refused)
	require.LessOrEqual(t, float64(taken), perSecond*(time.Since(begun).Seconds()+1)+float64(len(gateways)))
}

// A gateway that is told to drain, by whichever one is asked, ends in order; the others stay.
func TestAPIDrains(t *testing.T) {
	redis := singleRedis(t)
	gateways := startGateways(t, 2, redis, func(c *app.Config) { *c = *apiConfig(c.Node.Name, redis) })
	for _, g := range gateways {
		require.NoError(t, g.WaitReady(t.Context()))
	}
	var list struct {
		Nodes []struct{ Node, Name string }
	}
	until(t, func() bool {
		return callAPI(t, gateways[0], "GET", "/v1/nodes", "", &list) == 200 && len(list.Nodes) == 2
	}, "two gateways on the roster")
	require.Equal(t, gateways[1].Name(), list.Nodes[1].Name)
	client := connect(t, gateways[1], "ann")
	require.Equal(t, 202, callAPI(t, gateways[0], "POST", "/v1/nodes/"+list.Nodes[1].Node+"/drain", "", nil))
	require.Equal(t, wire.CloseMoved, closeCode(t, client))
	until(t, func() bool {
		return callAPI(t, gateways[0], "GET", "/v1/nodes", "", &list) == 200 && len(list.Nodes) == 1
	}, "one of them to be gone")
	require.Equal(t, gateways[0].Name(), list.Nodes[0].Name)
}
