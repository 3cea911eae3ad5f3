package room

import (
	"encoding/json"
	"time"

	"github.com/signalbox-rtc/signalbox/pkg/store"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// Policy is what an app lets one of its rooms be. The zero value leaves everything to the service and to the [Identity].
type Policy struct {
	// Capacity is the number of seats of a room that is made without asking for a number, and MaxCapacity the most that may be
	// asked for; 0 leaves them as they are elsewhere.
	Capacity, MaxCapacity int
	// NoCreate keeps the member from making the room.
	NoCreate bool
	// Grace is how long seats are kept of members that can come back; 0 is [Identity].Grace, below 0 none is kept.
	Grace time.Duration
	// SameUser is above 0 to have the member take the seats of the same user's other sessions, below 0 not to, and 0 as the
	// [Identity] says.
	SameUser int
	// Keep is how long the room stays when nobody has a seat in it; 0 is the service's time, below 0 it goes at once.
	Keep time.Duration
	// Succession has the peer that is there and has been for the longest time become the presenter when the presenter leaves.
	Succession bool
	// Moderated has who is no moderator wait until one lets it in.
	Moderated bool
	// FirstModerates makes a moderator of who takes the room's first seat, as long as it has that seat.
	FirstModerates bool
	// Waiting is how many may wait for a seat, or to be let in; 0 is the service's number, below 0 nobody may.
	Waiting int
	// Chat is how many chat messages are kept for those who join later; 0 is the service's number, below 0 none is.
	Chat int
	// NoSpotlight keeps moderators from starting a rotation.
	NoSpotlight bool
	// RelayOnly asks the member to send media through TURN servers alone. It is told, and nothing more.
	RelayOnly bool
}

// policyOf gives the policy of a room for this member.
func (m *Member) policyOf(room string) Policy {
	if m.policy == nil {
		return Policy{}
	}
	return m.policy(room)
}

// capacityOf gives how many seats a room of this policy has that the member makes, and the most that it may ask for.
func (m *Member) capacityOf(p *Policy) (capacity, most int) {
	capacity, most = m.capacity, m.most
	if p.MaxCapacity > 0 {
		most = min(p.MaxCapacity, m.service.opts.MaxCapacity)
	}
	if p.Capacity > 0 {
		capacity = p.Capacity
	}
	return min(capacity, most), most
}

// graceOf gives how long the member's seat in a room is kept.
func (m *Member) graceOf(p *Policy) time.Duration {
	switch {
	case m.grace <= 0 || p.Grace < 0:
		return 0
	case p.Grace > 0:
		return p.Grace
	}
	return m.grace
}

// sameUserOf gives how the profiles of seats begin that the member's seat replaces; nil for none.
func (m *Member) sameUserOf(p *Policy) []byte {
	switch {
	case p.SameUser < 0:
		return nil
	case p.SameUser > 0 && m.sameUser == nil:
		return sameUser(m.user)
	}
	return m.sameUser
}

// sameUser gives how the profiles of a user begin.
func sameUser(user string) []byte {
	encoded, err := json.Marshal(user)
	if err != nil { // a string always encodes
		return nil
	}
	return append([]byte(`{"user":`), encoded...)
}

// rules gives a policy's rules with the service's numbers where it has none.
func (s *Service) rules(p *Policy) store.Rules {
	rules := store.Rules{Keep: p.Keep, Succession: p.Succession, Moderated: p.Moderated, Waiting: p.Waiting}
	if rules.Waiting == 0 {
		rules.Waiting = s.opts.Waiting
	}
	if rules.Keep == 0 {
		rules.Keep = s.opts.Keep
	}
	return rules
}

// keptOf gives how many messages are kept of a topic; below 1 none is.
func (s *Service) keptOf(p *Policy, topic string) int {
	switch {
	case topic == wire.TopicWhiteboard:
		return s.opts.WhiteboardLength
	case p.Chat != 0:
		return p.Chat
	}
	return s.opts.ChatLength
}
