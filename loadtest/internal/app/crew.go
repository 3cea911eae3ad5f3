package app

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/signalbox-rtc/signalbox/internal/childproc"
	"github.com/signalbox-rtc/signalbox/loadtest/internal/measure"
	"github.com/signalbox-rtc/signalbox/loadtest/internal/report"
	"github.com/signalbox-rtc/signalbox/loadtest/internal/scenario"
	"github.com/signalbox-rtc/signalbox/loadtest/internal/target"
)

// What a crew's member is told on its standard input, whose end tells it to leave, and what it answers on its output before
// its result.
const (
	orderConnect = "connect"
	crewReady    = "ready"
)

// crewWait is for what a child has said last, once it has ended.
const crewWait = time.Second

// crew are children of this program that hold its connections.
type crew []*crewMember

type crewMember struct {
	child  *childproc.Process
	orders *os.File // its standard input
	says   *os.File // its standard output
	out    *bufio.Reader
	errors *bytes.Buffer // its standard error; to be read when it has ended
}

// hire starts the children. They do nothing until they are told to.
func hire(settings scenario.Settings, cluster *target.Cluster, remote bool) (crew, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	var c crew
	for _, clients := range shares(settings) {
		args := []string{
			settings.Kind, "-ordered", "-json", "-", "-driver", cluster.Driver, "-attach", strings.Join(cluster.Gateways, ","),
			"-clients", strconv.Itoa(clients), "-capacity", strconv.Itoa(settings.Capacity), "-sources", strconv.Itoa(settings.Sources),
			"-connect-rate", fmt.Sprint(settings.ConnectRate / float64(settings.Processes)), "-patience", settings.Patience.String(),
			fmt.Sprint("-seats=", settings.Seats), fmt.Sprint("-allow-remote=", remote),
		}
		member, err := hireOne(exec.Command(program, args...))
		if err != nil {
			c.dismiss()
			return nil, err
		}
		c = append(c, member)
	}
	return c, nil
}

// shares spreads the connections over the processes so that no room is over two of them.
func shares(s scenario.Settings) []int {
	each := s.Clients / s.Processes / s.Capacity * s.Capacity
	all := make([]int, s.Processes)
	for i := range all {
		all[i] = each
	}
	all[s.Processes-1] = s.Clients - each*(s.Processes-1)
	return all
}

func hireOne(cmd *exec.Cmd) (*crewMember, error) {
	input, orders, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	says, output, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, input.Close(), orders.Close())
	}
	m := &crewMember{orders: orders, says: says, out: bufio.NewReader(says), errors: new(bytes.Buffer)}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = input, output, m.errors
	cmd.WaitDelay = crewWait
	m.child, err = childproc.Start(cmd)
	// The child has its own ends.
	if err = errors.Join(err, input.Close(), output.Close()); err != nil {
		return nil, errors.Join(err, orders.Close(), says.Close())
	}
	return m, nil
}

// scenario is the crew as a scenario has it.
func (c crew) scenario() *scenario.Crew {
	s := &scenario.Crew{Connect: c.connect, Leave: c.leave}
	for i, m := range c {
		s.Processes = append(s.Processes, measure.Process{
			Name: fmt.Sprint("loadtest-", i+1), Kind: measure.Load, Source: measure.PID(m.child.PID()),
		})
	}
	return s
}

// connect has all of them connect at the same time.
func (c crew) connect(ctx context.Context) error {
	stop := context.AfterFunc(ctx, c.kill) // which ends the reading
	defer stop()
	for _, m := range c {
		if _, err := fmt.Fprintln(m.orders, orderConnect); err != nil {
			return err
		}
	}
	for i, m := range c {
		line, err := m.out.ReadString('\n')
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil || line != crewReady+"\n" {
			m.child.Kill()
			return fmt.Errorf("process %d did not connect:\n%s", i+1, strings.TrimSpace(m.errors.String()))
		}
	}
	return nil
}

// leave has them leave, and reads their results.
func (c crew) leave() ([]*scenario.Result, error) {
	for _, m := range c {
		if err := m.orders.Close(); err != nil {
			return nil, err
		}
	}
	var all []*scenario.Result
	for i, m := range c {
		results, err := report.ReadJSON(m.out)
		if err == nil && len(results) != 1 {
			<-m.child.Exited()
			err = errors.New(strings.TrimSpace(m.errors.String()))
		}
		if err != nil {
			return nil, fmt.Errorf("process %d: %w", i+1, err)
		}
		all = append(all, results...)
	}
	return all, nil
}

// dismiss ends those that are still there.
func (c crew) dismiss() {
	for _, m := range c {
		_ = m.orders.Close() // it may be closed already
		_ = m.says.Close()   // all of it has been read, or is not wanted
	}
	c.kill()
}

func (c crew) kill() {
	for _, m := range c {
		m.child.Kill()
	}
}

// obey has this process be a member of a crew: it waits for the order to connect.
func obey(orders *bufio.Reader) error {
	line, err := orders.ReadString('\n')
	if err != nil || strings.TrimSpace(line) != orderConnect {
		return &UsageError{"-ordered: standard input has to say " + orderConnect + " first, and to end when the connections are to"}
	}
	return nil
}

// holdUntil says that all are connected, and returns when the orders end. Whoever calls that off ends the process, and the
// reading with it.
func holdUntil(orders io.Reader, answers io.Writer) func(context.Context) error {
	return func(ctx context.Context) error {
		if _, err := fmt.Fprintln(answers, crewReady); err != nil {
			return err
		}
		ended := make(chan error, 1)
		go func() {
			_, err := io.Copy(io.Discard, orders)
			ended <- err
		}()
		select {
		case err := <-ended:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
