package store_test

import (
	"errors"
	"reflect"
	"testing"

	"github.com/nine-router/nine-router/store"
)

// What With foretells is what Apply then does, and foretelling changes nothing.
func TestWithForetellsApply(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := store.NewMemory()
	if _, err := s.Apply(ctx,
		store.Put(&store.Node{Name: "n", BaseURL: "http://localhost/v1"}), store.Put(&store.Connection{ID: "c", Provider: "n", Name: "one"}),
		store.Put(&store.Alias{Name: "a", Model: "n/m"}), store.Put(&store.Combo{Name: "b", Models: []string{"a"}}),
		store.Put(&store.Key{ID: "k", Name: "laptop"}), store.Put(&store.Setting{Name: "s", Value: "v"}),
	); err != nil {
		t.Fatal(err)
	}
	before, err := s.Snapshot(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name    string
		changes []store.Change
		want    error
	}{
		{"a name that is taken", []store.Change{store.Put(&store.Alias{Name: "b"})}, store.ErrExists},
		{"a revision that is gone", []store.Change{store.Put(&store.Combo{Name: "b"}).At(99)}, store.ErrConflict},
		{"a record that is not there", []store.Change{store.Delete(&store.Alias{Name: "x"})}, store.ErrNotFound},
		{"one of each", []store.Change{store.Delete(&store.Alias{Name: "a"}), store.Put(&store.Combo{Name: "b", Models: []string{"n/m"}}),
			store.Put(&store.Key{ID: "k", Name: "laptop", Revoked: true}), store.Put(&store.Connection{ID: "d", Provider: "n", Name: "two"})}, nil},
	} {
		would, err := before.With(test.changes...)
		if !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", test.name, err, test.want)
		}
		if now, _ := s.Snapshot(ctx); !reflect.DeepEqual(now, before) {
			t.Errorf("%s: foretelling changed the store", test.name)
		}
		if _, err := s.Apply(ctx, test.changes...); !errors.Is(err, test.want) {
			t.Errorf("%s: Apply gives %v, want %v", test.name, err, test.want)
		}
		if now, _ := s.Snapshot(ctx); err == nil && !reflect.DeepEqual(now, would) {
			t.Errorf("%s: the store holds\n%+v, foretold was\n%+v", test.name, now, would)
		}
	}
}
