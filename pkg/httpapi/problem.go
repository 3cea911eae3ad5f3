package httpapi

import (
	"errors"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/signalbox-rtc/signalbox/pkg/store"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// The error codes of the server API beside those of the native protocol, which mean the same here.
const (
	// CodeNotFound: there is nothing at this path, or nothing that the key may know of. Both are answered alike.
	CodeNotFound wire.Code = "not_found"
	// CodeMethodNotAllowed: the path takes other methods, which the header Allow names.
	CodeMethodNotAllowed wire.Code = "method_not_allowed"
	// CodeUnsupportedMediaType: the body is not application/json.
	CodeUnsupportedMediaType wire.Code = "unsupported_media_type"
	// CodeInvalid: each value is of its form, and together they are not what can be: errors tells why.
	CodeInvalid wire.Code = "invalid"
	// CodePreconditionFailed: If-Match names another state of the room than the present one.
	CodePreconditionFailed wire.Code = "precondition_failed"
	// CodePreconditionRequired: a change needs If-Match, or the version that it is made for.
	CodePreconditionRequired wire.Code = "precondition_required"
	// CodeIdempotencyMismatch: the Idempotency-Key was used for another request.
	CodeIdempotencyMismatch wire.Code = "idempotency_mismatch"
	// CodeInProgress: a request with the same Idempotency-Key has not been answered yet.
	CodeInProgress wire.Code = "in_progress"
	// CodeTimeout: the request's body did not come in time.
	CodeTimeout wire.Code = "timeout"
)

// kind is what is the same of all problems with one code.
type kind struct {
	status    int
	title     string
	retryable bool
}

// kinds are all codes that the API answers with.
var kinds = map[wire.Code]kind{
	wire.CodeBadRequest:      {http.StatusBadRequest, "The request is not valid", false},
	wire.CodeTooLarge:        {http.StatusRequestEntityTooLarge, "A part of the request is too large", false},
	wire.CodeUnauthorized:    {http.StatusUnauthorized, "A valid key is needed", false},
	wire.CodeForbidden:       {http.StatusForbidden, "The key does not allow this", false},
	wire.CodeRoomFull:        {http.StatusConflict, "Every seat of the room is taken", false},
	wire.CodeRoomLocked:      {http.StatusConflict, "The room is locked", false},
	wire.CodeNotMember:       {http.StatusNotFound, "There is no such member", false},
	wire.CodePeerGone:        {http.StatusNotFound, "That peer is not in the room", false},
	wire.CodeConflict:        {http.StatusConflict, "It is there already, or has changed meanwhile", false},
	wire.CodeLimit:           {http.StatusUnprocessableEntity, "A count is over its limit", false},
	wire.CodeRateLimited:     {http.StatusTooManyRequests, "Too many requests in too short a time", true},
	wire.CodeOutcomeUnknown:  {http.StatusConflict, "The request may or may not have taken effect", false},
	wire.CodeUnavailable:     {http.StatusServiceUnavailable, "The cluster's store did not answer", true},
	wire.CodeInternal:        {http.StatusInternalServerError, "A fault of the server", true},
	CodeNotFound:             {http.StatusNotFound, "There is no such thing", false},
	CodeMethodNotAllowed:     {http.StatusMethodNotAllowed, "The path takes other methods", false},
	CodeUnsupportedMediaType: {http.StatusUnsupportedMediaType, "The body is not JSON", false},
	CodeInvalid:              {http.StatusUnprocessableEntity, "The values are not what can be", false},
	CodePreconditionFailed:   {http.StatusPreconditionFailed, "The room is in another state", false},
	CodePreconditionRequired: {http.StatusPreconditionRequired, "The change has to name what it is made for", false},
	CodeIdempotencyMismatch:  {http.StatusUnprocessableEntity, "The Idempotency-Key was used for another request", false},
	CodeInProgress:           {http.StatusConflict, "A request with this Idempotency-Key is under way", true},
	CodeTimeout:              {http.StatusRequestTimeout, "The request came too slowly", true},
}

// problemReflected is the type, for the description.
var problemReflected = reflect.TypeFor[Problem]()

// problemType is the media type of RFC 9457.
const problemType = "application/problem+json"

// Problem is how every request is answered that is not carried out, after RFC 9457.
type Problem struct {
	Type       string  `json:"type" format:"uri-reference" doc:"Names the kind of problem, and leads to its description." example:"/v1/docs#problem-not_found"`
	Title      string  `json:"title" doc:"The kind of problem, for people."`
	Status     int     `json:"status" minimum:"400" maximum:"599" doc:"The answer's HTTP status."`
	Code       string  `json:"code" doc:"The kind of problem, for programs: the same words as in the native protocol." example:"not_found"`
	Detail     string  `json:"detail" doc:"What is wrong with this request, for the developer who reads it."`
	Retryable  bool    `json:"retryable" doc:"Whether the same request may succeed a while later."`
	RetryAfter int64   `json:"retryAfter,omitempty" minimum:"0" doc:"After how many milliseconds, where that is known. The header Retry-After has it in seconds, rounded up."`
	Version    int64   `json:"version,omitempty" minimum:"0" doc:"The room's present version, where a change was made for another one."`
	Errors     []Fault `json:"errors,omitempty" nullable:"false" doc:"What is wrong with which part of the request."`

	allow string // methods that the path takes
}

// Fault is one thing that is wrong with a request. It never repeats what was sent.
type Fault struct {
	Location string `json:"location,omitempty" doc:"Where: path, query, header or body, and the field." example:"body.capacity"`
	Message  string `json:"message" doc:"What should be there."`
}

var (
	_ huma.StatusError       = (*Problem)(nil)
	_ huma.ContentTypeFilter = (*Problem)(nil)
	_ huma.HeadersError      = (*Problem)(nil)
)

// Error gives the code and the detail in one line.
func (p *Problem) Error() string { return p.Code + ": " + p.Detail }

// GetStatus is the HTTP status.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType is always that of problems.
func (*Problem) ContentType(string) string { return problemType }

// GetHeaders are those that belong to the problem.
func (p *Problem) GetHeaders() http.Header {
	header := http.Header{}
	if p.RetryAfter > 0 {
		header.Set("Retry-After", strconv.FormatInt((p.RetryAfter+999)/1000, 10))
	}
	if p.Status == http.StatusUnauthorized {
		header.Set("WWW-Authenticate", "Bearer")
	}
	if p.allow != "" {
		header.Set("Allow", p.allow)
	}
	return header
}

// newProblem makes the problem of a code.
func newProblem(code wire.Code, detail string) *Problem {
	k, known := kinds[code]
	if !known {
		code, k = wire.CodeInternal, kinds[wire.CodeInternal]
	}
	return &Problem{
		Type: problemURI(code), Title: k.title, Status: k.status, Code: string(code), Detail: detail, Retryable: k.retryable,
	}
}

// problemURI is where the page of the API describes a code. Relative, as only the caller knows under which name it has come
// (RFC 9457, section 3.1.1).
func problemURI(code wire.Code) string { return docsPath + "#problem-" + string(code) }

// after says when to come again.
func (p *Problem) after(d time.Duration) *Problem {
	p.RetryAfter = max(d.Milliseconds(), 1)
	return p
}

// missing is the one answer to whatever is not there, and to what the key may not know of.
func missing() *Problem { return newProblem(CodeNotFound, "there is nothing of this name") }

// problemOf turns an error of the layers below into an answer; unknown ones are faults of ours, and told to nobody but the log.
func problemOf(err error) *Problem {
	if p, ok := errors.AsType[*Problem](err); ok {
		return p
	}
	if e, ok := errors.AsType[*wire.Error](err); ok && e.Code != wire.CodeInternal {
		p := newProblem(e.Code, e.Message)
		p.Version = e.Version
		if e.RetryAfter > 0 {
			p = p.after(e.RetryAfter)
		}
		return p
	}
	switch {
	case errors.Is(err, store.ErrNoRoom), errors.Is(err, store.ErrNoApp):
		return missing()
	case errors.Is(err, store.ErrRoomExists):
		return newProblem(wire.CodeConflict, "the room exists")
	}
	if errors.Is(err, store.ErrFenced) || errors.Is(err, store.ErrLapsed) {
		return newProblem(wire.CodeUnavailable, "this node is being replaced").after(time.Second)
	}
	return newProblem(wire.CodeInternal, "the log has the rest")
}

// codeOfStatus is the code for what the library that reads requests refuses by itself.
func codeOfStatus(status int) wire.Code {
	switch status {
	case http.StatusUnauthorized:
		return wire.CodeUnauthorized
	case http.StatusForbidden:
		return wire.CodeForbidden
	case http.StatusNotFound:
		return CodeNotFound
	case http.StatusMethodNotAllowed:
		return CodeMethodNotAllowed
	case http.StatusRequestTimeout:
		return CodeTimeout
	case http.StatusRequestEntityTooLarge:
		return wire.CodeTooLarge
	case http.StatusUnsupportedMediaType:
		return CodeUnsupportedMediaType
	}
	if status >= http.StatusInternalServerError {
		return wire.CodeInternal
	}
	return wire.CodeBadRequest
}

// problemOfModel takes over what the library says, without the values that it repeats: they may be secrets.
func problemOfModel(m *huma.ErrorModel) *Problem {
	p := newProblem(codeOfStatus(m.Status), m.Detail)
	p.Status = m.Status
	if p.Code == string(wire.CodeInternal) {
		p.Detail = "the log has the rest"
		return p
	}
	for _, e := range m.Errors {
		if len(p.Errors) == maxFaults {
			break
		}
		p.Errors = append(p.Errors, Fault{Location: bounded(e.Location), Message: bounded(e.Message)})
	}
	return p
}

const (
	// maxFaults is how many faults a problem lists: enough to repair a request by, whatever was sent.
	maxFaults = 16
	// maxFaultText bounds each of their texts, which may hold names that were sent, in bytes.
	maxFaultText = 256
)

func bounded(text string) string {
	if len(text) > maxFaultText {
		text = text[:maxFaultText] + "..."
	}
	return strings.ToValidUTF8(text, "\ufffd")
}
