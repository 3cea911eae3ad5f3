// Package scenario holds the loads: what clients do, how often, and what is looked at meanwhile. None knows a protocol.
package scenario

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// The kinds of scenarios.
const (
	Idle   = "idle"
	Call   = "call"
	Fanout = "fanout"
	Join   = "join"
	Mixed  = "mixed"
	Herd   = "herd"
	Soak   = "soak"
)

// Kinds lists them.
var Kinds = []string{Idle, Call, Fanout, Join, Mixed, Herd, Soak}

// Settings say what a scenario does. A zero field means the default of its kind; see Defaults.
type Settings struct {
	Kind string `yaml:"kind" json:"kind"`
	Name string `yaml:"name" json:"name"`

	// How long, and how much.
	WarmUp   time.Duration `yaml:"warmup" json:"warmup"`
	Duration time.Duration `yaml:"duration" json:"duration"`
	Rate     float64       `yaml:"rate" json:"rate"`       // units of work a second, an open loop; 0: as fast as Workers can
	Uniform  bool          `yaml:"uniform" json:"uniform"` // evenly spaced arrivals in place of a Poisson process
	Workers  int           `yaml:"workers" json:"workers"` // of a closed loop
	Most     int           `yaml:"most" json:"most"`       // units under way at once in an open loop
	Seed     uint64        `yaml:"seed" json:"seed"`

	// Who.
	Nodes int `yaml:"nodes" json:"nodes"`
	// Primaries are those of a Redis Cluster that the nodes share; 0: a single Redis.
	Primaries int `yaml:"primaries" json:"primaries,omitempty"`
	Clients   int `yaml:"clients" json:"clients"`
	// Processes hold the connections of an idle load: this one, or so many of its children if there is more than 1.
	Processes int `yaml:"processes" json:"processes"`
	Capacity  int `yaml:"capacity" json:"capacity"`
	Sources   int `yaml:"sources" json:"sources"` // source addresses, from 127.0.0.1 on

	// What of each kind.
	Seats        bool          `yaml:"seats" json:"seats"`                 // idle, herd: everybody has a seat in a room
	ConnectRate  float64       `yaml:"connect_rate" json:"connect_rate"`   // connections a second while the load is built up
	Fresh        bool          `yaml:"fresh" json:"fresh"`                 // call: new connections for each
	SDPBytes     int           `yaml:"sdp_bytes" json:"sdp_bytes"`         // call
	Candidates   int           `yaml:"candidates" json:"candidates"`       // call: of both parties together
	Gap          time.Duration `yaml:"gap" json:"gap"`                     // call: between two candidates of a party
	Publishers   int           `yaml:"publishers" json:"publishers"`       // fanout
	Window       int           `yaml:"window" json:"window"`               // fanout: messages of a publisher under way
	PayloadBytes int           `yaml:"payload_bytes" json:"payload_bytes"` // fanout, mixed
	Rounds       int           `yaml:"rounds" json:"rounds"`               // join: races of all clients for one room; 0: join and leave
	GrowthLimit  float64       `yaml:"growth_limit" json:"growth_limit"`   // soak: memory at the end over that after a quarter
	Patience     time.Duration `yaml:"patience" json:"patience"`           // for one unit of work, and for the last messages
}

// defaults of each kind.
var defaults = map[string]Settings{
	Idle: {Duration: 10 * time.Second, Clients: 1000, ConnectRate: 1000},
	Call: {
		WarmUp: 2 * time.Second, Duration: 10 * time.Second, Clients: 128, Workers: 64, Most: 2000,
		SDPBytes: 2500, Candidates: 20, ConnectRate: 1000,
	},
	Fanout: {
		WarmUp: 2 * time.Second, Duration: 10 * time.Second, Clients: 100, Capacity: 100, Publishers: 4, Window: 4, Most: 2000,
		PayloadBytes: 1024, ConnectRate: 1000,
	},
	Join: {WarmUp: 2 * time.Second, Duration: 10 * time.Second, Clients: 128, Workers: 128, Most: 2000, ConnectRate: 1000},
	Mixed: {
		WarmUp: 2 * time.Second, Duration: 60 * time.Second, Rate: 30, Most: 2000, Capacity: 8,
		SDPBytes: 2500, Candidates: 20, Gap: 20 * time.Millisecond, PayloadBytes: 250,
	},
	Herd: {Duration: 60 * time.Second, Clients: 1000, Seats: true, ConnectRate: 400},
	Soak: {
		WarmUp: 10 * time.Second, Duration: time.Hour, Rate: 20, Most: 2000, Capacity: 8,
		SDPBytes: 2500, Candidates: 20, Gap: 20 * time.Millisecond, PayloadBytes: 250, GrowthLimit: 1.3,
	},
}

// Defaults gives the settings of a kind that says nothing else.
func Defaults(kind string) (Settings, error) {
	s, ok := defaults[kind]
	if !ok {
		return Settings{}, fmt.Errorf("there is no scenario of kind %q; there are %s", kind, strings.Join(Kinds, ", "))
	}
	s.Kind, s.Name = kind, kind
	s.Nodes, s.Processes, s.Sources, s.Seed, s.Patience = 2, 1, 1, 1, 20*time.Second
	if s.Capacity == 0 {
		s.Capacity = 2
	}
	return s, nil
}

// Decode reads a scenario file: its kind, and what is to be other than the defaults of the kind.
func Decode(text io.Reader) (Settings, error) {
	raw, err := io.ReadAll(text)
	if err != nil {
		return Settings{}, err
	}
	var head struct {
		Kind string `yaml:"kind"`
	}
	if err := yaml.Unmarshal(raw, &head); err != nil {
		return Settings{}, err
	}
	s, err := Defaults(head.Kind)
	if err != nil {
		return Settings{}, err
	}
	if err := DecodeStrict(raw, &s); err != nil {
		return Settings{}, err
	}
	return s, s.Validate()
}

// DecodeStrict reads YAML that may have nothing but what there are fields for.
func DecodeStrict(text []byte, into any) error {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	return decoder.Decode(into)
}

// Flags registers a flag for every setting, with the settings as they are for its default.
func (s *Settings) Flags(flags *flag.FlagSet) {
	flags.StringVar(&s.Name, "name", s.Name, "name of the run in reports")
	flags.DurationVar(&s.WarmUp, "warmup", s.WarmUp, "work before the measurement begins; of idle: hold before it")
	flags.DurationVar(&s.Duration, "duration", s.Duration, "length of the measurement; of idle: of the hold")
	flags.Float64Var(&s.Rate, "rate", s.Rate, "units of work a second, begun whether or not earlier ones have ended; 0: as fast as -workers can")
	flags.BoolVar(&s.Uniform, "uniform", s.Uniform, "evenly spaced arrivals in place of a Poisson process")
	flags.IntVar(&s.Workers, "workers", s.Workers, "units of work under way without -rate")
	flags.IntVar(&s.Most, "most", s.Most, "units of work that may be under way with -rate")
	flags.Uint64Var(&s.Seed, "seed", s.Seed, "of what is left to chance")
	flags.IntVar(&s.Nodes, "nodes", s.Nodes, "servers to start")
	flags.IntVar(&s.Primaries, "primaries", s.Primaries, "primaries of a Redis Cluster to start for them; 0: a single Redis")
	flags.IntVar(&s.Clients, "clients", s.Clients, "connections")
	flags.IntVar(&s.Processes, "processes", s.Processes, "idle: processes that share the connections, each of which has its own limit of open files")
	flags.IntVar(&s.Capacity, "capacity", s.Capacity, "seats of a room")
	flags.IntVar(&s.Sources, "sources", s.Sources, "source addresses, from 127.0.0.1 on: each has some 28,000 ports")
	flags.BoolVar(&s.Seats, "seats", s.Seats, "idle, herd: everybody has a seat, -capacity in a room")
	flags.Float64Var(&s.ConnectRate, "connect-rate", s.ConnectRate, "connections a second while the load is built up")
	flags.BoolVar(&s.Fresh, "fresh", s.Fresh, "call: new connections for each call")
	flags.IntVar(&s.SDPBytes, "sdp-bytes", s.SDPBytes, "call: size of an offer or an answer")
	flags.IntVar(&s.Candidates, "candidates", s.Candidates, "call: candidates of both parties together")
	flags.DurationVar(&s.Gap, "gap", s.Gap, "call: time between two candidates of a party")
	flags.IntVar(&s.Publishers, "publishers", s.Publishers, "fanout: members who send")
	flags.IntVar(&s.Window, "window", s.Window, "fanout: messages of a publisher under way")
	flags.IntVar(&s.PayloadBytes, "payload-bytes", s.PayloadBytes, "fanout, mixed, soak: size of a message")
	flags.IntVar(&s.Rounds, "rounds", s.Rounds, "join: races of all clients for one room; 0: join and leave")
	flags.DurationVar(&s.Patience, "patience", s.Patience, "how long one unit of work, or the last messages, may take before they count as lost")
	flags.Float64Var(&s.GrowthLimit, "growth-limit", s.GrowthLimit, "soak: greatest memory at the end over that after a quarter; 0: any")
}

// The greatest load that one run may be.
const (
	mostClients   = 200_000
	mostRate      = 200_000
	mostNodes     = 64
	mostPrimaries = 64
	mostProcesses = 64
	mostTime      = 48 * time.Hour
	mostBytes     = 60_000
)

// Validate checks the settings.
func (s *Settings) Validate() error {
	var problems []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			problems = append(problems, fmt.Errorf(format, args...))
		}
	}
	check(slices.Contains(Kinds, s.Kind), "kind: there is no %q", s.Kind)
	check(s.Duration > 0 && s.Duration <= mostTime, "duration: from above 0 to %v", mostTime)
	check(s.WarmUp >= 0 && s.WarmUp <= mostTime, "warmup: from 0 to %v", mostTime)
	check(s.Rate >= 0 && s.Rate <= mostRate, "rate: from 0 to %d", mostRate)
	check(s.Patience > 0 && s.Patience <= time.Hour, "patience: from above 0 to 1h")
	check(s.Nodes >= 1 && s.Nodes <= mostNodes, "nodes: from 1 to %d", mostNodes)
	check(s.Primaries >= 0 && s.Primaries <= mostPrimaries, "primaries: from 0 to %d", mostPrimaries)
	check(s.Clients >= 0 && s.Clients <= mostClients, "clients: from 0 to %d", mostClients)
	check(s.Processes == 1 || s.Kind == Idle && s.Processes > 1 && s.Processes <= mostProcesses, "processes: 1, of idle up to %d", mostProcesses)
	check(s.Sources >= 1 && s.Sources <= 250, "sources: from 1 to 250")
	check(s.Capacity >= 1, "capacity: 1 or more")
	check(s.SDPBytes <= mostBytes && s.PayloadBytes <= mostBytes, "sizes: up to %d bytes", mostBytes)
	check(s.Candidates >= 0 && s.Gap >= 0, "candidates, gap: not below 0")
	switch s.Kind {
	case Call:
		check(s.Clients >= 2, "clients: a call has two")
		check(s.Capacity == 2, "capacity: a call's room has two seats")
		check(s.Rate > 0 || s.Workers >= 1, "workers: 1 or more without a rate")
	case Fanout:
		check(s.Clients >= 2 && s.Clients <= s.Capacity, "clients: from 2 to the room's capacity")
		check(s.Publishers >= 1 && s.Publishers <= s.Clients, "publishers: from 1 to the clients")
		check(s.Window >= 1, "window: 1 or more")
	case Join:
		check(s.Clients >= 2, "clients: 2 or more")
		check(s.Rate > 0 || s.Workers >= 1, "workers: 1 or more without a rate")
	case Mixed, Soak:
		check(s.Rate > 0, "rate: above 0")
	case Idle, Herd:
		check(s.Clients >= 1 && s.ConnectRate > 0, "clients, connect_rate: above 0")
	}
	return errors.Join(problems...)
}

// Chat reports whether rooms have many members, where a server has other rooms for that.
func (s *Settings) Chat() bool { return s.Kind == Fanout }

// Servers says in words how many there are.
func (s *Settings) Servers() string {
	text := fmt.Sprintf("%d nodes", s.Nodes)
	switch s.Primaries {
	case 0:
		return text
	case 1:
		return text + ", 1 primary"
	}
	return text + fmt.Sprintf(", %d primaries", s.Primaries)
}
