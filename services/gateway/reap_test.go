package main_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/internal/redistest"
	"github.com/signalbox-rtc/signalbox/pkg/client"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// gatewayProcess is a gateway that can be killed and frozen.
type gatewayProcess struct {
	cmd    *exec.Cmd
	log    *output
	public string
	ops    string
}

// startProcess runs a gateway whose lease is short, until the test ends.
func startProcess(t *testing.T, redis *redistest.Server, name string) *gatewayProcess {
	t.Helper()
	return startProcessWith(t, redis, name, quickEnd)
}

// startProcessWith adds to its configuration.
func startProcessWith(t *testing.T, redis *redistest.Server, name, yaml string) *gatewayProcess {
	t.Helper()
	file := configFile(t, `
listen: {public: '127.0.0.1:0', operations: '127.0.0.1:0', cluster: '127.0.0.1:0'}
demo: {enabled: true, capacity: 20}
cluster: {beat: 500ms, lease: 3s}
`+yaml)
	p := &gatewayProcess{log: new(output)}
	p.cmd = command(t, []string{"SIGNALBOX_REDIS_URL=" + redis.URL()}, "--config", file, "--node.name="+name)
	p.cmd.Stderr = p.log
	require.NoError(t, p.cmd.Start())
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
		if t.Failed() {
			t.Logf("log of %s:\n%s", name, p.log.String())
		}
	})
	p.public, p.ops = p.log.ready(t)
	return p
}

// guest is a client that counts who left.
type guest struct {
	*client.Client

	mu   sync.Mutex
	left map[string][]string // peer to reasons
}

func enter(ctx context.Context, p *gatewayProcess, name, room string) (*guest, error) {
	g := &guest{left: make(map[string][]string)}
	var err error
	g.Client, err = client.Dial(ctx, client.Options{URL: "ws://" + p.public, App: "demo", Name: name, OnEvent: func(e wire.Event) {
		if left, ok := e.Body.(*wire.LeftPeer); ok {
			g.mu.Lock()
			defer g.mu.Unlock()
			g.left[left.Peer] = append(g.left[left.Peer], left.Reason)
		}
	}})
	if err != nil {
		return nil, err
	}
	if _, err = g.Join(ctx, wire.Join{Room: room}); err != nil {
		g.Close()
		return nil, err
	}
	return g, nil
}

func mustEnter(t *testing.T, p *gatewayProcess, name, room string) *guest {
	t.Helper()
	g, err := enter(t.Context(), p, name, room)
	require.NoError(t, err)
	t.Cleanup(g.Close)
	return g
}

// reasons gives what the guest heard of a peer's leaving.
func (g *guest) reasons(peer string) []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]string(nil), g.left[peer]...)
}

func (g *guest) count(t *testing.T, room string) int {
	t.Helper()
	head, err := g.Peers(t.Context(), room)
	require.NoError(t, err)
	return head.Count
}

// Without a goodbye and without a gateway to say it, the peers hear of it all the same, once, and the seats are free.
func TestKilledGatewayLeavesNoSeats(t *testing.T) {
	redis := redistest.Single(t)
	dead, other := startProcess(t, redis, "dead"), startProcess(t, redis, "other")
	const rooms, peers = 3, 19
	var witnesses []*guest
	lost := make(map[string]*guest) // by peer, whose witness
	for i := range rooms {
		room := fmt.Sprint("room-", i)
		witness := mustEnter(t, other, "witness", room)
		witnesses = append(witnesses, witness)
		for range peers {
			lost[mustEnter(t, dead, "guest", room).Welcome().Session] = witness
		}
		_, err := enter(t.Context(), other, "late", room)
		require.ErrorContains(t, err, string(wire.CodeRoomFull))
	}
	require.NoError(t, dead.cmd.Process.Kill())
	killed := time.Now()
	for i, witness := range witnesses {
		require.Eventually(t, func() bool { return witness.count(t, fmt.Sprint("room-", i)) == 1 }, patience, 5*time.Millisecond)
	}
	t.Logf("%d seats were free %v after the kill, with a lease of 3s", rooms*peers, time.Since(killed).Round(10*time.Millisecond))
	for peer, witness := range lost {
		require.Eventually(t, func() bool { return len(witness.reasons(peer)) > 0 }, patience, 5*time.Millisecond)
	}
	for i := range rooms {
		mustEnter(t, other, "late", fmt.Sprint("room-", i))
	}
	for peer, witness := range lost {
		require.Equal(t, []string{wire.ReasonDisconnected}, witness.reasons(peer), "once")
	}
}

// A Redis that has lost everything knows no gateway and no seat. The gateways put both back, and their clients stay.
func TestRedisLosesEverything(t *testing.T) {
	redis := redistest.Single(t)
	gateways := []*gatewayProcess{startProcess(t, redis, "one"), startProcess(t, redis, "two")}
	var guests []*guest
	for _, g := range gateways {
		guests = append(guests, mustEnter(t, g, "guest", "room"))
	}
	redis.Restart()
	require.Eventually(t, func() bool {
		count, err := guests[0].Peers(t.Context(), "room")
		return err == nil && count.Count == 2
	}, patience, 20*time.Millisecond)
	for _, g := range guests {
		require.NoError(t, g.Err(), "it is still connected")
	}
	require.Eventually(t, func() bool { // the gate is shut for some seconds
		late, err := enter(t.Context(), gateways[1], "late", "another-room")
		if err != nil {
			require.ErrorContains(t, err, string(wire.CodeUnavailable))
			return false
		}
		late.Close()
		return true
	}, patience, 100*time.Millisecond)
	require.Equal(t, 2, guests[0].count(t, "room"))
	require.NoError(t, gateways[0].cmd.Process.Signal(syscall.SIGTERM))
	require.Eventually(t, func() bool { return len(guests[1].reasons(guests[0].Welcome().Session)) == 1 }, patience, 5*time.Millisecond)
	require.NoError(t, gateways[0].cmd.Wait(), "it ends in order")
}

// A gateway that was frozen for longer than its lease finds its seats given up. It says so to its sessions, with a code
// that has them come back, and goes on as another node, in the same process and at the same address.
func TestFrozenGatewayBeginsAnew(t *testing.T) {
	redis := redistest.Single(t)
	frozen, other := startProcess(t, redis, "frozen"), startProcess(t, redis, "other")
	ada, bob := mustEnter(t, other, "ada", "room"), mustEnter(t, frozen, "bob", "room")
	id := bob.Welcome().Session

	require.NoError(t, frozen.cmd.Process.Signal(syscall.SIGSTOP))
	require.Eventually(t, func() bool { return len(ada.reasons(id)) == 1 }, patience, 5*time.Millisecond)
	require.Equal(t, 1, ada.count(t, "room"))
	require.NoError(t, frozen.cmd.Process.Signal(syscall.SIGCONT))

	select {
	case <-bob.Done():
	case <-time.After(patience):
		require.Fail(t, "bob's session goes on without a seat")
	}
	var closed *client.CloseError
	require.ErrorAs(t, bob.Err(), &closed)
	require.Equal(t, wire.CloseMoved, closed.Code)

	var again *guest
	require.Eventually(t, func() bool {
		var err error
		again, err = enter(t.Context(), frozen, "bob", "room")
		return err == nil
	}, patience, 20*time.Millisecond)
	t.Cleanup(again.Close)
	require.Equal(t, 2, ada.count(t, "room"))
	require.Equal(t, []string{wire.ReasonDisconnected}, ada.reasons(id), "once")
	require.Equal(t, 2, strings.Count(frozen.log.String(), `"msg":"gateway is ready"`))
	require.Contains(t, frozen.log.String(), "took this one for dead")
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+frozen.ops+"/metrics", nil)
	require.NoError(t, err)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	page, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Contains(t, string(page), "\nsignalbox_cluster_lapsed_total 1\n", "it is not forgotten with the rest")
}
