package app

import (
	"io/fs"
	"net/http"
	"strings"
	"time"

	"github.com/signalbox-rtc/signalbox/web"
)

// ConsoleConfig is about the console, which shows operators the cluster in a browser.
type ConsoleConfig struct {
	Enabled bool          `koanf:"enabled" default:"true" doc:"Serve the console at /console/ of api.address. Its pages hold nothing; what they show is asked of the server API, with a key."`
	Writes  bool          `koanf:"writes" default:"false" doc:"Let the console close rooms, kick members, and replay or forget dead letters, with a key that can write. Otherwise requests of the gateway's own pages to change something are refused, whatever the key can do."`
	Viewers int           `koanf:"viewers" default:"20" min:"1" max:"10000" doc:"Streams of the whole cluster that this gateway serves at a time, which is pages of the console. Further ones are answered with 429."`
	Period  time.Duration `koanf:"period" default:"2s" min:"100ms" max:"1m" doc:"How often the gateway looks at the cluster while there are viewers, once for all of them, and tells them. Redis and relays are looked at every fifth time."`
}

// consolePath is where the console is.
const consolePath = "/console/"

// withConsole serves the console beside the server API.
func withConsole(api http.Handler) (http.Handler, error) {
	mux := http.NewServeMux()
	for _, tree := range []struct {
		files fs.FS
		at    string
	}{{web.Console, "console"}, {web.Console, "third_party/uplot"}, {web.Shared, "."}} {
		if err := handleConsole(mux, tree.files, tree.at); err != nil {
			return nil, err
		}
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasPrefix(r.URL.Path, consolePath):
			mux.ServeHTTP(w, r)
		case r.URL.Path == strings.TrimSuffix(consolePath, "/"):
			http.Redirect(w, r, consolePath, http.StatusPermanentRedirect)
		default:
			api.ServeHTTP(w, r)
		}
	}), nil
}

// handleConsole serves the files of a tree by their names alone, and index.html also at the console's path.
func handleConsole(mux *http.ServeMux, files fs.FS, at string) error {
	return fs.WalkDir(files, at, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		page := readOnly(newFile(entry.Name(), content, web.ConsoleHeaders))
		mux.Handle(consolePath+entry.Name(), page)
		if entry.Name() == "index.html" {
			mux.Handle(consolePath+"{$}", page)
		}
		return nil
	})
}
