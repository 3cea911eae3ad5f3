// Package target starts the servers that a load is for, as processes of their own with a Redis or a Redis Cluster of their own, or
// attaches to servers that run already.
package target

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/signalbox-rtc/signalbox/internal/childproc"
	"github.com/signalbox-rtc/signalbox/loadtest/internal/driver"
	"github.com/signalbox-rtc/signalbox/loadtest/internal/measure"
)

// The targets that can be started.
const (
	Signalbox         = "signalbox"
	SignalboxSocketIO = "signalbox-socketio"
	SignalboxPolling  = "signalbox-polling"
	Centrifugo        = "centrifugo"
	// CentrifugoPresence also keeps who is in a channel, as our rooms do.
	CentrifugoPresence = "centrifugo-presence"
	// CentrifugoHistory also keeps messages and lets clients recover them, as our rooms do.
	CentrifugoHistory = "centrifugo-history"
	SocketIO          = "socketio"
	SocketIOPolling   = "socketio-polling"
)

// kind is what a target's name says: which server, and in which protocol it is spoken to.
type kind struct {
	server  func(*builder) error
	driver  string
	extras  string // further options of each of Centrifugo's namespaces
	cluster bool   // a Redis Cluster will do
}

var kinds = map[string]kind{
	Signalbox:          {server: (*builder).signalbox, driver: driver.Native, cluster: true},
	SignalboxSocketIO:  {server: (*builder).signalbox, driver: driver.SocketIO, cluster: true},
	SignalboxPolling:   {server: (*builder).signalbox, driver: driver.Polling, cluster: true},
	Centrifugo:         {server: (*builder).centrifugo, driver: driver.Centrifugo},
	CentrifugoPresence: {server: (*builder).centrifugo, driver: driver.Centrifugo, extras: centrifugoPresence},
	CentrifugoHistory:  {server: (*builder).centrifugo, driver: driver.Centrifugo, extras: centrifugoHistory},
	SocketIO:           {server: (*builder).socketIO, driver: driver.SocketIO},
	SocketIOPolling:    {server: (*builder).socketIO, driver: driver.Polling},
}

// Names lists the targets that can be started.
func Names() []string {
	names := make([]string, 0, len(kinds))
	for name := range kinds {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Binaries are the programs that are started. The zero value finds or builds them.
type Binaries struct {
	Gateway    string // built from this module if empty
	Redis      string // "redis-server" if empty
	Centrifugo string // "centrifugo" if empty
	Node       string // "node" if empty
	Peers      string // folder of the socket.io server and its npm packages; "loadtest/peers" if empty
}

// Spec says what to start.
type Spec struct {
	// Name is one of Names.
	Name string
	// Nodes is how many servers share the Redis; 2 if 0.
	Nodes int
	// Primaries are those of a Redis Cluster in place of a single Redis, if above 0. Only our gateways can use one.
	Primaries int
	// Capacity is that of new rooms; 2 if 0.
	Capacity int
	// Guarded leaves the limits of new connections as they are by default; otherwise they are off, because no peer has any.
	Guarded bool
	// Flags are added to those of a gateway.
	Flags    []string
	Binaries Binaries
}

// Cluster is a set of servers under test.
type Cluster struct {
	Name      string
	Driver    string
	Gateways  []string // host:port for clients
	Processes []measure.Process
	Metrics   []string // URLs of Prometheus pages, of those servers that have one
	Redis     []string // host:port of the one Redis, or of each primary of a Redis Cluster

	dir      string
	children []*childproc.Process
}

// ErrUnknown is a target of another name.
var ErrUnknown = errors.New("there is no such target")

// builder is a cluster that is being started.
type builder struct {
	*Cluster
	spec Spec
	kind kind
}

// ErrNoCluster is a target whose servers cannot use a Redis Cluster.
var ErrNoCluster = errors.New("it is not started with a Redis Cluster")

// Start starts a Redis or a Redis Cluster and the servers, and returns when all of them serve. Close ends them.
func Start(ctx context.Context, spec Spec) (*Cluster, error) {
	kind, ok := kinds[spec.Name]
	if !ok {
		return nil, fmt.Errorf("%w: %q; there are %s", ErrUnknown, spec.Name, strings.Join(Names(), ", "))
	}
	if spec.Primaries > 0 && !kind.cluster {
		return nil, fmt.Errorf("start %s: %w", spec.Name, ErrNoCluster)
	}
	if spec.Nodes == 0 {
		spec.Nodes = 2
	}
	if spec.Capacity == 0 {
		spec.Capacity = 2
	}
	dir, err := os.MkdirTemp("", "loadtest-")
	if err != nil {
		return nil, err
	}
	b := &builder{Cluster: &Cluster{Name: spec.Name, Driver: kind.driver, dir: dir}, spec: spec, kind: kind}
	if err := b.start(ctx); err != nil {
		b.Close()
		return nil, fmt.Errorf("start %s: %w", spec.Name, err)
	}
	return b.Cluster, nil
}

func (b *builder) start(ctx context.Context) error {
	if err := b.startRedis(ctx); err != nil {
		return err
	}
	return b.kind.server(b)
}

// Close ends what Start has started: the servers first, then their Redis.
func (c *Cluster) Close() {
	for _, child := range slices.Backward(c.children) {
		child.Kill()
	}
	if c.dir != "" {
		_ = os.RemoveAll(c.dir) // what is left is in the folder for temporary files
	}
}

// logFile opens the file that takes what a child prints.
func (c *Cluster) logFile(name string) (*os.File, error) {
	return os.Create(filepath.Join(c.dir, name+".log"))
}

// logTail gives the end of what a child has printed.
func (c *Cluster) logTail(name string) string {
	text, err := os.ReadFile(filepath.Join(c.dir, name+".log"))
	if err != nil {
		return err.Error()
	}
	const most = 2000
	return string(text[max(0, len(text)-most):])
}

// Attachment names servers that run already.
type Attachment struct {
	Driver   string
	Gateways []string // host:port
	Metrics  []string // URLs of Prometheus pages, one a server
	Redis    []string // host:port of each that is to be measured
	// Remote allows addresses of other machines than this one.
	Remote bool
}

// RemoteError is an address of another machine: a load for it has to be asked for.
type RemoteError struct{ Addr string }

func (e *RemoteError) Error() string {
	return e.Addr + " is not on this machine: loads go to loopback addresses, unless -allow-remote says that the servers there are yours to load"
}

// Attach makes a cluster of servers that it neither starts nor ends.
func Attach(a Attachment) (*Cluster, error) {
	if !slices.Contains(driver.Names, a.Driver) {
		return nil, fmt.Errorf("attach: there is no protocol %q; there are %s", a.Driver, strings.Join(driver.Names, ", "))
	}
	if len(a.Gateways) == 0 {
		return nil, errors.New("attach: no gateway is named")
	}
	c := &Cluster{Name: "attached-" + a.Driver, Driver: a.Driver, Gateways: a.Gateways}
	for _, addr := range a.Gateways {
		if !a.Remote && !loopback(addr) {
			return nil, &RemoteError{Addr: addr}
		}
	}
	for i, url := range a.Metrics {
		c.Processes = append(c.Processes, measure.Process{
			Name: fmt.Sprint("server-", i+1), Kind: measure.Server, Source: measure.Metrics(url),
		})
	}
	for i, addr := range a.Redis {
		name := "redis"
		if len(a.Redis) > 1 {
			name = fmt.Sprint("redis-", i+1)
		}
		c.Processes = append(c.Processes, measure.Process{Name: name, Kind: measure.Redis, Source: measure.RedisInfo(addr)})
	}
	return c, nil
}

// loopback reports whether an address is of this machine for certain. A name counts only if it is "localhost".
func loopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// LastWords gives the ends of the logs of servers that have ended, to be told with an error; "" if none has.
func (c *Cluster) LastWords() string {
	text := ""
	for i, child := range c.children {
		select {
		case <-child.Exited():
			text += fmt.Sprintf("\n%s has ended; the end of what it said:\n%s", c.Processes[i].Name, c.logTail(c.Processes[i].Name))
		default:
		}
	}
	return text
}
