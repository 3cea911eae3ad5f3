package app_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/internal/lockedbuf"
	"github.com/signalbox-rtc/signalbox/pkg/telemetry"
	"github.com/signalbox-rtc/signalbox/services/gateway/app"
)

// pair is a self-signed certificate of localhost with its key.
type pair struct {
	serial        int64
	notAfter      time.Time
	certPEM, key  []byte
	verifiedRoots *x509.CertPool
}

// mustPair returns a pair that is valid for as many hours as its serial number says.
func mustPair(tb testing.TB, serial int64) pair {
	tb.Helper()
	return mustPairUntil(tb, serial, time.Now().Add(time.Duration(serial)*time.Hour).Truncate(time.Second))
}

func mustPairUntil(tb testing.TB, serial int64, notAfter time.Time) pair {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(tb, err)
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(serial),
		Subject:               pkix.Name{CommonName: "localhost"},
		DNSNames:              []string{"localhost"},
		NotBefore:             time.Now().Add(-24 * time.Hour),
		NotAfter:              notAfter,
		IsCA:                  true,
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(tb, err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(tb, err)
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	roots := x509.NewCertPool()
	require.True(tb, roots.AppendCertsFromPEM(certPEM))
	return pair{
		serial:        serial,
		notAfter:      notAfter,
		certPEM:       certPEM,
		key:           pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}),
		verifiedRoots: roots,
	}
}

// write puts the pair into dir as tls.crt and tls.key.
func (p pair) write(tb testing.TB, dir string) {
	tb.Helper()
	mustWrite(tb, filepath.Join(dir, "tls.crt"), p.certPEM)
	mustWrite(tb, filepath.Join(dir, "tls.key"), p.key)
}

// mustWrite has a file be there whole from one moment to the next: who looks in between finds the one before, and not an empty one.
func mustWrite(tb testing.TB, path string, content []byte) {
	tb.Helper()
	require.NoError(tb, os.WriteFile(path+".new", content, 0o600))
	require.NoError(tb, os.Rename(path+".new", path))
}

// tlsServer is a listener that shows the certificate in a directory and follows it.
type tlsServer struct {
	addr     string
	registry *prometheus.Registry
	log      *lockedbuf.Buffer
}

// startTLS serves until the test ends.
func startTLS(t *testing.T, dir string) *tlsServer {
	t.Helper()
	s := &tlsServer{registry: prometheus.NewRegistry(), log: new(lockedbuf.Buffer)}
	certificate, err := app.OpenCertificate(app.CertificateOptions{
		CertFile:   filepath.Join(dir, "tls.crt"),
		KeyFile:    filepath.Join(dir, "tls.key"),
		Interval:   5 * time.Millisecond,
		Logger:     telemetry.NewLogger(s.log, nil, telemetry.FormatJSON),
		Registerer: s.registry,
	})
	require.NoError(t, err)
	plain, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	listener := tls.NewListener(plain, certificate.TLSConfig())
	s.addr = listener.Addr().String()

	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	group.Go(func() { certificate.Run(ctx) })
	group.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			group.Go(func() {
				defer conn.Close()
				_ = conn.(*tls.Conn).Handshake() // the client's side tells
			})
		}
	})
	t.Cleanup(func() {
		cancel()
		require.NoError(t, listener.Close())
		group.Wait()
	})
	return s
}

// serial shakes hands, trusting p if it is not empty, and returns the serial number that was shown.
func (s *tlsServer) serial(tb testing.TB, trusted pair) int64 {
	tb.Helper()
	state, err := s.handshake(&tls.Config{ServerName: "localhost", RootCAs: trusted.verifiedRoots, InsecureSkipVerify: trusted.verifiedRoots == nil})
	require.NoError(tb, err)
	return state.PeerCertificates[0].SerialNumber.Int64()
}

func (s *tlsServer) handshake(config *tls.Config) (tls.ConnectionState, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	conn, err := (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", s.addr)
	if err != nil {
		return tls.ConnectionState{}, err
	}
	defer conn.Close()
	return conn.(*tls.Conn).ConnectionState(), nil
}

// reloads returns the value of the reload counter.
func (s *tlsServer) reloads(tb testing.TB, result string) float64 {
	tb.Helper()
	families, err := s.registry.Gather()
	require.NoError(tb, err)
	for _, family := range families {
		if family.GetName() != "signalbox_certificate_reloads_total" {
			continue
		}
		for _, metric := range family.GetMetric() {
			if metric.GetLabel()[0].GetValue() == result {
				return metric.GetCounter().GetValue()
			}
		}
	}
	tb.Fatalf("no counter of result %q", result)
	return 0
}

func (s *tlsServer) requireExpiry(tb testing.TB, want time.Time) {
	tb.Helper()
	text := `
		# HELP signalbox_certificate_expiry_timestamp_seconds When the TLS certificate in use ends to be valid, as a Unix time.
		# TYPE signalbox_certificate_expiry_timestamp_seconds gauge
		signalbox_certificate_expiry_timestamp_seconds ` + strconv.FormatInt(want.Unix(), 10) + "\n"
	require.NoError(tb, testutil.GatherAndCompare(s.registry, strings.NewReader(text),
		"signalbox_certificate_expiry_timestamp_seconds"))
}

func eventually(t *testing.T, condition func() bool, what string) {
	t.Helper()
	require.Eventually(t, condition, 10*time.Second, 2*time.Millisecond, what)
}

func TestCertificateReload(t *testing.T) {
	old, renewed := mustPair(t, 1), mustPair(t, 2)

	t.Run("WrittenInPlace", func(t *testing.T) {
		dir := t.TempDir()
		old.write(t, dir)
		s := startTLS(t, dir)
		require.EqualValues(t, 1, s.serial(t, old))
		s.requireExpiry(t, old.notAfter)

		renewed.write(t, dir)
		eventually(t, func() bool { return s.serial(t, pair{}) == 2 }, "the renewed certificate")
		require.EqualValues(t, 2, s.serial(t, renewed))
		s.requireExpiry(t, renewed.notAfter)
		require.EqualValues(t, 1, s.reloads(t, "ok"))
	})

	// A mounted secret is two links deep: tls.crt -> ..data/tls.crt, ..data -> ..<time>; only ..data is
	// swapped, so a watcher of the files themselves would see nothing.
	t.Run("KubernetesLinkSwap", func(t *testing.T) {
		dir := t.TempDir()
		for version, p := range map[string]pair{"..v1": old, "..v2": renewed} {
			require.NoError(t, os.Mkdir(filepath.Join(dir, version), 0o700))
			p.write(t, filepath.Join(dir, version))
		}
		require.NoError(t, os.Symlink("..v1", filepath.Join(dir, "..data")))
		for _, name := range []string{"tls.crt", "tls.key"} {
			require.NoError(t, os.Symlink(filepath.Join("..data", name), filepath.Join(dir, name)))
		}
		s := startTLS(t, dir)
		require.EqualValues(t, 1, s.serial(t, old))

		require.NoError(t, os.Symlink("..v2", filepath.Join(dir, "..data_tmp")))
		require.NoError(t, os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")))
		eventually(t, func() bool { return s.serial(t, pair{}) == 2 }, "the renewed certificate")
	})

	t.Run("HandshakesGoOnDuringReloads", func(t *testing.T) {
		dir := t.TempDir()
		old.write(t, dir)
		s := startTLS(t, dir)

		stop := make(chan struct{})
		var group sync.WaitGroup
		for range 2 {
			group.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					if _, err := s.handshake(&tls.Config{InsecureSkipVerify: true}); err != nil {
						t.Errorf("handshake: %v", err)
						return
					}
				}
			})
		}
		for i := range 4 {
			next := []pair{renewed, old}[i%2]
			next.write(t, dir)
			eventually(t, func() bool { return s.serial(t, pair{}) == next.serial }, "the next certificate")
		}
		close(stop)
		group.Wait()
	})
}

func TestCertificateKeepsTheLastGoodPair(t *testing.T) {
	old, renewed := mustPair(t, 1), mustPair(t, 2)
	tests := []struct {
		name  string
		spoil func(t *testing.T, dir string)
		log   string
	}{
		{"NotPEM", func(t *testing.T, dir string) { mustWrite(t, filepath.Join(dir, "tls.crt"), []byte("garbage")) }, "failed to find any PEM data"},
		{"KeyOfAnother", func(t *testing.T, dir string) { mustWrite(t, filepath.Join(dir, "tls.key"), renewed.key) }, "private key does not match"},
		{"Empty", func(t *testing.T, dir string) { mustWrite(t, filepath.Join(dir, "tls.key"), nil) }, "failed to find any PEM data"},
		{"Gone", func(t *testing.T, dir string) { require.NoError(t, os.Remove(filepath.Join(dir, "tls.crt"))) }, "no such file"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			old.write(t, dir)
			s := startTLS(t, dir)

			test.spoil(t, dir)
			eventually(t, func() bool { return s.reloads(t, "error") == 1 }, "the refusal")
			require.EqualValues(t, 1, s.serial(t, old))
			s.requireExpiry(t, old.notAfter)
			require.Contains(t, s.log.String(), test.log)

			// The bad pair is seen many times before the good one and must have been told once. The
			// renewed pair may be read between its two files, which is one more bad pair.
			require.Never(t, func() bool { return s.reloads(t, "error") != 1 }, 50*time.Millisecond, 5*time.Millisecond)
			require.Equal(t, 1, strings.Count(s.log.String(), "certificate not reloaded"))

			renewed.write(t, dir)
			eventually(t, func() bool { return s.serial(t, pair{}) == 2 }, "the renewed certificate")
			require.NotContains(t, s.log.String(), "PRIVATE KEY")
		})
	}
}

func TestCertificateExpired(t *testing.T) {
	dir := t.TempDir()
	mustPair(t, 1).write(t, dir)
	s := startTLS(t, dir)

	mustPairUntil(t, 2, time.Now().Add(-time.Hour)).write(t, dir)
	eventually(t, func() bool { return strings.Contains(s.log.String(), "is not valid now") }, "the warning")
}

func TestCertificateRefusesOldTLS(t *testing.T) {
	dir := t.TempDir()
	mustPair(t, 1).write(t, dir)
	s := startTLS(t, dir)

	_, err := s.handshake(&tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11})
	require.ErrorContains(t, err, "protocol version")

	state, err := s.handshake(&tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}})
	require.NoError(t, err)
	require.Equal(t, "http/1.1", state.NegotiatedProtocol)
}

func TestOpenCertificate(t *testing.T) {
	dir := t.TempDir()
	good := mustPair(t, 1)
	good.write(t, dir)
	certFile, keyFile := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	otherKey := filepath.Join(dir, "other.key")
	mustWrite(t, otherKey, mustPair(t, 2).key)

	tests := []struct {
		name   string
		change func(*app.CertificateOptions)
		want   string
	}{
		{"OK", func(*app.CertificateOptions) {}, ""},
		{"NoCertFile", func(o *app.CertificateOptions) { o.CertFile = "" }, "needs a certificate file"},
		{"NoKeyFile", func(o *app.CertificateOptions) { o.KeyFile = "" }, "and a key file"},
		{"NegativeInterval", func(o *app.CertificateOptions) { o.Interval = -1 }, "negative"},
		{"NoLogger", func(o *app.CertificateOptions) { o.Logger = nil }, "needs a logger"},
		{"NoRegisterer", func(o *app.CertificateOptions) { o.Registerer = nil }, "a registerer"},
		{"FileMissing", func(o *app.CertificateOptions) { o.CertFile = filepath.Join(dir, "none.crt") }, "none.crt"},
		{"KeyOfAnother", func(o *app.CertificateOptions) { o.KeyFile = otherKey }, "other.key: tls: private key does not match"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			options := app.CertificateOptions{
				CertFile: certFile, KeyFile: keyFile,
				Logger: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(),
			}
			test.change(&options)
			certificate, err := app.OpenCertificate(options)
			if test.want != "" {
				require.ErrorContains(t, err, test.want)
				return
			}
			require.NoError(t, err)
			shown, err := certificate.Get(nil)
			require.NoError(t, err)
			require.EqualValues(t, 1, shown.Leaf.SerialNumber.Int64())
		})
	}
}

func TestCertificateMetricsLint(t *testing.T) {
	dir := t.TempDir()
	mustPair(t, 1).write(t, dir)
	problems, err := testutil.GatherAndLint(startTLS(t, dir).registry)
	require.NoError(t, err)
	require.Empty(t, problems)
}
