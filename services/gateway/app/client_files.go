package app

import (
	"io/fs"
	"net/http"
	"strings"

	sdkjs "github.com/signalbox-rtc/signalbox/sdk/js"
	"github.com/signalbox-rtc/signalbox/web"
)

// clientFileNames are the builds of the stock client that Node servers serve beside their endpoint; tutorials load the
// first one from there.
var clientFileNames = []string{"socket.io.js", "socket.io.min.js", "socket.io.esm.min.js"}

// What helps pages on the stock client, beside it: as a script and as a module.
const (
	helperScript = "signalbox.js"
	helperModule = "signalbox.esm.js"
)

// clientFileHeader lets pages of other sites load the client, by a script element as well as by an import, which asks
// for CORS. There is nothing in it that is not public.
var clientFileHeader = map[string]string{
	"X-Content-Type-Options":       web.ContentTypeOptions,
	"Cross-Origin-Resource-Policy": "cross-origin",
	"Access-Control-Allow-Origin":  "*",
}

// clientFiles gives the stock socket.io client's builds, and what helps pages on it, as they are to be served below the Socket.IO endpoint, whether
// or not the pages are: handlers by pattern of http.ServeMux. Such a pattern is more specific than the endpoint's own.
func clientFiles(endpoint string) (map[string]http.Handler, error) {
	module, script, err := sdkjs.SocketIOHelper()
	if err != nil {
		return nil, err
	}
	contents := map[string][]byte{helperModule: module, helperScript: script}
	for _, name := range clientFileNames {
		contents[name], err = fs.ReadFile(web.Files, web.SocketIOClient+"/"+name)
		if err != nil {
			return nil, err
		}
	}
	handlers := map[string]http.Handler{}
	for name, content := range contents {
		handlers[strings.TrimSuffix(endpoint, "/")+"/"+name] = readOnly(newFile(name, content, clientFileHeader))
	}
	return handlers, nil
}
