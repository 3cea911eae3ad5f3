package redistest_test

import (
	"bufio"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/signalbox-rtc/signalbox/internal/redistest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

func TestSingle(t *testing.T) {
	s := redistest.Single(t)

	t.Run("Do returns every kind of reply", func(t *testing.T) {
		for _, tc := range []struct {
			args []string
			want any
		}{
			{[]string{"PING"}, "PONG"},
			{[]string{"SET", "k", "line one\r\nline two"}, "OK"},
			{[]string{"GET", "k"}, "line one\r\nline two"},
			{[]string{"GET", "none"}, nil},
			{[]string{"INCRBY", "n", "-7"}, int64(-7)},
			{[]string{"MGET", "n", "none"}, []any{"-7", nil}},
			{[]string{"LRANGE", "none", "0", "-1"}, []any{}},
			{
				[]string{"EVAL", "return {1, {'two'}, redis.error_reply('ERR three')}", "0"},
				[]any{int64(1), []any{"two"}, redistest.Error("ERR three")},
			},
		} {
			got, err := s.Do(tc.args...)
			require.NoError(t, err, tc.args)
			require.Equal(t, tc.want, got, tc.args)
		}
	})
	t.Run("Do returns an error reply as an error", func(t *testing.T) {
		_, err := s.Do("NOSUCH")
		var reply redistest.Error
		require.ErrorAs(t, err, &reply)
		require.Contains(t, string(reply), "unknown command")
	})
	t.Run("keeps nothing on disk", func(t *testing.T) {
		for param, want := range map[string]string{"save": "", "appendonly": "no"} {
			got, err := s.Do("CONFIG", "GET", param)
			require.NoError(t, err)
			require.Equal(t, []any{param, want}, got)
		}
	})
	t.Run("URL names the address", func(t *testing.T) {
		require.Equal(t, "redis://"+s.Addr(), s.URL())
	})
}

func TestKillAndRestart(t *testing.T) {
	s := redistest.Single(t)
	addr := s.Addr()
	set(t, s, "k", "v")

	s.Kill()
	s.Kill() // a second one finds nothing to do
	_, err := s.Do("PING")
	require.Error(t, err, "a killed server must not answer")

	s.Restart()
	require.Equal(t, addr, s.Addr())
	require.Nil(t, get(t, s, "k"), "a restarted server must be empty")

	set(t, s, "k", "v")
	s.Restart()
	require.Nil(t, get(t, s, "k"), "Restart of a running server must kill it first")
}

func TestStopFreezesAndContThaws(t *testing.T) {
	s := redistest.Single(t)
	s.Stop()

	// The kernel still accepts for the frozen server, and nothing comes back.
	conn, err := net.Dial("tcp", s.Addr())
	require.NoError(t, err)
	defer conn.Close()
	_, err = conn.Write([]byte("PING\r\n"))
	require.NoError(t, err)
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(50*time.Millisecond)))
	_, err = conn.Read(make([]byte, 16))
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)

	s.Cont()
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(10*time.Second)))
	line, err := bufio.NewReader(conn).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "+PONG\r\n", line, "what was sent while frozen is answered after the thaw")
}

func TestServersEndWithTheirTest(t *testing.T) {
	var addrs []string
	t.Run("inner", func(t *testing.T) {
		running, frozen := redistest.Single(t), redistest.Single(t)
		frozen.Stop()
		addrs = []string{running.Addr(), frozen.Addr()}
	})
	for _, addr := range addrs {
		requireRefused(t, addr)
	}
}

func TestManyServersAtOnceGetPortsOfTheirOwn(t *testing.T) {
	const count = 8
	servers := make(chan *redistest.Server, count)
	t.Run("group", func(t *testing.T) {
		for i := range count {
			t.Run(strconv.Itoa(i), func(t *testing.T) {
				t.Parallel()
				s := redistest.Single(t)
				set(t, s, "owner", t.Name())
				require.Equal(t, t.Name(), get(t, s, "owner"))
				servers <- s
			})
		}
	})
	seen := map[string]bool{}
	for range count {
		addr := (<-servers).Addr()
		require.False(t, seen[addr], "%s was handed out twice at a time", addr)
		seen[addr] = true
	}
}

func TestCluster(t *testing.T) {
	c := redistest.Cluster(t, 3)
	require.Len(t, c.Addrs(), 3)

	t.Run("every slot is served by the node in whose run it lies", func(t *testing.T) {
		for i, node := range c.Nodes() {
			require.Equal(t, c.Addrs()[i], node.Addr())
			reply, err := node.Do("CLUSTER", "SLOTS")
			require.NoError(t, err)
			require.Len(t, reply, 3)
			covered := int64(0)
			for _, row := range reply.([]any) {
				row := row.([]any)
				covered += row[1].(int64) - row[0].(int64) + 1
				owner := row[2].([]any)
				addr := net.JoinHostPort(owner[0].(string), strconv.FormatInt(owner[1].(int64), 10))
				require.Equal(t, c.Addrs()[row[1].(int64)*3/16384], addr)
			}
			require.EqualValues(t, 16384, covered)
		}
	})
	t.Run("a foreign slot is told to move, the own one is served", func(t *testing.T) {
		moved, served := 0, 0
		for _, node := range c.Nodes() {
			_, err := node.Do("SET", "key", "value")
			switch {
			case err == nil:
				served++
			case strings.HasPrefix(err.Error(), "MOVED "):
				moved++
			}
		}
		require.Equal(t, 1, served)
		require.Equal(t, 2, moved)
	})
	t.Run("a restarted node keeps its identity", func(t *testing.T) {
		node := c.Nodes()[1]
		before, err := node.Do("CLUSTER", "MYID")
		require.NoError(t, err)
		node.Restart()
		after, err := node.Do("CLUSTER", "MYID")
		require.NoError(t, err)
		require.Equal(t, before, after)
		require.Eventually(t, func() bool {
			info, err := node.Do("CLUSTER", "INFO")
			return err == nil && strings.Contains(info.(string), "cluster_state:ok")
		}, 20*time.Second, 50*time.Millisecond)
	})
}

func set(tb testing.TB, s *redistest.Server, key, value string) {
	tb.Helper()
	_, err := s.Do("SET", key, value)
	require.NoError(tb, err)
}

// get waits for a server that still loads its data, as one that was restarted may.
func get(tb testing.TB, s *redistest.Server, key string) (value any) {
	tb.Helper()
	var err error
	require.Eventually(tb, func() bool {
		value, err = s.Do("GET", key)
		return err == nil || !strings.HasPrefix(err.Error(), "LOADING")
	}, 10*time.Second, time.Millisecond)
	require.NoError(tb, err)
	return value
}

func requireRefused(tb testing.TB, addr string) {
	tb.Helper()
	conn, err := net.Dial("tcp", addr)
	if err == nil {
		_ = conn.Close()
	}
	require.Error(tb, err, "%s is still up", addr)
}
