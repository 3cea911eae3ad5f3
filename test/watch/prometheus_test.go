package watch

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/internal/childproc"
)

// prometheus is a real one.
type prometheus struct {
	tb      testing.TB
	address string
}

const scrapeInterval = "1s"

// startPrometheus has one read the metrics of pods, of which those of relays are a job of their own, and evaluate rule files, until the test ends.
func startPrometheus(tb testing.TB, targets map[string]string, rules []string) *prometheus {
	tb.Helper()
	path, err := exec.LookPath("prometheus")
	require.NoError(tb, err, "make deps installs it")
	dir := tb.TempDir()
	var config strings.Builder
	fmt.Fprintf(&config, "global: {scrape_interval: %s, evaluation_interval: 1s}\nrule_files:\n", scrapeInterval)
	for _, file := range rules {
		absolute, err := filepath.Abs(file)
		require.NoError(tb, err)
		fmt.Fprintf(&config, "  - %s\n", absolute)
	}
	config.WriteString("scrape_configs:\n")
	for job, kind := range map[string]string{"signalbox": "gateway-", "signalbox-relay": "relay-"} {
		fmt.Fprintf(&config, "  - job_name: %s\n    static_configs:\n", job)
		for pod, target := range targets {
			if strings.HasPrefix(pod, kind) {
				fmt.Fprintf(&config, "      - {targets: ['%s'], labels: {namespace: calls, pod: %s}}\n", target, pod)
			}
		}
	}
	file := filepath.Join(dir, "prometheus.yml")
	require.NoError(tb, os.WriteFile(file, []byte(config.String()), 0o600))

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(tb, err)
	p := &prometheus{tb: tb, address: listener.Addr().String()}
	require.NoError(tb, listener.Close())
	output, err := os.Create(filepath.Join(dir, "output"))
	require.NoError(tb, err)
	command := exec.Command(path, "--config.file="+file, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+p.address,
		"--query.lookback-delta=1m")
	command.Stdout, command.Stderr = output, output
	process, err := childproc.Start(command)
	require.NoError(tb, err)
	tb.Cleanup(func() {
		process.Kill()
		_ = output.Close()
		if tb.Failed() {
			text, _ := os.ReadFile(output.Name())
			tb.Logf("prometheus: %s", text)
		}
	})
	require.Eventually(tb, func() bool {
		_, err := p.get("/-/ready", nil)
		return err == nil
	}, patience, 50*time.Millisecond, "prometheus does not start")
	return p
}

func (p *prometheus) get(path string, query url.Values) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+p.address+path, strings.NewReader(query.Encode()))
	if query == nil {
		request, err = http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.address+path, nil)
	}
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", response.Status, text)
	}
	return text, err
}

// series is one of an answer.
type series struct {
	Metric map[string]string
	Values [][2]any
	Value  [2]any
}

// points gives the times and values of a series, one where it is of an instant.
func (s *series) points() (times []float64, values []float64) {
	all := s.Values
	if all == nil {
		all = [][2]any{s.Value}
	}
	for _, point := range all {
		at, _ := point[0].(float64)
		text, _ := point[1].(string)
		if value, err := strconv.ParseFloat(text, 64); err == nil {
			times, values = append(times, at), append(values, value)
		}
	}
	return times, values
}

func (p *prometheus) ask(path string, query url.Values) ([]series, error) {
	text, err := p.get(path, query)
	if err != nil {
		return nil, err
	}
	var answer struct {
		Data struct {
			ResultType string
			Result     json.RawMessage
		}
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return nil, err
	}
	if answer.Data.ResultType == "scalar" {
		one := series{}
		return []series{one}, json.Unmarshal(answer.Data.Result, &one.Value)
	}
	var all []series
	return all, json.Unmarshal(answer.Data.Result, &all)
}

// now asks for the present, and gives the series that have a number.
func (p *prometheus) now(expr string) ([]series, error) {
	all, err := p.ask("/api/v1/query", url.Values{"query": {expr}})
	if err != nil {
		return nil, err
	}
	var told []series
	for _, s := range all {
		if _, values := s.points(); len(values) == 1 && number(values[0]) {
			told = append(told, s)
		}
	}
	return told, nil
}

// since asks for the time from a moment on.
func (p *prometheus) since(expr string, start time.Time, step time.Duration) ([]series, error) {
	return p.ask("/api/v1/query_range", url.Values{
		"query": {expr}, "start": {strconv.FormatInt(start.Unix(), 10)}, "end": {strconv.FormatInt(time.Now().Unix(), 10)},
		"step": {strconv.FormatFloat(step.Seconds(), 'f', -1, 64)},
	})
}

// rule is one of the rule files.
type rule struct {
	Name, Query, Health, LastError, Type string
}

// rules lists the rules and how their last evaluation went.
func (p *prometheus) rules() []rule {
	text, err := p.get("/api/v1/rules", nil)
	require.NoError(p.tb, err)
	var answer struct {
		Data struct{ Groups []struct{ Rules []rule } }
	}
	require.NoError(p.tb, json.Unmarshal(text, &answer))
	var all []rule
	for _, group := range answer.Data.Groups {
		all = append(all, group.Rules...)
	}
	return all
}
