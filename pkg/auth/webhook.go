package auth

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Webhook is where an app wants to be told what happens in its rooms.
type Webhook struct {
	// ID names the endpoint among those of the app: 1 to 128 printable ASCII characters without spaces.
	ID string `koanf:"id" yaml:"id" json:"id"`
	// URL is where events are posted to: https, or http where the deployment allows it.
	URL string `koanf:"url" yaml:"url" json:"url"`
	// Secrets sign the posts, as Standard Webhooks says: whsec_ and the base64 of 24 to 64 random bytes. Each post has a
	// signature by each of them: two while one takes the place of the other.
	Secrets []Secret `koanf:"secrets" yaml:"secrets" json:"secrets"`
	// Events are the kinds that are wanted: room.created, room.closed, room.full, peer.joined, peer.left, call.outcome;
	// all if empty.
	Events []string `koanf:"events" yaml:"events,omitempty" json:"events,omitempty"`
	// Rooms are those whose events are wanted: a name, or a prefix followed by one '*'; all if empty.
	Rooms string `koanf:"rooms" yaml:"rooms,omitempty" json:"rooms,omitempty"`
}

// WebhookEvents lists the kinds of events that a [Webhook] may want.
var WebhookEvents = []string{"room.created", "room.closed", "room.full", "peer.joined", "peer.left", "call.outcome"}

const (
	// maxWebhooks is how many endpoints an app may have.
	maxWebhooks = 16
	// maxURL is the greatest length of a URL, in bytes.
	maxURL = 2048

	minWebhookSecret, maxWebhookSecret = 24, 64 // bytes, as Standard Webhooks says
	maxWebhookSecrets                  = 4
	webhookSecretPrefix                = "whsec_"
)

// Wants reports whether an event of a kind in a room is to be posted.
func (w *Webhook) Wants(event, room string) bool {
	return (len(w.Events) == 0 || slices.Contains(w.Events, event)) && (w.Rooms == "" || matchPattern(w.Rooms, room))
}

// WantsRoom reports whether any event in a room is to be posted.
func (w *Webhook) WantsRoom(room string) bool { return w.Rooms == "" || matchPattern(w.Rooms, room) }

// Fingerprint is another one when anything of the endpoint is. It tells nothing of the secrets.
func (w *Webhook) Fingerprint() string {
	hash := sha256.New()
	for _, text := range slices.Concat([]string{w.ID, w.URL, w.Rooms, strconv.Itoa(len(w.Events))}, w.Events) {
		_, _ = fmt.Fprintf(hash, "%d %s", len(text), text)
	}
	for _, secret := range w.Secrets {
		_, _ = fmt.Fprintf(hash, "%d %s", len(secret), string(secret))
	}
	return hex.EncodeToString(hash.Sum(nil)[:16])
}

// Keys are the bytes of the secrets.
func (w *Webhook) Keys() ([][]byte, error) {
	keys := make([][]byte, len(w.Secrets))
	for i, secret := range w.Secrets {
		var err error
		if keys[i], err = secret.webhookKey(); err != nil {
			return nil, err
		}
	}
	return keys, nil
}

func (s Secret) webhookKey() ([]byte, error) {
	text, ok := strings.CutPrefix(string(s), webhookSecretPrefix)
	key, err := base64.StdEncoding.DecodeString(text)
	if !ok || err != nil || len(key) < minWebhookSecret || len(key) > maxWebhookSecret {
		return nil, fmt.Errorf("a secret is not %s and the base64 of %d to %d bytes", webhookSecretPrefix, minWebhookSecret, maxWebhookSecret)
	}
	return key, nil
}

func (w *Webhook) validate() error {
	if !validKeyID(w.ID) {
		return fmt.Errorf("webhook %q: an id is 1 to %d printable ASCII characters without spaces", w.ID, maxKeyID)
	}
	var errs []error
	fail := func(err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("webhook %q: %w", w.ID, err))
		}
	}
	fail(validateURL(w.URL))
	if len(w.Secrets) == 0 || len(w.Secrets) > maxWebhookSecrets {
		fail(fmt.Errorf("it has %d secrets, not 1 to %d", len(w.Secrets), maxWebhookSecrets))
	}
	_, err := w.Keys()
	fail(err)
	for _, event := range w.Events {
		if !slices.Contains(WebhookEvents, event) {
			fail(fmt.Errorf("event %q is not one of %s", event, strings.Join(WebhookEvents, ", ")))
		}
	}
	if w.Rooms != "" {
		fail(validatePattern(w.Rooms))
	}
	return errors.Join(errs...)
}

// validateURL takes absolute http and https URLs with a host. What a request to them may reach is for who dials to say.
func validateURL(text string) error {
	form := errors.New("a url is https://host/path, without a user and a fragment")
	if len(text) > maxURL {
		return form
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Hostname() == "" || u.User != nil || u.Fragment != "" || u.Scheme != "https" && u.Scheme != "http" {
		return form
	}
	return nil
}
