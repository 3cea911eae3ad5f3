package redistest_test

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/internal/redistest"
)

// fatalTB is a testing.TB whose Fatalf is kept instead of failing the test.
type fatalTB struct {
	testing.TB
	message string
	skipped bool
}

func (tb *fatalTB) Fatalf(format string, args ...any) {
	tb.message = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

func (tb *fatalTB) SkipNow() { tb.skipped = true; runtime.Goexit() }

func TestMissingBinaryFailsAndSaysWhatToInstall(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	for name, begin := range map[string]func(testing.TB){
		"Single":   func(tb testing.TB) { redistest.Single(tb) },
		"Cluster":  func(tb testing.TB) { redistest.Cluster(tb, 3) },
		"Sentinel": func(tb testing.TB) { redistest.Sentinel(tb) },
	} {
		t.Run(name, func(t *testing.T) {
			fake := &fatalTB{TB: t}
			done := make(chan struct{})
			go func() {
				defer close(done)
				begin(fake)
			}()
			<-done
			require.False(t, fake.skipped)
			require.Contains(t, fake.message, "make deps")
			require.Contains(t, fake.message, "apt-get install redis-server")
		})
	}
}
