package app_test

import (
	"compress/gzip"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	sdkjs "github.com/signalbox-rtc/signalbox/sdk/js"
	"github.com/signalbox-rtc/signalbox/services/gateway/app"
	"github.com/signalbox-rtc/signalbox/web"
)

// pageTypes are what browsers must be told, since they are told not to guess.
var pageTypes = map[string]string{
	".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8",
	".svg": "image/svg+xml", "": "text/plain; charset=utf-8",
}

// reference finds what a page or a script asks for: src and href of elements, imports, and files that a script loads.
var reference = regexp.MustCompile(`(?:\b(?:src|href)=|\bfrom |\bimport |\bfile: )["']([^"'\s]+\.(?:js|css|svg|html)|\./)["'#]`)

func TestPages(t *testing.T) {
	redis := singleRedis(t)
	g := startGateways(t, 1, redis, func(c *app.Config) { c.Pages.Enabled = true })[0]
	base := "http://" + g.PublicAddr().String()

	paths := map[string]string{"/": ""}
	for prefix, tree := range map[string]fs.FS{"/": web.Files, "/sdk/": must(fs.Sub(sdkjs.Files, "src"))} {
		require.NoError(t, fs.WalkDir(tree, ".", func(name string, entry fs.DirEntry, err error) error {
			if err == nil && !entry.IsDir() {
				paths[prefix+name] = string(must(fs.ReadFile(tree, name)))
			}
			return err
		}))
	}
	paths["/"] = paths["/index.html"]
	for _, wanted := range []string{"/index.html", "/call.html", "/meet.html", "/chat.html", "/stock.html", "/sdk/index.js", "/" + web.SocketIOClient + "/LICENSE"} {
		require.Contains(t, paths, wanted)
	}
	for name, content := range paths {
		t.Run(name, func(t *testing.T) {
			response, text := g.fetch(t, http.MethodGet, base+name, nil)
			require.Equal(t, http.StatusOK, response.StatusCode)
			require.Equal(t, content, text)
			want := pageTypes[path.Ext(name)]
			if name == "/" {
				want = pageTypes[".html"]
			}
			require.Equal(t, want, response.Header.Get("Content-Type"))
			for header, value := range web.SecurityHeaders {
				require.Equal(t, value, response.Header.Get(header), header)
			}
			require.Equal(t, "no-cache", response.Header.Get("Cache-Control"))

			tag := response.Header.Get("ETag")
			require.NotEmpty(t, tag)
			response, text = g.fetch(t, http.MethodGet, base+name, http.Header{"If-None-Match": {tag}})
			require.Equal(t, http.StatusNotModified, response.StatusCode)
			require.Empty(t, text)
			response, _ = g.fetch(t, http.MethodGet, base+name, http.Header{"If-None-Match": {`"another"`}})
			require.Equal(t, http.StatusOK, response.StatusCode)
			response, text = g.fetch(t, http.MethodHead, base+name, nil)
			require.Equal(t, http.StatusOK, response.StatusCode)
			require.Empty(t, text)
			response, _ = g.fetch(t, http.MethodPost, base+name, nil)
			require.Equal(t, http.StatusMethodNotAllowed, response.StatusCode)

			if strings.Contains(name, "/third_party/") {
				return // it holds whole modules as one file, and their names as words
			}
			for _, found := range reference.FindAllStringSubmatch(content, -1) {
				address := must(must(url.Parse(name)).Parse(found[1])).Path
				require.Contains(t, paths, address, "%s asks for %s", name, found[1])
			}
		})
	}
	t.Run("nothing else", func(t *testing.T) {
		for _, name := range []string{"/embed.go", "/third_party/package.json", "/third_party/SHA256SUMS", "/sdk/", "/sdk/package.json", "/call", "/..%2fgo.mod", "/metrics", "/livez", "/debug/pprof/"} {
			response, text := g.fetch(t, http.MethodGet, base+name, nil)
			require.Equal(t, http.StatusNotFound, response.StatusCode, name)
			require.Contains(t, text, "not_found")
		}
	})
	t.Run("off unless asked for", func(t *testing.T) {
		require.False(t, app.Default().Pages.Enabled)
		plain := startGateways(t, 1, redis)[0]
		for name := range paths {
			response, _ := plain.fetch(t, http.MethodGet, "http://"+plain.PublicAddr().String()+name, nil)
			require.Equal(t, http.StatusNotFound, response.StatusCode, name)
		}
		connect(t, plain, "ada").mustJoin(t, "r")
	})
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// What compresses well is sent so to those who take it, under a tag of its own.
func TestPagesCompressed(t *testing.T) {
	redis := singleRedis(t)
	g := startGateways(t, 1, redis, func(c *app.Config) { c.Pages.Enabled = true })[0]
	address := "http://" + g.PublicAddr().String() + "/meet.css"
	plain, content := g.fetch(t, http.MethodGet, address, http.Header{"Accept-Encoding": {"identity"}})
	require.Equal(t, "Accept-Encoding", plain.Header.Get("Vary"))
	for accepts, zipped := range map[string]bool{
		"gzip": true, "deflate, gzip;q=0.5, br": true, "GZIP": true, "br": false, "gzip;q=0": false, "gzip; q=0.000": false, "": false,
	} {
		response, body := g.fetch(t, http.MethodGet, address, http.Header{"Accept-Encoding": {accepts}})
		require.Equal(t, http.StatusOK, response.StatusCode)
		if !zipped {
			require.Empty(t, response.Header.Get("Content-Encoding"), accepts)
			require.Equal(t, content, body, accepts)
			continue
		}
		require.Equal(t, "gzip", response.Header.Get("Content-Encoding"), accepts)
		require.Equal(t, "text/css; charset=utf-8", response.Header.Get("Content-Type"))
		require.Less(t, len(body), len(content)/2)
		unzipped := must(io.ReadAll(must(gzip.NewReader(strings.NewReader(body)))))
		require.Equal(t, content, string(unzipped))
		tag := response.Header.Get("ETag")
		require.NotEqual(t, plain.Header.Get("ETag"), tag)
		response, _ = g.fetch(t, http.MethodGet, address, http.Header{"Accept-Encoding": {accepts}, "If-None-Match": {tag}})
		require.Equal(t, http.StatusNotModified, response.StatusCode)
	}
}
