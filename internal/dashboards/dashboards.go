// Package dashboards describes the Grafana dashboards of helm/signalbox/dashboards, of which their files are made:
// `make dashboards`. The shape of a file is Grafana's dashboard JSON model,
// https://grafana.com/docs/grafana/latest/dashboards/build-dashboards/view-dashboard-json-model/.
package dashboards

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// Dashboard is one dashboard.
type Dashboard struct {
	// Name is the file's, without .json; UID is signalbox-<Name>.
	Name        string
	Title       string
	Description string
	Rows        []Row
}

// Row is a line of a dashboard that can be folded.
type Row struct {
	Title string
	// Folded rows ask nothing until somebody opens them.
	Folded bool
	Panels []Panel
}

// Kind is how a panel shows what it has.
type Kind string

// The kinds of panels.
const (
	Lines   Kind = "timeseries"
	Number  Kind = "stat"
	Heatmap Kind = "heatmap"
	Table   Kind = "table"
)

// Panel is one picture.
type Panel struct {
	Title string
	// Description says what is to be seen, and what is well.
	Description string
	Kind        Kind
	// Unit is one of Grafana's: s, bytes, short, percentunit, ops ...
	Unit    string
	Queries []Query
	// Warn and Bad are from where on a value is yellow, and red. With Falling it is so below them.
	Warn, Bad float64
	Falling   bool
	// Stacked puts lines on top of each other.
	Stacked bool
	// Width is of 24 columns; 0 is 8, or 4 of a number.
	Width int
}

// Query is one question of a panel.
type Query struct {
	Expr   string
	Legend string
	// Quiet is set where a cluster that is well may have nothing to tell.
	Quiet bool
}

// Columns is how wide a dashboard is.
const Columns = 24

const (
	linesHeight  = 8
	numberHeight = 4
	runbooks     = "https://github.com/signalbox-rtc/signalbox/tree/main/docs/runbooks"
	pages        = "https://github.com/signalbox-rtc/signalbox/blob/main/docs/"
)

// Place puts the row's panels beside and below each other from y on, and gives where that ends.
func (r *Row) Place(y int, put func(p *Panel, x, y, width, height int)) int {
	x, tallest := 0, 0
	for i := range r.Panels {
		p := &r.Panels[i]
		width, height := p.size()
		if x+width > Columns {
			x, y, tallest = 0, y+tallest, 0
		}
		put(p, x, y, width, height)
		x, tallest = x+width, max(tallest, height)
	}
	return y + tallest
}

// size gives a panel's width and height in the grid.
func (p *Panel) size() (width, height int) {
	width, height = p.Width, linesHeight
	if p.Kind == Number {
		height = numberHeight
	}
	if width == 0 {
		width = 8
		if p.Kind == Number {
			width = 4
		}
	}
	return width, height
}

// object is a piece of JSON.
type object = map[string]any

// JSON gives the file of a dashboard.
func (d *Dashboard) JSON() ([]byte, error) {
	var panels []object
	y, id := 0, 0
	next := func() int { id++; return id }
	for _, row := range d.Rows {
		head := object{
			"id": next(), "type": "row", "title": row.Title, "collapsed": row.Folded, "panels": []object{},
			"gridPos": object{"x": 0, "y": y, "w": Columns, "h": 1},
		}
		y++
		var inside []object
		y = row.Place(y, func(p *Panel, x, y, width, height int) {
			inside = append(inside, p.json(next(), object{"x": x, "y": y, "w": width, "h": height}))
		})
		panels = append(panels, head)
		if row.Folded {
			head["panels"] = inside
		} else {
			panels = append(panels, inside...)
		}
	}
	var text bytes.Buffer
	file := json.NewEncoder(&text)
	file.SetEscapeHTML(false)
	file.SetIndent("", "  ")
	err := file.Encode(object{
		"uid": "signalbox-" + d.Name, "title": "Signalbox / " + d.Title, "description": d.Description,
		"tags": []string{"signalbox"}, "schemaVersion": 39, "version": 1, "editable": true, "graphTooltip": 1,
		"timezone": "utc", "refresh": "30s", "time": object{"from": "now-1h", "to": "now"},
		"links": []object{
			{"title": "Signalbox", "type": "dashboards", "tags": []string{"signalbox"}, "asDropdown": true, "keepTime": true, "includeVars": true},
			{"title": "Runbooks", "type": "link", "url": runbooks, "targetBlank": true},
			{"title": "First five minutes", "type": "link", "url": pages + "first-five-minutes.md", "targetBlank": true},
		},
		"annotations": object{"list": []object{}},
		"templating":  object{"list": variables()},
		"panels":      panels,
	})
	if err != nil {
		return nil, fmt.Errorf("dashboards: %s: %w", d.Name, err)
	}
	return text.Bytes(), nil
}

// variables are the same on all dashboards, so that one leads to another with what was chosen. All is a pattern that also fits
// where there is no such label: a Prometheus outside of Kubernetes knows no namespaces.
func variables() []object {
	choice := func(name, label, query string) object {
		return object{
			"name": name, "label": label, "type": "query", "datasource": source(), "definition": query,
			"query": object{"query": query, "refId": name}, "refresh": 2, "sort": 1,
			"multi": true, "includeAll": true, "allValue": ".*", "current": object{"text": []string{"All"}, "value": []string{"$__all"}},
		}
	}
	return []object{
		{"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus", "current": object{}},
		choice("namespace", "Namespace", "label_values(signalbox_build_info, namespace)"),
		choice("node", "Gateway or relay", `label_values(signalbox_build_info{namespace=~"$namespace"}, instance)`),
		choice("app", "App", `label_values(signalbox_app_sessions{namespace=~"$namespace"}, app)`),
	}
}

func source() object { return object{"type": "prometheus", "uid": "${datasource}"} }

func (p *Panel) json(id int, position object) object {
	targets := make([]object, len(p.Queries))
	for i, q := range p.Queries {
		targets[i] = object{
			"refId": string(rune('A' + i)), "datasource": source(), "expr": q.Expr, "legendFormat": q.Legend, "range": p.Kind != Table && p.Kind != Number,
			"instant": p.Kind == Table || p.Kind == Number, "exemplar": p.Kind == Lines && strings.Contains(q.Expr, "histogram_quantile"),
		}
		if p.Kind == Heatmap {
			targets[i]["format"] = "heatmap"
		}
		if p.Kind == Table {
			targets[i]["format"] = "table"
		}
	}
	defaults := object{"unit": p.Unit, "thresholds": p.thresholds(), "color": object{"mode": "palette-classic"}}
	if p.Unit == "percentunit" {
		defaults["min"], defaults["max"] = 0, 1
	}
	options := object{}
	switch p.Kind {
	case Lines:
		custom := object{"drawStyle": "line", "lineWidth": 1, "fillOpacity": 10, "showPoints": "never"}
		if p.Stacked {
			custom["stacking"] = object{"mode": "normal"}
		}
		if p.Bad != 0 {
			custom["thresholdsStyle"] = object{"mode": "dashed"}
		}
		defaults["custom"] = custom
		options = object{
			"legend":  object{"displayMode": "table", "placement": "bottom", "calcs": []string{"lastNotNull", "max"}},
			"tooltip": object{"mode": "multi", "sort": "desc"},
		}
	case Number:
		defaults["color"] = object{"mode": "thresholds"}
		options = object{"colorMode": "value", "graphMode": "none", "reduceOptions": object{"calcs": []string{"lastNotNull"}}}
	case Heatmap:
		options = object{"calculate": false, "yAxis": object{"unit": p.Unit}, "color": object{"scheme": "Oranges", "mode": "scheme"}}
	case Table:
		options = object{"showHeader": true}
	}
	return object{
		"id": id, "type": string(p.Kind), "title": p.Title, "description": p.Description, "datasource": source(), "gridPos": position,
		"targets": targets, "fieldConfig": object{"defaults": defaults, "overrides": []object{}}, "options": options,
	}
}

func (p *Panel) thresholds() object {
	first, last := "green", "red"
	warn, bad := p.Warn, p.Bad
	if p.Falling {
		first, last = "red", "green"
		warn, bad = p.Bad, p.Warn
	}
	steps := []object{{"color": first, "value": nil}}
	if p.Warn != 0 || p.Bad != 0 {
		steps = append(steps, object{"color": "yellow", "value": warn}, object{"color": last, "value": bad})
	} else {
		steps[0]["color"] = "green"
	}
	return object{"mode": "absolute", "steps": steps}
}
