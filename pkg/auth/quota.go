package auth

import (
	"errors"
	"fmt"
)

// Unlimited sets no limit, where the deployment's default has one.
const Unlimited = -1

// Quotas bound what an app uses. Everywhere 0 is the deployment's default, and -1 no limit; in the deployment's defaults
// themselves 0 is no limit, too.
type Quotas struct {
	// Connections are those of all the app's clients, in the whole cluster; 0 is the deployment's default, and -1 no limit.
	Connections int `koanf:"connections" yaml:"connections,omitempty" json:"connections,omitzero"`
	// Rooms are those that there are at a time, in the whole cluster: a join that would make one more is refused.
	Rooms int `koanf:"rooms" yaml:"rooms,omitempty" json:"rooms,omitzero"`
	// Members are the seats of connected clients in all rooms, in the whole cluster.
	Members int `koanf:"members" yaml:"members,omitempty" json:"members,omitzero"`
	// MessagesPerSecond are the requests that change or relay something, of all clients in the whole cluster.
	MessagesPerSecond int `koanf:"messages_per_second" yaml:"messages_per_second,omitempty" json:"messages_per_second,omitzero"`
	// BytesPerSecond are the bytes of their data.
	BytesPerSecond int `koanf:"bytes_per_second" yaml:"bytes_per_second,omitempty" json:"bytes_per_second,omitzero"`
	// PerSession bounds each session.
	PerSession RateQuotas `koanf:"per_session" yaml:"per_session,omitempty" json:"per_session,omitzero"`
	// PerUser bounds each user, in the whole cluster.
	PerUser HolderQuotas `koanf:"per_user" yaml:"per_user,omitempty" json:"per_user,omitzero"`
	// PerIP bounds each client address, in the whole cluster: an address of IPv4, a /64 of IPv6.
	PerIP HolderQuotas `koanf:"per_ip" yaml:"per_ip,omitempty" json:"per_ip,omitzero"`
}

// RateQuotas bound how often one does something. What was not used is kept for a second.
type RateQuotas struct {
	// MessagesPerSecond are the requests that change or relay something.
	MessagesPerSecond int `koanf:"messages_per_second" yaml:"messages_per_second,omitempty" json:"messages_per_second,omitzero"`
	// BytesPerSecond are the bytes of their data.
	BytesPerSecond int `koanf:"bytes_per_second" yaml:"bytes_per_second,omitempty" json:"bytes_per_second,omitzero"`
	// JoinsPerSecond are the joins, those that are refused included.
	JoinsPerSecond int `koanf:"joins_per_second" yaml:"joins_per_second,omitempty" json:"joins_per_second,omitzero"`
}

// HolderQuotas bound what several sessions have together.
type HolderQuotas struct {
	// Connections are those at a time.
	Connections int `koanf:"connections" yaml:"connections,omitempty" json:"connections,omitzero"`
	RateQuotas  `koanf:",squash" yaml:",inline"`
}

// maxQuota bounds each number: sums of them over a cluster stay whole numbers wherever they are counted.
const maxQuota = 1_000_000_000_000

// Validate gives all that is wrong with the numbers.
func (q *Quotas) Validate() error {
	var errs []error
	for _, f := range q.fields() {
		if *f.value < Unlimited || *f.value > maxQuota {
			errs = append(errs, fmt.Errorf("quotas.%s is %d, not %d to %d", f.name, *f.value, Unlimited, maxQuota))
		}
	}
	return errors.Join(errs...)
}

// over gives the quotas that hold, with what is left out taken from the deployment's defaults: in the result 0 is no limit.
func (q *Quotas) over(base *Quotas) Quotas {
	whole := *q
	defaults := base.fields()
	for i, f := range whole.fields() {
		inherit(f.value, *defaults[i].value)
		*f.value = max(*f.value, 0)
	}
	return whole
}

type quotaField struct {
	name  string
	value *int
}

func (q *Quotas) fields() []quotaField {
	fields := []quotaField{
		{"connections", &q.Connections}, {"rooms", &q.Rooms}, {"members", &q.Members},
		{"messages_per_second", &q.MessagesPerSecond}, {"bytes_per_second", &q.BytesPerSecond},
	}
	fields = append(fields, q.PerSession.fields("per_session.")...)
	for _, holder := range []struct {
		name   string
		quotas *HolderQuotas
	}{{"per_user.", &q.PerUser}, {"per_ip.", &q.PerIP}} {
		fields = append(fields, quotaField{holder.name + "connections", &holder.quotas.Connections})
		fields = append(fields, holder.quotas.fields(holder.name)...)
	}
	return fields
}

func (q *RateQuotas) fields(prefix string) []quotaField {
	return []quotaField{
		{prefix + "messages_per_second", &q.MessagesPerSecond}, {prefix + "bytes_per_second", &q.BytesPerSecond},
		{prefix + "joins_per_second", &q.JoinsPerSecond},
	}
}

// Shared reports whether there are some of the whole cluster.
func (q *Quotas) Shared() bool {
	return q.Connections > 0 || q.Members > 0 || q.Rooms > 0 || q.MessagesPerSecond > 0 || q.BytesPerSecond > 0
}

// PerHolder reports whether there are some of users or addresses.
func (q *Quotas) PerHolder() bool {
	return q.PerUser != (HolderQuotas{}) || q.PerIP != (HolderQuotas{})
}

// Quotas gives those that hold for an app, the deployment's defaults for one that there is not: 0 is no limit.
func (d *Directory) Quotas(app string) Quotas {
	var none Quotas
	if a, ok := d.current.Load().apps[app]; ok {
		return a.quotas
	}
	return none.over(&d.opts.Quotas)
}
