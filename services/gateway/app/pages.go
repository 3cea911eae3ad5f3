package app

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"net/http"
	"path"
	"strings"
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
	zipped  []byte // with gzip; nil where that makes it no smaller
	etag    string
	header  map[string]string
}

// newFile makes a file that is served with these header lines beside its own.
func newFile(name string, content []byte, header map[string]string) *file {
	sum := sha256.Sum256(content)
	return &file{name: name, content: content, zipped: zip(content), etag: hex.EncodeToString(sum[:8]), header: header}
}

// zip gives the content with gzip, once for all who ask for it; nil where that makes it no smaller.
func zip(content []byte) []byte {
	var zipped bytes.Buffer
	writer, err := gzip.NewWriterLevel(&zipped, gzip.BestCompression)
	if err != nil { // the level is one that there is
		return nil
	}
	if _, err := writer.Write(content); err != nil || writer.Close() != nil || zipped.Len() >= len(content) {
		return nil // into memory it does not fail
	}
	return zipped.Bytes()
}

// takesGzip reports whether a request says that its answer may be compressed so (RFC 9110, section 12.5.3).
func takesGzip(r *http.Request) bool {
	for encoding := range strings.SplitSeq(r.Header.Get("Accept-Encoding"), ",") {
		name, weight, _ := strings.Cut(strings.TrimSpace(encoding), ";")
		if strings.EqualFold(strings.TrimSpace(name), "gzip") {
			weight = strings.ReplaceAll(weight, " ", "")
			return strings.TrimRight(weight, "0.") != "q="
		}
	}
	return false
}

// ServeHTTP implements http.Handler.
func (f *file) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	for name, value := range f.header {
		header.Set(name, value)
	}
	header.Set("Cache-Control", "no-cache")
	header.Add("Vary", "Accept-Encoding")
	content, etag := f.content, f.etag
	if f.zipped != nil && takesGzip(r) {
		content, etag = f.zipped, f.etag+"-gzip"
		if path.Ext(f.name) == "" { // its type is guessed by what it holds
			header.Set("Content-Type", http.DetectContentType(f.content))
		}
		header.Set("Content-Encoding", "gzip")
	}
	header.Set("ETag", `"`+etag+`"`)
	http.ServeContent(w, r, f.name, time.Time{}, bytes.NewReader(content))
}
