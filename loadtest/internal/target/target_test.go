package target

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/loadtest/internal/driver"
)

// A load for another machine has to be asked for: a slip of the pen would be an attack.
func TestAttachRefusesOtherMachines(t *testing.T) {
	for _, tc := range []struct {
		addr string
		ok   bool
	}{
		{"127.0.0.1:8080", true},
		{"127.8.9.10:8080", true},
		{"[::1]:8080", true},
		{"localhost:8080", true},
		{"192.0.2.1:8080", false},
		{"10.0.0.1:8080", false},
		{"[2001:db8::1]:8080", false},
		{"localhost.example.org:8080", false},
		{"example.org:8080", false},
		{"0.0.0.0:8080", false},
		{"127.0.0.1", false},
	} {
		t.Run(tc.addr, func(t *testing.T) {
			attachment := Attachment{Driver: driver.Native, Gateways: []string{"127.0.0.1:1", tc.addr}}
			_, err := Attach(attachment)
			if tc.ok {
				require.NoError(t, err)
				return
			}
			var remote *RemoteError
			require.ErrorAs(t, err, &remote)
			require.Equal(t, tc.addr, remote.Addr)
			attachment.Remote = true
			_, err = Attach(attachment)
			require.NoError(t, err)
		})
	}
}

func TestAttachWithoutServersOrProtocol(t *testing.T) {
	_, err := Attach(Attachment{Driver: driver.Native})
	require.Error(t, err)
	_, err = Attach(Attachment{Driver: "smoke", Gateways: []string{"127.0.0.1:1"}})
	require.ErrorContains(t, err, "smoke")
}

func TestStartNamesWhatIsMissing(t *testing.T) {
	_, err := Start(t.Context(), Spec{Name: "carrier pigeon"})
	require.ErrorIs(t, err, ErrUnknown)
	_, err = Start(t.Context(), Spec{Name: Centrifugo, Binaries: Binaries{Centrifugo: "/nowhere/centrifugo"}})
	require.ErrorContains(t, err, "-centrifugo")
	_, err = Start(t.Context(), Spec{Name: SocketIO, Binaries: Binaries{Node: "true", Peers: t.TempDir()}})
	require.ErrorContains(t, err, "npm ci")
}

// A server that ends at once is told with what it said, and its Redis does not stay.
func TestStartTellsWhyAServerEnded(t *testing.T) {
	_, err := Start(t.Context(), Spec{Name: Signalbox, Binaries: Binaries{Gateway: "ls"}})
	var ended *EndedError
	require.ErrorAs(t, err, &ended)
	require.Contains(t, ended.Output, "node.name")
}

func TestReadyAddresses(t *testing.T) {
	const line = `{"time":"x","level":"INFO","msg":"gateway is ready","node_id":"n","public":"127.0.0.1:4711","operations":"127.0.0.1:1"}`
	public, operations := readyAddresses("{}\n" + line + "\n")
	require.Equal(t, "127.0.0.1:4711", public)
	require.Equal(t, "127.0.0.1:1", operations)
	public, _ = readyAddresses(line)
	require.Empty(t, public, "the line is not whole yet")
	public, _ = readyAddresses("{}\n")
	require.Empty(t, public)
}
