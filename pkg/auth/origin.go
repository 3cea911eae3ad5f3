package auth

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxOrigin bounds an Origin header before it is looked at, in bytes: a host has at most 253.
const maxOrigin = 512

// origin is the tuple of RFC 6454, section 4, normalised: lower case, and no port if it is the scheme's own. A host
// is compared as it is written: an international name in punycode, as browsers send it.
type origin struct {
	scheme string
	host   string
	port   string // "" is the scheme's default
}

// originSet is a list of allowed origins, made ready. Immutable once its verifier is made.
type originSet struct {
	any       bool
	exact     map[origin]struct{}
	wildcards map[origin]struct{} // the host is what follows "*."
}

// ValidateOrigin says what is wrong with an entry of a list of allowed origins, such as [App.Origins].
func ValidateOrigin(entry string) error {
	if entry == "*" {
		return nil
	}
	_, _, err := parseAllowedOrigin(entry)
	return err
}

func newOriginSet(list []string) (*originSet, error) {
	set := &originSet{}
	var errs []error
	for _, entry := range list {
		if entry == "*" {
			set.any = true
			continue
		}
		o, wildcard, err := parseAllowedOrigin(entry)
		if err != nil {
			errs = append(errs, fmt.Errorf("origin %q: %w", entry, err))
			continue
		}
		if wildcard {
			put(&set.wildcards, o)
		} else {
			put(&set.exact, o)
		}
	}
	return set, errors.Join(errs...)
}

// allows reports whether the value of an Origin header is in the set.
func (s *originSet) allows(text string) bool {
	o, ok := parseOrigin(text)
	if !ok {
		return false
	}
	if s.any {
		return true
	}
	if _, ok := s.exact[o]; ok {
		return true
	}
	// The star stands for exactly one label, as in certificates (RFC 9525, section 6.3).
	label, rest, ok := strings.Cut(o.host, ".")
	if !ok || label == "" {
		return false
	}
	o.host = rest
	_, ok = s.wildcards[o]
	return ok
}

// add takes over another set's origins. Only [New] calls it.
func (s *originSet) add(other *originSet) {
	s.any = s.any || other.any
	for o := range other.exact {
		put(&s.exact, o)
	}
	for o := range other.wildcards {
		put(&s.wildcards, o)
	}
}

func put(set *map[origin]struct{}, o origin) {
	if *set == nil {
		*set = map[origin]struct{}{}
	}
	(*set)[o] = struct{}{}
}

// parseAllowedOrigin reads an entry of the configuration. For a wildcard the host is what follows "*.".
func parseAllowedOrigin(entry string) (o origin, wildcard bool, err error) {
	if entry == "null" {
		// Sandboxed frames and local files of everybody send it.
		return o, false, errors.New("null is never allowed")
	}
	plain := strings.Replace(entry, "://*.", "://", 1)
	wildcard = plain != entry
	o, ok := parseOrigin(plain)
	switch {
	case !ok:
		return o, false, errors.New(`an origin is scheme://host or scheme://host:port, without a path, in punycode, perhaps with "*." before the host; or "*" alone`)
	case o.scheme == "ws" || o.scheme == "wss":
		return o, false, errors.New("an origin is the page's, with http or https, not the socket's")
	case !wildcard:
		return o, false, nil
	case !strings.Contains(o.host, ".") || lastLabelNumeric(o.host) || strings.HasPrefix(o.host, "["):
		return o, false, errors.New("a wildcard needs a domain of at least two labels behind it")
	}
	return o, true, nil
}

// parseOrigin reads the serialisation of RFC 6454, section 6.2, and nothing else: net/url would take user names,
// paths and escapes, each good for a trick.
func parseOrigin(text string) (origin, bool) {
	if len(text) > maxOrigin || !isASCII(text) {
		return origin{}, false
	}
	scheme, authority, ok := strings.Cut(strings.ToLower(text), "://")
	if !ok || !validScheme(scheme) {
		return origin{}, false
	}
	o := origin{scheme: scheme}
	var rest string
	if strings.HasPrefix(authority, "[") {
		end := strings.IndexByte(authority, ']')
		if end < 0 {
			return origin{}, false
		}
		address, err := netip.ParseAddr(authority[1:end])
		if err != nil || !address.Is6() || address.Zone() != "" {
			return origin{}, false
		}
		o.host, rest = "["+address.String()+"]", authority[end+1:]
	} else {
		o.host, rest = authority, ""
		if colon := strings.IndexByte(authority, ':'); colon >= 0 {
			o.host, rest = authority[:colon], authority[colon:]
		}
		if !validHost(o.host) {
			return origin{}, false
		}
	}
	if rest != "" {
		if o.port, ok = parsePort(rest); !ok {
			return origin{}, false
		}
		if scheme == "http" && o.port == "80" || scheme == "https" && o.port == "443" {
			o.port = ""
		}
	}
	return o, true
}

// isASCII keeps out letters beyond ASCII whose lower case is in it: U+212A, the Kelvin sign, would become a k.
func isASCII(text string) bool {
	for i := range len(text) {
		if text[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// validScheme expects lower case (RFC 3986, section 3.1). Apps in a web view have schemes of their own.
func validScheme(scheme string) bool {
	if scheme == "" || scheme[0] < 'a' || scheme[0] > 'z' {
		return false
	}
	return strings.Trim(scheme, "abcdefghijklmnopqrstuvwxyz0123456789+-.") == ""
}

// validHost expects lower case: labels of letters, digits, '-' and '_', none empty, so no dot at the end either,
// which browsers treat as another host.
func validHost(host string) bool {
	if len(host) > 253 {
		return false
	}
	for label := range strings.SplitSeq(host, ".") {
		if label == "" || len(label) > 63 {
			return false
		}
		for i := range len(label) {
			switch c := label[i]; {
			case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '_':
			default:
				return false
			}
		}
	}
	return true
}

// parsePort expects the colon in front.
func parsePort(text string) (string, bool) {
	port, ok := strings.CutPrefix(text, ":")
	if !ok {
		return "", false
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil || number == 0 || strconv.FormatUint(number, 10) != port {
		return "", false
	}
	return port, true
}

func lastLabelNumeric(host string) bool {
	last := host[strings.LastIndexByte(host, '.')+1:]
	return strings.Trim(last, "0123456789") == ""
}
