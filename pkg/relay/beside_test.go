package relay_test

import (
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/stun/v4"
	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/internal/childproc"
	"github.com/signalbox-rtc/signalbox/pkg/relay"
)

var (
	beside       = flag.String("beside", "", "the relay's `binary`, to be measured beside coturn; the figures go into docs/relay.md")
	besideRounds = flag.Int("rounds", besideOften, "how `often` that is done; the figures of another number are shown alone")
)

// What TestBesideCoturn does: short and bounded, as others may need the machine.
const (
	besideOften   = 5
	besideTime    = 2 * time.Second // of each round and server
	besideClients = 8
	besideWindow  = 16   // packets under way of each client
	besideSize    = 1000 // bytes of a packet
)

// rival is a server that is measured.
type rival struct {
	name    string
	address netip.AddrPort
	process *childproc.Process
	clients atomic.Uint32

	// Of each round: packets/s, µs of processor time each, the same of packets that come one by one, and allocations/s.
	packets, cost, costAlone, allocations []float64
}

// TestBesideCoturn measures the relay and coturn side by side, in turns, and writes what comes of it into the page, as ratios: what they do
// in a second says more of the machine than of them.
func TestBesideCoturn(t *testing.T) {
	if *beside == "" {
		t.Skip("make relay-docs measures")
	}
	rivals := []*rival{startRival(t, "relay"), startRival(t, "coturn")}
	for range *besideRounds {
		for _, r := range rivals {
			rate, cost := r.relayPackets(t, besideWindow)
			r.packets, r.cost = append(r.packets, rate), append(r.cost, cost)
			_, alone := r.relayPackets(t, 1)
			r.costAlone = append(r.costAlone, alone)
			r.allocate(t)
		}
	}
	ratio := func(of func(*rival) []float64) string {
		var ratios []float64
		for i := range *besideRounds {
			ratios = append(ratios, of(rivals[0])[i]/of(rivals[1])[i])
		}
		slices.Sort(ratios)
		return fmt.Sprintf("%.2f | %.2f to %.2f", ratios[len(ratios)/2], ratios[0], ratios[len(ratios)-1])
	}
	table := fmt.Sprintf(`
| the relay's, with coturn's as 1 | median of %d rounds | least to most |
|---|---|---|
| packets a second, over UDP, by channels, of %d bytes, %d clients with %d under way each | %s |
| processor time of the server for a packet of these | %s |
| the same with one under way of each client, so that there is hardly ever more than one to be read | %s |
| allocations made and given up a second, by %d clients | %s |

`, *besideRounds, besideSize, besideClients, besideWindow, ratio(func(r *rival) []float64 { return r.packets }),
		ratio(func(r *rival) []float64 { return r.cost }), ratio(func(r *rival) []float64 { return r.costAlone }), besideClients, ratio(func(r *rival) []float64 { return r.allocations }))
	t.Log(table)
	if *besideRounds != besideOften {
		return
	}
	page := filepath.Join("..", "..", "docs", "relay.md")
	text, err := os.ReadFile(page)
	require.NoError(t, err)
	before, rest, found := strings.Cut(string(text), "<!-- beside coturn: make relay-docs -->\n")
	require.True(t, found)
	_, after, found := strings.Cut(rest, "<!-- end -->")
	require.True(t, found)
	require.NoError(t, os.WriteFile(page, []byte(before+"<!-- beside coturn: make relay-docs -->\n"+table+"<!-- end -->"+after), 0o644))
}

// startRival starts a server with the same secret, realm and number of processors as the other.
func startRival(t *testing.T, name string) *rival {
	t.Helper()
	free := peer(t, "127.0.0.1:0")
	r := &rival{name: name, address: free.LocalAddr().(*net.UDPAddr).AddrPort()}
	require.NoError(t, free.Close())
	dir := t.TempDir()
	command := exec.Command(*beside, "--listen.udp="+r.address.String(), "--listen.tcp=", "--listen.operations=127.0.0.1:0", "--relay.external_ip=127.0.0.1",
		"--relay.ports_from=20000", "--relay.ports_to=40000", "--peers.allow=127.0.0.0/8", "--quotas.user_bytes_per_second=0", "--log.level=error")
	command.Env = append(os.Environ(), "SIGNALBOX_CREDENTIALS_SECRETS="+secret)
	if name == "coturn" {
		command = exec.Command(mustFind(t, "turnserver"), "-n", "--listening-ip=127.0.0.1", "--listening-port="+strconv.Itoa(int(r.address.Port())),
			"--relay-ip=127.0.0.1", "--use-auth-secret", "--static-auth-secret="+secret, "--realm=signalbox", "--allow-loopback-peers", "--no-tls",
			"--no-dtls", "--no-cli", "--log-file=/dev/null", "--no-stdout-log", "--pidfile="+filepath.Join(dir, "pid"),
			"--userdb="+filepath.Join(dir, "db"), "--min-port=40001", "--max-port=60000")
	}
	var err error
	r.process, err = childproc.Start(command)
	require.NoError(t, err)
	t.Cleanup(r.process.Kill)
	require.Eventually(t, func() bool {
		_, err := relay.Reflexive(t.Context(), "udp4", r.address.String())
		return err == nil
	}, patience, 10*time.Millisecond)
	return r
}

// client makes a client of the server, at an address that none has had before: coturn knows one for a while after its allocation has ended.
func (r *rival) client(t *testing.T, i int) *raw {
	t.Helper()
	number := r.clients.Add(1)
	from := &net.UDPAddr{IP: net.IPv4(127, byte(1+number>>16), byte(number>>8), byte(number))}
	conn, err := net.DialUDP("udp", from, net.UDPAddrFromAddrPort(r.address))
	require.NoError(t, err)
	return &raw{t: t, conn: conn, d: credentials("user-" + strconv.Itoa(i))}
}

// relayPackets has each client send to an echo and back, for a while, and gives packets/s and the processor time of each in µs.
func (r *rival) relayPackets(t *testing.T, window int) (rate, cost float64) {
	var running sync.WaitGroup
	var relayed atomic.Int64
	var clients []*raw
	for i := range besideClients {
		c := r.client(t, i)
		defer func() { _ = c.conn.Close() }()
		c.mustAllocate()
		echo := peer(t, "127.0.0.1:0")
		defer func() { _ = echo.Close() }()
		require.Zero(t, codeOf(c.ask(stun.MethodChannelBind, channelNumber(0x4000), toward(echo.LocalAddr().(*net.UDPAddr).AddrPort()))))
		clients = append(clients, c)
		running.Go(func() { // until it is closed
			buffer := make([]byte, 2000)
			for {
				n, from, err := echo.ReadFrom(buffer)
				if err != nil {
					return
				}
				_, _ = echo.WriteTo(buffer[:n], from)
			}
		})
	}
	before, begin := cpuOf(t, r.process.PID()), time.Now()
	var sending sync.WaitGroup
	for _, c := range clients {
		sending.Go(func() { relayed.Add(pump(c.conn, window, begin.Add(besideTime))) })
	}
	sending.Wait()
	passed, spent := time.Since(begin), cpuOf(t, r.process.PID())-before
	count := float64(relayed.Load())
	rate, cost = count/passed.Seconds(), float64(spent.Microseconds())/count
	for _, c := range clients {
		require.Zero(t, codeOf(c.ask(stun.MethodRefresh, stun.RawAttribute{Type: stun.AttrLifetime, Value: []byte{0, 0, 0, 0}})))
	}
	t.Logf("%s: %.0f packets/s, %.1f µs each, with %d under way", r.name, rate, cost, window)
	return rate, cost
}

// pump keeps packets under way, and gives how many were relayed, both ways. What is lost is sent again.
func pump(conn net.Conn, window int, until time.Time) (relayed int64) {
	packet := binary.BigEndian.AppendUint16([]byte{0x40, 0}, besideSize)
	packet = append(packet, make([]byte, besideSize)...)
	send := func(n int) {
		for range n {
			_, _ = conn.Write(packet)
		}
	}
	send(window)
	buffer := make([]byte, 2000)
	for time.Now().Before(until) {
		_ = conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		_, err := conn.Read(buffer)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			send(window)
		case err != nil:
			return relayed
		default:
			relayed += 2
			send(1)
		}
	}
	return relayed
}

// allocate has each client make allocations and give them up again, for a while.
func (r *rival) allocate(t *testing.T) {
	var running sync.WaitGroup
	var made atomic.Int64
	begin := time.Now()
	for i := range besideClients {
		running.Go(func() {
			for time.Since(begin) < besideTime/2 {
				c := r.client(t, i)
				c.mustAllocate()
				c.ask(stun.MethodRefresh, stun.RawAttribute{Type: stun.AttrLifetime, Value: []byte{0, 0, 0, 0}})
				_ = c.conn.Close()
				made.Add(1)
			}
		})
	}
	running.Wait()
	r.allocations = append(r.allocations, float64(made.Load())/time.Since(begin).Seconds())
	t.Logf("%s: %.0f allocations/s", r.name, r.allocations[len(r.allocations)-1])
}

// cpuOf is the processor time that a process has used, as the kernel counts it: in hundredths of a second.
func cpuOf(t *testing.T, pid int) time.Duration {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	require.NoError(t, err)
	_, rest, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(rest) // from the third on: proc(5)
	user, err := strconv.Atoi(fields[11])
	require.NoError(t, err)
	system, err := strconv.Atoi(fields[12])
	require.NoError(t, err)
	return time.Duration(user+system) * 10 * time.Millisecond
}
