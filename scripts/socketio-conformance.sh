#!/usr/bin/env bash
# Runs the official test suites of Engine.IO 3 and 4 and of Socket.IO 5 against pkg/socketio:
#
#   scripts/socketio-conformance.sh CHECKOUT
#
# CHECKOUT is a checkout of the repository socketio/socket.io. The suites expect port 3000 of localhost to be free.
set -euo pipefail

[ $# -eq 1 ] || { sed -n '2,6s/^# \{0,1\}//p' "$0" >&2; exit 2; }
docs=$1/docs
[ -d "$docs/socket.io-protocol" ] || { echo "$1 is no checkout of socketio/socket.io" >&2; exit 2; }
docs=$(cd "$docs" && pwd)
cd "$(dirname "$0")/.."

dir=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$dir"' EXIT
go build -o "$dir/conformance" ./pkg/socketio/internal/conformance
"$dir/conformance" -addr localhost:3000 >"$dir/log" 2>&1 &
server=$!
for _ in $(seq 100); do
    grep -q '^listening' "$dir/log" && break
    kill -0 "$server" 2>/dev/null || { cat "$dir/log" >&2; server=; exit 1; }
    sleep 0.1
done

# suite FOLDER RETRIES: one test of the first suite waits for the handshake only when the WebSocket is open, and misses
# it whenever both come at once, as they do from a server on the same machine. It is therefore let try again.
suite() {
    echo "== $1"
    cp -r "$docs/$1" "$dir/suite" # node_modules do not go into the checkout
    (cd "$dir/suite" && npm ci --silent --no-audit --no-fund && npx mocha --exit --retries "$2" test-suite.js)
    rm -rf "$dir/suite"
}
suite engine.io-protocol/v3-test-suite 10
suite engine.io-protocol/v4-test-suite 0
suite socket.io-protocol/v5-test-suite 0
