package plan

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/signalbox-rtc/signalbox/loadtest/internal/report"
	"github.com/signalbox-rtc/signalbox/loadtest/internal/scenario"
)

// WriteText writes what demands need, a column each, as Markdown, and what it follows from.
func (c *Constants) WriteText(to io.Writer, demands []Demand, m Machines) error {
	var text strings.Builder
	needs := make([]Need, len(demands))
	for i, d := range demands {
		needs[i] = c.Plan(d, m)
	}
	head := []string{"connections"}
	for _, d := range demands {
		head = append(head, whole(d.Connections))
	}
	t := report.NewTable(&text, head, 0)
	row := func(name string, cell func(Demand, Need) string) {
		cells := []string{name}
		for i, d := range demands {
			cells = append(cells, cell(d, needs[i]))
		}
		t.Line(cells...)
	}
	row("with a seat, in rooms", func(_ Demand, n Need) string { return whole(n.Seats) + " in " + whole(n.Rooms) })
	row("calls a second, relayed messages", func(d Demand, n Need) string { return plain(d.Calls) + ", " + whole(n.Messages) })
	row("chat messages a second, deliveries", func(d Demand, _ Need) string { return plain(d.Chat) + ", " + whole(d.Chat*d.Receivers) })
	row(fmt.Sprintf("**gateways** of %s cores and %s", plain(m.PodCores), plain(m.PodMiB/1024)+" GiB"), func(_ Demand, n Need) string { return "**" + whole(n.Gateways) + "**" })
	row("what binds them", func(_ Demand, n Need) string { return n.GatewaysBoundBy })
	row("gateway cores in use", func(_ Demand, n Need) string { return number(n.GatewayCores) })
	row("gateway memory in use", func(_ Demand, n Need) string { return memory(n.GatewayMiB) })
	row("connections a gateway", func(_ Demand, n Need) string { return whole(n.PodConnections) })
	row("open files a gateway", func(_ Demand, n Need) string { return whole(n.PodFiles) })
	row(fmt.Sprintf("**Redis primaries** of one core and %s GiB", plain(m.RedisMiB/1024)), func(_ Demand, n Need) string { return "**" + whole(n.RedisPrimaries) + "**" })
	row("what binds them", func(_ Demand, n Need) string { return n.PrimariesBoundBy })
	row("Redis cores in use", func(_ Demand, n Need) string { return number(n.RedisCores) })
	row("Redis memory in use", func(_ Demand, n Need) string { return memory(n.RedisMiB) })
	row("published messages a second", func(_ Demand, n Need) string { return whole(n.Published) })
	row("clients to gateways, and back", func(_ Demand, n Need) string { return bandwidth(n.SentBytes) + ", " + bandwidth(n.ReceivedBytes) })
	row("gateways to Redis, and back", func(_ Demand, n Need) string { return bandwidth(n.RedisInBytes) + ", " + bandwidth(n.RedisOutBytes) })
	if err := t.Flush(); err != nil {
		return err
	}
	first := demands[0]
	fmt.Fprintf(&text, "\nRooms of %s, connections that stand for %v, chat messages of %s bytes for %s receivers; %.0f %% of cores and memory in use;\n"+
		"messages at the pace %q.\n\nMeasured: %s.\n", plain(first.Members), short(first.Session), whole(first.ChatBytes), plain(first.Receivers), m.Utilisation*100, cmp.Or(m.Pace, Trickle), c.Measured)
	_, err := io.WriteString(to, text.String())
	return err
}

// WriteCosts writes the constants as a table.
func (c *Constants) WriteCosts(to io.Writer) error {
	var text strings.Builder
	t := report.NewTable(&text, []string{"what", "gateway CPU, µs", "Redis CPU, µs", "bytes sent", "received", "to Redis", "from Redis", "published"}, 0)
	line := func(name string, cost Cost) {
		cells := []string{name}
		for _, part := range cost.parts() {
			cells = append(cells, number(*part))
		}
		t.Line(cells...)
	}
	for _, pace := range Paces {
		line("message to a peer, "+string(pace), c.Rates[pace].Message)
	}
	for _, pace := range []Pace{Trickle, Saturated} {
		line("join and leave, "+string(pace), c.Rates[pace].Join)
		line("delivery of a broadcast to one more receiver, "+string(pace), c.Rates[pace].Delivery)
	}
	line("broadcast's bytes, without its payload and deliveries", c.Broadcast)
	line("broadcast's way to one more gateway", c.Inbox)
	line("connection made and ended", c.Connect)
	line("second of a silent connection", c.Connection)
	line("second of a gateway", c.Node)
	if err := t.Flush(); err != nil {
		return err
	}
	m := c.Memory
	fmt.Fprintln(&text)
	t = report.NewTable(&text, []string{"what is held", ""}, 0)
	t.Line("gateway without connections", number(m.GatewayMiB)+" MiB")
	t.Line("gateway that relays calls, beside connections", number(m.GatewayBusyMiB)+" MiB")
	t.Line("connection, awake", number(m.AwakeKiB)+" KiB")
	t.Line("connection, parked", number(m.ParkedKiB)+" KiB")
	t.Line("seat, on top, on the gateway", number(m.SeatKiB)+" KiB")
	t.Line("room in Redis", whole(m.RedisRoomBytes)+" bytes")
	t.Line("seat in Redis", whole(m.RedisSeatBytes)+" bytes")
	t.Line("message in a room's log, beside its payload", whole(m.RedisMessageBytes)+" bytes")
	t.Line("Redis without rooms", number(m.RedisMiB)+" MiB")
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := io.WriteString(to, text.String())
	return err
}

// WriteCheck writes a comparison of the model with runs.
func (c *Constants) WriteCheck(to io.Writer, results []*scenario.Result) error {
	var text strings.Builder
	t := report.NewTable(&text, []string{"run", "figure", "", "foretold", "measured", "foretold over measured"}, 0)
	for _, r := range results {
		compared, err := c.Check(r)
		if err != nil {
			return err
		}
		name := fmt.Sprintf("%s, %s", r.Settings.Name, r.Summary())
		for _, one := range compared {
			over := ""
			if one.Over() > 0 {
				over = fmt.Sprintf("%.2f", one.Over())
			}
			t.Line(name, one.What, one.Unit, number(one.Foretold), number(one.Measured), over)
			name = ""
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(&text, "\nMeasured: %s.\n", c.Measured)
	_, err := io.WriteString(to, text.String())
	return err
}

// whole writes a whole number with its thousands apart.
func whole(value float64) string {
	digits := fmt.Sprintf("%.0f", value)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// plain writes a number as it was given.
func plain(value float64) string {
	if value == math.Trunc(value) {
		return whole(value)
	}
	return strconv.FormatFloat(value, 'f', -1, 64)
}

// short leaves out the minutes and seconds that a duration does not have.
func short(d time.Duration) string {
	text := d.String()
	if d%time.Minute == 0 {
		text = strings.TrimSuffix(text, "0s")
	}
	if d%time.Hour == 0 {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

func number(value float64) string {
	switch {
	case value == 0:
		return "0"
	case value < 0.01:
		return fmt.Sprintf("%.4f", value)
	case value < 10:
		return fmt.Sprintf("%.2f", value)
	case value < 100:
		return fmt.Sprintf("%.1f", value)
	}
	return whole(value)
}

func memory(mib float64) string {
	if mib < 1024 {
		return number(mib) + " MiB"
	}
	return number(mib/1024) + " GiB"
}

func bandwidth(bytes float64) string {
	if m := megabits(bytes); m < 1000 {
		return number(m) + " Mbit/s"
	}
	return number(megabits(bytes)/1000) + " Gbit/s"
}
