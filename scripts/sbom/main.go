// Command sbom writes what programs are made of, as CycloneDX JSON beside each: gateway.cdx.json beside gateway.
package main

import (
	"debug/buildinfo"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

func main() {
	version := flag.String("version", "", "version of the programs; that of their build if empty")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "sbom [-version v1.2.3] PROGRAM...")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() == 0 {
		flag.Usage()
		os.Exit(2)
	}
	for _, path := range flag.Args() {
		if err := write(path, *version); err != nil {
			fmt.Fprintln(os.Stderr, "sbom:", err)
			os.Exit(1)
		}
		fmt.Println(path + suffix)
	}
}

const suffix = ".cdx.json"

// write reads a program and writes its bill beside it.
func write(path, version string) error {
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return err
	}
	program, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	cache, err := exec.Command("go", "env", "GOMODCACHE").Output()
	if err != nil {
		return fmt.Errorf("go env GOMODCACHE: %w", err)
	}
	bom, err := describe(source{
		path: path, program: program, info: info, version: version,
		epoch: os.Getenv("SOURCE_DATE_EPOCH"), modules: strings.TrimSpace(string(cache)),
	})
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	text, err := encode(bom)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return os.WriteFile(path+suffix, text, 0o644) //nolint:gosec // a bill is for everybody to read
}
