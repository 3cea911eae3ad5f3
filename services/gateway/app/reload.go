package app

import (
	"context"
	"crypto/sha256"
	"io"
	"log/slog"
	"os"
	"reflect"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/signalbox-rtc/signalbox/pkg/auth"
	"github.com/signalbox-rtc/signalbox/pkg/telemetry/metric"
)

// reloader takes the apps of the configuration's files when these change. They are polled by content, as a certificate's are: it
// does not matter how they are replaced.
type reloader struct {
	// immutable
	config    *Config
	directory *auth.Directory
	asked     <-chan os.Signal // has it look at once; may be nil
	logger    *slog.Logger
	reloads   *prometheus.CounterVec

	seen [sha256.Size]byte // of what was taken or refused last; owned by run
}

func newReloader(config *Config, directory *auth.Directory, asked <-chan os.Signal, logger *slog.Logger, registerer prometheus.Registerer) *reloader {
	r := &reloader{
		config: config, directory: directory, asked: asked, logger: logger,
		reloads: metric.Counters("signalbox_config_reloads_total",
			"Changes of the configuration's files that were seen while the gateway runs, by result: ok when their apps were taken, error when those before stayed.", "result"),
	}
	for _, result := range []string{reloadOK, reloadFailed} {
		r.reloads.WithLabelValues(result)
	}
	registerer.MustRegister(r.reloads)
	return r
}

// run looks at the files until ctx ends. A configuration that was made in code has none.
func (r *reloader) run(ctx context.Context) error {
	from := r.config.origin
	if from == nil || !from.HasFiles() {
		<-ctx.Done()
		return nil
	}
	r.seen = from.Seen()
	r.look(false) // they may have changed before it began
	var tick <-chan time.Time
	if interval := r.config.AppsReload.Interval; interval > 0 {
		ticker := time.NewTicker(interval)
		defer ticker.Stop()
		tick = ticker.C
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick:
			r.look(false)
		case <-r.asked:
			r.look(true)
		}
	}
}

// look takes the apps if the files have changed, or in any case if always is set.
func (r *reloader) look(always bool) {
	seen := r.config.origin.Look()
	if seen == r.seen && !always {
		return
	}
	r.seen = seen
	fresh, err := Load(r.config.origin.Args(), r.config.origin.Env(), io.Discard)
	if err == nil {
		err = r.directory.Configure(fresh.AllApps())
	}
	if err != nil {
		r.reloads.WithLabelValues(reloadFailed).Inc()
		r.logger.Error("the configuration's files have changed and are not taken; the apps stay as they were", "error", err)
		return
	}
	r.reloads.WithLabelValues(reloadOK).Inc()
	r.logger.Info("the configuration's apps were read anew", "apps", len(fresh.AllApps()))
	if !r.config.sameButApps(fresh) {
		r.logger.Warn("the configuration's files differ in more than apps from what this gateway runs with: the rest counts from its next start on")
	}
}

// sameButApps reports whether two configurations are the same but for their apps.
func (c *Config) sameButApps(other *Config) bool {
	one, two := *c, *other
	for _, config := range []*Config{&one, &two} {
		config.Apps, config.origin = nil, nil
		config.Node.Name = ""                                   // may be derived from the host's
		config.Listen.Public, config.Listen.Operations = "", "" // those that were chosen stand in the one that runs
		config.Listen.Cluster = ""
	}
	return reflect.DeepEqual(one, two)
}
