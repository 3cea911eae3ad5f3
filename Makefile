SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:

VERSION   ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
SERVICES  := $(notdir $(patsubst %/main.go,%,$(wildcard services/*/main.go)))
PKG       ?= ./...
BENCH     ?= .
FUZZTIME  ?= 10s
SEEDS     ?= 60
FIRST     ?= 1
FAULT     ?= all
SECONDS   ?= 60
SCENARIO  ?= call-saturated
TARGET    ?= signalbox
PEER      ?= centrifugo
ROWS      ?=
DOCKER    ?= docker
IMAGE     ?= ghcr.io/signalbox-rtc/gateway:$(VERSION)
RELAY_IMAGE ?= ghcr.io/signalbox-rtc/relay:$(VERSION)
# The list of the world's CAs as this system has it.
CA_CERTIFICATES ?= /etc/ssl/certs/ca-certificates.crt
BASE      ?=
ROUNDS    ?= 5
# Raised together with the slowest package: the clusters of real Redis servers take their seconds.
TIMEOUT   ?= 15m
# As many packages at a time as two cores bear while each starts servers of its own.
PARALLEL  ?= 3
# Where known weaknesses are looked up: an URL, a folder, or a .tar.gz of one.
VULNDB    ?= https://vuln.go.dev

GOLANGCI_LINT := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0

# What make test consists of, in this order.
STAGES := deps check test-go test-chart test-sbom sim test-js site test-browser test-socketio

.PHONY: help
help: ## list the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z0-9-]+:.*## / {printf "  make %-21s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: run
run: ## a whole cluster in one process, for trying out (needs only Go; ARGS="--redis URL")
	go run ./services/all-in-one $(ARGS)

.PHONY: build
build: ## static binaries of every service in bin/
	@mkdir -p bin
	@for service in $(SERVICES); do \
		echo "bin/$$service ($(VERSION))"; \
		CGO_ENABLED=0 go build -trimpath -ldflags '-s -w -X github.com/signalbox-rtc/signalbox/pkg/telemetry.version=$(VERSION)' -o "bin/$$service" "./services/$$service"; \
	done

.PHONY: sbom
sbom: build ## what each binary in bin/ is made of, as CycloneDX JSON beside it (SOURCE_DATE_EPOCH=seconds)
	@cd scripts/sbom && go run . -version "$(VERSION)" $(SERVICES:%=../../bin/%)

.PHONY: image
image: ## the gateway's image, built from source in containers (DOCKER=podman IMAGE=name:tag)
	$(DOCKER) build --build-arg VERSION=$(VERSION) -t $(IMAGE) .

.PHONY: image-relay
image-relay: ## the relay's image, likewise (RELAY_IMAGE=name:tag)
	$(DOCKER) build --build-arg VERSION=$(VERSION) --target relay -t $(RELAY_IMAGE) .

.PHONY: image-local
image-local: ## the same image from a binary that is built here, without another image
	@$(MAKE) --no-print-directory build SERVICES=gateway
	cp "$(CA_CERTIFICATES)" bin/ca-certificates.crt
	$(DOCKER) build --target prebuilt -t $(IMAGE) .

.PHONY: vendor
vendor: ## copy the stock socket.io clients and the charts that gateways serve out of npm again
	@scripts/vendor.sh

.PHONY: deps
deps: ## install what the tests need and is missing: redis-server, prometheus, coturn, chromium, npm packages
	@scripts/deps.sh

.PHONY: test
test: ## everything that has to pass
	@took=$$(mktemp); trap 'rm -f "$$took"' EXIT; exec 3>&2; \
	for stage in $(STAGES); do \
		TIMEFORMAT="make test: $$stage took %0R s, %0U + %0S s of processor time"; \
		{ time $(MAKE) --no-print-directory "$$stage" 2>&3; } 2>>"$$took"; \
		tail -n 1 "$$took"; \
	done; \
	echo; cat "$$took"; \
	echo "make test: all passed (dependencies, checks, Go, chart, bills of material, site, simulated, JavaScript, socket.io and browser tests)"

.PHONY: check
check: ## formatting, vet, modules, import table, links in the docs (no servers, no browser)
	@echo "check: gofmt"
	@unformatted=$$(git ls-files -co --exclude-standard '*.go' | while read -r f; do if [ -f "$$f" ]; then gofmt -l "$$f"; fi; done); \
	if [ -n "$$unformatted" ]; then echo "run gofmt -w on:"; echo "$$unformatted"; exit 1; fi
	@echo "check: go vet"
	@go vet ./...
	@echo "check: go mod verify, go mod tidy"
	@go mod verify
	@go mod tidy -diff || { echo "run go mod tidy"; exit 1; }
	@echo "check: import table, file rules, links in the docs"
	@go test ./internal/archtest

# Without vet: make check does it, all of it and not a part. Done here, it would be done for the build of the race detector once more.
.PHONY: test-go
test-go: ## Go tests with the race detector (PKG=./pkg/room/...); the last lines name those that failed
	@said=$$(mktemp); trap 'rm -f "$$said"' EXIT; run="go test -race -vet=off -timeout $(TIMEOUT) -p $(PARALLEL)"; echo "$$run $(PKG)"; \
	$$run $(PKG) | tee "$$said" || \
	{ echo "make test-go: what failed:"; grep -E '^ *--- FAIL|^ +[a-z0-9_]+_test.go:[0-9]+:|Error: |^FAIL.|^panic:|^WARNING: DATA RACE' "$$said" | tail -n 50; exit 1; }

# The chart's tests are a module of their own: what Helm and Kubernetes bring along stays out of the product's go.mod.
# -count=1, as they look at files that the test cache does not know of.
.PHONY: test-chart
test-chart: ## the Helm chart, rendered and checked without a cluster, and loaded by the real gateway
	@cd test/chart && go mod tidy -diff || { echo "run go mod tidy in test/chart"; exit 1; }
	cd test/chart && go test -vet=off -count=1 -ldflags=-w -timeout $(TIMEOUT) .

# A module of its own, too. -count=1, as it builds a program that the test cache does not know of.
.PHONY: test-sbom
test-sbom: ## the list of what a program is made of, from a gateway that is built for it
	@cd scripts/sbom && go mod tidy -diff || { echo "run go mod tidy in scripts/sbom"; exit 1; }
	cd scripts/sbom && go test -count=1 -timeout $(TIMEOUT) .

.PHONY: chart-docs
chart-docs: ## the chart's README, its notes in docs/quick-start.md and values.schema.json again, from values.yaml and the gateway's configuration
	cd test/chart && go test -count=1 -ldflags=-w -run '^(TestReadme|TestQuickStartShowsTheNotes|TestSchema)$$' . -update

.PHONY: reference-docs
reference-docs: ## the references of the protocol and the server API again, and the AsyncAPI document, from the code
	go test -count=1 -run '^(TestReference|TestDocument)$$' ./internal/wiredoc -update
	go test -count=1 -run '^TestReference$$' ./pkg/httpapi -update

.PHONY: dashboards
dashboards: ## the chart's dashboards again, from internal/dashboards
	go test -count=1 -run '^TestFiles$$' ./internal/dashboards -update

.PHONY: dashboards-docs
dashboards-docs: deps ## watch a cluster for two minutes, and draw what the dashboards show into docs/dashboards.md
	go test -count=1 -timeout 10m -run '^TestPictures$$' ./test/watch -update

.PHONY: manifests
manifests: ## deploy/k8s again, from the chart
	cd test/chart && go test -count=1 -ldflags=-w -run '^TestManifests$$' . -update

.PHONY: test-js
test-js: ## type check and tests of the JavaScript client
	cd sdk/js && npm run --silent check && npm run --silent test

.PHONY: test-socketio
test-socketio: deps ## stock socket.io clients of four generations, on pkg/socketio and on a cluster, and the JavaScript client on one
	@dir=$$(mktemp -d); trap 'rm -rf "$$dir"' EXIT; \
	go build -o "$$dir/gateway" ./services/gateway; \
	cd test/socketio && SIGNALBOX_GATEWAY="$$dir/gateway" npm run --silent test

.PHONY: site
site: ## the documentation as a static site in bin/site, with its links checked (needs only Node.js)
	@[ -d site/node_modules ] || npm ci --prefix site --no-audit --no-fund
	cd site && npm run --silent test

.PHONY: soak-socketio
soak-socketio: deps ## 200 polling clients on a cluster without sticky sessions, for SECONDS=60
	cd test/socketio && SOAK_SECONDS=$(SECONDS) npm run --silent soak

.PHONY: test-browser
test-browser: ## calls and chats of real browsers through two gateways
	cd test/browser && npm run --silent test

.PHONY: pictures
pictures: deps ## the pictures of pages that the docs have, taken by the browser tests
	@scripts/deps.sh pictures
	cd test/browser && SIGNALBOX_PICTURES="$(CURDIR)/docs/pictures" node --test --test-reporter=spec --test-name-pattern='two pages on two gateways' call.test.js
	cd test/browser && SIGNALBOX_PICTURES="$(CURDIR)/docs/pictures" node --test --test-reporter=spec --test-name-pattern='as it should look' meet-looks.test.js
	cd test/browser && SIGNALBOX_PICTURES="$(CURDIR)/docs/pictures" node --test --test-reporter=spec --test-name-pattern='as it should look' console-looks.test.js

# Not in make test: it needs root, and changes the firewall of networks that it makes itself.
.PHONY: test-nat
test-nat: ## calls across network namespaces, by UDP, TCP and TLS alone (needs root)
	@scripts/deps.sh networks
	cd test/browser && npm run --silent nat

.PHONY: newcomer
newcomer: deps ## follow README and quick start as a newcomer does, with cold and warm caches, and write the times into docs/newcomer.md (minutes)
	node test/newcomer/newcomer.js

.PHONY: sdk-comparison
sdk-comparison: deps ## the same call with the JavaScript client, simple-peer, PeerJS and LiveKit: sizes, code and behaviour, into docs/sdk-comparison.md
	@[ -d sdk/comparison/node_modules ] || npm ci --prefix sdk/comparison --no-audit --no-fund
	npm run --silent build --prefix sdk/js
	cd sdk/comparison && npm run --silent check && npm run --silent compare

.PHONY: sim
sim: ## whole clusters on fake time, with faults that seeds decide (SEEDS=60 FIRST=1, or SEED=7 alone; HUNDREDS=1: 250 clients)
	@runs=Test$(if $(HUNDREDS),Hundreds,Seeds); dir=$$(mktemp -d); trap 'rm -rf "$$dir"' EXIT; \
	go test -c -o "$$dir/sim.test" ./test/sim; \
	if [ -n "$(SEED)" ]; then cd test/sim && SEED=$(SEED) "$$dir/sim.test" -test.run "^$$runs$$" -test.v; exit; fi; \
	half=$$(( ($(SEEDS) + 1) / 2 )); cd test/sim; \
	FIRST=$(FIRST) SEEDS=$$half "$$dir/sim.test" -test.run "^$$runs$$" >"$$dir/1" 2>&1 & first=$$!; \
	FIRST=$$(( $(FIRST) + half )) SEEDS=$$(( $(SEEDS) - half )) "$$dir/sim.test" -test.run "^$$runs$$" >"$$dir/2" 2>&1 & second=$$!; \
	failed=0; wait $$first || failed=1; wait $$second || failed=1; \
	cat "$$dir/1" "$$dir/2"; echo "sim: $(SEEDS) seeds from $(FIRST) on"; exit $$failed

.PHONY: chaos
chaos: ## break a cluster of real processes in every way (FAULT=name,name)
	CHAOS=$(FAULT) go test -count=1 -timeout 120m -v -run '^TestChaos$$' ./test/chaos | grep -v '^=== '

.PHONY: chaos-docs
chaos-docs: ## all faults, and their figures into docs/guarantees.md (leave the machine alone meanwhile)
	@results=$$(mktemp); trap 'rm -f "$$results"' EXIT; \
	CHAOS=$(FAULT) CHAOS_RESULTS="$$results" go test -count=1 -timeout 120m -v -run '^TestChaos$$' ./test/chaos || failed=1; \
	CHAOS_RESULTS="$$results" go test -count=1 -run '^TestGuaranteesTable$$' ./test/chaos -update; exit $${failed:-0}

.PHONY: fuzz
fuzz: ## every fuzz target for FUZZTIME=10s
	@go test -list '^Fuzz' $(PKG) \
	| awk '/^Fuzz/ {names[++n] = $$1} /^ok/ {for (i = 1; i <= n; i++) print $$2, names[i]; n = 0}' \
	| while read -r package name; do \
		echo "fuzz: $$package $$name for $(FUZZTIME)"; \
		go test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) "$$package" </dev/null; \
	done

.PHONY: bench
bench: ## benchmarks with allocations (BENCH=Fanout PKG=./pkg/room)
	go test -run '^$$' -bench '$(BENCH)' -benchmem $(PKG)

.PHONY: bench-docs
bench-docs: ## measure anew what docs/benchmarks.md shows (minutes; leave the machine alone meanwhile)
	scripts/benchmarks.sh

.PHONY: loadtest-build
loadtest-build: ## the load tool in bin/, beside the gateway that it starts
	@$(MAKE) --no-print-directory build SERVICES=gateway
	go build -trimpath -o bin/loadtest ./loadtest

.PHONY: loadtest
loadtest: loadtest-build ## a load on servers of its own (SCENARIO=name or file, TARGET=signalbox, ARGS="-duration 30s")
	LOADTEST_GATEWAY=bin/gateway bin/loadtest run $(SCENARIO) -target $(TARGET) $(ARGS)

.PHONY: loadtest-compare
loadtest-compare: loadtest-build ## us and a peer in turns, with ratios (PEER=centrifugo|centrifugo-history|socketio|self, ROWS=a,b ROUNDS=5 ARGS=)
	@case "$(PEER)" in socketio*) [ -d loadtest/peers/node_modules ] || npm ci --prefix loadtest/peers --no-audit --no-fund;; esac
	LOADTEST_GATEWAY=bin/gateway bin/loadtest compare -peer $(PEER) -rows "$(ROWS)" -rounds $(ROUNDS) $(ARGS)

.PHONY: loadtest-primaries
loadtest-primaries: PEER := self
loadtest-primaries: ROWS := primaries,primaries-each,primaries-saturated
loadtest-primaries: loadtest-compare ## what a message costs Redis, and what its bus copies, with 1, 2 and 4 primaries (ROUNDS=5 ARGS="-duration 4s")

.PHONY: comparison-docs
comparison-docs: loadtest-build ## measure us and the peers in turns, and write docs/comparison.md (most of an hour; leave the machine alone; needs Centrifugo)
	@[ -d loadtest/peers/node_modules ] || npm ci --prefix loadtest/peers --no-audit --no-fund
	scripts/comparison.sh "$(ROUNDS)" "$(DURATION)" "$(PARTS)"

.PHONY: quotas
quotas: loadtest-build ## 100 apps with quotas on three gateways, with and without a loud one, into docs/quotas.md (two minutes; leave the machine alone; ARGS="-rounds 1 -duration 3s")
	LOADTEST_GATEWAY=bin/gateway bin/loadtest quotas -insert docs/quotas.md $(ARGS)

.PHONY: loadtest-20k
loadtest-20k: loadtest-build ## memory and CPU with 20,000 connections, of two processes (ARGS="-processes 4 -clients 40000 -nodes 4")
	LOADTEST_GATEWAY=bin/gateway bin/loadtest run idle-20k $(ARGS)

.PHONY: loadtest-plan-measure
loadtest-plan-measure: loadtest-build ## measure what the model of capacity is made of, and write docs/capacity.md (minutes; leave the machine alone)
	LOADTEST_GATEWAY=bin/gateway bin/loadtest plan -measure -write loadtest/plan/constants.json -insert docs/capacity.md $(ARGS)

.PHONY: loadtest-plan-docs
loadtest-plan-docs: ## the tables of docs/capacity.md again, from the constants that there are
	go run ./loadtest plan -constants loadtest/plan/constants.json -insert docs/capacity.md

.PHONY: bench-compare
bench-compare: ROUNDS := 3
bench-compare: ## this tree and an earlier revision in turns; fails when it costs more (BASE=rev ROUNDS=3 ROWS=a,b ARGS="-tolerance 1.15")
	@[ -n "$(BASE)" ] || { echo "make bench-compare BASE=rev: which revision is it to be compared with?"; exit 2; }
	go build -trimpath -o bin/loadtest ./loadtest
	LOADTEST_GATEWAY= bin/loadtest compare -peer base -base "$(BASE)" -rows "$(ROWS)" -rounds $(ROUNDS) $(ARGS)

.PHONY: relay-docs
relay-docs: ## measure the relay beside coturn, and write docs/relay.md (a minute; leave the machine alone meanwhile)
	@$(MAKE) --no-print-directory build SERVICES=relay
	go test -count=1 -run '^TestBesideCoturn$$' -v ./pkg/relay -beside "$(CURDIR)/bin/relay"

.PHONY: instrumentation-docs
instrumentation-docs: ## measure what metrics and traces cost, and write docs/instrumentation.md (minutes; leave the machine alone meanwhile)
	scripts/instrumentation.sh "$(ROUNDS)" "$(or $(DURATION),8s)"

.PHONY: cover
cover: ## test coverage of all packages together, as coverage/index.html
	@mkdir -p coverage
	go test -timeout $(TIMEOUT) -p $(PARALLEL) -coverpkg=./... -coverprofile=coverage/all.out ./...
	@go tool cover -html=coverage/all.out -o coverage/index.html
	@go tool cover -func=coverage/all.out | tail -n 1

.PHONY: lint
lint: ## golangci-lint at the pinned version (its first build takes minutes)
	go run $(GOLANGCI_LINT) run ./...

.PHONY: vuln
vuln: ## known weaknesses in what the programs call (VULNDB=URL, folder or .tar.gz)
	@scripts/vuln.sh "$(VULNDB)"

.PHONY: clean
clean: ## remove what was built and what tests left
	rm -rf bin coverage test-results test/browser/test-results
