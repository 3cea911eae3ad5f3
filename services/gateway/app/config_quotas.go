package app

import "github.com/signalbox-rtc/signalbox/pkg/auth"

// QuotasConfig is what an app may use that does not say so itself.
type QuotasConfig struct {
	Connections       int                `koanf:"connections" default:"0" min:"0" max:"1000000000000" doc:"Connections of an app's clients in the whole cluster. 0: no limit."`
	Rooms             int                `koanf:"rooms" default:"0" min:"0" max:"1000000000000" doc:"Rooms of an app at a time, in the whole cluster. 0: no limit."`
	Members           int                `koanf:"members" default:"0" min:"0" max:"1000000000000" doc:"Seats of an app's connected clients in all rooms, in the whole cluster. 0: no limit."`
	MessagesPerSecond int                `koanf:"messages_per_second" default:"0" min:"0" max:"1000000000000" doc:"Requests a second that change or relay something, of all clients of an app in the whole cluster. 0: no limit."`
	BytesPerSecond    int                `koanf:"bytes_per_second" default:"0" min:"0" max:"1000000000000" doc:"Bytes a second of their data. 0: no limit."`
	PerSession        RateQuotasConfig   `koanf:"per_session" doc:"What each session of an app may do. It is refused what is more, before limits.requests_per_second slows it down."`
	PerUser           HolderQuotasConfig `koanf:"per_user" doc:"What each user of an app may do, in the whole cluster."`
	PerIP             HolderQuotasConfig `koanf:"per_ip" doc:"What the clients of an app at one address may do, in the whole cluster: one address of IPv4, one /64 of IPv6."`
	Holders           int                `koanf:"holders" default:"100000" min:"1" max:"10000000" doc:"Users and addresses that a gateway keeps count of at a time, for per_user and per_ip. Further ones are not held to these."`
	HoldersTold       int                `koanf:"holders_told" default:"5000" min:"0" max:"100000" doc:"Users and addresses that have much on a gateway, of which it tells the others. Further ones have their quotas on each gateway. 0: all have."`
	Apps              int                `koanf:"apps" default:"10000" min:"1" max:"1000000" doc:"Apps with quotas of the whole cluster whose use a gateway tells the others. Further ones get an even share of theirs on each gateway. Also the most apps, the busiest, whose sessions it tells for the server API's figures."`
}

// RateQuotasConfig is how often one may do something.
type RateQuotasConfig struct {
	MessagesPerSecond int `koanf:"messages_per_second" default:"0" min:"0" max:"1000000000000" doc:"Requests a second that change or relay something. 0: no limit."`
	BytesPerSecond    int `koanf:"bytes_per_second" default:"0" min:"0" max:"1000000000000" doc:"Bytes a second of their data. 0: no limit."`
	JoinsPerSecond    int `koanf:"joins_per_second" default:"0" min:"0" max:"1000000000000" doc:"Joins a second, those that are refused included. 0: no limit."`
}

// HolderQuotasConfig is what several sessions may have together.
type HolderQuotasConfig struct {
	Connections      int `koanf:"connections" default:"0" min:"0" max:"1000000000000" doc:"Connections at a time. 0: no limit."`
	RateQuotasConfig `koanf:",squash"`
}

// defaults are the quotas as the directory of apps knows them.
func (c *QuotasConfig) defaults() auth.Quotas {
	holder := func(h HolderQuotasConfig) auth.HolderQuotas {
		return auth.HolderQuotas{Connections: h.Connections, RateQuotas: auth.RateQuotas(h.RateQuotasConfig)}
	}
	return auth.Quotas{
		Connections: c.Connections, Rooms: c.Rooms, Members: c.Members,
		MessagesPerSecond: c.MessagesPerSecond, BytesPerSecond: c.BytesPerSecond,
		PerSession: auth.RateQuotas(c.PerSession), PerUser: holder(c.PerUser), PerIP: holder(c.PerIP),
	}
}
