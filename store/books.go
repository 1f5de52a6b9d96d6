package store

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"
	"time"

	"github.com/dgraph-io/badger/v4"
	"go.uber.org/zap"
)

// books writes exchanges in batches: whoever records while a batch is being
// written shares the next one, so that a busy server pays for few transactions
// and a quiet one waits for nobody.
type books struct {
	db   *badger.DB
	log  *zap.Logger
	jobs chan *job
	done chan struct{}

	mu     sync.RWMutex // held for reading while a job is handed over
	closed bool
}

// A job is one record on its way to the disk.
type job struct {
	key, value []byte
	done       chan error
}

var jobs = sync.Pool{New: func() any { return &job{done: make(chan error, 1)} }}

// Bounds of a batch. Badger refuses transactions beyond 15 % of a memtable.
const (
	batchRecords = 256
	batchBytes   = 512 << 10
	syncEvery    = time.Second
)

func newBooks(db *badger.DB, log *zap.Logger) *books {
	b := &books{db: db, log: log, jobs: make(chan *job, batchRecords), done: make(chan struct{})}
	go b.write()
	return b
}

// exchangePrefix begins the keys of exchanges: then the day and the time, so that
// a day can be dropped as a whole, and the id.
const exchangePrefix = 'E'

func appendExchangeKey(b []byte, began time.Time, id string) []byte {
	b = append(b, exchangePrefix)
	b = binary.BigEndian.AppendUint32(b, uint32(began.Unix()/86400))
	b = binary.BigEndian.AppendUint64(b, uint64(began.UnixNano()))
	return append(b, id...)
}

// record hands the exchange over and waits until it is written.
func (b *books) record(e *Exchange) error {
	if err := bounded(maxText, e.ID, e.KeyID, e.Requested, e.Provider, e.Model, e.ConnectionID, e.Reason); err != nil {
		return err
	}
	j := jobs.Get().(*job)
	j.key = appendExchangeKey(j.key[:0], e.Began, e.ID)
	j.value = appendExchange(j.value[:0], e)
	b.mu.RLock()
	if b.closed {
		b.mu.RUnlock()
		return ErrClosed
	}
	b.jobs <- j
	b.mu.RUnlock()
	err := <-j.done
	jobs.Put(j)
	return err
}

// write is the one writer. It ends when the jobs do.
func (b *books) write() {
	defer close(b.done)
	ticker := time.NewTicker(syncEvery)
	defer ticker.Stop()
	dirty := false
	var batch []*job
	for {
		select {
		case j, ok := <-b.jobs:
			if !ok {
				return
			}
			batch = b.gather(append(batch[:0], j))
			err := b.commit(batch)
			for _, j := range batch {
				j.done <- err
			}
			dirty = true
		case <-ticker.C:
			if dirty {
				dirty = false
				if err := b.db.Sync(); err != nil {
					b.log.Error("syncing the books", zap.Error(wordless(err)))
				}
			}
		}
	}
}

// gather adds the jobs that wait already.
func (b *books) gather(batch []*job) []*job {
	size := len(batch[0].value)
	for len(batch) < batchRecords && size < batchBytes {
		select {
		case j, ok := <-b.jobs:
			if !ok {
				return batch
			}
			batch = append(batch, j)
			size += len(j.value)
		default:
			return batch
		}
	}
	return batch
}

func (b *books) commit(batch []*job) (err error) {
	// A panic here would take the whole web server down.
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("writing the books: panic")
			b.log.Error("recovered from a panic in the books", zap.Stack("stack"))
		}
	}()
	err = b.db.Update(func(txn *badger.Txn) error {
		for _, j := range batch {
			if err := txn.Set(j.key, j.value); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("writing the books: %w", wordless(err))
	}
	return nil
}

// read visits the exchanges of a span of time, oldest first.
func (b *books) read(ctx context.Context, from, to time.Time, visit func(*Exchange) bool) error {
	err := b.db.View(func(txn *badger.Txn) error {
		o := badger.DefaultIteratorOptions
		o.Prefix = []byte{exchangePrefix}
		it := txn.NewIterator(o)
		defer it.Close()
		end := string(appendExchangeKey(nil, to, ""))
		var e Exchange
		for it.Seek(appendExchangeKey(nil, from, "")); it.Valid() && string(it.Item().Key()) < end; it.Next() {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := it.Item().Value(func(v []byte) error { return decodeExchange(v, &e) }); err != nil {
				return err
			}
			if !visit(&e) {
				return nil
			}
		}
		return nil
	})
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("reading the books: %w", wordless(err))
	}
	return err
}

// close waits until what was handed over is written.
func (b *books) close() {
	b.mu.Lock()
	b.closed = true
	close(b.jobs)
	b.mu.Unlock()
	<-b.done
}
