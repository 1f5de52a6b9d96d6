package schedule

import (
	"slices"
	"time"
)

// A Ticket is a place at a candidate. Exactly one of Done and Fail gives it back;
// Prove may come before either.
type Ticket struct {
	Candidate
	Preferred bool      // it was the pass's preferred one
	Until     time.Time // when the time of the combos that it was chosen for is over; zero is never

	board  *Board
	began  time.Time
	on     [4]*Standing // what it depends on; nil is what never did anything
	probes [4]*Standing // of these, what this exchange is the only one to try
	gated  bool         // its place is one of a limited number
	closed bool
}

// What a ticket depends on, by its place in the list.
const (
	ofProvider = iota
	ofConnection
	ofTarget
	ofModel
)

// goesOn bounds how long an exchange goes over the connections of a target that was
// set aside meanwhile.
const goesOn = time.Minute

// shares says that several connections have their part in what stands at i.
func (t *Ticket) shares(i int) bool {
	return (i == ofProvider || i == ofTarget) && len(t.Provider.list) > 1
}

// refusal is why a candidate cannot be had.
type refusal struct {
	full   bool
	until  time.Time
	reason string
}

// take takes a place at the candidate. queued says that the exchange has waited,
// and may go before those that still do. A target with several connections that was
// set aside since the exchange began to go over them, by one of them or another, is
// no reason to stop: those that are left may be well.
func (b *Board) take(c Candidate, now, since time.Time, queued bool) (*Ticket, refusal) {
	t := &Ticket{Candidate: c, board: b, began: now, on: b.dependsOn(c)}
	for i, s := range t.on {
		ok, probe := s.enter(now)
		if !ok && i == ofTarget && t.shares(i) && now.Sub(since) < goesOn && s.failedSince(since) {
			continue
		}
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

// dependsOn lists the standings that decide whether the candidate may be asked.
func (b *Board) dependsOn(c Candidate) [4]*Standing {
	return [...]*Standing{c.Provider.standing, c.Connection.standing,
		b.known(Subject{Provider: c.Provider.Name, Model: c.Model}), b.known(Subject{c.Provider.Name, c.Connection.ID, c.Model})}
}

// stands says that nothing keeps the candidate from being asked, unless it is full.
func (b *Board) stands(c Candidate, now time.Time) bool {
	for _, s := range b.dependsOn(c) {
		if until, _ := s.refusal(now); !until.IsZero() {
			return false
		}
	}
	return true
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
	return t.probes != [4]*Standing{}
}

// Prove says that the candidate works: its first content is here, after the given
// time. Earlier failures are forgotten, and a probe is over. It lists who was set
// aside and is no more.
func (t *Ticket) Prove(firstContent time.Duration) (cleared []Subject) {
	if t.on[ofTarget] == nil { // it may have failed meanwhile
		t.on[ofTarget] = t.board.known(Subject{Provider: t.Provider.Name, Model: t.Model})
	}
	for i, s := range t.on {
		if was, ok := s.prove(t.began, t.probes[i] != nil, t.shares(i)); ok {
			t.board.changed.Add(1)
			if was {
				cleared = append(cleared, s.subject)
			}
		}
		t.probes[i] = nil
	}
	if firstContent > 0 {
		t.Connection.standing.paced(firstContent)
		target := t.on[2]
		if target == nil {
			target = t.board.standing(Subject{Provider: t.Provider.Name, Model: t.Model})
		}
		target.paced(firstContent)
		now := t.began.Add(firstContent).UnixNano()
		target.proven.Store(now)
		t.Provider.standing.proven.Store(now)
	}
	return cleared
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

// Fail gives the place back and sets aside what the verdict says. It returns what
// is newly set aside.
func (t *Ticket) Fail(v Verdict, now time.Time) (marks []Mark) {
	if t.closed {
		return nil
	}
	note := func(v Verdict) {
		if m := t.set(v, now); m != nil {
			marks = append(marks, *m)
		}
	}
	if !t.Provider.Rehearsal && v.Place != Nowhere {
		if one, ok := t.alone(v); ok {
			// Who names a time means itself, as far as is known.
			v.After, v.shared = 0, true
			note(v)
			// Once the provider is left alone it was not this connection.
			if one.After > 0 || !t.at(v.Place).apart() {
				note(one)
			}
		} else {
			note(v)
		}
	}
	t.Done(now)
	return marks
}

// alone is what a failure means for the connection by itself. If a provider has
// several, what looks like its own fault may be that of one of them, or of the way to
// it: both counts are kept, and the success of another ends only the provider's.
func (t *Ticket) alone(v Verdict) (one Verdict, ok bool) {
	one = v
	one.Several = v.After == 0
	switch v.Place {
	case AtProvider:
		one.Place = AtConnection
	case AtTarget:
		one.Place = AtModel
	default:
		return one, false
	}
	return one, len(t.Provider.list) > 1
}

// set notes a failure at one place, and returns what is newly set aside, or nil.
func (t *Ticket) set(v Verdict, now time.Time) *Mark {
	s := t.at(v.Place)
	probe := slices.Index(t.probes[:], s)
	news := s.set(v, probe >= 0, t.began, now, t.board.rand())
	if probe >= 0 {
		t.probes[probe] = nil
	}
	t.board.changed.Add(1)
	if !news {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return &Mark{s.subject, s.aside}
}

// at returns the standing of a place.
func (t *Ticket) at(p Place) *Standing {
	switch p {
	case AtProvider:
		return t.Provider.standing
	case AtTarget:
		return t.board.standing(Subject{Provider: t.Provider.Name, Model: t.Model})
	case AtConnection:
		return t.Connection.standing
	}
	return t.board.standing(Subject{t.Provider.Name, t.Connection.ID, t.Model})
}

// Pace is the average time to first content of late of the candidate's model, 0 if
// nothing is known.
func (t *Ticket) Pace() time.Duration {
	if t.on[2] == nil {
		return 0
	}
	return t.on[2].Pace()
}

// Refusal says why a candidate would be passed over now, and when it may be asked
// again; nothing if it would not.
func (b *Board) Refusal(c Candidate, now time.Time) (reason string, until time.Time) {
	for _, s := range b.dependsOn(c) {
		if until, reason := s.refusal(now); !until.IsZero() {
			return reason, until
		}
	}
	b.gate.mu.Lock()
	defer b.gate.mu.Unlock()
	if !roomFor(c, false) {
		return "full", time.Time{}
	}
	return "", time.Time{}
}
