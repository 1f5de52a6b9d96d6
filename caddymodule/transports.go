package caddymodule

import (
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/nine-router/nine-router/caddymodule/gateway"
	"github.com/nine-router/nine-router/caddymodule/provider"
	"github.com/nine-router/nine-router/caddymodule/provider/egress"
	"github.com/nine-router/nine-router/store"
)

// Transports are the ways to the providers. Connections that are reached in the
// same way share a transport, and with it the connections that it keeps open.
type Transports struct {
	own        []netip.AddrPort
	global     way
	byProvider map[string]way
	strict     map[string]bool // of declared connections that say so, by id

	mu     sync.RWMutex
	shared map[kind]http.RoundTripper
	chosen map[string]choice // of connections with proxies of their own, by id
}

// A kind is all that makes one transport differ from another.
type kind struct {
	base    *base
	level   egress.Level
	proxies string
	strict  bool
}

// A choice is the transport of one connection, as long as nothing changes.
type choice struct {
	proxies []store.Secret
	kind    kind // but for its proxies
	rt      http.RoundTripper
}

func newTransports(own []netip.AddrPort) *Transports {
	return &Transports{
		own: own, byProvider: make(map[string]way), strict: make(map[string]bool),
		shared: make(map[kind]http.RoundTripper), chosen: make(map[string]choice),
	}
}

// For returns what carries requests to a provider with one of its connections, or
// with none if c is nil. It never fails: a way that cannot be gone fails the
// request.
func (t *Transports) For(p *provider.Provider, c *store.Connection) http.RoundTripper {
	w, ok := t.byProvider[p.Name]
	if !ok {
		w = t.global
	}
	k := kind{base: w.base, level: level(p), proxies: w.proxies, strict: w.strict}
	if p.Local && !w.near {
		k.proxies = ""
	}
	if c != nil {
		if strict, ok := t.strict[c.ID]; ok {
			k.strict = strict
		}
		if len(c.Proxies) > 0 {
			return t.withOwn(k, c)
		}
	}
	return t.of(k)
}

// of returns the transport of a kind.
func (t *Transports) of(k kind) http.RoundTripper {
	t.mu.RLock()
	rt := t.shared[k]
	t.mu.RUnlock()
	if rt != nil {
		return rt
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if rt = t.shared[k]; rt == nil {
		rt = t.make(k)
		t.shared[k] = rt
	}
	return rt
}

// withOwn returns the transport of a connection with proxies of its own.
func (t *Transports) withOwn(k kind, c *store.Connection) http.RoundTripper {
	k.proxies = ""
	t.mu.RLock()
	was, ok := t.chosen[c.ID]
	t.mu.RUnlock()
	if ok && was.kind == k && slices.Equal(was.proxies, c.Proxies) {
		return was.rt
	}
	now := choice{proxies: slices.Clone(c.Proxies), kind: k}
	k.proxies = joined(c.Proxies)
	now.rt = t.of(k)
	t.mu.Lock()
	t.chosen[c.ID] = now
	t.mu.Unlock()
	return now.rt
}

// takes says why a connection's own proxies could not be used.
func (t *Transports) takes(c *store.Connection) error {
	if len(c.Proxies) == 0 {
		return nil
	}
	w, ok := t.byProvider[c.Provider]
	if !ok {
		w = t.global
	}
	if w.base.http == nil {
		return errNoProxies
	}
	_, err := readProxies(c.Proxies)
	return err
}

func (t *Transports) make(k kind) http.RoundTripper {
	g := egress.Guard{Level: k.level, Own: t.own}
	if k.proxies == "" {
		return k.base.direct(g)
	}
	if k.base.http == nil {
		return failing{errNoProxies}
	}
	var list []store.Secret
	for line := range strings.SplitSeq(k.proxies, "\n") {
		list = append(list, store.NewSecret(line))
	}
	urls, err := readProxies(list)
	if err != nil {
		return failing{err}
	}
	pool := egress.NewPool(urls, func(u *url.URL) http.RoundTripper { return k.base.via(u, g) })
	if !k.strict {
		pool.Direct = k.base.direct(g)
	}
	return pool
}

// failing is a way that cannot be gone. It must not become another one.
type failing struct{ err error }

func (f failing) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body != nil {
		req.Body.Close()
	}
	return nil, f.err
}

// CloseIdleConnections closes what is kept open and not in use. Exchanges that are
// under way go on.
func (t *Transports) CloseIdleConnections() {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for _, rt := range t.shared {
		if c, ok := rt.(interface{ CloseIdleConnections() }); ok {
			c.CloseIdleConnections()
		}
	}
}

// Interface guard
var _ gateway.Transports = (*Transports)(nil)
