package caddymodule

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nine-router/nine-router/caddymodule/gateway"
	"github.com/nine-router/nine-router/store"
)

// connectionView is a connection as it is shown, without its credential and its
// proxies.
type connectionView struct {
	ID            string   `json:"id"`
	Provider      string   `json:"provider"`
	Name          string   `json:"name"`
	Priority      int      `json:"priority"`
	Weight        int      `json:"weight,omitempty"`
	MaxConcurrent int      `json:"max_concurrent,omitempty"`
	Models        []string `json:"models,omitempty"`
	Disabled      bool     `json:"disabled,omitempty"`
	Declared      bool     `json:"declared,omitempty"`
	Hint          string   `json:"hint,omitempty"`
	Proxies       int      `json:"proxies,omitempty"` // how many
}

func view(c store.Connection, declared bool) connectionView {
	v := connectionView{
		ID: c.ID, Provider: c.Provider, Name: c.Name, Priority: c.Priority, Weight: c.Weight, MaxConcurrent: c.MaxConcurrent,
		Models: c.Models, Disabled: c.Disabled, Declared: declared, Proxies: len(c.Proxies),
	}
	if c.APIKey.IsSet() {
		v.Hint = store.Hint(c.APIKey.Reveal())
	}
	return v
}

// connections answers GET connections.
func (o *admin) connections() ([]connectionView, error) {
	snap, err := o.snapshot()
	if err != nil {
		return nil, err
	}
	list := []connectionView{}
	for _, c := range o.app.options.Declared.Connections {
		list = append(list, view(c, true))
	}
	for _, c := range snap.Connections {
		list = append(list, view(c, false))
	}
	return list, nil
}

// addConnection answers POST connections.
func (o *admin) addConnection() (connectionView, error) {
	var in struct {
		Provider      string   `json:"provider"`
		Name          string   `json:"name"`
		APIKey        string   `json:"api_key"`
		Priority      int      `json:"priority"`
		Weight        int      `json:"weight"`
		MaxConcurrent int      `json:"max_concurrent"`
		Models        []string `json:"models"`
		Proxies       []string `json:"proxies"`
	}
	if err := o.body(&in); err != nil {
		return connectionView{}, err
	}
	if err := o.knows(in.Provider); err != nil {
		return connectionView{}, err
	}
	if in.Weight < 0 || in.Weight > maxWeight {
		return connectionView{}, fmt.Errorf("the weight %d is not between 0 and %d", in.Weight, maxWeight)
	}
	if in.Name == "" {
		in.Name = "default"
	}
	for _, c := range o.app.options.Declared.Connections {
		if c.Provider == in.Provider && c.Name == in.Name {
			return connectionView{}, fmt.Errorf("connection %q at %q is declared in the configuration: %w", in.Name, in.Provider, store.ErrExists)
		}
	}
	c := &store.Connection{
		ID: store.NewID("conn"), Provider: in.Provider, Name: in.Name, Models: in.Models,
		Priority: in.Priority, Weight: in.Weight, MaxConcurrent: in.MaxConcurrent,
		APIKey: store.NewSecret(strings.TrimSpace(in.APIKey)), Created: time.Now().UTC(),
	}
	for _, p := range in.Proxies {
		c.Proxies = append(c.Proxies, store.NewSecret(p))
	}
	if err := o.app.transports.takes(c); err != nil {
		return connectionView{}, fmt.Errorf("proxies: %w", err)
	}
	if err := o.apply(store.Put(c).At(0)); err != nil {
		return connectionView{}, err
	}
	return view(*c, false), nil
}

const maxWeight = 1_000_000 // of a connection, as of a model in a combo

// knows says whether there is such a provider, and if not, which there are.
func (o *admin) knows(name string) error {
	names := o.app.options.Catalogue.Names()
	for _, n := range o.app.options.Declared.Nodes {
		names = append(names, n.Name)
	}
	if slices.Contains(names, name) {
		return nil
	}
	slices.Sort(names)
	return fmt.Errorf("there is no provider %q; there are: %s", name, strings.Join(names, ", "))
}

// removeConnection answers DELETE connections/{id|provider/name}.
func (o *admin) removeConnection(id string) (connectionView, error) {
	snap, err := o.snapshot()
	if err != nil {
		return connectionView{}, err
	}
	for _, c := range snap.Connections {
		if c.ID == id || c.Provider+"/"+c.Name == id {
			return view(c, false), o.apply(store.Delete(&c).At(c.Rev))
		}
	}
	for _, c := range o.app.options.Declared.Connections {
		if c.ID == id || c.Provider+"/"+c.Name == id {
			return connectionView{}, fmt.Errorf("connection %q: %w", id, errDeclared)
		}
	}
	return connectionView{}, fmt.Errorf("connection %q: %w", id, store.ErrNotFound)
}

// testConnection answers POST connections/{id|provider/name}/test.
func (o *admin) testConnection(id string) (gateway.Probe, error) {
	list, err := o.connections()
	if err != nil {
		return gateway.Probe{}, err
	}
	for _, c := range list {
		if c.ID == id || c.Provider+"/"+c.Name == id {
			return o.app.running.Probe(o.r.Context(), c.ID)
		}
	}
	return gateway.Probe{}, fmt.Errorf("connection %q: %w", id, store.ErrNotFound)
}
