package store

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// Bounds of what a relay tells about itself.
const (
	maxRelayURLs  = 32
	maxRelayURL   = 512 // bytes, of a URL or a version
	maxRelayLease = time.Hour
)

// Relay is a STUN and TURN server that tells the cluster of itself.
type Relay struct {
	// ID is new at each start of the relay: 1 to 64 printable characters, as of a node.
	ID string `json:"-"`
	// Region is where it stands, of the same characters; "" where that was not said.
	Region string `json:"region,omitempty"`
	// URLs are how clients reach it, as RFC 7064 and RFC 7065 write them: stun:, turn: and turns:.
	URLs []string `json:"urls"`
	// Load is how much of what it may carry it carries, from 0 to 1.
	Load float64 `json:"load"`
	// Draining is set while it takes no new allocations, as it is about to end.
	Draining bool   `json:"draining,omitempty"`
	Version  string `json:"version,omitempty"`
}

// AnnounceRelay tells the cluster of a relay for as long as a lease, by Redis' clock. What was told of it before is replaced. It waits
// for Redis. Refusals: bad_request, unavailable.
func (s *Store) AnnounceRelay(ctx context.Context, relay Relay, lease time.Duration) error {
	if err := relay.check(); err != nil {
		return err
	}
	if lease < time.Millisecond || lease > maxRelayLease {
		return wire.Errorf(wire.CodeBadRequest, "a relay's lease is 1ms to %v", maxRelayLease)
	}
	info, err := json.Marshal(relay)
	if err != nil {
		return wire.Errorf(wire.CodeBadRequest, "a relay that cannot be written: %v", err)
	}
	if err := s.roster.announceRelay.Run(ctx, s.client, []string{relaysKey, relayInfoKey},
		relay.ID, lease.Milliseconds(), info).Err(); err != nil {
		return s.failed(err)
	}
	return nil
}

// WithdrawRelay forgets a relay, if it is known. It waits for Redis. Refusals: bad_request, unavailable.
func (s *Store) WithdrawRelay(ctx context.Context, id string) error {
	if !validID(id) {
		return wire.Errorf(wire.CodeBadRequest, "not a relay's id")
	}
	_, err := s.client.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
		pipe.ZRem(ctx, relaysKey, id)
		pipe.HDel(ctx, relayInfoKey, id)
		return nil
	})
	if err != nil {
		return s.failed(err)
	}
	return nil
}

// Relays lists the relays whose lease runs, in the order of their ids. One whose record cannot be read is left out, and logged. It waits
// for Redis. Refusals: unavailable.
func (s *Store) Relays(ctx context.Context) ([]Relay, error) {
	told, err := s.leases(ctx, relaysKey, relayInfoKey)
	if err != nil {
		return nil, s.failed(err)
	}
	relays := make([]Relay, 0, len(told))
	for _, info := range told {
		relay := Relay{}
		err := json.Unmarshal(info.Info, &relay)
		relay.ID = info.ID
		if err == nil {
			err = relay.check()
		}
		if err != nil {
			s.log.warn("relays", "a relay's record is passed over", "relay", relay.ID, "error", err)
			continue
		}
		relays = append(relays, relay)
	}
	slices.SortFunc(relays, func(a, b Relay) int { return strings.Compare(a.ID, b.ID) })
	return relays, nil
}

func (r *Relay) check() error {
	switch {
	case !validID(r.ID):
		return wire.Errorf(wire.CodeBadRequest, "not a relay's id")
	case r.Region != "" && !validID(r.Region):
		return wire.Errorf(wire.CodeBadRequest, "not a relay's region")
	case len(r.URLs) == 0 || len(r.URLs) > maxRelayURLs:
		return wire.Errorf(wire.CodeBadRequest, "a relay has 1 to %d URLs", maxRelayURLs)
	case !(r.Load >= 0 && r.Load <= 1): // NaN is neither
		return wire.Errorf(wire.CodeBadRequest, "a relay's load is 0 to 1")
	case len(r.Version) > maxRelayURL:
		return wire.Errorf(wire.CodeBadRequest, "a relay's version has at most %d bytes", maxRelayURL)
	}
	for _, url := range r.URLs {
		if err := checkRelayURL(url); err != nil {
			return err
		}
	}
	return nil
}

func checkRelayURL(url string) error {
	scheme, rest, _ := strings.Cut(url, ":")
	known := scheme == "stun" || scheme == "stuns" || scheme == "turn" || scheme == "turns"
	if !known || rest == "" || len(url) > maxRelayURL {
		return wire.Errorf(wire.CodeBadRequest, "a relay's URL is a stun:, stuns:, turn: or turns: URL of at most %d bytes", maxRelayURL)
	}
	return nil
}
