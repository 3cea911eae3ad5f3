package app

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/signalbox-rtc/signalbox/pkg/auth"
	"github.com/signalbox-rtc/signalbox/pkg/config"
	"github.com/signalbox-rtc/signalbox/pkg/telemetry"
)

// DemoApp is the id of the app that demo.enabled opens.
const DemoApp = "demo"

// DemoDoor is how the names of those rooms of the demo app begin in which who comes waits until a moderator admits it.
const DemoDoor = "door."

// maxNodeName is the greatest length of a node's name in bytes, that of a host's name.
const maxNodeName = 253

// Warnings are sentences about what is allowed but rarely meant, for the log.
func (c *Config) Warnings() []string {
	var warnings []string
	if len(c.Apps) == 0 && !c.Demo.Enabled {
		warnings = append(warnings, "no app is configured and demo.enabled is false, so nobody can connect")
	}
	if slices.Contains(c.Origins.Allowed, "*") {
		warnings = append(warnings, "origins.allowed has *, so the pages of every site may connect")
	}
	if c.Listen.Pprof && !isLoopback(c.Listen.Operations) {
		warnings = append(warnings, "listen.pprof is on and listen.operations can be reached from other machines, which then can read this one's memory")
	}
	if c.TLS.Enabled() && c.Listen.ParkAfter > 0 && c.Listen.ParkAfter != Default().Listen.ParkAfter {
		warnings = append(warnings, "listen.park_after has no effect beside tls.cert_file: only connections in plain TCP are parked")
	}
	if c.API.Enabled() && !c.API.TLS.Enabled() && !isLoopback(c.API.Address) {
		warnings = append(warnings, "api.address can be reached from other machines without TLS (api.tls.cert_file): keys go over the network in the clear")
	}
	return append(warnings, c.graceWarnings()...)
}

// graceWarnings are about seats that are kept for longer than what their clients miss: they have to start over.
func (c *Config) graceWarnings() []string {
	var warnings []string
	warn := func(key string, grace time.Duration) {
		if grace > c.Rooms.ResumeWindow {
			warnings = append(warnings, fmt.Sprintf(
				"%s is %s, longer than rooms.resume_window, which is %s: who comes back late may have to start over from a snapshot",
				key, grace, c.Rooms.ResumeWindow))
		}
	}
	warn("rooms.grace", c.Rooms.Grace)
	for i, app := range c.Apps {
		warn(fmt.Sprintf("apps[%d].policy.grace", i), time.Duration(app.Policy.Grace))
		for j, policy := range app.Policies {
			warn(fmt.Sprintf("apps[%d].policies[%d].grace", i, j), time.Duration(policy.Grace))
		}
	}
	return warnings
}

// AllApps returns the apps whose users may connect: those of the file and, if enabled, the demo.
func (c *Config) AllApps() []auth.App {
	apps := slices.Clone(c.Apps)
	if c.Demo.Enabled {
		apps = append(apps, auth.App{
			ID:        DemoApp,
			Anonymous: true,
			AnonymousGrants: []auth.Grant{
				{Room: "*", Can: auth.Permissions{Publish: true, SetCapacity: true}},
			},
			Policy:   auth.Policy{Capacity: c.Demo.Capacity, MaxCapacity: c.Rooms.MaxCapacity, FirstModerates: auth.On},
			Policies: []auth.RoomPolicy{{Rooms: DemoDoor + "*", Policy: auth.Policy{Moderated: auth.On}}},
		})
	}
	return apps
}

// check holds the values against each other.
func check(c *Config, common *config.Checker) {
	k := &checker{Checker: common, config: c}
	k.names()
	k.ice()
	c.Redis.Check(common)
	k.cluster()
	k.socketIO()
	k.api()
	k.bounds()
	k.tracing()
	k.webhooks()
	k.apps()
}

// checker collects problems.
type checker struct {
	*config.Checker
	config *Config
}

// names checks the node's name, its addresses and files.
func (k *checker) names() {
	c := k.config
	if len(c.Node.Name) > maxNodeName || strings.ContainsFunc(c.Node.Name, func(r rune) bool { return !unicode.IsPrint(r) }) {
		k.Fail(fmt.Sprintf("node.name: is not at most %d bytes of printable text", maxNodeName), "node.name")
	}
	k.Address("listen.public", c.Listen.Public)
	k.Address("listen.operations", c.Listen.Operations)
	k.Differ("listen.public", c.Listen.Public, "listen.operations", c.Listen.Operations)
	if (c.TLS.CertFile == "") != (c.TLS.KeyFile == "") {
		k.Fail("tls.cert_file and tls.key_file: one needs the other", "tls.cert_file", "tls.key_file")
	}
}

// bounds checks limits that depend on one another.
func (k *checker) bounds() {
	c := k.config
	k.AtMost("rooms.capacity", c.Rooms.Capacity, "rooms.max_capacity", c.Rooms.MaxCapacity)
	k.AtMost("demo.capacity", c.Demo.Capacity, "rooms.max_capacity", c.Rooms.MaxCapacity)
	k.AtMost("limits.requests_per_second", c.Limits.RequestsPerSecond, "limits.requests_burst", c.Limits.RequestsBurst)
	k.AtMost("limits.accepts_per_second", c.Limits.AcceptsPerSecond, "limits.accepts_burst", c.Limits.AcceptsBurst)
	k.AtMost("rooms.state_bytes", c.Rooms.StateBytes, "limits.message_bytes", c.Limits.MessageBytes)
	k.AtMost("limits.message_bytes", c.Limits.MessageBytes, "session.queue_bytes", c.Session.QueueBytes)
	if c.Session.HeartbeatTimeout >= c.Session.Heartbeat {
		k.Fail(fmt.Sprintf("session.heartbeat_timeout: %s must be less than session.heartbeat, which is %s",
			c.Session.HeartbeatTimeout, c.Session.Heartbeat), "session.heartbeat_timeout", "session.heartbeat")
	}
	k.shutdown()
}

// shutdown checks that an orderly end can come to its end.
func (k *checker) shutdown() {
	s := &k.config.Shutdown
	if whole := s.Delay + s.Window + s.Grace; whole > s.Timeout {
		k.Fail(fmt.Sprintf("shutdown.timeout: %s is less than shutdown.delay, window and grace together, which are %s", s.Timeout, whole),
			"shutdown.timeout", "shutdown.delay", "shutdown.window", "shutdown.grace")
	}
	if s.LapsedWindow > s.Timeout {
		k.Fail(fmt.Sprintf("shutdown.lapsed_window: %s is more than shutdown.timeout, which is %s", s.LapsedWindow, s.Timeout),
			"shutdown.lapsed_window", "shutdown.timeout")
	}
}

// tracing checks where spans go.
func (k *checker) tracing() {
	c := &k.config.Tracing
	if c.Endpoint != "" {
		if _, err := telemetry.OTLPEndpoint(c.Endpoint); err != nil {
			k.Fail(fmt.Sprintf("tracing.endpoint: %q is not like http://host:4318", c.Endpoint), "tracing.endpoint")
		}
	}
	if _, err := c.headers(); err != nil {
		k.Fail("tracing.headers: "+err.Error(), "tracing.headers")
	}
}

// webhooks checks where events may be posted to, and when again.
func (k *checker) webhooks() {
	c := &k.config.Webhooks
	if c.MinRetry > c.MaxRetry {
		k.Fail(fmt.Sprintf("webhooks.min_retry: %v is more than webhooks.max_retry, which is %v", c.MinRetry, c.MaxRetry),
			"webhooks.min_retry", "webhooks.max_retry")
	}
	if _, err := c.networks(); err != nil {
		k.Fail(err.Error(), "webhooks.allow_networks")
	}
}

// apps checks the tenants and the origins.
func (k *checker) apps() {
	c := k.config
	for _, entry := range c.Origins.Allowed {
		if err := auth.ValidateOrigin(entry); err != nil {
			k.Fail(fmt.Sprintf("origins.allowed: %q: %v", entry, err), "origins.allowed")
		}
	}
	for i, app := range c.Apps {
		if app.ID == DemoApp && c.Demo.Enabled {
			k.Fail(fmt.Sprintf("apps[%d].id: %q is taken by demo.enabled", i, DemoApp), "apps", "demo.enabled")
		}
		for j, policy := range app.Policies {
			if policy.MaxCapacity > c.Rooms.MaxCapacity {
				k.Fail(fmt.Sprintf("apps[%d].policies[%d].max_capacity: %d is more than rooms.max_capacity, which is %d",
					i, j, policy.MaxCapacity, c.Rooms.MaxCapacity), "apps", "rooms.max_capacity")
			}
		}
		if app.Policy.MaxCapacity > c.Rooms.MaxCapacity {
			k.Fail(fmt.Sprintf("apps[%d].policy.max_capacity: %d is more than rooms.max_capacity, which is %d",
				i, app.Policy.MaxCapacity, c.Rooms.MaxCapacity), "apps", "rooms.max_capacity")
		}
	}
	_, err := auth.New(auth.Options{Apps: c.Apps})
	for _, err := range leaves(err) {
		text := strings.TrimPrefix(err.Error(), "auth: ")
		k.Fail("apps: "+strings.ReplaceAll(text, "\n", "; "), "apps")
	}
}

func hasID(id string) func(auth.App) bool { return func(a auth.App) bool { return a.ID == id } }

// leaves takes apart what errors.Join has joined.
func leaves(err error) []error {
	if err == nil {
		return nil
	}
	// Not errors.As: what wraps a join adds words to it, and must stay whole.
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var all []error
	for _, part := range joined.Unwrap() {
		all = append(all, leaves(part)...)
	}
	return all
}

func isLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
