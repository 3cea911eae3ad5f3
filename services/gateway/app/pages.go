package app

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"net/http"
	"path"
	"time"

	sdkjs "github.com/signalbox-rtc/signalbox/sdk/js"
	"github.com/signalbox-rtc/signalbox/web"
)

// handlePages serves the embedded pages at /, and the JavaScript client, which they import, at /sdk/.
func handlePages(mux *http.ServeMux) error {
	client, err := fs.Sub(sdkjs.Files, "src")
	if err != nil {
		return err
	}
	if err := handleFiles(mux, "/sdk/", client); err != nil {
		return err
	}
	return handleFiles(mux, "/", web.Files)
}

// handleFiles serves every file of a tree under its name, and index.html also under its folder's.
func handleFiles(mux *http.ServeMux, prefix string, files fs.FS) error {
	return fs.WalkDir(files, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		page := newPage(path.Base(name), content)
		mux.Handle(prefix+name, readOnly(page))
		if path.Base(name) == "index.html" {
			mux.Handle(path.Join(prefix, path.Dir(name))+"{$}", readOnly(page))
		}
		return nil
	})
}

// page is one embedded file. Browsers ask each time whether it is still the same, so that an upgrade shows at once.
type page struct {
	name    string
	content []byte
	etag    string
}

func newPage(name string, content []byte) *page {
	sum := sha256.Sum256(content)
	return &page{name: name, content: content, etag: `"` + hex.EncodeToString(sum[:8]) + `"`}
}

// ServeHTTP implements http.Handler.
func (p *page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	for name, value := range web.SecurityHeaders {
		header.Set(name, value)
	}
	header.Set("Cache-Control", "no-cache")
	header.Set("ETag", p.etag)
	http.ServeContent(w, r, p.name, time.Time{}, bytes.NewReader(p.content))
}
