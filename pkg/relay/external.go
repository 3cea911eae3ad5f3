package relay

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/pion/stun/v4"
)

// stunTries is how often a STUN server is asked, and stunPatience how long its answer may take each time.
const (
	stunTries    = 5
	stunPatience = 500 * time.Millisecond
)

// Reflexive asks a STUN server, host:port, which address this machine has for others; network is udp4 or udp6.
func Reflexive(ctx context.Context, network, server string) (netip.Addr, error) {
	address, err := reflexive(ctx, network, server)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("relay: ask STUN server %s: %w", server, err)
	}
	return address, nil
}

func reflexive(ctx context.Context, network, server string) (netip.Addr, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, network, server)
	if err != nil {
		return netip.Addr{}, err
	}
	defer func() { _ = conn.Close() }() // nothing is lost
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	request, err := stun.Build(stun.TransactionID, stun.BindingRequest, stun.Fingerprint)
	if err != nil {
		return netip.Addr{}, err
	}
	buffer := make([]byte, 1500)
	for range stunTries {
		if err = conn.SetDeadline(time.Now().Add(stunPatience)); err != nil {
			return netip.Addr{}, err
		}
		if _, err = conn.Write(request.Raw); err != nil {
			return netip.Addr{}, err
		}
		var address netip.Addr
		if address, err = answered(conn, buffer, request.TransactionID); err == nil {
			return address, nil
		}
		if ctx.Err() != nil {
			return netip.Addr{}, ctx.Err()
		}
	}
	return netip.Addr{}, err
}

// answered reads until the answer comes to a request, or the deadline.
func answered(conn net.Conn, buffer []byte, transaction [stun.TransactionIDSize]byte) (netip.Addr, error) {
	for {
		n, err := conn.Read(buffer)
		if err != nil {
			return netip.Addr{}, err
		}
		message := &stun.Message{Raw: buffer[:n]}
		if message.Decode() != nil || message.TransactionID != transaction {
			continue
		}
		var mapped stun.XORMappedAddress
		if err := mapped.GetFrom(message); err != nil {
			return netip.Addr{}, fmt.Errorf("its answer has no address: %w", err)
		}
		address, ok := netip.AddrFromSlice(mapped.IP)
		if !ok {
			return netip.Addr{}, errors.New("its answer has no address")
		}
		return address.Unmap(), nil
	}
}

// Routed gives the address that this machine sends from to the Internet; network is udp4 or udp6. Nothing is sent.
func Routed(network string) (netip.Addr, error) {
	somewhere := "192.0.2.1:9" // addresses for documentation: RFC 5737, RFC 3849
	if network == "udp6" {
		somewhere = "[2001:db8::1]:9"
	}
	conn, err := net.Dial(network, somewhere)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("relay: no route: %w", err)
	}
	defer func() { _ = conn.Close() }() // nothing was sent
	return addrPortOf(conn.LocalAddr()).Addr().Unmap().WithZone(""), nil
}
