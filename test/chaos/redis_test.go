package chaos

import (
	"fmt"
	"strings"
	"testing"

	"github.com/signalbox-rtc/signalbox/internal/redistest"
)

// redis is what the gateways share: one of the three kinds of deployments.
type redis struct {
	single   *redistest.Server
	sentinel *redistest.SentinelT
	cluster  *redistest.ClusterT
}

func singleRedis(tb testing.TB, config ...string) *redis {
	return &redis{single: redistest.Single(tb, config...)}
}

func sentinelRedis(tb testing.TB) *redis {
	return &redis{sentinel: redistest.Sentinel(tb)}
}

func clusterRedis(tb testing.TB) *redis {
	return &redis{cluster: redistest.ClusterWithReplicas(tb, 3, 3)}
}

// flags lead a gateway there.
func (r *redis) flags() []string {
	switch {
	case r.sentinel != nil:
		return []string{
			"--redis.mode=sentinel", "--redis.master_name=" + r.sentinel.MasterName(),
			"--redis.addresses=" + strings.Join(r.sentinel.Addrs(), ","),
		}
	case r.cluster != nil:
		return []string{"--redis.mode=cluster", "--redis.addresses=" + strings.Join(r.cluster.Addrs(), ",")}
	}
	return []string{"--redis.addresses=" + r.single.Addr()}
}

// kind names the deployment.
func (r *redis) kind() string {
	switch {
	case r.sentinel != nil:
		return "Sentinel"
	case r.cluster != nil:
		return "Cluster"
	}
	return "single"
}

// primaries are the servers that take writes now.
func (r *redis) primaries() []*redistest.Server {
	var nodes []*redistest.Server
	switch {
	case r.sentinel != nil:
		nodes = r.sentinel.Nodes()
	case r.cluster != nil:
		nodes = r.cluster.Nodes()
	default:
		return []*redistest.Server{r.single}
	}
	var primaries []*redistest.Server
	for _, node := range nodes {
		if node.Info("role") == "master" {
			primaries = append(primaries, node)
		}
	}
	return primaries
}

// keys are those that match.
func (r *redis) keys(pattern string) ([]string, error) {
	var names []string
	for _, node := range r.primaries() {
		reply, err := node.Do("KEYS", pattern)
		if err != nil {
			return nil, err
		}
		list, _ := reply.([]any)
		for _, name := range list {
			names = append(names, fmt.Sprint(name))
		}
	}
	return names, nil
}
