package cluster

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// Headers by which a node tells another one about a request's client. A client's own ones of these names go no further.
const (
	headerAddress = "Signalbox-Client-Address" // the client's, as host:port
	headerTLS     = "Signalbox-Client-Tls"     // "1" if the client came by TLS
	headerNode    = "Signalbox-Hop"            // id of the node that passes the request on
)

// forwarder passes requests on to one node.
type forwarder struct {
	hop   *Hop
	owner Node
}

var _ http.Handler = (*forwarder)(nil)

// ServeHTTP passes a request on, and the answer back; both as they come. An upgraded connection is served to its end.
func (f *forwarder) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := f.hop
	if Hopped(r) {
		// The node that sent it here believes this one to be the owner, and so it would go round.
		h.metrics.requests.WithLabelValues(resultLoop).Inc()
		h.opts.Unreachable.ServeHTTP(w, r)
		return
	}
	if !h.begin() {
		h.metrics.requests.WithLabelValues(resultEnded).Inc()
		h.opts.Unreachable.ServeHTTP(w, r)
		return
	}
	defer h.running.Done()
	h.metrics.open.Inc()
	defer h.metrics.open.Dec()
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(h.life, cancel)() //nolint:contextcheck // a request ends with its client or with the hop

	p := &passage{forwarder: f, client: newClientSide(ctx, cancel, h, w), in: r, began: time.Now()}
	defer p.count()
	p.serve(ctx)
}

// passage is one request on its way.
type passage struct {
	*forwarder
	client *clientSide
	in     *http.Request
	began  time.Time
	result string // "" as long as it is going well
	whole  bool   // the answer has been passed on to its end
}

func (p *passage) serve(ctx context.Context) {
	proxy := httputil.ReverseProxy{
		Rewrite:        p.rewrite,
		Transport:      p.hop.transport,
		FlushInterval:  -1,
		ModifyResponse: p.head,
		ErrorHandler:   func(_ http.ResponseWriter, _ *http.Request, err error) { p.fail(err) },
		ErrorLog:       p.hop.errorLog,
		BufferPool:     (*bufferPool)(p.hop),
	}
	p.client.letWait(p.in)
	proxy.ServeHTTP(p.client, p.in.WithContext(ctx))
	p.whole = true
}

// rewrite makes the request to the owner of the client's. ReverseProxy has taken out what concerns one connection.
func (p *passage) rewrite(r *httputil.ProxyRequest) {
	r.Out.URL = &url.URL{
		Scheme: "https", Host: p.owner.Address, Path: r.In.URL.Path, RawPath: r.In.URL.RawPath, RawQuery: r.Out.URL.RawQuery}
	r.Out.Host = r.In.Host // the owner compares a page's origin with it
	if r.Out.Body == nil {
		r.Out.Body = emptyBody{}
	}
	header := r.Out.Header
	for name := range header {
		if strings.HasPrefix(name, "X-Forwarded-") || strings.HasPrefix(name, "Signalbox-") {
			delete(header, name)
		}
	}
	header.Del("Forwarded")
	header.Del("Expect") // this node has asked for the body already
	header.Set(headerNode, p.hop.opts.Cluster.opts.Self.ID)
	header.Set(headerAddress, clientAddress(r.In.RemoteAddr))
	if r.In.TLS != nil {
		header.Set(headerTLS, "1")
	}
}

// clientAddress gives an address as the owner takes it, the unspecified one for a client that has none. A zone means
// nothing on another machine.
func clientAddress(remote string) string {
	address, err := netip.ParseAddrPort(remote)
	if err != nil { // a proxy may have told no port
		host, err := netip.ParseAddr(remote)
		if err != nil {
			host = netip.IPv6Unspecified()
		}
		address = netip.AddrPortFrom(host, 0)
	}
	return netip.AddrPortFrom(address.Addr().WithZone(""), address.Port()).String()
}

// emptyBody is the body of requests that have none. net/http sends a request without a body again if its connection
// ends before the answer, as it takes GET to be repeatable. Here none is: a poll may have taken what waited for the
// client, and would lose it. A body that cannot be had again keeps it from doing so.
type emptyBody struct{}

func (emptyBody) Read([]byte) (int, error) { return 0, io.EOF }
func (emptyBody) Close() error             { return nil }

// head is called when the head of the owner's answer has come. An owner may still answer a request that has ended, as it
// sees the TLS connection's end before the connection is closed: that answer says nothing, and its body would not come.
func (p *passage) head(answer *http.Response) error {
	if err := p.client.ctx.Err(); err != nil {
		return err
	}
	if p.in.Method != http.MethodGet || answer.StatusCode == http.StatusSwitchingProtocols {
		p.hop.metrics.seconds.Observe(time.Since(p.began).Seconds())
	}
	p.client.armWrite()
	return nil
}

// fail is called if there is no answer that could be passed on.
func (p *passage) fail(err error) {
	p.result = p.reason(err)
	p.hop.note(p.result, p.owner, err)
	if p.client.hijacked {
		return
	}
	p.client.armWrite()
	p.hop.opts.Unreachable.ServeHTTP(p.client.ResponseWriter, p.in)
}

func (p *passage) reason(err error) string {
	var dial *dialError
	var network net.Error
	switch {
	case errors.Is(err, errStranger):
		return resultRefused
	case p.in.Context().Err() != nil, p.client.tooEarly:
		return resultAborted
	case p.hop.life.Err() != nil:
		return resultEnded
	case errors.As(err, &dial):
		return resultUnreachable
	case errors.As(err, &network) && network.Timeout():
		return resultTimeout
	}
	return resultUnreachable
}

// count is called at the very end; ReverseProxy panics when an answer breaks off, so that the client's does, too.
func (p *passage) count() {
	switch {
	case p.result != "":
	case p.whole:
		p.result = resultOK
	case p.in.Context().Err() != nil:
		p.result = resultAborted
	default:
		p.result = resultBroken
	}
	p.hop.metrics.requests.WithLabelValues(p.result).Inc()
}

// warnPause is the least time between two warnings: a dead node has many clients.
const warnPause = time.Second

// note logs a request that failed.
func (h *Hop) note(result string, owner Node, err error) {
	log := h.opts.Logger.Debug
	if result != resultAborted && result != resultEnded {
		h.mu.Lock()
		if now := time.Now(); now.Sub(h.warned) >= warnPause {
			h.warned, log = now, h.opts.Logger.Warn
		}
		h.mu.Unlock()
	}
	log("a request for another node's session failed", "result", result, "other", owner.ID, "address", owner.Address, "error", err)
}

// bufferPool is a hop as it lends buffers to ReverseProxy.
type bufferPool Hop

var _ httputil.BufferPool = (*bufferPool)(nil)

// Get implements [httputil.BufferPool].
func (p *bufferPool) Get() []byte { return *p.buffers.Get().(*[]byte) }

// Put implements [httputil.BufferPool].
func (p *bufferPool) Put(b []byte) { p.buffers.Put(&b) }
