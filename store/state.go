package store

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
)

// state is the tables of a store in memory. It is not changed once it is
// published: apply makes a new one.
type state struct {
	rev         uint64
	nodes       map[string]Node
	connections map[string]Connection
	aliases     map[string]Alias
	combos      map[string]Combo
	keys        map[string]Key
	settings    map[string]Setting
}

func newState() *state {
	return &state{
		nodes: map[string]Node{}, connections: map[string]Connection{}, aliases: map[string]Alias{},
		combos: map[string]Combo{}, keys: map[string]Key{}, settings: map[string]Setting{},
	}
}

// apply returns the state after the changes, which all carry the new revision.
func (s *state) apply(changes []Change) (*state, error) {
	next := &state{
		rev:   s.rev + 1,
		nodes: maps.Clone(s.nodes), connections: maps.Clone(s.connections), aliases: maps.Clone(s.aliases),
		combos: maps.Clone(s.combos), keys: maps.Clone(s.keys), settings: maps.Clone(s.settings),
	}
	for _, c := range changes {
		if err := next.change(c); err != nil {
			return nil, fmt.Errorf("%s: %w", c.Record.RecordID(), err)
		}
	}
	return next, next.unique()
}

func (s *state) change(c Change) error {
	switch r := c.Record.(type) {
	case *Node:
		return change(s.nodes, r.Name, c, *r, func(v Node) uint64 { return v.Rev }, func(v *Node) { v.Rev = s.rev }, checkNode(r))
	case *Connection:
		return change(s.connections, r.ID, c, *r, func(v Connection) uint64 { return v.Rev }, func(v *Connection) { v.Rev = s.rev }, checkConnection(r))
	case *Alias:
		return change(s.aliases, r.Name, c, *r, func(v Alias) uint64 { return v.Rev }, func(v *Alias) { v.Rev = s.rev }, bounded(maxText, r.Model))
	case *Combo:
		return change(s.combos, r.Name, c, *r, func(v Combo) uint64 { return v.Rev }, func(v *Combo) { v.Rev = s.rev }, checkCombo(r))
	case *Key:
		if c.Delete {
			return fmt.Errorf("a key is revoked, not deleted")
		}
		return change(s.keys, r.ID, c, *r, func(v Key) uint64 { return v.Rev }, func(v *Key) { v.Rev = s.rev }, checkKey(r))
	case *Setting:
		return change(s.settings, r.Name, c, *r, func(v Setting) uint64 { return v.Rev }, func(v *Setting) { v.Rev = s.rev }, bounded(maxText, r.Value))
	}
	return fmt.Errorf("not a record of this store")
}

func change[T any](table map[string]T, id string, c Change, r T, rev func(T) uint64, stamp func(*T), bad error) error {
	old, exists := table[id]
	if c.IfRev != nil {
		if *c.IfRev == 0 && exists {
			return ErrExists
		}
		if *c.IfRev != 0 && (!exists || rev(old) != *c.IfRev) {
			return ErrConflict
		}
	}
	if c.Delete {
		if !exists {
			return ErrNotFound
		}
		delete(table, id)
		return nil
	}
	if id == "" {
		return fmt.Errorf("a record needs an id")
	}
	if bad == nil {
		bad = bounded(maxName, id)
	}
	if bad != nil {
		return bad
	}
	stamp(&r)
	table[id] = r
	return nil
}

// unique checks the names that must differ.
func (s *state) unique() error {
	connections := map[[2]string]bool{}
	for _, c := range s.connections {
		name := [2]string{c.Provider, c.Name}
		if connections[name] {
			return fmt.Errorf("connection %q at %q: %w", c.Name, c.Provider, ErrExists)
		}
		connections[name] = true
	}
	keys := map[string]bool{}
	for _, k := range s.keys {
		if k.Revoked {
			continue
		}
		if keys[k.Name] {
			return fmt.Errorf("key %q: %w", k.Name, ErrExists)
		}
		keys[k.Name] = true
	}
	for name := range s.combos {
		if _, ok := s.aliases[name]; ok {
			return fmt.Errorf("combo %q is an alias too: %w", name, ErrExists)
		}
	}
	return nil
}

func (s *state) snapshot(h *Hasher) *Snapshot {
	return &Snapshot{
		Rev: s.rev, Hasher: h,
		Nodes: sorted(s.nodes), Connections: sorted(s.connections), Aliases: sorted(s.aliases),
		Combos: sorted(s.combos), Keys: sorted(s.keys), Settings: sorted(s.settings),
	}
}

func sorted[T any](table map[string]T) []T {
	list := make([]T, 0, len(table))
	for _, id := range slices.SortedFunc(maps.Keys(table), cmp.Compare[string]) {
		list = append(list, table[id])
	}
	return list
}
