package provider

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/nine-router/nine-router/caddymodule/provider/egress"
	"github.com/nine-router/nine-router/translate"
)

//go:embed catalogue.json
var builtin []byte

// A Catalogue is a set of providers by name. It is not changed once it is made.
type Catalogue struct{ byName map[string]*Provider }

// Builtin returns the catalogue that comes with the program.
func Builtin() (*Catalogue, error) {
	var list []*Provider
	d := json.NewDecoder(bytes.NewReader(builtin))
	d.DisallowUnknownFields()
	if err := d.Decode(&list); err != nil {
		return nil, fmt.Errorf("reading the catalogue: %w", err)
	}
	if err := readModels(builtinModels, list); err != nil {
		return nil, fmt.Errorf("reading the list of models: %w", err)
	}
	c, err := (&Catalogue{}).With(list...)
	for _, p := range list {
		p.Private = p.Local // as Ollama is
	}
	return c, err
}

// Get returns the provider of that name.
func (c *Catalogue) Get(name string) (*Provider, bool) {
	p, ok := c.byName[name]
	return p, ok
}

// Names lists the providers in order.
func (c *Catalogue) Names() []string { return slices.Sorted(maps.Keys(c.byName)) }

// With returns a catalogue that has more providers. It fails on a name that is
// taken and on a provider that cannot work.
func (c *Catalogue) With(more ...*Provider) (*Catalogue, error) {
	next := &Catalogue{byName: maps.Clone(c.byName)}
	if next.byName == nil {
		next.byName = make(map[string]*Provider, len(more))
	}
	for _, p := range more {
		if err := p.check(); err != nil {
			return nil, fmt.Errorf("provider %q: %w", p.Name, err)
		}
		if _, ok := next.byName[p.Name]; ok {
			return nil, fmt.Errorf("provider %q: the name is taken", p.Name)
		}
		next.byName[p.Name] = p
	}
	return next, nil
}

func (p *Provider) check() error {
	for what, s := range map[string]string{"name": p.Name, "prefix": p.ModelPrefix()} {
		if !wellNamed(s) {
			return fmt.Errorf("its %s %q may have only letters, digits, dots, dashes and underscores", what, s)
		}
	}
	if len(p.Endpoints) == 0 {
		return fmt.Errorf("it has no endpoint")
	}
	seen := map[translate.Format]bool{}
	p.Local = true
	for i := range p.Endpoints {
		e := &p.Endpoints[i]
		if paths[e.Format] == nil {
			return fmt.Errorf("its format %q is not one of: %s", e.Format, strings.Join(Formats(), ", "))
		}
		if seen[e.Format] {
			return fmt.Errorf("it has two endpoints of format %q", e.Format)
		}
		seen[e.Format] = true
		if err := e.compile(); err != nil {
			return err
		}
		p.Local = p.Local && egress.LooksLocal(e.ready.base.Hostname())
	}
	return nil
}

func wellNamed(s string) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	return strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == ""
}
