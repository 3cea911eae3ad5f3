package app

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// problem is an answer of the API that says why something was not done, after RFC 9457.
type problem struct {
	Type       string  `json:"type,omitempty"`
	Title      string  `json:"title"`
	Status     int     `json:"status"`
	Code       string  `json:"code,omitempty"`
	Detail     string  `json:"detail,omitempty"`
	Retryable  bool    `json:"retryable,omitempty"`
	RetryAfter int64   `json:"retryAfter,omitempty"` // ms
	Version    int64   `json:"version,omitempty"`
	Errors     []fault `json:"errors,omitempty"`
}

type fault struct {
	Location string `json:"location,omitempty"`
	Message  string `json:"message"`
}

// parseProblem reads the answer of a status. What does not speak RFC 9457 is no server API, or a proxy in front of one.
func parseProblem(status int, contentType string, body []byte) *problem {
	p := new(problem)
	if !strings.HasPrefix(contentType, "application/problem+json") || json.Unmarshal(body, p) != nil {
		p = &problem{Detail: "what answered is not the server API: is --url its address, and not that of clients or of /metrics?"}
	}
	p.Status = cmp.Or(p.Status, status)
	p.Title = cmp.Or(p.Title, http.StatusText(p.Status))
	return p
}

// Error is all that is said, a line for each fault.
func (p *problem) Error() string {
	var b strings.Builder
	b.WriteString(p.Title)
	if p.Code != "" {
		fmt.Fprintf(&b, " (%s, %d)", p.Code, p.Status)
	} else {
		fmt.Fprintf(&b, " (%d)", p.Status)
	}
	if p.Detail != "" {
		b.WriteString(": " + p.Detail)
	}
	for _, e := range p.Errors {
		b.WriteString("\n  ")
		if e.Location != "" {
			b.WriteString(e.Location + ": ")
		}
		b.WriteString(e.Message)
	}
	if p.Version > 0 {
		fmt.Fprintf(&b, "\n  the present version is %d", p.Version)
	}
	switch {
	case p.RetryAfter > 0:
		fmt.Fprintf(&b, "\n  it may succeed in %v", time.Duration(p.RetryAfter)*time.Millisecond)
	case p.Retryable:
		b.WriteString("\n  it may succeed a while later")
	}
	return b.String()
}
