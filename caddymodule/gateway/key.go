package gateway

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/nine-router/nine-router/caddymodule/gateway/schedule"
	"github.com/nine-router/nine-router/caddymodule/provider"
	"github.com/nine-router/nine-router/store"
	"github.com/nine-router/nine-router/translate"
)

// A key is what a client came in with, as a snapshot knows it.
type key struct {
	id, name string
	strict   bool
	limits   *store.Limits // nil if it has none
	networks []netip.Prefix
}

// nobody is who comes in without a key.
var nobody = &key{}

// keyTable maps the hashes of all keys that open the gateway to what they are.
func (o *Options) keyTable(snap *store.Snapshot) (map[store.KeyHash]*key, error) {
	keys := make(map[store.KeyHash]*key, len(snap.Keys)+len(o.Declared.Keys))
	names := make(map[string]bool, len(o.Declared.Keys))
	add := func(hash store.KeyHash, id, name string, limits *store.Limits) error {
		k := &key{id: id, name: name, strict: slices.Contains(o.Strict.Keys, name)}
		if !limits.IsZero() {
			k.limits = limits
			for _, text := range limits.Networks {
				p, err := network(text)
				if err != nil {
					return fmt.Errorf("key %q: %w", name, err)
				}
				k.networks = append(k.networks, p)
			}
		}
		keys[hash] = k
		return nil
	}
	for i := range o.Declared.Keys {
		d := &o.Declared.Keys[i]
		names[d.Name] = true
		if err := add(snap.Hasher.Hash(d.Secret.Reveal()), "declared:"+d.Name, d.Name, &d.Limits); err != nil {
			return nil, err
		}
	}
	for i := range snap.Keys {
		k := &snap.Keys[i]
		if k.Revoked {
			continue
		}
		if names[k.Name] {
			return nil, inBoth("key", k.Name)
		}
		if err := add(k.Hash, k.ID, k.Name, &k.Limits); err != nil {
			return nil, err
		}
	}
	return keys, nil
}

// network reads an address, or a range of them.
func network(text string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(text); err == nil {
		a = a.Unmap().WithZone("")
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%q is neither an address nor a range such as 10.0.0.0/8", text)
	}
	return p.Masked(), nil
}

// welcome says why the key may not come in now or from here.
func (k *key) welcome(r *http.Request, now time.Time) *translate.Error {
	if k.limits == nil {
		return nil
	}
	if e := k.limits.Expires; !e.IsZero() && !now.Before(e) {
		return unauthenticated("The key has expired.")
	}
	if len(k.networks) == 0 {
		return nil
	}
	addr, err := netip.ParseAddr(clientIP(r))
	if err == nil {
		addr = addr.Unmap().WithZone("")
		if slices.ContainsFunc(k.networks, func(p netip.Prefix) bool { return p.Contains(addr) }) {
			return nil
		}
	}
	return &translate.Error{Status: http.StatusForbidden, Kind: translate.Forbidden, Code: "address_not_allowed", Message: "The key may not be used from this address."}
}

// clientIP is the address of the client as the web server knows it, else that of
// the connection.
func clientIP(r *http.Request) string {
	if ip, ok := r.Context().Value(ClientIP).(string); ok && ip != "" {
		return ip
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

type contextKey string

// ClientIP is the key of the request's context under which the web server puts the
// client's address as text, where it knows better than the connection.
const ClientIP contextKey = "client_ip"

// may says why the key may not ask for an operation.
func (k *key) may(op provider.Operation) *translate.Error {
	if k.limits == nil || len(k.limits.Operations) == 0 || slices.Contains(k.limits.Operations, string(op)) {
		return nil
	}
	return &translate.Error{Status: http.StatusForbidden, Kind: translate.Forbidden, Code: "operation_not_allowed",
		Message: "The key may not be used for this operation. It may be used for: " + strings.Join(k.limits.Operations, ", ") + "."}
}

// names says that the key may ask for a name, with all that it stands for.
func (k *key) names(name string) bool {
	if k.limits == nil || len(k.limits.Models) == 0 {
		return true
	}
	return slices.ContainsFunc(k.limits.Models, func(pattern string) bool { return fits(pattern, name) })
}

// lists says that a model is one of those that the key is shown: by its name, or by
// its name without a provider.
func (k *key) lists(m Model) bool {
	_, bare, _ := strings.Cut(m.ID, "/")
	return k.names(m.ID) || bare != "" && k.names(bare)
}

// reaches says that the key may ask for a target, whatever it was asked for by.
func (k *key) reaches(p *schedule.Plan) bool {
	return k.names(p.Target.Provider.ModelPrefix()+"/"+p.Target.Model) || k.names(p.Target.Model)
}

// fits says that a name is that of a pattern, in which * stands for any text.
func fits(pattern, name string) bool {
	before, rest, ok := strings.Cut(pattern, "*")
	if !ok {
		return pattern == name
	}
	if !strings.HasPrefix(name, before) {
		return false
	}
	name = name[len(before):]
	for {
		part, after, more := strings.Cut(rest, "*")
		if !more {
			return strings.HasSuffix(name, part)
		}
		i := strings.Index(name, part)
		if i < 0 {
			return false
		}
		name, rest = name[i+len(part):], after
	}
}
