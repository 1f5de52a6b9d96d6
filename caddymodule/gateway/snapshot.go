package gateway

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/nine-router/nine-router/caddymodule/gateway/schedule"
	"github.com/nine-router/nine-router/caddymodule/provider"
	"github.com/nine-router/nine-router/store"
)

// A snapshot is all that an exchange asks about the configuration. It is built
// when something changes and never changed itself.
type snapshot struct {
	rev       uint64
	hasher    *store.Hasher
	keys      map[store.KeyHash]*key
	providers map[string]*member // by prefix
	byName    map[string]*member
	names     map[string]*meaning // of aliases and combos
	patterns  []pattern
	bare      map[string]*meaning // by the model's name without a prefix
	bracketed map[string]struct{} // models that have brackets in their own names, with the prefix
	models    []Model
}

// A member is a provider with the connections it has here and how it is treated.
type member struct {
	*schedule.Provider
	times  Times
	models map[string]Times // of models that have their own
	found  []string         // models that the provider was seen to list
	header http.Header      // sent with every request
}

// timesOf returns the limits of time for one of the provider's models.
func (m *member) timesOf(model string) *Times {
	if len(m.models) > 0 {
		if t, ok := m.models[model]; ok {
			return &t
		}
	}
	return &m.times
}

// build makes a snapshot of what is declared and what is stored.
func (g *Gateway) build(snap *store.Snapshot) (*snapshot, error) {
	o := &g.o
	s := &snapshot{
		rev: snap.Rev, hasher: snap.Hasher,
		providers: make(map[string]*member), byName: make(map[string]*member),
		names: make(map[string]*meaning), bare: make(map[string]*meaning), bracketed: make(map[string]struct{}),
	}
	var err error
	if s.keys, err = o.keyTable(snap); err != nil {
		return nil, err
	}
	members, err := g.members(snap)
	if err != nil {
		return nil, err
	}
	for _, m := range members {
		if err := s.addProvider(m); err != nil {
			return nil, err
		}
	}
	s.addBare(o, members)
	if err := s.addNames(o, snap); err != nil {
		return nil, err
	}
	s.list(members)
	return s, nil
}

func inBoth(what, name string) error {
	return fmt.Errorf("%s %q is declared in the configuration and exists in the store as well: remove one of them", what, name)
}

// members returns the providers that can be asked: those with a connection, and
// those that need none and were declared.
func (g *Gateway) members(snap *store.Snapshot) ([]*member, error) {
	o := &g.o
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
	catalogue, err := o.Catalogue.With(made...)
	if err != nil {
		return nil, err
	}
	if catalogue, err = catalogue.WithInfo(o.Declared.Models); err != nil {
		return nil, err
	}
	connections, order, err := o.connections(snap, catalogue)
	if err != nil {
		return nil, err
	}
	for _, p := range made {
		if _, ok := connections[p.Name]; !ok && p.Keyless {
			order = append(order, p.Name)
			connections[p.Name] = []*store.Connection{{ID: "keyless:" + p.Name, Provider: p.Name, Name: "keyless"}}
		}
	}
	members := make([]*member, 0, len(order))
	for _, name := range order {
		p, _ := catalogue.Get(name)
		members = append(members, g.member(p, connections[name]))
	}
	return members, nil
}

// connections returns those that are in use by their provider, and the providers
// in the order in which they came.
func (o *Options) connections(snap *store.Snapshot, catalogue *provider.Catalogue) (map[string][]*store.Connection, []string, error) {
	all := make(map[string][]*store.Connection)
	var order []string
	type named struct{ provider, name string }
	seen := make(map[named]bool)
	for _, list := range [...][]store.Connection{o.Declared.Connections, snap.Connections} {
		for i := range list {
			c := &list[i]
			id := named{c.Provider, c.Name}
			if seen[id] {
				return nil, nil, inBoth("connection", c.Provider+"/"+c.Name)
			}
			seen[id] = true
			if _, ok := catalogue.Get(c.Provider); !ok {
				return nil, nil, fmt.Errorf("connection %q: there is no provider %q", c.Name, c.Provider)
			}
			if _, ok := all[c.Provider]; !ok {
				order = append(order, c.Provider)
			}
			if !c.Disabled {
				all[c.Provider] = append(all[c.Provider], c)
			} else {
				all[c.Provider] = append(all[c.Provider], nil...)
			}
		}
	}
	return all, order, nil
}

// member makes a provider what it is here: with its connections and its settings.
func (g *Gateway) member(p *provider.Provider, connections []*store.Connection) *member {
	o := &g.o
	settings := o.Declared.Providers[p.Name]
	m := &member{
		Provider: o.Board.NewProvider(p, connections),
		times:    settings.Times.or(o.Times),
		found:    g.found.of(p.Name),
		header:   settings.Headers,
	}
	if len(settings.ModelTimes) > 0 {
		m.models = make(map[string]Times, len(settings.ModelTimes))
		for model, t := range settings.ModelTimes {
			m.models[model] = t.or(m.times)
		}
	}
	m.Strategy = settings.Strategy
	if m.Strategy == "" {
		m.Strategy = o.Strategy
	}
	m.Sticky, m.Limit, m.Queue, m.QueueTime = settings.Sticky, settings.MaxConcurrent, settings.Queue, settings.QueueTime
	return m
}

func (s *snapshot) addProvider(m *member) error {
	if len(m.Connections()) == 0 {
		return nil
	}
	prefix := m.ModelPrefix()
	if other := s.providers[prefix]; other != nil {
		return fmt.Errorf("providers %q and %q have the same prefix %q", other.Name, m.Name, prefix)
	}
	s.providers[prefix], s.byName[m.Name] = m, m
	return nil
}

// known lists the models that the member is known to offer: by its connections'
// lists, and for those that have none by its own or by what it was seen to list.
func (m *member) known() []string {
	var models []string
	open := false
	for _, c := range m.Connections() {
		models = append(models, c.Models...)
		open = open || len(c.Models) == 0
	}
	if open {
		models = append(models, m.Models...)
		if len(m.Models) == 0 {
			models = append(models, m.found...)
		}
	}
	slices.Sort(models)
	return slices.Compact(models)
}

// plan is a target of the member's as it is asked for.
func (m *member) plan(model string) *schedule.Plan {
	p := &schedule.Plan{Target: schedule.Target{Provider: m.Provider, Model: model}}
	if info, ok := m.Model(model); ok && info.Price != nil {
		// What an agent's turn is made of, roughly: much input, little output.
		p.Price = float64(4*info.Price.Input + info.Price.Output)
	}
	return p
}

// addBare finds who offers a model that is named without a provider.
func (s *snapshot) addBare(o *Options, members []*member) {
	offers := make(map[string][]*schedule.Plan)
	for _, m := range members {
		if s.providers[m.ModelPrefix()] != m {
			continue
		}
		for _, model := range m.known() {
			offers[model] = append(offers[model], m.plan(model))
			if strings.HasSuffix(model, "]") {
				s.bracketed[m.ModelPrefix()+"/"+model] = struct{}{}
			}
		}
	}
	for model, plans := range offers {
		plan := plans[0]
		if len(plans) > 1 {
			plan = o.Board.NewCombo("bare/"+model, o.Strategy, 0, plans, nil)
		}
		s.bare[model] = &meaning{plan: plan}
	}
}

// addNames gives aliases and combos their meaning.
func (s *snapshot) addNames(o *Options, snap *store.Snapshot) error {
	b := &names{snapshot: s, board: o.Board, strategy: o.Strategy, aliases: map[string]string{}, combos: map[string]*store.Combo{}}
	for _, list := range [...][]store.Alias{o.Declared.Aliases, snap.Aliases} {
		for _, a := range list {
			if _, ok := b.aliases[a.Name]; ok {
				return inBoth("alias", a.Name)
			}
			b.aliases[a.Name] = a.Model
		}
	}
	for _, list := range [...][]store.Combo{o.Declared.Combos, snap.Combos} {
		for i := range list {
			c := &list[i]
			if _, ok := b.combos[c.Name]; ok {
				return inBoth("combo", c.Name)
			}
			if _, ok := b.aliases[c.Name]; ok {
				return fmt.Errorf("%q is an alias and a combo", c.Name)
			}
			if strings.Contains(c.Name, "*") {
				return fmt.Errorf("combo %q: a pattern is the name of an alias, which may stand for a combo", c.Name)
			}
			if err := schedule.Strategy(c.Strategy).Check(); err != nil {
				return fmt.Errorf("combo %q: %w", c.Name, err)
			}
			b.combos[c.Name] = c
		}
	}
	return b.mean()
}

// list makes the model list.
func (s *snapshot) list(members []*member) {
	for _, name := range slices.Sorted(maps.Keys(s.names)) {
		s.models = append(s.models, Model{ID: name, Owner: s.names[name].kind, Note: s.names[name].note})
	}
	for _, m := range members {
		if s.providers[m.ModelPrefix()] != m {
			continue
		}
		for _, model := range m.known() {
			s.models = append(s.models, Model{ID: m.ModelPrefix() + "/" + model, Owner: m.Name})
		}
	}
}

// or returns the times with those of another where there are none.
func (t Times) or(other Times) Times {
	for _, v := range [...]struct{ to, from *time.Duration }{
		{&t.Connect, &other.Connect}, {&t.FirstContent, &other.FirstContent}, {&t.Silence, &other.Silence},
		{&t.Exchange, &other.Exchange}, {&t.KeepAlive, &other.KeepAlive},
	} {
		if *v.to == 0 {
			*v.to = *v.from
		}
	}
	return t
}
