package app

import (
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/signalbox-rtc/signalbox/pkg/auth"
)

// directory makes the directory of the configuration's apps.
func (c *Config) directory(logger *slog.Logger, registerer prometheus.Registerer) (*auth.Directory, error) {
	return auth.NewDirectory(auth.Options{
		Apps: c.AllApps(), Origins: c.Origins.Allowed, MaxCapacity: c.Rooms.MaxCapacity, Logger: logger, Registerer: registerer,
	})
}
