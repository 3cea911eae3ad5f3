package redistest

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

const (
	masterName          = "mymaster"
	sentinelReplicas    = 2
	sentinelCount       = 3
	sentinelQuorum      = 2
	sentinelDownMillis  = 1000
	sentinelRetryMillis = 3000 // failover-timeout: a failover that fails is tried again after twice that
	sentinelTimeout     = 30 * time.Second
)

// replicated is how servers are started that replicate: a replica need not wait for its first copy.
var replicated = []string{"--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1"}

// SentinelT is a primary with replicas, watched by Sentinels.
type SentinelT struct {
	tb        testing.TB
	nodes     []*Server
	sentinels []*Server
	asked     bool // for a failover, of which nothing has come yet
}

// Sentinel starts a primary, two replicas and three Sentinels that call a node down after a second
// of silence, and returns when all know each other: after two or three seconds, as Sentinels tell of
// themselves every two. What is in config is added to the command line of the nodes.
func Sentinel(tb testing.TB, config ...string) *SentinelT {
	tb.Helper()
	s := &SentinelT{tb: tb}
	for range 1 + sentinelReplicas {
		s.nodes = append(s.nodes, start(tb, setup{config: slices.Concat(replicated, config)}))
	}
	for _, replica := range s.nodes[1:] {
		replica.Must("REPLICAOF", host, strconv.Itoa(s.nodes[0].port.number))
	}
	// Sentinels ask a primary for its replicas when they meet it, and then every ten seconds.
	if err := await("not all replicas are in step", sentinelTimeout, func() string { return s.unlinked(s.nodes[0]) }); err != nil {
		tb.Fatalf("redistest: %v", err)
	}
	conf := fmt.Sprintf("sentinel monitor %[1]s %[2]s %[3]d %[4]d\n"+
		"sentinel down-after-milliseconds %[1]s %[5]d\n"+
		"sentinel failover-timeout %[1]s %[6]d\n"+
		"sentinel parallel-syncs %[1]s %[7]d\n",
		masterName, host, s.nodes[0].port.number, sentinelQuorum, sentinelDownMillis, sentinelRetryMillis, sentinelReplicas)
	for range sentinelCount {
		s.sentinels = append(s.sentinels, start(tb, setup{conf: conf}))
	}
	s.AwaitWhole()
	return s
}

// MasterName is the name under which the Sentinels know the primary.
func (s *SentinelT) MasterName() string { return masterName }

// Addrs returns the Sentinels' host:port.
func (s *SentinelT) Addrs() []string {
	addrs := make([]string, len(s.sentinels))
	for i, sentinel := range s.sentinels {
		addrs[i] = sentinel.Addr()
	}
	return addrs
}

// Nodes returns the servers that hold data, whatever their role is now; the first was the primary.
func (s *SentinelT) Nodes() []*Server { return s.nodes }

// Sentinels returns the Sentinels.
func (s *SentinelT) Sentinels() []*Server { return s.sentinels }

// Primary returns the node that most of the Sentinels call the primary, be it up or not.
func (s *SentinelT) Primary() *Server {
	s.tb.Helper()
	votes := make(map[string]int)
	for _, sentinel := range s.sentinels {
		if named := namedBy(sentinel); named != "" {
			votes[named]++
		}
	}
	for _, node := range s.nodes {
		if votes[node.Addr()]*2 > len(s.sentinels) {
			return node
		}
	}
	s.tb.Fatalf("redistest: the Sentinels name no primary: %v", votes)
	return nil
}

// namedBy gives the address that a Sentinel calls the primary's, or "" if it does not answer.
func namedBy(sentinel *Server) string {
	reply, err := do(sentinel.Addr(), time.Second, []string{"SENTINEL", "GET-MASTER-ADDR-BY-NAME", masterName})
	pair, _ := reply.([]any)
	if err != nil || len(pair) != 2 {
		return ""
	}
	return net.JoinHostPort(fmt.Sprint(pair[0]), fmt.Sprint(pair[1]))
}

// Failover has the Sentinels make a replica the primary while all is well, and returns when they
// have begun to: they refuse as long as they are not done with an earlier one. See AwaitPrimary.
func (s *SentinelT) Failover() {
	s.tb.Helper()
	if err := await("no failover", sentinelTimeout, func() string {
		if _, err := s.sentinels[0].Do("SENTINEL", "FAILOVER", masterName); err != nil {
			return err.Error()
		}
		return ""
	}); err != nil {
		s.tb.Fatalf("redistest: %v", err)
	}
	s.asked = true
}

// AwaitPrimary waits until most of the Sentinels call another node than this one the primary and
// that node takes writes, and returns it. After [SentinelT.Failover] it asks for the failover again
// if that came to nothing: another Sentinel may make a replica of the new primary, in the moment in
// which it becomes one, because it was the old one's replica, and then the failover is given up.
func (s *SentinelT) AwaitPrimary(other *Server) *Server {
	s.tb.Helper()
	defer func() { s.asked = false }()
	var primary *Server
	if err := await("no new primary", sentinelTimeout, func() string {
		primary = s.Primary()
		if s.asked && namedBy(s.sentinels[0]) == other.Addr() {
			_, _ = s.sentinels[0].Do("SENTINEL", "FAILOVER", masterName) // refused while one is under way
		}
		if primary == other || primary.Info("role") != "master" {
			return primary.Addr() + " is the primary still, or not yet"
		}
		return ""
	}); err != nil {
		s.tb.Fatalf("redistest: %v", err)
	}
	return primary
}

// AwaitWhole waits until every node is up and replicates the primary, or is it, and every Sentinel
// sees that.
func (s *SentinelT) AwaitWhole() {
	s.tb.Helper()
	if err := await("the Sentinels do not see all", sentinelTimeout, s.notWhole); err != nil {
		s.tb.Fatalf("redistest: %v", err)
	}
}

func (s *SentinelT) notWhole() string {
	if lacking := s.unlinked(s.Primary()); lacking != "" {
		return lacking
	}
	for _, sentinel := range s.sentinels {
		reply, err := sentinel.Do("SENTINEL", "MASTER", masterName)
		fields := pairs(reply)
		if err != nil || fields["flags"] != "master" || fields["num-slaves"] != strconv.Itoa(sentinelReplicas) ||
			fields["num-other-sentinels"] != strconv.Itoa(sentinelCount-1) {
			return fmt.Sprintf("%s sees %s with %s replicas and %s other Sentinels (%v)",
				sentinel.Addr(), fields["flags"], fields["num-slaves"], fields["num-other-sentinels"], err)
		}
		replicas, err := sentinel.Do("SENTINEL", "REPLICAS", masterName)
		rows, _ := replicas.([]any)
		for _, row := range rows {
			if flags := pairs(row)["flags"]; flags != "slave" {
				return fmt.Sprintf("%s sees a replica as %s (%v)", sentinel.Addr(), flags, err)
			}
		}
	}
	return ""
}

// unlinked names a node that does not replicate the primary, or "".
func (s *SentinelT) unlinked(primary *Server) string {
	for _, node := range s.nodes {
		if node != primary && !replicates(node, primary) {
			return node.Addr() + " does not replicate " + primary.Addr()
		}
	}
	return ""
}

// replicates reports whether a node is a replica of the primary with all of its data.
func replicates(node, primary *Server) bool {
	return node.Info("role") == "slave" && node.Info("master_link_status") == "up" &&
		node.Info("master_port") == strconv.Itoa(primary.port.number)
}

// pairs makes a map of a reply of names and values in turn.
func pairs(reply any) map[string]string {
	list, _ := reply.([]any)
	fields := make(map[string]string, len(list)/2)
	for i := 0; i+1 < len(list); i += 2 {
		fields[strings.ToLower(fmt.Sprint(list[i]))] = fmt.Sprint(list[i+1])
	}
	return fields
}
