package faultproxy

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

const (
	pieceBytes  = 16 << 10
	packetBytes = 1448 // what an Ethernet frame carries of a TCP stream
	// heldPieces is what a way holds before its sender has to wait, as the buffers of a network do.
	heldPieces = 256
	// firstRepair is how long TCP waits, at least, before it sends a packet again (RFC 6298 and Linux); it doubles.
	firstRepair = 200 * time.Millisecond
	maxRepairs  = 4
)

// conn is one connection and its continuation.
type conn struct {
	proxy          *Proxy
	client, server *net.TCPConn
	marked         atomic.Bool
	own            *Faults // guarded by the proxy's mu; nil for what others have, too
	once           sync.Once
	closed         chan struct{} // closed when both ends have been
}

// carry takes both ways until they have ended.
func (c *conn) carry() {
	up := newWay(c, true, c.client, c.server)
	down := newWay(c, false, c.server, c.client)
	var running sync.WaitGroup
	for _, run := range []func(){up.read, up.write, down.read, down.write} {
		running.Go(run)
	}
	running.Wait()
	c.close()
}

func (c *conn) close() {
	c.once.Do(func() {
		close(c.closed)
		_ = c.client.Close()
		_ = c.server.Close()
	})
}

// reset ends the connection at both ends without an orderly end.
func (c *conn) reset() {
	_ = c.client.SetLinger(0)
	_ = c.server.SetLinger(0)
	c.close()
}

// piece is some bytes on their way, or the end of them.
type piece struct {
	bytes []byte
	end   error
	due   time.Time
}

// way is one direction of a connection.
type way struct {
	conn     *conn
	up       bool
	from, to *net.TCPConn
	pieces   chan piece
	last     time.Time // owned by read: when the piece before is due
}

func newWay(c *conn, up bool, from, to *net.TCPConn) *way {
	return &way{conn: c, up: up, from: from, to: to, pieces: make(chan piece, heldPieces)}
}

// read takes what the sender sends.
func (w *way) read() {
	buffer := make([]byte, pieceBytes)
	for {
		n, err := w.from.Read(buffer)
		if n > 0 && w.up && w.conn.proxy.opts.Mark != nil && w.conn.proxy.opts.Mark(buffer[:n]) {
			w.conn.marked.Store(true)
		}
		d, _ := w.conn.proxy.direction(w.conn, w.up)
		now := time.Now()
		w.last = later(w.last, now.Add(delay(d, n)))
		if d.BytesPerSecond > 0 {
			w.last = w.last.Add(time.Duration(n) * time.Second / time.Duration(d.BytesPerSecond))
		}
		select {
		case w.pieces <- piece{bytes: bytes.Clone(buffer[:n]), end: err, due: w.last}:
		case <-w.conn.closed:
			return
		}
		if err != nil {
			return
		}
	}
}

// delay draws how long n bytes take.
func delay(d Direction, n int) time.Duration {
	total := d.Latency
	if d.Jitter > 0 {
		total += time.Duration(rand.Int64N(int64(d.Jitter)))
	}
	for sent := 0; d.Loss > 0 && sent < n; sent += packetBytes {
		repair := firstRepair
		for tries := 0; rand.Float64() < d.Loss && tries < maxRepairs; tries++ {
			total += repair
			repair *= 2
		}
	}
	return total
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// write gives to the receiver what is due.
func (w *way) write() {
	for {
		var next piece
		select {
		case next = <-w.pieces:
		case <-w.conn.closed:
			return
		}
		if !w.await(next.due) {
			return
		}
		if len(next.bytes) > 0 {
			if _, err := w.to.Write(next.bytes); err != nil {
				w.conn.close()
				return
			}
		}
		switch {
		case next.end == nil:
		case errors.Is(next.end, io.EOF):
			_ = w.to.CloseWrite()
			return
		default:
			w.conn.reset()
			return
		}
	}
}

// await waits until a piece is due and nothing is held back. It gives false when the connection ends before.
func (w *way) await(due time.Time) bool {
	for {
		d, changed := w.conn.proxy.direction(w.conn, w.up)
		if d.Hold {
			select {
			case <-changed:
			case <-w.conn.closed:
				return false
			}
			continue
		}
		wait := time.Until(due)
		if wait <= 0 {
			return true
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-changed:
			timer.Stop()
		case <-w.conn.closed:
			timer.Stop()
			return false
		}
	}
}
