package memnet

import (
	"context"
	"net"
	"sync"
)

// Cable is one machine's way to a network, which can be cut: every packet is lost then, and no connection ends.
type Cable struct {
	Network *Network

	mu    sync.Mutex
	links []*Conn // this machine's ends
	isCut bool    // new links lose everything, too
}

// DialContext connects as [Network.DialContext] does.
func (c *Cable) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := c.Network.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	link := conn.(*Conn)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.links = append(c.links, link)
	if c.isCut {
		link.Freeze()
	}
	return link, nil
}

// Cut has every packet lost from now on.
func (c *Cable) Cut() { c.set(true, (*Conn).Freeze) }

// Heal ends that.
func (c *Cable) Heal() { c.set(false, (*Conn).Thaw) }

// Each does something to the connections that there are: those to come are as before.
func (c *Cable) Each(change func(*Conn)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, link := range c.links {
		change(link)
	}
}

func (c *Cable) set(isCut bool, change func(*Conn)) {
	c.mu.Lock()
	c.isCut = isCut
	c.mu.Unlock()
	c.Each(change)
}
