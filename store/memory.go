package store

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"maps"
	"slices"
	"sync"
	"time"
)

// Memory is a [Store] that lasts as long as the process.
type Memory struct {
	hasher *Hasher
	watchers

	mu     sync.RWMutex
	state  *state
	books  map[string]Exchange // by their keys in the books of Badger
	usage  *usage
	kept   map[keptName]keptValue
	closed bool
}

// NewMemory returns an empty store.
func NewMemory() *Memory {
	pepper := make([]byte, 32)
	rand.Read(pepper)
	return &Memory{
		hasher: NewHasher(pepper), state: newState(),
		books: map[string]Exchange{}, usage: &usage{keys: map[string]*keyUsage{}}, kept: map[keptName]keptValue{},
	}
}

// Snapshot implements [Store].
func (m *Memory) Snapshot(context.Context) (*Snapshot, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.closed {
		return nil, ErrClosed
	}
	return m.state.snapshot(m.hasher), nil
}

// Apply implements [Store].
func (m *Memory) Apply(_ context.Context, changes ...Change) (uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return 0, ErrClosed
	}
	next, err := m.state.apply(changes)
	if err != nil {
		return 0, err
	}
	m.state = next
	m.notify()
	return next.rev, nil
}

// Watch implements [Store].
func (m *Memory) Watch(ctx context.Context) <-chan struct{} { return m.watch(ctx) }

// Record implements [Store].
func (m *Memory) Record(_ context.Context, e *Exchange) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return ErrClosed
	}
	key := string(appendExchangeKey(nil, e.Began, e.ID))
	today := usedDay(time.Now())
	if old, ok := m.books[key]; ok {
		var change tally
		change.minus(old.tally())
		m.usage.add(keyDay{usedDay(old.Began), old.KeyID}, change, today)
	}
	m.usage.add(keyDay{usedDay(e.Began), e.KeyID}, e.tally(), today)
	kept := *e
	kept.Trace = nil
	if len(e.Trace) > 0 && len(e.Trace) <= MaxTrace {
		kept.Trace = bytes.Clone(e.Trace)
	}
	m.books[key] = kept
	return nil
}

// Exchange implements [Store].
func (m *Memory) Exchange(_ context.Context, id string) (*Exchange, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.closed {
		return nil, ErrClosed
	}
	made, ok := idTime(id)
	for _, e := range m.books {
		if ok && e.ID == id && e.Began.Sub(made).Abs() <= time.Minute {
			e.Trace = bytes.Clone(e.Trace)
			return &e, nil
		}
	}
	return nil, ErrNotFound
}

// Used implements [Store]. It sums the books up.
func (m *Memory) Used(_ context.Context, visit func(keyID string, day time.Time, u Used) bool) error {
	m.mu.RLock()
	days := map[keyDay]tally{}
	for _, e := range m.books {
		at := keyDay{usedDay(e.Began), e.KeyID}
		sum := days[at]
		sum.plus(e.tally())
		days[at] = sum
	}
	closed := m.closed
	m.mu.RUnlock()
	if closed {
		return ErrClosed
	}
	for _, at := range slices.SortedFunc(maps.Keys(days), func(a, b keyDay) int {
		return cmp.Or(cmp.Compare(a.day, b.day), cmp.Compare(a.key, b.key))
	}) {
		if !visit(at.key, dayTime(at.day), days[at].used()) {
			break
		}
	}
	return nil
}

// UsedSince implements [Store].
func (m *Memory) UsedSince(keyID string, from time.Time) Used { return m.usage.since(keyID, from) }

// Exchanges implements [Store].
func (m *Memory) Exchanges(_ context.Context, from, to time.Time, visit func(*Exchange) bool) error {
	m.mu.RLock()
	var list []Exchange
	for _, e := range m.books {
		if !e.Began.Before(from) && e.Began.Before(to) {
			e.Trace = nil
			list = append(list, e)
		}
	}
	closed := m.closed
	m.mu.RUnlock()
	if closed {
		return ErrClosed
	}
	slices.SortFunc(list, func(a, b Exchange) int {
		return cmp.Or(a.Began.Compare(b.Began), cmp.Compare(a.ID, b.ID))
	})
	for i := range list {
		if !visit(&list[i]) {
			break
		}
	}
	return nil
}

// Close implements [Store].
func (m *Memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	return nil
}

var _ Store = (*Memory)(nil)

type keptName struct{ owner, name string }

type keptValue struct {
	value []byte
	until time.Time
}

// Keep implements [Store].
func (m *Memory) Keep(_ context.Context, owner, name string, value []byte, until time.Time) error {
	if err := keepable(owner, name, value); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return ErrClosed
	}
	m.kept[keptName{owner, name}] = keptValue{slices.Clone(value), until}
	return nil
}

// Kept implements [Store].
func (m *Memory) Kept(_ context.Context, owner, name string) ([]byte, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.closed {
		return nil, ErrClosed
	}
	v, ok := m.kept[keptName{owner, name}]
	if !ok || keptDay(time.Now()) > keptDay(v.until) {
		return nil, ErrNotFound
	}
	return slices.Clone(v.value), nil
}

// Forget implements [Store].
func (m *Memory) Forget(_ context.Context, owner, name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return ErrClosed
	}
	if _, ok := m.kept[keptName{owner, name}]; !ok {
		return ErrNotFound
	}
	delete(m.kept, keptName{owner, name})
	return nil
}
