package webhook

import "slices"

// Endpoint is where an app wants to be told of what happens in its rooms.
type Endpoint struct {
	// ID names the endpoint among those of the app: printable ASCII without spaces, 128 bytes at most.
	ID string
	// URL is where events are posted to.
	URL string
	// Keys sign the posts: each has a signature by each of them.
	Keys [][]byte
	// Wants tells which kinds of events are wanted, of which rooms; nil: all.
	Wants func(kind, room string) bool
	// Fingerprint is another one when anything of the endpoint's configuration is: an endpoint that has said that it is gone is
	// let be as long as it is the same.
	Fingerprint string
}

// Source gives an app's endpoints as they are configured now. It must not block.
type Source func(app string) []Endpoint

// find gives one of the endpoints of an app, and false if there is none of that id.
func (s Source) find(app, id string) (Endpoint, bool) {
	endpoints := s(app)
	i := slices.IndexFunc(endpoints, func(e Endpoint) bool { return e.ID == id })
	if i < 0 {
		return Endpoint{}, false
	}
	return endpoints[i], true
}

func (e *Endpoint) wants(kind, room string) bool { return e.Wants == nil || e.Wants(kind, room) }
