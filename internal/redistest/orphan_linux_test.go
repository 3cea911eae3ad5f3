package redistest_test

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/internal/redistest"
)

// orphanEnv makes this test binary start a server, tell its address and wait to be killed.
const orphanEnv = "REDISTEST_ORPHAN"

// A test binary that is killed (by a timeout's SIGQUIT, the OOM killer or an impatient engineer)
// runs no cleanup; without the parent-death signal its servers would stay for ever.
func TestNoServerSurvivesAKilledTest(t *testing.T) {
	if os.Getenv(orphanEnv) != "" {
		s := redistest.Single(t)
		fmt.Printf("addr=%s\n", s.Addr())
		select {}
	}
	child := exec.Command(os.Args[0], "-test.run=^TestNoServerSurvivesAKilledTest$")
	child.Env = append(os.Environ(), orphanEnv+"=1")
	out, err := child.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, child.Start())
	t.Cleanup(func() { _ = child.Process.Kill() })

	var addr string
	for lines := bufio.NewScanner(out); addr == "" && lines.Scan(); {
		_, addr, _ = strings.Cut(lines.Text(), "addr=")
	}
	require.NotEmpty(t, addr)
	conn, err := net.Dial("tcp", addr)
	require.NoError(t, err, "the child's server must be up before its parent dies")
	require.NoError(t, conn.Close())

	require.NoError(t, child.Process.Kill())
	_ = child.Wait()
	require.Eventually(t, func() bool {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			_ = conn.Close()
		}
		return err != nil
	}, 10*time.Second, 10*time.Millisecond)
}
