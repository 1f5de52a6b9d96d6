package limit

import (
	"time"

	"github.com/nine-router/nine-router/store"
)

// A Reservation is what a request under way holds. Its methods may be called at any
// time, by anyone, and on nil.
type Reservation struct {
	account *account
	limits  *store.Limits // as they were when it was made

	// Under the lock of the account.
	ended       bool
	tokens      int64
	cost        store.Money
	requestSlot int64
	tokenSlot   int64
	turns       [periods]uint32
}

// mostTokens is what one request can count for in a minute: more than any limit
// that store.Limits allows, and so little that their sum does not overflow.
const mostTokens = 1 << 44

func tokens(n int64) int64 { return min(max(n, 0), mostTokens) }

// Adjust makes the reservation one of these estimates, such as when the request
// falls back to a dearer model. Where the limits do not allow it, it says which is
// in the way and leaves the reservation as it is. To hold less is always allowed.
// After the end it does nothing.
func (r *Reservation) Adjust(estimate int64, cost store.Money, priced bool, now time.Time) *Denial {
	if r == nil {
		return nil
	}
	a := r.account
	a.mu.Lock()
	defer a.mu.Unlock()
	if r.ended {
		return nil
	}
	a.advance(now)
	q := asked{tokens: tokens(estimate), cost: max(cost, 0), priced: priced, held: r}
	if d := a.deny(r.limits, q, now); d != nil {
		return d
	}
	a.tokens.take(r.tokenSlot, r.tokens)
	r.tokens, r.tokenSlot = q.tokens, a.tokens.add(q.tokens)
	r.giveBack()
	r.cost = q.cost
	for i := range a.spent {
		if s := &a.spent[i]; s.turn == r.turns[i] {
			s.reserved.Add(int64(q.cost))
		}
	}
	return nil
}

// giveBack takes the reserved money out of the periods for which it counts.
func (r *Reservation) giveBack() {
	for i := range r.account.spent {
		if s := &r.account.spent[i]; s.turn == r.turns[i] {
			s.reserved.Sub(int64(r.cost))
		}
	}
}

// Settle ends the reservation with what was really used. Call it after the
// exchange was recorded, also if recording failed. Settling again, or after a
// release, does nothing.
func (r *Reservation) Settle(used int64, cost store.Money, now time.Time) {
	if !r.end(now) {
		return
	}
	a := r.account
	defer a.mu.Unlock()
	if used = tokens(used); used < r.tokens {
		a.tokens.take(r.tokenSlot, r.tokens-used)
	} else {
		a.tokens.add(used - r.tokens)
	}
	for i := range a.spent {
		if s := &a.spent[i]; s.turn == r.turns[i] {
			s.settled = s.settled.Add(max(cost, 0))
		}
	}
}

// Release ends the reservation of a request for which nobody was asked: it gives
// everything back, the request itself too. After the end it does nothing.
func (r *Reservation) Release(now time.Time) {
	if !r.end(now) {
		return
	}
	a := r.account
	defer a.mu.Unlock()
	a.requests.take(r.requestSlot, 1)
	a.tokens.take(r.tokenSlot, r.tokens)
}

// end ends the reservation. It returns true with the account locked, or false.
func (r *Reservation) end(now time.Time) bool {
	if r == nil {
		return false
	}
	a := r.account
	a.mu.Lock()
	if r.ended {
		a.mu.Unlock()
		return false
	}
	r.ended = true
	a.advance(now)
	a.running--
	r.giveBack()
	return true
}

// Windows returns where the limits of a minute stand, requests first, for those
// that the key has. Clients are told so in headers such as
// x-ratelimit-remaining-requests, whose reset is the time at which all of the limit
// is free again: https://platform.openai.com/docs/guides/rate-limits.
func (r *Reservation) Windows(now time.Time) []Window {
	if r == nil {
		return nil
	}
	a := r.account
	a.mu.Lock()
	defer a.mu.Unlock()
	a.advance(now)
	return a.minutes(r.limits, now)
}

// minutes returns where the limits of a minute stand.
func (a *account) minutes(l *store.Limits, now time.Time) []Window {
	var list []Window
	if n := l.RequestsPerMinute; n > 0 {
		list = append(list, window(RequestsPerMinute, n, a.requests.sum, a.resets(a.requests.free(0), now)))
	}
	if n := l.TokensPerMinute; n > 0 {
		list = append(list, window(TokensPerMinute, n, a.tokens.sum, a.resets(a.tokens.free(0), now)))
	}
	return list
}
