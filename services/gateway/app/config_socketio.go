package app

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// minClusterKey is the least length of the cluster's key in bytes.
const minClusterKey = 32

// maxNamespace is the greatest length of a namespace's name in bytes: with a session's id behind it, it has to make a
// peer's id.
const maxNamespace = 24

// cluster checks what gateways need to find and trust each other.
func (k *checker) cluster() {
	c := k.config
	k.Address("listen.cluster", c.Listen.Cluster)
	k.Differ("listen.cluster", c.Listen.Cluster, "listen.public", c.Listen.Public)
	k.Differ("listen.cluster", c.Listen.Cluster, "listen.operations", c.Listen.Operations)
	if c.Node.Address != "" {
		k.Address("node.address", c.Node.Address)
	}
	for _, network := range c.Listen.TrustedProxies {
		if _, err := netip.ParsePrefix(network); err != nil {
			k.Fail(fmt.Sprintf("listen.trusted_proxies: %q is not a network as in 10.0.0.0/8", network), "listen.trusted_proxies")
		}
	}
	if n := len(c.Cluster.Key); n > 0 && n < minClusterKey {
		k.Fail(fmt.Sprintf("cluster.key: has %d characters, fewer than %d", n, minClusterKey), "cluster.key")
	}
	if c.Cluster.Lease < 3*c.Cluster.Beat {
		k.Fail(fmt.Sprintf("cluster.lease: %s is less than three of cluster.beat, which is %s", c.Cluster.Lease, c.Cluster.Beat),
			"cluster.lease", "cluster.beat")
	}
}

// socketIO checks what is said of socket.io clients.
func (k *checker) socketIO() {
	c := &k.config.SocketIO
	if len(c.Path) < 3 || !strings.HasPrefix(c.Path, "/") || !strings.HasSuffix(c.Path, "/") || strings.ContainsAny(c.Path, "{}?#% ") ||
		strings.HasPrefix(c.Path, "/v1/") {
		k.Fail(fmt.Sprintf("socketio.path: %q is not a path of its own with a slash at both ends, as in /socket.io/", c.Path), "socketio.path")
	}
	for _, name := range slices.Concat(c.CallNamespaces, c.ChatNamespaces) {
		if !strings.HasPrefix(name, "/") || len(name) > maxNamespace || strings.IndexFunc(name, notInNamespace) >= 0 {
			k.Fail(fmt.Sprintf("socketio: %q is not a namespace: a slash and then at most %d of A-Z a-z 0-9 . _ ~ / -", name, maxNamespace-1),
				"socketio.call_namespaces", "socketio.chat_namespaces")
		}
	}
	for _, name := range c.CallNamespaces {
		if slices.Contains(c.ChatNamespaces, name) {
			k.Fail(fmt.Sprintf("socketio: %q is in call_namespaces and in chat_namespaces", name), "socketio.call_namespaces", "socketio.chat_namespaces")
		}
	}
	if c.Enabled && len(c.CallNamespaces)+len(c.ChatNamespaces) == 0 {
		k.Fail("socketio: there is no namespace; turn it off by socketio.enabled", "socketio.call_namespaces", "socketio.chat_namespaces")
	}
	k.AtMost("socketio.call_capacity", c.CallCapacity, "rooms.max_capacity", k.config.Rooms.MaxCapacity)
	k.AtMost("socketio.message_bytes", c.MessageBytes, "socketio.queue_bytes", c.QueueBytes)
	if c.App != "" && !slices.ContainsFunc(k.config.AllApps(), hasID(c.App)) {
		k.Fail(fmt.Sprintf("socketio.app: there is no app %q", c.App), "socketio.app", "apps")
	}
	if strings.ContainsFunc(c.BindingCookie, notInNamespace) || strings.Contains(c.BindingCookie, "/") {
		k.Fail(fmt.Sprintf("socketio.binding_cookie: %q is not a cookie's name of A-Z a-z 0-9 . _ ~ -", c.BindingCookie), "socketio.binding_cookie")
	}
}

func notInNamespace(r rune) bool {
	return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("._~/-", r))
}

// DefaultApp is the app of clients that name none, "" if they are refused.
func (c *Config) DefaultApp() string {
	if c.SocketIO.App == "" && c.Demo.Enabled {
		return DemoApp
	}
	return c.SocketIO.App
}

// forwardTimeout is how long a gateway waits for the head of another one's answer: a poll is held until the next
// heartbeat.
func (c *Config) forwardTimeout() time.Duration {
	return c.SocketIO.PingInterval + c.SocketIO.PingTimeout + c.Cluster.ForwardTimeout
}
