#!/usr/bin/env bash
# Measures what docs/comparison.md shows, and writes that page: no number in it is typed by hand.
#
#   scripts/comparison.sh [ROUNDS] [DURATION] [PARTS]      each side of each row ROUNDS times (5), for DURATION (8s); all PARTS, or
#                                                          some of: centrifugo centrifugo-memory socketio socketio-memory nodes
#
# It needs Centrifugo: LOADTEST_CENTRIFUGO, or `go install github.com/centrifugal/centrifugo/v6@latest`.
set -euo pipefail
cd "$(dirname "$0")/.."

rounds=${1:-5} duration=${2:-8s} parts=${3:-centrifugo centrifugo-memory socketio socketio-memory nodes}
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

		The same work, by the same clients, against Signalbox and against what would be used otherwise: each side $rounds times in
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
	EOF
	for part in $parts; do
		echo
		case $part in
		centrifugo)
			printf '## Centrifugo\n\n'
			rows centrifugo call-saturated,call-steady,call-fresh,fanout,join-leave -duration "$duration"
			printf '\nWith its history and recovery:\n\n'
			rows centrifugo-history call-saturated -duration "$duration"
			;;
		socketio)
			printf '## socket.io with its Redis adapter\n\n'
			rows socketio call-saturated,call-steady,call-fresh,fanout,join-leave -duration "$duration"
			printf '\nRaces of 100 clients for a room of two, on four nodes:\n\n'
			rounds=1 rows socketio join-race
			;;
		*-memory)
			printf '## Memory beside %s, at 10,000 connections\n\n' "${part%-memory}"
			rows "${part%-memory}" idle,idle-seats
			;;
		nodes)
			printf '## More gateways\n\n'
			rows self nodes -duration "$duration"
			;;
		*)
			echo "no part $part" >&2
			exit 2
			;;
		esac
	done
	cat scripts/comparison-notes.txt
} >"$fresh"
chmod 644 "$fresh"
mv "$fresh" "$page"
