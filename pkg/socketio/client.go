package socketio

import (
	"bytes"
	"errors"
	"net/url"
	"strings"
	"time"
)

// client is the Socket.IO side of a session: its namespaces, and the packet whose attachments are still to come. The
// session's handling guards it all.
type client struct {
	session      *Session
	sockets      map[string]*Socket
	left         map[string]bool // nil until one was left; namespaces that the client was in before: what it still sends there is ignored
	refusals     int
	assembly     *assembly // nil when no attachment is awaited
	connectTimer *time.Timer
}

// assembly is a packet on whose attachments the client is waited for.
type assembly struct {
	packet      Packet
	attachments [][]byte
	bytes       int
	late        *time.Timer
}

var _ handler = (*client)(nil)

func newClient(session *Session) *client {
	return &client{session: session, sockets: make(map[string]*Socket, 1)}
}

// open enters a client of protocol 4 into the root namespace unasked, as it expects, and one of protocol 5 into none.
func (c *client) open() {
	if c.session.version == Version3 {
		if _, served := c.options().Namespaces[rootNamespace]; served {
			// Silence otherwise: the client takes an error of the root namespace for one of all its namespaces.
			_ = c.enter(&Socket{namespace: rootNamespace}) // a refusal is told; an error is for what the client sent
		}
		return
	}
	c.connectTimer = time.AfterFunc(c.options().ConnectTimeout, func() { c.session.end(ReasonConnectTimeout) })
}

func (c *client) stopConnectTimer() {
	if c.connectTimer != nil {
		c.connectTimer.Stop()
		c.connectTimer = nil
	}
}

func (c *client) options() *Options { return &c.session.server.opts }

// message takes one message of the engine: a packet, or an attachment.
func (c *client) message(data []byte, binary bool) error {
	if binary {
		return c.attachment(data)
	}
	if c.assembly != nil {
		return malformed(BadAttachments, "text where an attachment is awaited")
	}
	packet, err := DecodePacket(data, c.options().Packet)
	if err != nil {
		return err
	}
	if packet.Attachments > 0 {
		c.await(packet)
		return nil
	}
	return c.dispatch(packet, nil)
}

// await keeps a packet until its attachments have come. It keeps the body that it came in, too, so not for long.
func (c *client) await(packet Packet) {
	a := &assembly{packet: packet}
	a.late = time.AfterFunc(c.options().AttachmentTimeout, func() {
		c.session.run(func() {
			if c.assembly == a {
				c.session.invalid(malformed(BadAttachments, "not all have come in time"))
			}
		})
	})
	c.assembly = a
}

func (c *client) endAssembly() {
	if c.assembly != nil {
		c.assembly.late.Stop()
		c.assembly = nil
	}
}

func (c *client) attachment(data []byte) error {
	a := c.assembly
	if a == nil {
		return malformed(BadAttachments, "an attachment to nothing")
	}
	a.attachments = append(a.attachments, data)
	if a.bytes += len(data); a.bytes > c.options().AttachmentBytes {
		return malformed(BadAttachments, "too large together")
	}
	if len(a.attachments) < a.packet.Attachments {
		return nil
	}
	c.endAssembly()
	return c.dispatch(a.packet, a.attachments)
}

// dispatch handles a whole packet.
func (c *client) dispatch(p Packet, attachments [][]byte) error {
	switch p.Type {
	case PacketConnect:
		return c.connect(p)
	case PacketConnectError:
		return malformed(BadPacket, "an error from a client")
	}
	socket := c.sockets[p.Namespace]
	if socket == nil {
		if c.session.version == Version3 || c.left[p.Namespace] {
			return nil // it crossed a DISCONNECT of ours
		}
		return malformed(BadNamespace, "a packet before the CONNECT")
	}
	switch p.Type {
	case PacketDisconnect:
		c.leave(socket, ReasonClientDisconnect)
	case PacketEvent, PacketBinaryEvent:
		socket.event(p, attachments)
	case PacketAck, PacketBinaryAck:
		socket.settle(p.ID, Ack{Args: p.Args, Attachments: attachments}, nil)
	}
	return nil
}

// connect answers a CONNECT. Protocol 4 has a query in the namespace where protocol 5 has a payload.
func (c *client) connect(p Packet) error {
	socket := &Socket{namespace: p.Namespace, auth: bytes.Clone(p.Data)} // a part of a request's body would keep all of it
	if c.session.version == Version3 {
		name, query, _ := strings.Cut(p.Namespace, "?")
		socket.namespace = name
		socket.query, _ = url.ParseQuery(query) // what can be read of it
	}
	if c.sockets[socket.namespace] != nil {
		if c.session.version == Version3 {
			return nil
		}
		return malformed(BadNamespace, "a second CONNECT")
	}
	return c.enter(socket)
}

// enter lets a socket into its namespace, or refuses it.
func (c *client) enter(socket *Socket) error {
	opts := c.options()
	namespace, served := opts.Namespaces[socket.namespace]
	switch {
	case !served:
		return c.refuse(socket, &Refusal{Message: "Invalid namespace"})
	case len(c.sockets) >= opts.NamespacesPerSession:
		return c.refuse(socket, &Refusal{Message: "Too many namespaces"})
	}
	socket.begin(c, namespace)
	if why := c.ask(socket); why != nil {
		socket.end()
		return c.refuse(socket, why)
	}
	c.stopConnectTimer()
	c.sockets[socket.namespace] = socket
	return nil
}

// ask has the application decide on a socket, and gives why it may not enter.
func (c *client) ask(socket *Socket) *Refusal {
	forbidden := &Refusal{Message: "Forbidden"}
	if socket.handlers.Connect != nil {
		if err := socket.handlers.Connect(socket); err != nil {
			var told *Refusal
			if errors.As(err, &told) {
				return told
			}
			c.session.logger().Warn("connect failed", "namespace", socket.namespace, "error", err)
			return forbidden
		}
	}
	if !socket.admit() {
		return forbidden
	}
	return nil
}

// refusalsPerNamespace bounds how often a client may be refused, for each namespace that it could be in.
const refusalsPerNamespace = 4

func (c *client) refuse(socket *Socket, why *Refusal) error {
	if c.refusals++; c.refusals > refusalsPerNamespace*c.options().NamespacesPerSession {
		return malformed(BadNamespace, "too many refused")
	}
	c.session.send(refused(c.session.version, socket.namespace, why).packets...)
	return nil
}

// leave takes a socket out of its namespace. It may have left before.
func (c *client) leave(socket *Socket, reason Reason) {
	if c.sockets[socket.namespace] != socket {
		return
	}
	delete(c.sockets, socket.namespace)
	if c.left == nil {
		c.left = make(map[string]bool, 1)
	}
	c.left[socket.namespace] = true
	socket.end()
	if socket.handlers.Disconnect != nil {
		socket.handlers.Disconnect(socket, reason)
	}
}

// close ends all sockets. A panic of one's handler does not keep the others from theirs.
func (c *client) close(reason Reason) {
	c.stopConnectTimer()
	c.endAssembly()
	for _, socket := range c.sockets {
		c.session.guard(func() { c.leave(socket, reason) })
	}
}
