package plan

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// Constants are what the model multiplies with. All of them come from runs; see From.
type Constants struct {
	Measured Measured `json:"measured"`

	// MessagesPerCall and JoinsPerCall are what a call of the load is made of.
	MessagesPerCall float64 `json:"messages_per_call"`
	JoinsPerCall    float64 `json:"joins_per_call"`

	Rates map[Pace]Rates `json:"rates"`

	Inbox      Cost `json:"inbox"`      // of a broadcast to one further gateway; bytes without the payload's
	Broadcast  Cost `json:"broadcast"`  // bytes of a broadcast to the first receiver, without the payload's
	Connect    Cost `json:"connect"`    // a connection made and ended
	Connection Cost `json:"connection"` // a second of one that does nothing
	Node       Cost `json:"node"`       // a second of a gateway: what it asks of Redis

	Memory Memory `json:"memory"`
}

// Pace is how work comes. The more of it comes at once, the less each piece costs: what waits is read, sent to Redis and
// written in batches.
type Pace string

// The paces, from the dearest on.
const (
	Trickle   Pace = "trickle"   // each message by itself, as browsers find their candidates
	Burst     Pace = "burst"     // a party's messages of a call right behind each other
	Saturated Pace = "saturated" // as much as servers bear
)

// Paces lists them.
var Paces = []Pace{Trickle, Burst, Saturated}

// Rates are costs that depend on the pace.
type Rates struct {
	Message  Cost `json:"message"`  // for one peer, on another gateway
	Join     Cost `json:"join"`     // and its leave
	Delivery Cost `json:"delivery"` // of a broadcast to one further receiver; bytes without the payload's
}

// Memory is what is held.
type Memory struct {
	GatewayMiB        float64 `json:"gateway_mib"`         // a gateway without connections
	GatewayBusyMiB    float64 `json:"gateway_busy_mib"`    // one that relays calls, beside its connections
	AwakeKiB          float64 `json:"awake_kib"`           // a connection that may talk at any moment
	ParkedKiB         float64 `json:"parked_kib"`          // one that has been silent
	SeatKiB           float64 `json:"seat_kib"`            // a connection's seat, on top
	GatewayFiles      float64 `json:"gateway_files"`       // open beside its connections
	RedisMiB          float64 `json:"redis_mib"`           // a Redis that serves gateways without clients
	RedisRoomBytes    float64 `json:"redis_room_bytes"`    // a room
	RedisSeatBytes    float64 `json:"redis_seat_bytes"`    // a seat in it
	RedisMessageBytes float64 `json:"redis_message_bytes"` // a message in a room's log, without its payload
}

// Measured says where constants come from.
type Measured struct {
	When     time.Time `json:"when"`
	Machine  string    `json:"machine"`
	Revision string    `json:"revision,omitempty"`
	Runs     int       `json:"runs"`
}

// String is for a line under a table.
func (m Measured) String() string {
	text := fmt.Sprintf("%d runs of %s on %s", m.Runs, m.When.UTC().Format("2006-01-02 15:04 MST"), m.Machine)
	if m.Revision != "" {
		text += ", revision " + m.Revision
	}
	return text
}

// ErrNoConstants is a file in which something that the model needs is missing.
var ErrNoConstants = errors.New("constants of the capacity model are missing: measure them with `make loadtest-plan-measure`")

// Read reads constants as Write has written them.
func Read(text []byte) (*Constants, error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	c := new(Constants)
	if err := decoder.Decode(c); err != nil {
		return nil, fmt.Errorf("%w (%w)", ErrNoConstants, err)
	}
	return c, c.validate()
}

// Write writes constants.
func (c *Constants) Write(to io.Writer) error {
	encoder := json.NewEncoder(to)
	encoder.SetIndent("", "  ")
	return encoder.Encode(c)
}

// validate looks at what no deployment does without.
func (c *Constants) validate() error {
	type figure struct {
		name  string
		value float64
	}
	needed := []figure{
		{"messages_per_call", c.MessagesPerCall}, {"joins_per_call", c.JoinsPerCall},
		{"connect.gateway_cpu_us", c.Connect.Gateway},
		{"memory.gateway_mib", c.Memory.GatewayMiB}, {"memory.awake_kib", c.Memory.AwakeKiB}, {"memory.parked_kib", c.Memory.ParkedKiB},
		{"memory.redis_mib", c.Memory.RedisMiB}, {"memory.redis_seat_bytes", c.Memory.RedisSeatBytes},
	}
	for _, pace := range Paces {
		r := c.Rates[pace]
		needed = append(needed, figure{fmt.Sprintf("rates.%s.message", pace), min(r.Message.Gateway, r.Message.Redis)},
			figure{fmt.Sprintf("rates.%s.join", pace), min(r.Join.Gateway, r.Join.Redis)},
			figure{fmt.Sprintf("rates.%s.delivery", pace), r.Delivery.Gateway})
	}
	for _, f := range needed {
		if !(f.value > 0) {
			return fmt.Errorf("%w (%s is %v)", ErrNoConstants, f.name, f.value)
		}
	}
	return nil
}
