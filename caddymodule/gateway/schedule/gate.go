package schedule

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// gate is where exchanges wait for a place at somebody who is full. Places are
// handed over, first come first served: a newcomer does not overtake.
type gate struct {
	mu      sync.Mutex
	waiters []*waiter
}

type waiter struct {
	wants []Candidate
	now   func() time.Time
	got   chan *Ticket // receives the ticket, or nil if there is nothing to wait for
}

// ErrFull says that as many wait already as may.
var ErrFull = errors.New("too many requests wait already")

// ErrWaited says that no place came free in time.
var ErrWaited = errors.New("no place came free in time")

// ErrOver says that the time of the combos was over before a place came free.
var ErrOver = errors.New("the combo's time is over")

// The defaults of a queue.
const (
	DefaultQueue     = 100
	DefaultQueueTime = 30 * time.Second
)

// roomFor says that the candidate has a place. The gate's lock is held.
func roomFor(c Candidate, queued bool) bool {
	for _, s := range [...]struct {
		*Standing
		limit int
	}{{c.Provider.standing, c.Provider.Limit}, {c.Connection.standing, c.Connection.MaxConcurrent}} {
		if s.limit > 0 && (s.Running() >= int64(s.limit) || !queued && s.waiting > 0) {
			return false
		}
	}
	return true
}

// Wait waits until one of those that were full has a place. It returns nil without
// an error if they cannot be had any more for another reason, such as being set
// aside: [Pass.Soonest] says it then.
func (p *Pass) Wait(ctx context.Context) (*Ticket, error) {
	if len(p.full) == 0 {
		return nil, nil
	}
	end := p.fullUntil()
	if len(p.full) == 0 {
		return nil, ErrOver
	}
	b := p.board
	w := &waiter{now: p.now, got: make(chan *Ticket, 1)}
	var longest time.Duration
	b.gate.mu.Lock()
	for _, c := range p.full {
		if c.Provider.standing.waiting < c.Provider.queue() {
			w.wants = append(w.wants, c)
			longest = max(longest, c.Provider.queueTime())
		}
	}
	if len(w.wants) == 0 {
		b.gate.mu.Unlock()
		return nil, ErrFull
	}
	b.gate.join(w, 1)
	b.gate.waiters = append(b.gate.waiters, w)
	b.gate.serve(b, p.now()) // a place may have come free since
	b.gate.mu.Unlock()

	var tooLate error = ErrWaited
	if left := end.Sub(p.now()); !end.IsZero() && left < longest {
		longest, tooLate = left, ErrOver
	}
	timer := time.NewTimer(longest)
	defer timer.Stop()
	var err error
	select {
	case t := <-w.got:
		p.waited(t)
		return t, nil
	case <-ctx.Done():
		err = context.Cause(ctx)
	case <-timer.C:
		err = tooLate
	}
	b.gate.mu.Lock()
	gone := b.gate.remove(w)
	b.gate.mu.Unlock()
	if !gone { // it was served at the same moment
		if t := <-w.got; t != nil {
			if ctx.Err() != nil {
				t.Done(p.now())
				return nil, err
			}
			p.waited(t)
			return t, nil
		}
	}
	return nil, err
}

// fullUntil forgets those that were full and whose combo's time is over, and says
// when it is for the last of the others; zero is never.
func (p *Pass) fullUntil() (last time.Time) {
	if !p.plan.bounded {
		return time.Time{}
	}
	now, never := p.now(), false
	p.full = slices.DeleteFunc(p.full, func(c Candidate) bool {
		until := p.untilFor(c.Target)
		switch {
		case until.IsZero():
			never = true
		case !now.Before(until):
			return true
		case until.After(last):
			last = until
		}
		return false
	})
	if never {
		return time.Time{}
	}
	return last
}

// waited takes who was had from those to wait for.
func (p *Pass) waited(t *Ticket) {
	if t == nil {
		now := p.now()
		for _, c := range p.full {
			for _, s := range p.board.dependsOn(c) {
				if until, why := s.refusal(now); !until.IsZero() && (p.soonest.IsZero() || until.Before(p.soonest)) {
					p.soonest, p.reason = until, why
				}
			}
		}
		p.full = nil
		return
	}
	t.Until = p.untilFor(t.Target)
	p.full = slices.DeleteFunc(p.full, func(c Candidate) bool { return c == t.Candidate })
}

func (p *Provider) queue() int {
	if p.Queue > 0 {
		return p.Queue
	}
	return DefaultQueue
}

func (p *Provider) queueTime() time.Duration {
	if p.QueueTime > 0 {
		return p.QueueTime
	}
	return DefaultQueueTime
}

// join counts the waiter at everybody that it waits for.
func (g *gate) join(w *waiter, n int) {
	counted := map[*Standing]bool{}
	for _, c := range w.wants {
		for _, s := range [...]*Standing{c.Provider.standing, c.Connection.standing} {
			if !counted[s] {
				counted[s] = true
				s.waiting += n
			}
		}
	}
}

func (g *gate) remove(w *waiter) bool {
	i := slices.Index(g.waiters, w)
	if i < 0 {
		return false
	}
	g.waiters = slices.Delete(g.waiters, i, i+1)
	g.join(w, -1)
	return true
}

// wake looks who can be served after something changed.
func (g *gate) wake(b *Board, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.serve(b, now)
}

// serve hands places to those who wait, in the order in which they came.
func (g *gate) serve(b *Board, now time.Time) {
	for i := 0; i < len(g.waiters); {
		w := g.waiters[i]
		var got *Ticket
		hope := false
		for _, c := range w.wants {
			t, refused := b.take(c, now, now, true)
			if t != nil {
				got = t
				break
			}
			hope = hope || refused.full
		}
		if got == nil && hope {
			i++
			continue
		}
		g.remove(w)
		w.got <- got
	}
}
