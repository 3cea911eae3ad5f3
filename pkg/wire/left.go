package wire

// SplitLeft gives the body of a [LeftPeer] event of any room and peer in three parts: the room's name belongs after the
// first, the peer's id after the second. Neither needs escaping, see [ValidRoom] and [ValidID].
func SplitLeft(reason string) (head, middle, tail []byte) {
	h := encoder{}
	h.open()
	h.str("type", string(TypeLeftPeer))
	h.key("room")
	h.b = append(h.b, '"')
	m := encoder{b: []byte{'"', ','}}
	m.key("peer")
	m.b = append(m.b, '"')
	t := encoder{b: []byte{'"', ','}}
	t.str("reason", reason)
	t.close()
	return h.b, m.b, t.b
}
