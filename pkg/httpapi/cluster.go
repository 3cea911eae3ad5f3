package httpapi

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/signalbox-rtc/signalbox/pkg/cluster"
	"github.com/signalbox-rtc/signalbox/pkg/store"
)

// Node is one gateway.
type Node struct {
	Node        string    `json:"node" doc:"Its id: new with each start of a process."`
	Name        string    `json:"name" doc:"What people call it."`
	Version     string    `json:"version" doc:"The program's version."`
	Started     time.Time `json:"started" doc:"When the process began."`
	Sessions    int       `json:"sessions" minimum:"0" doc:"Its sessions, of all transports, as of its last beat."`
	Connections int       `json:"connections" minimum:"0" doc:"Its connections, those that have not said who they are included."`
	Draining    bool      `json:"draining" doc:"Whether it is ending."`
}

func nodeOf(n *cluster.Node) Node {
	return Node{
		Node: n.ID, Name: n.Name, Version: n.Version, Started: time.UnixMilli(n.Started).UTC(),
		Sessions: n.Load.Sessions, Connections: n.Load.Connections, Draining: n.Load.Draining,
	}
}

func (a *API) clusterOperations() {
	register(a, operation{
		id: "list-nodes", method: http.MethodGet, path: "/nodes", tag: "cluster", need: Read, operator: true,
		summary: "List the gateways", text: "As the one that answers sees them: those whose lease runs.",
	}, a.listNodes)
	register(a, operation{
		id: "drain-node", method: http.MethodPost, path: "/nodes/{node}/drain", tag: "cluster", need: Admin, operator: true, status: http.StatusAccepted,
		summary: "End a gateway in order", text: "Its sessions move to the others, as at SIGTERM; then the process ends. Whoever supervises it starts it anew, if that is what it does.",
	}, a.drainNode)
	register(a, operation{
		id: "statistics", method: http.MethodGet, path: "/statistics", tag: "cluster", need: Read, operator: true,
		summary: "Get the figures of the cluster",
	}, a.statistics)
	register(a, operation{
		id: "apps-statistics", method: http.MethodGet, path: "/statistics/apps", tag: "cluster", need: Read, operator: true,
		summary: "Get the sessions of the apps", text: "Of those that have any, the busiest first.",
	}, a.appsStatistics)
	register(a, operation{
		id: "app-statistics", method: http.MethodGet, path: "/apps/{app}/statistics", tag: "apps", need: Read,
		summary: "Get the figures of an app", text: "It looks at all of the app's rooms.",
	}, a.appStatistics)
}

type listNodesOutput struct {
	Body struct {
		Nodes []Node `json:"nodes" nullable:"false" doc:"By name."`
	}
}

func (a *API) nodes() []Node {
	known := a.opts.Cluster.Nodes()
	nodes := make([]Node, len(known))
	for i := range known {
		nodes[i] = nodeOf(&known[i])
	}
	slices.SortFunc(nodes, func(a, b Node) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Node, b.Node)) })
	return nodes
}

func (a *API) listNodes(context.Context, *struct{}) (*listNodesOutput, error) {
	out := new(listNodesOutput)
	out.Body.Nodes = a.nodes()
	return out, nil
}

// AnnounceDrain is the kind of the announcement that has a gateway end in order: its id.
const AnnounceDrain = "drain"

type drainNodeInput struct {
	Node string `path:"node" doc:"The gateway's id." minLength:"1" maxLength:"64"`
}

type drainNodeOutput struct{ Body Node }

func (a *API) drainNode(ctx context.Context, in *drainNodeInput) (*drainNodeOutput, error) {
	nodes := a.nodes()
	i := slices.IndexFunc(nodes, func(n Node) bool { return n.Node == in.Node })
	if i < 0 {
		return nil, missing()
	}
	ctx, cancel := a.bounded(ctx)
	defer cancel()
	if err := a.opts.Store.Announce(ctx, AnnounceDrain, []byte(in.Node)); err != nil {
		return nil, err
	}
	return &drainNodeOutput{nodes[i]}, nil
}

type statisticsOutput struct {
	Body struct {
		Apps        int   `json:"apps" minimum:"0" doc:"Apps that there are."`
		Rooms       int64 `json:"rooms" minimum:"0" doc:"Rooms of all of them."`
		Nodes       int   `json:"nodes" minimum:"0" doc:"Gateways whose lease runs."`
		Sessions    int   `json:"sessions" minimum:"0" doc:"Their sessions, as of their last beats."`
		Connections int   `json:"connections" minimum:"0" doc:"Their connections, as of their last beats."`
	}
}

func (a *API) statistics(ctx context.Context, _ *struct{}) (*statisticsOutput, error) {
	ctx, cancel := a.bounded(ctx)
	defer cancel()
	out := new(statisticsOutput)
	apps, nodes := a.opts.Apps.Apps(), a.nodes()
	out.Body.Apps, out.Body.Nodes = len(apps), len(nodes)
	for i := range nodes {
		out.Body.Sessions += nodes[i].Sessions
		out.Body.Connections += nodes[i].Connections
	}
	for i := range apps {
		rooms, err := a.opts.Store.CountRooms(ctx, apps[i].ID)
		if err != nil {
			return nil, err
		}
		out.Body.Rooms += rooms
	}
	return out, nil
}

// AppSessions is how many sessions an app has.
type AppSessions struct {
	App      string `json:"app" doc:"The app's id."`
	Sessions int    `json:"sessions" minimum:"1" doc:"Its sessions on all gateways, as of their last beats."`
}

type appsStatisticsInput struct {
	Limit int `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"How many at most."`
}

type appsStatisticsOutput struct {
	Body struct {
		Apps  []AppSessions `json:"apps" nullable:"false" doc:"Those with the most sessions first."`
		Count int           `json:"count" minimum:"0" doc:"How many apps have any."`
	}
}

func (a *API) appsStatistics(ctx context.Context, in *appsStatisticsInput) (*appsStatisticsOutput, error) {
	ctx, cancel := a.bounded(ctx)
	defer cancel()
	sessions, err := a.opts.Cluster.Apps(ctx)
	if err != nil {
		return nil, err
	}
	out := new(appsStatisticsOutput)
	out.Body.Apps = make([]AppSessions, 0, len(sessions))
	for app, count := range sessions {
		out.Body.Apps = append(out.Body.Apps, AppSessions{App: app, Sessions: count})
	}
	slices.SortFunc(out.Body.Apps, func(a, b AppSessions) int {
		return cmp.Or(cmp.Compare(b.Sessions, a.Sessions), cmp.Compare(a.App, b.App))
	})
	out.Body.Count = len(out.Body.Apps)
	out.Body.Apps = out.Body.Apps[:min(len(out.Body.Apps), in.Limit)]
	return out, nil
}

type appStatisticsOutput struct {
	Body struct {
		Sessions int `json:"sessions" minimum:"0" doc:"Sessions of the app on all gateways that have said hello, each with its connection, as of the gateways' last beats."`
		Rooms    int `json:"rooms" minimum:"0" doc:"Rooms of the app."`
		Members  int `json:"members" minimum:"0" doc:"Seats that are taken in them."`
		Seats    int `json:"seats" minimum:"0" doc:"Seats that there are in them."`
		Locked   int `json:"locked" minimum:"0" doc:"How many of the rooms are locked."`
	}
}

func (a *API) appStatistics(ctx context.Context, in *struct{ AppPath }) (*appStatisticsOutput, error) {
	ctx, cancel := a.bounded(ctx)
	defer cancel()
	sessions, err := a.opts.Cluster.Apps(ctx)
	if err != nil {
		return nil, err
	}
	out := new(appStatisticsOutput)
	out.Body.Sessions = sessions[in.App]
	err = a.eachRoom(ctx, in.App, func(info *store.RoomInfo) {
		out.Body.Rooms++
		out.Body.Members += info.Count
		out.Body.Seats += info.Capacity
		if info.Locked {
			out.Body.Locked++
		}
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}
