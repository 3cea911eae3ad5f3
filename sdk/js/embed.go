// Package sdkjs holds the JavaScript client as files to serve.
package sdkjs

import "embed"

// Files holds the client's ES modules under src/. A page imports src/index.js; the others are found from there by
// their relative names, so a server mounts the directory as it is.
//
//go:embed src/*.js
var Files embed.FS
