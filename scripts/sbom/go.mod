// The list of what a program is made of, in a module of its own: what writes it stays out of the product's go.mod.
module github.com/signalbox-rtc/signalbox/scripts/sbom

go 1.26.0

require (
	github.com/CycloneDX/cyclonedx-go v0.12.0
	github.com/stretchr/testify v1.12.1
)

require go.yaml.in/yaml/v3 v3.0.5 // indirect
