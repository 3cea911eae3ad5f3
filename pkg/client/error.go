package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// ErrClosed is what calls give, and [Client.Err], after [Client.Close].
var ErrClosed = errors.New("client: closed")

// errSubprotocol is what a server gives that is none of ours.
var errSubprotocol = errors.New("client: the server does not speak " + wire.Subprotocol)

// errSeatGone is why a request is lost that was made for a seat which has not outlived the connection.
var errSeatGone = errors.New("the seat is gone with it")

// errNotConnected is why [Client.Go] could not send.
var errNotConnected = errors.New("client: not connected")

// CloseError is the close code with which the gateway ended a connection.
type CloseError struct {
	Code wire.CloseCode
	// Reason is the gateway's own word, for logs.
	Reason string
}

// Error gives the code, its word and the reason.
func (e *CloseError) Error() string {
	return fmt.Sprintf("client: connection closed with %d (%s): %s", int(e.Code), e.Code, e.Reason)
}

// LostError says that the connection ended before a request had its reply, and that it was not sent again: whether the
// request took effect is not known. It is retryable unless its cause is final.
type LostError struct {
	// Cause is how the connection ended: a [*CloseError], or an error of the network.
	Cause error
}

// Error gives the cause.
func (e *LostError) Error() string { return "client: connection lost: " + e.Cause.Error() }

// Unwrap gives the cause.
func (e *LostError) Unwrap() error { return e.Cause }

// protocolError says that a message of the gateway's was not valid. It does not unwrap: the wire's error is the form
// of a refusal, too, and this is none.
type protocolError struct{ err error }

// Error gives what was wrong.
func (e *protocolError) Error() string {
	return "client: a message of the gateway is not valid: " + e.err.Error()
}

// HandshakeError says that the gateway, or what stands in front of it, refused to open a WebSocket.
type HandshakeError struct {
	// Status is the HTTP status.
	Status int
	// RetryAfter is how long to wait before the next attempt; 0 if not known.
	RetryAfter time.Duration
}

// Error gives the status.
func (e *HandshakeError) Error() string {
	return fmt.Sprintf("client: no WebSocket: %d %s", e.Status, http.StatusText(e.Status))
}

// Retryable reports whether it makes sense to send a request again, or to connect again, after a pause. Errors that
// are not of the protocol are faults of the network: they are.
func Retryable(err error) bool {
	if refusal, ok := errors.AsType[*wire.Error](err); ok {
		return refusal.Code.Retryable()
	}
	if closed, ok := errors.AsType[*CloseError](err); ok {
		return closed.Code.Retryable()
	}
	if handshake, ok := errors.AsType[*HandshakeError](err); ok {
		switch handshake.Status {
		case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
			return true
		}
		return handshake.Status >= 500
	}
	return !errors.Is(err, ErrClosed) && !errors.Is(err, context.Canceled) && !errors.Is(err, errSubprotocol)
}

// retryAfter gives the pause that a refusal asks for.
func retryAfter(err error) time.Duration {
	if refusal, ok := errors.AsType[*wire.Error](err); ok {
		return refusal.RetryAfter
	}
	if handshake, ok := errors.AsType[*HandshakeError](err); ok {
		return handshake.RetryAfter
	}
	return 0
}

// refusesResume reports whether err says that the session is over, and the connection good for a new one.
func refusesResume(err error) bool {
	refusal, ok := errors.AsType[*wire.Error](err)
	return ok && refusal.Code == wire.CodeResumeRefused
}

// refusesToken reports whether err says that a token is not good, or not any more.
func refusesToken(err error) bool {
	if refusal, ok := errors.AsType[*wire.Error](err); ok {
		return refusal.Code == wire.CodeUnauthorized
	}
	closed, ok := errors.AsType[*CloseError](err)
	return ok && (closed.Code == wire.CloseUnauthorized || closed.Code == wire.CloseExpired)
}
