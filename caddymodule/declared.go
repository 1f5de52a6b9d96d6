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
	var d gateway.Declared
	for _, name := range slices.Sorted(maps.Keys(a.Providers)) {
		p := a.Providers[name]
		if p == nil {
			p = &Provider{}
		}
		if p.BaseURL != "" {
			d.Nodes = append(d.Nodes, store.Node{Name: name, Prefix: p.Prefix, Format: p.Format, BaseURL: p.BaseURL, Headers: p.Headers, Models: p.Models, Private: p.private()})
		} else if p.Format != "" || p.Prefix != "" || len(p.Headers) > 0 || len(p.Models) > 0 || p.Private {
			return d, fmt.Errorf("provider %q: format, prefix, headers, models and private belong to a node, which needs a base_url", name)
		}
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
				Priority: c.Priority, Disabled: c.Disabled, Models: c.Models, APIKey: key,
			})
		}
		if p.BaseURL == "" && len(p.Connections) == 0 {
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
		d.Combos = append(d.Combos, store.Combo{Name: name, Models: a.Combos[name]})
	}
	for _, name := range slices.Sorted(maps.Keys(a.Keys)) {
		key, err := reveal(repl, fmt.Sprintf("key %q", name), a.Keys[name])
		if err != nil {
			return d, err
		}
		if err := store.CheckKey(key.Reveal()); err != nil {
			return d, fmt.Errorf("key %q: %w", name, err)
		}
		d.Keys = append(d.Keys, gateway.DeclaredKey{Name: name, Secret: key})
	}
	return d, nil
}
