#!/usr/bin/env bash
# Measures what docs/comparison.md shows, and writes that page: no number in it is typed by hand.
#
#   scripts/comparison.sh [ROUNDS] [DURATION] [PARTS]      each side of each row ROUNDS times (5), for DURATION (8s); all PARTS, or
#                                                          some of: centrifugo centrifugo-memory socketio socketio-memory nodes primaries
#
# A part that is not measured anew stays on the page as it was, with its own day and revision.
#
# It needs Centrifugo: LOADTEST_CENTRIFUGO, or `go install github.com/centrifugal/centrifugo/v6@latest`.
set -euo pipefail
cd "$(dirname "$0")/.."

all='centrifugo centrifugo-memory socketio socketio-memory nodes primaries'
rounds=${1:-5} duration=${2:-8s} parts=${3:-$all}
page=docs/comparison.md
for part in $parts; do
	case " $all " in
	*" $part "*) ;;
	*) echo "no part $part: $all" >&2; exit 2 ;;
	esac
done
fresh=$(mktemp "$page.XXXXXX")
trap 'rm -f "$fresh"' EXIT

# rows measures rows of comparison against a peer. A bound that is missed is shown, not an error of this script.
rows() { # peer rows [flags]
	local peer=$1 which=$2
	shift 2
	echo "comparison: $peer: $which" >&2
	{ LOADTEST_GATEWAY=bin/gateway bin/loadtest compare -peer "$peer" -rows "$which" -rounds "$rounds" "$@" || [ $? -eq 1 ]; } | grep '^|'
}

# measured writes one part of the page.
measured() { # part
	case $1 in
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
		printf '## Memory beside %s, at 10,000 connections\n\n' "${1%-memory}"
		rows "${1%-memory}" idle,idle-seats
		;;
	nodes)
		printf '## More gateways\n\n'
		rows self nodes,nodes-steady -duration "$duration"
		;;
	primaries)
		cat <<-EOF
			## More primaries

			A Redis Cluster of 2 and of 4 primaries over one of 1, under [three loads](../loadtest/README.md#primaries): is a message
			as cheap, and does nothing go between primaries? The greatest throughput cannot grow here, where clients, gateways and all
			primaries share $(nproc) processors. The more reads of Redis a message takes, the shorter are pipelines, and the more it costs.

		EOF
		rows self primaries,primaries-each,primaries-saturated -duration "$duration"
		;;
	esac
	printf '\n%s rounds' "$rounds"
	case $1 in
	*-memory) ;;
	*) printf ' of %s' "$duration" ;;
	esac
	printf ', %s, revision %s.\n' "$(date -u +%Y-%m-%d)" "$(git rev-parse --short=12 HEAD)"
}

# kept writes a part as it stands on the page.
kept() { # mark
	awk -v mark="$1" '
		/^<!-- (part|end) / { on = $0 == mark; if (on) print "" }
		on && /^$/ { blank = blank "\n"; next }
		on { printf "%s%s\n", blank, $0; blank = "" }'
}

model=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)
{
	cat <<-EOF
		# Against others

		<!-- Written by scripts/comparison.sh: make comparison-docs -->

		The same work, by the same clients, against Signalbox and against what would be used otherwise: both sides in turns,
		with fresh servers and a fresh Redis each time. All figures are medians, and ratios are ours over theirs; what the
		project wants to reach stands beside them, and what it misses. Measured on $(nproc) processors ($model), which clients
		and servers share; how often, when and at which revision stands below each part. What a row does, and how it is
		measured, is in [loadtest/README.md](../loadtest/README.md); so are the settings of both sides.

		Signalbox keeps order, a log, requests that take effect once and seats that outlive their gateway in every row. Centrifugo
		without history, and socket.io, have none of these.

		\`\`\`sh
		make comparison-docs                                        # all of it
		make comparison-docs PARTS="nodes socketio"                 # some parts
		make loadtest-compare PEER=centrifugo ROWS=call-steady      # one row
		\`\`\`
	EOF
	for part in $all; do
		mark="<!-- part $part -->"
		case " $parts " in
		*" $part "*) printf '\n%s\n\n' "$mark"; measured "$part" ;;
		*) [ ! -f "$page" ] || kept "$mark" <"$page" ;;
		esac
	done
	printf '\n<!-- end of what is measured -->\n'
	cat scripts/comparison-notes.txt
} >"$fresh"
chmod 644 "$fresh"
mv "$fresh" "$page"
