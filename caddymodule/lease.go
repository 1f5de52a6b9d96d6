package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/nine-router/nine-router/caddymodule/gateway"
	"github.com/nine-router/nine-router/store"
)

// stores holds one open store for each directory, whatever configurations come
// and go. Caddy starts a new configuration before it stops the old one, and
// streams of the old one go on after that: so every app and every exchange has a
// reference, and the last one out closes the store.
var stores = caddy.NewUsagePool()

// A lease is a reference to an open store and what belongs to it for as long as
// the process lives.
type lease struct {
	dir      string
	store    store.Store
	health   *gateway.Health
	memory   *gateway.Continuity
	observer *observer
}

// pooled is the value in the pool.
type pooled struct {
	store    store.Store
	health   *gateway.Health
	memory   *gateway.Continuity
	observer *observer
	log      *zap.Logger
}

// Destruct implements caddy.Destructor: the last reference is gone.
func (p *pooled) Destruct() error {
	p.observer.close()
	if err := p.store.Close(); err != nil {
		return fmt.Errorf("closing the store: %w", err)
	}
	p.log.Info("store closed")
	return nil
}

// acquire opens the store in the directory, or takes a reference to it if it is
// open.
func acquire(dir string, key store.Secret, log *zap.Logger) (*lease, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the data directory: %w", err)
	}
	// The directory alone is the pool's key: two names for it are one store.
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return nil, fmt.Errorf("finding the data directory: %w", err)
	}
	v, _, err := stores.LoadOrNew(dir, func() (caddy.Destructor, error) {
		s, err := store.OpenBadger(context.Background(), store.BadgerOptions{Dir: dir, EncryptionKey: key, Logger: log})
		if err != nil {
			return nil, err
		}
		log.Info("store opened", zap.String("directory", dir))
		closeAtExit()
		// What is set aside is not known here until the gateway has a board.
		return &pooled{store: s, health: gateway.NewHealth(), memory: gateway.NewContinuity(), observer: newObserver(nil, log), log: log}, nil
	})
	if err != nil {
		return nil, err
	}
	p := v.(*pooled)
	return &lease{dir: dir, store: p.store, health: p.health, memory: p.memory, observer: p.observer}, nil
}

var errGone = errors.New("the store is closed")

// hold takes a further reference, for an exchange. It never opens the store.
func (l *lease) hold() (*lease, error) {
	_, _, err := stores.LoadOrNew(l.dir, func() (caddy.Destructor, error) { return nil, errGone })
	if err != nil {
		return nil, err
	}
	return l, nil
}

// release gives the reference up. It is called once for each acquire and hold.
func (l *lease) release() error {
	_, err := stores.Delete(l.dir)
	return err
}

// exitPatience is how long the end of the process waits for exchanges that are
// under way to put themselves into the books.
const exitPatience = 2 * time.Second

var exitHook sync.Once

// closeAtExit sees to it that stores are closed when the process ends with
// exchanges under way, as it does after Caddy's grace period.
func closeAtExit() {
	exitHook.Do(func() {
		caddy.OnExit(func(context.Context) {
			deadline := time.Now().Add(exitPatience)
			for open() > 0 && time.Now().Before(deadline) {
				time.Sleep(10 * time.Millisecond)
			}
			stores.Range(func(_, v any) bool {
				if p, ok := v.(*pooled); ok {
					if err := p.Destruct(); err != nil {
						p.log.Error("closing the store at exit", zap.Error(err))
					}
				}
				return true
			})
		})
	})
}

func open() (n int) {
	stores.Range(func(_, _ any) bool {
		n++
		return true
	})
	return n
}
