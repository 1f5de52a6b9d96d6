package gateway

import (
	"net/http"
	"strings"
	"time"

	"github.com/nine-router/nine-router/caddymodule/provider"
	"github.com/nine-router/nine-router/store"
	"github.com/nine-router/nine-router/translate"
)

// A target is what a model name resolves to: a provider and its own name for the
// model.
type target struct {
	member *member
	model  string
}

// A candidate is a target with one connection.
type candidate struct {
	provider   *provider.Provider
	endpoint   *provider.Endpoint
	connection *store.Connection
	model      string
	// another says that a later candidate has another target, which may take a
	// request that this one refuses.
	another bool
}

// resolve returns what a name means, in the order to be tried: an alias or a
// combo by its name, a model by its provider's prefix, or a bare model name that
// some connection is known to offer.
func (s *snapshot) resolve(name string) []target {
	if to, ok := s.aliases[name]; ok {
		return s.resolve(to)
	}
	if members, ok := s.combos[name]; ok {
		var all []target
		for _, m := range members {
			all = append(all, s.resolve(m)...)
		}
		return all
	}
	if prefix, model, ok := strings.Cut(name, "/"); ok && model != "" {
		if m := s.providers[prefix]; m != nil {
			return []target{{m, model}}
		}
	}
	var all []target
	for _, m := range s.bare[name] {
		all = append(all, target{m, name})
	}
	return all
}

// candidates returns who may be asked, in order, without those that are set
// aside. If nobody is left it says why.
func (g *Gateway) candidates(s *snapshot, name string, format translate.Format, now time.Time) ([]candidate, *translate.Error, time.Duration) {
	targets := s.resolve(name)
	if len(targets) == 0 {
		return nil, unknownModel(name), 0
	}
	var list []candidate
	var soonest time.Time
	var reason string
	for _, t := range targets {
		for _, c := range t.member.connections {
			if !t.member.offers(c, t.model) {
				continue
			}
			cand := candidate{provider: t.member.Provider, endpoint: t.member.EndpointFor(format), connection: c, model: t.model}
			if cand.endpoint == nil || contained(list, &cand) {
				continue
			}
			if until, why := g.o.Health.until(&cand, now); !until.IsZero() {
				if soonest.IsZero() || until.Before(soonest) {
					soonest, reason = until, why
				}
				continue
			}
			list = append(list, cand)
		}
	}
	for i := range list {
		for _, later := range list[i+1:] {
			list[i].another = list[i].another || later.provider != list[i].provider || later.model != list[i].model
		}
	}
	switch {
	case len(list) > 0:
		return list, nil, 0
	case soonest.IsZero():
		return nil, unknownModel(name), 0
	}
	kind, status := translate.RateLimited, http.StatusTooManyRequests
	switch reason {
	case "rate_limited", "quota_spent":
	default:
		kind, status = translate.Overloaded, http.StatusServiceUnavailable
	}
	return nil, &translate.Error{Status: status, Kind: kind, Code: "connections_set_aside",
		Message: "Every connection for " + quote(name) + " is set aside for now (" + reason + ")."}, soonest.Sub(now)
}

// contained says that a combo names the same target twice.
func contained(list []candidate, c *candidate) bool {
	for i := range list {
		if list[i].connection == c.connection && list[i].model == c.model {
			return true
		}
	}
	return false
}

func unknownModel(name string) *translate.Error {
	return &translate.Error{Status: http.StatusNotFound, Kind: translate.NotFound, Code: "model_not_found", Param: "model",
		Message: "There is no model, alias or combo " + quote(name) + " here. GET /v1/models lists what there is."}
}

// quote shows a client's own text back to it, bounded.
func quote(s string) string {
	if len(s) > 80 {
		s = strings.ToValidUTF8(s[:80], "") + "…"
	}
	return "“" + s + "”"
}
