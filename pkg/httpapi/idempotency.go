package httpapi

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"strings"
	"time"

	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// idempotencyHeader names a request, so that it takes effect once, however often it is sent (draft-ietf-httpapi-idempotency-key-header).
const idempotencyHeader = "Idempotency-Key"

// replayedHeader marks an answer that was given before.
const replayedHeader = "Idempotent-Replayed"

// maxIdempotencyKey is the greatest length of such a name, in bytes.
const maxIdempotencyKey = 255

// answer is what is kept of a request, sealed.
type answer struct {
	// Request is the SHA-256 of what was asked: another request of the same name is an error of its sender's.
	Request []byte
	// Done is false while the request is under way.
	Done   bool        `json:",omitempty"`
	Status int         `json:",omitempty"`
	Header http.Header `json:",omitempty"`
	Body   []byte      `json:",omitempty"`
}

// once carries a request out unless one of the same name was: then it gives that one's answer.
func (a *API) once(op *operation, c *call, r *http.Request, carryOut func()) {
	key := r.Header.Get(idempotencyHeader)
	if len(r.Header[idempotencyHeader]) > 1 || len(key) > maxIdempotencyKey ||
		strings.ContainsFunc(key, func(r rune) bool { return r < ' ' || r > '~' }) {
		c.writer.problem(newProblem(wire.CodeBadRequest, "an Idempotency-Key is one header of 1 to 255 printable ASCII characters"))
		return
	}
	s, err := newSeal(a.opts.AnswerKey, c.principal.id, key)
	if err != nil {
		a.fault(c, err)
		return
	}
	request := fingerprint(r, c.body)
	lease := 2 * a.opts.Timeout // a request that takes longer has been answered, or its node is dead
	found, err := a.opts.Store.BeginAnswer(r.Context(), s.name, s.close(&answer{Request: request}), lease)
	switch {
	case err != nil:
		a.opts.Logger.Warn("a request's name cannot be noted", "error", err)
		c.writer.problem(newProblem(wire.CodeUnavailable, "the cluster's store did not answer").after(time.Second))
	case found != nil:
		a.repeat(c, s, found, request)
	default:
		a.metrics.answers.WithLabelValues(answerNew).Inc()
		c.writer.held = true
		carryOut()
		a.keep(op, c, s, request) //nolint:contextcheck // what is kept outlives the request
	}
}

// repeat answers as was answered before, if it was.
func (a *API) repeat(c *call, s *seal, found, request []byte) {
	before, err := s.open(found)
	switch {
	case err != nil: // the cluster has another key than then
		c.writer.problem(newProblem(wire.CodeOutcomeUnknown, "the answer to the request of this Idempotency-Key cannot be read any more"))
	case !bytes.Equal(before.Request, request):
		a.metrics.answers.WithLabelValues(answerMismatch).Inc()
		c.writer.problem(newProblem(CodeIdempotencyMismatch, "this Idempotency-Key was sent with another method, path, query or body"))
	case !before.Done:
		a.metrics.answers.WithLabelValues(answerBusy).Inc()
		c.writer.problem(newProblem(CodeInProgress, "the first request of this Idempotency-Key is still being carried out").after(time.Second))
	default:
		a.metrics.answers.WithLabelValues(answerRepeated).Inc()
		header := c.writer.Header()
		maps.Copy(header, before.Header)
		header.Set(replayedHeader, "true")
		c.writer.WriteHeader(before.Status)
		_, _ = c.writer.Write(before.Body)
	}
}

// keep keeps the answer that is held, if a repetition is to get it. What a quota has refused may be carried out later, and after a failure
// of the store the request may be carried out again; one that is not to take effect twice is answered from then on that this cannot be told.
func (a *API) keep(op *operation, c *call, s *seal, request []byte) {
	ctx, cancel := context.WithTimeout(context.Background(), a.opts.Timeout) // the caller may have gone
	defer cancel()
	w := c.writer
	kept := &answer{Request: request, Done: true, Status: w.status, Header: w.Header().Clone(), Body: bytes.Clone(w.body.Bytes())}
	over := w.status == http.StatusTooManyRequests
	if w.status >= http.StatusInternalServerError || w.status == 0 || over {
		if !op.once || over {
			if err := a.opts.Store.DropAnswer(ctx, s.name); err != nil {
				a.opts.Logger.Warn("a request's name cannot be given free", "error", err)
			}
			return
		}
		p := newProblem(wire.CodeOutcomeUnknown, "the first request of this Idempotency-Key failed, and may have taken effect")
		kept.Status, kept.Header = p.Status, http.Header{"Content-Type": {problemType}}
		kept.Body, _ = json.Marshal(p) // it always encodes
	}
	if err := a.opts.Store.PutAnswer(ctx, s.name, s.close(kept), a.opts.AnswerTTL); err != nil {
		a.opts.Logger.Warn("an answer cannot be kept", "error", err)
	}
}

// fingerprint tells requests apart.
func fingerprint(r *http.Request, body []byte) []byte {
	h := sha256.New()
	for _, part := range []string{r.Method, r.URL.EscapedPath(), r.URL.RawQuery} {
		h.Write([]byte(part))
		h.Write([]byte{0})
	}
	h.Write(body)
	return h.Sum(nil)
}

// seal keeps an answer from those who can read the store: it may hold a secret that is shown once. Its key is made of the
// cluster's and of the request's name, which the store does not have.
type seal struct {
	name string // of the request, as the store knows it
	aead cipher.AEAD
}

// minAnswerKey is the least length of the cluster's key, in bytes.
const minAnswerKey = 16

func newSeal(secret []byte, principal, key string) (*seal, error) {
	id := principal + "\x00" + key
	sum := sha256.Sum256([]byte(id))
	sealing, err := hkdf.Key(sha256.New, secret, nil, "signalbox api answer\x00"+id, sha256.Size)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(sealing)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, err
	}
	return &seal{name: hex.EncodeToString(sum[:]), aead: aead}, nil
}

func (s *seal) close(a *answer) []byte {
	text, _ := json.Marshal(a) // it always encodes
	return s.aead.Seal(nil, nil, text, nil)
}

var errSeal = errors.New("httpapi: a kept answer cannot be read")

func (s *seal) open(sealed []byte) (*answer, error) {
	text, err := s.aead.Open(nil, nil, sealed, nil)
	if err != nil {
		return nil, errSeal
	}
	var a answer
	if json.Unmarshal(text, &a) != nil {
		return nil, errSeal
	}
	return &a, nil
}

// randomText is what nobody can guess: 260 bits in letters and digits.
func randomText() string { return rand.Text() + rand.Text() }
