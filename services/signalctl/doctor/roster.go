package doctor

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/signalbox-rtc/signalbox/pkg/cluster"
	"github.com/signalbox-rtc/signalbox/pkg/store"
)

// roster looks at who is there.
func (e *examination) roster(found *store.Examination) {
	if found.RosterErr != nil {
		e.add("nodes", Fail, "", found.RosterErr.Error(), "The server that has the roster does not answer, and all leases end: see redis above.")
		return
	}
	e.names = []string{}
	var draining, lapsed []string
	versions := make(map[string]int)
	shortest := time.Duration(0)
	for i := range found.Nodes {
		n := &found.Nodes[i]
		var told cluster.Node
		if json.Unmarshal(n.Info, &told) != nil || told.Name == "" {
			told.Name = n.ID
		}
		if n.Lease <= 0 {
			lapsed = append(lapsed, told.Name)
			continue
		}
		if shortest == 0 || n.Lease < shortest {
			shortest = n.Lease
		}
		e.names = append(e.names, told.Name)
		versions[told.Version]++
		if told.Load.Draining {
			draining = append(draining, told.Name)
		}
	}
	slices.Sort(e.names)
	e.members(shortest, draining, lapsed, found.Condemned)
	e.versions(versions)
}

func (e *examination) members(shortest time.Duration, draining, lapsed []string, condemned int64) {
	figure := fmt.Sprintf("%d: %s", len(e.names), strings.Join(e.names, ", "))
	if len(draining) > 0 {
		figure += "; draining: " + strings.Join(draining, ", ")
	}
	const remedy = "Seats of those that died are given up about a lease later. If it stays so, look at the log of the gateways that are left. docs/runbooks/SignalboxNodeDied.md goes on."
	switch {
	case len(e.names) == 0:
		e.add("nodes", Fail, "0", "no gateway has a lease", "Start the gateways. If some run, their log says why they do not reach this Redis.")
	case len(lapsed) > 0:
		e.add("nodes", Warn, figure, "the lease has ended of: "+strings.Join(lapsed, ", "), remedy)
	case condemned > 0:
		e.add("nodes", Warn, figure, fmt.Sprintf("the seats of %d dead gateways are being given up", condemned), remedy)
	case len(draining) == len(e.names):
		e.add("nodes", Fail, figure, "all gateways are draining: nobody takes new clients", "Start gateways.")
	default:
		e.ok("nodes", fmt.Sprintf("%s; the shortest lease runs for %s", figure, short(shortest)))
	}
}

// versions judges whether all gateways, and this program, are of one.
func (e *examination) versions(counts map[string]int) {
	if len(counts) == 0 {
		return
	}
	var parts []string
	for version := range counts {
		parts = append(parts, fmt.Sprintf("%d of %s", counts[version], version))
	}
	slices.Sort(parts)
	figure := strings.Join(parts, ", ")
	switch {
	case len(counts) > 1:
		e.add("versions", Warn, figure, "gateways of several versions run", "Finish the rollout, or take it back. docs/runbooks/SignalboxVersionSkew.md goes on.")
	case e.opts.Version != "" && counts[e.opts.Version] == 0:
		e.add("versions", Warn, figure+"; signalctl: "+e.opts.Version, "signalctl is of another version than the gateways", "Use the signalctl that was built with the gateways.")
	default:
		e.ok("versions", figure)
	}
}
