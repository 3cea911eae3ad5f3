package app

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"log/slog"
	"os"
	"reflect"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/signalbox-rtc/signalbox/pkg/auth"
	"github.com/signalbox-rtc/signalbox/pkg/telemetry/metric"
)

// origin is where a configuration came from, to be read again.
type origin struct {
	args, env []string
	files     []string
	seen      [sha256.Size]byte // of the files' contents
}

// look gives what the files' contents are told by. A file that cannot be read is told by the reason.
func (o *origin) look() [sha256.Size]byte {
	whole := sha256.New()
	for _, file := range o.files {
		text, err := readConfigFile(file)
		if err != nil {
			text = []byte(err.Error())
		}
		sum := sha256.Sum256(text) // each by itself, so that text that moves from one to another is a change
		whole.Write(sum[:])
	}
	return [sha256.Size]byte(whole.Sum(nil))
}

// readConfigFile reads a file as far as a configuration may be long.
func readConfigFile(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("cannot be read: %w", err)
	}
	defer func() { _ = file.Close() }() // nothing was written
	text, err := io.ReadAll(io.LimitReader(file, maxConfigBytes+1))
	if err != nil {
		return nil, fmt.Errorf("cannot be read: %w", err)
	}
	if len(text) > maxConfigBytes {
		return nil, fmt.Errorf("is larger than %d bytes", maxConfigBytes)
	}
	return text, nil
}

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
	if from == nil || len(from.files) == 0 {
		<-ctx.Done()
		return nil
	}
	r.seen = from.seen
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
	seen := r.config.origin.look()
	if seen == r.seen && !always {
		return
	}
	r.seen = seen
	fresh, err := Load(r.config.origin.args, r.config.origin.env, io.Discard)
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
		config.Apps, config.sources, config.origin = nil, nil, nil
		config.Node.Name = ""                                   // may be derived from the host's
		config.Listen.Public, config.Listen.Operations = "", "" // those that were chosen stand in the one that runs
		config.Listen.Cluster = ""
	}
	return reflect.DeepEqual(one, two)
}
