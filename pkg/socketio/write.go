package socketio

import (
	"errors"
	"net"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// errClosing refuses packets after the close frame (RFC 6455, section 5.5.1), or after a write that failed.
var errClosing = errors.New("socketio: the WebSocket is being closed")

// write sends packets in their order, one a message: over TCP in one vectored write (writev), over anything else, TLS
// above all, in one write of all bytes together. gorilla's own control frames are single writes, too, so they come
// between messages and never into one.
func (ws *webSocket) write(v Version, asText bool, packets []*outgoing) error {
	ws.mu.Lock()
	closing := ws.closing
	ws.mu.Unlock()
	if closing {
		return errClosing
	}
	if err := ws.socket.SetWriteDeadline(time.Now().Add(ws.opts.WriteTimeout)); err != nil {
		return err
	}
	if len(packets) == 1 && packets[0].frame != nil {
		_, err := ws.socket.Write(packets[0].frame)
		return err
	}
	pieces := piecesPool.Get().(*pieces)
	defer pieces.release()
	for _, packet := range packets {
		pieces.add(v, asText, packet)
	}
	return pieces.writeTo(ws.socket)
}

// pieces are the parts of several frames.
type pieces struct {
	whole, rest net.Buffers // rest is what writing consumes
	together    []byte
}

var piecesPool = sync.Pool{New: func() any { return &pieces{whole: make(net.Buffers, 0, 32)} }}

func (p *pieces) release() {
	clear(p.whole)
	p.whole, p.rest = p.whole[:0], nil
	if cap(p.whole) <= 1024 && cap(p.together) <= 1<<18 {
		piecesPool.Put(p)
	}
}

// add appends one packet's frame. A text's was made with it, and a binary's depends on who gets it.
func (p *pieces) add(v Version, asText bool, packet *outgoing) {
	data := packet.packet.Data
	switch {
	case packet.frame != nil:
		p.whole = append(p.whole, packet.frame)
	case v == Version3 && asText:
		text := appendBase64(nil, v, data)
		p.whole = append(p.whole, appendFrameHeader(nil, websocket.TextMessage, len(text)), text)
	case v == Version3:
		header := appendFrameHeader(nil, websocket.BinaryMessage, 1+len(data))
		p.whole = append(p.whole, append(header, byte(EngineMessage)), data)
	default:
		p.whole = append(p.whole, appendFrameHeader(nil, websocket.BinaryMessage, len(data)), data)
	}
}

func (p *pieces) writeTo(socket net.Conn) error {
	if tcp, ok := socket.(*net.TCPConn); ok {
		p.rest = p.whole
		_, err := p.rest.WriteTo(tcp)
		return err
	}
	p.together = p.together[:0]
	for _, piece := range p.whole {
		p.together = append(p.together, piece...)
	}
	_, err := socket.Write(p.together)
	return err
}
