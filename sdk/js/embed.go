// Package sdkjs holds the JavaScript client as files to serve.
package sdkjs

import (
	"bytes"
	"embed"
	"errors"
)

// Files holds the client's ES modules under src/. A page imports src/index.js; the others are found from there by
// their relative names, so a server mounts the directory as it is.
//
//go:embed src/*.js
var Files embed.FS

// SocketIOHelper gives what helps a page on a stock socket.io client (src/socketio.js), which needs no other file: as the module that it is, and as a
// script for older pages, which sets the global withSignalbox.
func SocketIOHelper() (module, script []byte, err error) {
	module, err = Files.ReadFile("src/socketio.js")
	if err != nil {
		return nil, nil, err
	}
	before, after, found := bytes.Cut(module, []byte("\nexport "))
	if !found || bytes.Contains(after, []byte("\nexport ")) {
		return nil, nil, errors.New("sdkjs: src/socketio.js has to export one function")
	}
	script = bytes.Join([][]byte{
		[]byte("(() => {\n'use strict';\n"), before, []byte("\n"), after, []byte("globalThis.withSignalbox = withSignalbox;\n})();\n"),
	}, nil)
	return module, script, nil
}
