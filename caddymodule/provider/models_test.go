package provider_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/nine-router/nine-router/caddymodule/provider"
	"github.com/nine-router/nine-router/store"
)

func catalogue(t *testing.T) *provider.Catalogue {
	t.Helper()
	c, err := provider.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func get(t *testing.T, c *provider.Catalogue, name string) *provider.Provider {
	t.Helper()
	p, ok := c.Get(name)
	if !ok {
		t.Fatalf("there is no provider %q", name)
	}
	return p
}

func usd(t *testing.T, text string) store.Money {
	t.Helper()
	m, err := store.ParseUSD(text)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestModelsAreFoundByTheNamesThatClientsUse(t *testing.T) {
	t.Parallel()
	c := catalogue(t)
	for _, of := range []struct{ provider, name, like string }{
		{"anthropic", "claude-opus-5-5", "claude-opus-5-5"},
		{"anthropic", "claude-haiku-4-5-20251001", "claude-haiku-4-5"},
		{"anthropic", "claude-haiku-4-5@20251001", "claude-haiku-4-5"},
		{"anthropic", "claude-sonnet-4-5-latest", "claude-sonnet-4-5"},
		{"openai", "gpt-5-2025-08-07", "gpt-5"},
		{"openai", "gpt-6.1-sol-2026-09-29", "gpt-6.1-sol"},
		{"gemini", "models/gemini-3.8-flash", "gemini-3.8-flash"},
		{"gemini", "models/gemini-2.5-flash-latest", "gemini-2.5-flash"},
		{"groq", "openai/gpt-oss-120b", "openai/gpt-oss-120b"},
	} {
		p := get(t, c, of.provider)
		want, ok := p.Model(of.like)
		if !ok || want.Context == 0 {
			t.Errorf("%s is not known", of.like)
		}
		if got, ok := p.Model(of.name); !ok || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v, want what is known of %s", of.name, got, ok, of.like)
		}
	}
}

// No model has the price of another because its name begins alike.
func TestModelsAreNotGuessed(t *testing.T) {
	t.Parallel()
	c := catalogue(t)
	for _, of := range []struct{ provider, name string }{
		{"openai", "gpt-5-other"}, {"openai", "gpt-5-mini-x"}, {"openai", "gpt"}, {"openai", ""},
		{"openai", "models/gpt-5"}, {"openai", "openai/gpt-5"}, {"groq", "gpt-oss-120b"},
		{"anthropic", "claude-haiku-4-5-2025100"}, {"anthropic", "claude-haiku-4-5-19991001"}, {"anthropic", "claude-haiku-4-5-2025100x"},
		{"anthropic", "claude-haiku-4-5:free"}, {"anthropic", "-20251001"}, {"anthropic", "-latest"},
		{"anthropic", "claude-haiku-4-5-20251001-20251001"},
		{"openrouter", "anthropic/claude-opus-5-5"}, {"nvidia", "anything"},
	} {
		if m, ok := get(t, c, of.provider).Model(of.name); ok {
			t.Errorf("%s of %s is taken for %+v", of.name, of.provider, m)
		}
	}
	// What has a price of its own keeps it.
	was, _ := get(t, c, "openai").Model("gpt-4o-2024-05-13")
	is, _ := get(t, c, "openai").Model("gpt-4o")
	if was.Price.Input != usd(t, "5") || is.Price.Input != usd(t, "2.5") {
		t.Errorf("prices %v and %v", was.Price, is.Price)
	}
}

func TestModelsOnThisMachineCostNothing(t *testing.T) {
	t.Parallel()
	c := catalogue(t)
	for _, name := range []string{"ollama", "lmstudio", "vllm", "llamacpp"} {
		m, ok := get(t, c, name).Model("qwen3:30b")
		if !ok || m.Price == nil || *m.Price != (store.Price{}) || m.Context != 0 {
			t.Errorf("%s: %+v, %v", name, m, ok)
		}
	}
}

func TestLongInputsHaveTheirPrice(t *testing.T) {
	t.Parallel()
	m, _ := get(t, catalogue(t), "openai").Model("gpt-6.1-sol")
	for input, want := range map[int64]string{0: "2", 272_000: "2", 272_001: "4", 900_000: "4"} {
		if got := m.PriceAt(input); got == nil || got.Input != usd(t, want) {
			t.Errorf("%d tokens: %v, want %s", input, got, want)
		}
	}
	if (provider.Model{}).PriceAt(1) != nil {
		t.Error("what is not known has a price")
	}
}

func TestTheUsersWordsWinFieldByField(t *testing.T) {
	t.Parallel()
	c := catalogue(t)
	price := &store.Price{Input: 7, Output: 9}
	p := get(t, c, "openai").WithInfo(map[string]provider.Model{
		"*":               {MaxOutput: 10},
		"gpt-5*":          {MaxOutput: 20, Lacks: []provider.Ability{provider.Tools}},
		"gpt-5":           {MaxOutput: 30},
		"gpt-6.1-sol":     {Price: price},
		"mine":            {Context: 5},
		"mine-2026-01-01": {Lacks: []provider.Ability{}},
		"a*b*c":           {Context: 77},
		"gpt-4o":          {Lacks: []provider.Ability{}},
	})
	known, _ := get(t, c, "openai").Model("gpt-5")
	sol, _ := get(t, c, "openai").Model("gpt-6.1-sol")
	for name, want := range map[string]provider.Model{
		"gpt-5":            {Context: known.Context, MaxOutput: 30, Lacks: []provider.Ability{provider.Tools}, Price: known.Price},
		"gpt-5-2025-08-07": {Context: known.Context, MaxOutput: 30, Lacks: []provider.Ability{provider.Tools}, Price: known.Price},
		"gpt-5-unheard-of": {MaxOutput: 20, Lacks: []provider.Ability{provider.Tools}},
		"gpt-6.1-sol":      {Context: sol.Context, MaxOutput: 10, Lacks: sol.Lacks, Price: price}, // without the built-in price of long inputs
		"with/a/slash":     {MaxOutput: 10},
		"mine":             {Context: 5, MaxOutput: 10},
		"mine-20260101":    {Context: 5, MaxOutput: 10},
		"mine-2026-01-01":  {Context: 5, MaxOutput: 10, Lacks: []provider.Ability{}},
		"a-b-c":            {Context: 77, MaxOutput: 10},
		"abc":              {Context: 77, MaxOutput: 10},
		"ab":               {MaxOutput: 10},
		"acb":              {MaxOutput: 10},
	} {
		if got, ok := p.Model(name); !ok || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v\nwant %+v", name, got, ok, want)
		}
	}
	if m, _ := p.Model("gpt-4o"); len(m.Lacks) != 0 {
		t.Errorf("said to lack nothing, it lacks %v", m.Lacks)
	}
}

func TestInfoChangesACopy(t *testing.T) {
	t.Parallel()
	c := catalogue(t)
	info := map[string]map[string]provider.Model{"openai": {"gpt-5": {Context: 1}}, "nvidia": {"*": {Price: &store.Price{}}}}
	next, err := c.WithInfo(info)
	if err != nil {
		t.Fatal(err)
	}
	info["openai"]["gpt-5"] = provider.Model{Context: 2}
	if m, _ := get(t, next, "openai").Model("gpt-5"); m.Context != 1 {
		t.Errorf("context %d", m.Context)
	}
	if m, ok := get(t, next, "nvidia").Model("anything"); !ok || m.Price == nil {
		t.Errorf("got %+v, %v", m, ok)
	}
	if m, _ := get(t, c, "openai").Model("gpt-5"); m.Context == 1 {
		t.Error("the first catalogue changed")
	}
	if _, ok := get(t, c, "nvidia").Model("anything"); ok {
		t.Error("the first catalogue changed")
	}
	// New words take the place of the old ones.
	if m, _ := get(t, next, "openai").WithInfo(nil).Model("gpt-5"); m.Context == 1 {
		t.Error("old words are still there")
	}
	if _, err := c.WithInfo(map[string]map[string]provider.Model{"nobody": nil}); err == nil || err.Error() != `there is no provider "nobody"` {
		t.Errorf("got %v", err)
	}
}

func TestANodeKnowsNothingOfItsModels(t *testing.T) {
	t.Parallel()
	p, err := provider.FromNode(store.Node{Name: "lab", BaseURL: "http://localhost:1/v1"})
	if err != nil {
		t.Fatal(err)
	}
	if m, ok := p.Model("gpt-5"); ok {
		t.Errorf("got %+v", m)
	}
	if m, ok := p.WithInfo(map[string]provider.Model{"gpt*": {Context: 3}}).Model("gpt-5"); !ok || m.Context != 3 {
		t.Errorf("got %+v, %v", m, ok)
	}
}

func TestALookupAllocatesNothing(t *testing.T) {
	p := get(t, catalogue(t), "openai").WithInfo(map[string]provider.Model{"gpt-5*": {MaxOutput: 1}, "*": {Context: 1}})
	for _, name := range []string{"gpt-5", "gpt-5-2025-08-07", "gpt-5-other"} {
		if n := testing.AllocsPerRun(100, func() { p.Model(name) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func TestUnable(t *testing.T) {
	t.Parallel()
	m := provider.Model{Context: 1000, MaxOutput: 100, Lacks: []provider.Ability{provider.Vision, provider.Tools}}
	for _, c := range []struct {
		need provider.Need
		want string
	}{
		{provider.Need{}, ""},
		{provider.Need{Input: 1000}, ""},
		{provider.Need{Input: 1100}, ""}, // an estimate may be wrong by a tenth
		{provider.Need{Input: 1101}, "context_window"},
		{provider.Need{Output: 100}, ""},
		{provider.Need{Output: 101}, "max_output"},
		{provider.Need{Abilities: []provider.Ability{provider.Audio, provider.Structured}}, ""},
		{provider.Need{Abilities: []provider.Ability{provider.Audio, provider.Tools, provider.Vision}}, "tools"},
		{provider.Need{Input: 2000, Output: 200, Abilities: []provider.Ability{provider.Vision}}, "context_window"},
	} {
		if got := m.Unable(c.need); got != c.want {
			t.Errorf("%+v: %q, want %q", c.need, got, c.want)
		}
		if got := (provider.Model{}).Unable(c.need); got != "" {
			t.Errorf("%+v: nothing is known, but it is unable: %s", c.need, got)
		}
	}
	if got := (provider.Model{Context: 1}).Unable(provider.Need{Input: -1 << 63}); got != "" {
		t.Errorf("a nonsensical estimate gives %q", got)
	}
}

// The list is what people are billed by in our books: every price makes sense.
func TestPricesAreSane(t *testing.T) {
	t.Parallel()
	c := catalogue(t)
	models, priced := 0, 0
	check := func(name string, p store.Price) {
		for _, m := range []store.Money{p.Input, p.Output, p.CacheRead, p.CacheWrite} {
			if m < 0 || m > 1000*store.Dollar {
				t.Errorf("%s: a price of %d", name, m)
			}
		}
		if p.Input == 0 || p.Output < p.Input || p.CacheRead > p.Input || p.CacheWrite > 2*p.Input || p.CacheWrite > 0 && p.CacheWrite < p.Input {
			t.Errorf("%s: %+v", name, p)
		}
	}
	for of, names := range provider.BuiltinModels(c) {
		p := get(t, c, of)
		for _, id := range names {
			name := of + "/" + id
			m, ok := p.Model(id)
			if !ok || m.Context < 4096 || m.Context > 4_000_000 || m.MaxOutput < 0 || m.MaxOutput > m.Context {
				t.Errorf("%s: %+v", name, m)
			}
			models++
			if m.Price == nil {
				continue
			}
			priced++
			check(name, *m.Price)
			if m.Long != nil {
				check(name+" long", m.Long.Price)
				if m.Long.Above <= 0 || m.Long.Above >= m.Context || m.Long.Price.Input <= m.Price.Input || m.Long.Price.Output <= m.Price.Output {
					t.Errorf("%s: %+v", name, *m.Long)
				}
			}
		}
	}
	if models < 80 || priced < 80 {
		t.Errorf("%d models, %d with a price", models, priced)
	}
}

func TestAListThatCannotBeIsRefused(t *testing.T) {
	t.Parallel()
	for file, want := range map[string]string{
		`{"providers":{"nobody":{}}}`:                                                                                   `there is no provider "nobody"`,
		`{"providers":{"openai":{"models":{"m":{"lacks":["x"]}}}}}`:                                                     `model "m" of "openai": there is no ability "x"`,
		`{"providers":{"openai":{"models":{"m":{"price":{}}}}}}`:                                                        `price of input ""`,
		`{"providers":{"openai":{"default":{"price":{"input":"free"}}}}}`:                                               `the default of "openai": price of input "free"`,
		`{"providers":{"openai":{"models":{"m":{"cost":1}}}}}`:                                                          "unknown field",
		`{"providers":{"openai":{"models":{"m":{"price":{"input":"1","output":"1","long":{"above":1,"input":"1"}}}}}}}`: `price of output ""`,
	} {
		if err := provider.ReadModels([]byte(file), []*provider.Provider{{Name: "openai"}}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", file, err, want)
		}
	}
}
