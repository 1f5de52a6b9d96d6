package caddymodule

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/dustin/go-humanize"

	"github.com/nine-router/nine-router/caddymodule/provider"
)

func init() {
	httpcaddyfile.RegisterGlobalOption("nine_router", parseOption)
	// Directives with one anchor keep the order of their registration. Both
	// stand before respond, so that a site's fallback does not shadow them.
	httpcaddyfile.RegisterHandlerDirective("nine_router_dashboard", parseDashboard)
	httpcaddyfile.RegisterDirectiveOrder("nine_router_dashboard", httpcaddyfile.Before, "respond")
	httpcaddyfile.RegisterHandlerDirective("nine_router", parseHandler)
	httpcaddyfile.RegisterDirectiveOrder("nine_router", httpcaddyfile.Before, "respond")
}

// parseOption parses the global option:
//
//	nine_router {
//		data_dir       <directory>
//		encryption_key <placeholder>
//		open
//		query_keys
//		sockets        on|off
//		strict {
//			keys   <name...>
//			models <model...>
//		}
//		first_key      on|off
//		max_body       <size>
//		max_answer     <size>
//		max_event      <size>
//		default_model  <model>
//		strategy       <strategy>
//		affinity       <duration>|off
//		pace           <characters per second> [<within>]
//		times { ... }
//		retry off | { ... }
//		hedge { ... }
//		fault [<status...>] { ... }
//		proxy        <url...>|none
//		proxy_strict on|off
//		transport <name> {
//			...
//		}
//		provider <name> {
//			format   openai|responses|anthropic|gemini|ollama|cohere
//			base_url <url>
//			prefix   <prefix>
//			header   <name> <value>
//			models   <model...>
//			model <name|pattern> {
//				context    <tokens>
//				max_output <tokens>
//				lacks      <ability...>|nothing
//				price      <input> <output> [<cache read> [<cache write>]]|free
//			}
//			private
//			proxy        <url...>|none
//			proxy_strict on|off
//			transport <name> {
//				...
//			}
//			api_key  <placeholder>
//			strategy <strategy>
//			sticky   <number>
//			max_concurrent <number>
//			queue    <number> [<duration>]
//			times [<model>] { ... }
//			fault [<status...>] { ... }
//			connection <name> {
//				api_key  <placeholder>
//				priority <number>
//				weight   <number>
//				max_concurrent <number>
//				models   <model...>
//				proxy        <url...>|none
//				proxy_strict on|off
//				disabled
//			}
//		}
//		alias <name> <model>
//		combo <name> <model...> { ... }
//		key   <name> <placeholder> { ... }
//	}
//
// What the further blocks have in them stands with the functions that parse them.
func parseOption(d *caddyfile.Dispenser, earlier any) (any, error) {
	if earlier != nil {
		d.Next()
		return nil, d.Err("the option nine_router was given before; put all of it into one block")
	}
	app := new(App)
	if err := app.UnmarshalCaddyfile(d); err != nil {
		return nil, err
	}
	return httpcaddyfile.App{Name: "nine_router", Value: caddyconfig.JSON(app, nil)}, nil
}

// UnmarshalCaddyfile sets up the app from Caddyfile tokens.
func (a *App) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if d.NextArg() {
		return d.ArgErr()
	}
	once := once{}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		name := d.Val()
		switch name {
		case "provider", "alias", "combo", "key", "fault":
		default:
			if err := once.check(d); err != nil {
				return err
			}
		}
		var err error
		switch name {
		case "data_dir":
			err = oneArg(d, &a.DataDir)
		case "encryption_key":
			err = oneArg(d, &a.EncryptionKey)
		case "open":
			err = flag(d, &a.Open)
		case "query_keys":
			err = flag(d, &a.QueryKeys)
		case "sockets":
			var word string
			if err = oneArg(d, &word); err == nil && word != "off" && word != "on" {
				err = d.Errf("sockets: expected on or off, not %q", word)
			}
			a.NoSockets = word == "off"
		case "strict":
			err = a.parseStrict(d)
		case "first_key":
			err = onOff(d, &a.FirstKey)
		case "max_body":
			err = size(d, &a.MaxBody)
		case "max_answer":
			err = size(d, &a.MaxAnswer)
		case "max_event":
			err = size(d, &a.MaxEvent)
		case "times":
			if d.NextArg() {
				return d.ArgErr()
			}
			err = parseTimes(d, &a.Times, true)
		case "default_model":
			err = oneArg(d, &a.DefaultModel)
		case "strategy":
			err = strategy(d, &a.Strategy)
		case "affinity":
			err = duration(d, &a.Affinity, true)
		case "retry":
			err = a.parseRetry(d)
		case "hedge":
			err = a.parseHedge(d)
		case "pace":
			err = a.parsePace(d)
		case "fault":
			err = parseFault(d, &a.Faults)
		case "transport":
			err = parseTransport(d, &a.TransportRaw)
		case "proxy":
			err = a.parseProxy(d)
		case "proxy_strict":
			err = onOff(d, &a.ProxyStrict)
		case "provider":
			err = a.parseProvider(d)
		case "alias":
			err = pair(d, "alias", &a.Aliases)
		case "combo":
			err = a.parseCombo(d)
		case "key":
			err = a.parseKey(d)
		default:
			err = d.Errf("nine_router has no option %q", name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// once refuses an option that comes twice.
type once map[string]bool

func (o once) check(d *caddyfile.Dispenser) error {
	if o[d.Val()] {
		return d.Errf("%s was given before", d.Val())
	}
	o[d.Val()] = true
	return nil
}

func oneArg(d *caddyfile.Dispenser, to *string) error {
	if !d.AllArgs(to) {
		return d.ArgErr()
	}
	return nil
}

func flag(d *caddyfile.Dispenser, to *bool) error {
	if d.NextArg() {
		return d.ArgErr()
	}
	*to = true
	return nil
}

func onOff(d *caddyfile.Dispenser, to **bool) error {
	var word string
	if !d.AllArgs(&word) {
		return d.ArgErr()
	}
	if word != "on" && word != "off" {
		return d.Errf("expected on or off, not %q", word)
	}
	on := word == "on"
	*to = &on
	return nil
}

func size(d *caddyfile.Dispenser, to *int64) error {
	name := d.Val()
	var word string
	if !d.AllArgs(&word) {
		return d.ArgErr()
	}
	n, err := humanize.ParseBytes(word)
	if err != nil || n == 0 || n > 1<<40 {
		return d.Errf("%s: %q is not a size such as 32MiB", name, word)
	}
	*to = int64(n)
	return nil
}

func duration(d *caddyfile.Dispenser, to *caddy.Duration, off bool) error {
	name := d.Val()
	var word string
	if !d.AllArgs(&word) {
		return d.ArgErr()
	}
	if off && word == "off" {
		*to = -1
		return nil
	}
	v, err := caddy.ParseDuration(word)
	if err != nil || v <= 0 {
		return d.Errf("%s: %q is not a duration such as 90s", name, word)
	}
	*to = caddy.Duration(v)
	return nil
}

// pair parses a name and what it stands for.
func pair(d *caddyfile.Dispenser, what string, to *map[string]string) error {
	var name, value string
	if !d.AllArgs(&name, &value) {
		return d.ArgErr()
	}
	if _, ok := (*to)[name]; ok {
		return d.Errf("%s %q was given before", what, name)
	}
	if *to == nil {
		*to = make(map[string]string)
	}
	(*to)[name] = value
	return nil
}

func (a *App) parseStrict(d *caddyfile.Dispenser) error {
	if d.NextArg() {
		return d.ArgErr()
	}
	a.Strict = &Strict{}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		what := d.Val()
		names := d.RemainingArgs()
		switch {
		case what != "keys" && what != "models":
			return d.Errf("strict has no option %q", what)
		case len(names) == 0:
			return d.ArgErr()
		case what == "keys":
			a.Strict.Keys = append(a.Strict.Keys, names...)
		default:
			a.Strict.Models = append(a.Strict.Models, names...)
		}
	}
	return nil
}

func parseTransport(d *caddyfile.Dispenser, to *json.RawMessage) error {
	if !d.NextArg() {
		return d.ArgErr()
	}
	name := d.Val()
	m, err := caddyfile.UnmarshalModule(d, "http.reverse_proxy.transport."+name)
	if err != nil {
		return err
	}
	*to = caddyconfig.JSONModuleObject(m, "protocol", name, nil)
	return nil
}

func (a *App) parseProvider(d *caddyfile.Dispenser) error {
	var name string
	if !d.NextArg() {
		return d.ArgErr()
	}
	name = d.Val()
	if d.NextArg() {
		return d.ArgErr()
	}
	if _, ok := a.Providers[name]; ok {
		return d.Errf("provider %q was given before", name)
	}
	p := new(Provider)
	once := once{}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		option := d.Val()
		switch option {
		case "header", "connection", "model", "times", "fault":
		default:
			if err := once.check(d); err != nil {
				return err
			}
		}
		var err error
		switch option {
		case "format":
			if err = oneArg(d, &p.Format); err == nil && !slices.Contains(provider.Formats(), p.Format) {
				err = d.Errf("format: expected one of %s, not %q", strings.Join(provider.Formats(), ", "), p.Format)
			}
		case "base_url":
			err = oneArg(d, &p.BaseURL)
		case "prefix":
			err = oneArg(d, &p.Prefix)
		case "header":
			err = pair(d, "header", &p.Headers)
		case "models":
			err = models(d, &p.Models)
		case "model":
			err = p.parseModel(d)
		case "api_key":
			c := new(Connection)
			if err = oneArg(d, &c.APIKey); err == nil {
				err = p.add(d, "default", c)
			}
		case "connection":
			err = p.parseConnection(d)
		case "strategy":
			err = strategy(d, &p.Strategy)
		case "sticky":
			err = whole(d, &p.Sticky, 1)
		case "max_concurrent":
			err = whole(d, &p.MaxConcurrent, 1)
		case "queue":
			err = p.parseQueue(d)
		case "times":
			err = p.parseTimes(d)
		case "fault":
			err = parseFault(d, &p.Faults)
		case "private":
			err = flag(d, &p.Private)
		case "proxy":
			err = p.parseProxy(d)
		case "proxy_strict":
			err = onOff(d, &p.ProxyStrict)
		case "transport":
			err = parseTransport(d, &p.TransportRaw)
		default:
			err = d.Errf("provider has no option %q", option)
		}
		if err != nil {
			return err
		}
	}
	if a.Providers == nil {
		a.Providers = make(map[string]*Provider)
	}
	a.Providers[name] = p
	return nil
}

func models(d *caddyfile.Dispenser, to *[]string) error {
	*to = d.RemainingArgs()
	if len(*to) == 0 {
		return d.ArgErr()
	}
	return nil
}

func (p *Provider) add(d *caddyfile.Dispenser, name string, c *Connection) error {
	if _, ok := p.Connections[name]; ok {
		return d.Errf("connection %q was given before", name)
	}
	if strings.Contains(name, "/") {
		return d.Errf("connection %q: a name has no slash", name)
	}
	if p.Connections == nil {
		p.Connections = make(map[string]*Connection)
	}
	p.Connections[name] = c
	return nil
}

func (p *Provider) parseConnection(d *caddyfile.Dispenser) error {
	var name string
	if !d.NextArg() {
		return d.ArgErr()
	}
	name = d.Val()
	if d.NextArg() {
		return d.ArgErr()
	}
	c := new(Connection)
	if err := p.add(d, name, c); err != nil {
		return err
	}
	once := once{}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if err := once.check(d); err != nil {
			return err
		}
		var err error
		switch d.Val() {
		case "api_key":
			err = oneArg(d, &c.APIKey)
		case "priority":
			var word string
			if err = oneArg(d, &word); err == nil {
				if c.Priority, err = strconv.Atoi(word); err != nil {
					err = d.Errf("priority: %q is not a whole number", word)
				}
			}
		case "weight":
			err = whole(d, &c.Weight, 1)
		case "max_concurrent":
			err = whole(d, &c.MaxConcurrent, 1)
		case "models":
			err = models(d, &c.Models)
		case "disabled":
			err = flag(d, &c.Disabled)
		case "proxy":
			err = c.parseProxy(d)
		case "proxy_strict":
			err = onOff(d, &c.ProxyStrict)
		default:
			err = d.Errf("connection has no option %q", d.Val())
		}
		if err != nil {
			return err
		}
	}
	return nil
}
