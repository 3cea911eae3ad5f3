package socketio

import (
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// webSocket is one WebSocket. One goroutine reads, one other writes; the rest may come from any.
type webSocket struct {
	// immutable
	conn   *websocket.Conn
	socket net.Conn
	opts   *Options

	// owned by the reader
	until        time.Time // when reading ends, whatever comes; zero for never
	controls     int       // control frames in the second that began at controlsFrom
	controlsFrom time.Time

	mu      sync.Mutex
	closing bool // a close frame was sent, or nothing can be: nothing more is written
	end     closeFrame
}

// closeFrame is what a WebSocket is closed with.
type closeFrame struct {
	code   int
	reason string
}

const (
	readBuffer        = 1024 // most messages fit, longer ones are read past it
	closeWriteTimeout = time.Second
	closeWait         = 2 * time.Second // for the client's close frame
	controlsPerSecond = 10
)

// What ends a WebSocket beside the network.
var (
	errControlFlood = errors.New("too many control frames")
	errFragments    = errors.New("too many fragments")
)

func (s *Server) newUpgrader() websocket.Upgrader {
	return websocket.Upgrader{
		HandshakeTimeout: s.opts.WriteTimeout,
		ReadBufferSize:   readBuffer,
		// Frames are written past gorilla; a pool keeps it from holding a write buffer for each connection.
		WriteBufferPool: noBuffers{},
		WriteBufferSize: 256,
		CheckOrigin:     func(*http.Request) bool { return true }, // checked before, with an answer of ours
		Error: func(w http.ResponseWriter, _ *http.Request, status int, reason error) {
			// The error that accept gets is the same, and logged there.
			_ = s.answer(w, status, "text/html", []byte(reason.Error()))
		},
	}
}

// noBuffers is a pool that keeps nothing: gorilla writes only control frames, which need no buffer.
type noBuffers struct{}

func (noBuffers) Get() any { return nil }
func (noBuffers) Put(any)  {}

// accept answers a WebSocket handshake (RFC 6455, section 4.2). Without a socket, the answer was an error; one that there
// is has to be released.
func (s *Server) accept(w http.ResponseWriter, r *http.Request, header http.Header) *webSocket {
	if !s.track() {
		s.refuse(w, refusedFull, true)
		return nil
	}
	conn, err := s.upgrader.Upgrade(w, r, header)
	if err != nil {
		s.running.Done()
		s.opts.Logger.Debug("WebSocket refused", "error", err)
		return nil
	}
	ws := &webSocket{conn: conn, socket: conn.NetConn(), opts: &s.opts}
	conn.SetReadLimit(int64(s.opts.MaxPayload))
	conn.SetPingHandler(func(payload string) error {
		if err := ws.control(); err != nil {
			return err
		}
		return conn.WriteControl(websocket.PongMessage, []byte(payload), time.Now().Add(closeWriteTimeout))
	})
	conn.SetPongHandler(func(string) error { return ws.control() })
	conn.SetCloseHandler(func(int, string) error { return nil }) // answered by end
	return ws
}

// release closes a socket that was accepted.
func (s *Server) release(ws *webSocket) {
	_ = ws.conn.Close() // nobody is left to be told
	s.running.Done()
}

// control counts a control frame. Stock clients send none but the last.
func (ws *webSocket) control() error {
	now := time.Now()
	if now.Sub(ws.controlsFrom) >= time.Second {
		ws.controls, ws.controlsFrom = 0, now
	}
	if ws.controls++; ws.controls > controlsPerSecond {
		return errControlFlood
	}
	return nil
}

// next waits for a message, which is the caller's to keep.
func (ws *webSocket) next() (message []byte, binary bool, err error) {
	ws.armRead(ws.until)
	kind, reader, err := ws.conn.NextReader()
	if err != nil {
		return nil, false, err
	}
	deadline := time.Now().Add(ws.opts.ReadTimeout)
	if !ws.until.IsZero() && ws.until.Before(deadline) {
		deadline = ws.until
	}
	ws.armRead(deadline)
	message, err = readMessage(reader)
	return message, kind == websocket.BinaryMessage, err
}

// armRead sets the deadline of reading, unless the one for the end of the connection is in force.
func (ws *webSocket) armRead(deadline time.Time) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if !ws.closing {
		_ = ws.conn.SetReadDeadline(deadline) // a socket that takes none is broken, and reading will tell
	}
}

// Fragments: gorilla gives at most one fragment a Read, so that a message of many tiny ones takes many reads for few
// bytes. One of a sane client does not, whatever the network makes of it.
const (
	freeReads    = 128
	bytesPerRead = 64
)

var readBuffers = sync.Pool{New: func() any { b := make([]byte, 0, 4096); return &b }}

// readMessage reads a message to its end and makes a copy of just its size.
func readMessage(reader io.Reader) ([]byte, error) {
	buffer := readBuffers.Get().(*[]byte)
	b := (*buffer)[:0]
	defer func() {
		if cap(b) <= 1<<18 { // a rare giant is not worth keeping
			*buffer = b
			readBuffers.Put(buffer)
		}
	}()
	for reads := 0; ; reads++ {
		if reads > freeReads+len(b)/bytesPerRead {
			return nil, errFragments
		}
		if len(b) == cap(b) {
			b = append(b, 0)[:len(b)]
		}
		n, err := reader.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if errors.Is(err, io.EOF) {
			return append(make([]byte, 0, len(b)), b...), nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// serveWebSocket serves a session that began on a WebSocket, to the end of the socket.
func (s *Session) serveWebSocket(ws *webSocket) {
	defer s.server.release(ws)
	s.guard(func() { // no http.Server is around it any more, which would keep a fault of ours from the process
		s.begin()
		s.read(ws)
	})
}

// read handles what the client of a WebSocket session sends, to the end of the socket.
func (s *Session) read(ws *webSocket) {
	for {
		message, binary, err := ws.next()
		if err != nil {
			s.readEnded(ws, err)
			return
		}
		packet, err := DecodeEngine(s.version, binary, message)
		s.handling.Lock()
		s.receive(packet, err)
		s.handled()
	}
}

// readEnded ends the session because its socket has ended. The client's close frame is answered, and a client that broke
// a rule is told.
func (s *Session) readEnded(ws *webSocket, err error) {
	s.logger().Debug("WebSocket ended", "error", err)
	var closed *websocket.CloseError
	var network net.Error
	switch {
	case errors.As(err, &closed) && closed.Code != websocket.CloseAbnormalClosure: // gorilla's for none at all
		ws.close(websocket.CloseNormalClosure, "")
		if closed.Code == websocket.CloseGoingAway { // a stock client that means to come back closes without a code
			s.end(ReasonPageClosed)
		} else {
			s.end(ReasonTransportClose)
		}
	case errors.Is(err, websocket.ErrReadLimit): // gorilla has said so
		s.countInvalid(BadLength)
		ws.abort()
		s.end(ReasonParseError)
	case errors.Is(err, errControlFlood), errors.Is(err, errFragments):
		s.countInvalid(BadFrame)
		ws.close(websocket.ClosePolicyViolation, err.Error())
		s.end(ReasonParseError)
	case errors.As(err, &network) && network.Timeout() && ws.begun():
		s.countInvalid(BadTime)
		ws.close(websocket.ClosePolicyViolation, "the message takes too long")
		s.end(ReasonTransportError)
	case isNetwork(err):
		ws.abort()
		s.end(ReasonTransportError)
	default: // gorilla has said why
		s.countInvalid(BadFrame)
		ws.abort()
		s.end(ReasonParseError)
	}
}

// isNetwork reports whether err is the network's, and not gorilla's about a frame that is not valid.
func isNetwork(err error) bool {
	var network net.Error
	return errors.As(err, &network) || websocket.IsCloseError(err, websocket.CloseAbnormalClosure) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, io.ErrClosedPipe)
}

// begun reports whether it is a message that was waited for, and not the end.
func (ws *webSocket) begun() bool {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	return !ws.closing
}

// farewell notes what the socket is closed with once all is written.
func (ws *webSocket) farewell(reason Reason) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	ws.end = closeFrame{code: reason.closeCode(), reason: string(reason)}
}

// goodbye closes the socket as noted.
func (ws *webSocket) goodbye() {
	ws.mu.Lock()
	end := ws.end
	ws.mu.Unlock()
	ws.close(end.code, end.reason)
}

// close sends the one close frame of the connection and gives the client closeWait to answer; reading meanwhile goes on.
func (ws *webSocket) close(code int, reason string) {
	ws.mu.Lock()
	said := ws.closing
	ws.closing = true
	ws.mu.Unlock()
	if said {
		return
	}
	wait := time.Now().Add(closeWait)
	if err := ws.conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, reason), time.Now().Add(closeWriteTimeout)); err != nil {
		wait = time.Now()
	}
	_ = ws.conn.SetReadDeadline(wait) // a socket that takes none is broken, and reading will tell
}

// abort ends reading and writing: a frame after one that was written in part would be read as a part of it.
func (ws *webSocket) abort() {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if !ws.closing {
		ws.closing = true
		_ = ws.conn.SetReadDeadline(time.Now())
	}
}
