package quota

import (
	"encoding/json"
	"math"
)

// report is what a node tells of one app: for each kind what it uses, what it claims and what it was asked for, then the number of
// the app's rooms if the node has counted them, else -1.
type report [3*kinds + 1]float64

func (r *report) part(k kind) part { return part{used: r[3*k], claim: r[3*k+1], wanted: r[3*k+2]} }

func (r *report) set(k kind, p part) { r[3*k], r[3*k+1], r[3*k+2] = p.used, p.claim, p.wanted }

// rooms is the number of the app's rooms, and false if the node has not counted them.
func (r *report) rooms() (float64, bool) { return r[3*kinds], r[3*kinds] >= 0 }

// busy reports whether anything is used, or was made, of an app.
func (r *report) busy() bool {
	busy := r[3*kinds] > 0
	for k := range kinds {
		busy = busy || r.part(k).used > 0
	}
	return busy
}

// sane reports whether the numbers can be what a node tells: others' mistakes must not become this node's.
func (r *report) sane() bool {
	for i, value := range r {
		if math.IsNaN(value) || value < 0 && i < int(3*kinds) || value > maxNumber {
			return false
		}
	}
	return true
}

const maxNumber = 1e15

// told is what a node tells.
type told struct {
	Apps    map[string]json.RawMessage `json:"apps"`    // reports
	Holders []byte                     `json:"holders"` // holdings
}

// encode gives what a node tells of apps and of holders, as JSON.
func encode(apps []*App, holders []byte) []byte {
	reports := make(map[string]report, len(apps))
	for _, a := range apps {
		reports[a.id] = a.report()
	}
	data, err := json.Marshal(struct {
		Apps    map[string]report `json:"apps"`
		Holders []byte            `json:"holders"`
	}{reports, holders})
	if err != nil {
		panic(err) // of numbers that are none, which no report has
	}
	return data
}

// decode reads what the others have told: of apps by node, and of holders all together. Of what cannot be read nothing is known but that
// the node is there.
func decode(others map[string][]byte) (apps map[string]map[string]report, holders map[holderID]holding) {
	apps, holders = make(map[string]map[string]report, len(others)), make(map[holderID]holding)
	for node, data := range others {
		var all told
		if json.Unmarshal(data, &all) != nil {
			all = told{}
		}
		reports := make(map[string]report, len(all.Apps))
		for app, text := range all.Apps {
			var list []float64
			if json.Unmarshal(text, &list) != nil || len(list) != len(report{}) {
				continue // of another version
			}
			if r := report(list); r.sane() {
				reports[app] = r
			}
		}
		apps[node] = reports
		decodeHoldings(all.Holders, holders)
	}
	return apps, holders
}

// others is what the other nodes have told of one app.
type others struct {
	silent int // nodes that have told nothing of it
	parts  [kinds]part
	rooms  float64 // -1 if nobody has counted them
}

func view(app string, all map[string]map[string]report) others {
	o := others{rooms: -1}
	for _, reports := range all {
		r, ok := reports[app]
		if !ok {
			o.silent++
			continue
		}
		for k := range kinds {
			p := r.part(k)
			o.parts[k].used += p.used
			o.parts[k].claim += p.claim
			o.parts[k].wanted += p.wanted
		}
		if rooms, ok := r.rooms(); ok {
			o.rooms = max(o.rooms, rooms)
		}
	}
	return o
}
