package store

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
	"go.uber.org/zap"
)

// BadgerOptions say where and how a Badger store is kept.
type BadgerOptions struct {
	// Dir is the directory, made if it does not exist.
	Dir string
	// EncryptionKey is the text from which the key is derived that protects the
	// secrets, at least 16 characters. Empty uses a key file in Dir.
	EncryptionKey Secret
	Logger        *zap.Logger
}

// Badger is a [Store] in a directory of its own, as two databases: state, small
// and synced with every write, and telemetry, synced every second.
type Badger struct {
	log       *zap.Logger
	stateDB   *badger.DB
	telemetry *badger.DB
	seal      *sealer
	hasher    *Hasher
	books     *books
	kept      *kept
	watchers

	snap atomic.Pointer[Snapshot]

	mu     sync.RWMutex // held for writing by Apply and Close
	state  *state
	closed bool
}

// OpenBadger opens the store, or makes it. If another process has it, or the
// last user of this process is just giving it up, it tries for a second before
// it fails with ErrLocked.
func OpenBadger(ctx context.Context, o BadgerOptions) (*Badger, error) {
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the data directory: %w", err)
	}
	_, err := os.Stat(filepath.Join(o.Dir, "state", "MANIFEST"))
	fresh := errors.Is(err, os.ErrNotExist)
	b := &Badger{log: o.Logger}
	if b.stateDB, err = openLocked(ctx, stateOptions(o)); err != nil {
		return nil, err
	}
	if b.telemetry, err = openLocked(ctx, telemetryOptions(o)); err != nil {
		return nil, errors.Join(err, shut(b.stateDB))
	}
	if err := b.load(o, fresh); err != nil {
		return nil, errors.Join(err, shut(b.telemetry), shut(b.stateDB))
	}
	if b.kept, err = openKept(b.telemetry, o.Logger); err != nil {
		return nil, errors.Join(err, shut(b.telemetry), shut(b.stateDB))
	}
	if b.books, err = openBooks(b.telemetry, o.Logger); err != nil {
		return nil, errors.Join(err, shut(b.telemetry), shut(b.stateDB))
	}
	return b, nil
}

func shut(db *badger.DB) error {
	if err := db.Close(); err != nil {
		return fmt.Errorf("closing a database: %w", wordless(err))
	}
	return nil
}

// stateOptions keep the small database small: Badger's defaults hold 86 MiB of
// heap at open.
func stateOptions(o BadgerOptions) badger.Options {
	return badger.DefaultOptions(filepath.Join(o.Dir, "state")).
		WithSyncWrites(true).
		WithMemTableSize(2 << 20).WithNumMemtables(1).
		WithBlockCacheSize(0).WithIndexCacheSize(1 << 20).
		WithValueLogFileSize(8 << 20).WithValueThreshold(256 << 10).
		WithNumCompactors(2).WithNumLevelZeroTables(1).WithNumLevelZeroTablesStall(4).
		WithBaseTableSize(1 << 20).WithCompression(options.None).
		WithMetricsEnabled(false).WithLogger(quiet{o.Logger})
}

func telemetryOptions(o BadgerOptions) badger.Options {
	return badger.DefaultOptions(filepath.Join(o.Dir, "telemetry")).
		WithSyncWrites(false).WithDetectConflicts(false).
		WithMemTableSize(8 << 20).WithNumMemtables(2).
		WithBlockCacheSize(8 << 20).WithIndexCacheSize(4 << 20).
		WithValueLogFileSize(16 << 20).WithValueThreshold(768 << 10).
		WithNumCompactors(2).WithNumLevelZeroTables(2).WithNumLevelZeroTablesStall(6).
		WithBaseTableSize(2 << 20).WithCompression(options.Snappy).
		WithMetricsEnabled(false).WithLogger(quiet{o.Logger})
}

// lockPatience is how long opening waits for a lock that is being given up.
const lockPatience = time.Second

func openLocked(ctx context.Context, o badger.Options) (*badger.DB, error) {
	deadline := time.Now().Add(lockPatience)
	for {
		db, err := badger.Open(o)
		if err == nil {
			return db, nil
		}
		if !strings.Contains(err.Error(), "Cannot acquire directory lock") {
			return nil, fmt.Errorf("opening the database in %s: %w", o.Dir, wordless(err))
		}
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("%w%s: %s; change a running server with `caddy reload` or `caddy nine-router`, or give this one another data_dir", ErrLocked, holder(o.Dir), o.Dir)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// holder names the process that has the lock, if its file tells.
func holder(dir string) string {
	text, err := os.ReadFile(filepath.Join(dir, "LOCK"))
	pid := strings.TrimSpace(string(text))
	if err != nil || pid == "" || len(pid) > 10 || strings.Trim(pid, "0123456789") != "" {
		return ""
	}
	return " (process " + pid + ")"
}

// Keys of the state database: a letter for the table, and the record's id.
const (
	metaSchema = "m/schema"
	metaRev    = "m/rev"
	metaDEK    = "m/dek"
	metaPepper = "m/pepper"

	rowPrefix   = "r/" // then RecordID
	auditPrefix = "e/" // then the revision and the number of the change in it

	schema = 1
)

// load reads the whole state, or makes a new one.
func (b *Badger) load(o BadgerOptions, fresh bool) error {
	meta := map[string][]byte{}
	rows := map[string][]byte{}
	err := b.stateDB.View(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.DefaultIteratorOptions)
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			key := string(it.Item().KeyCopy(nil))
			into := meta
			if id, ok := strings.CutPrefix(key, rowPrefix); ok {
				key, into = id, rows
			} else if strings.HasPrefix(key, auditPrefix) {
				continue
			}
			v, err := it.Item().ValueCopy(nil)
			if err != nil {
				return err
			}
			into[key] = v
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("reading the state: %w", wordless(err))
	}
	if v := meta[metaSchema]; len(v) == 8 {
		if n := binary.BigEndian.Uint64(v); n > schema {
			return fmt.Errorf("%w: its schema is %d, this program knows %d", ErrNewerSchema, n, schema)
		}
	} else if len(rows) == 0 {
		// Nothing was ever acknowledged, so a first start may have been cut off.
		fresh = true
	}
	master, made, err := masterKey(o.Dir, o.EncryptionKey, fresh)
	if err != nil {
		return err
	}
	if made != "" {
		o.Logger.Info("made a master key; back it up: without it the stored secrets cannot be opened", zap.String("file", made))
	}
	wrap, err := newSealer(master)
	if err != nil {
		return err
	}
	if meta[metaDEK] == nil {
		if meta, err = b.initialise(wrap); err != nil {
			return err
		}
	}
	dek, err := wrap.open(string(meta[metaDEK]), metaDEK)
	if err != nil {
		return ErrWrongKey
	}
	if b.seal, err = newSealer(dek); err != nil {
		return err
	}
	pepper, err := b.seal.open(string(meta[metaPepper]), metaPepper)
	if err != nil {
		return fmt.Errorf("opening the key pepper: %w", err)
	}
	b.hasher = NewHasher(pepper)
	b.state = newState()
	if v := meta[metaRev]; len(v) == 8 {
		b.state.rev = binary.BigEndian.Uint64(v)
	}
	for id, v := range rows {
		if err := b.state.loadRow(id, v, b.seal); err != nil {
			return fmt.Errorf("reading %s: %w", id, err)
		}
	}
	b.snap.Store(b.state.snapshot(b.hasher))
	return nil
}

// initialise writes what a new store needs, in one transaction.
func (b *Badger) initialise(wrap *sealer) (map[string][]byte, error) {
	dek, pepper := make([]byte, 32), make([]byte, 32)
	rand.Read(dek)
	rand.Read(pepper)
	seal, err := newSealer(dek)
	if err != nil {
		return nil, err
	}
	meta := map[string][]byte{
		metaSchema: binary.BigEndian.AppendUint64(nil, schema),
		metaDEK:    []byte(wrap.seal(dek, metaDEK)),
		metaPepper: []byte(seal.seal(pepper, metaPepper)),
	}
	err = b.stateDB.Update(func(txn *badger.Txn) error {
		for k, v := range meta {
			if err := txn.Set([]byte(k), v); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("making the state: %w", wordless(err))
	}
	return meta, nil
}

// Snapshot implements [Store].
func (b *Badger) Snapshot(context.Context) (*Snapshot, error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if b.closed {
		return nil, ErrClosed
	}
	return b.snap.Load(), nil
}

// Apply implements [Store].
func (b *Badger) Apply(_ context.Context, changes ...Change) (uint64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return 0, ErrClosed
	}
	next, err := b.state.apply(changes)
	if err != nil {
		return 0, err
	}
	err = b.stateDB.Update(func(txn *badger.Txn) error {
		for i, c := range changes {
			key := []byte(rowPrefix + c.Record.RecordID())
			if c.Delete {
				if err := txn.Delete(key); err != nil {
					return err
				}
			} else {
				row, err := next.row(c.Record, b.seal)
				if err != nil {
					return err
				}
				if err := txn.Set(key, row); err != nil {
					return err
				}
			}
			audit, err := json.Marshal(auditRow{At: time.Now().UTC(), Record: c.Record.RecordID(), Deleted: c.Delete})
			if err != nil {
				return err
			}
			at := binary.BigEndian.AppendUint64([]byte(auditPrefix), next.rev)
			if err := txn.Set(binary.BigEndian.AppendUint32(at, uint32(i)), audit); err != nil {
				return err
			}
		}
		return txn.Set([]byte(metaRev), binary.BigEndian.AppendUint64(nil, next.rev))
	})
	if err != nil {
		return 0, fmt.Errorf("writing the state: %w", wordless(err))
	}
	b.state = next
	b.snap.Store(next.snapshot(b.hasher))
	b.notify()
	return next.rev, nil
}

// auditRow says what a revision changed. It has no values.
type auditRow struct {
	At      time.Time `json:"at"`
	Record  string    `json:"record"`
	Deleted bool      `json:"deleted,omitempty"`
}

// Watch implements [Store].
func (b *Badger) Watch(ctx context.Context) <-chan struct{} { return b.watch(ctx) }

// Record implements [Store].
func (b *Badger) Record(_ context.Context, e *Exchange) error { return b.books.record(e) }

// Exchanges implements [Store].
func (b *Badger) Exchanges(ctx context.Context, from, to time.Time, visit func(*Exchange) bool) error {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if b.closed {
		return ErrClosed
	}
	return b.books.read(ctx, from, to, visit)
}

// Exchange implements [Store].
func (b *Badger) Exchange(ctx context.Context, id string) (*Exchange, error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if b.closed {
		return nil, ErrClosed
	}
	return b.books.find(ctx, id)
}

// Used implements [Store].
func (b *Badger) Used(ctx context.Context, visit func(keyID string, day time.Time, u Used) bool) error {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if b.closed {
		return ErrClosed
	}
	return readUsed(ctx, b.telemetry, visit)
}

// UsedSince implements [Store].
func (b *Badger) UsedSince(keyID string, from time.Time) Used {
	return b.books.usage.since(keyID, from)
}

// Close implements [Store].
func (b *Badger) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil
	}
	b.closed = true
	b.books.close()
	return errors.Join(shut(b.telemetry), shut(b.stateDB))
}

var _ Store = (*Badger)(nil)
