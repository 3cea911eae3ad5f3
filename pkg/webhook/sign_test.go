package webhook_test

import (
	"encoding/base64"
	"net/http"
	"strconv"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/signalbox-rtc/signalbox/pkg/webhook/standard"
)

// What is signed here is what the library of Standard Webhooks accepts, by each of two keys, and nothing else.
func TestSignatureAgainstTheLibrary(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.SliceOfN(rapid.Byte(), 24, 64)
		keys := [][]byte{key.Draw(t, "key"), key.Draw(t, "next key")}
		id := rapid.StringMatching(`batch_[A-Z2-7]{26}`).Draw(t, "id")
		body := rapid.SliceOf(rapid.Byte()).Draw(t, "body")
		now := time.Now()
		header := http.Header{}
		header.Set(standard.HeaderID, id)
		header.Set(standard.HeaderTimestamp, strconv.FormatInt(now.Unix(), 10))
		header.Set(standard.HeaderSignature, standard.Sign(keys, id, now, body))
		for _, key := range keys {
			receiver, err := standardwebhooks.NewWebhook("whsec_" + base64.StdEncoding.EncodeToString(key))
			require.NoError(t, err)
			require.NoError(t, receiver.Verify(body, header))
			require.Error(t, receiver.Verify(append([]byte("x"), body...), header))
		}
		other, err := standardwebhooks.NewWebhook("whsec_" + base64.StdEncoding.EncodeToString(append([]byte("other"), keys[0]...)))
		require.NoError(t, err)
		require.Error(t, other.Verify(body, header))
	})
}
