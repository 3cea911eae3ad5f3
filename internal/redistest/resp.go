package redistest

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Error is an error reply of the server, such as "ERR unknown command".
type Error string

func (e Error) Error() string { return string(e) }

// Conn is a connection that is kept, for what must be done when no new one would be taken.
type Conn struct {
	conn    net.Conn
	reader  *bufio.Reader
	timeout time.Duration
}

func dial(addr string, timeout time.Duration) (*Conn, error) {
	conn, err := net.DialTimeout("tcp", addr, timeout)
	if err != nil {
		return nil, err
	}
	return &Conn{conn: conn, reader: bufio.NewReader(conn), timeout: timeout}, nil
}

// Close ends the connection.
func (c *Conn) Close() { _ = c.conn.Close() }

// Do sends one command, in RESP 2 (https://redis.io/docs/latest/develop/reference/protocol-spec/), and
// reads its reply.
func (c *Conn) Do(args ...string) (any, error) {
	if err := c.conn.SetDeadline(time.Now().Add(c.timeout)); err != nil {
		return nil, err
	}
	var cmd strings.Builder
	fmt.Fprintf(&cmd, "*%d\r\n", len(args))
	for _, arg := range args {
		fmt.Fprintf(&cmd, "$%d\r\n%s\r\n", len(arg), arg)
	}
	if _, err := io.WriteString(c.conn, cmd.String()); err != nil {
		return nil, fmt.Errorf("send %q: %w", args, err)
	}
	reply, err := readReply(c.reader)
	if err != nil {
		return nil, fmt.Errorf("reply to %q: %w", args, err)
	}
	if failed, ok := reply.(Error); ok {
		return nil, failed
	}
	return reply, nil
}

// do sends one command over a connection of its own.
func do(addr string, timeout time.Duration, args []string) (any, error) {
	conn, err := dial(addr, timeout)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return conn.Do(args...)
}

// readReply reads one value. An error inside an array stays a value of type Error.
func readReply(r *bufio.Reader) (any, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return nil, err
	}
	line = strings.TrimSuffix(line, "\r\n")
	if line == "" {
		return nil, fmt.Errorf("empty reply line")
	}
	kind, text := line[0], line[1:]
	switch kind {
	case '+':
		return text, nil
	case '-':
		return Error(text), nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return nil, fmt.Errorf("reply line %q: %w", line, err)
	}
	switch {
	case kind == ':':
		return n, nil
	case n < 0 && (kind == '$' || kind == '*'):
		return nil, nil
	case kind == '$':
		bulk := make([]byte, n+2)
		if _, err := io.ReadFull(r, bulk); err != nil {
			return nil, err
		}
		return string(bulk[:n]), nil
	case kind == '*':
		values := make([]any, n)
		for i := range values {
			if values[i], err = readReply(r); err != nil {
				return nil, err
			}
		}
		return values, nil
	default:
		return nil, fmt.Errorf("reply line %q: unknown type", line)
	}
}

// hasLine tells whether a multi-line reply such as INFO's holds that very line.
func hasLine(reply, want string) bool {
	return slices.Contains(strings.Split(reply, "\r\n"), want)
}
