package auth

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Time is an instant in whole seconds since 1970, which is written as RFC 3339 has it: "2030-01-31T12:00:00Z". 0 is none.
type Time int64

// TimeOf gives an instant, the zero time as none.
func TimeOf(t time.Time) Time {
	if t.IsZero() {
		return 0
	}
	return Time(t.Unix())
}

// Time gives the instant in UTC, and the zero time for none.
func (t Time) Time() time.Time {
	if t == 0 {
		return time.Time{}
	}
	return time.Unix(int64(t), 0).UTC()
}

// String gives the text, and "" for none.
func (t Time) String() string {
	if t == 0 {
		return ""
	}
	return t.Time().Format(time.RFC3339)
}

// MarshalText implements [encoding.TextMarshaler], which JSON and YAML use.
func (t Time) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler]. A part of a second is cut off.
func (t *Time) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*t = 0
		return nil
	}
	parsed, err := time.Parse(time.RFC3339, string(text))
	if err != nil || parsed.Unix() <= 0 {
		return errors.New("not a time of RFC 3339, such as 2030-01-31T12:00:00Z")
	}
	*t = Time(parsed.Unix())
	return nil
}

// Over reports whether what ends at the instant has ended: what ends never has not.
func (t Time) Over(now time.Time) bool { return t != 0 && now.Unix() >= int64(t) }

// expiries tell when the next key of the directory's enabled apps expires, at each scrape anew: a directory does not change when one does.
func (d *Directory) expiries() []prometheus.Collector {
	gauge := func(kind string, visit func(a *App, see func(Time))) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name:        "signalbox_app_key_expiry_timestamp_seconds",
			Help:        "When the next key of an app expires, as a Unix time, by kind: signing (of tokens) or api (of the server API). Those that have expired are not looked at; 0 if none will.",
			ConstLabels: prometheus.Labels{"kind": kind},
		}, func() float64 {
			var next Time
			v := d.current.Load()
			for _, a := range v.apps {
				if a.disabled {
					continue
				}
				visit(&a.source, func(t Time) {
					if t != 0 && !t.Over(v.now()) && (next == 0 || t < next) {
						next = t
					}
				})
			}
			return float64(next)
		})
	}
	return []prometheus.Collector{
		gauge("signing", func(a *App, see func(Time)) {
			for i := range a.Keys {
				see(a.Keys[i].Expires)
			}
		}),
		gauge("api", func(a *App, see func(Time)) {
			for i := range a.APIKeys {
				see(a.APIKeys[i].Expires)
			}
		}),
	}
}
