package schedule

import (
	"slices"
	"time"
)

// A Pass goes once over a plan. It is not safe for concurrent use.
type Pass struct {
	// Prefer, if its Provider is not nil, is asked first: the conversation has
	// been there before.
	Prefer Candidate

	// Unable, if it is set, says why a target would probably refuse what is asked,
	// such as a context window that is too small; "" if it would not. Those are
	// asked only when nobody else is left: it is a guess, and the provider knows.
	Unable func(*Plan) string

	// Barred, if it is set, says why a target must not be asked at all, such as a
	// key that may not use it; "" if it may.
	Barred func(*Plan) string

	// Skipped, if it is set, is told who was passed over and why.
	Skipped func(c Candidate, reason string, until time.Time)

	// Ends is when the time of the combos is over that have such a limit and were
	// come to. Passes of one exchange share it. Nil is none yet.
	Ends map[*Plan]time.Time

	// Now is the clock. Nil is the system's.
	Now func() time.Time

	board *Board
	plan  *Plan
	stack []cursor
	round uint8 // 0: not begun; 1: those who are able; 2: the rest
	rest  bool  // there is a rest

	since time.Time // when the first candidate was come to
	first taken
	taken map[taken]struct{} // all but the first

	left    []Target    // those that refused the request itself
	full    []Candidate // those that had no place left
	soonest time.Time   // when the first of those that are set aside may be asked
	reason  string
}

type taken struct {
	connection *Connection
	model      string
}

// Begin returns a pass over the plan.
func (b *Board) Begin(p *Plan) *Pass { return &Pass{board: b, plan: p} }

func (p *Pass) now() time.Time {
	if p.Now != nil {
		return p.Now()
	}
	return time.Now()
}

// Next takes a place at the next candidate, which has to be given back by one of
// the ticket's methods. It returns nil when nobody is left, or only those that are
// full: see [Pass.Wait].
func (p *Pass) Next() *Ticket {
	if c := p.Prefer; c.Provider != nil {
		p.Prefer = Candidate{}
		if p.prefers(c.Target) {
			if t := p.try(c); t != nil {
				t.Preferred, t.Until = true, p.untilFor(c.Target)
				return t
			}
		}
	}
	for {
		c, ok := p.next()
		if !ok {
			return nil
		}
		if t := p.try(c); t != nil {
			for i := range p.stack {
				t.Until = sooner(t.Until, p.stack[i].until)
			}
			return t
		}
	}
}

// untilFor says when the time is over of the combos that lead to a target which is
// asked out of turn.
func (p *Pass) untilFor(t Target) time.Time {
	if !p.plan.bounded {
		return time.Time{}
	}
	until, _ := p.within(p.plan, t)
	return until
}

// within returns when the time of the combos on the way to a target is over, zero if
// never, and whether the target is there. Where several ways lead to it, the one that
// leaves most time counts.
func (p *Pass) within(plan *Plan, t Target) (until time.Time, there bool) {
	if len(plan.Members) == 0 {
		return time.Time{}, plan.Target == t
	}
	for _, m := range plan.Members {
		u, ok := p.within(m, t)
		if !ok {
			continue
		}
		if u = sooner(u, p.endOf(plan)); !there || u.IsZero() || !until.IsZero() && u.After(until) {
			until = u
		}
		there = true
	}
	return until, there
}

// endOf says when a combo's time is over, which begins when it is first come to.
func (p *Pass) endOf(plan *Plan) time.Time {
	if plan.Within <= 0 {
		return time.Time{}
	}
	end, ok := p.Ends[plan]
	if !ok {
		if p.Ends == nil {
			p.Ends = make(map[*Plan]time.Time)
		}
		end = p.now().Add(plan.Within)
		p.Ends[plan] = end
	}
	return end
}

// sooner returns the earlier of two times, of which zero is never.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// expire leaves the combos whose time is over.
func (p *Pass) expire() {
	if !p.plan.bounded {
		return
	}
	now := p.now()
	for i := range p.stack {
		if until := p.stack[i].until; !until.IsZero() && !now.Before(until) {
			p.stack[i].plan.Targets(func(l *Plan) bool {
				if !p.came(l.Target) {
					p.skip(Candidate{Target: l.Target}, "deadline", time.Time{})
				}
				return true
			})
			p.stack = p.stack[:i]
			return
		}
	}
}

// prefers says that nothing stands against a target's being asked first: that the
// conversation has been there changes neither what it can do nor who may ask it.
func (p *Pass) prefers(t Target) bool {
	l := &Plan{Target: t}
	return !slices.Contains(p.left, t) && (p.Barred == nil || p.Barred(l) == "") && (p.Unable == nil || p.Unable(l) == "")
}

// try takes a place at the candidate, if it is new and somebody who may be asked.
func (p *Pass) try(c Candidate) *Ticket {
	if !p.note(taken{c.Connection, c.Model}) {
		return nil
	}
	now := p.now()
	if p.since.IsZero() {
		p.since = now
	}
	t, refused := p.board.take(c, now, p.since, false)
	switch {
	case t != nil:
		return t
	case refused.full:
		if len(p.full) < maxFull {
			p.full = append(p.full, c)
		}
		p.skip(c, "full", time.Time{})
	default:
		if p.soonest.IsZero() || refused.until.Before(p.soonest) {
			p.soonest, p.reason = refused.until, refused.reason
		}
		p.skip(c, refused.reason, refused.until)
	}
	return nil
}

// maxFull bounds how many candidates an exchange waits for at the same time.
const maxFull = 64

func (p *Pass) skip(c Candidate, reason string, until time.Time) {
	if p.Skipped != nil {
		p.Skipped(c, reason, until)
	}
}

// note says whether a candidate is new.
func (p *Pass) note(t taken) bool {
	if p.first.connection == nil {
		p.first = t
		return true
	}
	if p.first == t {
		return false
	}
	if _, ok := p.taken[t]; ok {
		return false
	}
	if p.taken == nil {
		p.taken = make(map[taken]struct{})
	}
	p.taken[t] = struct{}{}
	return true
}

// came says that a connection of the target had its turn.
func (p *Pass) came(t Target) bool {
	for _, tier := range t.Provider.offering(t.Model) {
		for _, c := range tier.connections {
			k := taken{c, t.Model}
			if _, ok := p.taken[k]; ok || k == p.first {
				return true
			}
		}
	}
	return false
}

// Soonest is when the first of those that were set aside may be asked, and why it
// is; zero if none was.
func (p *Pass) Soonest() (time.Time, string) { return p.soonest, p.reason }

// Full says that somebody had no place left.
func (p *Pass) Full() bool { return len(p.full) > 0 }

// Considered says that there was anybody at all.
func (p *Pass) Considered() bool { return p.first.connection != nil }

// Leave ends the asking of a target: it has refused the request itself, so its
// other connections would as well.
func (p *Pass) Leave(t Target) {
	p.left = append(p.left, t)
	p.full = slices.DeleteFunc(p.full, func(c Candidate) bool { return c.Target == t })
}

// Without keeps a candidate from being asked: it has had its try.
func (p *Pass) Without(c Candidate) { p.note(taken{c.Connection, c.Model}) }

// More says that somebody else may be asked who stands well now.
func (p *Pass) More() bool {
	now := p.now()
	return !p.plan.Targets(func(l *Plan) bool {
		if slices.Contains(p.left, l.Target) || p.Barred != nil && p.Barred(l) != "" {
			return true
		}
		for _, tier := range l.Target.Provider.offering(l.Target.Model) {
			for _, c := range tier.connections {
				k := taken{c, l.Target.Model}
				if _, ok := p.taken[k]; !ok && k != p.first && p.board.stands(Candidate{l.Target, c}, now) {
					return false
				}
			}
		}
		return true
	})
}

// next returns the next candidate in order, whatever its standing.
func (p *Pass) next() (Candidate, bool) {
	for {
		p.expire()
		if len(p.stack) == 0 {
			if p.round == 2 || p.round == 1 && !p.rest {
				return Candidate{}, false
			}
			p.round++
			p.push(p.plan)
			continue // perhaps with nothing
		}
		top := &p.stack[len(p.stack)-1]
		if top.leaf() {
			if slices.Contains(p.left, top.plan.Target) {
				p.stack = p.stack[:len(p.stack)-1]
				continue
			}
			if c := top.connection(p); c != nil {
				return Candidate{Target: top.plan.Target, Connection: c}, true
			}
		} else if m := top.member(); m != nil {
			p.push(m)
			continue
		}
		p.stack = p.stack[:len(p.stack)-1]
	}
}

func (p *Pass) push(plan *Plan) {
	if len(plan.Members) > 0 {
		p.stack = append(p.stack, cursor{plan: plan, until: p.endOf(plan), order: plan.order(p.board)})
		return
	}
	if plan.Target.Provider == nil || slices.Contains(p.left, plan.Target) {
		return
	}
	if p.Barred != nil {
		if why := p.Barred(plan); why != "" {
			if p.round == 1 {
				p.skip(Candidate{Target: plan.Target}, why, time.Time{})
			}
			return
		}
	}
	unable := ""
	if p.Unable != nil {
		unable = p.Unable(plan)
	}
	if unable != "" && p.round == 1 {
		p.rest = true
		p.skip(Candidate{Target: plan.Target}, unable, time.Time{})
		return
	}
	if unable == "" && p.round == 2 {
		return
	}
	p.stack = append(p.stack, cursor{plan: plan, tiers: plan.Target.Provider.offering(plan.Target.Model)})
}
