package caddymodule

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// parseHandler parses the directive:
//
//	nine_router [<matcher>] {
//		prefix <path>
//	}
func parseHandler(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	handler := new(Handler)
	return handler, handler.UnmarshalCaddyfile(h.Dispenser)
}

// UnmarshalCaddyfile sets up the handler from Caddyfile tokens.
func (h *Handler) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	return parsePrefix(d, "nine_router", &h.Prefix)
}

// parseDashboard parses the directive:
//
//	nine_router_dashboard [<matcher>] {
//		prefix <path>
//	}
func parseDashboard(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	handler := new(Dashboard)
	return handler, handler.UnmarshalCaddyfile(h.Dispenser)
}

// UnmarshalCaddyfile sets up the handler from Caddyfile tokens.
func (h *Dashboard) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	return parsePrefix(d, "nine_router_dashboard", &h.Prefix)
}

// parsePrefix parses a directive whose only option is its prefix.
func parsePrefix(d *caddyfile.Dispenser, directive string, prefix *string) error {
	d.Next()
	if d.NextArg() {
		return d.ArgErr()
	}
	once := once{}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if err := once.check(d); err != nil {
			return err
		}
		if d.Val() != "prefix" {
			return d.Errf("%s has no option %q", directive, d.Val())
		}
		if err := oneArg(d, prefix); err != nil {
			return err
		}
		if *prefix == "" || (*prefix)[0] != '/' || (*prefix)[len(*prefix)-1] == '/' {
			return d.Errf("prefix: %q must begin with a slash and not end with one", *prefix)
		}
	}
	return nil
}
