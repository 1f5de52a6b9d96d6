package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// Roll-ups in the database of telemetry: what a key used on a day, under the day,
// so that a day can be dropped as a whole, and the key's id; and what it used in
// total, under its id, so that a start need not read all days there ever were.
const (
	usedPrefix  = 'U'
	totalPrefix = 'T'

	// metaUsed says that the roll-ups are there. Without it they are made from the
	// books: an earlier version of this program kept none.
	metaUsed = "m/used"
)

func appendUsedKey(b []byte, at keyDay) []byte {
	return append(binary.BigEndian.AppendUint32(append(b, usedPrefix), at.day), at.key...)
}

// readTally reads one counter. A missing one is at zero.
func readTally(txn *badger.Txn, key []byte) (t tally, err error) {
	item, err := txn.Get(key)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return t, nil
	}
	if err != nil {
		return t, err
	}
	err = item.Value(func(v []byte) error {
		t, err = decodeTally(v)
		return err
	})
	return t, err
}

// eachTally calls visit for the counters whose keys begin with the letter, from a
// key on; rest is the key without the letter.
func eachTally(ctx context.Context, txn *badger.Txn, letter byte, from []byte, visit func(rest []byte, t tally) bool) error {
	o := badger.DefaultIteratorOptions
	o.Prefix = []byte{letter}
	it := txn.NewIterator(o)
	defer it.Close()
	for it.Seek(append([]byte{letter}, from...)); it.Valid(); it.Next() {
		if err := ctx.Err(); err != nil {
			return err
		}
		var t tally
		if err := it.Item().Value(func(v []byte) (err error) { t, err = decodeTally(v); return err }); err != nil {
			return err
		}
		if !visit(it.Item().Key()[1:], t) {
			return nil
		}
	}
	return nil
}

// openUsage reads the totals and the last days, and makes them first if need be.
func openUsage(db *badger.DB, now time.Time) (*usage, error) {
	err := db.View(func(txn *badger.Txn) error { _, err := txn.Get([]byte(metaUsed)); return err })
	if errors.Is(err, badger.ErrKeyNotFound) {
		err = sumUp(db)
	}
	if err != nil {
		return nil, fmt.Errorf("making the roll-ups: %w", wordless(err))
	}
	u := &usage{keys: map[string]*keyUsage{}}
	today := usedDay(now)
	err = db.View(func(txn *badger.Txn) error {
		err := eachTally(context.Background(), txn, totalPrefix, nil, func(id []byte, t tally) bool {
			k := &keyUsage{total: t}
			k.age(today)
			u.keys[string(id)] = k
			return true
		})
		if err != nil {
			return err
		}
		first := binary.BigEndian.AppendUint32(nil, max(today, usedDays)-usedDays)
		damaged := false
		err = eachTally(context.Background(), txn, usedPrefix, first, func(rest []byte, t tally) bool {
			if damaged = len(rest) < 4; damaged {
				return false
			}
			k := u.keys[string(rest[4:])]
			if damaged = k == nil; damaged {
				return false
			}
			k.days = append(k.days, dayTally{binary.BigEndian.Uint32(rest), t})
			return true
		})
		if damaged {
			return errBook
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading the roll-ups: %w", wordless(err))
	}
	return u, nil
}

// sumUp makes the roll-ups from the books. What it writes does not depend on what
// a run before it wrote that was cut off.
func sumUp(db *badger.DB) error {
	days, totals := map[keyDay]tally{}, map[string]tally{}
	err := db.View(func(txn *badger.Txn) error {
		o := badger.DefaultIteratorOptions
		o.Prefix = []byte{exchangePrefix}
		it := txn.NewIterator(o)
		defer it.Close()
		var e Exchange
		for it.Rewind(); it.Valid(); it.Next() {
			if err := it.Item().Value(func(v []byte) error { return decodeExchange(v, &e) }); err != nil {
				return err
			}
			at := keyDay{usedDay(e.Began), e.KeyID}
			day, total := days[at], totals[at.key]
			day.plus(e.tally())
			total.plus(e.tally())
			days[at], totals[at.key] = day, total
		}
		return nil
	})
	if err != nil {
		return err
	}
	batch := db.NewWriteBatch()
	defer batch.Cancel()
	for at, t := range days {
		if err := batch.Set(appendUsedKey(nil, at), appendTally(nil, t)); err != nil {
			return err
		}
	}
	for id, t := range totals {
		if err := batch.Set(append([]byte{totalPrefix}, id...), appendTally(nil, t)); err != nil {
			return err
		}
	}
	if err := batch.Flush(); err != nil {
		return err
	}
	// Last: until it is there, the next start does all of this again.
	return db.Update(func(txn *badger.Txn) error { return txn.Set([]byte(metaUsed), []byte{tallyVersion}) })
}

// readUsed visits the counters of all days.
func readUsed(ctx context.Context, db *badger.DB, visit func(keyID string, day time.Time, u Used) bool) error {
	err := db.View(func(txn *badger.Txn) error {
		return eachTally(ctx, txn, usedPrefix, nil, func(rest []byte, t tally) bool {
			if len(rest) < 4 || t.requests == 0 {
				return true // nothing counts there any more: its records were replaced
			}
			return visit(string(rest[4:]), dayTime(binary.BigEndian.Uint32(rest)), t.used())
		})
	})
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("reading the roll-ups: %w", wordless(err))
	}
	return err
}
