// Package schedule decides who is asked next. A plan is what a model's name
// resolves to: a tree of combos whose leaves are targets, a provider with one of
// its models. A pass walks a plan once, in the order of its strategies, and takes
// a place at one candidate after the other: those that are set aside, that are
// being probed or that are full are passed over, and nobody comes twice; but a pass
// that has begun goes on over the connections of a target that is set aside meanwhile,
// because those that are left may be well. The board
// holds what lasts longer than a configuration: who is set aside until when, how
// many exchanges everybody has, how fast they were.
//
// A pass costs the same however many connections there are. The package knows no
// HTTP and takes the time from its callers.
package schedule

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/nine-router/nine-router/caddymodule/provider"
	"github.com/nine-router/nine-router/store"
)

// A Strategy is how those that are equally preferred are ordered: the connections
// of a provider that have the same priority, or the members of a combo.
type Strategy string

// The strategies.
const (
	Priority   Strategy = "priority"    // as they are listed; the default
	RoundRobin Strategy = "round_robin" // in turn, each for as many exchanges as are sticky
	Weighted   Strategy = "weighted"    // by chance, in proportion to their weights
	LeastBusy  Strategy = "least_busy"  // the one with the fewest exchanges under way
	Fastest    Strategy = "fastest"     // the one whose first content came soonest of late
	Cheapest   Strategy = "cheapest"    // the model with the lowest price
	MostQuota  Strategy = "most_quota"  // the one with the largest part of its quota left
)

// Strategies lists the strategies.
func Strategies() []Strategy {
	return []Strategy{Priority, RoundRobin, Weighted, LeastBusy, Fastest, Cheapest, MostQuota}
}

// Check refuses what is no strategy. Empty is the default.
func (s Strategy) Check() error {
	if s == "" || slices.Contains(Strategies(), s) {
		return nil
	}
	return fmt.Errorf("there is no strategy %q; there are: %v", s, Strategies())
}

// A Provider is a provider with the connections it has here.
type Provider struct {
	*provider.Provider
	Strategy Strategy
	Sticky   int // exchanges before it is the next one's turn; 0 is 1
	Limit    int // exchanges at a time, 0 is any number

	// Queue is how many exchanges may wait for a place, and QueueTime for how long.
	// 0 are the defaults.
	Queue     int
	QueueTime time.Duration

	standing    *Standing
	open        []tier            // of connections that offer whatever is asked for
	byModel     map[string][]tier // of models that some connection lists
	connections map[string]*Connection
	list        []*Connection
	turn        *turn
}

// A Connection is one credential at one provider.
type Connection struct {
	*store.Connection
	standing *Standing
}

// A Target is a provider and its own name for a model.
type Target struct {
	Provider *Provider
	Model    string
}

// A Candidate is a target with one connection.
type Candidate struct {
	Target
	Connection *Connection
}

// tier is connections of equal priority.
type tier struct {
	connections []*Connection
	weights     []int // summed up
}

// NewProvider returns a provider with its connections, which become one with what
// the board knows of them.
func (b *Board) NewProvider(p *provider.Provider, connections []*store.Connection) *Provider {
	out := &Provider{
		Provider: p, standing: b.standing(Subject{Provider: p.Name}), turn: b.turnOf("provider/" + p.Name),
		connections: make(map[string]*Connection, len(connections)), byModel: map[string][]tier{},
	}
	sorted := slices.Clone(connections)
	slices.SortStableFunc(sorted, func(a, b *store.Connection) int { return a.Priority - b.Priority })
	models := map[string]bool{}
	for _, c := range sorted {
		conn := &Connection{Connection: c, standing: b.standing(Subject{Provider: p.Name, Connection: c.ID})}
		out.list = append(out.list, conn)
		out.connections[c.ID] = conn
		for _, m := range c.Models {
			models[m] = true
		}
	}
	out.open = tiers(out.list, "")
	for m := range models {
		out.byModel[m] = tiers(out.list, m)
	}
	return out
}

// Connections lists the provider's connections, best first.
func (p *Provider) Connections() []*Connection { return p.list }

// Connection returns the connection with the id, or nil.
func (p *Provider) Connection(id string) *Connection { return p.connections[id] }

// Offers says that one of the connections may be asked for the model.
func (p *Provider) Offers(model string) bool { return len(p.offering(model)) > 0 }

func (p *Provider) offering(model string) []tier {
	if t, ok := p.byModel[model]; ok {
		return t
	}
	return p.open
}

// offers says that this connection may be asked for the model.
func (c *Connection) offers(model string) bool {
	return len(c.Models) == 0 || slices.Contains(c.Models, model)
}

// tiers groups those that offer the model, "" being one that nobody lists.
func tiers(list []*Connection, model string) (all []tier) {
	for _, c := range list {
		if !c.offers(model) {
			continue
		}
		if len(all) == 0 || all[len(all)-1].connections[0].Priority != c.Priority {
			all = append(all, tier{})
		}
		t := &all[len(all)-1]
		t.connections = append(t.connections, c)
		sum := max(c.Weight, 0)
		if c.Weight == 0 {
			sum = 1
		}
		if n := len(t.weights); n > 0 {
			sum += t.weights[n-1]
		}
		t.weights = append(t.weights, sum)
	}
	return all
}

// A Plan is what a name resolves to: a target, or a combo of plans.
type Plan struct {
	Target Target  // of a leaf
	Price  float64 // of the target, 0 if it is not known

	Members  []*Plan // of a combo
	Weights  []int   // of the members, summed up; nil is all alike
	Strategy Strategy
	Sticky   int
	Within   time.Duration // of all attempts at members together; 0 is no limit
	bounded  bool          // it or a plan within it has such a limit
	turn     *turn
}

// NewCombo returns a plan of plans. Its turn in round_robin goes by its name.
// A weight of 0 counts as 1.
func (b *Board) NewCombo(name string, s Strategy, sticky int, members []*Plan, weights []int) *Plan {
	p := &Plan{Members: members, Strategy: s, Sticky: sticky, turn: b.turnOf("combo/" + name)}
	sum := 0
	for i, m := range members {
		p.bounded = p.bounded || m.bounded
		w := 1
		if i < len(weights) && weights[i] > 0 {
			w = weights[i]
		}
		sum += w
		p.Weights = append(p.Weights, sum)
	}
	return p
}

// Limit bounds the time of all attempts at the plan's members together.
func (p *Plan) Limit(d time.Duration) {
	p.Within, p.bounded = d, p.bounded || d > 0
}

// Targets calls visit for all targets of the plan.
func (p *Plan) Targets(visit func(*Plan) bool) bool {
	if len(p.Members) == 0 {
		return p.Target.Provider == nil || visit(p)
	}
	for _, m := range p.Members {
		if !m.Targets(visit) {
			return false
		}
	}
	return true
}

// Choice says that the plan may have more than one candidate.
func (p *Plan) Choice() bool {
	n := 0
	return !p.Targets(func(l *Plan) bool {
		for _, t := range l.Target.Provider.offering(l.Target.Model) {
			n += len(t.connections)
		}
		return n < 2
	})
}

// Has says that the plan may come to the target by the connection.
func (p *Plan) Has(t Target, c *Connection) bool {
	return !p.Targets(func(l *Plan) bool { return l.Target != t || !c.offers(t.Model) })
}

// Ranked lists the connections that may be asked for the model in the order in which
// they would be asked now, by the strategies that compare them; by the others as they
// are listed, because asking would take a turn.
func (p *Provider) Ranked(model string) (list []*Connection) {
	worse := p.Strategy.worse()
	for _, t := range p.offering(model) {
		tier := slices.Clone(t.connections)
		if worse != nil {
			slices.SortStableFunc(tier, func(a, b *Connection) int { return cmp.Compare(worse(a.standing), worse(b.standing)) })
		}
		list = append(list, tier...)
	}
	return list
}

// Quota is the part of the connection's quota that is left by the last reading, nil
// if there was none.
func (c *Connection) Quota() *float64 {
	bits := c.standing.quota.Load()
	if bits == 0 {
		return nil
	}
	left := math.Float64frombits(bits)
	return &left
}

// Running is how many exchanges the connection has under way.
func (c *Connection) Running() int64 { return c.standing.Running() }
