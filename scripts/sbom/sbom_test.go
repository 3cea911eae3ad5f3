package main

import (
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/CycloneDX/cyclonedx-go"
	"github.com/stretchr/testify/require"
)

var root = filepath.Join("..", "..")

// mustGateway gives a gateway as it is released, in a folder of the test.
func mustGateway(tb testing.TB) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "gateway")
	build := exec.Command("go", "build", "-o", path, "./services/gateway")
	build.Dir = root
	out, err := build.CombinedOutput()
	require.NoError(tb, err, string(out))
	return path
}

// mustRead writes the bill of a program and reads it as others do.
func mustRead(tb testing.TB, path, version string) (*cyclonedx.BOM, string) {
	tb.Helper()
	require.NoError(tb, write(path, version))
	text, err := os.ReadFile(path + ".cdx.json")
	require.NoError(tb, err)
	var bom cyclonedx.BOM
	require.NoError(tb, cyclonedx.NewBOMDecoder(strings.NewReader(string(text)), cyclonedx.BOMFileFormatJSON).Decode(&bom))
	return &bom, string(text)
}

func TestBillOfTheGateway(t *testing.T) {
	path := mustGateway(t)
	t.Setenv("SOURCE_DATE_EPOCH", "1700000000")
	bom, text := mustRead(t, path, "v1.2.3")

	require.Equal(t, "CycloneDX", bom.BOMFormat)
	require.Equal(t, cyclonedx.SpecVersion1_6, bom.SpecVersion)
	require.Regexp(t, `^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`, bom.SerialNumber)
	require.Equal(t, "2023-11-14T22:13:20Z", bom.Metadata.Timestamp)
	main := bom.Metadata.Component
	require.Equal(t, cyclonedx.ComponentTypeApplication, main.Type)
	require.Equal(t, "gateway", main.Name)
	require.Equal(t, "v1.2.3", main.Version)
	require.Equal(t, "pkg:golang/github.com/signalbox-rtc/signalbox@v1.2.3#services/gateway", main.PackageURL)
	program, err := os.ReadFile(path)
	require.NoError(t, err)
	digest := sha256.Sum256(program)
	require.Equal(t, hex.EncodeToString(digest[:]), (*main.Hashes)[0].Value)

	// Each module that is linked, once, and nothing beside it.
	info, err := buildinfo.ReadFile(path)
	require.NoError(t, err)
	want := []string{"pkg:golang/std@" + strings.TrimPrefix(strings.Fields(info.GoVersion)[0], "go")}
	for _, module := range info.Deps {
		want = append(want, "pkg:golang/"+module.Path+"@"+module.Version)
	}
	var got []string
	byName := make(map[string]cyclonedx.Component)
	for _, component := range *bom.Components {
		got = append(got, component.PackageURL)
		byName[component.Name] = component
		require.NotNil(t, component.Licenses, "%s: which licence does it have?", component.Name)
	}
	require.Equal(t, want, got)
	require.Equal(t, want, *(*bom.Dependencies)[0].Dependencies)

	// One of them, as go.mod and go.sum have it.
	redis, known := byName["github.com/redis/go-redis/v9"]
	require.True(t, known)
	require.Equal(t, mustFind(t, "go.mod", `github.com/redis/go-redis/v9 (v\S+)`), redis.Version)
	sum, err := base64.StdEncoding.DecodeString(mustFind(t, "go.sum", `(?m)^github.com/redis/go-redis/v9 `+regexp.QuoteMeta(redis.Version)+` h1:(\S+)$`))
	require.NoError(t, err)
	require.Equal(t, hex.EncodeToString(sum), (*redis.Hashes)[0].Value)
	require.Equal(t, "BSD-2-Clause", (*redis.Licenses)[0].License.ID)
	require.Len(t, *byName["go.opentelemetry.io/otel"].Licenses, 2, "its file has two texts")
	require.NotContains(t, text, "testify", "it is in go.mod, and not in the gateway")

	// Nothing is by chance, and another build or another version is another bill.
	_, again := mustRead(t, path, "v1.2.3")
	require.Equal(t, text, again)
	other, _ := mustRead(t, path, "v1.2.4")
	require.NotEqual(t, bom.SerialNumber, other.SerialNumber)
}

func mustFind(tb testing.TB, file, pattern string) string {
	tb.Helper()
	text, err := os.ReadFile(filepath.Join(root, file))
	require.NoError(tb, err)
	found := regexp.MustCompile(pattern).FindSubmatch(text)
	require.NotNil(tb, found, "%s has no %s", file, pattern)
	return string(found[1])
}

// What a build outside of a checkout does not have.
func TestRevision(t *testing.T) {
	s := source{info: &debug.BuildInfo{
		GoVersion: "go1.30.1 X:something", Path: "example.com/a/cmd/b", Main: debug.Module{Path: "example.com/a", Version: "(devel)"},
		Deps: []*debug.Module{
			{Path: "example.com/Old", Version: "v1.0.0", Replace: &debug.Module{Path: "example.com/New", Version: "v1.1.0+incompatible"}},
			{Path: "example.com/beside", Version: "v0.0.0", Replace: &debug.Module{Path: "../beside"}},
		},
		Settings: []debug.BuildSetting{
			{Key: "vcs.revision", Value: "0123abc"}, {Key: "vcs.time", Value: "2030-01-02T03:04:05Z"}, {Key: "vcs.modified", Value: "true"},
		},
	}}
	bom, err := describe(s)
	require.NoError(t, err)
	text, err := json.Marshal(bom)
	require.NoError(t, err)
	require.Contains(t, string(text), `{"name":"signalbox:build:vcs.revision","value":"0123abc"}`)
	require.Contains(t, string(text), `{"name":"signalbox:build:vcs.modified","value":"true"}`)
	require.Equal(t, "0123abc", (*bom.Metadata.Component.Pedigree.Commits)[0].UID)
	require.Equal(t, "2030-01-02T03:04:05Z", bom.Metadata.Timestamp, "not that of the clock")
	require.Equal(t, "pkg:golang/example.com/a#cmd/b", bom.Metadata.Component.PackageURL)
	var urls []string
	for _, component := range *bom.Components {
		urls = append(urls, component.PackageURL)
	}
	require.Equal(t, []string{"pkg:golang/std@1.30.1", "pkg:golang/example.com/New@v1.1.0%2Bincompatible", "pkg:golang/example.com/beside"}, urls)

	s.epoch = "yesterday"
	_, err = describe(s)
	require.ErrorContains(t, err, "SOURCE_DATE_EPOCH")
	s.epoch, s.info.Deps[0].Replace.Sum = "", "h2:unknown"
	_, err = describe(s)
	require.ErrorContains(t, err, "example.com/New")
}

func TestLicences(t *testing.T) {
	const bsd2 = "Redistribution and use in source\nand binary forms ... THIS SOFTWARE IS PROVIDED"
	const mit = "Permission is hereby granted, free of charge,\n to any person obtaining a copy ... The above copyright notice and this permission notice"
	for _, tc := range []struct {
		text string
		want []string
	}{
		{bsd2, []string{"BSD-2-Clause"}},
		{bsd2 + "... may be used to endorse or promote products derived from", []string{"BSD-3-Clause"}},
		{mit, []string{"MIT"}},
		{mit + bsd2, []string{"MIT", "BSD-2-Clause"}},
		{"All rights reserved.", nil},
	} {
		require.Equal(t, tc.want, recognise(tc.text), tc.text)
	}
	own, err := os.ReadFile(filepath.Join(root, "LICENSE"))
	require.NoError(t, err)
	require.Equal(t, []string{"Apache-2.0"}, recognise(string(own)))
	require.Empty(t, licence(t.TempDir()))
}
