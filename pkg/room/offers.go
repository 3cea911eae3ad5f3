package room

import (
	"github.com/signalbox-rtc/signalbox/pkg/store"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// maxOffers bounds of how many peers a seat remembers the offers. Past it all are forgotten: what is not known is not refused.
const maxOffers = 256

// offers remembers, for a seat, the number of the latest offer that was delivered from each peer. Who answers an earlier one is told: the peer
// would drop the answer, or take it for that to its later offer. It is what this node has delivered, so Redis is not asked, and a session that
// has come back begins with nothing. Guarded by the shard's lock.
type offers struct {
	epoch string // of the numbers
	from  map[string]int64
}

// note keeps the number of an event that is delivered to the seat, if it is an offer.
func (o *offers) note(event *store.Event) {
	peer := ""
	if event.Type == string(wire.TypeSignal) {
		peer = wire.OfferFrom(event.Body)
	}
	if peer == "" {
		return
	}
	if o.from == nil || o.epoch != event.Epoch || len(o.from) >= maxOffers {
		o.epoch, o.from = event.Epoch, make(map[string]int64)
	}
	o.from[peer] = event.Seq
}

// overtook reports whether a later offer has come from a peer than that of a number, in the room's present life.
func (o *offers) overtook(epoch, peer string, answered int64) bool {
	return o.epoch == epoch && o.from[peer] > answered
}

// overtaken reports whether a signal answers an offer that another one has overtaken.
func (m *Member) overtaken(st *seat, request *wire.Signal) bool {
	sh := m.service.table.shard(st.room)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return st.offers.overtook(st.epoch, request.To, request.Answers)
}
