// Package store holds the gateway's durable state and its books.
//
// State is what people configure and what must never be lost: nodes,
// connections with their secrets, aliases, combos, keys, settings. It is small,
// so a reader takes all of it at once as a [Snapshot] and never asks again until
// it is told that something changed; a write is acknowledged when it is on disk.
// The books are one [Exchange] for each client request; recording one is
// acknowledged when it survives the end of the process.
//
// [Store] is the narrow interface that every implementation meets; the suite in
// storetest says what it promises. Nothing outside an implementation knows what
// lies beneath it, and nothing assumes that this process is the only writer.
package store

import (
	"context"
	"errors"
	"time"
)

// Errors that callers tell apart.
var (
	// ErrClosed is returned by every method after Close.
	ErrClosed = errors.New("store is closed")
	// ErrConflict says that a record is not at the revision that was expected.
	ErrConflict = errors.New("record was changed by someone else")
	// ErrExists says that another record has the same unique name.
	ErrExists = errors.New("name is taken")
	// ErrNotFound says that there is no such record.
	ErrNotFound = errors.New("no such record")
	// ErrLocked says that another process has the store open.
	ErrLocked = errors.New("store is in use by another process")
	// ErrWrongKey says that the secrets were sealed with another encryption key.
	ErrWrongKey = errors.New("encryption key does not fit the store")
	// ErrNewerSchema says that a later version of the program wrote the store.
	ErrNewerSchema = errors.New("store was written by a newer version")
)

// A Store keeps state and books. It is safe for concurrent use.
type Store interface {
	// Snapshot returns all of the state at one revision. Callers share it and
	// must not change it. It does not touch the disk.
	Snapshot(ctx context.Context) (*Snapshot, error)

	// Apply carries out all changes or none, and returns the revision that they
	// have in common. It returns when they are on disk.
	Apply(ctx context.Context, changes ...Change) (rev uint64, err error)

	// Watch returns a channel that receives after the state has changed, until
	// ctx ends. It is a hint: several changes may give one value, and a reader
	// takes a new Snapshot to see what is true.
	Watch(ctx context.Context) <-chan struct{}

	// Record writes one exchange into the books. It returns when the record
	// survives a kill of the process; a power cut may lose the last second.
	// Recording the same id with the same beginning again replaces the record. What
	// its key has used counts from then on, and agrees with the books also after a
	// kill; what a replaced record counted is taken out.
	Record(ctx context.Context, e *Exchange) error

	// Exchanges calls visit for the exchanges that began in [from, to), oldest
	// first, until visit returns false. The record is valid only in the call, and
	// has no trace.
	Exchanges(ctx context.Context, from, to time.Time, visit func(*Exchange) bool) error

	// Exchange returns the exchange with its trace, or ErrNotFound. It finds ids
	// that NewID made within a minute of the beginning of their exchange.
	Exchange(ctx context.Context, id string) (*Exchange, error)

	// Used calls visit for what each key used on each UTC day on which it was used,
	// oldest day first, until visit returns false. Exchanges without a key count
	// under the empty id.
	Used(ctx context.Context, visit func(keyID string, day time.Time, u Used) bool) error

	// UsedSince returns what a key has used since the beginning of the UTC day of
	// from; the zero time asks for all it ever used, and so does a day that is more
	// than 40 days gone. It costs less than a microsecond and touches no disk.
	UsedSince(keyID string, from time.Time) Used

	// Keep keeps a value for its owner under a name, over an older one, until the
	// day of the given time has passed, or until there is no room for it: what is
	// kept is a convenience that may be gone at any time. It returns when the
	// value survives a kill of the process.
	Keep(ctx context.Context, owner, name string, value []byte, until time.Time) error

	// Kept returns what was kept, or ErrNotFound. Nobody finds what another
	// owner keeps.
	Kept(ctx context.Context, owner, name string) ([]byte, error)

	// Forget removes what was kept, or returns ErrNotFound.
	Forget(ctx context.Context, owner, name string) error

	// Close writes what is pending and gives the store up. Calls that are
	// under way finish first. A second call returns nil.
	Close() error
}

// A Change is one write of [Store.Apply]; make it with [Put] or [Delete].
type Change struct {
	Record Record
	Delete bool
	// IfRev is the revision that the record must be at: 0 that it must not exist
	// yet. Nil does not ask.
	IfRev *uint64
}

// Put writes the record, over an older one with the same id. The record's Rev is
// set by the store.
func Put(r Record) Change { return Change{Record: r} }

// Delete removes the record with the id of r; only its id is looked at. Keys
// cannot be deleted, only revoked.
func Delete(r Record) Change { return Change{Record: r, Delete: true} }

// At makes the change depend on the record being at rev.
func (c Change) At(rev uint64) Change {
	c.IfRev = &rev
	return c
}

// A Record is an entity of the state: *Node, *Connection, *Alias, *Combo, *Key
// or *Setting.
type Record interface {
	// RecordID is the record's table and id, such as "node/groq".
	RecordID() string
}

// A Snapshot is all of the state at one revision, each list ordered by id.
type Snapshot struct {
	Rev         uint64
	Nodes       []Node
	Connections []Connection
	Aliases     []Alias
	Combos      []Combo
	Keys        []Key
	Settings    []Setting

	// Hasher hashes keys as those of this store are hashed.
	Hasher *Hasher
}
