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
		page := newFile(path.Base(name), content, web.SecurityHeaders)
		mux.Handle(prefix+name, readOnly(page))
		if path.Base(name) == "index.html" {
			mux.Handle(path.Join(prefix, path.Dir(name))+"{$}", readOnly(page))
		}
		return nil
	})
}

// file is one embedded file. Browsers ask each time whether it is still the same, so that an upgrade shows at once.
type file struct {
	name    string
	content []byte
	etag    string
	header  map[string]string
}

// newFile makes a file that is served with these header lines beside its own.
func newFile(name string, content []byte, header map[string]string) *file {
	sum := sha256.Sum256(content)
	return &file{name: name, content: content, etag: `"` + hex.EncodeToString(sum[:8]) + `"`, header: header}
}

// ServeHTTP implements http.Handler.
func (f *file) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	for name, value := range f.header {
		header.Set(name, value)
	}
	header.Set("Cache-Control", "no-cache")
	header.Set("ETag", f.etag)
	http.ServeContent(w, r, f.name, time.Time{}, bytes.NewReader(f.content))
}
