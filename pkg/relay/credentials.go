package relay

import (
	"net"
	"time"

	"github.com/pion/stun/v4"
	"github.com/pion/turn/v5"

	"github.com/signalbox-rtc/signalbox/pkg/turncred"
)

// Why credentials are not taken, as metrics name it. The first three are told by the user name alone, whoever wrote it.
const (
	failedMalformed = "malformed" // not a user name of TURN REST credentials
	failedExpired   = "expired"
	failedTooFar    = "too_far" // good for longer than anybody gives them out for
	failedForged    = "forged"  // a password that none of the secrets makes
)

// authenticate finds the user whose request it is, and the key that the request is signed with. It is called for each request but those for
// a binding.
func (s *Server) authenticate(request *turn.RequestAttributes) (user string, key []byte, ok bool) {
	name, err := turncred.Parse(request.Username)
	if err != nil {
		return s.failed(failedMalformed)
	}
	now := time.Now()
	until := name.Expires
	if request.Method != stun.MethodAllocate {
		until = until.Add(s.opts.AfterExpiry)
	}
	switch {
	case name.Expires.After(now.Add(s.opts.MaxAhead)):
		return s.failed(failedTooFar)
	case now.After(until):
		return s.failed(failedExpired)
	}
	key = s.keyOf(request)
	if key == nil {
		return s.failed(failedForged)
	}
	return userKey(name.App, name.User), key, true
}

func (s *Server) failed(reason string) (string, []byte, bool) {
	s.metrics.authFailures.WithLabelValues(reason).Inc()
	return "", nil, false
}

// keyOf finds the secret that a request's password was made with, and gives the key of that; nil if it was none of them.
func (s *Server) keyOf(request *turn.RequestAttributes) []byte {
	x := s.exchanges.find(request.SrcAddr)
	if x == nil {
		return nil
	}
	message := &stun.Message{Raw: x.request}
	if message.Decode() != nil {
		return nil
	}
	for _, secret := range *s.secrets.Load() {
		// The realm is ours and not the client's: that of another one would be a password for another server.
		key := turn.GenerateAuthKey(request.Username, s.opts.Realm, turncred.Password(secret, request.Username))
		if stun.MessageIntegrity(key).Check(message) == nil {
			x.key = key
			return key
		}
	}
	return nil
}

// mayAllocate is asked before an allocation is made. A user or an app that is at its quota is told so; what is no fault of theirs is
// answered as a lack of capacity when the allocation is made.
func (s *Server) mayAllocate(user, _ string, _ net.Addr) bool {
	switch reason := s.accounts.may(user); reason {
	case scopeUser, scopeApp:
		s.metrics.refused.WithLabelValues(reason).Inc()
		return false
	}
	return true
}
