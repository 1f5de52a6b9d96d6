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
	closed bool
}

// NewMemory returns an empty store.
func NewMemory() *Memory {
	pepper := make([]byte, 32)
	rand.Read(pepper)
	return &Memory{hasher: NewHasher(pepper), state: newState(), books: map[string]Exchange{}}
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
