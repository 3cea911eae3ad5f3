package quota

import "time"

// Operator is what is done in an app for no session, user or address: by the server API. Its methods may be called from any goroutine.
type Operator struct{ app *App } // nil where there are no quotas

// Operator gives the operator of an app.
func (k *Keeper) Operator(id string) Operator {
	if q := k.opts.Quotas(id); !q.Shared() {
		return Operator{}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	a := k.apps[id]
	if a == nil {
		a = k.add(id)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.idle = 0 // it is not forgotten while it is asked
	return Operator{a}
}

// TakeMessage counts a message with so many bytes of data, or refuses it.
func (o Operator) TakeMessage(size int) *Refusal {
	if o.app == nil {
		return nil
	}
	return o.app.takeMessage(o.app.limits.Load(), size, time.Now())
}

// TakeRoom counts a room that is about to be made, or refuses it. Where it does not, RoomAnswered must follow.
func (o Operator) TakeRoom() *Refusal {
	if o.app == nil {
		return nil
	}
	return o.app.TakeRoom()
}

// RoomAnswered tells whether the room was made.
func (o Operator) RoomAnswered(made bool) {
	if o.app != nil {
		o.app.RoomAnswered(made)
	}
}
