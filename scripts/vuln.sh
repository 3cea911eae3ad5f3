#!/usr/bin/env bash
# Looks for known weaknesses in what the programs call, their tests included: scripts/vuln.sh DATABASE. The database is an URL,
# a folder in the layout of https://vuln.go.dev, or such a folder as a .tar.gz, for machines that reach no other. Ends with 0
# when none is found, and with 3 when some are.
set -euo pipefail
database=$1
cd "$(dirname "$0")/.."
readonly govulncheck=golang.org/x/vuln/cmd/govulncheck@v1.9.0

die() { printf 'vuln: %s\n' "$*" >&2; exit 1; }

case "$database" in
    http://* | https://* | file://*) ;;
    *)
        if [ -f "$database" ]; then
            unpacked=$(mktemp -d)
            trap 'rm -rf "$unpacked"' EXIT
            tar -xzf "$database" -C "$unpacked" || die "$database is no .tar.gz"
            database=$unpacked
        fi
        # Without this, a folder that holds something else would be a database that knows of nothing.
        [ -f "$database/index/modules.json" ] || die "$database holds no database: there is no index/modules.json"
        database=file://$(cd "$database" && pwd)
        ;;
esac

# The version of the tool is its own; go run with a version does not touch go.mod. go run hides the exit code.
bin=$(mktemp -d)
trap 'rm -rf "$bin" "${unpacked:-}"' EXIT
GOBIN=$bin go install "$govulncheck"
"$bin/govulncheck" -db "$database" -test ./...
