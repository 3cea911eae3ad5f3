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
	o, err := g.config.StoreOptions()
	if err != nil {
		return nil, err
	}
	o.Dialer, o.Tracer, o.Logger, o.Registerer = opts.RedisDialer, g.tracer(), g.logger, opts.Registry
	return store.Open(ctx, o)
}

// StoreOptions is how a gateway with this configuration uses Redis.
func (c *Config) StoreOptions() (store.Options, error) {
	o, err := c.Redis.StoreOptions()
	if err != nil {
		return store.Options{}, err
	}
	o.CanaryPeriod, o.CanaryTimeout = c.Cluster.Canary, c.Cluster.CanaryTimeout
	o.Partitions, o.LogLength, o.ResumeWindow = c.Cluster.Partitions, c.Rooms.LogLength, c.Rooms.ResumeWindow
	o.OutboxLength, o.DeadLetters = c.Webhooks.OutboxLength, c.Webhooks.DeadLetters
	o.LatencySamples = c.Metrics.LatencySamples
	return o, nil
}

// StoreOptions is how Redis is reached with these values.
func (r *RedisConfig) StoreOptions() (store.Options, error) {
	transport, err := r.TLS.config()
	if err != nil {
		return store.Options{}, err
	}
	mode := store.ModeSingle
	switch r.Mode {
	case RedisSentinel:
		mode = store.ModeSentinel
	case RedisCluster:
		mode = store.ModeCluster
	}
	return store.Options{
		Mode: mode, Addresses: r.Addresses, Username: r.Username, Password: string(r.Password), Database: r.Database,
		MasterName: r.MasterName, SentinelUsername: r.SentinelUsername, SentinelPassword: string(r.SentinelPassword),
		TLS: transport, DialTimeout: r.DialTimeout, ReadTimeout: r.ReadTimeout, WriteTimeout: r.WriteTimeout,
		PoolSize: r.PoolSize, TopologyReload: r.TopologyReload,
	}, nil
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
