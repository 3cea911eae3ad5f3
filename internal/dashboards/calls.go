package dashboards

func calls() Dashboard {
	ended := func(labels, outcome string) string {
		return rate("signalbox_call_outcomes_total", labels, `app=~"$app"`, `outcome=~"`+outcome+`"`)
	}
	return Dashboard{
		Name: "calls", Title: "Do calls connect",
		Description: "What became of the peers' own connections, as clients report it: do they connect, how, and how fast, by app and region.",
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
					Queries: one(ended("", "connected")+"\n/\n"+ended("", "connected|failed"), "connected")},
				{Title: "Outcomes", Kind: Lines, Unit: "ops", Stacked: true, Description: "connected or failed, as clients report it; disconnected: a connection that broke; reconnected: one that came back. Fewer of all are clients that do not get so far.",
					Queries: one(ended("outcome", ".+"), "{{outcome}}")},
				{Title: "Time to connect", Kind: Lines, Unit: "s", Warn: 2, Bad: 5, Description: "To the first connection, as clients report it.", Queries: percentiles("signalbox_call_connect_seconds", `app=~"$app"`)},
			}},
			{Title: "By app and region", Panels: []Panel{
				{Title: "Calls that connect, by app", Kind: Lines, Unit: "percentunit", Warn: callGoal, Bad: .9, Falling: true, Description: "Apps past metrics.apps are other. One app alone has users in networks of their own, or ICE servers of its own.",
					Queries: one(ended("app", "connected")+"\n/\n"+ended("app", "connected|failed"), "{{app}}")},
				{Title: "Calls that connect, by region", Kind: Lines, Unit: "percentunit", Warn: callGoal, Bad: .9, Falling: true, Description: "Of the gateway (node.region). One region alone has a relay that is gone or not reached.",
					Queries: one(ended("region", "connected")+"\n/\n"+ended("region", "connected|failed"), "{{region}}")},
				{Title: "Time to connect, by region", Kind: Lines, Unit: "s", Warn: 2, Bad: 5, Description: "p95 to the first connection. A region whose relays are far away is slower.",
					Queries: one(quantile(.95, "signalbox_call_connect_seconds", "region", `app=~"$app"`), "{{region}}")},
				{Title: "Calls by app", Kind: Lines, Unit: "ops", Stacked: true, Width: 12, Description: "Connections that came about or failed.", Queries: one(ended("app", "connected|failed"), "{{app}}")},
				{Title: "Time to connect, by app", Kind: Lines, Unit: "s", Width: 12, Warn: 2, Bad: 5, Description: "p95 to the first connection.", Queries: one(quantile(.95, "signalbox_call_connect_seconds", "app", `app=~"$app"`), "{{app}}")},
			}},
			{Title: "How they connect", Panels: []Panel{
				{Title: "Local candidates", Kind: Lines, Unit: "ops", Stacked: true, Description: "host: the same network; srflx: through a NAT with STUN; relay: by a TURN server.", Queries: one(rate("signalbox_ice_reports_total", "local", `outcome="connected"`), "{{local}}")},
				{Title: "Calls that need a relay", Kind: Lines, Unit: "percentunit", Description: "Connected calls with a relay on one side at least. It is what a TURN server has to bear; a step down to 0 is a TURN server that is gone.",
					Queries: one("((sum(rate(signalbox_ice_reports_total"+on(`outcome="connected"`, `local="relay"`)+"[$__rate_interval])) or vector(0))\n+\n(sum(rate(signalbox_ice_reports_total"+on(`outcome="connected"`, `local!="relay"`, `remote="relay"`)+"[$__rate_interval])) or vector(0)))\n/\n"+rate("signalbox_ice_reports_total", "", `outcome="connected"`), "relayed")},
				{Title: "Protocols", Kind: Lines, Unit: "ops", Stacked: true, Description: "Of the pair that connected, with a relay the one by which that is reached: tcp means that UDP is blocked, tls that nothing but TLS gets out.", Queries: one(rate("signalbox_ice_reports_total", "protocol", `outcome="connected"`), "{{protocol}}")},
				{Title: "Remote candidates", Kind: Lines, Unit: "ops", Stacked: true, Description: "Those of the other side. prflx: an address that only the packets themselves told.", Queries: one(rate("signalbox_ice_reports_total", "remote", `outcome="connected"`), "{{remote}}")},
				{Title: "Relays by region", Kind: Lines, Unit: "ops", Stacked: true, Description: "Calls in which the reporting side has a relay, by the gateway's region.", Queries: one(rate("signalbox_ice_reports_total", "region", `outcome="connected"`, `local="relay"`), "{{region}}")},
				{Title: "Descriptions and candidates", Kind: Lines, Unit: "ops", Description: "Of apps that have them looked at (negotiation): passed, hidden, left out for its network or type, or refused. Where an app only observes, what would have come of them.",
					Queries: one(rate("signalbox_negotiation_total", "kind, result")+" > 0", "{{kind}}: {{result}}")},
			}},
			{Title: "How they do not", Panels: []Panel{
				{Title: "Failures by reason", Kind: Lines, Unit: "ops", Stacked: true, Description: "ice: no way was found; dtls: there was one, and no key; negotiation: they did not agree.", Queries: one(rate("signalbox_call_failures_total", "reason"), "{{reason}}")},
				{Title: "How far candidates of failures reached", Kind: Lines, Unit: "ops", Stacked: true, Description: "The furthest local one: with host alone no STUN or TURN server was reached; with relay it was the other side.", Queries: one(rate("signalbox_ice_reports_total", "local", `outcome="failed"`), "{{local}}")},
				{Title: "Failures by gateway", Kind: Lines, Unit: "ops", Stacked: true, Description: "Of the clients of each. Alike on all of them it is STUN or TURN; on one it is what its clients have in common, as a region.", Queries: one(rate("signalbox_call_outcomes_total", "instance", `outcome="failed"`), "{{instance}}")},
				{Title: "Connections that broke", Kind: Lines, Unit: "ops", Stacked: true, Description: "disconnected: they had come about. Empty with clients that do not report it. Many at once are a relay that was restarted, or a network that clients left.", Queries: one(rate("signalbox_call_outcomes_total", "instance", `outcome="disconnected"`), "{{instance}}")},
				{Title: "ICE restarts", Kind: Lines, Unit: "ops", Stacked: true, Description: "By app. Many with few failures are networks that change, as of people who walk.", Queries: one(rate("signalbox_call_restarts_total", "app", `app=~"$app"`), "{{app}}")},
				{Title: "Negotiation that was refused", Kind: Lines, Unit: "ops", Description: "malformed, too large, too many or too often, of apps that have descriptions and candidates looked at. Candidates that are left out for their type or network are not among them. stale: answers to an offer that a later one had overtaken.",
					Queries: []Query{
						{Expr: rate("signalbox_negotiation_total", "kind, result", `result=~"malformed|too_large|too_many_sections|too_many_candidates|rate"`) + " > 0", Legend: "{{kind}}: {{result}}", Quiet: true},
						{Expr: rate("signalbox_requests_refused_total", "", `code="stale"`), Legend: "stale", Quiet: true},
					}},
			}},
			{Title: "What clients are told", Panels: []Panel{
				{Title: "Relays that gateways know", Kind: Lines, Unit: "short", Description: "Of our own, by state. Clients are told of the usable ones; 0 with ice.relays.enabled means that calls which need one fail.", Queries: one("max by (state) (signalbox_ice_relays"+on()+")", "{{state}}")},
				{Title: "Age of the list of relays", Kind: Lines, Unit: "s", Warn: 10, Bad: 60, Description: "How long ago Redis told each gateway which relays there are; 0 where it does not ask.", Queries: one("max by (instance) (signalbox_ice_relays_age_seconds"+on()+")", "{{instance}}")},
				{Title: "Times that relays were asked for in vain", Kind: Lines, Unit: "ops", Description: "Redis did not answer; the relays that were known stay.", Queries: one(rate("signalbox_ice_relays_failures_total", "instance"), "{{instance}}")},
				{Title: "Clients told of ICE servers", Kind: Lines, Unit: "ops", Stacked: true, Description: "By why. Many changed ones at once are a relay that went or came.", Queries: one(rate("signalbox_ice_told_total", "reason"), "{{reason}}")},
				{Title: "Credentials made", Kind: Lines, Unit: "ops", Stacked: true, Description: "For relays of our own, and for servers that share a secret with us.", Queries: one(rate("signalbox_ice_credentials_total", "kind"), "{{kind}}")},
				{Title: "Clients that wait to be told", Kind: Lines, Unit: "short", Description: "That their servers have changed: ice.changes_per_second of them are a second.", Queries: one(sum("signalbox_ice_changes_waiting", "instance"), "{{instance}}")},
			}},
		},
	}
}
