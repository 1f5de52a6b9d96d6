package gateway

import (
	"context"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/nine-router/nine-router/caddymodule/provider"
	"github.com/nine-router/nine-router/store"
	"github.com/nine-router/nine-router/translate"
)

// exchange is one client request on its way.
type exchange struct {
	g     *Gateway
	w     http.ResponseWriter
	r     *http.Request
	ctx   context.Context // the client's, within the limit of the whole exchange
	call  call
	codec translate.Codec // of the client

	env     *envelope
	request *translate.Request // decoded when the first candidate needs it
	names   *translate.Names   // of the tools, for the candidate that is asked
	// foreign says that the body holds state of a provider of another format, so
	// that it cannot be passed on as it is.
	foreign bool
	// unresolved says that the body names a response that is not kept here.
	unresolved bool
	// strict says that the client would rather have an error than an answer to a
	// request of which something was lost.
	strict   bool
	out      client // what the client has been sent
	rec      store.Exchange
	recorded bool
}

// A failure is what the client is told when nothing is left to try.
type failure struct {
	err   *translate.Error
	fault fault
	// told says that the client has been answered already.
	told bool
}

// run reads the request and tries one candidate after the other.
func (x *exchange) run(snap *snapshot) *failure {
	body, refused := x.g.readBody(x.w, x.r)
	x.rec.BytesIn = int64(len(body))
	if refused != nil {
		return &failure{err: refused, fault: fault{Scope: ScopeRequest, Reason: "body"}}
	}
	env, refused := open(body, &x.call)
	if refused != nil {
		return &failure{err: refused, fault: fault{Scope: ScopeRequest, Reason: "malformed"}}
	}
	x.env = env
	x.strict = snap.strict[x.rec.KeyID] || slices.Contains(x.g.o.Strict.Models, env.model)
	if on, err := strconv.ParseBool(x.r.Header.Get("X-Nine-Router-Strict")); err == nil && on {
		x.strict = true
	}
	if refused := x.resolvePrevious(); refused != nil {
		return &failure{err: refused, fault: fault{Scope: ScopeGateway, Reason: "kept"}}
	}
	env = x.env
	x.foreign = translate.HasSeal(env.body)
	x.rec.Requested, x.rec.Stream = env.model, env.stream && x.call.op == provider.Chat
	list, refused, after := x.g.candidates(snap, env.model, x.call.format, time.Now())
	if refused != nil {
		f := fault{Scope: ScopeRequest, Reason: "unknown_model"}
		if refused.Kind != translate.NotFound {
			f = fault{Scope: ScopeConnection, Reason: "set_aside", After: after}
		}
		return &failure{err: refused, fault: f}
	}
	x.out.begin(x)
	defer x.out.end()
	return x.try(list)
}

// try asks the candidates in order. What one failure was decides who is asked
// next.
func (x *exchange) try(list []candidate) *failure {
	var best *failure
	var spent map[string]bool // connections that failed as a whole
	for i := range list {
		c := &list[i]
		if spent[c.connection.ID] {
			continue
		}
		x.rec.Attempts++
		x.rec.Provider, x.rec.Model, x.rec.ConnectionID = c.provider.Name, c.model, c.connection.ID
		x.rec.ProviderFormat = string(c.endpoint.Format)
		f := x.attempt(c, i == len(list)-1)
		if f == nil {
			x.g.o.Health.succeed(c)
			return nil
		}
		x.g.o.Health.fail(c, f.fault, time.Now(), rand.Float64())
		x.g.logAttempt(x, c, f)
		if f.told || f.fault.Scope == ScopeClient || f.fault.Scope == ScopeGateway || x.ctx.Err() != nil {
			return f
		}
		best = worse(best, f)
		switch f.fault.Scope {
		case ScopeRequest:
			if !f.fault.Elsewhere || !c.another {
				return f
			}
		case ScopeConnection:
			if !f.fault.ThisModel && !c.provider.Rehearsal {
				if spent == nil {
					spent = make(map[string]bool)
				}
				spent[c.connection.ID] = true
			}
		}
	}
	return best
}

// worse returns the failure that is more useful to the client. The soonest time
// at which anybody returns is kept, because that is when to try again.
func worse(a, b *failure) *failure {
	if a == nil {
		return b
	}
	rank := func(f *failure) int {
		switch f.fault.Scope {
		case ScopeRequest:
			return 4
		case ScopeConnection:
			if f.fault.Reason == "rate_limited" {
				return 3
			}
			return 1
		case ScopeProvider:
			return 2
		}
		return 0
	}
	best, other := a, b
	if rank(b) > rank(a) {
		best, other = b, a
	}
	if after := other.fault.After; after > 0 && (best.fault.After == 0 || after < best.fault.After) && best.fault.Scope != ScopeRequest {
		best.fault.After = after
	}
	return best
}

// fail tells the client what went wrong and puts the exchange into the books
// first.
func (x *exchange) fail(f *failure) {
	x.rec.Scope, x.rec.Reason = string(f.fault.Scope), f.fault.Reason
	switch {
	case f.fault.Scope == ScopeClient:
		x.rec.Outcome, x.rec.Status = store.Cancelled, statusClientClosed
		x.record()
		return
	case f.told:
		x.record()
		return
	}
	// A wrong credential of ours must not look like a wrong key of the client's.
	told := *f.err
	if f.fault.Scope == ScopeConnection || f.fault.Scope == ScopeModel {
		told = operators(told, f.fault)
	}
	x.rec.Outcome, x.rec.Status = store.Failed, told.Status
	if x.rec.Status == 0 {
		x.rec.Status = told.Kind.Status()
	}
	if x.out.started() {
		x.rec.Status = http.StatusOK
		x.record()
		x.out.failInStream(&told)
		return
	}
	x.record()
	x.rec.BytesOut = int64(x.g.writeError(x.w, x.call.format, &told, x.rec.ID, f.fault.After))
}

// operators turns a failure of the operator's account into what the client can
// understand: its own key is fine and there is nothing wrong with its request.
func operators(e translate.Error, f fault) translate.Error {
	switch f.Reason {
	case "unauthorized", "forbidden", "quota_spent":
		e.Status, e.Kind = http.StatusServiceUnavailable, translate.Overloaded
		e.Message = "The provider refuses this gateway's account: " + e.Message
	case "rate_limited":
		e.Status, e.Kind = http.StatusTooManyRequests, translate.RateLimited
	case "model_unavailable":
		e.Status, e.Kind = http.StatusNotFound, translate.NotFound
	}
	return e
}

func (x *exchange) release() {
	if x.request != nil {
		x.request.Release()
		x.request = nil
	}
}
