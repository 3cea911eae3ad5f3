package dashboards

func relays() Dashboard {
	return Dashboard{
		Name: "relays", Title: "Relays",
		Description: "The STUN and TURN servers of the deployment's own: what they carry, whom they refuse, and how near they are to their limits.",
		Rows: []Row{
			{Title: "Are they there", Panels: []Panel{
				{Title: "Relays", Kind: Number, Unit: "short", Width: 6, Warn: 2, Bad: 1, Falling: true, Description: "Those whose metrics are read. One alone cannot be rolled or lost without a gap.",
					Queries: one("count(signalbox_relay_allocation_limit"+on()+")", "")},
				{Title: "Relays that clients are told of", Kind: Number, Unit: "short", Width: 6, Warn: 2, Bad: 1, Falling: true, Description: "As gateways have it from Redis. Fewer than there are: see Announcements.",
					Queries: one(`max(signalbox_ice_relays{namespace=~"$namespace",state="usable"})`, "")},
				{Title: "Allocations, all", Kind: Number, Unit: "short", Width: 6, Description: "Addresses that clients have at relays now.", Queries: one(sum("signalbox_relay_allocations", ""), "")},
				{Title: "Fullest relay", Kind: Number, Unit: "percentunit", Width: 6, Warn: .7, Bad: .9, Description: "Allocations, of those that it makes at most.",
					Queries: one("max(sum by (instance) (signalbox_relay_allocations"+on()+") / sum by (instance) (signalbox_relay_allocation_limit"+on()+"))", "")},
			}},
			{Title: "What they carry", Panels: []Panel{
				{Title: "Allocations", Kind: Lines, Unit: "short", Stacked: true, Description: "By relay. Gateways spread clients over those of their region by load.", Queries: one(sum("signalbox_relay_allocations", "instance"), "{{instance}}")},
				{Title: "Allocations by transport", Kind: Lines, Unit: "short", Stacked: true, Description: "How their clients came: tcp and tls are networks that let no UDP out.", Queries: one(sum("signalbox_relay_allocations", "transport"), "{{transport}}")},
				{Title: "New allocations", Kind: Lines, Unit: "ops", Stacked: true, Description: "By transport. A browser makes one for each URL and network interface.", Queries: one(rate("signalbox_relay_allocations_total", "transport"), "{{transport}}")},
				{Title: "Bytes relayed", Kind: Lines, Unit: "Bps", Stacked: true, Description: "By direction and by how the client came, without the headers.", Queries: one(rate("signalbox_relay_bytes_total", "direction, transport"), "{{direction}}, {{transport}}")},
				{Title: "Packets relayed", Kind: Lines, Unit: "ops", Stacked: true, Description: "By direction and by how the client came.", Queries: one(rate("signalbox_relay_packets_total", "direction, transport"), "{{direction}}, {{transport}}")},
				{Title: "Bytes by relay", Kind: Lines, Unit: "Bps", Stacked: true, Description: "Both ways together.", Queries: one(rate("signalbox_relay_bytes_total", "instance"), "{{instance}}")},
			}},
			{Title: "How near they are to their limits", Panels: []Panel{
				{Title: "Load", Kind: Lines, Unit: "percentunit", Warn: .7, Bad: .9, Description: "Of allocations or of bandwidth, whichever is more, as the gateways were told last.", Queries: one("max by (instance) (signalbox_relay_load"+on()+")", "{{instance}}")},
				{Title: "Allocations in use", Kind: Lines, Unit: "percentunit", Warn: .8, Bad: .95, Description: "Of those that each relay makes at most.",
					Queries: one("sum by (instance) (signalbox_relay_allocations"+on()+") / sum by (instance) (signalbox_relay_allocation_limit"+on()+")", "{{instance}}")},
				{Title: "Allocations refused", Kind: Lines, Unit: "ops", Description: "user and app are quotas; total and ports that the relay has no more; draining that it ends; family and transport what it does not serve.",
					Queries: one(rate("signalbox_relay_allocations_refused_total", "reason"), "{{reason}}")},
				{Title: "Packets dropped", Kind: Lines, Unit: "ops", Description: "user, app and total are bandwidth; no_permission is what strangers send; too_long what does not fit.", Queries: one(rate("signalbox_relay_packets_dropped_total", "reason"), "{{reason}}")},
				{Title: "Connections of clients", Kind: Lines, Unit: "short", Stacked: true, Description: "Of TCP and TLS, those without an allocation included.", Queries: one(sum("signalbox_relay_connections", "transport"), "{{transport}}")},
				{Title: "Limits of clients", Kind: Lines, Unit: "ops", Description: "How often a client was held back, by the limit.", Queries: one(rate("signalbox_relay_limits_total", "limit"), "{{limit}}")},
			}},
			{Title: "Whom they refuse", Panels: []Panel{
				{Title: "Credentials refused", Kind: Lines, Unit: "ops", Width: 6, Description: "forged after a change of the secret: somebody gives out credentials of another. expired: clients keep theirs for too long. Requests without any, with which every client begins, are not counted.",
					Queries: one(rate("signalbox_relay_auth_failures_total", "reason"), "{{reason}}")},
				{Title: "Peers denied", Kind: Lines, Unit: "ops", Width: 6, Description: "Host candidates of browsers are among them, which are private as a rule: it says nothing by itself.", Queries: one(rate("signalbox_relay_peers_denied_total", "reason"), "{{reason}}")},
				{Title: "Strangers that are not answered", Kind: Lines, Unit: "ops", Width: 6, Description: "Requests over UDP without good credentials past limits.source_answers or limits.answers. Browsers among them ask again; many of total are a flood, or an attempt to have the relay answer somebody else.",
					Queries: one(rate("signalbox_relay_unanswered_total", "reason"), "{{reason}}")},
				{Title: "Nonsense", Kind: Lines, Unit: "ops", Width: 6, Description: "What came in and is neither STUN nor data of a channel, by transport: strangers who look for other services.", Queries: one(rate("signalbox_relay_malformed_total", "transport"), "{{transport}}")},
			}},
			{Title: "Announcing, secrets, and the end", Panels: []Panel{
				{Title: "Announcements", Kind: Lines, Unit: "ops", Description: "Gateways believe one for announce.lease (6 s). error: Redis did not take it, and new clients are not told of the relay.", Queries: one(rate("signalbox_relay_announcements_total", "instance, result"), "{{instance}}: {{result}}")},
				{Title: "Changes of secrets", Kind: Lines, Unit: "ops", Description: "Of the file: taken (ok), or not (error): those before stay.", Queries: one(rate("signalbox_relay_secrets_reloads_total", "result"), "{{result}}")},
				{Title: "Relays that drain", Kind: Lines, Unit: "short", Description: "1 from the moment at which a relay was told to end; its calls go on, up to shutdown.drain.", Queries: one(sum("signalbox_relay_draining", "instance"), "{{instance}}")},
				{Title: "Errors", Kind: Lines, Unit: "ops", Width: 12, Description: "Of sockets, and warnings of the library: the log has them.", Queries: one(rate("signalbox_relay_errors_total", "instance"), "{{instance}}")},
				{Title: "Processors in use", Kind: Lines, Unit: "short", Width: 12, Description: "Of each relay.", Queries: one("rate(process_cpu_seconds_total"+on()+"[$__rate_interval]) and on (instance) signalbox_relay_allocation_limit", "{{instance}}")},
			}},
		},
	}
}
