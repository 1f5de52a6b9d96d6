package caddymodule

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/nine-router/nine-router/caddymodule/gateway/schedule"
	"github.com/nine-router/nine-router/caddymodule/gateway/telemetry"
	"github.com/nine-router/nine-router/caddymodule/provider"
	"github.com/nine-router/nine-router/store"
	"github.com/nine-router/nine-router/translate"
)

// expose makes the metrics a part of what Caddy exposes. Each configuration has a
// registry of its own, so this is done for each.
func (o *observer) expose(registry prometheus.Registerer) error {
	err := registry.Register(o.metrics)
	if errors.As(err, new(prometheus.AlreadyRegisteredError)) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("registering the metrics: %w", err)
	}
	return nil
}

// connectionStates returns how the connections of the running configuration are,
// as it is whenever somebody asks.
func connectionStates(reports func() []schedule.Report) func() []telemetry.ProviderState {
	if reports == nil {
		return nil
	}
	return func() []telemetry.ProviderState {
		app, err := running()
		if err != nil {
			return nil
		}
		snap, err := app.lease.store.Snapshot(context.Background())
		if err != nil {
			return nil
		}
		return providerStates(slices.Concat(app.options.Declared.Connections, snap.Connections), reports(), time.Now())
	}
}

// providerStates counts connections by provider. One that cannot be asked for a
// single model counts as ready, one that was switched off does not count.
func providerStates(connections []store.Connection, reports []schedule.Report, now time.Time) []telemetry.ProviderState {
	aside := make(map[schedule.Subject]bool)
	for _, r := range reports {
		if r.Aside != nil && r.Aside.Until.After(now) {
			aside[r.Subject] = true
		}
	}
	var list []telemetry.ProviderState
	for _, c := range connections {
		if c.Disabled {
			continue
		}
		i, ok := slices.BinarySearchFunc(list, c.Provider, func(s telemetry.ProviderState, name string) int { return cmp.Compare(s.Provider, name) })
		if !ok {
			list = slices.Insert(list, i, telemetry.ProviderState{Provider: c.Provider})
		}
		if aside[schedule.Subject{Provider: c.Provider}] || aside[schedule.Subject{Provider: c.Provider, Connection: c.ID}] {
			list[i].SetAside++
		} else {
			list[i].Ready++
		}
	}
	return list
}

// providerAddress returns where a provider of the running configuration is reached.
func providerAddress(name, format string) (host string, port int) {
	app, err := running()
	if err != nil {
		return "", 0
	}
	nodes := app.options.Declared.Nodes
	if snap, err := app.lease.store.Snapshot(context.Background()); err == nil {
		nodes = slices.Concat(nodes, snap.Nodes)
	}
	base := ""
	if p, ok := app.options.Catalogue.Get(name); ok {
		base = baseURL(p, format)
	}
	for _, n := range nodes {
		if n.Name == name {
			base = n.BaseURL
		}
	}
	u, err := url.Parse(base)
	if err != nil {
		return "", 0
	}
	port, _ = strconv.Atoi(u.Port())
	return u.Hostname(), port
}

func baseURL(p *provider.Provider, format string) string {
	if e := p.EndpointFor(translate.Format(format)); e != nil {
		return e.BaseURL
	}
	return ""
}
