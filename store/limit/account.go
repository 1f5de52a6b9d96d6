package limit

import (
	"sync"
	"time"

	"github.com/nine-router/nine-router/store"
)

// An account is what the ledger knows of one key.
type account struct {
	key  string
	used func(keyID string, from time.Time) store.Used

	mu       sync.Mutex
	base     time.Time // from which slots are counted; monotonic where the clock is
	requests minute
	tokens   minute
	running  int64
	spent    [periods]spending
	checked  time.Time // when the sums were last compared with the books
}

// recheck is how old the comparison with the books may be when the key is idle.
const recheck = time.Second

// lateness is how far time may go back over the end of a period without that
// period being taken for the present one again.
const lateness = time.Minute

func newAccount(l *Ledger, key string, now time.Time) *account {
	a := &account{key: key, used: l.used, base: now, checked: now}
	for i, start := range starts(now) {
		a.spent[i] = spending{start: start, settled: a.books(i, start)}
	}
	return a
}

func (a *account) books(period int, start int64) store.Money {
	return max(a.used(a.key, since(period, start)).Cost, 0)
}

// slot is the slot of a time. Times before the first one have slots below zero.
func (a *account) slot(now time.Time) int64 {
	d := now.Sub(a.base)
	if d < 0 {
		return -int64((-d + slotTime - 1) / slotTime)
	}
	return int64(d / slotTime)
}

// resets is when a slot begins, seen from now.
func (a *account) resets(slot int64, now time.Time) time.Time {
	return now.Add(time.Duration(slot)*slotTime - now.Sub(a.base))
}

// advance brings the account to the present.
func (a *account) advance(now time.Time) {
	slot := a.slot(now)
	a.requests.advance(slot)
	a.tokens.advance(slot)
	if unix := now.Unix(); unix < a.spent[day].start || unix >= a.spent[day].start+secondsOfDay {
		a.turn(now)
	}
	if a.running == 0 && now.Sub(a.checked).Abs() >= recheck {
		a.checked = now
		for i := range a.spent {
			s := &a.spent[i]
			s.settled = max(s.settled, a.books(i, s.start))
		}
	}
}

// turn begins the periods that are new. Nothing that was reserved counts in them,
// so the books are right about them.
func (a *account) turn(now time.Time) {
	for i, start := range starts(now) {
		s := &a.spent[i]
		if start == s.start || start < s.start && time.Unix(s.start, 0).Sub(now) < lateness {
			continue
		}
		*s = spending{start: start, turn: s.turn + 1, settled: a.books(i, start)}
	}
}

// asked is what a request is to hold, next to what it holds already.
type asked struct {
	tokens int64
	cost   store.Money
	priced bool
	held   *Reservation // nil for a new request
}

// deny returns the limit that is in the way, or nil.
func (a *account) deny(l *store.Limits, q asked, now time.Time) *Denial {
	if q.held == nil {
		if d := a.denyRequest(l, now); d != nil {
			return d
		}
	}
	if l.TokensPerMinute > 0 && (q.held == nil || q.tokens > q.held.tokens) {
		allowed, others := min(l.TokensPerMinute, mostTokens-1), a.tokens.sum
		if q.held != nil {
			others -= a.tokens.counts(q.held.tokenSlot, q.held.tokens)
		}
		if others > max(allowed-q.tokens, 0) {
			reset := a.resets(a.tokens.free(max(allowed-q.tokens, 0)), now)
			return &Denial{Limit: TokensPerMinute, Allowed: allowed, Used: others, Reset: reset}
		}
	}
	return a.denySpending(l, q, now)
}

func (a *account) denyRequest(l *store.Limits, now time.Time) *Denial {
	if n := l.RequestsPerMinute; n > 0 && a.requests.sum >= n {
		return &Denial{Limit: RequestsPerMinute, Allowed: n, Used: a.requests.sum, Reset: a.resets(a.requests.free(n-1), now)}
	}
	if n := l.Concurrent; n > 0 && a.running >= n {
		return &Denial{Limit: Concurrent, Allowed: n, Used: a.running, Reset: now.Add(soon)}
	}
	return nil
}

func (a *account) denySpending(l *store.Limits, q asked, now time.Time) *Denial {
	var worst *Denial
	for i, budget := range budgets(l) {
		if budget <= 0 {
			continue
		}
		if !q.priced {
			return &Denial{Limit: Price}
		}
		if q.cost == 0 {
			continue // what is free is free also when nothing is left
		}
		s := &a.spent[i]
		reserved := s.reserved
		if q.held != nil {
			if q.held.turns[i] != s.turn || q.cost <= q.held.cost {
				continue // it counts for a period that is over, or asks for no more
			}
			reserved.Sub(int64(q.held.cost))
		}
		others := s.settled.Add(store.Money(reserved.Int64()))
		if others < budget && q.cost <= budget-others {
			continue
		}
		if s.settled < budget && others == s.settled {
			continue // something is left, and nobody else is after it
		}
		d := &Denial{Limit: periodNames[i], Allowed: int64(budget), Used: int64(others)}
		switch {
		case s.settled < budget:
			d.Reset, d.Pending = now.Add(soon), true
		default:
			d.Reset = ends(i, s.start)
		}
		if worst == nil || later(d.Reset, worst.Reset) {
			worst = d
		}
	}
	return worst
}

// later says that waiting for t takes longer than for u. Zero is never.
func later(t, u time.Time) bool { return !u.IsZero() && (t.IsZero() || t.After(u)) }
