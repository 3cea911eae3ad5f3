package room

import (
	"context"
	"sync"
	"time"
)

// agenda is what [Service.Run] does beside waiting: work that must not be done under the locks under which it is found to
// be needed, now or after a pause. The zero value is empty.
type agenda struct {
	mu      sync.Mutex
	tasks   []task
	changed chan struct{} // capacity 1
}

type task struct {
	due time.Time
	do  func()
}

// add notes what is to be done after a pause, or soon if that is 0. It does not block.
func (a *agenda) add(pause time.Duration, do func()) {
	a.mu.Lock()
	a.tasks = append(a.tasks, task{due: time.Now().Add(pause), do: do})
	a.mu.Unlock()
	select {
	case a.changed <- struct{}{}:
	default:
	}
}

// take gives what is due, and how long it is until the next is; 0 when there is none.
func (a *agenda) take() (due []task, pause time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	later := a.tasks[:0]
	for _, t := range a.tasks {
		switch wait := t.due.Sub(now); {
		case wait <= 0:
			due = append(due, t)
			continue
		case pause == 0 || wait < pause:
			pause = wait
		}
		later = append(later, t)
	}
	clear(a.tasks[len(later):])
	a.tasks = later
	return due, pause
}

// run does what is due until ctx ends, one after the other.
func (a *agenda) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.changed:
		case <-timer.C:
		}
		due, pause := a.take()
		for _, t := range due {
			t.do()
		}
		if pause > 0 {
			timer.Reset(pause)
		}
	}
}
