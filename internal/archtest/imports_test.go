// Package archtest holds the tests of the repository's own rules: who may import whom, what a
// source file may contain, and that links in the docs lead somewhere.
package archtest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/signalbox-rtc/signalbox/"

// mayImport is the import table of the design: for each package what it may import of ours outside
// of tests. A package that is not listed fails, so that a new one is placed on purpose. Packages
// below an internal/ folder count as the package that holds them.
var mayImport = map[string][]string{
	"pkg/wire":             nil,
	"pkg/auth":             {"pkg/webhook/standard", "pkg/telemetry/metric"},
	"pkg/turncred":         nil,
	"pkg/config":           {"pkg/auth", "pkg/telemetry"}, // beside the programs' own structs: all read theirs in one way
	"pkg/relay":            {"pkg/relay/peers", "pkg/turncred", "pkg/telemetry/metric"},
	"pkg/relay/peers":      {"pkg/address"},
	"pkg/telemetry":        {"pkg/telemetry/metric"},
	"pkg/process":          {"pkg/telemetry"},
	"pkg/telemetry/metric": nil, // beside telemetry, which brings more than those who count need
	"pkg/store":            {"pkg/wire", "pkg/telemetry/metric"},
	"pkg/room":             {"pkg/store", "pkg/wire", "pkg/telemetry/metric"},
	"pkg/cluster":          {"pkg/store", "pkg/telemetry/metric"},
	"pkg/address":          nil,
	"pkg/webhook":          {"pkg/webhook/standard", "pkg/address", "pkg/store", "pkg/telemetry/metric"},
	"pkg/webhook/standard": nil, // beside webhook: apps' backends are asked with the same signatures
	"pkg/ws":               {"pkg/wire", "pkg/telemetry/metric"},
	"pkg/socketio":         {"pkg/wire", "pkg/telemetry/metric"},
	"pkg/socketio/classic": {"pkg/socketio", "pkg/wire", "pkg/telemetry/metric"},
	"pkg/quota":            {"pkg/auth", "pkg/telemetry/metric"},
	"pkg/negotiation":      {"pkg/auth"},
	"pkg/ice":              {"pkg/auth", "pkg/store", "pkg/turncred", "pkg/wire", "pkg/telemetry/metric"},
	"pkg/session":          {"pkg/room", "pkg/auth", "pkg/quota", "pkg/negotiation", "pkg/ice", "pkg/wire", "pkg/telemetry/metric"},
	"pkg/httpapi":          {"pkg/room", "pkg/cluster", "pkg/store", "pkg/auth", "pkg/ice", "pkg/wire", "pkg/telemetry/metric"},
	"pkg/client":           {"pkg/wire"},

	// Wiring: app packages put the parts together, main packages only start them.
	"services/gateway":       {"services/gateway/app", "services/gateway/probe", "pkg/process", "pkg/telemetry"},
	"services/gateway/probe": {"services/gateway/app", "pkg/auth", "pkg/client", "pkg/wire"},
	"services/gateway/app": {
		"pkg/wire", "pkg/auth", "pkg/config", "pkg/ice", "pkg/turncred", "pkg/telemetry", "pkg/telemetry/metric", "pkg/store", "pkg/room", "pkg/cluster", "pkg/webhook",
		"pkg/ws", "pkg/socketio", "pkg/socketio/classic", "pkg/session", "pkg/quota", "pkg/httpapi", "sdk/js", "web",
	},
	"services/signalctl":     {"services/signalctl/app"},
	"services/signalctl/app": {"services/signalctl/doctor", "services/gateway/app", "pkg/auth", "pkg/telemetry"},
	"services/signalctl/doctor": { // it looks at Redis without a gateway in between
		"services/gateway/app", "services/gateway/probe", "pkg/auth", "pkg/client", "pkg/cluster", "pkg/store", "pkg/turncred", "pkg/wire",
	},
	"services/relay": {"services/relay/app", "services/gateway/app", "pkg/config", "pkg/process", "pkg/telemetry"},
	"services/relay/app": { // of the gateway: its operations port, how it reloads certificates, and the sections of its configuration
		"services/gateway/app", "pkg/auth", "pkg/config", "pkg/relay", "pkg/store", "pkg/telemetry", "pkg/telemetry/metric", "pkg/turncred",
	},
	"services/all-in-one": {"services/gateway/app", "services/relay/app", "pkg/auth", "pkg/telemetry"},

	// Files to serve.
	"sdk/js": nil,
	"web":    {"sdk/js"},

	// The load tool speaks to servers as strangers do, in their protocols: it shares no code with them.
	"loadtest":           {"internal/childproc", "loadtest/scenarios"},
	"loadtest/scenarios": nil,

	// Test support; nothing but tests imports it, save what the load tool starts its servers with.
	"internal/archtest":   nil,
	"internal/configdoc":  {"pkg/config"},
	"internal/dashboards": nil,
	"internal/childproc":  nil,
	"internal/faultproxy": nil,
	"internal/memnet":     nil,
	"internal/memredis":   {"internal/memnet"},
	"internal/redistest":  {"internal/childproc"},
	"internal/lockedbuf":  nil,
	"internal/memuse":     nil,
	"internal/oracle":     {"pkg/wire"},
	"internal/testnames":  nil,
	"internal/wiredoc":    {"pkg/wire"},

	// Tests of the whole.
	"test/chaos":         nil,
	"test/observability": nil,
	"test/samples":       nil,
	"test/sim":           nil,
	"test/watch":         nil,
}

// reserved are modules that only the packages in users may import; inTests lists those whose tests
// may as well.
var reserved = []struct {
	prefix  string
	users   []string
	inTests []string
	why     string
}{
	{
		"github.com/redis/go-redis", []string{"pkg/store"},
		[]string{"internal/memnet"}, // the proof that it runs on fake time
		"Redis is reached through pkg/store alone",
	},
	{
		"github.com/gorilla", []string{"pkg/ws", "pkg/socketio", "pkg/client"},
		[]string{"services/gateway/app", "pkg/socketio/classic", "loadtest"}, // tests send what no client of ours would
		"WebSockets are held by pkg/ws, pkg/socketio and pkg/client alone",
	},
	{"go.opentelemetry.io/otel/sdk", []string{"pkg/telemetry"}, anyTest, "OpenTelemetry is set up in pkg/telemetry alone"},
	{"go.opentelemetry.io/otel/exporters", []string{"pkg/telemetry"}, anyTest, "OpenTelemetry is set up in pkg/telemetry alone"},
	{"go.opentelemetry.io/contrib/exporters", []string{"pkg/telemetry"}, anyTest, "OpenTelemetry is set up in pkg/telemetry alone"},
	{"github.com/alicebob/miniredis", []string{"services/all-in-one", "internal/memredis"}, anyTest, "the embedded Redis is for trying out and for tests"},
	{"github.com/stretchr/testify", []string{"internal/configdoc"}, anyTest, "test library"},
	{"pgregory.net/rapid", nil, anyTest, "test library"},
	{"go.uber.org/goleak", nil, anyTest, "test library"},
	{"testing", []string{"internal/configdoc", "internal/redistest", "internal/memredis", "internal/memuse", "internal/testnames"}, anyTest, "package testing belongs in tests and in internal test support"},
	{module + "internal/", []string{"internal/memredis", "internal/redistest", "loadtest"}, anyTest, "test support"},
}

// anyTest lets every package's tests in.
var anyTest = []string{"*"}

// standardOnly lists packages that import the standard library alone, as clients copy them.
var standardOnly = []string{"pkg/wire"}

func TestImportTable(t *testing.T) {
	packages := listPackages(t)
	require.Greater(t, len(packages), 3, "go list found too little to be right")
	for _, finding := range importFindings(packages) {
		t.Error(finding)
	}
}

// The rules themselves: each row breaks one, and the last ones break none.
func TestImportRulesFindWhatTheyShould(t *testing.T) {
	const testify = "github.com/stretchr/testify/require"
	for _, tc := range []struct {
		name string
		pkg  goPackage
		want string // part of the one finding, or "" for none
	}{
		{"an edge against the direction", imports("pkg/store", module+"pkg/room"), "pkg/store may not import pkg/room"},
		{"a transport that knows the session", imports("pkg/ws", module+"pkg/session"), "pkg/ws may not import pkg/session"},
		{"events that know the session", imports("pkg/socketio/classic", module+"pkg/session"), "pkg/socketio/classic may not import pkg/session"},
		{"a transport that knows its events", imports("pkg/socketio", module+"pkg/socketio/classic"), "pkg/socketio may not import"},
		{"the server API that knows the session", imports("pkg/httpapi", module+"pkg/session"), "may not import pkg/session"},
		{"a main that wires", imports("services/gateway", module+"pkg/room"), "may not import pkg/room"},
		{"a package nobody placed", imports("pkg/util"), "pkg/util is not in the import table"},
		{"a dependency of wire", imports("pkg/wire", "golang.org/x/text/unicode/norm"), "standard library"},
		{"Redis outside of store", imports("pkg/room", "github.com/redis/go-redis/v9"), "pkg/store alone"},
		{"Redis in another package's test", testImports("pkg/room", "github.com/redis/go-redis/v9"), "pkg/store alone"},
		{"WebSocket in session", imports("pkg/session", "github.com/gorilla/websocket"), "WebSockets"},
		{"OpenTelemetry SDK in a gateway", imports("services/gateway/app", "go.opentelemetry.io/otel/sdk/trace"), "OpenTelemetry"},
		{"a test library in the product", imports("pkg/room", testify), "test library"},
		{"test support in the product", imports("services/gateway/app", module+"internal/redistest"), "may not import internal/redistest"},
		{"package testing in the product", imports("pkg/room", "testing"), "package testing"},
		{"a package below internal/ counts as its holder", imports("pkg/store/internal/pipe", module+"pkg/room"), "may not import pkg/room"},

		{"the OpenTelemetry API is free", imports("pkg/room", "go.opentelemetry.io/otel/trace"), ""},
		{"an edge of the table", imports("pkg/session", module+"pkg/room", module+"pkg/wire", "net/http"), ""},
		{"its own internal package", imports("pkg/store", module+"pkg/store/internal/pipe"), ""},
		{"Redis in store", imports("pkg/store", "github.com/redis/go-redis/v9"), ""},
		{"tests may use any part of ours", testImports("pkg/wire", module+"pkg/client", testify, module+"internal/redistest"), ""},
		{"a name that only begins alike", imports("pkg/room", "github.com/redis/go-redis-entraid"), ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			findings := importFindings([]goPackage{tc.pkg})
			if tc.want == "" {
				require.Empty(t, findings)
				return
			}
			require.NotEmpty(t, findings)
			require.Contains(t, strings.Join(findings, "\n"), tc.want)
		})
	}
}

func imports(path string, imported ...string) goPackage {
	return goPackage{ImportPath: module + path, Imports: imported}
}

func testImports(path string, imported ...string) goPackage {
	return goPackage{ImportPath: module + path, XTestImports: imported}
}

// importFindings returns every breach of the rules above, in the order of the packages.
func importFindings(packages []goPackage) []string {
	var findings []string
	for _, p := range packages {
		path := holder(strings.TrimPrefix(p.ImportPath, module))
		allowed, placed := mayImport[path]
		if !placed {
			findings = append(findings, fmt.Sprintf("%s is not in the import table: "+
				"if it deserves a package of its own, add it to mayImport in internal/archtest/imports_test.go with what it may import", path))
			continue
		}
		for _, imported := range p.Imports {
			if ours, ok := strings.CutPrefix(imported, module); ok {
				if to := holder(ours); to != path && !slices.Contains(allowed, to) {
					findings = append(findings, fmt.Sprintf("%s may not import %s: see mayImport in internal/archtest/imports_test.go", path, to))
				}
			} else if slices.Contains(standardOnly, path) && !isStandard(imported) {
				findings = append(findings, fmt.Sprintf("%s may not import %s: it is kept to the standard library", path, imported))
			}
			if why := refused(path, imported, false); why != "" {
				findings = append(findings, fmt.Sprintf("%s may not import %s: %s", path, imported, why))
			}
		}
		for _, imported := range slices.Concat(p.TestImports, p.XTestImports) {
			if why := refused(path, imported, true); why != "" {
				findings = append(findings, fmt.Sprintf("the tests of %s may not import %s: %s", path, imported, why))
			}
		}
	}
	return findings
}

// refused returns why path may not import a reserved module, or "".
func refused(path, imported string, inTest bool) string {
	for _, r := range reserved {
		if !within(imported, r.prefix) || slices.Contains(r.users, path) {
			continue
		}
		if inTest && (slices.Contains(r.inTests, "*") || slices.Contains(r.inTests, path)) {
			continue
		}
		return r.why
	}
	return ""
}

// within tells whether path is prefix or lies below it.
func within(path, prefix string) bool {
	rest, ok := strings.CutPrefix(path, strings.TrimSuffix(prefix, "/"))
	return ok && (rest == "" || rest[0] == '/')
}

// holder maps a package below an internal/ folder to the package that holds that folder; the
// top-level internal packages stand for themselves.
func holder(path string) string {
	if before, _, nested := strings.Cut(path, "/internal/"); nested {
		return before
	}
	return path
}

// isStandard tells by the rule that go itself uses: a first element without a dot.
func isStandard(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return !strings.Contains(first, ".")
}
