package app

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"

	"github.com/signalbox-rtc/signalbox/pkg/store"
)

// openStore connects to Redis as configured.
func (g *Gateway) openStore(ctx context.Context, opts Options) (*store.Store, error) {
	c := &g.config.Redis
	transport, err := c.TLS.config()
	if err != nil {
		return nil, err
	}
	mode := store.ModeSingle
	switch c.Mode {
	case RedisSentinel:
		mode = store.ModeSentinel
	case RedisCluster:
		mode = store.ModeCluster
	}
	return store.Open(ctx, store.Options{
		Mode: mode, Addresses: c.Addresses, Username: c.Username, Password: string(c.Password), Database: c.Database,
		MasterName: c.MasterName, SentinelUsername: c.SentinelUsername, SentinelPassword: string(c.SentinelPassword),
		TLS: transport, Dialer: opts.RedisDialer,
		DialTimeout: c.DialTimeout, ReadTimeout: c.ReadTimeout, WriteTimeout: c.WriteTimeout,
		PoolSize: c.PoolSize, TopologyReload: c.TopologyReload,
		CanaryPeriod: g.config.Cluster.Canary, CanaryTimeout: g.config.Cluster.CanaryTimeout,
		Partitions: g.config.Cluster.Partitions, LogLength: g.config.Rooms.LogLength, ResumeWindow: g.config.Rooms.ResumeWindow,
		OutboxLength: g.config.Webhooks.OutboxLength, DeadLetters: g.config.Webhooks.DeadLetters,
		LatencySamples: g.config.Metrics.LatencySamples, Tracer: g.tracer(),
		Logger: g.logger, Registerer: opts.Registry,
	})
}

// config gives the TLS configuration, nil when TLS is off.
func (c *RedisTLSConfig) config() (*tls.Config, error) {
	if !c.Enabled {
		return nil, nil
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: c.ServerName}
	if c.CAFile != "" {
		pem, err := os.ReadFile(c.CAFile)
		if err != nil {
			return nil, fmt.Errorf("app: redis.tls.ca_file: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, errors.New("app: redis.tls.ca_file holds no certificate")
		}
	}
	if c.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("app: redis.tls.cert_file: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}
