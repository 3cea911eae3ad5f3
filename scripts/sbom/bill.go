package main

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"path"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/CycloneDX/cyclonedx-go"
)

// source is what a bill is made of, and nothing else: the same program has the same bill, whenever and wherever it is written.
type source struct {
	path    string // of the program
	program []byte
	info    *debug.BuildInfo // of the program
	version string           // goes before that of the build
	epoch   string           // SOURCE_DATE_EPOCH, which goes before the time of the revision; may be empty
	modules string           // folder of the modules' sources, for their licences
}

// describe makes the bill of a program: itself, the modules that are linked into it, and the standard library. All of it is read
// from what the linker wrote into the program.
func describe(s source) (*cyclonedx.BOM, error) {
	digest := sha256.Sum256(s.program)
	main := cyclonedx.Component{
		Type: cyclonedx.ComponentTypeApplication, Name: path.Base(s.info.Path), Version: cmp.Or(s.version, s.info.Main.Version),
		Hashes:   &[]cyclonedx.Hash{{Algorithm: cyclonedx.HashAlgoSHA256, Value: hex.EncodeToString(digest[:])}},
		Licenses: &cyclonedx.Licenses{{License: &cyclonedx.License{ID: "Apache-2.0"}}},
	}
	main.PackageURL = purl(s.info.Main.Path, main.Version)
	if subpath, found := strings.CutPrefix(s.info.Path, s.info.Main.Path+"/"); found {
		main.PackageURL += "#" + subpath
	}
	main.BOMRef = main.PackageURL

	settings := make(map[string]string)
	for _, setting := range s.info.Settings {
		settings[setting.Key] = setting.Value
	}
	var properties []cyclonedx.Property
	for _, name := range []string{"vcs.revision", "vcs.time", "vcs.modified", "GOOS", "GOARCH", "CGO_ENABLED", "-race"} {
		if value := settings[name]; value != "" {
			properties = append(properties, cyclonedx.Property{Name: "signalbox:build:" + name, Value: value})
		}
	}
	main.Properties = &properties
	if revision := settings["vcs.revision"]; revision != "" {
		main.Pedigree = &cyclonedx.Pedigree{Commits: &[]cyclonedx.Commit{{UID: revision}}}
	}

	components := []cyclonedx.Component{standardLibrary(s.info.GoVersion)}
	for _, module := range s.info.Deps {
		component, err := linked(module, s.modules)
		if err != nil {
			return nil, err
		}
		components = append(components, component)
	}
	refs := make([]string, 0, len(components))
	for _, component := range components {
		refs = append(refs, component.BOMRef)
	}
	timestamp, err := moment(s.epoch, settings["vcs.time"])
	if err != nil {
		return nil, err
	}
	bom := cyclonedx.NewBOM()
	bom.SerialNumber = serial(digest, main.Version, timestamp)
	bom.Metadata = &cyclonedx.Metadata{Timestamp: timestamp, Component: &main}
	bom.Components = &components
	// Who of them needs whom is not in a program.
	bom.Dependencies = &[]cyclonedx.Dependency{{Ref: main.BOMRef, Dependencies: &refs}}
	return bom, nil
}

// linked describes a module; one that another took the place of, by that other.
func linked(module *debug.Module, cache string) (cyclonedx.Component, error) {
	if by := module.Replace; by != nil && by.Version != "" {
		module = by
	} else if by != nil { // a folder: nobody else has it
		module = &debug.Module{Path: module.Path}
	}
	ref := purl(module.Path, module.Version)
	component := cyclonedx.Component{
		BOMRef: ref, Type: cyclonedx.ComponentTypeLibrary, Name: module.Path, Version: module.Version, PackageURL: ref,
		Scope: cyclonedx.ScopeRequired,
	}
	if module.Sum != "" {
		sum, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(module.Sum, "h1:"))
		if err != nil || len(sum) != sha256.Size || !strings.HasPrefix(module.Sum, "h1:") {
			return component, fmt.Errorf("the sum of %s: %q", module.Path, module.Sum)
		}
		component.Hashes = &[]cyclonedx.Hash{{Algorithm: cyclonedx.HashAlgoSHA256, Value: hex.EncodeToString(sum)}}
	}
	if ids := licence(filepath.Join(cache, escaped(module.Path)+"@"+module.Version)); len(ids) > 0 {
		component.Licenses = new(cyclonedx.Licenses)
		for _, id := range ids {
			*component.Licenses = append(*component.Licenses, cyclonedx.LicenseChoice{License: &cyclonedx.License{ID: id}})
		}
	}
	return component, nil
}

// standardLibrary is no module, but has weaknesses as one.
func standardLibrary(goVersion string) cyclonedx.Component {
	version, _, _ := strings.Cut(strings.TrimPrefix(goVersion, "go"), " ") // experiments stand behind it
	ref := purl("std", version)
	return cyclonedx.Component{
		BOMRef: ref, Type: cyclonedx.ComponentTypeLibrary, Name: "std", Version: version, PackageURL: ref, Scope: cyclonedx.ScopeRequired,
		Licenses: &cyclonedx.Licenses{{License: &cyclonedx.License{ID: "BSD-3-Clause"}}},
	}
}

// purl is the package URL of a module. Its letters are as they are: to the databases of weaknesses, paths of modules that
// differ in case are different ones.
func purl(module, version string) string {
	url := "pkg:golang/" + module
	if version != "" && version != "(devel)" { // which is no version, but that there is none
		url += "@" + strings.ReplaceAll(version, "+", "%2B")
	}
	return url
}

// moment is when the program was made, as far as that is not by chance; empty where nobody says.
func moment(epoch, committed string) (string, error) {
	if epoch == "" {
		return committed, nil
	}
	seconds, err := strconv.ParseInt(epoch, 10, 64)
	if err != nil {
		return "", fmt.Errorf("SOURCE_DATE_EPOCH: %w", err)
	}
	return time.Unix(seconds, 0).UTC().Format(time.RFC3339), nil
}

// serial is made of what the bill says, as a UUID of version 8 (RFC 9562, section 5.8): the same bill has the same.
func serial(program [sha256.Size]byte, version, timestamp string) string {
	h := sha256.New()
	h.Write(program[:])
	fmt.Fprintf(h, "\n%s\n%s", version, timestamp)
	id := h.Sum(nil)[:16]
	id[6], id[8] = id[6]&0x0f|0x80, id[8]&0x3f|0x80
	return fmt.Sprintf("urn:uuid:%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
}

func encode(bom *cyclonedx.BOM) ([]byte, error) {
	var text bytes.Buffer
	encoder := cyclonedx.NewBOMEncoder(&text, cyclonedx.BOMFileFormatJSON)
	encoder.SetPretty(true)
	// What most readers know today.
	if err := encoder.EncodeVersion(bom, cyclonedx.SpecVersion1_6); err != nil {
		return nil, err
	}
	return text.Bytes(), nil
}
