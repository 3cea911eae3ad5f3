package app

import (
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	sdkjs "github.com/signalbox-rtc/signalbox/sdk/js"
	"github.com/signalbox-rtc/signalbox/web"
)

func TestClientFiles(t *testing.T) {
	for _, endpoint := range []string{"/socket.io/", "/socket.io", "/signals/v2/"} {
		t.Run(endpoint, func(t *testing.T) {
			handlers, err := clientFiles(endpoint)
			require.NoError(t, err)
			require.Len(t, handlers, 5)
			mux := http.NewServeMux()
			mux.HandleFunc("/", nothingHere)
			mux.HandleFunc(endpoint, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
			for pattern, handler := range handlers {
				mux.Handle(pattern, handler)
			}
			base := "/socket.io/"
			if endpoint == "/signals/v2/" {
				base = endpoint
			}
			contents := map[string][]byte{}
			contents[helperModule], contents[helperScript], err = sdkjs.SocketIOHelper()
			require.NoError(t, err)
			for _, name := range clientFileNames {
				contents[name], err = fs.ReadFile(web.Files, web.SocketIOClient+"/"+name)
				require.NoError(t, err)
				require.Contains(t, string(contents[name]), "Socket.IO v4.")
			}
			require.Contains(t, string(contents[helperModule]), "\nexport function withSignalbox(socket)")
			require.NotContains(t, string(contents[helperScript]), "\nexport ")
			for name, content := range contents {
				request := func(method, tag string) *http.Response {
					r := httptest.NewRequest(method, base+name+"?t=0", http.NoBody)
					r.Header.Set("Origin", "https://pages.example")
					if tag != "" {
						r.Header.Set("If-None-Match", tag)
					}
					w := httptest.NewRecorder()
					mux.ServeHTTP(w, r)
					return w.Result()
				}

				response := request(http.MethodGet, "")
				require.Equal(t, http.StatusOK, response.StatusCode, name)
				require.Equal(t, content, readAll(t, response), name)
				header := response.Header
				require.Equal(t, "text/javascript; charset=utf-8", header.Get("Content-Type"))
				require.Equal(t, "nosniff", header.Get("X-Content-Type-Options"))
				require.Equal(t, "no-cache", header.Get("Cache-Control"))
				// Without these, a page of another origin is refused the script, or the import of it.
				require.Equal(t, "cross-origin", header.Get("Cross-Origin-Resource-Policy"))
				require.Equal(t, "*", header.Get("Access-Control-Allow-Origin"))
				require.Empty(t, header.Get("Access-Control-Allow-Credentials"))

				tag := header.Get("ETag")
				require.NotEmpty(t, tag)
				response = request(http.MethodGet, tag)
				require.Equal(t, http.StatusNotModified, response.StatusCode)
				require.Equal(t, "cross-origin", response.Header.Get("Cross-Origin-Resource-Policy"))
				require.Equal(t, http.StatusOK, request(http.MethodGet, `"another"`).StatusCode)
				response = request(http.MethodHead, "")
				require.Equal(t, http.StatusOK, response.StatusCode)
				require.Empty(t, readAll(t, response))
				require.Equal(t, http.StatusMethodNotAllowed, request(http.MethodPost, "").StatusCode)
			}
		})
	}
}

func readAll(t *testing.T, response *http.Response) []byte {
	t.Helper()
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return content
}
