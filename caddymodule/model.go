package caddymodule

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/nine-router/nine-router/caddymodule/provider"
)

// Model is what you know of a model, or of all whose names fit a pattern. What
// stands here wins over what the program knows, field by field.
type Model struct {
	// How many tokens input and output may have together. Requests that are
	// clearly larger go to another model of a combo.
	Context int64 `json:"context,omitempty"`
	// How many tokens of output it can give.
	MaxOutput int64 `json:"max_output,omitempty"`
	// What it cannot do: `vision`, `tools`, `audio`, `files` (such as PDF) or
	// `structured` (keep to a JSON schema). An empty list says that it can do
	// all of it. Default: what the program knows.
	Lacks []string `json:"lacks,omitzero"`
	// What its tokens cost. Default: what the program knows; costs of models
	// whose price nobody knows are not counted.
	Price *Price `json:"price,omitempty"`
}

// Price is what a million tokens cost in US dollars. Amounts are exact to nine
// decimal places.
type Price struct {
	// A million tokens of input.
	Input Amount `json:"input"`
	// A million tokens of output.
	Output Amount `json:"output"`
	// A million tokens of input read from a prompt cache. Default: as input.
	CacheRead Amount `json:"cache_read,omitempty"`
	// A million tokens of input written to a prompt cache. Default: as input.
	CacheWrite Amount `json:"cache_write,omitempty"`
}

// Amount is an amount of money: a JSON number, or a string that holds a plain
// decimal number.
type Amount string

// UnmarshalJSON reads a number as it is written, so that nothing of it is
// rounded.
func (a *Amount) UnmarshalJSON(b []byte) error {
	if bytes.HasPrefix(b, []byte(`"`)) {
		return json.Unmarshal(b, (*string)(a))
	}
	var n json.Number
	if err := json.Unmarshal(b, &n); err != nil {
		return fmt.Errorf("an amount is a number or a string: %w", err)
	}
	*a = Amount(n)
	return nil
}

// maxTokens bounds what may be declared of a window.
const maxTokens = 1e9

// known turns the declaration into what the gateway goes by.
func (m *Model) known() (provider.Model, error) {
	if m == nil {
		return provider.Model{}, nil
	}
	known := provider.Model{Context: m.Context, MaxOutput: m.MaxOutput}
	for _, n := range []int64{m.Context, m.MaxOutput} {
		if n < 0 || n > maxTokens {
			return known, fmt.Errorf("%d is not a number of tokens from 0 to a billion", n)
		}
	}
	if m.Lacks != nil {
		known.Lacks = []provider.Ability{}
	}
	for _, word := range m.Lacks {
		a := provider.Ability(word)
		if !slices.Contains(provider.Abilities(), a) {
			return known, fmt.Errorf("lacks: expected %s, not %q", abilities(), word)
		}
		known.Lacks = append(known.Lacks, a)
	}
	if p := m.Price; p != nil {
		price, err := provider.ParsePrice(string(p.Input), string(p.Output), string(p.CacheRead), string(p.CacheWrite))
		if err != nil {
			return known, err
		}
		known.Price = &price
	}
	return known, nil
}

func abilities() string {
	var words []string
	for _, a := range provider.Abilities() {
		words = append(words, string(a))
	}
	return strings.Join(words, ", ")
}

// parseModel parses what is said of one model or pattern, and keeps it.
func (p *Provider) parseModel(d *caddyfile.Dispenser) error {
	name, m, err := parseModel(d)
	if err != nil {
		return err
	}
	if _, ok := p.ModelInfo[name]; ok {
		return d.Errf("model %q was given before", name)
	}
	if p.ModelInfo == nil {
		p.ModelInfo = make(map[string]*Model)
	}
	p.ModelInfo[name] = m
	return nil
}

// parseModel parses:
//
//	model <name|pattern> {
//		context    <tokens>
//		max_output <tokens>
//		lacks      <ability...>|nothing
//		price      <input> <output> [<cache read> [<cache write>]]
//		price      free
//	}
//
// Tokens are a number such as 200000, 200k or 1.05M; prices are US dollars for a
// million tokens. In a pattern, * stands for any text.
func parseModel(d *caddyfile.Dispenser) (name string, m *Model, err error) {
	if !d.NextArg() {
		return "", nil, d.ArgErr()
	}
	name, m = d.Val(), new(Model)
	if d.NextArg() {
		return "", nil, d.ArgErr()
	}
	once := once{}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if err := once.check(d); err != nil {
			return "", nil, err
		}
		switch d.Val() {
		case "context":
			err = tokens(d, &m.Context)
		case "max_output":
			err = tokens(d, &m.MaxOutput)
		case "lacks":
			err = m.parseLacks(d)
		case "price":
			err = m.parsePrice(d)
		default:
			err = d.Errf("model has no option %q", d.Val())
		}
		if err != nil {
			return "", nil, err
		}
	}
	if len(once) == 0 {
		return "", nil, d.Errf("model %q: nothing is said of it", name)
	}
	return name, m, nil
}

func (m *Model) parseLacks(d *caddyfile.Dispenser) error {
	words := d.RemainingArgs()
	if len(words) == 0 {
		return d.ArgErr()
	}
	m.Lacks = []string{}
	if len(words) == 1 && words[0] == "nothing" {
		return nil
	}
	for _, word := range words {
		if !slices.Contains(provider.Abilities(), provider.Ability(word)) {
			return d.Errf("lacks: expected %s or nothing, not %q", abilities(), word)
		}
		if slices.Contains(m.Lacks, word) {
			return d.Errf("lacks: %s stands there twice", word)
		}
		m.Lacks = append(m.Lacks, word)
	}
	return nil
}

func (m *Model) parsePrice(d *caddyfile.Dispenser) error {
	words := d.RemainingArgs()
	if len(words) == 1 && words[0] == "free" {
		m.Price = &Price{Input: "0", Output: "0"}
		return nil
	}
	if len(words) < 2 || len(words) > 4 {
		return d.ArgErr()
	}
	words = append(words, "", "")
	if _, err := provider.ParsePrice(words[0], words[1], words[2], words[3]); err != nil {
		return d.Err(err.Error())
	}
	m.Price = &Price{Amount(words[0]), Amount(words[1]), Amount(words[2]), Amount(words[3])}
	return nil
}

// tokens parses a number of tokens, with k for a thousand and M for a million.
func tokens(d *caddyfile.Dispenser, to *int64) error {
	option := d.Val()
	var word string
	if !d.AllArgs(&word) {
		return d.ArgErr()
	}
	n, ok := parseTokens(word)
	if !ok {
		return d.Errf("%s: %q is not a number of tokens such as 200000, 200k or 1M", option, word)
	}
	*to = n
	return nil
}

func parseTokens(word string) (int64, bool) {
	zeros := 0
	switch {
	case strings.HasSuffix(word, "k"), strings.HasSuffix(word, "K"):
		word, zeros = word[:len(word)-1], 3
	case strings.HasSuffix(word, "M"), strings.HasSuffix(word, "m"):
		word, zeros = word[:len(word)-1], 6
	}
	whole, fraction, point := strings.Cut(word, ".")
	if point && fraction == "" || len(fraction) > zeros || whole == "" {
		return 0, false
	}
	digits := whole + fraction + strings.Repeat("0", zeros-len(fraction))
	n, err := strconv.ParseUint(digits, 10, 63)
	return int64(n), err == nil && n > 0 && n <= maxTokens
}
