package store

import (
	"cmp"
	"context"
	"crypto/rand"
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
	books  map[string]Exchange
	kept   map[keptName]keptValue
	closed bool
}

// NewMemory returns an empty store.
func NewMemory() *Memory {
	pepper := make([]byte, 32)
	rand.Read(pepper)
	return &Memory{hasher: NewHasher(pepper), state: newState(), books: map[string]Exchange{}, kept: map[keptName]keptValue{}}
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
	m.books[e.ID] = *e
	return nil
}

// Exchanges implements [Store].
func (m *Memory) Exchanges(_ context.Context, from, to time.Time, visit func(*Exchange) bool) error {
	m.mu.RLock()
	var list []Exchange
	for _, e := range m.books {
		if !e.Began.Before(from) && e.Began.Before(to) {
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
