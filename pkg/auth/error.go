package auth

// Reason says in one word why a token or an anonymous hello was refused. It is a fixed small set, fit for a metric
// label and for a client.
type Reason string

// The reasons. A token with several faults gets the first that is found, in about this order.
const (
	// ReasonTooLarge: the token is longer than [Options.MaxTokenBytes].
	ReasonTooLarge Reason = "too_large"
	// ReasonMalformed: not a JWS of three strict base64url parts, or a part is not one strict JSON object
	// (RFC 7515, section 5.2; duplicate names are refused as its section 4 allows), or a critical header is set.
	ReasonMalformed Reason = "malformed"
	// ReasonAlgorithm: the header names no algorithm that we support, or another one than the key's.
	ReasonAlgorithm Reason = "algorithm"
	// ReasonUnknownApp: no app of this id.
	ReasonUnknownApp Reason = "unknown_app"
	// ReasonAppDisabled: the operator has switched the app off.
	ReasonAppDisabled Reason = "app_disabled"
	// ReasonUnknownKey: the app has no key of the token's kid, or the token names none and the app has not exactly one.
	ReasonUnknownKey Reason = "unknown_key"
	// ReasonKeyExpired: the token's key does not count any more.
	ReasonKeyExpired Reason = "key_expired"
	// ReasonSignature: the key did not sign this.
	ReasonSignature Reason = "signature"
	// ReasonNoExpiry: there is no exp claim.
	ReasonNoExpiry Reason = "no_expiry"
	// ReasonExpired: exp has passed.
	ReasonExpired Reason = "expired"
	// ReasonNotYetValid: nbf or iat is in the future.
	ReasonNotYetValid Reason = "not_yet_valid"
	// ReasonAudience: the app expects an audience that aud does not hold.
	ReasonAudience Reason = "audience"
	// ReasonIssuer: the app expects another iss.
	ReasonIssuer Reason = "issuer"
	// ReasonLifetime: the token is valid for longer than the app allows.
	ReasonLifetime Reason = "lifetime"
	// ReasonClaims: a claim is missing or has a wrong type or value.
	ReasonClaims Reason = "claims"
	// ReasonAnonymous: the app does not take users without a token.
	ReasonAnonymous Reason = "anonymous_refused"
	// ReasonDenied: the app's backend, which was asked, refuses it.
	ReasonDenied Reason = "denied"
	// ReasonRevoked: the user or the session was revoked after this was issued.
	ReasonRevoked Reason = "revoked"
)

// Reasons lists every reason, for metrics, tests and documentation.
var Reasons = []Reason{
	ReasonTooLarge, ReasonMalformed, ReasonAlgorithm, ReasonUnknownApp, ReasonAppDisabled, ReasonUnknownKey,
	ReasonKeyExpired, ReasonSignature, ReasonNoExpiry, ReasonExpired, ReasonNotYetValid, ReasonAudience, ReasonIssuer, ReasonLifetime,
	ReasonClaims, ReasonAnonymous, ReasonDenied, ReasonRevoked,
}

// Error is what [Verifier.Verify] and [Verifier.Anonymous] return. Its text is fit for the client: it is made of our
// own words only and never holds any part of a token, of a key or of another claim's value.
type Error struct {
	Reason  Reason
	Message string // one English phrase for the developer who reads the client's log
	cause   error  // the library's error, for our log; may be nil
}

// Error gives the reason and the message in one line.
func (e *Error) Error() string { return string(e.Reason) + ": " + e.Message }

// Unwrap gives the cause, if there is one.
func (e *Error) Unwrap() error { return e.cause }

func refuse(reason Reason, message string) *Error { return &Error{Reason: reason, Message: message} }

func refuseFor(reason Reason, message string, cause error) *Error {
	return &Error{Reason: reason, Message: message, cause: cause}
}
