package app

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/signalbox-rtc/signalbox/pkg/relay"
	"github.com/signalbox-rtc/signalbox/pkg/telemetry/metric"
)

// Values of the label result of changes of the secrets.
const (
	secretsOK     = "ok"
	secretsFailed = "error"
)

// keyring follows the file of secrets. It is polled by content: it does not matter how it is replaced.
type keyring struct {
	// immutable
	config  *CredentialsConfig
	server  *relay.Server
	logger  *slog.Logger
	changes *prometheus.CounterVec

	seen []string // owned by run
	fail string   // why the file could not be taken last time; empty when it could; owned by run
}

func newKeyring(config *CredentialsConfig, seen []string, server *relay.Server, logger *slog.Logger, registerer prometheus.Registerer) *keyring {
	k := &keyring{
		config: config, server: server, logger: logger, seen: seen,
		changes: metric.Counters("signalbox_relay_secrets_reloads_total",
			"Changes of the file of secrets that were seen, by result: ok when taken, error when the secrets before stayed.", "result"),
	}
	for _, result := range []string{secretsOK, secretsFailed} {
		k.changes.WithLabelValues(result)
	}
	registerer.MustRegister(k.changes)
	return k
}

// run looks at the file until ctx ends, if there is one.
func (k *keyring) run(ctx context.Context) error {
	if k.config.File == "" {
		return nil
	}
	ticker := time.NewTicker(k.config.Reload)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			k.look()
		}
	}
}

// look takes the file if it has changed. What is wrong with it is told once.
func (k *keyring) look() {
	secrets, err := k.config.all()
	if err == nil && slices.Equal(secrets, k.seen) {
		k.fail = ""
		return
	}
	if err == nil {
		err = k.server.SetSecrets(secrets)
	}
	if err != nil {
		if k.fail != err.Error() {
			k.fail = err.Error()
			k.changes.WithLabelValues(secretsFailed).Inc()
			k.logger.Error("the file of secrets is not taken; those before stay", "error", err)
		}
		return
	}
	k.seen, k.fail = secrets, ""
	k.changes.WithLabelValues(secretsOK).Inc()
	k.logger.Info("secrets were read anew", "secrets", len(secrets))
}
