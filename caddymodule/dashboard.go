package caddymodule

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/nine-router/nine-router/dashboard"
)

func init() {
	caddy.RegisterModule(new(Dashboard))
}

// Dashboard serves the gateway's web pages. As yet these are one page at the
// root that says what is there, and `/api/health` for monitoring. All other
// requests go on to the next handler.
type Dashboard struct {
	// The path at which it stands, such as `/router`. Default: the root of the
	// site, or what a surrounding `handle_path` leaves of it.
	Prefix string `json:"prefix,omitempty"`

	pages http.Handler
}

// CaddyModule returns the Caddy module information.
func (*Dashboard) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.nine_router_dashboard", New: func() caddy.Module { return new(Dashboard) }}
}

// Provision sets up the pages. It loads the app, so that the gateway runs
// wherever its dashboard is.
func (h *Dashboard) Provision(ctx caddy.Context) error {
	if h.Prefix != "" && (!strings.HasPrefix(h.Prefix, "/") || strings.HasSuffix(h.Prefix, "/")) {
		return fmt.Errorf("the prefix %q must begin with a slash and not end with one", h.Prefix)
	}
	app, err := ctx.App("nine_router")
	if err != nil {
		return err
	}
	h.pages = dashboard.New(func() bool {
		select {
		case <-app.(*App).ready:
			return true
		default:
			return false
		}
	})
	return nil
}

// ServeHTTP serves the pages.
func (h *Dashboard) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	path, ok := strings.CutPrefix(r.URL.Path, h.Prefix)
	if ok && path == "" {
		// Relative, so that it holds behind a handle_path as well.
		http.Redirect(w, r, h.Prefix[strings.LastIndexByte(h.Prefix, '/')+1:]+"/", http.StatusFound)
		return nil
	}
	if !ok || !dashboard.Claims(r.Method, path) {
		return next.ServeHTTP(w, r)
	}
	http.StripPrefix(h.Prefix, h.pages).ServeHTTP(w, r)
	return nil
}

// Interface guards
var (
	_ caddy.Provisioner           = (*Dashboard)(nil)
	_ caddyhttp.MiddlewareHandler = (*Dashboard)(nil)
)
