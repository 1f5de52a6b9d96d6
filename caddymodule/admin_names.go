package caddymodule

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/nine-router/nine-router/caddymodule/gateway/schedule"
	"github.com/nine-router/nine-router/store"
)

// comboView is a combo as it is shown.
type comboView struct {
	Name string `json:"name"`
	Combo
	Declared bool     `json:"declared,omitempty"`
	Warnings []string `json:"warnings,omitempty"` // of what was just done
}

// aliasView is an alias as it is shown.
type aliasView struct {
	Name     string   `json:"name"`
	Model    string   `json:"model"`
	Declared bool     `json:"declared,omitempty"`
	Warnings []string `json:"warnings,omitempty"` // of what was just done
}

func viewCombo(c *store.Combo, declared bool) comboView {
	return comboView{Name: c.Name, Declared: declared, Combo: Combo{
		Models: c.Models, Strategy: c.Strategy, Weights: c.Weights, Sticky: c.Sticky, Deadline: caddy.Duration(c.Deadline),
	}}
}

// combos answers GET combos.
func (o *admin) combos() ([]comboView, error) {
	snap, err := o.snapshot()
	if err != nil {
		return nil, err
	}
	list := []comboView{}
	for i := range o.app.options.Declared.Combos {
		list = append(list, viewCombo(&o.app.options.Declared.Combos[i], true))
	}
	for i := range snap.Combos {
		list = append(list, viewCombo(&snap.Combos[i], false))
	}
	return list, nil
}

// aliases answers GET aliases.
func (o *admin) aliases() ([]aliasView, error) {
	snap, err := o.snapshot()
	if err != nil {
		return nil, err
	}
	list := []aliasView{}
	for _, a := range o.app.options.Declared.Aliases {
		list = append(list, aliasView{Name: a.Name, Model: a.Model, Declared: true})
	}
	for _, a := range snap.Aliases {
		list = append(list, aliasView{Name: a.Name, Model: a.Model})
	}
	return list, nil
}

// nameable says why nothing can be stored under the name.
func (o *admin) nameable(name string) error {
	if name == "" || strings.TrimSpace(name) != name {
		return errors.New("a name is not empty and neither begins nor ends with a space")
	}
	d := &o.app.options.Declared
	if slices.ContainsFunc(d.Combos, func(c store.Combo) bool { return c.Name == name }) {
		return fmt.Errorf("combo %q: %w", name, errDeclared)
	}
	if slices.ContainsFunc(d.Aliases, func(a store.Alias) bool { return a.Name == name }) {
		return fmt.Errorf("alias %q: %w", name, errDeclared)
	}
	return nil
}

// setCombo answers PUT combos/{name}: it makes a combo, or another of it.
func (o *admin) setCombo(name string) (comboView, error) {
	var in Combo
	if err := o.body(&in); err != nil {
		return comboView{}, err
	}
	if err := o.nameable(name); err != nil {
		return comboView{}, err
	}
	if len(in.Models) == 0 || slices.Contains(in.Models, "") {
		return comboView{}, errors.New("a combo needs at least one model, and each needs a name")
	}
	strategy := in.Strategy
	if strategy == "" {
		strategy = o.app.Strategy
	}
	switch {
	case len(in.Weights) > 0 && schedule.Strategy(strategy) != schedule.Weighted:
		return comboView{}, errors.New("weights only count with the strategy weighted: choose it, or leave them out")
	case in.Sticky != 0 && schedule.Strategy(strategy) != schedule.RoundRobin:
		return comboView{}, errors.New("sticky only counts with the strategy round_robin: choose it, or leave sticky out")
	}
	c := in.record(name)
	if err := o.apply(store.Put(&c)); err != nil {
		return comboView{}, err
	}
	v := viewCombo(&c, false)
	v.Warnings = o.unoffered(c.Models...)
	return v, nil
}

// setAlias answers PUT aliases/{name}: it makes an alias, or another of it.
func (o *admin) setAlias(name string) (aliasView, error) {
	var in struct {
		Model string `json:"model"`
	}
	if err := o.body(&in); err != nil {
		return aliasView{}, err
	}
	if err := o.nameable(name); err != nil {
		return aliasView{}, err
	}
	if in.Model == "" {
		return aliasView{}, errors.New("an alias needs a model that it stands for")
	}
	if err := o.apply(store.Put(&store.Alias{Name: name, Model: in.Model})); err != nil {
		return aliasView{}, err
	}
	v := aliasView{Name: name, Model: in.Model}
	if !strings.Contains(in.Model, "*") {
		v.Warnings = o.unoffered(in.Model)
	}
	return v, nil
}

// unoffered warns of names that lead nowhere now.
func (o *admin) unoffered(models ...string) (warnings []string) {
	for _, m := range o.app.running.Unoffered(models...) {
		warnings = append(warnings, fmt.Sprintf("nobody offers %q now; it is passed over until a connection does", m))
	}
	return warnings
}

// removeCombo answers DELETE combos/{name}.
func (o *admin) removeCombo(name string) (comboView, error) {
	snap, err := o.snapshot()
	if err != nil {
		return comboView{}, err
	}
	for i := range snap.Combos {
		if c := &snap.Combos[i]; c.Name == name {
			if err := o.apply(store.Delete(c).At(c.Rev)); err != nil {
				return comboView{}, err
			}
			v := viewCombo(c, false)
			v.Warnings, err = o.naming(name)
			return v, err
		}
	}
	if err := o.nameable(name); err != nil {
		return comboView{}, err
	}
	return comboView{}, fmt.Errorf("combo %q: %w", name, store.ErrNotFound)
}

// removeAlias answers DELETE aliases/{name}.
func (o *admin) removeAlias(name string) (aliasView, error) {
	snap, err := o.snapshot()
	if err != nil {
		return aliasView{}, err
	}
	for i := range snap.Aliases {
		if a := &snap.Aliases[i]; a.Name == name {
			if err := o.apply(store.Delete(a).At(a.Rev)); err != nil {
				return aliasView{}, err
			}
			v := aliasView{Name: name, Model: a.Model}
			v.Warnings, err = o.naming(name)
			return v, err
		}
	}
	if err := o.nameable(name); err != nil {
		return aliasView{}, err
	}
	return aliasView{}, fmt.Errorf("alias %q: %w", name, store.ErrNotFound)
}

// naming warns of what still names a name that was removed, if nobody offers it
// otherwise.
func (o *admin) naming(name string) (warnings []string, err error) {
	if len(o.app.running.Unoffered(name)) == 0 {
		return nil, nil
	}
	combos, err := o.combos()
	if err != nil {
		return nil, err
	}
	for _, c := range combos {
		if slices.Contains(c.Models, name) {
			warnings = append(warnings, fmt.Sprintf("the combo %q still names %q", c.Name, name))
		}
	}
	aliases, err := o.aliases()
	if err != nil {
		return nil, err
	}
	for _, a := range aliases {
		if a.Model == name {
			warnings = append(warnings, fmt.Sprintf("the alias %q still stands for %q", a.Name, name))
		}
	}
	return warnings, nil
}
