package auth

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// Policy is what an app lets its rooms be. It travels with each [Identity].
type Policy struct {
	// Capacity is the number of seats of a new room; 0 is the deployment's default.
	Capacity int `koanf:"capacity" yaml:"capacity,omitempty" json:"capacity,omitzero"`
	// MaxCapacity is the greatest number of seats that a client may ask for; 0 is the deployment's limit.
	MaxCapacity int `koanf:"max_capacity" yaml:"max_capacity,omitempty" json:"max_capacity,omitzero"`
	// Grace is how long a seat is kept when its connection is lost, for clients that can resume, 1h at most; 0 is the
	// deployment's default, and below 0 no seat is kept.
	Grace Duration `koanf:"grace" yaml:"grace,omitempty" json:"grace,omitzero"`
	// SameUser is what becomes of a user's seat in a room when the user takes another one there with a new session: allow
	// keeps both, replace gives the earlier one up; "" is the deployment's default.
	SameUser SameUser `koanf:"same_user" yaml:"same_user,omitempty" json:"same_user,omitzero"`
	// Create is who may create a room by joining it: anyone, moderators, or api (the server API alone); "" is anyone.
	Create Create `koanf:"create" yaml:"create,omitempty" json:"create,omitzero"`
	// Echo is whether who publishes gets the message back: asked (if its request says so) or off (never); "" is asked.
	Echo Echo `koanf:"echo" yaml:"echo,omitempty" json:"echo,omitzero"`
	// Topics are those that messages may be published under, 64 at most; any, or none, if empty.
	Topics []string `koanf:"topics" yaml:"topics,omitempty" json:"topics,omitzero"`
	// MaxMessageBytes is the greatest size of the data of one message or signal, in bytes of JSON; 0 sets no other bound than
	// the deployment's.
	MaxMessageBytes int `koanf:"max_message_bytes" yaml:"max_message_bytes,omitempty" json:"max_message_bytes,omitzero"`
	// Moderated is whether who is no moderator waits until one admits it: on or off; "" is off.
	Moderated Switch `koanf:"moderated" yaml:"moderated,omitempty" json:"moderated,omitzero"`
	// FirstModerates is whether who takes the first seat of a room moderates it, as long as it has that seat: on or off; "" is off.
	FirstModerates Switch `koanf:"first_moderates" yaml:"first_moderates,omitempty" json:"first_moderates,omitzero"`
	// Succession is who becomes the presenter when the presenter leaves: none, or next, the peer that has been there longest;
	// "" is none.
	Succession Succession `koanf:"succession" yaml:"succession,omitempty" json:"succession,omitzero"`
	// Spotlight is whether moderators may start a rotation of the spotlight: on or off; "" is on.
	Spotlight Switch `koanf:"spotlight" yaml:"spotlight,omitempty" json:"spotlight,omitzero"`
	// History is how many chat messages a room keeps for those who join later, 1000 at most; 0 is the deployment's default, and
	// below 0 none is kept.
	History int `koanf:"history" yaml:"history,omitempty" json:"history,omitzero"`
	// Keep is how long a room stays after its last peer has left, 30 days (720h) at most; 0 is the deployment's default, and
	// below 0 it goes at once.
	Keep Duration `koanf:"keep" yaml:"keep,omitempty" json:"keep,omitzero"`
	// Webhooks is whether the app's webhooks are told of the room: on or off; "" is on.
	Webhooks Switch `koanf:"webhooks" yaml:"webhooks,omitempty" json:"webhooks,omitzero"`
	// Waiting is how many may wait for a seat of a full room, 1000 at most; 0 is the deployment's default, and below 0 nobody
	// may.
	Waiting int `koanf:"waiting" yaml:"waiting,omitempty" json:"waiting,omitzero"`
	// RelayOnly is whether clients are asked to send media through TURN servers alone, so that no peer learns another one's address: on
	// or off; "" is off.
	RelayOnly Switch `koanf:"relay_only" yaml:"relay_only,omitempty" json:"relay_only,omitzero"`
}

// RoomPolicy is the policy of the rooms whose names match a pattern.
type RoomPolicy struct {
	// Rooms are the rooms: a name, or a prefix followed by one '*'. What else is left out is as in the app's policy.
	Rooms  string `koanf:"rooms" yaml:"rooms" json:"rooms"`
	Policy `koanf:",squash" yaml:",inline"`
}

// SameUser is a policy for several sessions of one user in a room.
type SameUser string

// The policies.
const (
	// SameUserAllow lets a user have several seats.
	SameUserAllow SameUser = "allow"
	// SameUserReplace gives up the user's earlier seat: a page that is loaded again takes its own place.
	SameUserReplace SameUser = "replace"
)

// Create is who may create a room.
type Create string

// Who may create a room.
const (
	CreateAnyone     Create = "anyone"
	CreateModerators Create = "moderators"
	CreateAPI        Create = "api"
)

// Echo is whether who publishes gets its own message.
type Echo string

// The policies of echo.
const (
	EchoAsked Echo = "asked"
	EchoOff   Echo = "off"
)

// Succession is who becomes the presenter after one that leaves.
type Succession string

// The policies of succession.
const (
	SuccessionNone Succession = "none"
	SuccessionNext Succession = "next"
)

// Switch is on, off, or not said.
type Switch string

// The positions of a [Switch].
const (
	On  Switch = "on"
	Off Switch = "off"
)

// Bounds of policies.
const (
	maxGrace    = time.Hour // for somebody who may not come back
	maxKeep     = 30 * 24 * time.Hour
	maxHistory  = 1000
	maxWaiting  = 1000
	maxTopics   = 64
	maxTopic    = 64 // characters of a topic, as in the native protocol
	maxPolicies = 64
)

// MayCreate reports whether who has the permissions may create a room by joining it.
func (p *Policy) MayCreate(can Permissions) bool {
	switch p.Create {
	case CreateAPI:
		return false
	case CreateModerators:
		return can.Moderate
	}
	return true
}

// AllowsTopic reports whether messages may be published under a topic.
func (p *Policy) AllowsTopic(topic string) bool {
	return len(p.Topics) == 0 || slices.Contains(p.Topics, topic)
}

// AllowsSpotlight reports whether the spotlight may rotate.
func (p *Policy) AllowsSpotlight() bool { return p.Spotlight != Off }

// HasWebhooks reports whether webhooks are told of the room.
func (p *Policy) HasWebhooks() bool { return p.Webhooks != Off }

// over gives the policy with what it leaves out taken from another one.
func (p *Policy) over(base *Policy) Policy {
	whole := *p
	inherit(&whole.Capacity, base.Capacity)
	inherit(&whole.MaxCapacity, base.MaxCapacity)
	inherit(&whole.Grace, base.Grace)
	inherit(&whole.SameUser, base.SameUser)
	inherit(&whole.Create, base.Create)
	inherit(&whole.Echo, base.Echo)
	inherit(&whole.MaxMessageBytes, base.MaxMessageBytes)
	inherit(&whole.Moderated, base.Moderated)
	inherit(&whole.FirstModerates, base.FirstModerates)
	inherit(&whole.Succession, base.Succession)
	inherit(&whole.Spotlight, base.Spotlight)
	inherit(&whole.History, base.History)
	inherit(&whole.Keep, base.Keep)
	inherit(&whole.Webhooks, base.Webhooks)
	inherit(&whole.Waiting, base.Waiting)
	inherit(&whole.RelayOnly, base.RelayOnly)
	if len(whole.Topics) == 0 {
		whole.Topics = base.Topics
	}
	return whole
}

func inherit[T comparable](value *T, base T) {
	var zero T
	if *value == zero {
		*value = base
	}
}

// clone gives a copy that shares nothing with the policy.
func (p *Policy) clone() Policy {
	copied := *p
	copied.Topics = slices.Clone(p.Topics)
	return copied
}

func (p *Policy) validate() error {
	var errs []error
	fail := func(wrong bool, format string, args ...any) {
		if wrong {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	fail(p.Capacity < 0 || p.MaxCapacity < 0, "a capacity is negative")
	fail(p.MaxCapacity > 0 && p.Capacity > p.MaxCapacity, "capacity %d is greater than max_capacity %d", p.Capacity, p.MaxCapacity)
	fail(time.Duration(p.Grace) > maxGrace, "a grace of %v is over %v", p.Grace, Duration(maxGrace))
	fail(time.Duration(p.Keep) > maxKeep, "keep %v is over %v", p.Keep, Duration(maxKeep))
	fail(p.MaxMessageBytes < 0, "max_message_bytes is negative")
	fail(p.History > maxHistory, "history %d is over %d", p.History, maxHistory)
	fail(p.Waiting > maxWaiting, "waiting %d is over %d", p.Waiting, maxWaiting)
	fail(len(p.Topics) > maxTopics, "topics has more than %d entries", maxTopics)
	for _, topic := range p.Topics {
		fail(len(topic) > maxTopic || !validRoomName(topic), "topic %q is not 1 to %d characters of A-Z, a-z, 0-9, '.', '_', '~' and '-'", topic, maxTopic)
	}
	errs = append(errs,
		oneOf("same_user", p.SameUser, SameUserAllow, SameUserReplace), oneOf("create", p.Create, CreateAnyone, CreateModerators, CreateAPI),
		oneOf("echo", p.Echo, EchoAsked, EchoOff), oneOf("succession", p.Succession, SuccessionNone, SuccessionNext),
		oneOf("moderated", p.Moderated, On, Off), oneOf("spotlight", p.Spotlight, On, Off), oneOf("webhooks", p.Webhooks, On, Off),
		oneOf("relay_only", p.RelayOnly, On, Off), oneOf("first_moderates", p.FirstModerates, On, Off))
	return errors.Join(errs...)
}

// oneOf says what is wrong with a word that is not empty and none of some.
func oneOf[T ~string](name string, word T, words ...T) error {
	if word == "" || slices.Contains(words, word) {
		return nil
	}
	list := string(words[0])
	for _, other := range words[1 : len(words)-1] {
		list += ", " + string(other)
	}
	return fmt.Errorf("%s is %q, not %s or %s", name, string(word), list, string(words[len(words)-1]))
}

// policies are those of an app, each with what it leaves out filled in.
type policies struct {
	common Policy
	byRoom []RoomPolicy // the first that matches counts; nil as a rule
}

// compilePolicies checks an app's policies.
func (a *App) compilePolicies(most int) (policies, error) {
	all := policies{common: a.Policy.clone()}
	var errs []error
	check := func(name string, p *Policy) {
		err := p.validate()
		if err == nil && most > 0 && p.MaxCapacity > most {
			err = fmt.Errorf("max_capacity %d is more than a room can have, which is %d", p.MaxCapacity, most)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
		}
	}
	check("policy", &a.Policy)
	if len(a.Policies) > maxPolicies {
		errs = append(errs, fmt.Errorf("policies has more than %d entries", maxPolicies))
	}
	for i := range a.Policies {
		own := &a.Policies[i]
		name := fmt.Sprintf("policies[%d]", i)
		if err := validatePattern(own.Rooms); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
		}
		if j := slices.IndexFunc(a.Policies[:i], func(other RoomPolicy) bool { return covers(other.Rooms, own.Rooms) }); j >= 0 {
			errs = append(errs, fmt.Errorf("%s: never counts, as policies[%d] goes before it for all of its rooms", name, j))
		}
		whole := own.clone()
		whole = whole.over(&all.common)
		check(name, &whole)
		all.byRoom = append(all.byRoom, RoomPolicy{Rooms: own.Rooms, Policy: whole})
	}
	return all, errors.Join(errs...)
}

// covers reports whether a pattern matches all that another one does.
func covers(pattern, other string) bool {
	if pattern == other {
		return true
	}
	return pattern != "" && pattern[len(pattern)-1] == '*' && matchPattern(pattern, trimStar(other))
}

func trimStar(pattern string) string {
	if pattern != "" && pattern[len(pattern)-1] == '*' {
		return pattern[:len(pattern)-1]
	}
	return pattern
}

// of gives a room's policy.
func (p *policies) of(room string) *Policy {
	for i := range p.byRoom {
		if matchPattern(p.byRoom[i].Rooms, room) {
			return &p.byRoom[i].Policy
		}
	}
	return &p.common
}
