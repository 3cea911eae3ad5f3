package dashboards

func relay() Dashboard {
	outcome := func(outcome string) string {
		return rate("signalbox_ice_reports_total", "", `outcome="`+outcome+`"`)
	}
	return Dashboard{
		Name: "relay", Title: "Calls and relays",
		Description: "What became of the peers' own connections, as clients report it: do they connect, how, and how fast.",
		Rows: []Row{
			{Title: "Do calls connect", Panels: []Panel{
				{Title: "Calls that connect, 5 min", Kind: Number, Unit: "percentunit", Width: 6, Warn: callGoal, Bad: .9, Falling: true, Description: "Of those that connected or failed. The goal is 95 % over 30 days.",
					Queries: one(`1 - max(signalbox:call_failures:ratio_rate5m{namespace=~"$namespace"})`, "")},
				{Title: "Calls that connect, 1 h", Kind: Number, Unit: "percentunit", Width: 6, Warn: callGoal, Bad: .9, Falling: true, Description: "The same over an hour: alerts look at both.",
					Queries: one(`1 - max(signalbox:call_failures:ratio_rate1h{namespace=~"$namespace"})`, "")},
				{Title: "Calls that connect, 1 d", Kind: Number, Unit: "percentunit", Width: 6, Warn: callGoal, Bad: .9, Falling: true, Description: "The same over a day: what is usual for these users.",
					Queries: one(`1 - max(signalbox:call_failures:ratio_rate1d{namespace=~"$namespace"})`, "")},
				{Title: "Error budget of calls, 3 days", Kind: Number, Unit: "percentunit", Width: 6, Warn: .5, Bad: .1, Falling: true, Description: "What is left of it, as fast as the last three days went. Below 0 the goal of 30 days is missed at this pace.",
					Queries: one(`1 - max(signalbox:call_failures:ratio_rate3d{namespace=~"$namespace"}) / 0.05`, "")},
				{Title: "Calls that connect", Kind: Lines, Unit: "percentunit", Warn: callGoal, Bad: .9, Falling: true, Description: "Of those that connected or failed. A step down with signaling as usual is STUN or TURN: see docs/operations.md.",
					Queries: one(outcome("connected")+"\n/\n"+rate("signalbox_ice_reports_total", "", `outcome=~"connected|failed"`), "connected")},
				{Title: "Outcomes", Kind: Lines, Unit: "ops", Stacked: true, Description: "connected or failed, as clients report it, and disconnected: a connection that broke. Fewer of all are clients that do not get so far.", Queries: one(rate("signalbox_ice_reports_total", "outcome"), "{{outcome}}")},
				{Title: "Time to connect", Kind: Lines, Unit: "s", Warn: 2, Bad: 5, Description: "To the first connection, as clients report it.", Queries: percentiles("signalbox_ice_connect_seconds")},
			}},
			{Title: "How they connect, and how they do not", Panels: []Panel{
				{Title: "Local candidates", Kind: Lines, Unit: "ops", Stacked: true, Description: "host: the same network; srflx: through a NAT with STUN; relay: by a TURN server.", Queries: one(rate("signalbox_ice_reports_total", "local", `outcome="connected"`), "{{local}}")},
				{Title: "Calls that need a relay", Kind: Lines, Unit: "percentunit", Description: "Connected calls with a relay on one side at least. It is what a TURN server has to bear; a step down to 0 is a TURN server that is gone.",
					Queries: one("((sum(rate(signalbox_ice_reports_total"+on(`outcome="connected"`, `local="relay"`)+"[$__rate_interval])) or vector(0))\n+\n(sum(rate(signalbox_ice_reports_total"+on(`outcome="connected"`, `local!="relay"`, `remote="relay"`)+"[$__rate_interval])) or vector(0)))\n/\n"+outcome("connected"), "relayed")},
				{Title: "Protocols", Kind: Lines, Unit: "ops", Stacked: true, Description: "Of the pair that connected: tcp means that UDP is blocked.", Queries: one(rate("signalbox_ice_reports_total", "protocol", `outcome="connected"`), "{{protocol}}")},
				{Title: "Connections that broke", Kind: Lines, Unit: "ops", Stacked: true, Description: "disconnected: they had come about. Empty with clients that do not report it. Many at once are a relay that was restarted, or a network that clients left.", Queries: one(rate("signalbox_ice_reports_total", "instance", `outcome="disconnected"`), "{{instance}}")},
				{Title: "Failures by gateway", Kind: Lines, Unit: "ops", Stacked: true, Description: "Of the clients of each. Alike on all of them it is STUN or TURN; on one it is what its clients have in common, as a region.", Queries: one(rate("signalbox_ice_reports_total", "instance", `outcome="failed"`), "{{instance}}")},
				{Title: "Descriptions and candidates", Kind: Lines, Unit: "ops", Description: "Of apps that have them looked at (negotiation): passed, hidden, left out for its network or type, or refused. Where an app only observes, what would have come of them.",
					Queries: one(rate("signalbox_negotiation_total", "kind, result")+" > 0", "{{kind}}: {{result}}")},
			}},
		},
	}
}
