package measure

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// RedisInfo reads INFO of a Redis at an address, and CLUSTER INFO where it is a node of a Redis Cluster.
type RedisInfo string

// Read asks on a connection of its own.
func (r RedisInfo) Read(ctx context.Context) (Usage, error) {
	conn, err := r.dial(ctx)
	if err != nil {
		return Usage{}, err
	}
	defer func() { _ = conn.Close() }()
	text, err := conn.ask("INFO all")
	if err != nil {
		return Usage{}, err
	}
	usage, clustered, err := parseInfo(text)
	if err != nil || !clustered {
		return usage, err
	}
	if text, err = conn.ask("CLUSTER INFO"); err != nil {
		return Usage{}, err
	}
	usage.Bus = parseBus(text)
	return usage, nil
}

// Ask sends one command, whose words have no spaces in them, and gives the answer's text, over a connection of its own.
func (r RedisInfo) Ask(ctx context.Context, command string) (string, error) {
	conn, err := r.dial(ctx)
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close() }()
	return conn.ask(command)
}

// redisConn is a connection for a few questions, all of which have to be answered within readTimeout.
type redisConn struct {
	net.Conn
	in *bufio.Reader
}

func (r RedisInfo) dial(ctx context.Context) (*redisConn, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", string(r))
	if err != nil {
		return nil, err
	}
	if err := conn.SetDeadline(time.Now().Add(readTimeout)); err != nil {
		_ = conn.Close() // the first error is the one to tell
		return nil, err
	}
	return &redisConn{Conn: conn, in: bufio.NewReader(conn)}, nil
}

// mostReply is far more than any text that is asked for.
const mostReply = 1 << 20

// ask sends a command in a line, as RESP allows (https://redis.io/docs/latest/develop/reference/protocol-spec/#inline-commands).
// What is answered to those that are asked is a text, a number or an error.
func (c *redisConn) ask(command string) (string, error) {
	if _, err := io.WriteString(c, command+"\r\n"); err != nil {
		return "", err
	}
	head, err := c.in.ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("%s: %w", command, err)
	}
	kind, rest := head[0], strings.TrimRight(head[1:], "\r\n")
	switch kind {
	case '+', ':':
		return rest, nil
	case '-':
		return "", fmt.Errorf("%s: %s", command, rest)
	}
	size, err := strconv.Atoi(rest)
	if kind != '$' || err != nil || size < 0 || size > mostReply {
		return "", fmt.Errorf("%s was answered with %q", command, head)
	}
	text := make([]byte, size+len("\r\n"))
	if _, err := io.ReadFull(c.in, text); err != nil {
		return "", fmt.Errorf("%s: %w", command, err)
	}
	return string(text[:size]), nil
}

// parseInfo reads INFO, which also says whether the Redis is of a cluster.
func parseInfo(text string) (usage Usage, clustered bool, err error) {
	found := 0
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		value, isCalls := strings.CutPrefix(value, "calls=") // of a line of the command statistics
		if isCalls {
			value, _, _ = strings.Cut(value, ",")
		}
		number, err := strconv.ParseFloat(value, 64)
		if err != nil {
			continue // most lines are texts
		}
		switch name {
		case "used_cpu_sys", "used_cpu_user":
			usage.CPU += time.Duration(number * float64(time.Second))
			found++
		case "used_memory_rss":
			usage.Memory = int64(number)
			found++
		case "used_memory":
			usage.Data = int64(number)
		case "total_net_input_bytes":
			usage.In = int64(number)
		case "total_net_output_bytes":
			usage.Out = int64(number)
		case "cmdstat_publish", "cmdstat_spublish":
			usage.Published += int64(number)
		case "total_reads_processed":
			usage.Reads = int64(number)
		case "cluster_enabled":
			clustered = number == 1
		}
	}
	if found != 3 {
		return Usage{}, false, errors.New("INFO lacks used_cpu_sys, used_cpu_user or used_memory_rss")
	}
	return usage, clustered, nil
}

// parseBus reads CLUSTER INFO. It leaves kinds of messages out that were never sent.
func parseBus(text string) *Bus {
	bus := new(Bus)
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		number, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			continue // its state
		}
		switch name {
		case "cluster_stats_messages_sent":
			bus.Sent = number
		case "cluster_stats_messages_publish_sent", "cluster_stats_messages_publishshard_sent":
			bus.Copies += number
		}
	}
	return bus
}

// RedisServer is a Redis on this machine: the kernel says what its process has used, and itself what it has done.
type RedisServer struct {
	PID
	Info RedisInfo
}

// Glance asks the kernel alone: what it costs a Redis to tell about itself every second is not to be part of what it is
// measured for.
func (r RedisServer) Glance(ctx context.Context) (Usage, error) { return r.PID.Read(ctx) }

// Read asks both.
func (r RedisServer) Read(ctx context.Context) (Usage, error) {
	process, err := r.PID.Read(ctx)
	if err != nil {
		return Usage{}, err
	}
	usage, err := r.Info.Read(ctx)
	if err != nil {
		return Usage{}, err
	}
	usage.CPU, usage.Memory = process.CPU, process.Memory
	return usage, nil
}
