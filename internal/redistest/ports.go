package redistest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// The ports lie below the ephemeral range of Linux (32768 up) so that no outgoing connection takes
// one while its server is down and about to be restarted.
const (
	firstPort = 20000
	portCount = 10000
)

// reservation is a port that no other test gets. It is held as a UDP socket on the same number:
// the kernel hands each number out once, across processes, and takes it back when a process dies.
type reservation struct {
	number int
	guard  net.PacketConn
}

// reservePort picks a port that no other test holds and on which nothing listens now.
func reservePort() (reservation, error) {
	offset := rand.IntN(portCount)
	for i := range portCount {
		number := firstPort + (offset+i)%portCount
		addr := net.JoinHostPort(host, strconv.Itoa(number))
		guard, err := net.ListenPacket("udp", addr)
		if err != nil {
			continue
		}
		probe, err := net.Listen("tcp", addr)
		if err != nil {
			_ = guard.Close()
			continue
		}
		if err := probe.Close(); err != nil {
			_ = guard.Close()
			return reservation{}, fmt.Errorf("free port %d after the probe: %w", number, err)
		}
		return reservation{number: number, guard: guard}, nil
	}
	return reservation{}, errors.New("no free port")
}

// release gives the port back. The zero reservation holds nothing.
func (r reservation) release() {
	if r.guard != nil {
		_ = r.guard.Close()
	}
}
