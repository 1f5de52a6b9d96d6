package store

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/dgraph-io/badger/v4"
	"go.uber.org/zap"
)

// Bounds of what is kept: one value, and all of them, in bytes, and how far ahead
// the last day may lie.
const (
	maxKept      = 32 << 20
	maxKeptTotal = 512 << 20
	maxKeptDays  = 31
)

func keepable(owner, name string, value []byte) error {
	if len(value) > maxKept {
		return fmt.Errorf("keeping %d bytes: at most %d are kept", len(value), maxKept)
	}
	return bounded(maxText, owner, name)
}

func keptDay(t time.Time) uint32 { return uint32(t.Unix() / 86400) }

// keptPrefix begins the keys of what is kept: then the last day, so that a day
// can be dropped as a whole, a hash of owner and name, and the number of the
// piece.
const keptPrefix = 'K'

// keptPiece bounds one piece of a value, in bytes: Badger refuses transactions
// beyond 15 % of a memtable.
const keptPiece = 512 << 10

func keptKey(day uint32, owner, name string) []byte {
	b := binary.BigEndian.AppendUint32([]byte{keptPrefix}, day)
	h := sha256.New()
	fmt.Fprintf(h, "%d:%s%s", len(owner), owner, name)
	return h.Sum(b)
}

// kept keeps values in day buckets and knows how large each is.
type kept struct {
	db  *badger.DB
	log *zap.Logger

	mu   sync.Mutex
	days map[uint32]int64 // bytes by day
}

// openKept counts what is there, and drops the days that are over.
func openKept(db *badger.DB, log *zap.Logger) (*kept, error) {
	k := &kept{db: db, log: log, days: map[uint32]int64{}}
	err := db.View(func(txn *badger.Txn) error {
		o := badger.DefaultIteratorOptions
		o.PrefetchValues, o.Prefix = false, []byte{keptPrefix}
		it := txn.NewIterator(o)
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			if key := it.Item().Key(); len(key) > 5 {
				k.days[binary.BigEndian.Uint32(key[1:])] += it.Item().EstimatedSize()
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading what is kept: %w", wordless(err))
	}
	k.trim(keptDay(time.Now()))
	return k, nil
}

// trim drops the days that are over, and the first ones if there is too much.
// The lock is held, or nobody else is there yet.
func (k *kept) trim(today uint32) {
	for {
		first, total := uint32(0), int64(0)
		for day, n := range k.days {
			if total += n; first == 0 || day < first {
				first = day
			}
		}
		if first == 0 || first >= today && total <= maxKeptTotal {
			return
		}
		if err := k.db.DropPrefix(binary.BigEndian.AppendUint32([]byte{keptPrefix}, first)); err != nil {
			k.log.Error("dropping a day of what is kept", zap.Error(wordless(err)))
		}
		delete(k.days, first)
	}
}

func (k *kept) keep(owner, name string, value []byte, until time.Time) error {
	if err := keepable(owner, name, value); err != nil {
		return err
	}
	today := keptDay(time.Now())
	day := min(max(keptDay(until), today), today+maxKeptDays)
	k.mu.Lock()
	k.days[day] += int64(len(value))
	k.trim(today)
	k.mu.Unlock()
	key := keptKey(day, owner, name)
	batch := k.db.NewWriteBatch()
	defer batch.Cancel()
	pieces := uint32(0)
	for rest := value; len(rest) > 0 || pieces == 0; pieces++ {
		n := min(len(rest), keptPiece)
		if err := batch.Set(binary.BigEndian.AppendUint32(key[:len(key):len(key)], pieces+1), rest[:n]); err != nil {
			return fmt.Errorf("keeping a value: %w", wordless(err))
		}
		rest = rest[n:]
	}
	// The number of pieces last: without it there is nothing.
	if err := batch.Set(binary.BigEndian.AppendUint32(key[:len(key):len(key)], 0), binary.BigEndian.AppendUint32(nil, pieces)); err != nil {
		return fmt.Errorf("keeping a value: %w", wordless(err))
	}
	if err := batch.Flush(); err != nil {
		return fmt.Errorf("keeping a value: %w", wordless(err))
	}
	return nil
}

// find looks on every day that it can be on, the last first, and returns the
// value, its key and how many pieces it has.
func (k *kept) find(owner, name string) (value, key []byte, pieces uint32, err error) {
	today := keptDay(time.Now())
	err = k.db.View(func(txn *badger.Txn) error {
		for day := today + maxKeptDays; day >= today; day-- {
			key = keptKey(day, owner, name)
			item, err := txn.Get(binary.BigEndian.AppendUint32(key[:len(key):len(key)], 0))
			if errors.Is(err, badger.ErrKeyNotFound) {
				continue
			}
			if err != nil {
				return err
			}
			if err := item.Value(func(v []byte) error { pieces = binary.BigEndian.Uint32(v); return nil }); err != nil {
				return err
			}
			for i := range pieces {
				item, err := txn.Get(binary.BigEndian.AppendUint32(key[:len(key):len(key)], i+1))
				if err != nil {
					return err
				}
				if err := item.Value(func(v []byte) error { value = append(value, v...); return nil }); err != nil {
					return err
				}
			}
			return nil
		}
		return ErrNotFound
	})
	switch {
	case errors.Is(err, ErrNotFound):
		return nil, nil, 0, ErrNotFound
	case err != nil:
		return nil, nil, 0, fmt.Errorf("reading what is kept: %w", wordless(err))
	}
	return value, key, pieces, nil
}

// forget removes a value from every day that it was kept for.
func (k *kept) forget(owner, name string) error {
	if err := k.forgetOne(owner, name); err != nil {
		return err
	}
	for {
		if err := k.forgetOne(owner, name); err != nil {
			if errors.Is(err, ErrNotFound) {
				return nil
			}
			return err
		}
	}
}

func (k *kept) forgetOne(owner, name string) error {
	value, key, pieces, err := k.find(owner, name)
	if err != nil {
		return err
	}
	batch := k.db.NewWriteBatch()
	defer batch.Cancel()
	for i := range pieces + 1 {
		if err := batch.Delete(binary.BigEndian.AppendUint32(key[:len(key):len(key)], i)); err != nil {
			return fmt.Errorf("forgetting a value: %w", wordless(err))
		}
	}
	if err := batch.Flush(); err != nil {
		return fmt.Errorf("forgetting a value: %w", wordless(err))
	}
	k.mu.Lock()
	k.days[binary.BigEndian.Uint32(key[1:])] -= int64(len(value))
	k.mu.Unlock()
	return nil
}

// Keep implements [Store].
func (b *Badger) Keep(_ context.Context, owner, name string, value []byte, until time.Time) error {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if b.closed {
		return ErrClosed
	}
	return b.kept.keep(owner, name, value, until)
}

// Kept implements [Store].
func (b *Badger) Kept(_ context.Context, owner, name string) ([]byte, error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if b.closed {
		return nil, ErrClosed
	}
	value, _, _, err := b.kept.find(owner, name)
	return value, err
}

// Forget implements [Store].
func (b *Badger) Forget(_ context.Context, owner, name string) error {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if b.closed {
		return ErrClosed
	}
	return b.kept.forget(owner, name)
}
