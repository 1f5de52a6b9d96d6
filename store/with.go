package store

// With returns the state as the changes would make it, with the errors that
// [Store.Apply] would give. It writes nothing: it is for asking whether the state
// would be of use before it is stored.
func (s *Snapshot) With(changes ...Change) (*Snapshot, error) {
	next, err := s.state().apply(changes)
	if err != nil {
		return nil, err
	}
	return next.snapshot(s.Hasher), nil
}

// state is the tables that the snapshot was taken of.
func (s *Snapshot) state() *state {
	return &state{
		rev:         s.Rev,
		nodes:       table(s.Nodes, func(n *Node) string { return n.Name }),
		connections: table(s.Connections, func(c *Connection) string { return c.ID }),
		aliases:     table(s.Aliases, func(a *Alias) string { return a.Name }),
		combos:      table(s.Combos, func(c *Combo) string { return c.Name }),
		keys:        table(s.Keys, func(k *Key) string { return k.ID }),
		settings:    table(s.Settings, func(v *Setting) string { return v.Name }),
	}
}

// table is the inverse of sorted.
func table[T any](list []T, id func(*T) string) map[string]T {
	t := make(map[string]T, len(list))
	for i := range list {
		t[id(&list[i])] = list[i]
	}
	return t
}
