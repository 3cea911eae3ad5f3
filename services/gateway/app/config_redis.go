package app

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/signalbox-rtc/signalbox/pkg/auth"
	"github.com/signalbox-rtc/signalbox/pkg/config"
)

// Values of RedisConfig.Mode.
const (
	RedisSingle   = "single"
	RedisSentinel = "sentinel"
	RedisCluster  = "cluster"
)

// RedisConfig is how Redis is reached. After Load, what URL said stands in the other fields.
type RedisConfig struct {
	URL              auth.Secret    `koanf:"url" doc:"Short form for one server: redis://user:password@host:port/database, or rediss:// for TLS. Excludes mode, addresses, username, password and database."`
	Mode             string         `koanf:"mode" default:"single" oneof:"single sentinel cluster" doc:"Kind of deployment."`
	Addresses        []string       `koanf:"addresses" default:"127.0.0.1:6379" min:"1" max:"64" doc:"Addresses as host:port: the one server, the Sentinels, or some nodes of the cluster."`
	Username         string         `koanf:"username" doc:"User of Redis' access control list."`
	Password         auth.Secret    `koanf:"password" doc:"Password of that user, or of the server."`
	Database         int            `koanf:"database" default:"0" min:"0" max:"65535" doc:"Number of the database. A cluster has only 0."`
	MasterName       string         `koanf:"master_name" doc:"Name under which the Sentinels know the primary. Needed with sentinel."`
	SentinelUsername string         `koanf:"sentinel_username" doc:"User of the Sentinels themselves."`
	SentinelPassword auth.Secret    `koanf:"sentinel_password" doc:"Password of the Sentinels themselves."`
	TLS              RedisTLSConfig `koanf:"tls" doc:"TLS to Redis."`
	DialTimeout      time.Duration  `koanf:"dial_timeout" default:"1s" min:"10ms" max:"1m" doc:"How long a connection may take to be made."`
	ReadTimeout      time.Duration  `koanf:"read_timeout" default:"1s" min:"10ms" max:"1m" doc:"How long a reply may take."`
	WriteTimeout     time.Duration  `koanf:"write_timeout" default:"1s" min:"10ms" max:"1m" doc:"How long a command may take to be sent."`
	PoolSize         int            `koanf:"pool_size" default:"8" min:"1" max:"10000" doc:"Greatest number of connections for commands, to each server."`
	TopologyReload   time.Duration  `koanf:"topology_reload" default:"2s" min:"100ms" max:"5m" doc:"How often a cluster's map of slots is read again, and twice as often the Sentinels are asked for the primary. A failover is noticed at the latest then."`
}

// RedisTLSConfig is TLS to Redis.
type RedisTLSConfig struct {
	Enabled    bool   `koanf:"enabled" default:"false" doc:"Speak TLS with Redis and with the Sentinels."`
	CAFile     string `koanf:"ca_file" doc:"File with the certificates to trust in PEM. Empty: the system's."`
	CertFile   string `koanf:"cert_file" doc:"File with the client certificate in PEM, if Redis asks for one."`
	KeyFile    string `koanf:"key_file" doc:"File with the key of the client certificate in PEM."`
	ServerName string `koanf:"server_name" doc:"Name that the server's certificate must have. Empty: the host of the address."`
}

// Derive takes what the short form says, under the section redis.
func (r *RedisConfig) Derive(l *config.Loader) {
	if r.URL == "" {
		return
	}
	for _, key := range []string{"redis.mode", "redis.addresses", "redis.username", "redis.password", "redis.database"} {
		if other, set := l.IsSet(key); set {
			l.Fail("redis.url", "excludes %s, which is set too (%s)", key, other)
		}
	}
	tls := r.TLS.Enabled
	if err := r.SetURL(r.URL); err != nil {
		l.Fail("redis.url", "%v", err)
		return
	}
	const from = "from redis.url"
	l.Derived(from, "redis.addresses", "redis.username", "redis.password", "redis.database")
	if r.TLS.Enabled != tls {
		l.Derived(from, "redis.tls.enabled")
	}
}

// SetURL sets the one server from the short form redis://user:password@host:port/database, or
// rediss:// for TLS. Port 6379 and database 0 may be left out. The error never repeats the URL, and
// leaves everything as it was.
func (r *RedisConfig) SetURL(short auth.Secret) error {
	form := errors.New("is not of the form redis://user:password@host:port/database")
	u, err := url.Parse(string(short))
	if err != nil || u.Hostname() == "" || u.RawQuery != "" || u.Fragment != "" {
		return form
	}
	if u.Scheme != "redis" && u.Scheme != "rediss" {
		return form
	}
	database := 0
	if path := strings.Trim(u.Path, "/"); path != "" {
		if database, err = strconv.Atoi(path); err != nil {
			return form
		}
	}
	password, _ := u.User.Password()
	r.URL = short
	r.Mode = RedisSingle
	r.Addresses = []string{net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), "6379"))}
	r.Username = u.User.Username()
	r.Password = auth.Secret(password)
	r.Database = database
	r.TLS.Enabled = r.TLS.Enabled || u.Scheme == "rediss"
	return nil
}

// Check holds the values of the section redis against what the mode asks for.
func (r *RedisConfig) Check(k *config.Checker) {
	for _, address := range r.Addresses {
		k.Address("redis.addresses", address)
	}
	switch r.Mode {
	case RedisSingle:
		if len(r.Addresses) > 1 {
			k.Fail(fmt.Sprintf("redis.addresses: there are %d, and redis.mode %s takes one", len(r.Addresses), r.Mode), "redis.addresses", "redis.mode")
		}
	case RedisSentinel:
		if r.MasterName == "" {
			k.Fail("redis.master_name: is needed with redis.mode sentinel", "redis.master_name", "redis.mode")
		}
	case RedisCluster:
		if r.Database != 0 {
			k.Fail(fmt.Sprintf("redis.database: is %d, and redis.mode cluster has only 0", r.Database), "redis.database", "redis.mode")
		}
	}
	if r.Mode != RedisSentinel {
		for key, set := range map[string]bool{
			"redis.master_name": r.MasterName != "", "redis.sentinel_username": r.SentinelUsername != "", "redis.sentinel_password": r.SentinelPassword != "",
		} {
			if set {
				k.Fail(key+": is for redis.mode sentinel alone", key, "redis.mode")
			}
		}
	}
	if (r.TLS.CertFile == "") != (r.TLS.KeyFile == "") {
		k.Fail("redis.tls.cert_file and redis.tls.key_file: one needs the other", "redis.tls.cert_file", "redis.tls.key_file")
	}
	if !r.TLS.Enabled && (r.TLS.CAFile != "" || r.TLS.CertFile != "" || r.TLS.ServerName != "") {
		// Passing over it would send what was meant to be encrypted in the clear.
		k.Fail("redis.tls: is set up, and redis.tls.enabled is false", "redis.tls.enabled")
	}
}
