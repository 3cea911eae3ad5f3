package app

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/signalbox-rtc/signalbox/pkg/telemetry/metric"
)

// defaultReloadInterval is how often certificate files are looked at unless told otherwise.
const defaultReloadInterval = 30 * time.Second

// CertificateOptions are what OpenCertificate needs.
type CertificateOptions struct {
	// CertFile holds the certificate chain in PEM, leaf first. Required.
	CertFile string
	// KeyFile holds the private key in PEM. Required.
	KeyFile string
	// Interval is how often the files are read again. Zero is 30 seconds.
	Interval time.Duration
	// Logger gets a line for each change, good or bad. Required.
	Logger *slog.Logger
	// Registerer gets the metrics. Required.
	Registerer prometheus.Registerer
	// Metrics is how their names begin. Empty is signalbox_certificate.
	Metrics string
}

func (o CertificateOptions) validate() error {
	if o.CertFile == "" || o.KeyFile == "" {
		return errors.New("app: a certificate needs a certificate file and a key file")
	}
	if o.Interval < 0 {
		return errors.New("app: the interval of certificate reloads is negative")
	}
	if o.Logger == nil || o.Registerer == nil {
		return errors.New("app: a certificate needs a logger and a registerer")
	}
	return nil
}

// Certificate is the TLS certificate of a listener, and follows its files.
//
// The files are polled by content. So it does not matter how they are replaced: written in place,
// renamed over, or behind the symbolic links that Kubernetes swaps when a secret changes. A pair that
// is read half old and half new does not match, is refused, and is read again at the next turn.
type Certificate struct {
	certFile, keyFile string        // immutable
	interval          time.Duration // immutable
	logger            *slog.Logger  // immutable
	metrics           *certificateMetrics

	current atomic.Pointer[tls.Certificate] // never nil

	// Owned by OpenCertificate, then by Run.
	seen [sha256.Size]byte // what was read last, good or bad
	fail string            // why the files could not be read last time; empty when they could
}

// OpenCertificate reads the files and fails when they hold no usable pair. The certificate then stays
// as it is until Run is called.
func OpenCertificate(options CertificateOptions) (*Certificate, error) {
	if err := options.validate(); err != nil {
		return nil, err
	}
	c := &Certificate{
		certFile: options.CertFile,
		keyFile:  options.KeyFile,
		interval: options.Interval,
		logger:   options.Logger.With("cert_file", options.CertFile),
	}
	if c.interval == 0 {
		c.interval = defaultReloadInterval
	}
	certPEM, keyPEM, err := c.read()
	if err != nil {
		return nil, fmt.Errorf("app: read the certificate: %w", err)
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return nil, fmt.Errorf("app: certificate %s with key %s: %w", c.certFile, c.keyFile, err)
	}
	c.metrics = newCertificateMetrics(options.Registerer, cmp.Or(options.Metrics, "signalbox_certificate"))
	c.seen = fingerprint(certPEM, keyPEM)
	c.use(&pair)
	return c, nil
}

// TLSConfig returns the configuration of a listener that shows this certificate, always in its
// newest state. It takes TLS 1.2 and newer, and speaks HTTP/1.1 alone: a WebSocket of the native
// protocol starts with an upgrade, which HTTP/2 does not have.
func (c *Certificate) TLSConfig() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"http/1.1"},
		GetCertificate: c.Get,
	}
}

// Get returns the certificate of now. It is a tls.Config's GetCertificate; the returned value is
// shared and must not be changed.
func (c *Certificate) Get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return c.current.Load(), nil
}

// Run looks at the files again and again, until ctx ends. A pair that cannot be used changes nothing
// and is logged once: connections go on being served with the last good one.
func (c *Certificate) Run(ctx context.Context) {
	ticker := time.NewTicker(c.interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			c.reload()
		}
	}
}

// reload takes the files' pair if it is new and good.
func (c *Certificate) reload() {
	certPEM, keyPEM, err := c.read()
	if err != nil {
		if c.fail != err.Error() {
			c.fail = err.Error()
			c.refuse(err)
		}
		return
	}
	c.fail = ""

	seen := fingerprint(certPEM, keyPEM)
	if seen == c.seen {
		return
	}
	c.seen = seen
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		c.refuse(err)
		return
	}
	c.use(&pair)
	c.metrics.reloads.WithLabelValues(reloadOK).Inc()
	c.logger.Info("certificate reloaded", "expires", pair.Leaf.NotAfter, "names", pair.Leaf.DNSNames)
	if now := time.Now(); now.After(pair.Leaf.NotAfter) || now.Before(pair.Leaf.NotBefore) {
		c.logger.Warn("the new certificate is not valid now",
			"valid_from", pair.Leaf.NotBefore, "expires", pair.Leaf.NotAfter)
	}
}

func (c *Certificate) read() (certPEM, keyPEM []byte, err error) {
	if certPEM, err = os.ReadFile(c.certFile); err != nil {
		return nil, nil, err
	}
	if keyPEM, err = os.ReadFile(c.keyFile); err != nil {
		return nil, nil, err
	}
	return certPEM, keyPEM, nil
}

func (c *Certificate) use(pair *tls.Certificate) {
	c.current.Store(pair)
	c.metrics.expiry.Set(float64(pair.Leaf.NotAfter.Unix()))
}

func (c *Certificate) refuse(err error) {
	c.metrics.reloads.WithLabelValues(reloadFailed).Inc()
	c.logger.Error("certificate not reloaded; the last good one stays", "error", err)
}

// fingerprint tells contents of the files apart. Each file is hashed by itself, so that bytes that
// move from one to the other are a change.
func fingerprint(certPEM, keyPEM []byte) [sha256.Size]byte {
	certSum, keySum := sha256.Sum256(certPEM), sha256.Sum256(keyPEM)
	return sha256.Sum256(append(certSum[:], keySum[:]...))
}

// Values of the label result of certificateMetrics.reloads.
const (
	reloadOK     = "ok"
	reloadFailed = "error"
)

// certificateMetrics are what a Certificate tells about itself.
type certificateMetrics struct {
	expiry  prometheus.Gauge
	reloads *prometheus.CounterVec
}

func newCertificateMetrics(registerer prometheus.Registerer, name string) *certificateMetrics {
	m := &certificateMetrics{
		expiry: metric.Gauge(name+"_expiry_timestamp_seconds",
			"When the TLS certificate in use ends to be valid, as a Unix time."),
		reloads: metric.Counters(name+"_reloads_total",
			"Changes of the TLS certificate files that were seen, by result: ok when taken, error when the last good pair stayed.", "result"),
	}
	m.reloads.WithLabelValues(reloadOK)
	m.reloads.WithLabelValues(reloadFailed)
	registerer.MustRegister(m.expiry, m.reloads)
	return m
}
