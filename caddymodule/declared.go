package caddymodule

import (
	"fmt"
	"maps"
	"slices"

	"github.com/caddyserver/caddy/v2"

	"github.com/nine-router/nine-router/caddymodule/gateway"
	"github.com/nine-router/nine-router/caddymodule/provider"
	"github.com/nine-router/nine-router/store"
)

// declared turns the configuration into what the gateway takes, in the order of
// names, with the placeholders of secrets resolved.
func (a *App) declared(repl *caddy.Replacer, catalogue *provider.Catalogue) (gateway.Declared, error) {
	d := gateway.Declared{Providers: map[string]gateway.Settings{}}
	for _, name := range slices.Sorted(maps.Keys(a.Providers)) {
		p := a.Providers[name]
		if p == nil {
			p = &Provider{}
		}
		if p.BaseURL != "" {
			d.Nodes = append(d.Nodes, store.Node{Name: name, Prefix: p.Prefix, Format: p.Format, BaseURL: p.BaseURL, Models: p.Models, Private: p.private()})
		} else if p.Format != "" || p.Prefix != "" || len(p.Models) > 0 || p.Private {
			return d, fmt.Errorf("provider %q: format, prefix, models and private belong to a node, which needs a base_url", name)
		}
		settings, err := p.settings(repl, name)
		if err != nil {
			return d, fmt.Errorf("provider %q: %w", name, err)
		}
		d.Providers[name] = settings
		for _, conn := range slices.Sorted(maps.Keys(p.Connections)) {
			c := p.Connections[conn]
			key, err := reveal(repl, fmt.Sprintf("provider %q, connection %q, api_key", name, conn), c.APIKey)
			if err != nil {
				return d, err
			}
			proxies, err := c.Outbound.reveal(repl, fmt.Sprintf("provider %q, connection %q, ", name, conn))
			if err != nil {
				return d, err
			}
			d.Connections = append(d.Connections, store.Connection{
				ID: declaredID(name, conn), Proxies: proxies, Provider: name, Name: conn,
				Priority: c.Priority, Weight: c.Weight, MaxConcurrent: c.MaxConcurrent, Disabled: c.Disabled, Models: c.Models, APIKey: key,
			})
		}
		known, err := p.models()
		if err != nil {
			return d, fmt.Errorf("provider %q: %w", name, err)
		}
		if len(known) > 0 {
			if d.Models == nil {
				d.Models = make(map[string]map[string]provider.Model)
			}
			d.Models[name] = known
		}
		entry, ok := catalogue.Get(name)
		about := ok && !entry.Keyless && len(known) > 0 // its connections are made in the dashboard
		if p.BaseURL == "" && len(p.Connections) == 0 && !about {
			// A provider that needs no credential is connected by being named.
			d.Connections = append(d.Connections, store.Connection{ID: "declared:" + name, Provider: name, Name: "keyless"})
		}
	}
	for _, c := range d.Connections {
		if p, ok := catalogue.Get(c.Provider); ok && !p.Keyless && !c.APIKey.IsSet() {
			return d, fmt.Errorf("provider %q needs a credential: give it an api_key", c.Provider)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(a.Aliases)) {
		d.Aliases = append(d.Aliases, store.Alias{Name: name, Model: a.Aliases[name]})
	}
	for _, name := range slices.Sorted(maps.Keys(a.Combos)) {
		d.Combos = append(d.Combos, a.Combos[name].record(name))
	}
	for _, name := range slices.Sorted(maps.Keys(a.Keys)) {
		k := a.Keys[name]
		limits, err := k.limits()
		if err != nil {
			return d, fmt.Errorf("key %q: %w", name, err)
		}
		key, err := reveal(repl, fmt.Sprintf("key %q", name), k.Key)
		if err != nil {
			return d, err
		}
		if err := store.CheckKey(key.Reveal()); err != nil {
			return d, fmt.Errorf("key %q: %w", name, err)
		}
		d.Keys = append(d.Keys, gateway.DeclaredKey{Name: name, Secret: key, Limits: limits})
	}
	return d, nil
}

// models is what is said of the provider's models.
func (p *Provider) models() (map[string]provider.Model, error) {
	known := make(map[string]provider.Model, len(p.ModelInfo))
	for _, name := range slices.Sorted(maps.Keys(p.ModelInfo)) {
		m, err := p.ModelInfo[name].known()
		if err != nil {
			return nil, fmt.Errorf("model %q: %w", name, err)
		}
		known[name] = m
	}
	return known, nil
}
