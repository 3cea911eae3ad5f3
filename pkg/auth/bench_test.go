package auth_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/auth"
)

func BenchmarkVerify(b *testing.B) {
	v := mustNew(b, auth.Options{Apps: testApps()})
	for _, algorithm := range auth.Algorithms {
		b.Run(algorithm, func(b *testing.B) {
			token, err := auth.Sign(pairs()[algorithm].private, auth.Claims{
				App: acme, User: "u-1", Name: "Ada", IssuedAt: noon, Expires: noon.Add(time.Hour),
				Grants:   []auth.Grant{{Room: "team-*", Can: auth.Permissions{Publish: true}}, {Room: "lobby"}},
				Audience: []string{"signalbox"}, Issuer: "https://acme.example",
			})
			require.NoError(b, err)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.Verify(token); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	// What a stranger can make us spend without a key.
	b.Run("refused signature", func(b *testing.B) {
		token := rawToken(b, pairs()[auth.HS256].private, goodHeader().json(), goodPayload().json())
		token = token[:len(token)-8] + "AAAAAAAA"
		b.ReportAllocs()
		for b.Loop() {
			if _, err := v.Verify(token); err == nil {
				b.Fatal("accepted")
			}
		}
	})
}

func BenchmarkIdentityRoom(b *testing.B) {
	id := &auth.Identity{Grants: []auth.Grant{{Room: "lobby"}, {Room: "team-*"}, {Room: "*"}}}
	b.ReportAllocs()
	for b.Loop() {
		id.Room("team-1")
	}
}

func BenchmarkOriginAllowed(b *testing.B) {
	v := mustNew(b, auth.Options{Apps: []auth.App{{ID: "x", Anonymous: true, Origins: []string{"https://a.example", "https://*.b.example"}}}})
	b.ReportAllocs()
	for b.Loop() {
		v.OriginAllowed("https://app.b.example")
	}
}
