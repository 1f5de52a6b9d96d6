package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/dgraph-io/badger/v4"
	"go.uber.org/zap"
)

// books writes exchanges in batches: whoever records while a batch is being
// written shares the next one, so that a busy server pays for few transactions
// and a quiet one waits for nobody.
//
// What each key has used is added up in memory and written in the same batch as
// the exchanges, so that neither is ever there without the other.
type books struct {
	db    *badger.DB
	log   *zap.Logger
	usage *usage
	jobs  chan *job
	done  chan struct{}

	// Of the writer alone, for one batch.
	changes map[keyDay]tally
	totals  map[string]tally
	rows    []byte // keys and values that a transaction holds on to

	mu     sync.RWMutex // held for reading while a job is handed over
	closed bool
}

// A job is one record on its way to the disk.
type job struct {
	key, value []byte
	at         keyDay
	tally      tally
	done       chan error
}

var jobs = sync.Pool{New: func() any { return &job{done: make(chan error, 1)} }}

// Bounds of a batch. Badger refuses transactions beyond 15 % of a memtable.
const (
	batchRecords = 256
	batchBytes   = 512 << 10
	syncEvery    = time.Second
)

func openBooks(db *badger.DB, log *zap.Logger) (*books, error) {
	usage, err := openUsage(db, time.Now())
	if err != nil {
		return nil, err
	}
	b := &books{
		db: db, log: log, usage: usage, jobs: make(chan *job, batchRecords), done: make(chan struct{}),
		changes: map[keyDay]tally{}, totals: map[string]tally{},
	}
	go b.write()
	return b, nil
}

// exchangePrefix begins the keys of exchanges: then the day and the time, so that
// a day can be dropped as a whole, and the id.
const exchangePrefix = 'E'

// exchangeKeyTime is the length of what is before the id, in bytes.
const exchangeKeyTime = 1 + 4 + 8

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
	j.at, j.tally = keyDay{usedDay(e.Began), e.KeyID}, e.tally()
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

// size is about what the job adds to a transaction, in bytes.
func (j *job) size() int { return len(j.key) + len(j.value) + 2*len(j.at.key) }

// gather adds the jobs that wait already.
func (b *books) gather(batch []*job) []*job {
	size := batch[0].size()
	for len(batch) < batchRecords && size < batchBytes {
		select {
		case j, ok := <-b.jobs:
			if !ok {
				return batch
			}
			batch = append(batch, j)
			size += j.size()
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
	clear(b.changes)
	err = b.db.Update(func(txn *badger.Txn) error {
		for _, j := range batch {
			if err := b.uncount(txn, j.key); err != nil {
				return err
			}
			change := b.changes[j.at]
			change.plus(j.tally)
			b.changes[j.at] = change
			if err := txn.Set(j.key, j.value); err != nil {
				return err
			}
		}
		return b.setUsed(txn)
	})
	if err != nil {
		return fmt.Errorf("writing the books: %w", wordless(err))
	}
	today := usedDay(time.Now())
	for at, change := range b.changes {
		b.usage.add(at, change, today)
	}
	return nil
}

// uncount takes out what a record counted that is about to be replaced.
func (b *books) uncount(txn *badger.Txn, key []byte) error {
	item, err := txn.Get(key)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return item.Value(func(v []byte) error {
		var e Exchange
		if err := decodeExchange(v, &e); err != nil {
			return err
		}
		at := keyDay{usedDay(e.Began), e.KeyID}
		change := b.changes[at]
		change.minus(e.tally())
		b.changes[at] = change
		return nil
	})
}

// setUsed writes the counters that the batch changes.
func (b *books) setUsed(txn *badger.Txn) error {
	b.rows = b.rows[:0]
	clear(b.totals)
	for at, change := range b.changes {
		total := b.totals[at.key]
		total.plus(change)
		b.totals[at.key] = total
		day, known := b.usage.on(at)
		key := b.row(func(row []byte) []byte { return appendUsedKey(row, at) })
		if !known {
			var err error
			if day, err = readTally(txn, key); err != nil {
				return err
			}
		}
		day.plus(change)
		if err := txn.Set(key, b.row(func(row []byte) []byte { return appendTally(row, day) })); err != nil {
			return err
		}
	}
	for id, change := range b.totals {
		total := b.usage.total(id)
		total.plus(change)
		key := b.row(func(row []byte) []byte { return append(append(row, totalPrefix), id...) })
		if err := txn.Set(key, b.row(func(row []byte) []byte { return appendTally(row, total) })); err != nil {
			return err
		}
	}
	return nil
}

// row appends to the rows of the batch and returns what was appended.
func (b *books) row(fill func([]byte) []byte) []byte {
	from := len(b.rows)
	b.rows = fill(b.rows)
	return b.rows[from:len(b.rows):len(b.rows)]
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
			e.Trace = nil // it is Badger's memory
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

// idSlack is how far an exchange may have begun from the time in its id. Nearly
// all of them are within the first, which is looked through before the second.
var idSlack = [...]time.Duration{20 * time.Millisecond, time.Minute}

// find returns the exchange with the id.
func (b *books) find(ctx context.Context, id string) (*Exchange, error) {
	made, ok := idTime(id)
	if !ok {
		return nil, ErrNotFound
	}
	var found *Exchange
	err := b.db.View(func(txn *badger.Txn) error {
		o := badger.DefaultIteratorOptions
		o.Prefix, o.PrefetchValues = []byte{exchangePrefix}, false
		it := txn.NewIterator(o)
		defer it.Close()
		for _, slack := range idSlack {
			end := string(appendExchangeKey(nil, made.Add(slack+time.Millisecond), ""))
			for it.Seek(appendExchangeKey(nil, made.Add(-slack), "")); it.Valid() && string(it.Item().Key()) < end; it.Next() {
				if err := ctx.Err(); err != nil {
					return err
				}
				if key := it.Item().Key(); len(key) <= exchangeKeyTime || string(key[exchangeKeyTime:]) != id {
					continue
				}
				return it.Item().Value(func(v []byte) error {
					found = new(Exchange)
					err := decodeExchange(v, found)
					found.Trace = bytes.Clone(found.Trace)
					return err
				})
			}
		}
		return nil
	})
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		return nil, fmt.Errorf("reading the books: %w", wordless(err))
	case found == nil:
		return nil, ErrNotFound
	}
	return found, nil
}

// close waits until what was handed over is written.
func (b *books) close() {
	b.mu.Lock()
	b.closed = true
	close(b.jobs)
	b.mu.Unlock()
	<-b.done
}
