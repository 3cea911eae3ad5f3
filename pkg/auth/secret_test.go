package auth_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/signalbox-rtc/signalbox/pkg/auth"
)

// Each row is a way in which a secret has reached a log somewhere.
func TestSecretDoesNotShowItself(t *testing.T) {
	const value = "do-not-show-this-secret-to-anybody"
	secret := auth.Secret(value)
	app := auth.App{ID: "x", Keys: []auth.Key{{ID: "k", Algorithm: auth.HS256, Secret: secret}}}
	verifier := mustNew(t, auth.Options{Apps: []auth.App{app}})
	marshal := func(marshal func(any) ([]byte, error), v any) string {
		data, err := marshal(v)
		require.NoError(t, err)
		return string(data)
	}
	log := func(handler func(*bytes.Buffer) slog.Handler, v any) string {
		var out bytes.Buffer
		slog.New(handler(&out)).Info("config", "value", v)
		return out.String()
	}
	asText := func(out *bytes.Buffer) slog.Handler { return slog.NewTextHandler(out, nil) }
	asJSON := func(out *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(out, nil) }
	for name, text := range map[string]string{
		"String":            secret.String(),
		"%v":                fmt.Sprintf("%v", secret),
		"%+v":               fmt.Sprintf("%+v", secret),
		"%#v":               fmt.Sprintf("%#v", secret),
		"%s":                fmt.Sprintf("%s", secret),
		"%q":                fmt.Sprintf("%q", secret),
		"%x":                fmt.Sprintf("%x", secret),
		"% X":               fmt.Sprintf("% X", secret),
		"%d":                fmt.Sprintf("%d", secret),
		"pointer":           fmt.Sprintf("%v", &secret),
		"struct, %v":        fmt.Sprintf("%v", app),
		"struct, %+v":       fmt.Sprintf("%+v", app),
		"struct, %#v":       fmt.Sprintf("%#v", app),
		"verifier, %+v":     fmt.Sprintf("%+v", verifier),
		"verifier, %#v":     fmt.Sprintf("%#v", verifier),
		"JSON":              marshal(json.Marshal, app),
		"YAML":              marshal(yaml.Marshal, app),
		"slog text":         log(asText, secret),
		"slog JSON":         log(asJSON, secret),
		"slog text, inside": log(asText, app),
		"slog JSON, inside": log(asJSON, app),
		"JSON of a map":     marshal(json.Marshal, map[string]any{"secret": secret}),
	} {
		t.Run(name, func(t *testing.T) {
			require.NotContains(t, text, value)
			require.NotContains(t, text, fmt.Sprintf("%x", value))
			require.NotContains(t, text, fmt.Sprintf("%v", []byte(value)))
		})
	}
	t.Run("it is hidden and not just gone", func(t *testing.T) {
		require.Equal(t, "(hidden)", fmt.Sprint(secret))
		require.JSONEq(t, `"(hidden)"`, marshal(json.Marshal, secret))
		require.YAMLEq(t, `"(hidden)"`, marshal(yaml.Marshal, secret))
		require.Contains(t, log(asJSON, secret), `"value":"(hidden)"`)
		require.Contains(t, marshal(yaml.Marshal, app), "secret: (hidden)")
	})
	t.Run("an empty one shows that it is empty", func(t *testing.T) {
		require.Empty(t, fmt.Sprint(auth.Secret("")))
		require.Equal(t, `""`, marshal(json.Marshal, auth.Secret("")))
	})
	t.Run("the value is there for who asks", func(t *testing.T) {
		require.Equal(t, value, string(secret))
		var back auth.Key
		require.NoError(t, yaml.Unmarshal([]byte("secret: "+value), &back))
		require.Equal(t, secret, back.Secret)
	})
}
