package httpapi

import (
	"context"
	"errors"
	"net/http"

	"github.com/signalbox-rtc/signalbox/pkg/store"
	"github.com/signalbox-rtc/signalbox/pkg/wire"
)

// Quotas hold what this API does in an app to what the app may use, whoever's key it is that asks. The methods must not block.
type Quotas interface {
	// TakeMessage counts a message with so many bytes of data, or refuses it.
	TakeMessage(app string, size int) *wire.Error
	// TakeRoom counts a room that is about to be made, or refuses it. Where it does not, answered takes whether it was made.
	TakeRoom(app string) (answered func(made bool), refusal *wire.Error)
}

// noQuotas let everything be done.
type noQuotas struct{}

var _ Quotas = noQuotas{}

func (noQuotas) TakeMessage(string, int) *wire.Error { return nil }

func (noQuotas) TakeRoom(string) (func(bool), *wire.Error) { return func(bool) {}, nil }

// overQuota is the answer to what a quota does not allow: 429 also for a count, as it is for now that there is none left.
func overQuota(refusal *wire.Error) *Problem {
	p := newProblem(refusal.Code, refusal.Message).after(refusal.RetryAfter)
	p.Status, p.Retryable = http.StatusTooManyRequests, true
	return p
}

// takeMessage counts a message that is about to be posted.
func (a *API) takeMessage(app string, content *Content) error {
	if refusal := a.opts.Quotas.TakeMessage(app, len(content.Data)); refusal != nil {
		return overQuota(refusal)
	}
	return nil
}

// takeRoom counts a room that is about to be made; answered has to be told whether it was. One that is there already is told to be, and
// costs nothing.
func (a *API) takeRoom(ctx context.Context, room store.Room) (answered func(made bool), err error) {
	answered, refusal := a.opts.Quotas.TakeRoom(room.App)
	if refusal == nil {
		return answered, nil
	}
	switch _, err := a.opts.Rooms.Get(ctx, room, false); {
	case err == nil:
		return nil, store.ErrRoomExists
	case !errors.Is(err, store.ErrNoRoom):
		return nil, err
	}
	return nil, overQuota(refusal)
}
