package store

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// Names of what belongs to no partition but to the cluster. One hash tag, so that one script can touch them all.
const (
	rosterNodesKey = keyPrefix + "{cluster}:nodes"    // zset of node ids by the end of their lease, Unix ms
	rosterInfoKey  = keyPrefix + "{cluster}:nodeinfo" // hash of node id to what it tells
	clusterKeyKey  = keyPrefix + "{cluster}:key"      // string, the cluster's key

	rosterCondemnedKey = keyPrefix + "{cluster}:condemned" // zset of nodes to give up by the end of their lease, Unix ms
	rosterPulseKey     = keyPrefix + "{cluster}:pulse"     // string, since when Redis has heard beats without a pause, Unix ms
	rosterDeadPrefix   = keyPrefix + "{cluster}:dead:"     // of a condemned node's tombstone
	rosterClaimPrefix  = keyPrefix + "{cluster}:claim:"    // of the claim of the one that gives a node's seats up
)

// ErrLapsed is what a node gets whose lease has ended, and whose seats others have given up for it or are about to. It is
// for good: the node's id is not taken again.
var ErrLapsed = errors.New("store: the node's lease has lapsed")

// NodeInfo is one node of the roster. Info is opaque to the store.
type NodeInfo struct {
	ID   string
	Info []byte
}

// ErrForgotten is what a node gets whose lease Redis does not know, though nobody has given it up: Redis has lost its data.
var ErrForgotten = errors.New("store: the node is not known any more")

// Beat renews a node's lease by Redis' clock, and tells the time of that. first starts it; a node that was given up gets
// [ErrLapsed], and a later beat of one that is not known [ErrForgotten]. It waits for Redis.
func (s *Store) Beat(ctx context.Context, node NodeInfo, lease time.Duration, first bool) (time.Time, error) {
	flag := 0
	if first {
		flag = 1
	}
	asked := time.Now()
	reply, err := s.roster.beat.Run(ctx, s.client, []string{rosterNodesKey, rosterInfoKey, rosterDeadPrefix + node.ID, rosterPulseKey},
		node.ID, lease.Milliseconds(), node.Info, flag).Slice()
	if err != nil {
		return time.Time{}, fmt.Errorf("store: beat: %w", err)
	}
	switch status, _ := at(reply, 0).(string); status {
	case "ok":
		now := time.UnixMicro(integer(reply, 1)*1000 + integer(reply, 2))
		s.clock.read(asked, time.Now(), now)
		return now, nil
	case "forgotten":
		return time.Time{}, ErrForgotten
	}
	return time.Time{}, ErrLapsed
}

// Roster lists the nodes whose lease runs. It waits for Redis.
func (s *Store) Roster(ctx context.Context) ([]NodeInfo, error) {
	nodes, err := s.leases(ctx, rosterNodesKey, rosterInfoKey)
	if err != nil {
		return nil, fmt.Errorf("store: roster: %w", err)
	}
	return nodes, nil
}

// leases lists those whose lease runs, with what they tell.
func (s *Store) leases(ctx context.Context, leasesKey, infoKey string) ([]NodeInfo, error) {
	reply, err := s.roster.list.Run(ctx, s.client, []string{leasesKey, infoKey}).StringSlice()
	if err != nil {
		return nil, err
	}
	if len(reply)%2 != 1 || reply[0] != "ok" {
		return nil, errors.New("the script's reply is not of its form")
	}
	nodes := make([]NodeInfo, 0, len(reply)/2)
	for i := 1; i < len(reply); i += 2 {
		nodes = append(nodes, NodeInfo{ID: reply[i], Info: []byte(reply[i+1])})
	}
	return nodes, nil
}

// StrikeOff takes a node that ends in order off the roster. It waits for Redis.
func (s *Store) StrikeOff(ctx context.Context, node string) error {
	_, err := s.client.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
		pipe.ZRem(ctx, rosterNodesKey, node)
		pipe.HDel(ctx, rosterInfoKey, node)
		pipe.Del(ctx, figuresPrefix+node, countsPrefix+node)
		return nil
	})
	if err != nil {
		return fmt.Errorf("store: strike off: %w", err)
	}
	return nil
}

// ClusterKey gives the secret that all nodes share: made by the first that asks, and kept in Redis. It waits for
// Redis.
func (s *Store) ClusterKey(ctx context.Context) ([]byte, error) {
	if err := s.client.SetNX(ctx, clusterKeyKey, rand.Text()+rand.Text(), 0).Err(); err != nil {
		return nil, fmt.Errorf("store: make the cluster's key: %w", err)
	}
	key, err := s.client.Get(ctx, clusterKeyKey).Bytes()
	if err != nil {
		return nil, fmt.Errorf("store: read the cluster's key: %w", err)
	}
	return key, nil
}

// rosterScripts are not part of a room's pipeline: they come once in seconds, and nobody waits behind them.
type rosterScripts struct {
	beat, list, condemn, find, usage   *redis.Script
	announce, app, putBackApps, revoke *redis.Script // see bulletin.go
	announceRelay                      *redis.Script // see relays.go
}

func newRosterScripts() (*rosterScripts, error) {
	var s rosterScripts
	for _, d := range []struct {
		into **redis.Script
		name string
	}{{&s.beat, "beat"}, {&s.list, "roster"}, {&s.condemn, "condemn"}, {&s.find, "find"}, {&s.usage, "usage"},
		{&s.announce, "announce"}, {&s.app, "app"}, {&s.putBackApps, "put_back_apps"}, {&s.revoke, "revoke"},
		{&s.announceRelay, "announce_relay"}} {
		var text strings.Builder
		if err := include(&text, d.name); err != nil {
			return nil, err
		}
		*d.into = redis.NewScript(text.String())
	}
	return &s, nil
}
