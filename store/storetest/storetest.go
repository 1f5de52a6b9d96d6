// Package storetest says what every store promises, as tests that each
// implementation passes.
package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nine-router/nine-router/store"
)

// Run tests the stores that open returns. Opening again with the same function
// gives a store with the same content if durable is set, else an empty one.
func Run(t *testing.T, durable bool, open func(t *testing.T) (first store.Store, again func() store.Store)) {
	ctx := context.Background()
	snapshot := func(t *testing.T, s store.Store) *store.Snapshot {
		t.Helper()
		snap, err := s.Snapshot(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return snap
	}
	apply := func(t *testing.T, s store.Store, c ...store.Change) uint64 {
		t.Helper()
		rev, err := s.Apply(ctx, c...)
		if err != nil {
			t.Fatal(err)
		}
		return rev
	}
	fails := func(t *testing.T, s store.Store, want error, c ...store.Change) {
		t.Helper()
		before := snapshot(t, s).Rev
		if _, err := s.Apply(ctx, c...); !errors.Is(err, want) {
			t.Errorf("got %v, want %v", err, want)
		}
		if snapshot(t, s).Rev != before {
			t.Error("a refused change moved the revision")
		}
	}

	t.Run("what is kept is found by its owner alone, until its day is over", func(t *testing.T) {
		t.Parallel()
		s, again := open(t)
		large := make([]byte, 3<<20)
		for i := range large {
			large[i] = byte(i * i >> 7)
		}
		keep := func(owner, name string, value []byte, until time.Time) {
			t.Helper()
			if err := s.Keep(ctx, owner, name, value, until); err != nil {
				t.Fatal(err)
			}
		}
		tomorrow := time.Now().Add(24 * time.Hour)
		keep("a", "x", []byte("first"), tomorrow)
		keep("a", "x", []byte("second"), tomorrow.Add(48*time.Hour))
		keep("ab", "", []byte("another"), tomorrow)
		keep("a", "large", large, tomorrow)
		keep("a", "nothing", nil, tomorrow)
		if durable {
			s.Close()
			s = again()
		}
		defer s.Close()
		for _, c := range []struct {
			owner, name string
			want        []byte
			err         error
		}{
			{"a", "x", []byte("second"), nil}, {"a", "large", large, nil}, {"a", "nothing", nil, nil}, {"ab", "", []byte("another"), nil},
			{"b", "x", nil, store.ErrNotFound}, {"a", "b", nil, store.ErrNotFound}, {"", "ax", nil, store.ErrNotFound},
		} {
			if got, err := s.Kept(ctx, c.owner, c.name); !errors.Is(err, c.err) || !bytes.Equal(got, c.want) {
				t.Errorf("%s/%s: %d bytes, %v", c.owner, c.name, len(got), err)
			}
		}
		if err := s.Forget(ctx, "b", "x"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("another owner's: %v", err)
		}
		if err := s.Forget(ctx, "a", "x"); err != nil {
			t.Error(err)
		}
		if _, err := s.Kept(ctx, "a", "x"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("forgotten: %v", err)
		}
		if err := s.Keep(ctx, "a", "huge", make([]byte, 64<<20), tomorrow); err == nil {
			t.Error("a value beyond the bound was taken")
		}
	})

	t.Run("state comes back as it was written, secrets too", func(t *testing.T) {
		t.Parallel()
		s, _ := open(t)
		defer s.Close()
		c := &store.Connection{ID: "c1", Provider: "p", Name: "n", Priority: 3, Models: []string{"m"}, APIKey: store.NewSecret("s3cret")}
		n := &store.Node{Name: "node", Format: "openai", BaseURL: "http://localhost/v1", Headers: map[string]string{"A": "b"}}
		rev := apply(t, s, store.Put(c), store.Put(n), store.Put(&store.Alias{Name: "a", Model: "m"}), store.Put(&store.Combo{Name: "co", Models: []string{"x", "y"}}), store.Put(&store.Setting{Name: "s", Value: "v"}))
		snap := snapshot(t, s)
		if snap.Rev != rev || len(snap.Connections) != 1 || len(snap.Nodes) != 1 || len(snap.Aliases) != 1 || len(snap.Combos) != 1 || len(snap.Settings) != 1 {
			t.Fatalf("%+v", snap)
		}
		if got := snap.Connections[0]; got.APIKey.Reveal() != "s3cret" || got.Rev != rev || got.Priority != 3 || got.Models[0] != "m" {
			t.Errorf("%+v", got)
		}
		if fmt.Sprintf("%v %+v %#v", snap.Connections[0].APIKey, snap.Connections[0], snap.Connections[0].APIKey) == "" {
			t.Error("no text")
		}
	})
	t.Run("a change can depend on a revision", func(t *testing.T) {
		t.Parallel()
		s, _ := open(t)
		defer s.Close()
		a := &store.Alias{Name: "a", Model: "1"}
		rev := apply(t, s, store.Put(a).At(0))
		fails(t, s, store.ErrExists, store.Put(a).At(0))
		fails(t, s, store.ErrConflict, store.Put(a).At(rev+7))
		fails(t, s, store.ErrConflict, store.Put(&store.Alias{Name: "b"}).At(rev))
		fails(t, s, store.ErrNotFound, store.Delete(&store.Alias{Name: "b"}))
		if next := apply(t, s, store.Delete(a).At(rev)); next <= rev {
			t.Errorf("revision %d after %d", next, rev)
		}
	})
	t.Run("all changes or none", func(t *testing.T) {
		t.Parallel()
		s, _ := open(t)
		defer s.Close()
		fails(t, s, store.ErrNotFound, store.Put(&store.Alias{Name: "a"}), store.Delete(&store.Alias{Name: "b"}))
		if n := len(snapshot(t, s).Aliases); n != 0 {
			t.Errorf("%d aliases", n)
		}
	})
	t.Run("names are unique", func(t *testing.T) {
		t.Parallel()
		s, _ := open(t)
		defer s.Close()
		apply(t, s, store.Put(&store.Connection{ID: "1", Provider: "p", Name: "n"}), store.Put(&store.Key{ID: "k1", Name: "k"}), store.Put(&store.Alias{Name: "x"}))
		fails(t, s, store.ErrExists, store.Put(&store.Connection{ID: "2", Provider: "p", Name: "n"}))
		fails(t, s, store.ErrExists, store.Put(&store.Key{ID: "k2", Name: "k"}))
		fails(t, s, store.ErrExists, store.Put(&store.Combo{Name: "x", Models: []string{"m"}}))
		apply(t, s, store.Put(&store.Key{ID: "k1", Name: "k", Revoked: true}), store.Put(&store.Key{ID: "k2", Name: "k"}))
		if _, err := s.Apply(ctx, store.Delete(&store.Key{ID: "k2"})); err == nil {
			t.Error("a key was deleted")
		}
	})
	t.Run("a snapshot does not change", func(t *testing.T) {
		t.Parallel()
		s, _ := open(t)
		defer s.Close()
		old := snapshot(t, s)
		apply(t, s, store.Put(&store.Alias{Name: "a"}))
		if len(old.Aliases) != 0 || len(snapshot(t, s).Aliases) != 1 {
			t.Error("the old snapshot changed, or the new one did not")
		}
	})
	t.Run("watchers are told", func(t *testing.T) {
		t.Parallel()
		s, _ := open(t)
		defer s.Close()
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		w := s.Watch(ctx)
		apply(t, s, store.Put(&store.Alias{Name: "a"}))
		select {
		case <-w:
		case <-time.After(5 * time.Second):
			t.Error("nobody told the watcher")
		}
	})
	t.Run("the books keep order, and the last word on an id", func(t *testing.T) {
		t.Parallel()
		s, _ := open(t)
		defer s.Close()
		day := time.Date(2026, 11, 23, 23, 59, 59, 0, time.UTC)
		for i := range 5 {
			e := &store.Exchange{ID: fmt.Sprint("e", i), Began: day.Add(time.Duration(4-i) * time.Second), Input: int64(i), Outcome: store.Finished, Requested: "m", Duration: time.Second, UsageReported: true}
			if err := s.Record(ctx, e); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Record(ctx, &store.Exchange{ID: "e4", Began: day, Input: 44}); err != nil {
			t.Fatal(err)
		}
		var got []int64
		err := s.Exchanges(ctx, day, day.Add(3*time.Second), func(e *store.Exchange) bool {
			got = append(got, e.Input)
			return len(got) < 10
		})
		if err != nil || fmt.Sprint(got) != "[44 3 2]" {
			t.Errorf("%v %v", got, err)
		}
	})
	t.Run("many at once", func(t *testing.T) {
		t.Parallel()
		s, _ := open(t)
		defer s.Close()
		var wg sync.WaitGroup
		for i := range 40 {
			wg.Go(func() {
				if err := s.Record(ctx, &store.Exchange{ID: fmt.Sprint(i), Began: time.Unix(int64(i), 0)}); err != nil {
					t.Error(err)
				}
			})
		}
		for i := range 10 {
			wg.Go(func() {
				if _, err := s.Apply(ctx, store.Put(&store.Alias{Name: fmt.Sprint(i)})); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		n := 0
		if err := s.Exchanges(ctx, time.Unix(0, 0), time.Unix(100, 0), func(*store.Exchange) bool { n++; return true }); err != nil {
			t.Error(err)
		}
		if snap := snapshot(t, s); n != 40 || len(snap.Aliases) != 10 || snap.Rev != 10 {
			t.Errorf("%d exchanges, %d aliases, revision %d", n, len(snap.Aliases), snap.Rev)
		}
	})
	t.Run("after closing", func(t *testing.T) {
		t.Parallel()
		s, again := open(t)
		apply(t, s, store.Put(&store.Connection{ID: "c", Provider: "p", Name: "n", APIKey: store.NewSecret("kept")}))
		h := snapshot(t, s).Hasher.Hash("client")
		if err := s.Record(ctx, &store.Exchange{ID: "e", Began: time.Unix(5, 0)}); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
		if _, err := s.Snapshot(ctx); !errors.Is(err, store.ErrClosed) {
			t.Error(err)
		}
		if _, err := s.Apply(ctx, store.Put(&store.Alias{Name: "a"})); !errors.Is(err, store.ErrClosed) {
			t.Error(err)
		}
		if err := s.Record(ctx, &store.Exchange{ID: "f"}); !errors.Is(err, store.ErrClosed) {
			t.Error(err)
		}
		if !durable {
			return
		}
		s = again()
		defer s.Close()
		snap := snapshot(t, s)
		if len(snap.Connections) != 1 || snap.Connections[0].APIKey.Reveal() != "kept" || snap.Rev != 1 || snap.Hasher.Hash("client") != h {
			t.Errorf("%+v", snap)
		}
		n := 0
		if err := s.Exchanges(ctx, time.Unix(0, 0), time.Unix(9, 0), func(*store.Exchange) bool { n++; return true }); err != nil || n != 1 {
			t.Errorf("%d exchanges, %v", n, err)
		}
	})
}
