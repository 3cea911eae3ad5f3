#!/usr/bin/env bash
# Measures what docs/instrumentation.md shows, and writes that page: no number in it is typed by hand.
#
#   scripts/instrumentation.sh [ROUNDS] [DURATION]      each side of each row ROUNDS times (5), in turns, for DURATION (8s)
set -euo pipefail
cd "$(dirname "$0")/.."

rounds=${1:-5} duration=${2:-8s}
page=docs/instrumentation.md
dir=$(mktemp -d)
fresh=$(mktemp "$page.XXXXXX")
sink=
ended() {
	[ -z "$sink" ] || kill "$sink" 2>/dev/null || true
	rm -rf "$dir" "$fresh"
}
trap ended EXIT

# The base counts nothing, measures no latency and traces nothing.
CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -tags signalbox_nometrics -o "$dir/off" ./services/gateway
CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o "$dir/on" ./services/gateway
go build -trimpath -o "$dir/loadtest" ./loadtest
# Both sides get the flags of a row; the base takes those back that are not for it.
printf '#!/bin/sh\nexec "%s/off" "$@" --metrics.latency_samples=0 --tracing.endpoint=\n' "$dir" >"$dir/base"
chmod +x "$dir/base"

"$dir/loadtest" sink -address 127.0.0.1:0 >"$dir/sink" &
sink=$!
for _ in $(seq 100); do
	[ -s "$dir/sink" ] && break
	sleep 0.1
done
receiver=$(head -n 1 "$dir/sink")
[ -n "$receiver" ] || { echo "the receiver of spans has not started" >&2; exit 1; }

# rows measures the gateway as it is over the base.
rows() { # flags
	{ "$dir/loadtest" compare -peer base -base-gateway "$dir/base" -gateway "$dir/on" -rows call-steady,call-saturated \
		-rounds "$rounds" -duration "$duration" "$@" || [ $? -eq 1 ]; } |
		awk -F '|' -v OFS='|' '/^\|/ {print "", $2, $4, $5, $6, $7, $8, ""}'
}

{
	cat <<-EOF
		# What watching costs

		<!-- Written by scripts/instrumentation.sh: make instrumentation-docs -->

		A gateway that is measured and traced beside one that is not, under the same load in turns: calls that go from client to
		client over two gateways and Redis. The base is a build in which all metrics count nothing (tag \`signalbox_nometrics\`),
		with \`metrics.latency_samples\` of 0 and without traces. CPU is that of the gateways and of Redis; the receiver of spans is
		another process and is not counted. A ratio over 1 is a cost (for calls/s: under 1).

		## Metrics on, nothing traced

		What gateways do unless told otherwise: all counters, native histograms, and the latency of 50 messages a second.

	EOF
	rows
	printf '\n## One request of 100 traced\n\nThe default of `tracing.one_in`, with an OTLP receiver (`tracing.endpoint`):\n\n'
	rows -gateway-flag=--tracing.endpoint="$receiver"
	printf '\n## Every request traced\n\n`tracing.one_in` of 1: five spans for each message that is relayed. Queues of 2,048 spans run over, which costs nobody time.\n\n'
	rows -gateway-flag=--tracing.endpoint="$receiver" -gateway-flag=--tracing.one_in=1
	printf '\nMedians of %s rounds of %s, %s, revision %s, %s processors.\n' "$rounds" "$duration" "$(date -u +%Y-%m-%d)" "$(git rev-parse --short=12 HEAD)" "$(nproc)"
} >"$fresh"
chmod 644 "$fresh"
mv "$fresh" "$page"
