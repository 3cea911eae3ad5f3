#!/usr/bin/env bash
# Installs what `make test` needs and the machine lacks: Debian packages through apt-get, npm packages
# from the lock files. With the word networks, what `make test-nat` needs, too, and with the word pictures what
# `make pictures` does. Says what it will install
# before it does, and does nothing when nothing lacks.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf 'deps: %s\n' "$*"; }
die() { printf 'deps: %s\n' "$*" >&2; exit 1; }
has() { command -v "$1" >/dev/null 2>&1; }

# Tools that come with the developer's machine: installing another version behind their back would
# surprise, so these are only asked for.
for tool in go node npm; do
    has "$tool" || die "$tool is missing: install it first (Go as go.mod says, Node.js 20 or newer with npm)"
done
node_major=$(node -p 'process.versions.node.split(".")[0]')
[ "$node_major" -ge 20 ] || die "Node.js $node_major is too old: 20 or newer is needed"

debian_packages() {
    local packages=()
    has redis-server || packages+=(redis-server)
    # With promtool. Tests run it by themselves, for a minute each.
    has prometheus || packages+=(prometheus)
    has chromium || packages+=(chromium chromium-sandbox fonts-liberation)
    # The other TURN server, and its client, for tests of the relay.
    has turnserver && has turnutils_uclient || packages+=(coturn)
    # The race detector needs cgo, and that a C compiler with its headers.
    has cc || packages+=(gcc libc6-dev)
    # A page has a Chinese word on it.
    if [ "${1:-}" = pictures ] && ! fc-list :lang=zh-cn 2>/dev/null | grep -q .; then
        packages+=(fonts-wqy-microhei fontconfig)
    fi
    # Without root that test is skipped, and says so.
    if [ "${1:-}" = networks ] && [ "$(id -u)" -eq 0 ]; then
        has ip || packages+=(iproute2)
        has nft || packages+=(nftables)
        has openssl || packages+=(openssl)
        has curl || packages+=(curl)
    fi
    [ ${#packages[@]} -gt 0 ] || return 0

    has apt-get || die "missing, and there is no apt-get here to install them: ${packages[*]} (or what holds them on this system)"
    local root=()
    if [ "$(id -u)" -ne 0 ]; then
        has sudo || die "missing: ${packages[*]}; run this as root, or install sudo"
        root=(sudo)
    fi
    say "installing Debian packages: ${packages[*]}"
    ${root[@]+"${root[@]}"} apt-get update -q
    ${root[@]+"${root[@]}"} env DEBIAN_FRONTEND=noninteractive \
        apt-get install -q -y --no-install-recommends "${packages[@]}"
    # The packages start a Prometheus and a TURN server that nobody here asked for, on the ports of our own.
    local service
    for service in prometheus coturn; do
        if [[ " ${packages[*]} " == *" $service "* ]] && [ -d /run/systemd/system ]; then
            ${root[@]+"${root[@]}"} systemctl disable --quiet --now "$service"
        fi
    done
}

# npm_packages installs a folder's packages unless those of this very lock file are there already: a
# copy of the lock file inside node_modules tells.
npm_packages() {
    local dir=$1 stamp=$1/node_modules/.installed-lock.json
    [ -f "$dir/package-lock.json" ] || return 0
    cmp -s "$dir/package-lock.json" "$stamp" && return 0
    say "installing npm packages: $dir"
    npm ci --prefix "$dir" --no-audit --no-fund
    mkdir -p "$dir/node_modules"
    cp "$dir/package-lock.json" "$stamp"
}

debian_packages "$@"
for dir in sdk/js web/third_party test/browser test/socketio site; do
    npm_packages "$dir"
done
