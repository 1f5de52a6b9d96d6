package gateway

import (
	"fmt"
	"slices"
	"strings"

	"github.com/nine-router/nine-router/caddymodule/provider"
	"github.com/nine-router/nine-router/store"
)

// A snapshot is all that an exchange asks about the configuration. It is built
// when something changes and never changed itself.
type snapshot struct {
	rev       uint64
	hasher    *store.Hasher
	keys      map[store.KeyHash]string
	strict    map[string]bool    // ids of keys, see [Strict]
	providers map[string]*member // by prefix
	aliases   map[string]string
	combos    map[string][]string
	bare      map[string][]*member // by the model's name without a prefix
	models    []Model
}

// A member is a provider with the connections it has here, best first.
type member struct {
	*provider.Provider
	connections []*store.Connection
}

// offers says that one of the provider's connections may use the model.
func (m *member) offers(c *store.Connection, model string) bool {
	return len(c.Models) == 0 || slices.Contains(c.Models, model)
}

// build makes a snapshot of what is declared and what is stored.
func (o *Options) build(snap *store.Snapshot) (*snapshot, error) {
	s := &snapshot{
		rev:       snap.Rev,
		hasher:    snap.Hasher,
		keys:      keyTable(snap, o.Declared.Keys),
		strict:    strictKeys(snap, o.Strict.Keys),
		providers: make(map[string]*member),
		aliases:   make(map[string]string),
		combos:    make(map[string][]string),
		bare:      make(map[string][]*member),
	}
	if err := o.addKeys(snap); err != nil {
		return nil, err
	}
	members, err := o.members(snap)
	if err != nil {
		return nil, err
	}
	for _, m := range members {
		if err := s.addProvider(m); err != nil {
			return nil, err
		}
	}
	if err := s.addNames(o.Declared.Aliases, snap.Aliases, o.Declared.Combos, snap.Combos); err != nil {
		return nil, err
	}
	return s, s.list(members)
}

// addKeys refuses a key's name that is declared and stored.
func (o *Options) addKeys(snap *store.Snapshot) error {
	for _, d := range o.Declared.Keys {
		for i := range snap.Keys {
			if k := &snap.Keys[i]; k.Name == d.Name && !k.Revoked {
				return inBoth("key", d.Name)
			}
		}
	}
	return nil
}

func inBoth(what, name string) error {
	return fmt.Errorf("%s %q is declared in the configuration and exists in the store as well: remove one of them", what, name)
}

// members returns the providers that can be asked: those with a connection, and
// those that need none and were declared.
func (o *Options) members(snap *store.Snapshot) ([]*member, error) {
	catalogue := o.Catalogue
	for _, n := range o.Declared.Nodes {
		for i := range snap.Nodes {
			if snap.Nodes[i].Name == n.Name {
				return nil, inBoth("provider", n.Name)
			}
		}
	}
	nodes := slices.Concat(o.Declared.Nodes, snap.Nodes)
	made := make([]*provider.Provider, 0, len(nodes))
	for i := range nodes {
		p, err := provider.FromNode(nodes[i])
		if err != nil {
			return nil, fmt.Errorf("provider %q: %w", nodes[i].Name, err)
		}
		made = append(made, p)
	}
	catalogue, err := catalogue.With(made...)
	if err != nil {
		return nil, err
	}
	var members []*member
	byName := make(map[string]*member)
	find := func(name string) (*member, error) {
		if m := byName[name]; m != nil {
			return m, nil
		}
		p, ok := catalogue.Get(name)
		if !ok {
			return nil, fmt.Errorf("there is no provider %q", name)
		}
		m := &member{Provider: p}
		byName[name] = m
		members = append(members, m)
		return m, nil
	}
	type named struct{ provider, name string }
	seen := make(map[named]bool)
	add := func(list []store.Connection) error {
		for i := range list {
			c := &list[i]
			id := named{c.Provider, c.Name}
			if seen[id] {
				return inBoth("connection", c.Provider+"/"+c.Name)
			}
			seen[id] = true
			m, err := find(c.Provider)
			if err != nil {
				return fmt.Errorf("connection %q: %w", c.Name, err)
			}
			if !c.Disabled {
				m.connections = append(m.connections, c)
			}
		}
		return nil
	}
	if err := add(o.Declared.Connections); err != nil {
		return nil, err
	}
	if err := add(snap.Connections); err != nil {
		return nil, err
	}
	for _, p := range made {
		m, _ := find(p.Name)
		if len(m.connections) == 0 && p.Keyless {
			m.connections = []*store.Connection{{ID: "keyless:" + p.Name, Provider: p.Name, Name: "keyless"}}
		}
	}
	for _, m := range members {
		slices.SortStableFunc(m.connections, func(a, b *store.Connection) int { return a.Priority - b.Priority })
	}
	return members, nil
}

func (s *snapshot) addProvider(m *member) error {
	if len(m.connections) == 0 {
		return nil
	}
	prefix := m.ModelPrefix()
	if other := s.providers[prefix]; other != nil {
		return fmt.Errorf("providers %q and %q have the same prefix %q", other.Name, m.Name, prefix)
	}
	s.providers[prefix] = m
	for _, model := range m.known() {
		s.bare[model] = append(s.bare[model], m)
	}
	return nil
}

// known lists the models that the member is known to offer.
func (m *member) known() []string {
	var models []string
	open := false
	for _, c := range m.connections {
		models = append(models, c.Models...)
		open = open || len(c.Models) == 0
	}
	if open {
		models = append(models, m.Models...)
	}
	slices.Sort(models)
	return slices.Compact(models)
}

func (s *snapshot) addNames(aliases, storedAliases []store.Alias, combos, storedCombos []store.Combo) error {
	for _, a := range slices.Concat(aliases, storedAliases) {
		if _, ok := s.aliases[a.Name]; ok {
			return inBoth("alias", a.Name)
		}
		s.aliases[a.Name] = a.Model
	}
	for _, c := range slices.Concat(combos, storedCombos) {
		if _, ok := s.combos[c.Name]; ok {
			return inBoth("combo", c.Name)
		}
		if _, ok := s.aliases[c.Name]; ok {
			return fmt.Errorf("%q is an alias and a combo", c.Name)
		}
		s.combos[c.Name] = c.Models
	}
	return nil
}

// list makes the model list, and finds names that mean themselves.
func (s *snapshot) list(members []*member) error {
	for _, name := range sortedKeys(s.aliases) {
		s.models = append(s.models, Model{ID: name, Owner: "alias", Note: s.aliases[name]})
	}
	for _, name := range sortedKeys(s.combos) {
		s.models = append(s.models, Model{ID: name, Owner: "combo", Note: strings.Join(s.combos[name], ", ")})
	}
	for _, m := range s.models {
		if err := s.acyclic(m.ID, nil); err != nil {
			return err
		}
	}
	for _, m := range members {
		if s.providers[m.ModelPrefix()] != m {
			continue
		}
		for _, model := range m.known() {
			s.models = append(s.models, Model{ID: m.ModelPrefix() + "/" + model, Owner: m.Name})
		}
	}
	return nil
}

func (s *snapshot) acyclic(name string, above []string) error {
	if slices.Contains(above, name) {
		return fmt.Errorf("%q means itself: %s", name, strings.Join(append(above, name), " → "))
	}
	above = append(above, name)
	next := s.combos[name]
	if to, ok := s.aliases[name]; ok {
		next = []string{to}
	}
	for _, n := range next {
		if err := s.acyclic(n, above); err != nil {
			return err
		}
	}
	return nil
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
