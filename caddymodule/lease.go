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
	"github.com/nine-router/nine-router/caddymodule/gateway/schedule"
	"github.com/nine-router/nine-router/store"
	"github.com/nine-router/nine-router/store/limit"
)

// stores holds one open store for each directory, whatever configurations come
// and go. Caddy starts a new configuration before it stops the old one, and
// streams of the old one go on after that: so every app and every exchange has a
// reference, and the last one out closes the store.
var stores = caddy.NewUsagePool()

// A lease is a reference to an open store and what belongs to it for as long as
// the process lives.
type lease struct {
	dir string
	shared
}

// shared is what all configurations of a process have in common: the store and
// what is known beside it.
type shared struct {
	store    store.Store
	board    *schedule.Board
	affinity *gateway.Affinity
	ledger   *limit.Ledger
	memory   *gateway.Continuity
	observer *observer
	saving   *sync.Mutex // held from the check of a change to its write
}

// pooled is the value in the pool.
type pooled struct {
	shared
	stop context.CancelFunc // of the background work
	done chan struct{}      // closed when it has stopped
	log  *zap.Logger
}

// Destruct implements caddy.Destructor: the last reference is gone.
func (p *pooled) Destruct() error {
	p.stop()
	<-p.done
	p.observer.close()
	if err := p.store.Close(); err != nil {
		return fmt.Errorf("closing the store: %w", err)
	}
	p.log.Info("store closed")
	return nil
}

// newPooled makes what belongs to a store that was just opened, and begins its
// background work.
func newPooled(s store.Store, log *zap.Logger) *pooled {
	ctx, cancel := context.WithCancel(context.Background())
	board := schedule.NewBoard()
	p := &pooled{
		shared: shared{store: s, board: board, affinity: gateway.NewAffinity(), ledger: limit.New(s.UsedSince), memory: gateway.NewContinuity(), observer: newObserver(board.Reports, log), saving: new(sync.Mutex)},
		stop:   cancel, done: make(chan struct{}), log: log,
	}
	if err := gateway.RestoreBoard(ctx, s, board); err != nil {
		log.Error("nobody is set aside, whoever was", zap.Error(err))
	}
	go func() {
		defer close(p.done)
		defer func() {
			// A panic here would take the whole web server down.
			if v := recover(); v != nil {
				log.Error("recovered from a panic in the background", zap.Any("panic", v), zap.Stack("stack"))
			}
		}()
		gateway.KeepBoard(ctx, s, board, log)
	}()
	return p
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
		return newPooled(s, log), nil
	})
	if err != nil {
		return nil, err
	}
	p := v.(*pooled)
	return &lease{dir: dir, shared: p.shared}, nil
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
