package gateway

import (
	"net/http"
	"strings"
	"time"

	"github.com/nine-router/nine-router/caddymodule/gateway/fault"
	"github.com/nine-router/nine-router/caddymodule/gateway/schedule"
	"github.com/nine-router/nine-router/caddymodule/provider"
	"github.com/nine-router/nine-router/store"
	"github.com/nine-router/nine-router/translate"
	"github.com/nine-router/nine-router/translate/tokens"
)

// pass begins to go over what the model's name resolves to.
func (x *exchange) pass() *schedule.Pass {
	p := x.g.o.Board.Begin(x.meaning.plan)
	p.Skipped = x.passOver
	if x.ends == nil {
		x.ends = map[*schedule.Plan]time.Time{}
	}
	p.Ends = x.ends
	for _, t := range x.failed.refused {
		p.Leave(t)
	}
	for _, c := range x.failed.dear {
		p.Without(c)
	}
	if k := x.key; k.limits != nil && len(k.limits.Models) > 0 && !k.names(x.env.model) && !k.names(x.meaning.by) {
		p.Barred = func(l *schedule.Plan) string {
			if k.reaches(l) {
				return ""
			}
			return "not_allowed"
		}
	}
	if len(x.meaning.plan.Members) > 0 {
		p.Unable = x.unable
	}
	if x.meaning.plan.Choice() && x.g.o.Keeping.Affinity > 0 {
		x.prefer(p)
	}
	return p
}

// unable says why a target would probably refuse the request.
func (x *exchange) unable(l *schedule.Plan) string {
	model, ok := l.Target.Provider.Model(l.Target.Model)
	if !ok {
		return ""
	}
	if x.need == nil {
		x.need = &provider.Need{Input: tokens.Rough(len(x.env.body)), Output: x.env.outputLimit()}
		if x.call.op == provider.Chat {
			x.need.Abilities = provider.Needs(x.call.format, x.env.body)
		}
	}
	return model.Unable(*x.need)
}

// maxPassed bounds how many of those that were passed over are traced.
const maxPassed = 64

// passOver notes who was not asked, and why.
func (x *exchange) passOver(c schedule.Candidate, reason string, until time.Time) {
	if len(x.trace.Passed) >= maxPassed {
		return
	}
	p := store.PassedOver{Provider: c.Provider.Name, Model: c.Model, Reason: reason, Until: until}
	if c.Connection != nil {
		p.Connection = c.Connection.ID
	}
	x.trace.Passed = append(x.trace.Passed, p)
}

// soonest keeps in a failure when anybody who was passed over returns, because
// that is when to try again.
func (x *exchange) soonest(pass *schedule.Pass, f *failure) *failure {
	at, _ := pass.Soonest()
	if f.fault.Scope == fault.Request || at.IsZero() {
		return f
	}
	after := max(time.Until(at), time.Millisecond)
	x.failed.soonest = after
	if f.fault.After == 0 || after < f.fault.After {
		f.fault.After = after
	}
	switch {
	case after > longAfter:
	case f.rank() < rankProvider:
		// That one account is refused, or has no such model, is of no use to a
		// client whom another will answer soon.
		return x.nobody(pass)
	default:
		f.fault.Final = false
	}
	return f
}

// nobody is the failure of an exchange for which nobody could be asked.
func (x *exchange) nobody(pass *schedule.Pass) *failure {
	at, reason := pass.Soonest()
	if at.IsZero() && pass.Considered() {
		// They are well again at this moment, or have had their try.
		at, reason = time.Now().Add(time.Second), "busy"
	}
	if at.IsZero() {
		for _, p := range x.trace.Passed {
			if p.Reason == reasonDeadline {
				return late()
			}
			if p.Reason == "not_allowed" {
				return refusal(&translate.Error{Status: http.StatusForbidden, Kind: translate.Forbidden, Code: "model_not_allowed", Param: "model",
					Message: "The key may not use the model " + quote(x.env.model) + "."}, "not_allowed")
			}
		}
		if m := x.meaning; m.kind != "" {
			return refusal(&translate.Error{Status: http.StatusNotFound, Kind: translate.NotFound, Code: "model_not_found", Param: "model",
				Message: "Nobody offers what the " + m.kind + " " + quote(m.by) + " stands for: " + m.note + "."}, "unknown_model")
		}
		return refusal(x.snap.unknownModel(x.env.model, x.key), "unknown_model")
	}
	x.failed.soonest = max(time.Until(at), time.Millisecond)
	f := &failure{unasked: true, fault: fault.Fault{Scope: fault.Connection, Reason: "set_aside", After: x.failed.soonest}}
	f.err = &translate.Error{Status: http.StatusServiceUnavailable, Kind: translate.Overloaded, Code: "connections_set_aside"}
	if reason == "rate_limited" || reason == "quota_spent" {
		f.err.Status, f.err.Kind = http.StatusTooManyRequests, translate.RateLimited
	}
	f.err.Message = "Every connection for " + quote(x.env.model) + " is set aside for now (" + reason + ")."
	return f
}

// maxTried bounds how many attempts an error names.
const maxTried = 5

// tried tells which attempts there were, if there were several.
func (x *exchange) tried(f *failure) string {
	if len(x.trace.Attempts) < 2 || f.fault.Scope == fault.Request {
		return ""
	}
	var b strings.Builder
	b.WriteString(" Tried:")
	for i := range x.trace.Attempts {
		if i == maxTried {
			b.WriteString(" and others")
			break
		}
		a := &x.trace.Attempts[i]
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(" " + a.Provider + "/" + a.Model + " (" + a.Reason + ")")
	}
	return b.String() + "."
}
