package dashboards

// All gives the dashboards, the first one to look at first.
func All() []Dashboard {
	return []Dashboard{overview(), gateways(), rooms(), redis(), calls(), relays(), platform(), capacity()}
}

// The gateways' own objectives: docs/operations.md, and the rules of the chart.
const (
	joinGoal   = .999
	relayGoal  = .999
	resumeGoal = .995
	callGoal   = .95
)

func overview() Dashboard {
	return Dashboard{
		Name: "overview", Title: "Overview",
		Description: "Do users get what they ask for, how much is there to do, and what is wrong right now. Start here.",
		Rows: []Row{
			{Title: "Service levels", Panels: []Panel{
				{Title: "Joins that succeed, 5 min", Kind: Number, Unit: "percentunit", Warn: joinGoal, Bad: .99, Falling: true,
					Description: "Of the joins that were not refused for the client's own reasons (a full room is not our failure). The goal is 99.9 % over 30 days.",
					Queries:     one(`1 - max(signalbox:join_errors:ratio_rate5m{namespace=~"$namespace"})`, "")},
				{Title: "Messages within 250 ms, 5 min", Kind: Number, Unit: "percentunit", Warn: relayGoal, Bad: .99, Falling: true,
					Description: "From the sender's gateway to the receiver's socket, across gateways, of a sample. The goal is 99.9 % over 30 days.",
					Queries:     one(`1 - max(signalbox:relay_slow:ratio_rate5m{namespace=~"$namespace"})`, "")},
				{Title: "Resumes that go on, 5 min", Kind: Number, Unit: "percentunit", Warn: resumeGoal, Bad: .98, Falling: true,
					Description: "Of the seats that clients came back for in time, those for which nothing was missing. The goal is 99.5 % over 30 days. Empty while nobody comes back.",
					Queries:     one(`1 - max(signalbox:resume_errors:ratio_rate5m{namespace=~"$namespace"})`, "")},
				{Title: "Calls that connect, 1 h", Kind: Number, Unit: "percentunit", Warn: callGoal, Bad: .9, Falling: true,
					Description: "Of the connections between browsers that clients reported. They fail for the clients' networks as well as for a missing TURN server. The goal is 95 % over 30 days.",
					Queries:     one(`1 - max(signalbox:call_failures:ratio_rate1h{namespace=~"$namespace"})`, "")},
				{Title: "Canary, p99", Kind: Number, Unit: "s", Warn: .05, Bad: .25,
					Description: "How long a gateway's message to itself takes through Redis: what every event needs at least.",
					Queries:     one(quantile(.99, "signalbox_inbox_canary_seconds", ""), "")},
				{Title: "Gateways that want clients", Kind: Number, Unit: "short", Warn: 2, Bad: 1, Falling: true,
					Description: "Gateways whose inboxes are subscribed and that do not drain. One alone cannot be rolled or lost without a gap.",
					Queries:     one(`count(signalbox_redis_inbox_ready{namespace=~"$namespace"} == 1 unless signalbox_drain_active == 1)`, "")},
				{Title: "Error budget that is left of 3 days", Kind: Lines, Unit: "percentunit", Width: 12,
					Description: "1 is untouched, 0 is used up, as fast as the last three days went. Below 0 the goal of 30 days is missed at this pace.",
					Queries: []Query{
						{Expr: `1 - max(signalbox:join_errors:ratio_rate3d{namespace=~"$namespace"}) / 0.001`, Legend: "joins"},
						{Expr: `1 - max(signalbox:relay_slow:ratio_rate3d{namespace=~"$namespace"}) / 0.001`, Legend: "latency"},
						{Expr: `1 - max(signalbox:resume_errors:ratio_rate3d{namespace=~"$namespace"}) / 0.005`, Legend: "resumes"},
						{Expr: `1 - max(signalbox:call_failures:ratio_rate3d{namespace=~"$namespace"}) / 0.05`, Legend: "calls"},
					}},
				{Title: "Alerts", Kind: Table, Unit: "short", Width: 12,
					Description: "Alerts of this project that fire now. Each has a runbook.",
					Queries:     quiet(`ALERTS{alertname=~"Signalbox.*",alertstate="firing",namespace=~"$namespace|"}`, "")},
			}},
			{Title: "What there is to do", Panels: []Panel{
				{Title: "Sessions", Kind: Lines, Unit: "short", Description: "Clients that have said hello. A step down at one gateway and up at the others is a roll; down at all is an outage.",
					Queries: one(sum("signalbox_sessions", "instance"), "{{instance}}"), Stacked: true},
				{Title: "Requests", Kind: Lines, Unit: "reqps", Description: "Requests of clients by type.", Stacked: true,
					Queries: one(rate("signalbox_messages_received_total", "type"), "{{type}}")},
				{Title: "Joins by result", Kind: Lines, Unit: "ops", Description: "ok, or the code with which the join was refused. room_full and forbidden are the clients' doing; unavailable and internal are ours.",
					Queries: one(rate("signalbox_joins_total", "result"), "{{result}}")},
				{Title: "Relay latency", Kind: Lines, Unit: "s", Warn: .1, Bad: .25, Description: "From the sender's gateway to the receiver's socket, of a sample.",
					Queries: percentiles("signalbox_relay_latency_seconds")},
				{Title: "Time to answer", Kind: Lines, Unit: "s", Warn: .1, Bad: .25, Description: "p99 from reading a request to its answer, by type.",
					Queries: one(quantile(.99, "signalbox_request_duration_seconds", "type"), "{{type}}")},
				{Title: "Requests that fail by our doing", Kind: Lines, Unit: "ops", Description: "unavailable, internal and outcome_unknown. Nothing but 0 is well; during a failover of Redis there are some.",
					Queries: one(rate("signalbox_request_duration_seconds_count", "type", `result="failed"`), "{{type}}")},
				{Title: "New clients", Kind: Lines, Unit: "cps", Description: "Hellos by result. Many more than usual at once are a herd that comes back: see refused accepts.",
					Queries: one(rate("signalbox_hellos_total", "result"), "{{result}}")},
				{Title: "Connections that end", Kind: Lines, Unit: "cps", Description: "By reason and who began. lost is the network's; moved is a drain; slow_receiver, rate_limited and bad_messages are clients that were closed.",
					Queries: one(rate("signalbox_connections_closed_total", "reason, initiator")+" > 0", "{{reason}} ({{initiator}})")},
				{Title: "Refused accepts", Kind: Lines, Unit: "cps", Description: "New clients answered with 503: draining, connections (full) or rate (too many at once).",
					Queries: one(rate("signalbox_accepts_refused_total", "reason"), "{{reason}}")},
			}},
			{Title: "By app", Folded: true, Panels: []Panel{
				{Title: "Sessions by app", Kind: Lines, Unit: "short", Stacked: true, Width: 12, Description: "Apps past metrics.apps are other.",
					Queries: one(sum("signalbox_app_sessions", "app", `app=~"$app"`), "{{app}}")},
				{Title: "Joins by app", Kind: Lines, Unit: "ops", Width: 12, Description: "ok, refused (the client's doing) or failed (ours).",
					Queries: one(rate("signalbox_app_joins_total", "app, result", `app=~"$app"`), "{{app}}: {{result}}")},
			}},
		},
	}
}

func gateways() Dashboard {
	return Dashboard{
		Name: "gateways", Title: "Gateways",
		Description: "Each gateway: its connections, queues, drain, Go runtime and process.",
		Rows: []Row{
			{Title: "Connections", Panels: []Panel{
				{Title: "Connections by transport", Kind: Lines, Unit: "short", Stacked: true, Description: "Open connections, those before their hello included.",
					Queries: one(sum("signalbox_connections", "transport"), "{{transport}}")},
				{Title: "Connections by gateway", Kind: Lines, Unit: "short", Description: "They should be alike; after a roll the last one to start has few until clients move.",
					Queries: one(sum("signalbox_connections", "instance"), "{{instance}}")},
				{Title: "Parked sessions", Kind: Lines, Unit: "short", Description: "Silent sessions that wait without a goroutine, and how often one goes on.",
					Queries: []Query{
						{Expr: sum("signalbox_sessions_parked", ""), Legend: "parked"},
						{Expr: rate("signalbox_session_wakeups_total", ""), Legend: "wakeups a second"},
					}},
				{Title: "Refused handshakes", Kind: Lines, Unit: "cps", Description: "WebSocket handshakes by reason: origin, method, version and the like.",
					Queries: quiet(rate("signalbox_handshakes_refused_total", "reason"), "{{reason}}")},
				{Title: "Refused hellos", Kind: Lines, Unit: "cps", Description: "By reason: expired and signature are tokens; resume_... are sessions that could not go on.",
					Queries: quiet(rate("signalbox_hellos_total", "result", `result!="ok"`), "{{result}}")},
				{Title: "How long connections last", Kind: Lines, Unit: "s", Description: "Of those that ended in the time looked at.",
					Queries: percentiles("signalbox_connection_duration_seconds")},
				{Title: "socket.io sessions", Kind: Lines, Unit: "short", Stacked: true, Description: "By the transport that they are on. Many that stay on polling are behind proxies that know no WebSocket.",
					Queries: one(sum("signalbox_socketio_sessions", "transport"), "{{transport}}")},
				{Title: "Forwarded requests", Kind: Lines, Unit: "reqps", Description: "Requests of polling clients that came to another gateway than the one that has the session, by what became of them.",
					Queries: quiet(rate("signalbox_hop_requests_total", "result"), "{{result}}")},
				{Title: "Limits of frames", Kind: Lines, Unit: "cps", Description: "Connections closed for what their frames did, by limit.",
					Queries: quiet(rate("signalbox_websocket_limits_total", "limit"), "{{limit}}")},
			}},
			{Title: "Writing to clients", Panels: []Panel{
				{Title: "Bytes written", Kind: Lines, Unit: "Bps", Description: "With WebSocket headers, without TLS and TCP.", Queries: one(rate("signalbox_sent_bytes_total", "instance"), "{{instance}}")},
				{Title: "Messages in one write", Kind: Lines, Unit: "short", Description: "More than one is a receiver for whom messages came faster than they were written.",
					Queries: one(mean("signalbox_write_batch_messages", "instance"), "{{instance}}")},
				{Title: "Messages dropped", Kind: Lines, Unit: "ops", Description: "queue_full closes a slow receiver, which comes back for what it missed. write is the network's, ended is what came for who had gone.",
					Queries: one(rate("signalbox_messages_dropped_total", "reason"), "{{reason}}")},
			}},
			{Title: "Limits of sessions", Folded: true, Panels: []Panel{
				{Title: "Requests slowed down", Kind: Lines, Unit: "reqps", Description: "Requests that waited because their session was over its rate.", Queries: one(rate("signalbox_requests_throttled_total", "instance"), "{{instance}}")},
				{Title: "Sessions that wait for Redis", Kind: Lines, Unit: "ops", Description: "Times that a session was not read because too many of its requests were under way.", Queries: one(rate("signalbox_requests_in_flight_limited_total", "instance"), "{{instance}}")},
				{Title: "Refused requests", Kind: Lines, Unit: "reqps", Description: "Requests that were answered with an error, by its code.", Queries: quiet(rate("signalbox_requests_refused_total", "code"), "{{code}}")},
			}},
			{Title: "Drain", Panels: []Panel{
				{Title: "Draining", Kind: Lines, Unit: "short", Description: "1 from the moment at which a gateway was told to end.", Queries: one(sum("signalbox_drain_active", "instance"), "{{instance}}")},
				{Title: "Sessions left to move", Kind: Lines, Unit: "short", Description: "It goes down evenly over shutdown.window.", Queries: one(sum("signalbox_drain_sessions_left", "instance"), "{{instance}}")},
				{Title: "Sessions moved", Kind: Lines, Unit: "cps", Description: "client: moved by themselves in time; server: closed when their time was up. Stock socket.io clients are always closed.", Queries: one(rate("signalbox_drain_moved_total", "by"), "{{by}}")},
			}},
			{Title: "Certificates, readiness and trust", Panels: []Panel{
				{Title: "Time until certificates end", Kind: Lines, Unit: "s", Width: 6, Warn: 14 * 86400, Bad: 86400, Falling: true, Description: "Of those in use, of the public address and of the server API. Empty where gateways do not end TLS.",
					Queries: []Query{
						{Expr: "min by (instance) (signalbox_certificate_expiry_timestamp_seconds" + on() + ") - time()", Legend: "{{instance}}", Quiet: true},
						{Expr: "min by (instance) (signalbox_api_certificate_expiry_timestamp_seconds" + on() + ") - time()", Legend: "{{instance}} server API", Quiet: true},
					}},
				{Title: "Changes of certificates", Kind: Lines, Unit: "ops", Width: 6, Description: "Changes of the files that were taken (ok) or not (error): then the last good pair stays. Empty where gateways do not end TLS.",
					Queries: []Query{
						{Expr: rate("signalbox_certificate_reloads_total", "result"), Legend: "{{result}}", Quiet: true},
						{Expr: rate("signalbox_api_certificate_reloads_total", "result"), Legend: "server API {{result}}", Quiet: true},
					}},
				{Title: "Readiness that turned red", Kind: Lines, Unit: "ops", Width: 6, Description: "By check, after its hold-down. Nothing but 0 is well.", Queries: one(rate("signalbox_readiness_red_total", "check"), "{{check}}")},
				{Title: "Refused between gateways", Kind: Lines, Unit: "ops", Width: 6, Description: "Handshakes and requests between gateways by reason: another cluster key, a clock that is off, or a stranger.", Queries: one(rate("signalbox_hop_refused_total", "reason"), "{{reason}}")},
			}},
			{Title: "Process", Panels: []Panel{
				{Title: "CPU", Kind: Lines, Unit: "short", Description: "Processors in use.", Queries: one("rate(process_cpu_seconds_total"+on()+"[$__rate_interval])", "{{instance}}")},
				{Title: "Memory", Kind: Lines, Unit: "bytes", Description: "Resident memory, and what Go's heap has of it.",
					Queries: []Query{
						{Expr: "process_resident_memory_bytes" + on(), Legend: "{{instance}} resident"},
						{Expr: "go_memstats_heap_inuse_bytes" + on(), Legend: "{{instance}} heap"},
					}},
				{Title: "Goroutines", Kind: Lines, Unit: "short", Description: "About one for each session that is not parked. A line that only rises is a leak.", Queries: one("go_goroutines"+on(), "{{instance}}")},
				{Title: "Waiting for a processor", Kind: Lines, Unit: "s", Description: "p99 of how long goroutines that could run did not: more than some milliseconds is too little CPU.", Queries: one(quantile(.99, "go_sched_latencies_seconds", "instance"), "{{instance}}")},
				{Title: "Pauses of the collector", Kind: Lines, Unit: "s", Description: "p99.", Queries: one(quantile(.99, "go_gc_pauses_seconds", "instance"), "{{instance}}")},
				{Title: "File descriptors in use", Kind: Lines, Unit: "percentunit", Warn: .8, Bad: .95, Description: "Of those that the process may have: each connection takes one.", Queries: one("process_open_fds"+on()+" / process_max_fds"+on(), "{{instance}}")},
				{Title: "Readiness that fails", Kind: Lines, Unit: "s", Description: "How long each check has failed; 0 is well. It turns red after readiness.hold_down.", Queries: one("max by (instance, check) (signalbox_readiness_failing_seconds"+on()+")", "{{instance}}: {{check}}")},
				{Title: "Panics and lost log lines", Kind: Lines, Unit: "ops", Description: "A panic ends one session and is a fault of ours. Log lines are lost when whoever takes them is stuck.",
					Queries: []Query{
						{Expr: rate("signalbox_panics_total", ""), Legend: "panics"},
						{Expr: rate("signalbox_log_dropped_total", ""), Legend: "log lines lost"},
					}},
				{Title: "Versions", Kind: Table, Unit: "short", Description: "What runs. Two versions for longer than a roll is a roll that is stuck.", Queries: one("count by (version, revision, goversion) (signalbox_build_info"+on()+")", "")},
			}},
		},
	}
}

func rooms() Dashboard {
	return Dashboard{
		Name: "rooms", Title: "Rooms and signaling",
		Description: "What happens in rooms: seats, events, deliveries, resumes, and what was lost and put right.",
		Rows: []Row{
			{Title: "Rooms and seats", Panels: []Panel{
				{Title: "Rooms on gateways", Kind: Lines, Unit: "short", Description: "Rooms with a peer on the gateway: one whose peers are on two gateways counts twice.", Queries: one(sum("signalbox_rooms", "instance"), "{{instance}}")},
				{Title: "Seats", Kind: Lines, Unit: "short", Stacked: true, Description: "Seats that sessions hold or ask for.", Queries: one(sum("signalbox_seats", "instance"), "{{instance}}")},
				{Title: "Joins refused", Kind: Lines, Unit: "ops", Description: "By code. room_full is a room at its capacity.", Queries: quiet(rate("signalbox_joins_total", "result", `result!="ok"`), "{{result}}")},
			}},
			{Title: "Messages", Panels: []Panel{
				{Title: "Relay latency", Kind: Lines, Unit: "s", Warn: .1, Bad: .25, Description: "From the sender's gateway to the receiver's socket, of a sample. Compare with the inbox lag: what is more is the receiver's gateway or its socket.", Queries: percentiles("signalbox_relay_latency_seconds")},
				{Title: "Inbox lag", Kind: Lines, Unit: "s", Warn: .1, Bad: .25, Description: "From the sender's gateway to the receiver's inbox: pipeline, Redis and subscription.", Queries: percentiles("signalbox_inbox_lag_seconds")},
				{Title: "Relay latency, all of it", Kind: Heatmap, Unit: "s", Description: "Messages by how long they took. A second band is one gateway or one partition that lags.",
					Queries: one("sum by (le) (increase(signalbox_relay_latency_seconds_bucket"+on()+"[$__rate_interval]))", "{{le}}")},
				{Title: "Requests by type", Kind: Lines, Unit: "reqps", Description: "Read from clients.", Queries: one(rate("signalbox_messages_received_total", "type"), "{{type}}")},
				{Title: "Frames by type", Kind: Lines, Unit: "ops", Description: "Written to clients: events, replies, errors, pings.", Queries: one(rate("signalbox_messages_sent_total", "type")+" > 0", "{{type}}")},
				{Title: "Receivers of an event", Kind: Lines, Unit: "short", Description: "Events given to sessions for each that came from the inbox: how much fan-out there is on a gateway.",
					Queries: one(rate("signalbox_events_delivered_total", "")+"\n/\n"+rate("signalbox_redis_inbox_events_total", ""), "receivers")},
				{Title: "Time to answer", Kind: Lines, Unit: "s", Description: "p99 by type of request and result.", Queries: one(quantile(.99, "signalbox_request_duration_seconds", "type, result"), "{{type}}: {{result}}")},
				{Title: "Events without a receiver", Kind: Lines, Unit: "ops", Description: "no_room and no_peer: the peer left meanwhile; seen: it knew from its snapshot; old: of an earlier life of the room.", Queries: one(rate("signalbox_events_discarded_total", "reason"), "{{reason}}")},
				{Title: "Classic events", Kind: Lines, Unit: "ops", Description: "Events of socket.io clients by result.", Queries: quiet(rate("signalbox_classic_events_total", "event, result")+" > 0", "{{event}}: {{result}}")},
			}},
			{Title: "Coming back", Panels: []Panel{
				{Title: "Seats that were lost", Kind: Lines, Unit: "ops", Description: "Seats whose connection was lost: away until somebody comes back, or their grace is over.", Queries: one(rate("signalbox_lost_seats_total", ""), "lost")},
				{Title: "Seats that were resumed", Kind: Lines, Unit: "ops", Description: "replayed: nothing was missing; resync: the client started over from a snapshot; gone: too late; refused: the whole resume.", Queries: one(rate("signalbox_resumed_seats_total", "result"), "{{result}}")},
				{Title: "Seats that expired", Kind: Lines, Unit: "ops", Description: "Given up because nobody came back within the grace.", Queries: one(rate("signalbox_expired_seats_total", ""), "expired")},
			}},
			{Title: "Put right", Panels: []Panel{
				{Title: "Rooms brought back in line", Kind: Lines, Unit: "ops", Description: "replayed: from the log, after a subscription was lost. Others: the log was too short, or Redis had lost data.", Queries: one(rate("signalbox_room_replays_total", "result"), "{{result}}")},
				{Title: "Peers that started over", Kind: Lines, Unit: "ops", Description: "Peers that got a resync: their page shows the room anew.", Queries: one(rate("signalbox_resyncs_total", ""), "resyncs")},
				{Title: "Seats put back or taken", Kind: Lines, Unit: "ops", Description: "restored: Redis had lost them; fenced: another connection of the session took over; ghosts: nobody had them. There should be no ghosts.",
					Queries: []Query{
						{Expr: rate("signalbox_restored_seats_total", ""), Legend: "restored"},
						{Expr: rate("signalbox_fenced_seats_total", ""), Legend: "fenced"},
						{Expr: rate("signalbox_ghost_seats_total", ""), Legend: "ghosts"},
					}},
			}},
		},
	}
}

func redis() Dashboard {
	return Dashboard{
		Name: "redis", Title: "Redis and partitions",
		Description: "What gateways see of Redis: scripts, pipelines, inboxes, canaries, leases.",
		Rows: []Row{
			{Title: "Calls", Panels: []Panel{
				{Title: "Calls by script", Kind: Lines, Unit: "ops", Stacked: true, Description: "Calls of the store. Messages that go together in one script call count one each.", Queries: one(rate("signalbox_redis_script_duration_seconds_count", "script"), "{{script}}")},
				{Title: "Time of a call", Kind: Lines, Unit: "s", Warn: .05, Bad: .25, Description: "p99 by script, waiting for the pipeline included.", Queries: one(quantile(.99, "signalbox_redis_script_duration_seconds", "script"), "{{script}}")},
				{Title: "Calls that were not answered", Kind: Lines, Unit: "ops", Description: "Calls with the result unavailable, by script.", Queries: one(rate("signalbox_redis_script_duration_seconds_count", "script", `result="unavailable"`), "{{script}}")},
				{Title: "Errors by class", Kind: Lines, Unit: "ops", Description: "timeout and dial: the network or a Redis that is busy; readonly, masterdown, loading: a failover; oom: Redis is full; noscript: it was restarted; auth: the password has changed.", Queries: one(rate("signalbox_redis_errors_total", "class"), "{{class}}")},
				{Title: "Calls in one pipeline", Kind: Lines, Unit: "short", Description: "The more, the busier: calls gather while a pipeline is under way.", Queries: one(mean("signalbox_redis_pipeline_calls", "instance"), "{{instance}}")},
				{Title: "Calls that wait", Kind: Lines, Unit: "short", Description: "For their pipeline, right now. It goes up when Redis answers slowly.", Queries: one(sum("signalbox_redis_pipeline_waiting", "instance"), "{{instance}}")},
			}},
			{Title: "Inboxes", Panels: []Panel{
				{Title: "Inboxes subscribed", Kind: Lines, Unit: "short", Description: "1 while every partition's inbox is subscribed. At 0 events may be missing; rooms are replayed afterwards.", Queries: one(sum("signalbox_redis_inbox_ready", "instance"), "{{instance}}")},
				{Title: "Events that came", Kind: Lines, Unit: "ops", Description: "From inboxes.", Queries: one(rate("signalbox_redis_inbox_events_total", "instance"), "{{instance}}")},
				{Title: "Subscriptions made again", Kind: Lines, Unit: "ops", Description: "By cause. silent and canary are connections that brought nothing any more; moved is a slot that moved.", Queries: one(rate("signalbox_redis_inbox_reconnects_total", "reason"), "{{reason}}")},
				{Title: "Canaries", Kind: Lines, Unit: "s", Warn: .05, Bad: .25, Description: "Time of a gateway's message to itself.", Queries: percentiles("signalbox_inbox_canary_seconds")},
				{Title: "Canaries lost", Kind: Lines, Unit: "ops", Description: "Redis has published them and they did not come: events are lost in the same way. Nothing but 0 is well.", Queries: one(rate("signalbox_inbox_canaries_lost_total", "instance"), "{{instance}}")},
				{Title: "Messages that are none of ours", Kind: Lines, Unit: "ops", Description: "Something else publishes on the inboxes' channels, or a gateway of another version does.", Queries: one(rate("signalbox_redis_inbox_malformed_total", "instance"), "{{instance}}")},
			}},
			{Title: "Leases and dead gateways", Panels: []Panel{
				{Title: "Gateways as each sees them", Kind: Lines, Unit: "short", Description: "All lines are one when they agree. One below the others is cut off from the roster.", Queries: one("max by (instance) (signalbox_cluster_nodes"+on()+")", "{{instance}}")},
				{Title: "Heartbeats", Kind: Lines, Unit: "ops", Description: "Renewals of leases by result. A gateway that fails for longer than cluster.lease is taken for dead.", Queries: one(rate("signalbox_cluster_heartbeats_total", "instance, result"), "{{instance}}: {{result}}")},
				{Title: "Taken for dead", Kind: Lines, Unit: "ops", Description: "lapsed: the others gave up this gateway's seats, and it began anew; forgotten: Redis knew nothing of it any more.",
					Queries: []Query{
						{Expr: rate("signalbox_cluster_lapsed_total", "instance"), Legend: "{{instance}} lapsed"},
						{Expr: rate("signalbox_cluster_forgotten_total", "instance"), Legend: "{{instance}} forgotten"},
					}},
				{Title: "Seats of dead gateways", Kind: Lines, Unit: "ops", Description: "Given up by the others.", Queries: one(rate("signalbox_reaped_seats_total", ""), "reaped")},
				{Title: "Time to give them up", Kind: Lines, Unit: "s", Description: "From the end of a dead gateway's lease until its last seat was given up. Empty while none has died.", Queries: quiet(quantile(.99, "signalbox_reap_duration_seconds", ""), "p99")},
				{Title: "Nodes given up", Kind: Lines, Unit: "ops", Description: "Dead gateways whose last seat was given up.", Queries: one(rate("signalbox_reaped_nodes_total", ""), "nodes")},
			}},
		},
	}
}

func capacity() Dashboard {
	return Dashboard{
		Name: "capacity", Title: "Capacity planning",
		Description: "How full gateways are, what a session and a message cost here, and whether one gateway may be lost. See docs/capacity.md.",
		Rows: []Row{
			{Title: "How full", Panels: []Panel{
				{Title: "Connections of the limit", Kind: Lines, Unit: "percentunit", Warn: .7, Bad: .9, Description: "By gateway, of limits.connections. Empty where there is no limit.",
					Queries: quiet("sum by (instance) (signalbox_connections"+on()+")\n/\n(sum by (instance) (signalbox_connection_limit"+on()+") > 0)", "{{instance}}")},
				{Title: "If the fullest gateway were lost", Kind: Lines, Unit: "percentunit", Warn: .8, Bad: .95, Description: "Connections of all, of what the others could take. Over 1 clients are refused. Empty where there is no limit, or one gateway alone.",
					Queries: quiet("sum(signalbox_connections"+on()+")\n/\n((sum(signalbox_connection_limit"+on()+") - max(signalbox_connection_limit"+on()+")) > 0)", "all")},
				{Title: "Balance of connections", Kind: Lines, Unit: "short", Warn: 1.5, Bad: 2, Description: "The fullest gateway over the average one: 1 is even.",
					Queries: one("max(sum by (instance) (signalbox_connections"+on()+"))\n/\n(avg(sum by (instance) (signalbox_connections"+on()+")) > 0)", "fullest over average")},
				{Title: "Sessions, a day and a week", Kind: Lines, Unit: "short", Width: 12, Description: "Now, a day ago and a week ago: where it goes.",
					Queries: []Query{
						{Expr: sum("signalbox_sessions", ""), Legend: "now"},
						{Expr: "sum(signalbox_sessions" + on() + " offset 1d)", Legend: "a day ago", Quiet: true},
						{Expr: "sum(signalbox_sessions" + on() + " offset 1w)", Legend: "a week ago", Quiet: true},
					}},
				{Title: "Greatest number of sessions, 7 days", Kind: Number, Unit: "short", Width: 6, Description: "Of all gateways at a time.", Queries: one("max_over_time(sum(signalbox_sessions"+on()+")[7d:5m])", "")},
				{Title: "Greatest CPU of a gateway, 1 h", Kind: Number, Unit: "short", Width: 6, Description: "Processors, over five minutes.", Queries: one("max(max_over_time(rate(process_cpu_seconds_total"+on()+"[5m])[1h:1m]))", "")},
			}},
			{Title: "What things cost", Panels: []Panel{
				{Title: "Memory of a session", Kind: Lines, Unit: "bytes", Description: "Resident memory of a gateway by its sessions, the process' own included: it falls towards the true cost as sessions rise.",
					Queries: one("sum by (instance) (process_resident_memory_bytes"+on()+")\n/\n(sum by (instance) (signalbox_sessions"+on()+") > 0)", "{{instance}}")},
				{Title: "CPU of a message", Kind: Lines, Unit: "s", Description: "CPU of all gateways by messages read and written.",
					Queries: one("sum(rate(process_cpu_seconds_total"+on()+"[$__rate_interval]))\n/\n("+rate("signalbox_messages_received_total", "")+"\n+\n"+rate("signalbox_messages_sent_total", "")+")", "a message")},
				{Title: "Calls of Redis for a request", Kind: Lines, Unit: "short", Description: "Script calls by requests. Below 1: messages that went together.",
					Queries: one(rate("signalbox_redis_script_calls_count", "")+"\n/\n"+rate("signalbox_messages_received_total", ""), "calls")},
			}},
			{Title: "What watching costs", Folded: true, Panels: []Panel{
				{Title: "Series", Kind: Lines, Unit: "short", Description: "Series of each gateway that Prometheus has read.", Queries: one("max by (instance) (scrape_samples_scraped"+on()+")", "{{instance}}")},
				{Title: "Time of a scrape", Kind: Lines, Unit: "s", Description: "How long reading a gateway's metrics takes.", Queries: one("max by (instance) (scrape_duration_seconds"+on()+")", "{{instance}}")},
				{Title: "Spans", Kind: Lines, Unit: "ops", Description: "Exports of spans by result, and spans that were dropped. Empty where nothing is traced.",
					Queries: []Query{
						{Expr: rate("signalbox_trace_exports_total", "result"), Legend: "exports {{result}}"},
						{Expr: rate("signalbox_trace_spans_dropped_total", ""), Legend: "spans dropped"},
					}},
			}},
		},
	}
}
