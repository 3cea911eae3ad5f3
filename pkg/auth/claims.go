package auth

import (
	"encoding/json"
	"math"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/golang-jwt/jwt/v5"
)

const (
	// maxUser is the greatest length of a user's id, in characters.
	maxUser = 128
	// maxDisplayName is the greatest length of a display name, in bytes.
	maxDisplayName = 128
	// maxDate is the last second of the year 9999: dates beyond it overflow somewhere, so they are not dates.
	maxDate = 253402300799
)

const (
	messageBadName  = "a name is at most 128 bytes of UTF-8 without control characters"
	messageBadRooms = `rooms must be a list of at most 64 {"room": "name or prefix*", "can": ["publish", "moderate", "capacity"]}`
)

// The words of a grant's can list.
const (
	canPublish  = "publish"
	canModerate = "moderate"
	canCapacity = "capacity"
)

// claims is a token's payload, structurally strict and otherwise as it came. Only app may be read before the signature
// was found good; the methods check types and values, and the library and the verifier call them after it.
type claims struct {
	members map[string]any
}

var (
	_ jwt.Claims       = (*claims)(nil)
	_ json.Unmarshaler = (*claims)(nil)
)

// UnmarshalJSON implements [json.Unmarshaler] for the library's parser and does nothing: peek has read the payload of
// this very token before, more strictly, and a second reading would cost as much as an HMAC check does in all.
func (c *claims) UnmarshalJSON([]byte) error { return nil }

// app is the tenant that the token claims to be of: what chooses the key that proves it.
func (c *claims) app() (string, error) {
	app, ok := c.members["app"].(string)
	if !ok {
		return "", refuse(ReasonClaims, "app must be a string")
	}
	return app, nil
}

// GetExpirationTime implements [jwt.Claims]. It is never nil without an error.
func (c *claims) GetExpirationTime() (*jwt.NumericDate, error) {
	date, err := c.date("exp")
	if err == nil && date == nil {
		return nil, refuse(ReasonNoExpiry, "the token has no exp")
	}
	return date, err
}

// GetIssuedAt implements [jwt.Claims].
func (c *claims) GetIssuedAt() (*jwt.NumericDate, error) { return c.date("iat") }

// GetNotBefore implements [jwt.Claims].
func (c *claims) GetNotBefore() (*jwt.NumericDate, error) { return c.date("nbf") }

// GetIssuer implements [jwt.Claims]. The library asks only if the app expects an issuer, so a missing one is an error.
func (c *claims) GetIssuer() (string, error) {
	issuer, ok := c.members["iss"].(string)
	if !ok || issuer == "" {
		return "", refuse(ReasonIssuer, "the token has no iss")
	}
	return issuer, nil
}

// GetSubject implements [jwt.Claims].
func (c *claims) GetSubject() (string, error) { return c.user() }

// GetAudience implements [jwt.Claims]: one string or a list of strings (RFC 7519, section 4.1.3). The library asks
// only if the app expects an audience, so a missing one is an error.
func (c *claims) GetAudience() (jwt.ClaimStrings, error) {
	var audience jwt.ClaimStrings
	switch value := c.members["aud"].(type) {
	case string:
		audience = append(audience, value)
	case []any:
		for _, entry := range value {
			text, ok := entry.(string)
			if !ok {
				return nil, refuse(ReasonAudience, "aud must be a string or a list of strings")
			}
			audience = append(audience, text)
		}
	}
	if len(audience) == 0 || len(audience) == 1 && audience[0] == "" {
		return nil, refuse(ReasonAudience, "the token has no aud")
	}
	return audience, nil
}

// date reads a NumericDate (RFC 7519, section 2); nil if it is absent. The library's own conversion wraps around for
// large numbers.
func (c *claims) date(name string) (*jwt.NumericDate, error) {
	value, there := c.members[name]
	if !there {
		return nil, nil
	}
	number, ok := value.(json.Number)
	if !ok {
		return nil, refuse(ReasonClaims, name+" must be a number of seconds since 1970")
	}
	seconds, err := number.Float64()
	if err != nil || seconds < 0 || seconds > maxDate {
		return nil, refuse(ReasonClaims, name+" must be a number of seconds from 1970 to 9999")
	}
	whole, fraction := math.Modf(seconds)
	return &jwt.NumericDate{Time: time.Unix(int64(whole), int64(fraction*1e9)).UTC()}, nil
}

func (c *claims) user() (string, error) {
	user, ok := c.members["sub"].(string)
	if !ok || !validUser(user) {
		return "", refuse(ReasonClaims, "sub must be a string of 1 to 128 printable characters")
	}
	return user, nil
}

func (c *claims) displayName() (string, error) {
	value, there := c.members["name"]
	if !there {
		return "", nil
	}
	name, ok := value.(string)
	if !ok || !validDisplayName(name) {
		return "", refuse(ReasonClaims, messageBadName)
	}
	return name, nil
}

// grants reads the rooms claim. A token without it may enter no room.
func (c *claims) grants() ([]Grant, error) {
	value, there := c.members["rooms"]
	if !there {
		return nil, nil
	}
	list, ok := value.([]any)
	if !ok || len(list) > MaxGrants {
		return nil, refuse(ReasonClaims, messageBadRooms)
	}
	grants := make([]Grant, len(list))
	for i, entry := range list {
		if grants[i], ok = readGrant(entry); !ok {
			return nil, refuse(ReasonClaims, messageBadRooms)
		}
	}
	return grants, nil
}

// readGrant refuses members that it does not know: a misspelt "can" must not turn into the default.
func readGrant(entry any) (Grant, bool) {
	members, ok := entry.(map[string]any)
	if !ok {
		return Grant{}, false
	}
	grant := Grant{Can: Permissions{Publish: true}}
	for name, value := range members {
		switch name {
		case "room":
			grant.Room, _ = value.(string)
		case "can":
			if grant.Can, ok = readPermissions(value); !ok {
				return Grant{}, false
			}
		default:
			return Grant{}, false
		}
	}
	return grant, validatePattern(grant.Room) == nil
}

func readPermissions(value any) (Permissions, bool) {
	var can Permissions
	words, ok := value.([]any)
	if !ok {
		return can, false
	}
	for _, word := range words {
		switch word {
		case canPublish:
			can.Publish = true
		case canModerate:
			can.Moderate = true
		case canCapacity:
			can.SetCapacity = true
		default:
			return Permissions{}, false
		}
	}
	return can, true
}

// validUser takes letters, marks, digits, punctuation, symbols and the plain space. U+FFFD is refused because it is
// what encoding/json makes of a lone surrogate: two different ids would become one.
func validUser(user string) bool {
	for _, r := range user {
		if !unicode.IsPrint(r) || r == utf8.RuneError {
			return false
		}
	}
	length := utf8.RuneCountInString(user)
	return 1 <= length && length <= maxUser
}

// validDisplayName takes any text, also joiners as emoji need them, but nothing that ends a line or turns the
// direction of what is written around it (the Bidi_Control property of Unicode).
func validDisplayName(name string) bool {
	for _, r := range name {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029' || r == utf8.RuneError {
			return false
		}
	}
	return len(name) <= maxDisplayName
}
