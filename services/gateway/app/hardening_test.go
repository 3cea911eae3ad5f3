package app_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/auth"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
	"github.com/signalbox-rtc/signalbox/services/gateway/app"
)

// Rows 5 and 6 of what strangers do: headers without end, in size and in time.
func TestHardeningHeaders(t *testing.T) {
	g := newTarget(t, func(c *app.Config) { c.Limits.HeaderTimeout = time.Second })
	t.Run("TooLarge", func(t *testing.T) {
		// Each connection could make the gateway keep any amount of text before it looks at a byte of it.
		status, _ := g.answer(t, upgrade("/v1/connect", "gateway", "X-Filling: "+strings.Repeat("x", 100<<10)))
		require.Equal(t, http.StatusRequestHeaderFieldsTooLarge, status)
		g.stillServes(t)
	})
	t.Run("Slow", func(t *testing.T) {
		// A byte now and then (slowloris) would hold a connection for ever, and thousands of them the gateway.
		conn := g.rawDial(t)
		trickled := make(chan struct{})
		go func() {
			defer close(trickled)
			tick := time.NewTicker(20 * time.Millisecond)
			defer tick.Stop()
			for _, b := range []byte(upgrade("/v1/connect", "gateway", "X-Filling: "+strings.Repeat("x", 7000))) {
				<-tick.C
				if _, err := conn.Write([]byte{b}); err != nil {
					return
				}
			}
		}()
		g.stillServes(t)
		answer, _ := io.ReadAll(conn) // the end, whether with an answer or with a reset
		require.NotContains(t, string(answer), "101")
		<-trickled
	})
}

// Row 7: connections that say nothing, or never the right thing, would pile up.
func TestHardeningNoHello(t *testing.T) {
	g := newTarget(t, func(c *app.Config) { c.Session.HelloTimeout = time.Second })
	silent := g.meet(t)
	silent.requireClosed(wire.CloseHelloTimeout)
	chatty := g.meet(t)
	chatty.refused(`"type":"ping"`, wire.CodeUnauthorized)
	chatty.requireClosed(wire.CloseHelloTimeout)
	until(t, func() bool { return g.counted(t, "signalbox_connections_closed_total", `reason="hello_timeout"`) == 2 }, "both are counted")
	g.stillServes(t)
}

// Rows 8 to 10: a page of another site connects with its visitor's browser.
func TestHardeningOrigins(t *testing.T) {
	g := newTarget(t)
	const host = "gateway.example:8080"
	for name, tc := range map[string]struct {
		lines   []string
		allowed bool
	}{
		"Allowed":          {[]string{"Origin: https://good.example"}, true},
		"AllowedWildcard":  {[]string{"Origin: https://a.wild.example"}, true},
		"OwnHost":          {[]string{"Origin: https://gateway.example:8080"}, true},
		"NoBrowser":        {nil, true},
		"Foreign":          {[]string{"Origin: https://evil.example"}, false},
		"Null":             {[]string{"Origin: null"}, false},
		"Suffix":           {[]string{"Origin: https://good.example.evil.example"}, false},
		"Prefix":           {[]string{"Origin: https://evilgood.example"}, false},
		"UserInfo":         {[]string{"Origin: https://good.example@evil.example"}, false},
		"AnotherScheme":    {[]string{"Origin: http://good.example"}, false},
		"AnotherPort":      {[]string{"Origin: https://good.example:444"}, false},
		"OwnHostOtherPort": {[]string{"Origin: https://gateway.example:8081"}, false},
		"TwoLabelsForStar": {[]string{"Origin: https://a.b.wild.example"}, false},
		"NoLabelForStar":   {[]string{"Origin: https://wild.example"}, false},
		"Path":             {[]string{"Origin: https://good.example/page"}, false},
		"Empty":            {[]string{"Origin: "}, false},
		"File":             {[]string{"Origin: file://gateway.example:8080"}, false},
		"Two":              {[]string{"Origin: https://good.example", "Origin: https://evil.example"}, false},
		// Row 9: a browser always sends an origin; where it is missing, something has taken it away.
		"MissingWithCookie":  {[]string{"Cookie: session=1"}, false},
		"MissingFromBrowser": {[]string{"Sec-Fetch-Mode: websocket"}, false},
		// Row 10: another host than ours is not made an allowed one by a header.
		"ForwardedHost": {[]string{"Origin: https://evil.example", "X-Forwarded-Host: evil.example", "Forwarded: host=evil.example"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			status, text := g.answer(t, upgrade("/v1/connect", host, tc.lines...))
			if tc.allowed {
				require.Equal(t, http.StatusSwitchingProtocols, status, text)
				return
			}
			require.Equal(t, http.StatusForbidden, status, text)
			require.NotContains(t, text, "evil", "nothing is reflected")
		})
	}
	require.Positive(t, g.counted(t, "signalbox_handshakes_refused_total", `reason="origin"`))

	// The origin of one tenant must not open the rooms of another: the app is known only with hello.
	conn, response, err := websocket.DefaultDialer.DialContext(t.Context(), "ws://"+g.PublicAddr().String()+"/v1/connect",
		http.Header{"Origin": {"https://other.example"}})
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	s := &stranger{Conn: conn, tb: t, id: 1}
	defer conn.Close()
	s.refused(fmt.Sprintf(`"type":"hello","token":%q`, g.token(t, nil)), wire.CodeUnauthorized)
	s.requireClosed(wire.CloseUnauthorized)
	g.stillServes(t)

	strict := newTarget(t, func(c *app.Config) { c.Origins.AllowMissing = false })
	status, _ := strict.answer(t, upgrade("/v1/connect", host))
	require.Equal(t, http.StatusForbidden, status)
}

// Rows 11 to 15: tokens that nobody we trust has signed, or that are not meant for us, or not now.
func TestHardeningTokens(t *testing.T) {
	g := newTarget(t)
	secret, other := []byte(g.hmac.Secret), []byte(g.foreign.Secret)
	kid := map[string]any{"kid": "k1"}
	attacker, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	hour := func(n int) int64 { return time.Now().Add(time.Duration(n) * time.Hour).Unix() }
	hs256 := func(header map[string]any, claims jwt.MapClaims) string {
		return mint(t, jwt.SigningMethodHS256, secret, header, claims)
	}
	good := g.token(t, nil)
	lower := func() string { // the header's alg in lower case, under a signature that is right for it
		head := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"hs256","kid":"k1","typ":"JWT"}`))
		payload := strings.Split(good, ".")[1]
		signature, err := jwt.SigningMethodHS256.Sign(head+"."+payload, secret)
		require.NoError(t, err)
		return head + "." + payload + "." + base64.RawURLEncoding.EncodeToString(signature)
	}
	jwk := map[string]any{"kty": "RSA", "n": base64.RawURLEncoding.EncodeToString(attacker.N.Bytes()), "e": "AQAB"}

	for _, tc := range []struct {
		name, token string
		reason      auth.Reason
	}{
		// Row 11: whoever may name the algorithm can sign for everybody.
		{"AlgNone", mint(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, kid, g.claims(nil)), auth.ReasonAlgorithm},
		{"PublicKeyAsSecret", mint(t, jwt.SigningMethodHS256, []byte(g.rsaKey.PublicKey), map[string]any{"kid": "k2"}, g.claims(nil)), auth.ReasonAlgorithm},
		{"LowerCaseAlg", lower(), auth.ReasonAlgorithm},
		{"AnotherHMAC", mint(t, jwt.SigningMethodHS512, secret, kid, g.claims(nil)), auth.ReasonAlgorithm},
		// Row 12.
		{"Expired", g.token(t, map[string]any{"exp": hour(-1), "iat": hour(-2)}), auth.ReasonExpired},
		{"NotYet", g.token(t, map[string]any{"nbf": hour(1)}), auth.ReasonNotYetValid},
		{"IssuedInTheFuture", g.token(t, map[string]any{"iat": hour(1), "exp": hour(2)}), auth.ReasonNotYetValid},
		{"NoExpiry", g.token(t, map[string]any{"exp": nil}), auth.ReasonNoExpiry},
		{"TenYears", g.token(t, map[string]any{"exp": hour(10 * 365 * 24)}), auth.ReasonLifetime},
		// Row 13.
		{"AnotherAudience", g.token(t, map[string]any{"aud": "billing"}), auth.ReasonAudience},
		{"NoAudience", g.token(t, map[string]any{"aud": nil}), auth.ReasonAudience},
		{"AnotherIssuer", g.token(t, map[string]any{"iss": "https://evil.example"}), auth.ReasonIssuer},
		{"DisabledTenant", g.token(t, map[string]any{"app": "closed"}), auth.ReasonAppDisabled},
		{"UnknownTenant", g.token(t, map[string]any{"app": "nobody"}), auth.ReasonUnknownApp},
		// The key of one tenant under the name of another.
		{"TenantOfAnotherKey", mint(t, jwt.SigningMethodHS256, other, kid, g.claims(nil)), auth.ReasonSignature},
		// Row 14: a key id is looked up in a table, never in the file system, and never fetched.
		{"KidPath", hs256(map[string]any{"kid": "../../etc/passwd"}, g.claims(nil)), auth.ReasonUnknownKey},
		{"KidOf10KB", hs256(map[string]any{"kid": strings.Repeat("k", 10<<10)}, g.claims(nil)), auth.ReasonTooLarge},
		{"KidOf4KB", hs256(map[string]any{"kid": strings.Repeat("k", 4<<10)}, g.claims(nil)), auth.ReasonUnknownKey},
		{"KidUnknown", hs256(map[string]any{"kid": "k9"}, g.claims(nil)), auth.ReasonUnknownKey},
		{"KidMissing", hs256(nil, g.claims(nil)), auth.ReasonUnknownKey},
		// Row 15: a token must not bring the key that it is checked with.
		{"OwnKeyInHeader", mint(t, jwt.SigningMethodRS256, attacker, map[string]any{"kid": "k2", "jwk": jwk}, g.claims(nil)), auth.ReasonSignature},
		{"OwnKeyByURL", mint(t, jwt.SigningMethodRS256, attacker,
			map[string]any{"kid": "k2", "jku": "https://evil.example/keys", "x5u": "https://evil.example/cert"}, g.claims(nil)), auth.ReasonSignature},
		{"Garbage", "eyJ.eyJ.x", auth.ReasonMalformed},
		{"ForgedClaims", strings.Replace(good, strings.Split(good, ".")[1],
			base64.RawURLEncoding.EncodeToString([]byte(`{"app":"acme","sub":"root","exp":9999999999}`)), 1), auth.ReasonSignature},
	} {
		t.Run(tc.name, func(t *testing.T) {
			result := fmt.Sprintf("result=%q", tc.reason)
			before := g.counted(t, "signalbox_hellos_total", result)
			s := g.meet(t)
			s.refused(fmt.Sprintf(`"type":"hello","token":%q`, tc.token), wire.CodeUnauthorized)
			s.requireClosed(wire.CloseUnauthorized)
			require.Equal(t, before+1, g.counted(t, "signalbox_hellos_total", result))
			g.stillServes(t)
		})
	}
	s := g.meet(t)
	s.ok(fmt.Sprintf(`"type":"hello","token":%q`, good), new(wire.Welcome))
	s = g.meet(t) // headers that are not looked at do not spoil a good one either
	s.ok(fmt.Sprintf(`"type":"hello","token":%q`, hs256(map[string]any{"kid": "k1", "jku": "https://evil.example"}, g.claims(nil))), new(wire.Welcome))
	require.NotContains(t, g.log.String(), "eyJ", "no token in the log")
}

// Row 17: a token in the address would be in the log of every proxy on the way.
func TestHardeningQueryToken(t *testing.T) {
	g := newTarget(t)
	token := g.token(t, nil)
	status, text := g.answer(t, upgrade("/v1/connect?token="+token, "gateway"))
	require.Equal(t, http.StatusUnauthorized, status)
	require.NotContains(t, text, token)
	require.NotContains(t, g.log.String(), token)
	require.Contains(t, g.log.String(), "handshake refused", "the log would have shown it")
	g.stillServes(t)
}

// Row 19: a connection would outlive the right to it.
func TestHardeningTokenExpires(t *testing.T) {
	g := newTarget(t)
	s := g.meet(t)
	s.ok(fmt.Sprintf(`"type":"hello","token":%q`, g.token(t, map[string]any{"exp": time.Now().Unix() + 2})), new(wire.Welcome))
	s.ok(`"type":"join","room":"r"`, new(wire.Snapshot))
	s.requireClosed(wire.CloseExpired)
	until(t, func() bool { return g.counted(t, "signalbox_seats") == 0 }, "its seat is given up")
	g.stillServes(t)
}

// Rows 20 to 29, as they come to the whole gateway; pkg/ws tries all of them.
func TestHardeningFrames(t *testing.T) {
	g := newTarget(t)
	masked := func(first byte, size int, payload []byte) []byte { // with a mask of zeros
		b := append([]byte{first}, 0x80|127)
		b = binary.BigEndian.AppendUint64(b, uint64(size))
		return append(append(b, 0, 0, 0, 0), payload...)
	}
	var flood []byte
	flood = append(flood, 0x01, 0x80, 0, 0, 0, 0)
	for range 10_000 {
		flood = append(flood, 0x00, 0x81, 0, 0, 0, 0, ' ')
	}
	for _, tc := range []struct {
		name string
		send []byte
		code wire.CloseCode
	}{
		{"Unmasked", []byte("\x81\x02{}"), wire.CloseProtocolError},
		{"ReservedBit", []byte("\xc1\x82\x00\x00\x00\x00{}"), wire.CloseProtocolError},
		{"ReservedOpcode", []byte("\x83\x82\x00\x00\x00\x00{}"), wire.CloseProtocolError},
		{"OneMiB", masked(0x81, 1<<20, bytes.Repeat([]byte("x"), 1<<20)), wire.CloseTooLarge},
		{"LengthOf8EiB", masked(0x81, 1<<62, []byte("{}")), wire.CloseTooLarge},
		{"FragmentedFlood", flood, wire.ClosePolicy},
		{"InvalidUTF8", []byte("\x81\x82\x00\x00\x00\x00\xff\xfe"), wire.CloseInvalidUTF8},
		{"Binary", []byte("\x82\x82\x00\x00\x00\x00{}"), wire.CloseUnsupportedData},
		{"PingFlood", bytes.Repeat([]byte("\x89\x80\x00\x00\x00\x00"), 10_000), wire.ClosePolicy},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, _ := g.enter(t)
			s.ok(`"type":"join","room":"r"`, new(wire.Snapshot))
			s.raw(tc.send)
			s.requireClosed(tc.code)
			until(t, func() bool { return g.counted(t, "signalbox_seats") == 0 }, "its seat is given up")
			g.stillServes(t)
		})
	}
}

// Rows 30 to 33: messages that say nothing, or say it wrongly. Each is refused with a code, and the connection stays.
func TestHardeningMessages(t *testing.T) {
	g := newTarget(t)
	publish := `"type":"publish","room":"r","data":`
	for _, tc := range []struct {
		name, text string // %d stands for the next id
		code       wire.Code
	}{
		// Row 30.
		{"Empty", ``, wire.CodeBadRequest},
		{"Whitespace", " \t\n", wire.CodeBadRequest},
		{"Null", `null`, wire.CodeBadRequest},
		{"Array", `[]`, wire.CodeBadRequest},
		{"String", `"x"`, wire.CodeBadRequest},
		{"NaN", `NaN`, wire.CodeBadRequest},
		{"NotJSON", `hello`, wire.CodeBadRequest},
		{"CutOff", `{"id":%d,"type":"ping"`, wire.CodeBadRequest},
		{"TwoMessages", `{"id":%d,"type":"ping"}{}`, wire.CodeBadRequest},
		// Row 31: a proxy or another implementation may take the first of two fields where we take the last.
		{"DuplicateKey", `{"id":%d,"type":"ping","type":"hello"}`, wire.CodeBadRequest},
		{"CaseOfType", `{"id":%d,"Type":"ping"}`, wire.CodeBadRequest},
		{"CaseOfValue", `{"id":%d,"type":"PING"}`, wire.CodeBadRequest},
		// Row 32: the stack, or the time, of a parser that recurses or converts.
		{"DeepNesting", `{"id":%d,` + publish + strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000) + `}`, wire.CodeBadRequest},
		{"DeepObjects", `{"id":%d,` + publish + strings.Repeat(`{"a":`, 9_000) + `1` + strings.Repeat("}", 9_000) + `}`, wire.CodeBadRequest},
		{"HugeID", `{"id":99999999999999999999,"type":"ping"}`, wire.CodeBadRequest},
		{"ExponentID", `{"id":1e9,"type":"ping"}`, wire.CodeBadRequest},
		{"FractionID", `{"id":2.5,"type":"ping"}`, wire.CodeBadRequest},
		{"NegativeID", `{"id":-1,"type":"ping"}`, wire.CodeBadRequest},
		{"StringID", `{"id":"7","type":"ping"}`, wire.CodeBadRequest},
		{"NoID", `{"type":"ping"}`, wire.CodeBadRequest},
		{"IDGoesBack", `{"id":1,"type":"ping"}`, wire.CodeBadRequest},
		{"LoneSurrogateInName", `{"id":%d,"type":"hello","app":"demo","name":"\ud800"}`, wire.CodeBadRequest},
		{"ManyKeys", `{"id":%d,"type":"ping"` + keys(100) + `}`, wire.CodeBadRequest},
		// Row 33: what only a server sends, or a later version.
		{"UnknownType", `{"id":%d,"type":"teleport"}`, wire.CodeBadRequest},
		{"ServerOnlyType", `{"id":%d,"type":"joined-peer","room":"r"}`, wire.CodeBadRequest},
		{"Reply", `{"re":1,"ok":{}}`, wire.CodeBadRequest},
		{"WrongTypes", `{"id":%d,"type":"publish","room":1,"data":1}`, wire.CodeBadRequest},
		{"NumberForFlag", `{"id":%d,` + publish + `1,"echo":1}`, wire.CodeBadRequest},
		{"MissingField", `{"id":%d,"type":"publish","room":"r"}`, wire.CodeBadRequest},
		{"SignalIsNoObject", `{"id":%d,"type":"signal","room":"r","to":"x","data":"sdp"}`, wire.CodeBadRequest},
		{"LongTopic", `{"id":%d,` + publish + `1,"topic":"` + strings.Repeat("t", 65) + `"}`, wire.CodeBadRequest},
		{"LongStateKey", `{"id":%d,"type":"state","room":"r","state":{"` + strings.Repeat("k", 65) + `":1}}`, wire.CodeBadRequest},
		{"LargeState", `{"id":%d,"type":"state","room":"r","state":{"k":"` + strings.Repeat("x", 5000) + `"}}`, wire.CodeTooLarge},
		{"ManyStateKeys", `{"id":%d,"type":"state","room":"r","state":{"a":1` + keys(40) + `}}`, wire.CodeTooLarge},
		{"MutedByOneself", `{"id":%d,"type":"state","room":"r","state":{"mutedAudio":false}}`, wire.CodeForbidden},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, _ := g.enter(t)
			s.ok(`"type":"join","room":"r"`, new(wire.Snapshot))
			text := strings.Replace(tc.text, "%d", "3", 1)
			before := g.scripts(t)
			s.say(text)
			reply := s.reply()
			require.NotNil(t, reply.Err, "was taken")
			require.Equal(t, tc.code, reply.Err.Code, reply.Err.Message)
			require.Less(t, len(reply.Err.Message), 300)
			require.Equal(t, before, g.scripts(t), "Redis was asked")
			s.id = 10
			s.ok(`"type":"ping","of-a-later-version":{"x":[1]}`, new(wire.Pong)) // unknown fields are ignored
			s.ok(`"type":"leave","room":"r"`, new(wire.Done))
			_ = s.Close()
			g.stillServes(t)
		})
	}
	t.Run("Numbers", func(t *testing.T) {
		// What is the application's passes as it came: nobody makes a float of it on the way.
		ada := connect(t, g.gateway, "Ada")
		ada.mustJoin(t, "numbers")
		s, _ := g.enter(t)
		s.ok(`"type":"join","room":"numbers"`, new(wire.Snapshot))
		const data = `[1e999,123456789012345678901234567890,"\ud800",-0.0]`
		s.ok(publish[:len(publish)-len(`"r","data":`)]+`"numbers","data":`+data, new(wire.Done))
		require.Equal(t, data, string(ada.await(t, wire.TypeMessage).Body.(*wire.Message).Data))
	})
	t.Run("TooMany", func(t *testing.T) {
		s, _ := g.enter(t)
		for range 60 {
			s.raw([]byte("\x81\x81\x00\x00\x00\x00x"))
		}
		s.requireClosed(wire.CloseBadMessages)
		g.stillServes(t)
	})
}

// keys are fields of an object that has one already.
func keys(count int) string {
	var b strings.Builder
	for i := range count {
		fmt.Fprintf(&b, `,"k%d":%d`, i, i)
	}
	return b.String()
}

// Row 34, and hello in the wrong place.
func TestHardeningOrderOfRequests(t *testing.T) {
	g := newTarget(t)
	s := g.meet(t)
	s.refused(`"type":"publish","room":"r","data":1`, wire.CodeUnauthorized)
	s.refused(`"type":"join","room":"r"`, wire.CodeUnauthorized)
	s.ok(`"type":"hello","app":"demo"`, new(wire.Welcome))
	s.refused(`"type":"hello","app":"demo"`, wire.CodeBadRequest)
	for _, request := range []string{
		`"type":"publish","room":"r","data":1`, `"type":"signal","room":"r","to":"x","data":{}`, `"type":"leave","room":"r"`,
		`"type":"state","room":"r","state":{}`, `"type":"peers","room":"r","list":true`,
		`"type":"room","room":"r","version":1,"locked":true`, `"type":"control","room":"r","action":"kick"`,
	} {
		s.refused(request, wire.CodeNotMember)
	}
	require.Zero(t, g.counted(t, "signalbox_seats"))
	g.stillServes(t)
}

// Row 35: a room's name becomes a part of keys, channels and logs.
func TestHardeningRoomNames(t *testing.T) {
	g := newTarget(t)
	s, _ := g.enter(t)
	before := g.scripts(t)
	for name, room := range map[string]string{
		"Empty": "", "Long": strings.Repeat("r", 129), "Huge": strings.Repeat("r", 60_000), "Path": "../x", "HashTag": "{tag}",
		"Colon": "a:b", "Slash": "other/room", "NUL": "a\x00b", "LineEnd": "a\r\nb", "RightToLeft": "a\u202eb", "Emoji": "\U0001F600",
		"Space": "a b", "Star": "*", "Quote": `a"b`, "Backslash": `a\b`, "NotASCII": "räum", "OtherTenant": "acme/r",
	} {
		t.Run(name, func(t *testing.T) {
			quoted, err := json.Marshal(room)
			require.NoError(t, err)
			s.tb = t
			s.refused(`"type":"join","room":`+string(quoted), wire.CodeBadRequest)
			s.refused(`"type":"publish","data":1,"room":`+string(quoted), wire.CodeBadRequest)
		})
	}
	require.Equal(t, before, g.scripts(t), "Redis was asked")
	s.tb = t
	s.ok(`"type":"join","room":"A-z0.9_~`+strings.Repeat("r", 120)+`"`, new(wire.Snapshot))
	require.Greater(t, g.scripts(t), before)
	g.stillServes(t)
}

// Names that would be shown to others.
func TestHardeningDisplayNames(t *testing.T) {
	g := newTarget(t)
	for name, display := range map[string]string{
		"Long": strings.Repeat("n", 129), "LineEnd": "a\nb", "Escape": "a\x1b[31m", "RightToLeft": "a\u202eb", "LineSeparator": "a\u2028b",
	} {
		t.Run(name, func(t *testing.T) {
			quoted, err := json.Marshal(display)
			require.NoError(t, err)
			s := g.meet(t)
			s.refused(`"type":"hello","app":"demo","name":`+string(quoted), wire.CodeBadRequest)
			s.ok(`"type":"hello","app":"demo","name":"Zoë 👩‍🚀"`, new(wire.Welcome))
			g.stillServes(t)
		})
	}
}

// Row 36.
func TestHardeningJoins(t *testing.T) {
	g := newTarget(t, func(c *app.Config) { c.Demo.Capacity, c.Rooms.PerSession = 2, 4 })
	s, _ := g.enter(t)
	var first, again wire.Snapshot
	s.ok(`"type":"join","room":"r"`, &first)
	s.ok(`"type":"join","room":"r"`, &again) // a second seat would take another one's
	require.Equal(t, first.Peers, again.Peers)
	require.Equal(t, 1, again.Count)
	for i := range 3 {
		s.ok(fmt.Sprintf(`"type":"join","room":"r%d"`, i), new(wire.Snapshot))
	}
	before := g.scripts(t)
	for i := range 50 { // each room costs memory here and in Redis
		s.refused(fmt.Sprintf(`"type":"join","room":"more-%d"`, i), wire.CodeLimit)
	}
	require.Equal(t, before, g.scripts(t), "Redis was asked")
	s.ok(`"type":"leave","room":"r0"`, new(wire.Done)) // the limit is of rooms at once
	s.ok(`"type":"join","room":"r9"`, new(wire.Snapshot))
	second, _ := g.enter(t)
	second.ok(`"type":"join","room":"r"`, new(wire.Snapshot))
	third, _ := g.enter(t)
	third.refused(`"type":"join","room":"r"`, wire.CodeRoomFull)
	third.refused(`"type":"join","room":"s","capacity":100000`, wire.CodeLimit)
	g.stillServes(t)
}
