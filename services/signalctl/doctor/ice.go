package doctor

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"

	"github.com/pion/stun/v3"
)

// stunResend is how soon a request is sent again over UDP, which loses packets (RFC 8489, section 6.2.1).
const stunResend = 500 * time.Millisecond

// ice asks each STUN and TURN server for the address that this machine has from there.
func (e *examination) ice(ctx context.Context) {
	urls := e.opts.ICE
	for _, server := range e.opts.Config.ICEServers {
		urls = append(urls, server.URLs...)
	}
	if len(urls) == 0 {
		e.add("ice", Warn, "none", "clients are told no STUN or TURN server", "Set ice_servers: without TURN, one call in ten or so finds no way.")
		return
	}
	for _, address := range urls {
		e.iceServer(ctx, address)
	}
}

func (e *examination) iceServer(ctx context.Context, address string) {
	ctx, cancel := context.WithTimeout(ctx, e.opts.Timeout)
	defer cancel()
	name := "ice " + address
	uri, err := stun.ParseURI(address)
	if err != nil {
		e.add(name, Fail, "", "the address is not valid: "+err.Error(), "Write it in ice_servers as stun:host:port, or turn:host:port?transport=tcp (RFC 7064, RFC 7065).")
		return
	}
	began := time.Now()
	seen, err := askSTUN(ctx, uri, e.opts.TLS)
	if err != nil {
		e.add(name, Fail, "", err.Error(), fmt.Sprintf(
			"Start the server, correct ice_servers, or open %s to port %d; from a network like the clients', turnutils_stunclient or a browser's trickle ICE page tells the same.", uri.Proto, uri.Port))
		return
	}
	e.ok(name, fmt.Sprintf("answered in %s, sees us as %s", short(time.Since(began)), seen))
}

// askSTUN sends a binding request (RFC 8489, section 3), which TURN servers answer as well.
func askSTUN(ctx context.Context, uri *stun.URI, config *tls.Config) (string, error) {
	conn, err := dialSTUN(ctx, uri, config)
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close() }()
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	request, err := stun.Build(stun.TransactionID, stun.BindingRequest)
	if err != nil {
		return "", err
	}
	answer, err := exchange(ctx, conn, uri.Proto == stun.ProtoTypeUDP, request)
	if err != nil {
		return "", err
	}
	var seen stun.XORMappedAddress
	if answer.Type != stun.BindingSuccess {
		return "", fmt.Errorf("it answers, and refuses: %s", answer.Type)
	}
	if err := seen.GetFrom(answer); err != nil {
		return "", errors.New("its answer has no address: is it a STUN server?")
	}
	return seen.String(), nil
}

func dialSTUN(ctx context.Context, uri *stun.URI, config *tls.Config) (net.Conn, error) {
	address := net.JoinHostPort(uri.Host, strconv.Itoa(uri.Port))
	network := "tcp"
	if uri.Proto == stun.ProtoTypeUDP {
		network = "udp"
	}
	secure := uri.Scheme == stun.SchemeTypeSTUNS || uri.Scheme == stun.SchemeTypeTURNS
	if !secure {
		return new(net.Dialer).DialContext(ctx, network, address)
	}
	if network == "udp" {
		return nil, errors.New("DTLS is not looked at: name it with ?transport=tcp as well")
	}
	if config == nil {
		config = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	return (&tls.Dialer{Config: config}).DialContext(ctx, network, address)
}

// exchange sends a request and gives its answer. Over UDP it sends again until one comes.
func exchange(ctx context.Context, conn net.Conn, packets bool, request *stun.Message) (*stun.Message, error) {
	for {
		if _, err := conn.Write(request.Raw); err != nil {
			return nil, err
		}
		if packets {
			if err := conn.SetReadDeadline(time.Now().Add(stunResend)); err != nil {
				return nil, err
			}
		}
		answer, err := readSTUN(conn, packets)
		switch {
		case err == nil && answer.TransactionID == request.TransactionID:
			return answer, nil
		case ctx.Err() != nil:
			return nil, errors.New("no answer in time")
		case err != nil && (!packets || !isTimeout(err)):
			return nil, err
		}
	}
}

func isTimeout(err error) bool {
	timeout, ok := errors.AsType[net.Error](err)
	return ok && timeout.Timeout()
}

// readSTUN reads one message; in a stream its header says how long it is.
func readSTUN(conn net.Conn, packets bool) (*stun.Message, error) {
	const header, most = 20, 1500
	text := make([]byte, most)
	n := 0
	var err error
	if packets {
		n, err = conn.Read(text)
	} else if n, err = io.ReadFull(conn, text[:header]); err == nil {
		n = min(header+int(text[2])<<8+int(text[3]), most)
		_, err = io.ReadFull(conn, text[header:n])
	}
	if err != nil {
		return nil, err
	}
	message := new(stun.Message)
	return message, stun.Decode(text[:n], message)
}
