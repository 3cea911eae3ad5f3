package app

import (
	"fmt"
	"net/netip"
	"time"
)

// WebhooksConfig is about telling the apps' backends what happens in their rooms.
type WebhooksConfig struct {
	Enabled       bool          `koanf:"enabled" default:"true" doc:"Deliver for the apps' webhooks on this gateway. false leaves it to the others. What is told is the apps' and their policies' business."`
	Timeout       time.Duration `koanf:"timeout" default:"15s" min:"100ms" max:"1m" doc:"How long an endpoint may take for its answer."`
	MinRetry      time.Duration `koanf:"min_retry" default:"1s" min:"10ms" max:"1h" doc:"Pause before a post that was not taken is sent again. It doubles each time, give or take a half by chance."`
	MaxRetry      time.Duration `koanf:"max_retry" default:"5m" min:"10ms" max:"24h" doc:"Greatest pause."`
	MaxAge        time.Duration `koanf:"max_age" default:"24h" min:"1s" max:"720h" doc:"How long an event is tried for. Then it is put among the app's dead letters."`
	Batch         int           `koanf:"batch" default:"100" min:"1" max:"1000" doc:"Most events of one post."`
	Concurrency   int           `koanf:"concurrency" default:"64" min:"1" max:"10000" doc:"Posts of this gateway under way at a time."`
	PerEndpoint   int           `koanf:"per_endpoint" default:"4" min:"1" max:"1000" doc:"Of these, to one endpoint."`
	Poll          time.Duration `koanf:"poll" default:"500ms" min:"10ms" max:"1m" doc:"How often it is looked whether there is something to tell, where nothing was."`
	Lease         time.Duration `koanf:"lease" default:"15s" min:"1s" max:"10m" doc:"How long after a gateway's death another one waits before it goes on with what it was telling."`
	OutboxLength  int           `koanf:"outbox_length" default:"10000" min:"100" max:"10000000" doc:"Events that wait in a partition, and for one endpoint in a partition. The oldest are dropped beyond that, and counted (signalbox_webhook_trimmed_events)."`
	DeadLetters   int           `koanf:"dead_letters" default:"1000" min:"1" max:"1000000" doc:"Dead letters that are kept of an app in each partition. The oldest are dropped beyond that, and counted in the same place."`
	AllowHTTP     bool          `koanf:"allow_http" default:"false" doc:"Post to http URLs, too: anybody on the way can then read what is told. For trying out."`
	AllowNetworks []string      `koanf:"allow_networks" max:"256" doc:"Networks that may be posted to although they are not public, in CIDR notation; and where an app may publish its keys (jwks) or have its backend asked (hook). Whoever can name a URL for an app can then reach them through the gateway."`
}

// networks are AllowNetworks, read.
func (c *WebhooksConfig) networks() ([]netip.Prefix, error) {
	list := make([]netip.Prefix, 0, len(c.AllowNetworks))
	for _, text := range c.AllowNetworks {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("webhooks.allow_networks: %q is not a network such as 10.0.0.0/8", text)
		}
		list = append(list, prefix.Masked())
	}
	return list, nil
}
