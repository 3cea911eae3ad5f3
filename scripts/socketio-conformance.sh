#!/usr/bin/env bash
# Runs the official Engine.IO and Socket.IO test suites against pkg/socketio, from a checkout of the repository
# socketio/socket.io that is given by path. The suites have their server's address in their text, so they run from a
# copy in a temporary folder; nothing of them is kept.
#
#   scripts/socketio-conformance.sh ~/src/socket.io
set -euo pipefail
[ $# -eq 1 ] && [ -d "$1/docs/engine.io-protocol" ] || { echo "usage: $0 CHECKOUT-OF-socketio/socket.io" >&2; exit 2; }
checkout=$(cd "$1" && pwd)
cd "$(dirname "$0")/.."

work=$(mktemp -d)
server=
trap 'if [ -n "$server" ]; then kill "$server"; fi; rm -rf "$work"' EXIT
go build -o "$work/conformance" ./pkg/socketio/internal/conformance
port=${PORT:-3000}
"$work/conformance" -addr "localhost:$port" &
server=$!

failed=0
for suite in engine.io-protocol/v3-test-suite engine.io-protocol/v4-test-suite socket.io-protocol/v5-test-suite; do
    echo "== $suite"
    mkdir -p "$work/$suite"
    cp -R "$checkout/docs/$suite/." "$work/$suite"
    sed -i "s/localhost:3000/localhost:$port/" "$work/$suite/test-suite.js"
    (cd "$work/$suite" && npm install --silent --no-audit --no-fund && npx mocha --exit test-suite.js) || failed=1
done
exit $failed
