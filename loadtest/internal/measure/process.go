package measure

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

// Usage is what a process has used so far, and holds now.
type Usage struct {
	CPU    time.Duration
	Memory int64 // resident, in bytes

	// Of a Redis alone:
	Data      int64 // what it has allocated, in bytes
	In, Out   int64 // bytes of its clients, so far
	Published int64 // messages, by scripts too, so far
	Reads     int64 // from its clients' connections, of one command or of many, so far

	Bus *Bus // nil if it is of no Redis Cluster
}

// Bus is what a node of a Redis Cluster has sent to the other nodes over the cluster bus.
type Bus struct {
	Sent   int64 // of all kinds, heartbeats most of all
	Copies int64 // of what clients and scripts have published, to one node each
}

// Source is where a process's usage is read.
type Source interface {
	Read(ctx context.Context) (Usage, error)
}

// Process is one server under test.
type Process struct {
	Name   string
	Kind   Kind
	Source Source
}

// Kind says what a process is.
type Kind string

// The kinds.
const (
	Server Kind = "server"
	Redis  Kind = "redis"
	Load   Kind = "load" // this program
)

// PID reads /proc of a process on this machine.
type PID int

// ticks is the unit of times in /proc: USER_HZ, which is 100 on every architecture that Go runs on.
const ticks = 100

// Read reads CPU time and resident memory.
func (p PID) Read(context.Context) (Usage, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", int(p)))
	if err != nil {
		return Usage{}, err
	}
	// The name is in brackets and may hold anything (proc_pid_stat(5)): what follows the last one is fields from the third on.
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	if len(fields) < 22 {
		return Usage{}, fmt.Errorf("/proc/%d/stat has another form", int(p))
	}
	var numbers [3]int64
	for i, at := range []int{11, 12, 21} { // utime, stime, rss
		if numbers[i], err = strconv.ParseInt(fields[at], 10, 64); err != nil {
			return Usage{}, err
		}
	}
	return Usage{
		CPU:    time.Duration(numbers[0]+numbers[1]) * (time.Second / ticks),
		Memory: numbers[2] * int64(os.Getpagesize()),
	}, nil
}

// Files counts the process's open files.
func (p PID) Files() (int, error) {
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", int(p)))
	return len(files), err
}

// Metrics reads the address of a Prometheus page that has the standard metrics of a process.
type Metrics string

// readTimeout bounds one reading over the network.
const readTimeout = 2 * time.Second

// Read asks for the page.
func (m Metrics) Read(ctx context.Context) (Usage, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, string(m), nil)
	if err != nil {
		return Usage{}, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return Usage{}, err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return Usage{}, fmt.Errorf("%s: %s", m, response.Status)
	}
	return parseMetrics(response.Body)
}

func parseMetrics(page io.Reader) (Usage, error) {
	var usage Usage
	found := 0
	lines := bufio.NewScanner(page)
	for lines.Scan() {
		name, rest, _ := strings.Cut(lines.Text(), " ")
		if name != "process_cpu_seconds_total" && name != "process_resident_memory_bytes" {
			continue
		}
		value, err := strconv.ParseFloat(strings.TrimSpace(rest), 64)
		if err != nil {
			return Usage{}, err
		}
		found++
		if name == "process_cpu_seconds_total" {
			usage.CPU = time.Duration(value * float64(time.Second))
		} else {
			usage.Memory = int64(value)
		}
	}
	if err := lines.Err(); err != nil {
		return Usage{}, err
	}
	if found != 2 {
		return Usage{}, errors.New("the page lacks process_cpu_seconds_total or process_resident_memory_bytes")
	}
	return usage, nil
}
