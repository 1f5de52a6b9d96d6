package gateway

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/nine-router/nine-router/caddymodule/gateway/fault"
	"github.com/nine-router/nine-router/caddymodule/provider"
	"github.com/nine-router/nine-router/store"
	"github.com/nine-router/nine-router/store/limit"
	"github.com/nine-router/nine-router/translate"
	"github.com/nine-router/nine-router/translate/tokens"
)

// guessedOutput is what an exchange reserves for its output, in tokens, unless it
// asks for less. Real answers to agents are mostly shorter; what one is longer, a
// limit may be exceeded by.
const guessedOutput = 1024

// estimate is how many tokens the exchange reserves before it is known what it
// takes: its input by its size, its output as it is guessed.
func (x *exchange) estimate() (input, output int64) {
	input = tokens.Rough(len(x.env.body))
	switch x.call.op {
	case provider.Chat, provider.Compact:
		output = guessedOutput
		if n := x.env.outputLimit(); n > 0 {
			output = min(n, guessedOutput)
		}
	case provider.CountTokens:
		input = 0
	}
	return input, output
}

// reserve takes what the exchange will probably use from the limits of its key.
func (x *exchange) reserve() *failure {
	if x.key.limits == nil {
		return nil
	}
	input, output := x.estimate()
	r, denied := x.g.o.Ledger.Reserve(limit.Ask{Key: x.key.id, Limits: x.key.limits, Tokens: input + output, Priced: true, Now: x.rec.Began})
	now := time.Now()
	if denied != nil {
		return x.denied(denied, now)
	}
	x.reserved = r
	x.out.limits = rateHeaders(x.call.format, r.Windows(now), now)
	return nil
}

// afford reserves what the attempt will probably cost, or says why its model is too
// dear for the key.
func (x *exchange) afford(a *attempt) *failure {
	if x.reserved == nil || x.call.op == provider.CountTokens {
		return nil
	}
	input, output := x.estimate()
	info, _ := a.Provider.Model(a.Model)
	price, cost := info.PriceAt(input), store.Money(0)
	if price != nil {
		cost = price.Cost(input, 0, 0, output)
	}
	now := time.Now()
	denied := x.reserved.Adjust(input+output, cost, price != nil, now)
	if denied == nil {
		return nil
	}
	if denied.Limit == limit.Price {
		return &failure{fault: fault.Fault{Scope: fault.Gateway, Reason: "price_unknown", Final: true}, err: &translate.Error{Status: http.StatusPaymentRequired, Kind: translate.Billing, Code: "price_unknown",
			Message: "The key has a budget, and what " + quote(a.Provider.ModelPrefix()+"/"+a.Model) + " costs is not known here. Its price has to be configured first."}}
	}
	return x.denied(denied, now)
}

// settle replaces what was reserved by what was used. It comes after the books have
// the exchange.
func (x *exchange) settle() {
	if x.reserved == nil {
		return
	}
	now := time.Now()
	if x.rec.Attempts == 0 || x.rec.Outcome == store.Failed {
		x.reserved.Release(now)
	} else {
		x.reserved.Settle(x.rec.Input+x.rec.Output, x.rec.Cost, now)
	}
	x.reserved = nil
}

// denied tells which limit of its key the client has come up against.
func (x *exchange) denied(d *limit.Denial, now time.Time) *failure {
	f := &failure{fault: fault.Fault{Scope: fault.Gateway, Reason: d.Limit}, err: &translate.Error{Code: d.Limit + "_exceeded"}}
	if !d.Reset.IsZero() {
		f.fault.After = max(d.Reset.Sub(now), time.Second)
	}
	spend := strings.HasPrefix(d.Limit, "spend_")
	switch {
	case d.Limit == "concurrent":
		f.err.Status, f.err.Kind = http.StatusTooManyRequests, translate.RateLimited
		f.err.Message = fmt.Sprintf("The key has %d requests under way, as many as it may have.", d.Allowed)
		f.fault.After = time.Second
	case spend && d.Pending:
		// What others have reserved may come back in a moment.
		f.err.Status, f.err.Kind = http.StatusTooManyRequests, translate.RateLimited
		f.err.Message = "What is left of the key's budget is reserved by its requests that are under way."
		f.fault.After = time.Second
	case spend:
		f.err.Status, f.err.Kind = http.StatusPaymentRequired, translate.Billing
		f.err.Message = "The key's budget for the " + strings.TrimPrefix(d.Limit, "spend_") + " is spent: " + dollars(d.Used) + " of " + dollars(d.Allowed) + "."
		if d.Limit == "spend_total" {
			f.err.Message = "The key's budget is spent: " + dollars(d.Used) + " of " + dollars(d.Allowed) + "."
		}
		f.fault.Final = true
		data := map[string]any{"key": x.key.id, "name": x.key.name, "limit": d.Limit}
		if !d.Reset.IsZero() {
			data["reset"] = rfc3339(d.Reset)
			f.err.Message += " It begins anew at " + rfc3339(d.Reset) + "."
		}
		x.g.o.Observer.Event(x.ctx, Event{Name: EventBudgetExceeded, Data: data})
	default:
		f.err.Status, f.err.Kind = http.StatusTooManyRequests, translate.RateLimited
		f.err.Message = fmt.Sprintf("The key may have %d %s.", d.Allowed, strings.ReplaceAll(d.Limit, "_", " "))
		if input, output := x.estimate(); d.Limit == limit.TokensPerMinute {
			f.err.Message += fmt.Sprintf(" This request may take %d, and %d are left.", input+output, max(d.Allowed-d.Used, 0))
		}
		windows := []limit.Window{{Limit: d.Limit, Allowed: d.Allowed, Remaining: max(d.Allowed-d.Used, 0), Reset: d.Reset}}
		f.limits = rateHeaders(x.call.format, windows, now)
	}
	return f
}

func dollars(n int64) string { return "$" + store.Money(n).USD() }

// rateHeaders tells a client how much of its limits is left, in the header that it
// knows: https://platform.openai.com/docs/guides/rate-limits and
// https://platform.claude.com/docs/en/api/rate-limits.
func rateHeaders(f translate.Format, windows []limit.Window, now time.Time) http.Header {
	h := http.Header{}
	for _, w := range windows {
		what, _, ok := strings.Cut(w.Limit, "_per_minute")
		if !ok {
			continue
		}
		allowed, left := strconv.FormatInt(w.Allowed, 10), strconv.FormatInt(max(w.Remaining, 0), 10)
		until := max(w.Reset.Sub(now), 0).Round(time.Millisecond)
		if f == translate.Anthropic {
			h.Set("Anthropic-Ratelimit-"+what+"-Limit", allowed)
			h.Set("Anthropic-Ratelimit-"+what+"-Remaining", left)
			h.Set("Anthropic-Ratelimit-"+what+"-Reset", rfc3339(now.Add(until+time.Second-1)))
			continue
		}
		h.Set("X-Ratelimit-Limit-"+what, allowed)
		h.Set("X-Ratelimit-Remaining-"+what, left)
		h.Set("X-Ratelimit-Reset-"+what, until.String())
	}
	return h
}
