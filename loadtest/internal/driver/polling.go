package driver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// pollingDriver speaks the same as socketIODriver by long polling alone: one GET that waits, and POSTs one after the other.
type pollingDriver struct {
	namespace string

	mu      sync.Mutex
	clients map[string]*http.Client // by source address; guarded by mu
}

type pollingPeer struct {
	socketIOPackets
	client *http.Client
	url    string
	ctx    context.Context // the session's own: it ends the poll that waits
	cancel context.CancelFunc
	closed atomic.Bool

	mu      sync.Mutex
	waiting []byte        // packets for the next POST; guarded by mu
	posting bool          // guarded by mu
	goodbye chan struct{} // closed when the last POST has ended, once Close has made it; guarded by mu
}

// separator stands between the packets of one body (Engine.IO 4).
const separator = '\x1e'

func newPollingDriver(namespace string) *pollingDriver {
	return &pollingDriver{namespace: namespace, clients: map[string]*http.Client{}}
}

// clientFor keeps one pool of connections for each source address.
func (d *pollingDriver) clientFor(to Endpoint) *http.Client {
	d.mu.Lock()
	defer d.mu.Unlock()
	client := d.clients[to.Source.String()]
	if client == nil {
		transport := &http.Transport{
			DialContext: func(ctx context.Context, _, addr string) (net.Conn, error) {
				return dial(ctx, Endpoint{Addr: addr, Source: to.Source, Traffic: to.Traffic})
			},
			MaxIdleConnsPerHost: 4096, IdleConnTimeout: time.Minute, DisableCompression: true,
		}
		client = &http.Client{Transport: transport}
		d.clients[to.Source.String()] = client
	}
	return client
}

// Close gives up the connections that no request uses.
func (d *pollingDriver) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, client := range d.clients {
		client.CloseIdleConnections()
	}
	return nil
}

func (d *pollingDriver) Connect(ctx context.Context, to Endpoint, events Events) (Peer, error) {
	p := &pollingPeer{socketIOPackets: newPackets(d.namespace, events), client: d.clientFor(to)}
	p.ctx, p.cancel = context.WithCancel(context.WithoutCancel(ctx))
	p.url = "http://" + to.Addr + "/socket.io/?EIO=4&transport=polling"
	if err := p.connect(); err != nil {
		p.Cut()
		return nil, fmt.Errorf("connect: %w", err)
	}
	go p.read() // until the session ends
	return p, nil
}

func (p *pollingPeer) connect() error {
	body, err := p.do(http.MethodGet, nil)
	if err != nil {
		return err
	}
	_, rest, ok := strings.Cut(string(body), `"sid":"`)
	sid, _, _ := strings.Cut(rest, `"`)
	if !ok {
		return fmt.Errorf("not a handshake: %.80s", body)
	}
	p.url += "&sid=" + sid
	if _, err := p.do(http.MethodPost, []byte("40"+p.prefix)); err != nil {
		return err
	}
	for {
		if body, err = p.do(http.MethodGet, nil); err != nil {
			return err
		}
		for packet := range bytes.SplitSeq(body, []byte{separator}) {
			if done, err := p.connected(packet); done || err != nil {
				return err
			}
		}
	}
}

// do sends one request and reads its answer.
func (p *pollingPeer) do(method string, body []byte) ([]byte, error) {
	request, err := http.NewRequestWithContext(p.ctx, method, p.url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if body != nil {
		request.Header.Set("Content-Type", "text/plain;charset=UTF-8")
	}
	response, err := p.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	switch {
	case response.StatusCode == http.StatusServiceUnavailable:
		seconds, _ := strconv.Atoi(response.Header.Get("Retry-After")) // 0 if there is none
		return nil, &BusyError{Status: response.Status, RetryAfter: time.Duration(seconds) * time.Second}
	case response.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("%s was answered with %s: %.80s", method, response.Status, text)
	}
	return text, err
}

func (p *pollingPeer) Join(ctx context.Context, room string) error {
	return p.request(ctx, "join", room)
}

func (p *pollingPeer) Leave(ctx context.Context, room string) error {
	return p.request(ctx, "leave", room)
}

func (p *pollingPeer) request(ctx context.Context, name, room string) error {
	number, err := p.begin()
	if err != nil {
		return err
	}
	p.post(append(p.appendEvent(nil, number, name, room), ']'))
	text, err := p.wait(ctx, name)
	if err != nil {
		return err
	}
	return acknowledged(name, text)
}

// Send needs no address: a call's room has one other member.
func (p *pollingPeer) Send(room, _ string, payload []byte) error { return p.Broadcast(room, payload) }

func (p *pollingPeer) Broadcast(room string, payload []byte) error {
	if p.closed.Load() {
		return errEnded
	}
	b := append(p.appendEvent(nil, 0, "message", room), ',')
	p.post(append(append(b, payload...), ']'))
	return nil
}

// post adds a packet to those that go with the next POST; while one is under way they gather.
func (p *pollingPeer) post(packet []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.waiting) > 0 {
		p.waiting = append(p.waiting, separator)
	}
	p.waiting = append(p.waiting, packet...)
	if !p.posting {
		p.posting = true
		go p.flush() // until nothing waits
	}
}

func (p *pollingPeer) flush() {
	for {
		p.mu.Lock()
		body := p.waiting
		p.waiting = nil
		p.posting = len(body) > 0
		if len(body) == 0 {
			if p.goodbye != nil {
				close(p.goodbye)
				p.goodbye = nil
			}
			p.mu.Unlock()
			return
		}
		p.mu.Unlock()
		if _, err := p.do(http.MethodPost, body); err != nil {
			p.lost(err) // what waits now goes the same way
		}
	}
}

// Close tells the server behind everything that was sent, and ends the poll that waits.
func (p *pollingPeer) Close() error {
	if p.closed.Swap(true) {
		return nil
	}
	defer p.cancel()
	gone := make(chan struct{})
	p.mu.Lock()
	p.goodbye = gone
	p.mu.Unlock()
	p.post([]byte("1"))
	timer := time.NewTimer(writeTimeout)
	defer timer.Stop()
	select {
	case <-gone:
		return nil
	case <-timer.C:
		return errors.New("the server takes no goodbye")
	}
}

func (p *pollingPeer) Cut() {
	p.closed.Store(true)
	p.cancel()
}

// lost ends the session, unless that is under way already.
func (p *pollingPeer) lost(err error) {
	p.end()
	if !p.closed.Swap(true) {
		p.cancel()
		p.events.Lost(err)
	}
}

func (p *pollingPeer) read() {
	for {
		body, err := p.do(http.MethodGet, nil)
		if err == nil {
			for packet := range bytes.SplitSeq(body, []byte{separator}) {
				var ping bool
				if ping, err = p.take(packet); err != nil {
					break
				}
				if ping {
					p.post(socketIOPong)
				}
			}
		}
		if err != nil {
			p.lost(err)
			return
		}
	}
}
