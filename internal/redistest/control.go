package redistest

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Must is Do for commands that have to succeed.
func (s *Server) Must(args ...string) any {
	s.tb.Helper()
	reply, err := s.Do(args...)
	if err != nil {
		s.tb.Fatalf("redistest: %s: %v: %v", s.Addr(), args, err)
	}
	return reply
}

// Dial opens a connection that is kept until the test ends.
func (s *Server) Dial() *Conn {
	s.tb.Helper()
	conn, err := dial(s.Addr(), commandTimeout)
	if err != nil {
		s.tb.Fatalf("redistest: %v", err)
	}
	s.tb.Cleanup(conn.Close)
	return conn
}

// Config sets one of the server's settings, as CONFIG SET does. It is forgotten with a restart.
func (s *Server) Config(name, value string) {
	s.tb.Helper()
	s.Must("CONFIG", "SET", name, value)
}

// Save writes the data to disk. Each Restart from then on brings back what was saved last, so that
// a Restart loses what was written in between: what a failover to a replica that lags does.
func (s *Server) Save() {
	s.tb.Helper()
	s.Must("SAVE")
}

// ClientKill closes the connections of a kind (normal, pubsub, replica) and tells how many it were.
func (s *Server) ClientKill(kind string) int {
	s.tb.Helper()
	n, _ := s.Must("CLIENT", "KILL", "TYPE", kind).(int64)
	return int(n)
}

// Pause has the server answer nobody for that long, as CLIENT PAUSE does; with writes, it answers
// those who only read.
func (s *Server) Pause(d time.Duration, writes bool) {
	s.tb.Helper()
	mode := "ALL"
	if writes {
		mode = "WRITE"
	}
	s.Must("CLIENT", "PAUSE", strconv.FormatInt(d.Milliseconds(), 10), mode)
}

// Info gives one field of INFO, such as role or master_link_status, and "" where there is none or
// the server does not answer.
func (s *Server) Info(field string) string {
	reply, err := do(s.Addr(), time.Second, []string{"INFO", "everything"})
	info, ok := reply.(string)
	if err != nil || !ok {
		return ""
	}
	for line := range strings.SplitSeq(info, "\r\n") {
		if value, found := strings.CutPrefix(line, field+":"); found {
			return value
		}
	}
	return ""
}

// await polls until missing gives "", and else tells what is missing after the time-out.
func await(what string, timeout time.Duration, missing func() string) error {
	deadline := time.NewTimer(timeout)
	defer deadline.Stop()
	tick := time.NewTicker(5 * pollInterval)
	defer tick.Stop()
	for {
		lacking := missing()
		if lacking == "" {
			return nil
		}
		select {
		case <-deadline.C:
			return fmt.Errorf("%s after %v: %s", what, timeout, lacking)
		case <-tick.C:
		}
	}
}
