package telemetry

import (
	"cmp"
	"runtime"
	"runtime/debug"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// Build says which program this is. An empty field is shown as "unknown".
type Build struct {
	Version   string // of the module, as in v1.2.3, or "(devel)"
	Revision  string // of the source, with "+dirty" when the work tree was changed
	GoVersion string // of the compiler
}

// version is set by the linker, as `make build` does: -ldflags "-X <this package>.version=v1.2.3". It goes before the
// module's version, which a build from a checkout does not have.
var version string

// ReadBuild returns what the linker wrote into this program.
func ReadBuild() Build {
	build := Build{GoVersion: runtime.Version()}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return build
	}
	build.Version = cmp.Or(version, info.Main.Version)
	dirty := ""
	for _, setting := range info.Settings {
		switch {
		case setting.Key == "vcs.revision":
			build.Revision = setting.Value
		case setting.Key == "vcs.modified" && setting.Value == "true":
			dirty = "+dirty"
		}
	}
	if build.Revision != "" {
		build.Revision += dirty
	}
	return build
}

// String returns the build for people: version, revision and compiler in one line.
func (b Build) String() string {
	return orUnknown(b.Version) + " (revision " + orUnknown(b.Revision) + ", " + orUnknown(b.GoVersion) + ")"
}

// NewRegistry returns a registry of its own (never the global one, so that several servers fit into
// one process) that already holds the metrics of the Go runtime with its scheduler and garbage
// collector, those of the process, and signalbox_build_info, which is always 1.
func NewRegistry(build Build) *prometheus.Registry {
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "signalbox_build_info",
		Help: "Always 1; the labels say which version, source revision and Go version this process was built from.",
		ConstLabels: prometheus.Labels{
			"version":   orUnknown(build.Version),
			"revision":  orUnknown(build.Revision),
			"goversion": orUnknown(build.GoVersion),
		},
	})
	info.Set(1)

	registry := prometheus.NewRegistry()
	registry.MustRegister(
		info,
		collectors.NewGoCollector(collectors.WithGoCollectorRuntimeMetrics(
			collectors.MetricsScheduler,
			collectors.MetricsGC,
		)),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return registry
}

func orUnknown(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}
