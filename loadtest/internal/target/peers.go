package target

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// centrifugoConfig is Centrifugo's file. Rooms have join and leave events, because the first party of a call has to know
// when the second has come; peers listen on channels of their own. Anybody may come in without a token, as at the gateways.
const centrifugoConfig = `
http_server: {address: "%s", port: %d}
log: {level: warn}
engine:
  type: redis
  redis: {address: "redis://%s"}
client:
  allow_anonymous_connect_without_token: true
  allowed_origins: ["*"]
usage_stats: {disabled: true}
health: {enabled: true}
channel:
  namespaces:
    - name: room
      join_leave: true
      force_push_join_leave: true
%[4]s
    - name: peer
%[4]s
`

// centrifugoAccess lets anonymous clients use a namespace.
const centrifugoAccess = `      allow_subscribe_for_client: true
      allow_subscribe_for_anonymous: true
      allow_publish_for_client: true
      allow_publish_for_anonymous: true`

const centrifugoPresence = `
      presence: true`

// centrifugoHistory keeps as many messages for as long as a gateway does by default, and lets clients recover them.
const centrifugoHistory = `
      history_size: 256
      history_ttl: 120s
      force_recovery: true`

// centrifugo starts Centrifugo's nodes with its Redis engine.
func (b *builder) centrifugo() error {
	binary, err := path(b.spec.Binaries.Centrifugo, "centrifugo", "see loadtest/README.md, or name the program with -centrifugo")
	if err != nil {
		return err
	}
	access := centrifugoAccess + b.kind.extras
	return b.nodes("centrifugo-", func(_ int, name string) (node, error) {
		port, err := freePort()
		if err != nil {
			return node{}, err
		}
		file := filepath.Join(b.dir, name+".yaml")
		if err := os.WriteFile(file, fmt.Appendf(nil, centrifugoConfig, host, port, b.Redis[0], access), 0o600); err != nil {
			return node{}, err
		}
		addr := net.JoinHostPort(host, strconv.Itoa(port))
		return node{cmd: exec.Command(binary, "--config", file), ready: func() string {
			if !answers("http://"+addr+"/health", http.StatusOK) {
				return ""
			}
			return addr
		}}, nil
	})
}

// socketIO starts processes of the socket.io server in loadtest/peers.
func (b *builder) socketIO() error {
	binary, err := path(b.spec.Binaries.Node, "node", "install Node.js 20 or newer, or name the program with -node")
	if err != nil {
		return err
	}
	folder := b.spec.Binaries.Peers
	if folder == "" {
		folder = filepath.Join("loadtest", "peers")
	}
	if _, err := os.Stat(filepath.Join(folder, "node_modules")); err != nil {
		return fmt.Errorf("its npm packages are not installed: run `npm ci --prefix %s` (%w)", folder, err)
	}
	return b.nodes("socketio-", func(_ int, name string) (node, error) {
		port, err := freePort()
		if err != nil {
			return node{}, err
		}
		cmd := exec.Command(binary, "socketio.js", strconv.Itoa(port), "redis://"+b.Redis[0], strconv.Itoa(b.spec.Capacity))
		cmd.Dir = folder
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "NODE_ENV=production"}
		return node{cmd: cmd, ready: func() string {
			if !strings.Contains(b.logTail(name), "ready") {
				return ""
			}
			return net.JoinHostPort(host, strconv.Itoa(port))
		}}, nil
	})
}
