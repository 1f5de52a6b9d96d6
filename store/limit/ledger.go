package limit

import (
	"hash/maphash"
	"sync"
	"time"

	"github.com/nine-router/nine-router/store"
)

// A Ledger holds the accounts of all keys that have limits, about half a kilobyte
// each. It is safe for concurrent use; keys do not wait for each other.
type Ledger struct {
	used   func(keyID string, from time.Time) store.Used
	seed   maphash.Seed
	shards [16]shard
}

type shard struct {
	mu       sync.RWMutex
	accounts map[string]*account
}

// New returns a Ledger that begins with what the books say, which is usually
// [store.Store.UsedSince]. It asks for the beginnings of periods and, with the
// zero time, for all; while it asks, a key waits.
func New(used func(keyID string, from time.Time) store.Used) *Ledger {
	l := &Ledger{used: used, seed: maphash.MakeSeed()}
	for i := range l.shards {
		l.shards[i].accounts = map[string]*account{}
	}
	return l
}

func (l *Ledger) shard(key string) *shard {
	return &l.shards[maphash.String(l.seed, key)%uint64(len(l.shards))]
}

// find returns the account of a key, nil if it has none.
func (s *shard) find(key string) *account {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.accounts[key]
}

// account returns the account of a key, and opens it if need be.
func (l *Ledger) account(key string, now time.Time) *account {
	s := l.shard(key)
	if a := s.find(key); a != nil {
		return a
	}
	fresh := newAccount(l, key, now)
	s.mu.Lock()
	defer s.mu.Unlock()
	if a := s.accounts[key]; a != nil {
		return a
	}
	s.accounts[key] = fresh
	return fresh
}

// counted says that there is something for a ledger to count.
func counted(l *store.Limits) bool {
	return l != nil && (l.RequestsPerMinute > 0 || l.TokensPerMinute > 0 || l.Concurrent > 0 ||
		l.SpendDay > 0 || l.SpendWeek > 0 || l.SpendMonth > 0 || l.SpendTotal > 0)
}

// Reserve takes what the request may need from all limits of the key, or from none
// and says which of them is in the way. What is reserved has to be settled or
// released. Where no limit has to be counted there is no reservation: it returns
// nil and nil, and all methods of a nil Reservation do nothing.
func (l *Ledger) Reserve(ask Ask) (*Reservation, *Denial) {
	if !counted(ask.Limits) {
		return nil, nil
	}
	q := asked{tokens: tokens(ask.Tokens), cost: max(ask.Cost, 0), priced: ask.Priced}
	a := l.account(ask.Key, ask.Now)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.advance(ask.Now)
	if d := a.deny(ask.Limits, q, ask.Now); d != nil {
		return nil, d
	}
	r := &Reservation{account: a, limits: ask.Limits, tokens: q.tokens, cost: q.cost}
	a.running++
	r.requestSlot = a.requests.add(1)
	r.tokenSlot = a.tokens.add(q.tokens)
	for i := range a.spent {
		s := &a.spent[i]
		r.turns[i] = s.turn
		s.reserved.Add(int64(q.cost))
	}
	return r, nil
}

// Standing returns where each limit of a key that has to be counted stands. Asking
// takes nothing.
func (l *Ledger) Standing(key string, limits *store.Limits, now time.Time) []Window {
	if !counted(limits) {
		return nil
	}
	a := l.shard(key).find(key)
	if a == nil {
		a = newAccount(l, key, now) // for this answer alone
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.advance(now)
	list := a.minutes(limits, now)
	if n := limits.Concurrent; n > 0 {
		list = append(list, window(Concurrent, n, a.running, time.Time{}))
	}
	for i, budget := range budgets(limits) {
		if budget > 0 {
			s := &a.spent[i]
			list = append(list, window(periodNames[i], int64(budget), int64(s.used()), ends(i, s.start)))
		}
	}
	return list
}
