package webhook

import (
	"net/http"

	"github.com/signalbox-rtc/signalbox/pkg/store"
)

// WithTransport has posts go another way than by the network.
func (o Options) WithTransport(transport http.RoundTripper) Options {
	o.transport = transport
	return o
}

// NewEvent makes an event's public form.
func NewEvent(e *store.HookEvent) (Event, error) { return newEvent(e) }
