package app

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// proxies are the networks whose word about a client's address is taken.
type proxies []netip.Prefix

func newProxies(networks []string) (proxies, error) {
	p := make(proxies, 0, len(networks))
	for _, network := range networks {
		prefix, err := netip.ParsePrefix(network)
		if err != nil {
			return nil, err
		}
		p = append(p, prefix.Masked())
	}
	return p, nil
}

func (p proxies) trust(address netip.Addr) bool {
	for _, network := range p {
		if network.Contains(address) {
			return true
		}
	}
	return false
}

// resolve makes a request's RemoteAddr the address of its client: with proxies in front, the last one in X-Forwarded-For
// that is not one of them, because each adds the address that it was called from and anybody can send what stands before.
// If all are proxies, the first of them was the client.
func (p proxies) resolve(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if client, ok := p.client(r); ok {
			r.RemoteAddr = client.String()
		}
		next.ServeHTTP(w, r)
	})
}

func (p proxies) client(r *http.Request) (client netip.AddrPort, ok bool) {
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	forwarded := r.Header.Values("X-Forwarded-For")
	if err != nil || len(forwarded) == 0 || !p.trust(from.Addr().Unmap()) {
		return client, false
	}
	entries := strings.Split(strings.Join(forwarded, ","), ",")
	for i := len(entries) - 1; i >= 0; i-- {
		address, valid := parseForwarded(strings.TrimSpace(entries[i]))
		if !valid {
			break // whatever stands before was not written by a proxy of ours
		}
		client, ok = netip.AddrPortFrom(address, 0), true
		if !p.trust(address) {
			break
		}
	}
	return client, ok
}

// parseForwarded reads an address, with or without a port: some proxies add one.
func parseForwarded(entry string) (netip.Addr, bool) {
	address, err := netip.ParseAddr(entry)
	if err != nil {
		host, _, splitErr := net.SplitHostPort(entry)
		if splitErr != nil {
			return address, false
		}
		address, err = netip.ParseAddr(host)
	}
	return address.Unmap().WithZone(""), err == nil
}
