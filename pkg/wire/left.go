package wire

// The bodies of events of any room and peer, in three parts: the room's name belongs after the first, the peer's id after
// the second. Neither needs escaping, see [ValidRoom] and [ValidID].

// SplitLeft gives the body of a [LeftPeer] event in three parts.
func SplitLeft(reason string) (head, middle, tail []byte) {
	head, middle = splitPeer(TypeLeftPeer)
	t := encoder{b: []byte{'"', ','}}
	t.str("reason", reason)
	t.close()
	return head, middle, t.b
}

// SplitAway gives the body of an [AwayPeer] event in three parts.
func SplitAway() (head, middle, tail []byte) {
	head, middle = splitPeer(TypeAwayPeer)
	return head, middle, []byte{'"', '}'}
}

// SplitBack gives the body of a [BackPeer] event in three parts.
func SplitBack() (head, middle, tail []byte) {
	head, middle = splitPeer(TypeBackPeer)
	return head, middle, []byte{'"', '}'}
}

// splitPeer gives the parts before and behind the room's name.
func splitPeer(t Type) (head, middle []byte) {
	h := encoder{}
	h.open()
	h.str("type", string(t))
	h.key("room")
	m := encoder{b: []byte{'"', ','}}
	m.key("peer")
	return append(h.b, '"'), append(m.b, '"')
}
