// Package scenarios holds the scenario files that are built into the load tool, and the rows of its comparisons.
package scenarios

import "embed"

// Files are the scenario files: name.yaml each.
//
//go:embed *.yaml
var Files embed.FS

// Comparison is the file with the rows of comparisons.
//
//go:embed comparison/rows.yaml
var Comparison []byte

// Base is the file with the rows of comparisons with another revision.
//
//go:embed comparison/base.yaml
var Base []byte

// Plan is the file with the runs from which the model of capacity learns.
//
//go:embed plan/runs.yaml
var Plan []byte
