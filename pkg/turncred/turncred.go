// Package turncred makes and reads the credentials of TURN servers that are good for a time and need no store: a server checks them
// with a secret that it shares with whoever issues them.
//
// The form is that of the draft "A REST API For Access To TURN Services" (draft-uberti-behave-turn-rest-00, section 2.2), as coturn takes
// it with use-auth-secret: a user name "<expiry, Unix seconds>:<user>", and as password the base64 of HMAC-SHA1 over the user name.
// HMAC-SHA1 is the draft's: what is known against SHA-1 (collisions) does not help to find the HMAC of another name.
package turncred

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // what the draft says, and every TURN server checks
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strconv"
	"strings"
	"time"
)

// MaxUsername is the greatest length of a TURN user name, in bytes (RFC 8489, section 14.3: fewer than 509).
const MaxUsername = 508

// MinSecret is the least length of a secret that [Credentials] should be made with, in bytes.
const MinSecret = 16

// pseudonymBytes is as much of a hash as makes it unlikely that two users of one app share one: 2^48 users for even odds.
const pseudonymBytes = 12

// ErrName is the error of [Parse] for a user name that is not of the form.
var ErrName = errors.New("turncred: not a user name of a TURN REST credential")

// Name is what a user name says.
type Name struct {
	// Expires is until when it is good, in whole seconds.
	Expires time.Time
	// App is the app whose user it is; "" of names that were not made here.
	App string
	// User is whom it was made for: a pseudonym where App is set, else what follows the expiry, which may be "".
	User string
}

// String is the user name.
func (n Name) String() string {
	expiry := strconv.FormatInt(n.Expires.Unix(), 10)
	switch {
	case n.App != "":
		return expiry + ":" + n.App + "/" + n.User
	case n.User != "":
		return expiry + ":" + n.User
	}
	return expiry
}

// Parse reads a user name. It takes what coturn takes: "<expiry>:<user>", "<user>:<expiry>" if the user is not a number, and "<expiry>".
// It does not say whether the name has expired. The error is [ErrName].
func Parse(username string) (Name, error) {
	if len(username) > MaxUsername {
		return Name{}, ErrName
	}
	expiry, user, both := strings.Cut(username, ":")
	if both && !digits(expiry) {
		user, expiry = expiry, user
	}
	// 12 digits reach to the year 33658; more could not be told from a time in other units.
	if len(expiry) > 12 || !digits(expiry) {
		return Name{}, ErrName
	}
	seconds, err := strconv.ParseInt(expiry, 10, 64)
	if err != nil {
		return Name{}, ErrName
	}
	name := Name{Expires: time.Unix(seconds, 0), User: user}
	if app, pseudonym, ok := strings.Cut(user, "/"); ok && isApp(app) && pseudonym != "" {
		name.App, name.User = app, pseudonym
	}
	return name, nil
}

func digits(s string) bool {
	return s != "" && strings.IndexFunc(s, func(c rune) bool { return c < '0' || c > '9' }) < 0
}

// isApp reports whether a name can be that of an app.
func isApp(name string) bool {
	return name != "" && len(name) <= 63 && name[0] != '-' && strings.IndexFunc(name, func(c rune) bool {
		return !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-')
	}) < 0
}

// Password is the password of a user name.
func Password(secret, username string) string {
	mac := hmac.New(sha1.New, []byte(secret))
	_, _ = mac.Write([]byte(username))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// Credentials are what a client shows to a TURN server: username and credential of an RTCIceServer.
type Credentials struct {
	Username, Password string
	Expires            time.Time
}

// New makes the credentials of an app's user. User names travel in the clear, over networks of others: in place of the user's id stands a
// pseudonym, which is the same for as long as the secret is. Secrets shorter than [MinSecret] are for whoever configures them to refuse.
func New(secret, app, user string, expires time.Time) Credentials {
	name := Name{Expires: expires.Truncate(time.Second), App: app, User: Pseudonym(secret, app, user)}
	username := name.String()
	return Credentials{Username: username, Password: Password(secret, username), Expires: name.Expires}
}

// Pseudonym is what stands for an app's user in user names that are made with a secret: 16 characters of base64url.
func Pseudonym(secret, app, user string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	_, _ = mac.Write([]byte("turn user\x00" + app + "\x00" + user))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:pseudonymBytes])
}
