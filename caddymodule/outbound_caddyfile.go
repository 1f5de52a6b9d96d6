package caddymodule

import (
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/nine-router/nine-router/caddymodule/provider/egress"
)

// parseProxy parses the proxies of everything, of a provider or of a connection:
//
//	proxy <url...>
//	proxy none
//
// A URL with a placeholder can only be checked when the placeholder has a value.
func (o *Outbound) parseProxy(d *caddyfile.Dispenser) error {
	o.Proxies = d.RemainingArgs()
	if len(o.Proxies) == 0 {
		return d.ArgErr()
	}
	if len(o.Proxies) > maxProxies {
		return d.Errf("proxy: there are more than %d", maxProxies)
	}
	for _, p := range o.Proxies {
		switch {
		case p == noProxy && len(o.Proxies) > 1:
			return d.Err("proxy: none stands alone")
		case p == noProxy || strings.Contains(p, "{"):
		default:
			if _, err := egress.ParseProxy(p); err != nil {
				return d.Errf("proxy: %v", err)
			}
		}
	}
	return nil
}
