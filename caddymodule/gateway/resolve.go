package gateway

import (
	"cmp"
	"fmt"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/nine-router/nine-router/caddymodule/gateway/schedule"
	"github.com/nine-router/nine-router/store"
	"github.com/nine-router/nine-router/translate"
)

// A meaning is what a name resolves to.
type meaning struct {
	plan     *schedule.Plan
	by       string        // the alias, combo or pattern that it was found by, if it was one
	kind     string        // "alias" or "combo"
	note     string        // what it stands for, for people
	deadline time.Duration // of all attempts together, until the first content; 0 is none
}

// A pattern is an alias whose name has a *, which stands for any text without a
// slash. Where its target has one too, that is the same text.
type pattern struct {
	text   string
	target string
}

// resolve returns what a name means: an alias or a combo by its name, a pattern
// that has a slash, a model by its provider's prefix, any other pattern, or a bare
// model name that some connection is known to offer. What stands in brackets at
// the end, such as Claude Code's [1m], is between the client and the model: it is
// looked at only if the name with it means something itself.
func (s *snapshot) resolve(name string) *meaning {
	if m := s.lookUp(name, true); m != nil {
		return m
	}
	// Ollama's clients say so of what has no other tag:
	// https://github.com/ollama/ollama/blob/main/docs/api.md#model-names.
	if plain, ok := strings.CutSuffix(name, ":latest"); ok {
		return s.lookUp(plain, true)
	}
	return nil
}

func (s *snapshot) lookUp(name string, patterns bool) *meaning {
	if m := s.names[name]; m != nil {
		return m
	}
	prefix, model, slashed := strings.Cut(name, "/")
	if i := strings.LastIndexByte(name, '['); i > 0 && strings.HasSuffix(name, "]") && s.bare[name] == nil {
		if _, own := s.bracketed[name]; !own {
			return s.lookUp(name[:i], patterns)
		}
	}
	if patterns {
		if m := s.match(name); m != nil {
			return m
		}
	}
	if slashed && model != "" {
		if m := s.providers[prefix]; m != nil && m.Offers(model) {
			return &meaning{plan: m.plan(model)}
		}
	}
	return s.bare[name]
}

// match finds the pattern with the longest text that fits the name.
func (s *snapshot) match(name string) *meaning {
	for _, p := range s.patterns {
		if ok, _ := path.Match(p.text, name); !ok {
			continue
		}
		target := p.target
		if strings.Contains(target, "*") {
			before, after, _ := strings.Cut(p.text, "*")
			target = strings.ReplaceAll(target, "*", name[len(before):len(name)-len(after)])
		}
		if m := s.lookUp(target, false); m != nil {
			found := *m
			found.by, found.kind = p.text, "alias"
			return &found
		}
	}
	return nil
}

// names builds the meanings of aliases and combos out of each other.
type names struct {
	*snapshot
	board    *schedule.Board
	strategy schedule.Strategy
	aliases  map[string]string
	combos   map[string]*store.Combo
}

// mean gives all names their meaning. It fails if one means itself.
func (b *names) mean() error {
	for _, name := range sortedKeys(b.aliases) {
		if n := strings.Count(name, "*"); n > 0 {
			if n > 1 || strings.ContainsAny(name, `?[\`) {
				return fmt.Errorf("alias %q: a pattern has one * and nothing else that is special", name)
			}
			b.patterns = append(b.patterns, pattern{name, b.aliases[name]})
			continue
		}
		if _, err := b.name(name, nil); err != nil {
			return err
		}
	}
	// The more a pattern says, the sooner it is looked at.
	slices.SortFunc(b.patterns, func(p, q pattern) int {
		return cmp.Or(len(q.text)-len(p.text), strings.Compare(p.text, q.text))
	})
	for _, name := range sortedKeys(b.combos) {
		if _, err := b.name(name, nil); err != nil {
			return err
		}
	}
	return nil
}

// name gives one alias or combo its meaning.
func (b *names) name(name string, above []string) (*meaning, error) {
	if m := b.snapshot.names[name]; m != nil {
		return m, nil
	}
	if slices.Contains(above, name) {
		return nil, fmt.Errorf("%q means itself: %s", name, strings.Join(append(above, name), " → "))
	}
	above = append(slices.Clip(above), name)
	m := &meaning{by: name}
	if to, ok := b.aliases[name]; ok {
		plan, deadline, err := b.part(to, above)
		if err != nil {
			return nil, err
		}
		m.plan, m.kind, m.note, m.deadline = plan, "alias", to, deadline
	} else {
		c := b.combos[name]
		m.kind, m.note, m.deadline = "combo", strings.Join(c.Models, ", "), c.Deadline
		if n := len(c.Weights); n > 0 && n != len(c.Models) {
			return nil, fmt.Errorf("combo %q: %d weights for %d models", name, n, len(c.Models))
		}
		members := make([]*schedule.Plan, 0, len(c.Models))
		for _, model := range c.Models {
			plan, _, err := b.part(model, above)
			if err != nil {
				return nil, err
			}
			members = append(members, plan)
		}
		strategy := schedule.Strategy(c.Strategy)
		if strategy == "" {
			strategy = b.strategy
		}
		m.plan = b.board.NewCombo(name, strategy, c.Sticky, members, c.Weights)
		m.plan.Limit(c.Deadline)
	}
	b.snapshot.names[name] = m
	return m, nil
}

// part returns the plan of what an alias or combo names. What nobody offers now is
// a plan without a target: somebody may later.
func (b *names) part(name string, above []string) (*schedule.Plan, time.Duration, error) {
	_, alias := b.aliases[name]
	_, combo := b.combos[name]
	if (alias || combo) && !strings.Contains(name, "*") {
		m, err := b.name(name, above)
		if err != nil {
			return nil, 0, err
		}
		return m.plan, m.deadline, nil
	}
	if m := b.lookUp(name, false); m != nil {
		return m.plan, 0, nil
	}
	return &schedule.Plan{}, 0, nil
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// unknownModel is the error for a name that means nothing, with the names that
// are nearest to it among those that the key may use.
func (s *snapshot) unknownModel(name string, k *key) *translate.Error {
	return &translate.Error{Status: http.StatusNotFound, Kind: translate.NotFound, Code: "model_not_found", Param: "model",
		Message: "There is no model, alias or combo " + quote(name) + " here." + s.near(name, k) + " GET /v1/models lists what there is."}
}

// near says which names are nearest, among those that the key may use.
func (s *snapshot) near(name string, k *key) string {
	switch near := s.nearest(name, k); len(near) {
	case 0:
		return ""
	case 1:
		return " The nearest name is " + near[0] + "."
	default:
		return " The nearest names are " + strings.Join(near[:len(near)-1], ", ") + " and " + near[len(near)-1] + "."
	}
}

// Bounds of the search for near names.
const (
	maxNearest  = 3
	maxCompared = 5000
)

// nearest returns the listed names that differ least from the given one.
func (s *snapshot) nearest(name string, k *key) []string {
	type scored struct {
		name  string
		score int
	}
	if len(name) > 100 {
		name = name[:100]
	}
	wanted := strings.ToLower(name)
	var list []scored
	consider := func(shown string, comparable ...string) {
		best := len(wanted) + 100
		for _, c := range comparable {
			c = strings.ToLower(c)
			if len(c) > 100 {
				continue
			}
			d := distance(wanted, c)
			if strings.Contains(c, wanted) || strings.Contains(wanted, c) {
				d = min(d, 1+max(len(c), len(wanted))/4) // a part of it is meant, surely
			}
			best = min(best, d)
		}
		list = append(list, scored{shown, best})
	}
	for i, m := range s.models {
		if i == maxCompared {
			break
		}
		_, bare, ok := strings.Cut(m.ID, "/")
		if !ok || strings.Contains(wanted, "/") {
			bare = m.ID
		}
		if m.ID != name && k.lists(m) {
			consider(m.ID, m.ID, bare)
		}
	}
	if prefix, _, ok := strings.Cut(wanted, "/"); ok && s.providers[prefix] == nil {
		for _, p := range sortedKeys(s.providers) {
			if near := p + name[len(prefix):]; distance(prefix, p) <= 2 && k.lists(Model{ID: near}) {
				consider(near, p+wanted[len(prefix):])
			}
		}
	}
	slices.SortStableFunc(list, func(a, b scored) int { return cmp.Or(a.score-b.score, strings.Compare(a.name, b.name)) })
	var near []string
	for _, l := range list {
		if l := quote(l.name); !slices.Contains(near, l) {
			near = append(near, l)
		}
		if len(near) == maxNearest {
			break
		}
	}
	return near
}

// distance is how many letters have to be put in, taken out or changed to make one
// text of the other.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			next := diagonal
			if a[i-1] != b[j-1] {
				next = 1 + min(diagonal, row[j], row[j-1])
			}
			diagonal, row[j] = row[j], next
		}
	}
	return row[len(b)]
}

// quote shows a client's own text back to it, bounded.
func quote(s string) string {
	if len(s) > 80 {
		s = strings.ToValidUTF8(s[:80], "") + "…"
	}
	return "“" + s + "”"
}
