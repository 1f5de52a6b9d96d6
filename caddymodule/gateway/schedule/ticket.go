package schedule

import (
	"time"
)

// A Ticket is a place at a candidate. Exactly one of Done and Fail gives it back;
// Prove may come before either.
type Ticket struct {
	Candidate
	Preferred bool // it was the pass's preferred one

	board  *Board
	began  time.Time
	probes [3]*Standing // what this exchange is the only one to try
	model  *Standing
	gated  bool // its place is one of a limited number
	closed bool
}

// refusal is why a candidate cannot be had.
type refusal struct {
	full   bool
	until  time.Time
	reason string
}

// take takes a place at the candidate. queued says that the exchange has waited,
// and may go before those that still do.
func (b *Board) take(c Candidate, now time.Time, queued bool) (*Ticket, refusal) {
	model := b.known(Subject{c.Provider.Name, c.Connection.ID, c.Model})
	t := &Ticket{Candidate: c, board: b, began: now, model: model}
	for i, s := range [...]*Standing{c.Provider.standing, c.Connection.standing, model} {
		ok, probe := s.enter(now)
		if !ok {
			until, reason := s.refusal(now)
			t.leave()
			return nil, refusal{until: until, reason: reason}
		}
		if probe {
			t.probes[i] = s
		}
	}
	t.gated = c.Provider.Limit > 0 || c.Connection.MaxConcurrent > 0
	if !t.gated {
		c.Provider.standing.running.Add(1)
		c.Connection.standing.running.Add(1)
		return t, refusal{}
	}
	if !queued {
		b.gate.mu.Lock()
		defer b.gate.mu.Unlock()
	}
	if !roomFor(c, queued) {
		t.leave()
		return nil, refusal{full: true}
	}
	c.Provider.standing.running.Add(1)
	c.Connection.standing.running.Add(1)
	return t, refusal{}
}

// leave gives back what was to be probed, unproven.
func (t *Ticket) leave() {
	for i, s := range t.probes {
		if s != nil {
			s.leave()
			t.probes[i] = nil
		}
	}
}

// Probing says that this exchange tries whether somebody is well again.
func (t *Ticket) Probing() bool {
	return t.probes != [3]*Standing{}
}

// Prove says that the candidate works: its first content is here, after the given
// time. Earlier failures are forgotten, and a probe is over.
func (t *Ticket) Prove(firstContent time.Duration) {
	for i, s := range [...]*Standing{t.Provider.standing, t.Connection.standing, t.model} {
		if s.prove(t.began, t.probes[i] != nil) {
			t.board.changed.Add(1)
			if t.board.OnClear != nil {
				t.board.OnClear(s.subject)
			}
		}
		t.probes[i] = nil
	}
	if firstContent > 0 {
		t.Connection.standing.paced(firstContent)
		t.board.standing(Subject{Provider: t.Provider.Name, Model: t.Model}).paced(firstContent)
	}
}

// Done gives the place back.
func (t *Ticket) Done(now time.Time) {
	if t.closed {
		return
	}
	t.closed = true
	t.leave()
	t.Provider.standing.running.Add(-1)
	t.Connection.standing.running.Add(-1)
	if t.gated {
		t.board.gate.wake(t.board, now)
	}
}

// Fail gives the place back and sets aside what the verdict says.
func (t *Ticket) Fail(v Verdict, now time.Time) {
	if t.closed {
		return
	}
	var s *Standing
	switch v.Place {
	case AtProvider:
		s = t.Provider.standing
	case AtConnection:
		s = t.Connection.standing
	case AtModel:
		s = t.board.standing(Subject{t.Provider.Name, t.Connection.ID, t.Model})
	}
	if s != nil && !t.Provider.Rehearsal {
		s.set(v, now, t.board.rand())
		for i, p := range t.probes {
			if p == s {
				t.probes[i] = nil // the failure has ended it
			}
		}
		t.board.changed.Add(1)
		if t.board.OnAside != nil {
			s.mu.Lock()
			a := s.aside
			s.mu.Unlock()
			if a.Until.After(now) {
				t.board.OnAside(s.subject, a)
			}
		}
	}
	t.Done(now)
}
