package room_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signalbox-rtc/signalbox/pkg/room"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// operation is one thing that a member can ask for, in a room where it has a seat unless it joins.
type operation struct {
	name string
	// joins is set for those that take a seat themselves.
	joins bool
	run   func(p *peer, name, other string) error
}

var operations = []operation{
	{name: "join", joins: true, run: func(p *peer, name, _ string) error {
		_, err := p.join(name)
		return err
	}},
	{name: "join with a capacity", joins: true, run: func(p *peer, name, _ string) error {
		_, err := p.joinWith(&wire.Join{Room: name + "-new", Capacity: 3})
		return err
	}},
	{name: "join a locked room", joins: true, run: func(p *peer, name, _ string) error {
		_, err := p.join(name + "-locked")
		return err
	}},
	{name: "leave", run: func(p *peer, name, _ string) error { return p.leave(name) }},
	{name: "signal", run: func(p *peer, name, other string) error {
		_, err := wait(func(done func(wire.Done, error)) {
			p.Signal(0, &wire.Signal{Room: name, To: other, Data: mustJSON(map[string]int{"a": 1})}, done)
		})
		return err
	}},
	{name: "publish", run: func(p *peer, name, _ string) error {
		_, err := p.publish(name, "hello")
		return err
	}},
	{name: "state", run: func(p *peer, name, _ string) error {
		_, err := wait(func(done func(wire.Done, error)) {
			p.SetState(0, &wire.SetState{Room: name, State: wire.Object{"mic": mustJSON(true)}}, done)
		})
		return err
	}},
	{name: "room", run: func(p *peer, name, _ string) error {
		locked := false
		_, err := wait(func(done func(wire.Updated, error)) {
			p.UpdateRoom(0, &wire.UpdateRoom{Room: name, Version: 1, RoomChange: wire.RoomChange{Locked: &locked}}, done)
		})
		return err
	}},
	{name: "mute", run: func(p *peer, name, other string) error { return control(p, name, wire.ActionMute, other) }},
	{name: "unmute", run: func(p *peer, name, other string) error { return control(p, name, wire.ActionUnmute, other) }},
	{name: "kick", run: func(p *peer, name, other string) error {
		_, err := p.kick(name, other)
		return err
	}},
	{name: "count", run: func(p *peer, name, _ string) error {
		_, err := wait(func(done func(*wire.Snapshot, error)) { p.Look(name, false, done) })
		return err
	}},
	{name: "list", run: func(p *peer, name, _ string) error {
		_, err := p.look(name)
		return err
	}},
}

func control(p *peer, name, action, to string) error {
	_, err := wait(func(done func(wire.Controlled, error)) {
		p.Control(0, &wire.Control{Room: name, Action: action, Kind: wire.KindAudio, To: to}, done)
	})
	return err
}

// Who may do what: every operation with every permission alone, with none, and in a room that the grant does not name.
func TestPermissions(t *testing.T) {
	deployments(t, func(t *testing.T, addr string) {
		n := startNode(t, addr, "n1", nodeOptions{})
		grants := []struct {
			name        string
			permissions room.Permissions
			granted     bool
		}{
			{"publish", room.Permissions{Publish: true}, true},
			{"moderate", room.Permissions{Moderate: true}, true},
			{"capacity", room.Permissions{SetCapacity: true}, true},
			{"none", room.Permissions{}, true},
			{"no grant", room.Permissions{}, false},
		}
		const ok = wire.Code("")
		want := map[string]map[string]wire.Code{
			"join":                 {"publish": ok, "moderate": ok, "capacity": ok, "none": ok, "no grant": wire.CodeForbidden},
			"join with a capacity": {"publish": wire.CodeForbidden, "moderate": wire.CodeForbidden, "capacity": ok, "none": wire.CodeForbidden, "no grant": wire.CodeForbidden},
			"join a locked room":   {"publish": wire.CodeRoomLocked, "moderate": ok, "capacity": wire.CodeRoomLocked, "none": wire.CodeRoomLocked, "no grant": wire.CodeForbidden},
			"leave":                {"publish": ok, "moderate": ok, "capacity": ok, "none": ok, "no grant": wire.CodeNotMember},
			"count":                {"publish": ok, "moderate": ok, "capacity": ok, "none": ok, "no grant": wire.CodeForbidden},
			"list":                 {"publish": ok, "moderate": ok, "capacity": ok, "none": ok, "no grant": wire.CodeForbidden},
		}
		for _, name := range []string{"signal", "publish", "state"} {
			want[name] = map[string]wire.Code{"publish": ok, "moderate": wire.CodeForbidden, "capacity": wire.CodeForbidden, "none": wire.CodeForbidden, "no grant": wire.CodeNotMember}
		}
		for _, name := range []string{"room", "mute", "unmute", "kick"} {
			want[name] = map[string]wire.Code{"publish": wire.CodeForbidden, "moderate": ok, "capacity": wire.CodeForbidden, "none": wire.CodeForbidden, "no grant": wire.CodeNotMember}
		}
		serial := 0
		for _, op := range operations {
			for _, grant := range grants {
				t.Run(op.name+"/"+grant.name, func(t *testing.T) {
					code, listed := want[op.name][grant.name]
					require.True(t, listed)
					serial++
					name := fmt.Sprint("r", serial)
					host := newPeer(t, n, fmt.Sprint("host-", serial))
					defer host.End(wire.ReasonLeft)
					host.mustJoin(t, name)
					host.mustJoin(t, name+"-locked")
					locked := true
					_, err := wait(func(done func(wire.Updated, error)) {
						host.UpdateRoom(0, &wire.UpdateRoom{Room: name + "-locked", Version: 1, RoomChange: wire.RoomChange{Locked: &locked}}, done)
					})
					require.NoError(t, err)
					p := newPeerAs(t, n, room.Identity{ID: fmt.Sprint("p-", serial), App: app, User: "u",
						Grant: func(string) (room.Permissions, bool) { return grant.permissions, grant.granted }})
					defer p.End(wire.ReasonLeft)
					if !op.joins && grant.granted {
						p.mustJoin(t, name)
					}
					before, err := host.look(name)
					require.NoError(t, err)

					err = op.run(p, name, host.id)
					if code == ok {
						require.NoError(t, err)
						return
					}
					requireCode(t, code, err)
					after, err := host.look(name)
					require.NoError(t, err)
					require.Equal(t, before, after, "what was refused changes nothing")
				})
			}
		}
	})
}

// What no permission allows.
func TestRefusals(t *testing.T) {
	deployments(t, func(t *testing.T, addr string) {
		n := startNode(t, addr, "n1", nodeOptions{})
		ada, bob := newPeer(t, n, "ada"), newPeer(t, n, "bob")
		ada.mustJoin(t, "r")
		bob.mustJoin(t, "elsewhere")
		signal := func(to string) error {
			_, err := wait(func(done func(wire.Done, error)) {
				ada.Signal(0, &wire.Signal{Room: "r", To: to, Data: mustJSON(map[string]int{})}, done)
			})
			return err
		}
		requireCode(t, wire.CodeBadRequest, signal("ada"))
		requireCode(t, wire.CodePeerGone, signal("nobody"))
		requireCode(t, wire.CodePeerGone, signal("bob")) // a seat in another room is none
		requireCode(t, wire.CodeBadRequest, control(ada, "r", wire.ActionMute, "ada"))
		requireCode(t, wire.CodePeerGone, control(ada, "r", wire.ActionMute, "bob"))
		requireCode(t, wire.CodeNotMember, bob.leave("r"))
		_, err := bob.look("r")
		requireCode(t, wire.CodeNotMember, err)

		for _, key := range []string{wire.StateMutedAudio, wire.StateMutedVideo} {
			state := wire.Object{key: mustJSON(false)}
			_, err = newPeer(t, n, "cy").joinWith(&wire.Join{Room: "r", State: state})
			requireCode(t, wire.CodeForbidden, err)
			_, err = wait(func(done func(wire.Done, error)) { ada.SetState(0, &wire.SetState{Room: "r", State: state}, done) })
			requireCode(t, wire.CodeForbidden, err)
		}

		locked := true
		update := func(version int64) (wire.Updated, error) {
			return wait(func(done func(wire.Updated, error)) {
				ada.UpdateRoom(0, &wire.UpdateRoom{Room: "r", Version: version, RoomChange: wire.RoomChange{Locked: &locked}}, done)
			})
		}
		updated, err := update(1)
		require.NoError(t, err)
		require.EqualValues(t, 2, updated.Version)
		_, err = update(1)
		requireCode(t, wire.CodeConflict, err)
		var refusal *wire.Error
		require.ErrorAs(t, err, &refusal)
		require.EqualValues(t, 2, refusal.Version, "a conflict names the present version")
	})
}

// A session that another gateway serves by now can do nothing through this one.
func TestFenced(t *testing.T) {
	deployments(t, func(t *testing.T, addr string) {
		n1, n2 := startNode(t, addr, "n1", nodeOptions{}), startNode(t, addr, "n2", nodeOptions{})
		here, there := newPeer(t, n1, "same"), newPeer(t, n2, "same")
		here.mustJoin(t, "r")
		_, err := there.join("r")
		requireCode(t, wire.CodeUnavailable, err)
		there.End(wire.ReasonLeft)
		require.NoError(t, n2.rooms.Settled(t.Context()))
		require.Equal(t, []string{"same"}, members(t, n1, "r"))
		n2.emptied(t)
	})
}
