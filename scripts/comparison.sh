#!/usr/bin/env bash
# Measures what docs/comparison.md shows, and writes that page: no number in it is typed by hand.
#
#   scripts/comparison.sh [ROUNDS] [DURATION] [REST]      each side of each row ROUNDS times (5), for DURATION (8s); rows about
#                                                         memory, which take minutes, REST times (ROUNDS)
#
# It needs Centrifugo: LOADTEST_CENTRIFUGO, or `go install github.com/centrifugal/centrifugo/v6@latest`.
set -euo pipefail
cd "$(dirname "$0")/.."

rounds=${1:-5} duration=${2:-8s} rest=${3:-${1:-5}}
page=docs/comparison.md
fresh=$(mktemp "$page.XXXXXX")
trap 'rm -f "$fresh"' EXIT

# rows measures rows of comparison against a peer. A bound that is missed is shown, not an error of this script.
rows() { # peer rows [flags]
	local peer=$1 which=$2
	shift 2
	echo "comparison: $peer: $which" >&2
	{ LOADTEST_GATEWAY=bin/gateway bin/loadtest compare -peer "$peer" -rows "$which" -rounds "$rounds" "$@" || [ $? -eq 1 ]; } | grep '^|'
}

model=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)
{
	cat <<-EOF
		# Against others

		<!-- Written by scripts/comparison.sh: make comparison-docs -->

		The same work, by the same clients, against Signalbox and against what would be used otherwise: each side mostly $rounds times in
		turns, with fresh servers and a fresh Redis each time. All figures are medians, and ratios are ours over theirs; what the
		project wants to reach stands beside them, and what it misses. Measured $(date -u +%Y-%m-%d) at revision
		$(git rev-parse --short=12 HEAD), on $(nproc) processors ($model), which clients and servers share. What a row does, and
		how it is measured, is in [loadtest/README.md](../loadtest/README.md); so are the settings of both sides.

		Signalbox keeps order, a log, requests that take effect once and seats that outlive their gateway in every row. Centrifugo
		without history, and socket.io, have none of these.

		\`\`\`sh
		make comparison-docs                                        # all of it
		make loadtest-compare PEER=centrifugo ROWS=call-steady      # one row
		\`\`\`

		## Centrifugo

	EOF
	rows centrifugo call-saturated,call-steady,call-fresh,fanout,join-leave -duration "$duration"
	printf '\nWith its history and recovery:\n\n'
	rows centrifugo-history call-saturated -duration "$duration"
	printf '\nMemory, at 10,000 connections:\n\n'
	rounds=$rest rows centrifugo idle,idle-seats
	printf '\n## socket.io with its Redis adapter\n\n'
	rows socketio call-saturated,call-steady,call-fresh,fanout,join-leave -duration "$duration"
	printf '\nMemory, at 10,000 connections:\n\n'
	rounds=$rest rows socketio idle,idle-seats
	printf '\nRaces of 100 clients for a room of two, on four nodes:\n\n'
	rounds=1 rows socketio join-race
	printf '\n## More gateways\n\n'
	rows self nodes -duration "$duration"
	cat scripts/comparison-notes.md
} >"$fresh"
chmod 644 "$fresh"
mv "$fresh" "$page"
