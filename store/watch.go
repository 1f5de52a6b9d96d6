package store

import (
	"context"
	"sync"
)

// watchers hands out hints that something changed.
type watchers struct {
	mu    sync.Mutex
	chans map[chan struct{}]struct{}
}

func (w *watchers) watch(ctx context.Context) <-chan struct{} {
	c := make(chan struct{}, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.chans == nil {
		w.chans = make(map[chan struct{}]struct{})
	}
	w.chans[c] = struct{}{}
	context.AfterFunc(ctx, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.chans, c)
	})
	return c
}

func (w *watchers) notify() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.chans {
		select {
		case c <- struct{}{}:
		default: // a hint is waiting already
		}
	}
}
