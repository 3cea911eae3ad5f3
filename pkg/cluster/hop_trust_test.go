package cluster_test

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/internal/redistest"
	"github.com/signalbox-rtc/signalbox/pkg/cluster"
	"github.com/signalbox-rtc/signalbox/pkg/store"
)

// arrived is what an owner sees of a request's client.
type arrived struct {
	Remote string
	TLS    bool
	Hopped bool
	Header http.Header
}

func tellArrived(w http.ResponseWriter, r *http.Request) {
	_ = json.NewEncoder(w).Encode(arrived{Remote: r.RemoteAddr, TLS: r.TLS != nil, Hopped: cluster.Hopped(r), Header: r.Header})
}

func mustArrive(t testing.TB, response *http.Response) (a arrived) {
	t.Helper()
	require.Equal(t, http.StatusOK, response.StatusCode)
	require.NoError(t, json.Unmarshal([]byte(body(t, response)), &a))
	return a
}

// spoofed are headers by which a client could make itself another one, or try to have those taken out that a node adds.
const spoofed = "Signalbox-Client-Address: 192.0.2.1:1\r\nsignalbox-client-address: 192.0.2.2:2\r\n" +
	"Signalbox-Client-Tls: 1\r\nSignalbox-Hop: AAAAAAAAAAAA\r\nSignalbox-Other: x\r\n" +
	"X-Forwarded-For: 192.0.2.3\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Server: x\r\nForwarded: for=192.0.2.4\r\n" +
	"Connection: Signalbox-Client-Address, Signalbox-Hop\r\nX-Own: kept\r\n"

func TestOwnerSeesTheClient(t *testing.T) {
	from, owner, public := mustPair(t, tellArrived)
	conn := mustDial(t, public)
	_, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: signalbox\r\n"+spoofed+"\r\n")
	require.NoError(t, err)
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	require.Equal(t, arrived{Remote: conn.LocalAddr().String(), Hopped: true, Header: http.Header{"X-Own": {"kept"}}}, mustArrive(t, answer))

	t.Run("over TLS", func(t *testing.T) {
		secure := httptest.NewTLSServer(mustForward(t, from, owner.id))
		defer secure.Close()
		get, err := secure.Client().Get(secure.URL)
		require.NoError(t, err)
		require.True(t, mustArrive(t, get).TLS)
	})

	for remote, want := range map[string]string{
		"198.51.100.7:1234":  "198.51.100.7:1234",
		"198.51.100.7":       "198.51.100.7:0", // as a proxy may have told
		"[2001:db8::1]:1":    "[2001:db8::1]:1",
		"[fe80::1%eth0]:1":   "[fe80::1]:1",
		"@":                  "[::]:0", // not of the Internet
		"evil\r\nX-Admin: 1": "[::]:0",
	} {
		resolved := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.RemoteAddr = remote
			mustForward(t, from, owner.id).ServeHTTP(w, r)
		}))
		get, err := resolved.Client().Get(resolved.URL)
		require.NoError(t, err)
		require.Equal(t, want, mustArrive(t, get).Remote)
		resolved.Close()
	}
}

// A request that comes to a node with an id that is not its own any more must not go round between two rosters.
func TestHopsOnce(t *testing.T) {
	redis := store.Options{Addresses: []string{redistest.Single(t).Addr()}}
	from, owner := mustNode(t, redis), mustNode(t, redis)
	back := mustForward(t, owner, from.id)
	owner.serve(t, back.ServeHTTP)
	from.serve(t, func(http.ResponseWriter, *http.Request) { t.Error("the request has gone round") })
	public := mustPublic(t, from, owner.id)
	get, err := public.Client().Get(public.URL)
	require.NoError(t, err)
	require.Equal(t, http.StatusTeapot, get.StatusCode)
	require.Equal(t, "nobody there\n", body(t, get))
	require.Equal(t, 1.0, owner.count(t, "signalbox_hop_requests_total", "loop"))
}

func otherKey(o *cluster.HopOptions) { o.Key = []byte("the key of another cluster") }

// A node with another key is told nothing, not even whose session is asked for.
func TestOwnerWithAnotherKey(t *testing.T) {
	redis := store.Options{Addresses: []string{redistest.Single(t).Addr()}}
	from, owner := mustNode(t, redis), mustNode(t, redis, otherKey)
	owner.serve(t, func(http.ResponseWriter, *http.Request) { t.Error("the request has come through") })
	public := mustPublic(t, from, owner.id)
	post, err := public.Client().Post(public.URL, "text/plain", nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusTeapot, post.StatusCode)
	_ = body(t, post)
	require.Equal(t, 1.0, from.count(t, "signalbox_hop_requests_total", "refused"))
	require.Equal(t, 1.0, from.count(t, "signalbox_hop_refused_total", "owner"))
}

// mustMint makes a certificate for a key pair of one's own.
func mustMint(t testing.TB, public, private any) tls.Certificate {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	require.NoError(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private}
}

func TestCallersThatAreRefused(t *testing.T) {
	redis := store.Options{Addresses: []string{redistest.Single(t).Addr()}}
	owner, stranger := mustNode(t, redis), mustNode(t, redis, otherKey)
	owner.serve(t, func(http.ResponseWriter, *http.Request) { t.Error("the request has come through") })
	public, private, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	own := owner.hop.OutboundTLS().Certificates[0]

	for _, tc := range []struct {
		name    string
		config  *tls.Config
		counted float64
	}{
		{"without a certificate", &tls.Config{}, 1},
		{"with the key of another cluster", &tls.Config{Certificates: stranger.hop.OutboundTLS().Certificates}, 1},
		{"with a key of its own", &tls.Config{Certificates: []tls.Certificate{mustMint(t, public, private)}}, 1},
		{"with a key of another kind", &tls.Config{Certificates: []tls.Certificate{mustMint(t, &curve.PublicKey, curve)}}, 1},
		// Who connects gets to see the node's certificate. Without its private key it is worth nothing.
		{"with the certificate alone", &tls.Config{Certificates: []tls.Certificate{{Certificate: own.Certificate, PrivateKey: private}}}, 0},
		{"with the right key by an older TLS", &tls.Config{Certificates: []tls.Certificate{own}, MaxVersion: tls.VersionTLS12}, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			before := owner.count(t, "signalbox_hop_refused_total", "caller")
			raw, err := net.Dial("tcp", owner.addr)
			require.NoError(t, err)
			defer raw.Close()
			require.NoError(t, raw.SetDeadline(time.Now().Add(patience)))
			tc.config.InsecureSkipVerify = true
			conn := tls.Client(raw, tc.config)
			_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: signalbox\r\nSignalbox-Client-Address: 192.0.2.1:1\r\n\r\n")
			// By TLS 1.3 a client's handshake is over before the server's; reading tells.
			_, err = conn.Read(make([]byte, 1))
			require.ErrorContains(t, err, "remote error: tls: ")
			require.Equal(t, tc.counted, owner.count(t, "signalbox_hop_refused_total", "caller")-before)
		})
	}
}

// The headers are believed on the internal address, so nobody gets there without TLS, even if it is served wrongly.
func TestPlainHTTPIsRefused(t *testing.T) {
	const request = "GET / HTTP/1.1\r\nHost: signalbox\r\nSignalbox-Client-Address: 192.0.2.1:1\r\n\r\n"
	_, owner, _ := mustPair(t, func(http.ResponseWriter, *http.Request) { t.Error("the request has come through") })
	past := httptest.NewServer(owner.server.Handler)
	defer past.Close()
	for addr, status := range map[string]int{owner.addr: http.StatusBadRequest, past.Listener.Addr().String(): http.StatusForbidden} {
		conn, err := net.Dial("tcp", addr)
		require.NoError(t, err)
		require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
		_, err = io.WriteString(conn, request)
		require.NoError(t, err)
		answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
		require.NoError(t, err)
		require.Equal(t, status, answer.StatusCode)
		require.NoError(t, conn.Close())
	}
	require.Equal(t, 1.0, owner.count(t, "signalbox_hop_refused_total", "plain"))
}

// Even a node of the cluster has to say whose request it is.
func TestArrivalWithoutAnAddress(t *testing.T) {
	_, owner, _ := mustPair(t, tellArrived)
	conn, err := tls.Dial("tcp", owner.addr, owner.hop.OutboundTLS())
	require.NoError(t, err)
	defer conn.Close()
	reader := bufio.NewReader(conn)
	refused := 0.0
	for header, want := range map[string]int{
		"": http.StatusBadRequest,
		"Signalbox-Client-Address: 192.0.2.1\r\n":                                            http.StatusBadRequest,
		"Signalbox-Client-Address: localhost:80\r\n":                                         http.StatusBadRequest,
		"Signalbox-Client-Address: 192.0.2.1:1, 192.0.2.2:1\r\n":                             http.StatusBadRequest,
		"Signalbox-Client-Address: 192.0.2.1:1\r\nSignalbox-Client-Address: 192.0.2.1:1\r\n": http.StatusBadRequest,
		"Signalbox-Client-Address: 192.0.2.1:1\r\n":                                          http.StatusOK,
		"Signalbox-Client-Address: [::1]:65535\r\nSignalbox-Client-Tls: 0\r\n":               http.StatusOK,
	} {
		_, err = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: signalbox\r\n"+header+"\r\n")
		require.NoError(t, err)
		answer, err := http.ReadResponse(reader, nil)
		require.NoError(t, err)
		require.Equal(t, want, answer.StatusCode, header)
		if text := body(t, answer); want == http.StatusOK {
			require.Contains(t, text, `"TLS":false`)
			require.NotContains(t, text, "Signalbox")
		} else {
			refused++
		}
	}
	require.Equal(t, refused, owner.count(t, "signalbox_hop_refused_total", "header"))
}

// A handshake that resumes an earlier one is shorter; who is there is looked at as well.
func TestResumption(t *testing.T) {
	redis := store.Options{Addresses: []string{redistest.Single(t).Addr()}}
	from, owner := mustNode(t, redis), mustNode(t, redis)
	release := make(chan struct{})
	resumed := make(chan bool, 3)
	server := owner.hop.Server(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/wait" {
			<-release
		}
	}))
	arrive := server.Handler
	server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		resumed <- r.TLS.DidResume && len(r.TLS.PeerCertificates) == 1
		arrive.ServeHTTP(w, r)
	})
	owner.run(t, server)
	public := mustPublic(t, from, owner.id)
	get := func(path string) {
		response, err := public.Client().Get(public.URL + path)
		if err != nil {
			t.Errorf("get %s: %v", path, err)
			return
		}
		_ = response.Body.Close()
	}
	get("/")
	require.False(t, await(t, resumed, "the first connection"))
	waited := make(chan struct{})
	go func() { // takes the first connection
		get("/wait")
		close(waited)
	}()
	require.False(t, await(t, resumed, "the first connection again"))
	get("/")
	require.True(t, await(t, resumed, "a second connection"))
	close(release)
	<-waited
}

func FuzzArrival(f *testing.F) {
	for _, seed := range []string{"192.0.2.1:1", "[2001:db8::1%zone]:0", "[::ffff:192.0.2.1]:65536", "", ":1", "1:1:1", "[]:1"} {
		f.Add(seed, "1", "AAAAAAAAAAAA")
	}
	c, err := cluster.New(cluster.Options{Store: new(store.Store), Self: cluster.Node{ID: "AAAAAAAAAAAA"}})
	require.NoError(f, err)
	hop, err := cluster.NewHop(cluster.HopOptions{Key: clusterKey, Cluster: c})
	require.NoError(f, err)
	shown, err := x509.ParseCertificate(hop.OutboundTLS().Certificates[0].Certificate[0])
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, address, overTLS, from string) {
		var got *http.Request
		server := hop.Server(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r }))
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{shown}}
		r.Header = http.Header{
			"Signalbox-Client-Address": {address}, "Signalbox-Client-Tls": {overTLS}, "Signalbox-Hop": {from}, "X-Own": {"kept"}}
		w := httptest.NewRecorder()
		server.Handler.ServeHTTP(w, r)
		_, err := netip.ParseAddrPort(address)
		if got == nil {
			require.Error(t, err)
			require.Equal(t, http.StatusBadRequest, w.Code)
			return
		}
		require.NoError(t, err)
		_, err = netip.ParseAddrPort(got.RemoteAddr)
		require.NoError(t, err)
		require.Equal(t, overTLS == "1", got.TLS != nil)
		require.Equal(t, http.Header{"X-Own": {"kept"}}, got.Header)
		require.True(t, cluster.Hopped(got))
	})
}
