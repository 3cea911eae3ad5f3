package relay_test

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/pion/stun/v4"
	"github.com/pion/turn/v5"
	"github.com/stretchr/testify/require"
)

// raw speaks to a relay in messages that no library would make.
type raw struct {
	t    testing.TB
	conn net.Conn
	d    dialing
	// nonce and realm are what the relay has said.
	nonce stun.Nonce
	realm stun.Realm
}

func (n *node) raw(t testing.TB, d dialing) *raw {
	t.Helper()
	conn, err := net.Dial("udp", n.at(t, "udp", d.six).String())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return &raw{t: t, conn: conn, d: d}
}

// mustAllocate makes an allocation, and gives its address.
func (r *raw) mustAllocate() netip.AddrPort {
	r.t.Helper()
	attributes := []stun.Setter{requestedTransport(17)}
	if r.d.six {
		attributes = append(attributes, stun.RawAttribute{Type: stun.AttrRequestedAddressFamily, Value: []byte{2, 0, 0, 0}})
	}
	answer := r.ask(stun.MethodAllocate, attributes...)
	require.Equal(r.t, stun.ClassSuccessResponse, answer.Type.Class, "%v", codeOf(answer))
	var relayed stun.XORMappedAddress
	require.NoError(r.t, relayed.GetFromAs(answer, stun.AttrXORRelayedAddress))
	address, _ := netip.AddrFromSlice(relayed.IP)
	return netip.AddrPortFrom(address.Unmap(), uint16(relayed.Port))
}

// ask sends a request with credentials, and gives the answer.
func (r *raw) ask(method stun.Method, attributes ...stun.Setter) *stun.Message {
	r.t.Helper()
	if r.nonce == nil {
		answer := r.exchange(r.build(method, nil))
		require.Equal(r.t, stun.CodeUnauthorized, codeOf(answer))
		require.NoError(r.t, r.nonce.GetFrom(answer))
		require.NoError(r.t, r.realm.GetFrom(answer))
	}
	return r.exchange(r.signed(method, attributes...))
}

func (r *raw) build(method stun.Method, attributes []stun.Setter) *stun.Message {
	r.t.Helper()
	message, err := stun.Build(append([]stun.Setter{stun.TransactionID, stun.NewType(method, stun.ClassRequest)}, attributes...)...)
	require.NoError(r.t, err)
	return message
}

// indicate sends data to a peer, by an indication.
func (r *raw) indicate(peer netip.AddrPort, data string) {
	r.t.Helper()
	message, err := stun.Build(stun.TransactionID, stun.NewType(stun.MethodSend, stun.ClassIndication), toward(peer),
		stun.RawAttribute{Type: stun.AttrData, Value: []byte(data)})
	require.NoError(r.t, err)
	r.send(message.Raw)
}

func (r *raw) send(message []byte) {
	r.t.Helper()
	_, err := r.conn.Write(message)
	require.NoError(r.t, err)
}

// exchange sends a request until its answer comes.
func (r *raw) exchange(request *stun.Message) *stun.Message {
	r.t.Helper()
	deadline := time.Now().Add(patience)
	buffer := make([]byte, 2000)
	for time.Now().Before(deadline) {
		r.send(request.Raw)
		require.NoError(r.t, r.conn.SetReadDeadline(time.Now().Add(time.Second)))
		for {
			n, err := r.conn.Read(buffer)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				break
			}
			require.NoError(r.t, err)
			answer := &stun.Message{Raw: append([]byte(nil), buffer[:n]...)}
			if answer.Decode() == nil && answer.TransactionID == request.TransactionID {
				return answer
			}
		}
	}
	require.Fail(r.t, "no answer")
	return nil
}

// alive reports that the relay answers whoever asks, after everything that was sent before.
func (r *raw) alive() {
	r.t.Helper()
	answer := r.exchange(r.build(stun.MethodBinding, nil))
	require.Equal(r.t, stun.ClassSuccessResponse, answer.Type.Class)
}

// codeOf is the error code of an answer, 0 of a success.
func codeOf(answer *stun.Message) stun.ErrorCode {
	var code stun.ErrorCodeAttribute
	if code.GetFrom(answer) != nil {
		return 0
	}
	return code.Code
}

// requestedTransport asks for the transport to peers, by its number of IANA's.
func requestedTransport(protocol byte) stun.Setter {
	return stun.RawAttribute{Type: stun.AttrRequestedTransport, Value: []byte{protocol, 0, 0, 0}}
}

func channelNumber(number uint16) stun.Setter {
	return stun.RawAttribute{Type: stun.AttrChannelNumber, Value: []byte{byte(number >> 8), byte(number), 0, 0}}
}

// xorPeer is XOR-PEER-ADDRESS.
type xorPeer netip.AddrPort

func toward(peer netip.AddrPort) stun.Setter { return xorPeer(peer) }

// AddTo implements [stun.Setter]. An IPv4 address in an IPv6 one stays that, which the library would not let through.
func (p xorPeer) AddTo(m *stun.Message) error {
	peer := netip.AddrPort(p)
	value := []byte{0, 1}
	if peer.Addr().Is6() {
		value[1] = 2
	}
	const cookie = 0x2112a442
	value = binary.BigEndian.AppendUint16(value, peer.Port()^(cookie>>16))
	mask := append(binary.BigEndian.AppendUint32(nil, cookie), m.TransactionID[:]...)
	for i, b := range peer.Addr().AsSlice() {
		value = append(value, b^mask[i])
	}
	m.Add(stun.AttrXORPeerAddress, value)
	return nil
}

// signed makes a request with credentials.
func (r *raw) signed(method stun.Method, attributes ...stun.Setter) *stun.Message {
	r.t.Helper()
	realm := r.realm
	if r.d.realm != "" {
		realm = stun.NewRealm(r.d.realm)
	}
	key := turn.GenerateAuthKey(r.d.username, realm.String(), r.d.password)
	return r.build(method, append(attributes, stun.NewUsername(r.d.username), r.nonce, realm, stun.MessageIntegrity(key)))
}
