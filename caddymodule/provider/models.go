package provider

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/nine-router/nine-router/store"
)

// What is known of models is data with its sources, like the catalogue. Prices
// stand there in US dollars for a million tokens, as providers state them.
//
//go:embed models.json
var builtinModels []byte

// Model returns what is known of the model of that name, and whether anything is
// known at all. The user's words ([Provider.Info]) win over the built-in ones,
// and those over [Provider.Default], field by field.
//
// A name that is not known as it is written is looked up without what stands
// for one version or another: the date at its end ("-20251001", "-2025-08-07",
// "@20250929") or "-latest", and the prefix that some providers' names may have
// ("models/" of Gemini). Nothing else is taken off, and a name is never known for
// beginning like another: gpt-x-mini must not get the price of gpt-x.
//
// The lookup of a name that is known as it is written is that of one map. No
// lookup allocates.
func (p *Provider) Model(name string) (Model, bool) {
	if m, ok := p.known[name]; ok {
		return m, true
	}
	return p.resolve(name)
}

// WithInfo returns the provider with the user's words on its models: by name, or
// by a pattern in which each * stands for any text, slashes included. All that
// fit a name are joined field by field; a name wins over a pattern and a longer
// pattern over a shorter one. Words that were given before are replaced.
func (p *Provider) WithInfo(info map[string]Model) *Provider {
	next := *p
	next.Info = maps.Clone(info)
	next.index()
	return &next
}

// WithInfo returns a catalogue whose providers have the user's words on their
// models, by the providers' names: see [Provider.WithInfo]. It fails on a
// provider that is not there.
func (c *Catalogue) WithInfo(info map[string]map[string]Model) (*Catalogue, error) {
	next := &Catalogue{byName: maps.Clone(c.byName)}
	for _, name := range slices.Sorted(maps.Keys(info)) {
		p, ok := next.byName[name]
		if !ok {
			return nil, fmt.Errorf("there is no provider %q", name)
		}
		next.byName[name] = p.WithInfo(info[name])
	}
	return next, nil
}

// index works out what is known of every name that is written anywhere.
func (p *Provider) index() {
	p.rules = nil
	for pattern, m := range p.Info {
		if strings.Contains(pattern, "*") {
			p.rules = append(p.rules, rule{strings.Split(pattern, "*"), m})
		}
	}
	slices.SortFunc(p.rules, func(a, b rule) int {
		x, y := strings.Join(a.parts, "*"), strings.Join(b.parts, "*")
		if len(x) != len(y) {
			return len(x) - len(y)
		}
		return strings.Compare(x, y)
	})
	p.known = make(map[string]Model, len(p.builtin)+len(p.Info))
	for name := range p.builtin {
		p.known[name], _ = p.resolve(name)
	}
	for name := range p.Info {
		if !strings.Contains(name, "*") {
			p.known[name], _ = p.resolve(name)
		}
	}
}

// resolve joins what is said of a name, from the general to the particular.
func (p *Provider) resolve(name string) (m Model, ok bool) {
	if p.Default != nil {
		m, ok = *p.Default, true
	}
	short := strings.TrimPrefix(name, p.namePrefix)
	names := [...]string{name, undated(name), short, undated(short)}
	for _, n := range names {
		if known, found := p.builtin[n]; found {
			m, ok = known.Over(m), true
			break
		}
	}
	if len(p.Info) == 0 {
		return m, ok
	}
	for _, r := range p.rules {
		if slices.ContainsFunc(names[:], r.matches) {
			m, ok = r.model.Over(m), true
		}
	}
	for _, n := range slices.Backward(names[:]) {
		if said, found := p.Info[n]; found && !strings.Contains(n, "*") {
			m, ok = said.Over(m), true
		}
	}
	return m, ok
}

// A rule is what the user says of all models whose names fit a pattern: parts is
// the pattern between its stars.
type rule struct {
	parts []string
	model Model
}

func (r rule) matches(name string) bool {
	last := len(r.parts) - 1
	rest, ok := strings.CutPrefix(name, r.parts[0])
	if !ok {
		return false
	}
	for _, part := range r.parts[1:last] {
		if _, rest, ok = strings.Cut(rest, part); !ok {
			return false
		}
	}
	return strings.HasSuffix(rest, r.parts[last])
}

// undated is the name without the date or the "-latest" at its end.
func undated(name string) string {
	if s, ok := strings.CutSuffix(name, "-latest"); ok {
		return s
	}
	for _, shape := range []string{"-20dddddd", "@20dddddd", "-20dd-dd-dd"} {
		if n := len(name) - len(shape); n > 0 && shaped(name[n:], shape) {
			return name[:n]
		}
	}
	return name
}

// shaped says that s is like shape, where d stands for any digit.
func shaped(s, shape string) bool {
	for i := range len(shape) {
		if c := shape[i]; c != s[i] && (c != 'd' || s[i] < '0' || s[i] > '9') {
			return false
		}
	}
	return true
}

// modelsFile is the form of models.json.
type modelsFile struct {
	Sources struct {
		Read  string   `json:"read"` // the day
		URLs  []string `json:"urls"`
		Notes []string `json:"notes"`
	} `json:"sources"`
	Providers map[string]struct {
		Prefix  string                `json:"prefix"` // that names may have
		Default *modelEntry           `json:"default"`
		Models  map[string]modelEntry `json:"models"`
	} `json:"providers"`
}

type modelEntry struct {
	Context   int64     `json:"context"`
	MaxOutput int64     `json:"max_output"`
	Lacks     []Ability `json:"lacks"`
	Price     *struct {
		priceEntry
		Long *struct {
			Above int64 `json:"above"`
			priceEntry
		} `json:"long"`
	} `json:"price"`
}

type priceEntry struct {
	Input      string `json:"input"`
	Output     string `json:"output"`
	CacheRead  string `json:"cache_read"`
	CacheWrite string `json:"cache_write"`
}

// readModels hands the providers what the file says of their models.
func readModels(file []byte, list []*Provider) error {
	var f modelsFile
	d := json.NewDecoder(bytes.NewReader(file))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		return err
	}
	for name, entry := range f.Providers {
		i := slices.IndexFunc(list, func(p *Provider) bool { return p.Name == name })
		if i < 0 {
			return fmt.Errorf("there is no provider %q", name)
		}
		p := list[i]
		p.namePrefix = entry.Prefix
		p.builtin = make(map[string]Model, len(entry.Models))
		for model, e := range entry.Models {
			m, err := e.model()
			if err != nil {
				return fmt.Errorf("model %q of %q: %w", model, name, err)
			}
			p.builtin[model] = m
		}
		if entry.Default != nil {
			m, err := entry.Default.model()
			if err != nil {
				return fmt.Errorf("the default of %q: %w", name, err)
			}
			p.Default = &m
		}
		p.index()
	}
	return nil
}

func (e modelEntry) model() (Model, error) {
	m := Model{Context: e.Context, MaxOutput: e.MaxOutput, Lacks: e.Lacks}
	for _, a := range e.Lacks {
		if !slices.Contains(Abilities(), a) {
			return m, fmt.Errorf("there is no ability %q", a)
		}
	}
	if e.Price == nil {
		return m, nil
	}
	price, err := e.Price.price()
	if err != nil {
		return m, err
	}
	m.Price = &price
	if l := e.Price.Long; l != nil {
		long, err := l.price()
		if err != nil {
			return m, err
		}
		m.Long = &LongPrice{Above: l.Above, Price: long}
	}
	return m, nil
}

func (e priceEntry) price() (p store.Price, err error) {
	return ParsePrice(e.Input, e.Output, e.CacheRead, e.CacheWrite)
}

// ParsePrice reads a price in US dollars for a million tokens: see
// [store.ParseUSD]. The two of the cache may be empty, which is the price of
// input.
func ParsePrice(input, output, cacheRead, cacheWrite string) (p store.Price, err error) {
	for _, part := range []struct {
		name, text string
		optional   bool
		to         *store.Money
	}{
		{"input", input, false, &p.Input},
		{"output", output, false, &p.Output},
		{"cache_read", cacheRead, true, &p.CacheRead},
		{"cache_write", cacheWrite, true, &p.CacheWrite},
	} {
		if part.text == "" && part.optional {
			continue
		}
		if *part.to, err = store.ParseUSD(part.text); err != nil {
			return store.Price{}, fmt.Errorf("price of %s %q: %w", part.name, part.text, err)
		}
	}
	return p, nil
}
