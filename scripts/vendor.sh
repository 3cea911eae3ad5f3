#!/usr/bin/env bash
# Copies what gateways serve of the stock socket.io clients, and of uPlot, out of their npm packages, which
# web/third_party/package-lock.json pins. The copies are committed, so that a build needs no npm.
#
# For another version: change web/third_party/package.json, run npm install there, run this, and name
# the version where the tests then ask for it.
set -euo pipefail
cd "$(dirname "$0")/../web/third_party"

# PACKAGE FILE...: the folder in node_modules, and its files below dist/. Their source maps stay behind:
# they are five times as large, and only whoever works on the client itself has a use for them.
served() {
    cat <<'END'
socket.io-client socket.io.js socket.io.min.js socket.io.esm.min.js
socket.io-client-2 socket.io.js
END
}

npm ci --no-audit --no-fund
cp package-lock.json node_modules/.installed-lock.json # what scripts/deps.sh looks for

rm -rf socket.io-client
served | while read -r package files; do
    version=$(node -p "require('./node_modules/$package/package.json').version")
    dir=socket.io-client/$version
    mkdir -p "$dir"
    for file in LICENSE $(printf 'dist/%s ' $files); do
        install -m 644 "node_modules/$package/$file" "$dir/"
    done
    echo "web/third_party/$dir: LICENSE $files"
done

# The charts of the console, of which there is one version.
rm -rf uplot
mkdir uplot
install -m 644 node_modules/uplot/dist/uPlot.iife.min.js uplot/uplot.js
install -m 644 node_modules/uplot/dist/uPlot.min.css uplot/uplot.css
install -m 644 node_modules/uplot/LICENSE uplot/LICENSE-uplot
echo "web/third_party/uplot: LICENSE-uplot uplot.js uplot.css"
find socket.io-client uplot -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum >SHA256SUMS
