package negotiation_test

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/auth"
	"github.com/signalbox-rtc/signalbox/pkg/negotiation"
)

const (
	host    = "842163049 1 udp 1677729535 192.168.1.20 54400 typ host generation 0 ufrag 8hhY network-id 1 network-cost 10"
	public  = "842163050 1 udp 1677729535 203.0.113.9 54400 typ host"
	mdns    = "842163051 1 udp 1677729535 0b9e3b5c-2a5d-4b3c-9c1e-4d5e6f708192.local 54400 typ host"
	srflx   = "842163052 1 udp 1677729535 198.51.100.4 60001 typ srflx raddr 192.168.1.20 rport 54400 generation 0"
	relay   = "842163053 1 udp 41885439 203.0.113.7 49160 typ relay raddr 198.51.100.4 rport 60001"
	tcp     = "842163054 1 tcp 1518280447 10.1.2.3 9 typ host tcptype active"
	private = "842163055 1 udp 2122262783 fd12:3456::1 50000 typ host"
)

// offer is a description as a browser makes it, with candidates.
func offer(candidates ...string) string {
	lines := []string{
		"v=0", "o=- 4611731400430051336 2 IN IP4 127.0.0.1", "s=-", "t=0 0", "a=group:BUNDLE 0", "a=extmap-allow-mixed", "a=msid-semantic: WMS",
		"m=audio 54400 UDP/TLS/RTP/SAVPF 111 63", "c=IN IP4 192.168.1.20", "a=rtcp:9 IN IP4 0.0.0.0",
	}
	for _, candidate := range candidates {
		lines = append(lines, "a=candidate:"+candidate)
	}
	lines = append(lines,
		"a=ice-ufrag:8hhY", "a=ice-pwd:asd88fgpdd777uzjYhagZg", "a=ice-options:trickle",
		"a=fingerprint:sha-256 19:E2:1C:3B:4B:9F:81:E6:B8:5C:F4:A5:A8:D8:73:04:BB:05:2F:70:9F:04:A9:0E:05:E9:26:33:E8:70:88:A2",
		"a=setup:actpass", "a=mid:0", "a=sendrecv", "a=rtcp-mux", "a=rtpmap:111 opus/48000/2", "a=fmtp:111 minptime=10;useinbandfec=1", "a=rtpmap:63 red/48000/2")
	return strings.Join(lines, "\r\n") + "\r\n"
}

func object(tb testing.TB, value any) json.RawMessage {
	tb.Helper()
	text, err := json.Marshal(value)
	require.NoError(tb, err)
	return text
}

func always() bool { return true }

func enforce(changes func(*auth.Negotiation)) *negotiation.Rules {
	n := auth.Negotiation{Mode: auth.NegotiationEnforce}
	if changes != nil {
		changes(&n)
	}
	return negotiation.New(&n)
}

type fields map[string]any

func TestOffLooksAtNothing(t *testing.T) {
	require.Nil(t, negotiation.New(&auth.Negotiation{}))
	require.Nil(t, negotiation.New(&auth.Negotiation{Mode: auth.NegotiationOff, Types: []string{"relay"}}))
}

// Without further rules a description and candidates pass as they are, to the byte, in whatever shape they come; and what is something
// else does, too.
func TestWhatIsFinePassesAsItIs(t *testing.T) {
	r := enforce(nil)
	for _, data := range []json.RawMessage{
		object(t, fields{"description": fields{"type": "offer", "sdp": offer(host, public, mdns, srflx, relay, tcp, private)}}),
		object(t, fields{"type": "answer", "sdp": offer(relay), "<other>": 1}),
		object(t, fields{"description": fields{"type": "rollback", "sdp": ""}}),
		object(t, fields{"candidate": fields{"candidate": "candidate:" + host, "sdpMid": "0", "sdpMLineIndex": 0, "usernameFragment": "8hhY"}}),
		object(t, fields{"candidate": fields{"candidate": ""}}), object(t, fields{"candidate": nil}), object(t, fields{"candidate": "candidate:" + mdns}),
		object(t, fields{"type": "candidate", "label": 0, "id": "0", "candidate": "candidate:" + srflx}),
		object(t, "a text"), object(t, fields{"candidate": 7, "description": []int{1}}), object(t, fields{"bye": true}), json.RawMessage(`null`), nil,
	} {
		v := r.Look(data, always)
		require.Equal(t, string(data), string(v.Data))
		require.Equal(t, []any{negotiation.Passed, false}, []any{v.Refused, v.Drop}, "%s", data)
	}
}

// Candidates that do not pass are left out of descriptions, and do not go on by themselves.
func TestCandidatesAreLeftOut(t *testing.T) {
	for _, tc := range []struct {
		name    string
		rules   func(*auth.Negotiation)
		passing []string // as they go on
	}{
		{"Types", func(n *auth.Negotiation) { n.Types = []string{"relay", "srflx"} }, []string{srflx, relay}},
		{"Deny", func(n *auth.Negotiation) { n.Deny = []string{"203.0.113.0/24", "fd00::/8"} }, []string{host, mdns, srflx, tcp}},
		{"Allow", func(n *auth.Negotiation) { n.Allow = []string{"203.0.113.0/24", "198.51.100.4/32"} }, []string{
			public, mdns, strings.Replace(srflx, "raddr 192.168.1.20 rport 54400", "raddr 0.0.0.0 rport 9", 1), relay,
		}},
		{"DenyGoesBeforeAllow", func(n *auth.Negotiation) { n.Allow, n.Deny = []string{"203.0.113.0/24"}, []string{"203.0.113.7/32"} }, []string{public, mdns}},
		{"HidePrivate", func(n *auth.Negotiation) { n.HidePrivate = auth.On }, []string{
			public, mdns, strings.Replace(srflx, "raddr 192.168.1.20 rport 54400", "raddr 0.0.0.0 rport 9", 1), relay,
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			all := []string{host, public, mdns, srflx, relay, tcp, private}
			r := enforce(tc.rules)
			v := r.Look(object(t, fields{"description": fields{"type": "offer", "sdp": offer(all...)}, "more": "<>"}), always)
			require.Equal(t, negotiation.Passed, v.Refused)
			var got struct {
				Description struct{ Type, SDP string }
				More        string
			}
			require.NoError(t, json.Unmarshal(v.Data, &got))
			require.Equal(t, []string{"offer", "<>"}, []string{got.Description.Type, got.More})
			want := offer(tc.passing...)
			if strings.Contains(got.Description.SDP, "c=IN IP4 0.0.0.0") {
				want = strings.Replace(want, "c=IN IP4 192.168.1.20", "c=IN IP4 0.0.0.0", 1)
			}
			require.Equal(t, want, got.Description.SDP)
			require.Equal(t, tc.name == "HidePrivate" || strings.HasSuffix(tc.name, "Allow"), strings.Contains(want, "c=IN IP4 0.0.0.0"))

			var alone []string
			for _, candidate := range all {
				for _, shape := range []any{fields{"candidate": "candidate:" + candidate, "sdpMid": "0"}, "candidate:" + candidate} {
					v := r.Look(object(t, fields{"candidate": shape}), always)
					require.Equal(t, negotiation.Passed, v.Refused)
					if v.Drop {
						continue
					}
					var inner struct{ Candidate string }
					var got struct{ Candidate json.RawMessage }
					require.NoError(t, json.Unmarshal(v.Data, &got))
					if json.Unmarshal(got.Candidate, &inner) != nil {
						require.NoError(t, json.Unmarshal(got.Candidate, &inner.Candidate))
						alone = append(alone, strings.TrimPrefix(inner.Candidate, "candidate:"))
						continue
					}
					require.Contains(t, string(got.Candidate), `"sdpMid":"0"`)
				}
			}
			require.Equal(t, tc.passing, alone)
		})
	}
}

// What a browser makes is within the grammar, and without addresses of its network goes on as it is.
func TestChromium(t *testing.T) {
	text, err := os.ReadFile("testdata/chromium-156.json")
	require.NoError(t, err)
	var made struct {
		Offer, Answer, Gathered json.RawMessage
		Candidates              []json.RawMessage
	}
	require.NoError(t, json.Unmarshal(text, &made))
	require.NotEmpty(t, made.Candidates)
	r := enforce(func(n *auth.Negotiation) { n.HidePrivate = auth.On })
	for _, description := range []json.RawMessage{made.Offer, made.Answer, made.Gathered} {
		data := object(t, fields{"description": description})
		v := r.Look(data, always)
		require.Equal(t, negotiation.Passed, v.Refused)
		require.JSONEq(t, string(data), string(v.Data))
		require.Equal(t, 1, v.Found[negotiation.Description][negotiation.Passed])
	}
	for _, candidate := range made.Candidates {
		data := object(t, fields{"candidate": candidate})
		v := r.Look(data, always)
		require.Equal(t, []any{negotiation.Passed, false, string(data)}, []any{v.Refused, v.Drop, string(v.Data)})
	}
}

func TestRefusals(t *testing.T) {
	many := make([]string, 200)
	for i := range many {
		many[i] = strings.Replace(relay, "49160", fmt.Sprint(20000+i), 1)
	}
	description := func(sdp string) fields { return fields{"description": fields{"type": "offer", "sdp": sdp}} }
	for _, tc := range []struct {
		name string
		data any
		want negotiation.Result
	}{
		{"Garbage", description("hello"), negotiation.Malformed},
		{"NotTheBeginning", description("s=-\r\n" + offer()), negotiation.Malformed},
		{"CandidateOfWhatever", description(offer("1 1 udp x 192.0.2.1 5 typ host")), negotiation.Malformed},
		{"LineWithinALine", description(offer(relay + "\ra=candidate:" + host)), negotiation.Malformed},
		{"TooLarge", description(offer() + strings.Repeat("a=x:"+strings.Repeat("y", 1000)+"\r\n", 70)), negotiation.TooLarge},
		{"TooManySections", description(offer() + strings.Repeat("m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n", 64)), negotiation.TooManySections},
		{"TooManyCandidates", description(offer(many...)), negotiation.TooManyCandidates},
		{"Candidate", fields{"candidate": fields{"candidate": "candidate:1 1 udp"}}, negotiation.Malformed},
		{"CandidateOfSeveralLines", fields{"candidate": "candidate:" + relay + "\r\na=candidate:" + host}, negotiation.Malformed},
		{"Hostname", fields{"candidate": "candidate:1 1 udp 5 internal.example 5 typ host"}, negotiation.Malformed},
		// A browser takes the member of the exact name, whatever else there is.
		{"OtherSpelling", json.RawMessage(`{"SDP":"v=0","sdp":"hello"}`), negotiation.Malformed},
		{"Twice", json.RawMessage(`{"candidate":"","candidate":"candidate:x"}`), negotiation.Malformed},
	} {
		t.Run(tc.name, func(t *testing.T) {
			v := enforce(func(n *auth.Negotiation) { n.HidePrivate = auth.On }).Look(object(t, tc.data), always)
			require.Equal(t, tc.want, v.Refused)
			require.True(t, tc.want.Refuses())
		})
	}
	v := enforce(nil).Look(object(t, fields{"candidate": "candidate:" + host}), func() bool { return false })
	require.Equal(t, negotiation.Rate, v.Refused)
}

// An app that observes has everything go on as it is, and is told what would have come of it.
func TestObserve(t *testing.T) {
	r := negotiation.New(&auth.Negotiation{Mode: auth.NegotiationObserve, Types: []string{"relay"}})
	data := object(t, fields{"sdp": offer(host, relay)})
	v := r.Look(data, always)
	require.Equal(t, string(data), string(v.Data))
	require.Equal(t, 1, v.Found[negotiation.Candidate][negotiation.Type])
	require.Equal(t, 1, v.Found[negotiation.Candidate][negotiation.Passed])
	require.Equal(t, 1, v.Found[negotiation.Description][negotiation.Passed])
	v = r.Look(object(t, fields{"sdp": "hello"}), always)
	require.Equal(t, []any{negotiation.Passed, 1}, []any{v.Refused, v.Found[negotiation.Description][negotiation.Malformed]})
	v = r.Look(object(t, fields{"candidate": "candidate:" + host}), always)
	require.False(t, v.Drop)
}

// Whatever is sent: what goes on passes once more as it is, and holds no address that is to be hidden where an address belongs.
func FuzzLook(f *testing.F) {
	for _, candidate := range []string{host, public, mdns, srflx, relay, tcp, private} {
		f.Add([]byte(object(f, fields{"candidate": fields{"candidate": "candidate:" + candidate}})))
		f.Add([]byte(object(f, fields{"description": fields{"sdp": offer(candidate)}})))
		f.Add([]byte(object(f, fields{"type": "candidate", "candidate": "candidate:" + candidate, "sdp": offer(candidate)})))
	}
	r := enforce(func(n *auth.Negotiation) { n.HidePrivate, n.Types = auth.On, []string{"srflx", "relay"} })
	f.Fuzz(func(t *testing.T, data []byte) {
		if !json.Valid(data) {
			return
		}
		v := r.Look(data, always)
		if v.Refused != negotiation.Passed || v.Drop {
			return
		}
		require.True(t, json.Valid(v.Data))
		again := r.Look(v.Data, always)
		require.Equal(t, negotiation.Passed, again.Refused)
		require.False(t, again.Drop)
		require.Equal(t, string(v.Data), string(again.Data))
		require.Zero(t, again.Found[negotiation.Candidate][negotiation.Hidden]+again.Found[negotiation.Description][negotiation.Hidden])
	})
}

// What the look costs where an app wants it; the others do not pay.
func BenchmarkLook(b *testing.B) {
	r := enforce(func(n *auth.Negotiation) { n.HidePrivate = auth.On })
	for name, data := range map[string]json.RawMessage{
		"offer":     object(b, fields{"description": fields{"type": "offer", "sdp": offer(host, srflx, relay)}}),
		"candidate": object(b, fields{"candidate": fields{"candidate": "candidate:" + relay, "sdpMid": "0"}}),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r.Look(data, always)
			}
		})
	}
}
