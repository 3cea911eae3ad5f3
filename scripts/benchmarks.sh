#!/usr/bin/env bash
# Measures what docs/benchmarks.md shows, and writes that page: no number in it is typed by hand.
#
#   scripts/benchmarks.sh [COUNT]      each benchmark COUNT times (5), of which the median is shown
set -euo pipefail
cd "$(dirname "$0")/.."

count=${1:-5}
page=docs/benchmarks.md
fresh=$(mktemp "$page.XXXXXX")
trap 'rm -f "$fresh"' EXIT

# table turns the output of go test -bench into a table: one row a benchmark, one column a unit, medians. Units that say
# nothing about it are left out.
table() { # units-to-leave-out
	awk -v skip="$1" '
		function median(text,    n, list, i, j, x) {
			n = split(text, list, " ")
			if (!n) return ""
			for (i = 2; i <= n; i++) {
				x = list[i] + 0
				for (j = i - 1; j > 0 && list[j] + 0 > x; j--) list[j + 1] = list[j]
				list[j + 1] = x
			}
			return n % 2 ? list[(n + 1) / 2] : (list[n / 2] + list[n / 2 + 1]) / 2
		}
		function short(value) {
			return value == "" ? "" : value < 10 && value != int(value) ? sprintf("%.2f", value) : sprintf("%.0f", value)
		}
		/^Benchmark/ {
			name = $1
			sub(/^Benchmark/, "", name)
			sub(/-[0-9]+$/, "", name)
			if (!(name in seen)) { seen[name]; names[++rows] = name }
			for (i = 3; i < NF; i += 2) {
				if (index(skip, $(i + 1))) continue
				if (!($(i + 1) in known)) { known[$(i + 1)]; units[++columns] = $(i + 1) }
				values[name, $(i + 1)] = values[name, $(i + 1)] " " $i
			}
		}
		END {
			if (!rows) { print "no benchmark has run" > "/dev/stderr"; exit 1 }
			printf "| benchmark |"; for (c = 1; c <= columns; c++) printf " %s |", units[c]
			printf "\n|---|"; for (c = 1; c <= columns; c++) printf "---:|"
			for (r = 1; r <= rows; r++) {
				printf "\n| %s |", names[r]
				for (c = 1; c <= columns; c++) printf " %s |", short(median(values[names[r], units[c]]))
			}
			print ""
		}'
}

# section writes a heading, what standard input says about it, the command, and its table.
section() { # title package regular-expression [units-to-leave-out]
	local command="go test -run '^\$' -bench '$3' -benchmem -count $count $2"
	echo "bench-docs: $command" >&2
	printf '\n## %s\n\n%s\n\n```sh\n%s\n```\n\n' "$1" "$(cat)" "$command"
	eval "$command" | tee /dev/stderr | table "${4:-}"
}

processor=$(awk -F': ' '/model name/ {print $2; exit}' /proc/cpuinfo 2>/dev/null || true)
{
	cat <<TEXT
# Benchmarks

Written by \`make bench-docs\`, which measures everything anew: medians of $count runs each. Figures of one machine tell
which part costs what, and whether a change made it better; they are no promise for another machine.

| | |
|---|---|
| processor | ${processor:-$(uname -m)}, $(getconf _NPROCESSORS_ONLN) cores |
| system | $(uname -s) $(uname -m), load $(cut -d' ' -f1 /proc/loadavg 2>/dev/null || echo unknown) before the first run |
| Go | $(go env GOVERSION) |
| Redis | $(redis-server --version | sed -n 's/.* v=\([^ ]*\).*/\1/p'), on the same machine, without persistence |
TEXT

	section "Codec" ./pkg/wire 'DecodeRequest|AppendEventBody|Frame|DecodeServer' <<-'TEXT'
		What a gateway does with a request (`DecodeRequest`), with the event that comes of it (`AppendEventBody`, once a
		message, and `Frame`, once a message and node), and what a Go client does (`DecodeServer`).
	TEXT
	section "Local fan-out" ./pkg/session 'FanOut' <<-'TEXT'
		One event of a room to 1,000 sessions of one gateway: from the inbox over the table of peers and every session's
		queue and flusher to a connection that throws it away. The frame is built once.
	TEXT
	section "Script round trip" ./pkg/store 'Send|JoinLeave' <<-'TEXT'
		A call of the store on a real Redis: check, next number, log and publish in one script. `waiting` are callers that
		wait for each reply before they send again; `ahead` is a caller that keeps 256 calls under way, as the sessions of
		a gateway do together: they share pipelines. `JoinLeave` is two calls,
		one right behind the other.
	TEXT
	section "Socket.IO" ./pkg/socketio 'Decode|Append|NewMessage' <<-'TEXT'
		The codecs of Engine.IO 3 and 4 and of Socket.IO, in both directions, by polling payload and by WebSocket message.
	TEXT
	section "Events of stock clients" ./pkg/socketio/classic 'Deliver' <<-'TEXT'
		One message of a room to 100 stock clients of a namespace: it is put into their form once.
	TEXT
	section "The hop between gateways" ./pkg/cluster 'SmallGet|Handshake' <<-'TEXT'
		A small GET of a polling session at the gateway that has it, and by way of another one.
	TEXT
	section "An idle session" ./services/gateway/app 'IdleSession' 'ns/op B/op allocs/op' <<-'TEXT'
		What a session that has said hello and has a seat costs its gateway while nothing happens: heap and stacks in
		bytes, without the kernel's socket buffers. `Native` speaks the native protocol; `SocketIO3` and `SocketIO4` are
		stock clients' sessions on a WebSocket. `NoSeat` has said hello and is in no room; `Parked` are those that
		[have been silent for a while](operations.md#parked-sessions).
	TEXT
	section "Messages of sessions that may be parked" ./pkg/ws 'Echo' 'B/op allocs/op' <<-'TEXT'
		A message over the loopback interface and its answer, the client's end included: of a connection that is never parked
		(`Plain`), of one that may be but is not (`Parking`), and of one that is parked before each message (`Parked`).
	TEXT
	section "An idle session of Engine.IO" ./pkg/socketio 'IdleSession' 'ns/op B/op allocs/op' <<-'TEXT'
		The same without rooms, and on polling: with a GET that waits, where most is the connection of `net/http`, and between
		two GETs.
	TEXT
	cat scripts/benchmarks-steps.txt
} >"$fresh"
chmod 644 "$fresh"
mv "$fresh" "$page"
echo "bench-docs: $page is written" >&2
