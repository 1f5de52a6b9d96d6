package caddymodule

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/nine-router/nine-router/store"
)

func init() {
	caddy.RegisterModule(new(adminAPI))
}

// adminAPI is what `caddy nine-router` talks to: a few operations on the running
// gateway, at Caddy's admin endpoint, which is the operator's alone.
type adminAPI struct{}

// CaddyModule returns the Caddy module information.
func (*adminAPI) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "admin.api.nine_router", New: func() caddy.Module { return new(adminAPI) }}
}

// Routes implements caddy.AdminRouter.
func (a *adminAPI) Routes() []caddy.AdminRoute {
	return []caddy.AdminRoute{{Pattern: adminPath, Handler: caddy.AdminHandlerFunc(a.serve)}}
}

const (
	adminPath = "/nine_router/"
	maxAdmin  = 1 << 20 // bytes of a request body
)

// running finds the app of the configuration that is running now: this module
// lives longer than any.
func running() (*App, error) {
	v, err := caddy.ActiveContext().AppIfConfigured("nine_router")
	if err != nil {
		return nil, caddy.APIError{HTTPStatus: http.StatusNotFound, Err: errors.New("the running configuration has no nine_router")}
	}
	app := v.(*App)
	select {
	case <-app.ready:
		return app, nil
	default:
		return nil, caddy.APIError{HTTPStatus: http.StatusServiceUnavailable, Err: errStarting}
	}
}

func (a *adminAPI) serve(w http.ResponseWriter, r *http.Request) error {
	app, err := running()
	if err != nil {
		return err
	}
	l, err := app.lease.hold()
	if err != nil {
		return caddy.APIError{HTTPStatus: http.StatusServiceUnavailable, Err: err}
	}
	defer l.release()
	op := admin{app: app, shared: l.shared, r: r}
	path := strings.TrimPrefix(r.URL.Path, adminPath)
	head, rest, _ := strings.Cut(path, "/")
	var v any
	switch r.Method + " " + head {
	case "GET keys":
		if rest != "" {
			v, err = op.key(rest)
		} else {
			v, err = op.keys()
		}
	case "POST keys":
		v, err = op.createKey()
	case "PATCH keys":
		v, err = op.limitKey(rest)
	case "DELETE keys":
		v, err = op.revokeKey(rest)
	case "GET connections":
		v, err = op.connections()
	case "POST connections":
		if id, ok := strings.CutSuffix(rest, "/test"); ok {
			v, err = op.testConnection(id)
		} else {
			v, err = op.addConnection()
		}
	case "DELETE connections":
		v, err = op.removeConnection(rest)
	case "GET combos":
		v, err = op.combos()
	case "PUT combos":
		v, err = op.setCombo(rest)
	case "DELETE combos":
		v, err = op.removeCombo(rest)
	case "GET aliases":
		v, err = op.aliases()
	case "PUT aliases":
		v, err = op.setAlias(rest)
	case "DELETE aliases":
		v, err = op.removeAlias(rest)
	case "GET models":
		v = app.running.Models()
	case "GET exchanges":
		if rest != "" {
			v, err = op.exchange(rest)
		} else {
			v, err = op.exchanges()
		}
	case "GET state":
		v = op.state()
	case "DELETE state":
		v, err = op.clear(rest)
	case "PUT quota":
		v, err = op.quota(rest)
	case "GET resolve":
		v, err = op.resolve(rest)
	default:
		return caddy.APIError{HTTPStatus: http.StatusNotFound, Err: fmt.Errorf("there is no %s %s", r.Method, r.URL.Path)}
	}
	if err != nil {
		return caddy.APIError{HTTPStatus: statusOf(err), Err: err}
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	return json.NewEncoder(w).Encode(v)
}

func statusOf(err error) int {
	switch {
	case errors.Is(err, store.ErrNotFound):
		return http.StatusNotFound
	case errors.Is(err, store.ErrExists), errors.Is(err, store.ErrConflict), errors.Is(err, errDeclared):
		return http.StatusConflict
	case errors.Is(err, store.ErrClosed):
		return http.StatusServiceUnavailable
	}
	return http.StatusBadRequest
}

// admin is one operation.
type admin struct {
	app *App
	shared
	r *http.Request
}

func (o *admin) body(v any) error {
	d := json.NewDecoder(http.MaxBytesReader(nil, o.r.Body, maxAdmin))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return errors.New("the request's body is not what this operation takes")
	}
	return nil
}

func (o *admin) snapshot() (*store.Snapshot, error) { return o.store.Snapshot(o.r.Context()) }

// apply writes the changes if the gateway can live with them, and waits until it
// does.
func (o *admin) apply(changes ...store.Change) error {
	// Two changes that are right by themselves may be wrong together.
	o.saving.Lock()
	defer o.saving.Unlock()
	if err := o.app.running.Check(o.r.Context(), changes...); err != nil {
		return fmt.Errorf("nothing was changed: %w", err)
	}
	if _, err := o.store.Apply(o.r.Context(), changes...); err != nil {
		return err
	}
	return o.app.running.Reload(o.r.Context())
}

// errDeclared is the error for what only the configuration can change.
var errDeclared = errors.New("it stands in the configuration: change it there and reload")

// Interface guard
var _ caddy.AdminRouter = (*adminAPI)(nil)
