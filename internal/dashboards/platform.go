package dashboards

func platform() Dashboard {
	return Dashboard{
		Name: "platform", Title: "Platform",
		Description: "What apps and their backends have of the cluster: the server API, webhooks, quotas, published keys and hooks.",
		Rows:        []Row{serverAPI(), webhooks(), quotas(), directory()},
	}
}

func serverAPI() Row {
	const requests = "signalbox_api_requests_total"
	return Row{Title: "The server API", Panels: []Panel{
		{Title: "Requests of the API by answer", Kind: Lines, Unit: "reqps", Stacked: true, Description: "By class of the HTTP status. 4xx are the callers' doing: see what was refused unread. 5xx are ours.",
			Queries: one("sum by (class) (label_replace(rate("+requests+on()+`[$__rate_interval]), "class", "$1", "code", "(.).."))`, "{{class}}xx")},
		{Title: "Requests of the API by operation", Kind: Lines, Unit: "reqps", Description: "Names are those of /v1/docs; none is a path that there is not.",
			Queries: one(rate(requests, "operation")+" > 0", "{{operation}}")},
		{Title: "Time of the API to answer", Kind: Lines, Unit: "s", Warn: .25, Bad: 1, Description: "p99 by operation, of those that were asked for. Streams of events are not counted.",
			Queries: one(quantile(.99, "signalbox_api_request_duration_seconds", "operation"), "{{operation}}")},
		{Title: "Refused by the API unread", Kind: Lines, Unit: "reqps", Description: "key: none that is known, as with a backend that has an old one; rate: api.requests_per_second of one key; listeners: api.listeners.",
			Queries: one(rate("signalbox_api_refused_total", "reason"), "{{reason}}")},
		{Title: "Faults of the API", Kind: Lines, Unit: "reqps", Description: "Answers of 5xx: 503 is Redis that did not answer in api.timeout. A fault is a panic of ours that ended one request. Nothing but 0 is well.",
			Queries: []Query{
				{Expr: rate(requests, "code", `code=~"5.."`), Legend: "{{code}}", Quiet: true},
				{Expr: rate("signalbox_api_faults_total", ""), Legend: "faults"},
			}},
		{Title: "Sent again, and followed", Kind: Lines, Unit: "short", Description: "Requests with an Idempotency-Key, a second: repeated are answered as the first time, mismatch is a caller that uses a key twice. Streams of events that are open.",
			Queries: []Query{
				{Expr: rate("signalbox_api_idempotent_requests_total", "result"), Legend: "{{result}} a second"},
				{Expr: sum("signalbox_api_listeners", ""), Legend: "streams"},
			}},
	}}
}

func webhooks() Row {
	return Row{Title: "Webhooks", Panels: []Panel{
		{Title: "Events posted", Kind: Lines, Unit: "ops", Description: "By what became of the post: status is another answer than 2xx, timeout and error are endpoints that do not answer, refused is an address that is not public, gone is 410.",
			Queries: one(rate("signalbox_webhook_deliveries_total", "result"), "{{result}}")},
		{Title: "Events that wait", Kind: Lines, Unit: "short", Stacked: true, Description: "For their endpoints, in the partitions that each gateway delivers for.",
			Queries: one(sum("signalbox_webhook_pending", "instance"), "{{instance}}")},
		{Title: "Age of the oldest event", Kind: Lines, Unit: "s", Warn: 300, Bad: 900, Description: "Of those that wait. A line that rises as fast as time passes is an endpoint that takes nothing.",
			Queries: one("max by (instance) (signalbox_webhook_oldest_pending_seconds"+on()+")", "{{instance}}")},
		{Title: "Time of a post", Kind: Lines, Unit: "s", Warn: 1, Bad: 10, Description: "Of one or more events, until the endpoint has answered.", Queries: percentiles("signalbox_webhook_delivery_duration_seconds")},
		{Title: "Given up", Kind: Lines, Unit: "ops", Description: "Events that became dead letters: expired were not taken in webhooks.max_age, gone is an endpoint that wants nothing, removed one that is not configured any more.",
			Queries: one(rate("signalbox_webhook_dead_letters_total", "reason"), "{{reason}}")},
		{Title: "Dropped events, and endpoints that are gone", Kind: Lines, Unit: "short", Description: "Events that were dropped undelivered, as too many waited, since Redis was empty: a step up is a loss. Endpoints that have answered 410 and are told nothing.",
			Queries: []Query{
				{Expr: "max(signalbox_webhook_trimmed_events" + on() + ")", Legend: "dropped"},
				{Expr: "max(signalbox_webhook_endpoints_disabled" + on() + ")", Legend: "endpoints gone"},
			}},
	}}
}

func quotas() Row {
	return Row{Title: "Quotas and waiting", Panels: []Panel{
		{Title: "Apps nearest to their quotas", Kind: Lines, Unit: "percentunit", Warn: .8, Bad: 1, Description: "The ten greatest shares of a quota in use, in the whole cluster; of messages and bytes, what was asked for, which can be more than all. Empty where no app has any.",
			Queries: one(`topk(10, max by (app, quota) (signalbox_quota_usage_ratio`+on(`app=~"$app"`)+`)) > 0`, "{{app}}: {{quota}}")},
		{Title: "Refused for a quota", Kind: Lines, Unit: "ops", Description: "By what there would have been too much of, and whose quota it is.",
			Queries: one(rate("signalbox_quota_refused_total", "quota, scope")+" > 0", "{{quota}} of the {{scope}}")},
		{Title: "Age of the exchange", Kind: Lines, Unit: "s", Warn: 10, Bad: 60, Description: "How long ago each gateway told the others what apps use. It is about a second; while it grows the gateway keeps its share.",
			Queries: one("max by (instance) (signalbox_quota_exchange_age_seconds"+on()+")", "{{instance}}")},
		{Title: "Users and addresses that are counted", Kind: Lines, Unit: "short", Description: "By gateway, of quotas.holders; those with much of whom gateways tell each other, of quotas.holders_told; and apps, of quotas.apps.",
			Queries: []Query{
				{Expr: sum("signalbox_quota_holders", "instance"), Legend: "{{instance}} holders"},
				{Expr: sum("signalbox_quota_holders_told", "instance"), Legend: "{{instance}} told"},
				{Expr: sum("signalbox_quota_apps", "instance"), Legend: "{{instance}} apps"},
			}},
		{Title: "Not counted", Kind: Lines, Unit: "ops", Description: "Users, addresses and apps past what a gateway keeps count of, or tells the others (told), and exchanges that failed. Nothing but 0 is well.",
			Queries: []Query{
				{Expr: rate("signalbox_quota_untracked_total", "kind"), Legend: "{{kind}}"},
				{Expr: rate("signalbox_quota_exchange_failures_total", ""), Legend: "failed exchanges"},
			}},
		{Title: "Joins that wait", Kind: Lines, Unit: "ops", Description: "For a seat of a full room, or to be let into a moderated one; and those who came back to the queue.",
			Queries: []Query{
				{Expr: rate("signalbox_joins_total", "", `result="waiting"`), Legend: "began to wait"},
				{Expr: rate("signalbox_resumed_seats_total", "", `result="waiting"`), Legend: "came back to wait"},
			}},
	}}
}

func directory() Row {
	return Row{Title: "Apps, their keys and their backends", Panels: []Panel{
		{Title: "Apps", Kind: Lines, Unit: "short", Description: "By where they come from. Refused are managed ones that are left out: the log says why.",
			Queries: one("max by (source) (signalbox_apps"+on()+")", "{{source}}")},
		{Title: "Changes of apps", Kind: Lines, Unit: "ops", Description: "Changes of the configuration's files that were taken (ok) or not (error), and announcements of managed apps and revocations that gateways have heard.",
			Queries: []Query{
				{Expr: rate("signalbox_config_reloads_total", "result"), Legend: "files {{result}}"},
				{Expr: rate("signalbox_redis_bulletin_announcements_total", ""), Legend: "announcements"},
				{Expr: rate("signalbox_redis_bulletin_reloads_total", ""), Legend: "all read anew"},
			}},
		{Title: "Age of published keys", Kind: Lines, Unit: "s", Warn: 3600, Bad: 4 * 3600, Description: "The oldest set of keys (jwks) that counts, by gateway. It falls with each fetch, every quarter of an hour as a rule; past max_age tokens are refused.",
			Queries: one("max by (instance) (signalbox_jwks_age_seconds"+on()+")", "{{instance}}")},
		{Title: "Fetches of published keys", Kind: Lines, Unit: "ops", Width: 6, Description: "After an error those before stay for a while.", Queries: one(rate("signalbox_jwks_refresh_total", "result"), "{{result}}")},
		{Title: "Answers of apps' backends", Kind: Lines, Unit: "ops", Width: 6, Description: "Hooks by what they were asked about. failed is no answer or a wrong one; paused and busy were not asked: these clients are told to come again.",
			Queries: one(rate("signalbox_auth_hook_total", "about, result")+" > 0", "{{about}}: {{result}}")},
		{Title: "Time of apps' backends", Kind: Lines, Unit: "s", Width: 6, Warn: .5, Bad: 2, Description: "p99 until the answer, by what they were asked about: clients wait for it.",
			Queries: one(quantile(.99, "signalbox_auth_hook_duration_seconds", "about"), "{{about}}")},
		{Title: "Time until keys expire", Kind: Lines, Unit: "s", Width: 6, Warn: 14 * 86400, Bad: 86400, Falling: true, Description: "The next key of an app that does, by kind: signing (of tokens) or api (of the server API). Empty where none will.",
			Queries: quiet("min by (kind) (signalbox_app_key_expiry_timestamp_seconds"+on()+" > 0) - time()", "{{kind}}")},
	}}
}
