package schedule

import (
	"cmp"
	"math"
	"slices"
	"sort"
	"time"
)

// A cursor is the place in one plan of a pass.
type cursor struct {
	plan  *Plan
	until time.Time // when its time is over; zero is never
	order []int     // of the members, or of a sample of the tier's connections
	at    int       // in order

	tiers []tier // of a leaf; the first is the one that is being gone over
	begun bool
	draws int // by weight, until all are gone over in turn
	start int // where going over all begins
	seen  int // how many were gone over
}

func (c *cursor) leaf() bool { return len(c.plan.Members) == 0 }

// member returns the next member of a combo, or nil.
func (c *cursor) member() *Plan {
	if c.at == len(c.plan.Members) {
		return nil
	}
	i := c.at
	if c.order != nil {
		i = c.order[i]
	}
	c.at++
	return c.plan.Members[i]
}

// A sample bounds what a strategy that compares looks at: of more connections the
// best of so many, by chance, is good enough, and a pass costs the same.
const sample = 32

// maxDraws bounds how often chance may hit one that was tried already.
const maxDraws = 8

// connection returns the next connection of a leaf, or nil. One may come twice.
func (c *cursor) connection(p *Pass) *Connection {
	for len(c.tiers) > 0 {
		t := &c.tiers[0]
		n := len(t.connections)
		if !c.begun {
			c.begin(p.board, t)
		}
		if c.draws > 0 {
			c.draws--
			return t.connections[draw(t.weights, p.board.rand())]
		}
		if c.at < len(c.order) {
			c.at++
			return t.connections[c.order[c.at-1]]
		}
		if c.seen < n {
			c.seen++
			return t.connections[(c.start+c.seen-1)%n]
		}
		c.tiers, c.begun = c.tiers[1:], false
	}
	return nil
}

// begin decides where to begin in a tier.
func (c *cursor) begin(b *Board, t *tier) {
	c.begun, c.order, c.at, c.draws, c.start, c.seen = true, nil, 0, 0, 0, 0
	n := len(t.connections)
	if n == 1 {
		return
	}
	prov := c.plan.Target.Provider
	switch prov.Strategy {
	case RoundRobin:
		c.start = prov.turn.next(prov.Sticky, n)
		return
	case Weighted:
		c.draws = maxDraws
		c.start = int(b.rand() * float64(n))
		return
	}
	worse := prov.Strategy.worse()
	if worse == nil {
		return
	}
	c.start = int(b.rand() * float64(n))
	c.order = make([]int, min(n, sample))
	for i := range c.order {
		c.order[i] = (c.start + i) % n
		if n > sample {
			c.order[i] = int(b.rand() * float64(n))
		}
	}
	slices.SortStableFunc(c.order, func(i, j int) int {
		return cmp.Compare(worse(t.connections[i].standing), worse(t.connections[j].standing))
	})
}

// worse returns by what the strategy compares connections, nil if it does not.
func (s Strategy) worse() func(*Standing) float64 {
	switch s {
	case LeastBusy:
		return busy
	case Fastest:
		return slowness
	case MostQuota:
		return spent
	}
	return nil
}

// next is whose turn it is of n, each for sticky times.
func (t *turn) next(sticky, n int) int {
	return int((t.n.Add(1) - 1) / uint64(max(sticky, 1)) % uint64(n))
}

// draw returns an index by chance, in proportion to the weights.
func draw(sums []int, chance float64) int {
	at := int(chance * float64(sums[len(sums)-1]))
	return min(sort.SearchInts(sums, at+1), len(sums)-1)
}

func busy(s *Standing) float64 { return float64(s.Running()) }

// slowness prefers those that were never tried: otherwise nothing would ever be
// known of them.
func slowness(s *Standing) float64 { return float64(s.Pace()) }

// spent takes those of whose quota nothing is known for half spent.
func spent(s *Standing) float64 {
	if bits := s.quota.Load(); bits != 0 {
		return 1 - math.Float64frombits(bits)
	}
	return 0.5
}

// order returns the order of a combo's members, nil if it is that of the list.
func (p *Plan) order(b *Board) []int {
	n := len(p.Members)
	if n < 2 || p.Strategy == "" || p.Strategy == Priority {
		return nil
	}
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	var worse func(*Plan) float64
	switch p.Strategy {
	case RoundRobin:
		start := p.turn.next(p.Sticky, n)
		for i := range order {
			order[i] = (start + i) % n
		}
		return order
	case Weighted:
		p.shuffle(order, b)
		return order
	case LeastBusy:
		worse = func(p *Plan) float64 {
			return p.best(func(l *Plan) float64 { return busy(l.Target.Provider.standing) })
		}
	case Fastest:
		worse = func(p *Plan) float64 {
			return p.best(func(l *Plan) float64 {
				if s := b.known(Subject{Provider: l.Target.Provider.Name, Model: l.Target.Model}); s != nil {
					return slowness(s)
				}
				return 0
			})
		}
	case Cheapest:
		worse = func(p *Plan) float64 {
			return p.best(func(l *Plan) float64 {
				if l.Price <= 0 {
					return math.MaxFloat64 // nobody knows
				}
				return l.Price
			})
		}
	case MostQuota:
		worse = func(p *Plan) float64 {
			return p.best(func(l *Plan) float64 {
				best := 1.0
				for i, c := range l.Target.Provider.list {
					if i == sample {
						break
					}
					best = min(best, spent(c.standing))
				}
				return best
			})
		}
	}
	scores := make([]float64, n)
	for i, m := range p.Members {
		scores[i] = worse(m)
	}
	slices.SortStableFunc(order, func(i, j int) int { return cmp.Compare(scores[i], scores[j]) })
	return order
}

// Ranked lists a combo's members in the order in which they would be asked now, by
// the strategies that compare them; by the others as they are listed, because asking
// would take a turn.
func (p *Plan) Ranked(b *Board) []*Plan {
	if p.Strategy == RoundRobin || p.Strategy == Weighted {
		return p.Members
	}
	order := p.order(b)
	if order == nil {
		return p.Members
	}
	list := make([]*Plan, len(order))
	for i, at := range order {
		list[i] = p.Members[at]
	}
	return list
}

// shuffle draws one place after the other among the members that are left.
func (p *Plan) shuffle(order []int, b *Board) {
	weight := func(i int) int {
		if i == 0 {
			return p.Weights[0]
		}
		return p.Weights[i] - p.Weights[i-1]
	}
	sums := make([]int, 0, len(order))
	for i := range order {
		sums = sums[:0]
		sum := 0
		for _, m := range order[i:] {
			sum += weight(m)
			sums = append(sums, sum)
		}
		j := i + draw(sums, b.rand())
		order[i], order[j] = order[j], order[i]
	}
}

// best is the lowest score of the plan's leaves.
func (p *Plan) best(score func(*Plan) float64) float64 {
	best := math.MaxFloat64
	p.Targets(func(l *Plan) bool {
		best = min(best, score(l))
		return true
	})
	return best
}
