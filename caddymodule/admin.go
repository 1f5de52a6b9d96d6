package caddymodule

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/nine-router/nine-router/caddymodule/gateway"
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
	op := admin{app: app, store: l.store, r: r}
	path := strings.TrimPrefix(r.URL.Path, adminPath)
	head, rest, _ := strings.Cut(path, "/")
	var v any
	switch r.Method + " " + head {
	case "GET keys":
		v, err = op.keys()
	case "POST keys":
		v, err = op.createKey()
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
	case errors.Is(err, store.ErrExists), errors.Is(err, store.ErrConflict):
		return http.StatusConflict
	case errors.Is(err, store.ErrClosed):
		return http.StatusServiceUnavailable
	}
	return http.StatusBadRequest
}

// admin is one operation.
type admin struct {
	app   *App
	store store.Store
	r     *http.Request
}

// keyView is a key as it is shown. Secret is there once, when it is made.
type keyView struct {
	ID       string    `json:"id"`
	Name     string    `json:"name"`
	Hint     string    `json:"hint"`
	Revoked  bool      `json:"revoked,omitempty"`
	Declared bool      `json:"declared,omitempty"`
	Created  time.Time `json:"created,omitzero"`
	Secret   string    `json:"secret,omitempty"`
}

// connectionView is a connection as it is shown, without its credential.
type connectionView struct {
	ID       string   `json:"id"`
	Provider string   `json:"provider"`
	Name     string   `json:"name"`
	Priority int      `json:"priority"`
	Models   []string `json:"models,omitempty"`
	Disabled bool     `json:"disabled,omitempty"`
	Declared bool     `json:"declared,omitempty"`
	Hint     string   `json:"hint,omitempty"`
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
	if _, err := o.store.Apply(o.r.Context(), changes...); err != nil {
		return err
	}
	return o.app.running.Reload(o.r.Context())
}

func (o *admin) keys() ([]keyView, error) {
	snap, err := o.snapshot()
	if err != nil {
		return nil, err
	}
	list := []keyView{}
	for _, d := range o.app.options.Declared.Keys {
		list = append(list, keyView{ID: "declared:" + d.Name, Name: d.Name, Hint: store.Hint(d.Secret.Reveal()), Declared: true})
	}
	for _, k := range snap.Keys {
		list = append(list, keyView{ID: k.ID, Name: k.Name, Hint: k.Hint, Revoked: k.Revoked, Created: k.Created})
	}
	return list, nil
}

func (o *admin) createKey() (keyView, error) {
	var in struct {
		Name string `json:"name"`
	}
	if err := o.body(&in); err != nil {
		return keyView{}, err
	}
	if strings.TrimSpace(in.Name) == "" {
		return keyView{}, errors.New("a key needs a name")
	}
	for _, d := range o.app.options.Declared.Keys {
		if d.Name == in.Name {
			return keyView{}, fmt.Errorf("key %q is declared in the configuration: %w", in.Name, store.ErrExists)
		}
	}
	snap, err := o.snapshot()
	if err != nil {
		return keyView{}, err
	}
	secret, hint := store.NewKey()
	k := &store.Key{ID: store.NewID("key"), Name: in.Name, Hash: snap.Hasher.Hash(secret), Hint: hint, Created: time.Now().UTC()}
	if err := o.apply(store.Put(k).At(0)); err != nil {
		return keyView{}, err
	}
	return keyView{ID: k.ID, Name: k.Name, Hint: k.Hint, Created: k.Created, Secret: secret}, nil
}

func (o *admin) revokeKey(idOrName string) (keyView, error) {
	snap, err := o.snapshot()
	if err != nil {
		return keyView{}, err
	}
	for _, k := range snap.Keys {
		if k.ID == idOrName || k.Name == idOrName && !k.Revoked {
			k.Revoked = true
			if err := o.apply(store.Put(&k).At(k.Rev)); err != nil {
				return keyView{}, err
			}
			return keyView{ID: k.ID, Name: k.Name, Hint: k.Hint, Revoked: true, Created: k.Created}, nil
		}
	}
	return keyView{}, fmt.Errorf("key %q: %w", idOrName, store.ErrNotFound)
}

func view(c store.Connection, declared bool) connectionView {
	v := connectionView{ID: c.ID, Provider: c.Provider, Name: c.Name, Priority: c.Priority, Models: c.Models, Disabled: c.Disabled, Declared: declared}
	if c.APIKey.IsSet() {
		v.Hint = store.Hint(c.APIKey.Reveal())
	}
	return v
}

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

func (o *admin) addConnection() (connectionView, error) {
	var in struct {
		Provider string   `json:"provider"`
		Name     string   `json:"name"`
		APIKey   string   `json:"api_key"`
		Priority int      `json:"priority"`
		Models   []string `json:"models"`
	}
	if err := o.body(&in); err != nil {
		return connectionView{}, err
	}
	if err := o.knows(in.Provider); err != nil {
		return connectionView{}, err
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
		ID: store.NewID("conn"), Provider: in.Provider, Name: in.Name, Priority: in.Priority, Models: in.Models,
		APIKey: store.NewSecret(strings.TrimSpace(in.APIKey)), Created: time.Now().UTC(),
	}
	if err := o.apply(store.Put(c).At(0)); err != nil {
		return connectionView{}, err
	}
	return view(*c, false), nil
}

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
	return connectionView{}, fmt.Errorf("connection %q: %w; one that is declared is removed from the configuration", id, store.ErrNotFound)
}

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

// Interface guard
var _ caddy.AdminRouter = (*adminAPI)(nil)
