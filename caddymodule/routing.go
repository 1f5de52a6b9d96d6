package caddymodule

import (
	"fmt"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/nine-router/nine-router/caddymodule/gateway"
	"github.com/nine-router/nine-router/caddymodule/gateway/fault"
	"github.com/nine-router/nine-router/caddymodule/gateway/schedule"
	"github.com/nine-router/nine-router/caddymodule/provider"
	"github.com/nine-router/nine-router/store"
)

// Combo is a list of models that is named like a model.
type Combo struct {
	// Models, aliases and other combos, in the order in which they are tried
	// unless the strategy has another.
	Models []string `json:"models"`
	// The order among them: `priority`, `round_robin`, `weighted`, `least_busy`,
	// `fastest`, `cheapest` or `most_quota`. Default: that of the app.
	Strategy string `json:"strategy,omitempty"`
	// For `weighted`: the weights of the models, in their order. Default: 1 each.
	Weights []int `json:"weights,omitempty"`
	// For `round_robin`: how many exchanges before it is the next one's turn.
	// Default: 1.
	Sticky int `json:"sticky,omitempty"`
	// How long all attempts together may take until the first content. Default:
	// only what each attempt may take.
	Deadline caddy.Duration `json:"deadline,omitempty"`
}

// Retry says how often and when those are asked again who failed before they did
// any work, once nobody else is left.
type Retry struct {
	// Rounds after the first. Negative: none. Default: 1.
	Rounds int `json:"rounds,omitempty"`
	// How long to wait before the first of them; each further one doubles it, and
	// up to as much again is added by chance. Default: 250ms.
	BackOff caddy.Duration `json:"back_off,omitempty"`
	// How long an exchange waits for the first of those that are set aside, if all
	// are. Default: not at all; the client is told when to come again.
	Wait caddy.Duration `json:"wait,omitempty"`
	// The largest number of upstream requests for one exchange. Default: as many
	// as there are candidates.
	Attempts int `json:"attempts,omitempty"`
}

// Hedge sends a request to a second candidate as well when the first has no
// content by a certain time. Whoever has content first is taken and the other
// cancelled; both may cost.
type Hedge struct {
	// That time. Default: three times what the model usually takes, but at least
	// a second.
	After caddy.Duration `json:"after,omitempty"`
	// The largest part of requests that may be sent twice, from 0 to 1.
	// Default: 0.05.
	Share float64 `json:"share,omitempty"`
}

// Pace moves on from streams that are too slow in their first seconds. Nothing is
// sent to the client until a provider has shown that it keeps up.
type Pace struct {
	// How many characters a second are enough.
	CharactersPerSecond int `json:"characters_per_second"`
	// How long a provider may take to show it. Default: 5s.
	Within caddy.Duration `json:"within,omitempty"`
}

// FaultRule says whose fault an answer is, before the gateway's own rules do.
type FaultRule struct {
	// The statuses that it is for. Default: all that are errors.
	Statuses []int `json:"statuses,omitempty"`
	// A text that the answer contains, whatever its letters' case.
	Contains string `json:"contains,omitempty"`
	// A regular expression (RE2) that the answer matches.
	Matches string `json:"matches,omitempty"`
	// Whose fault it is, which decides what happens next: `request` (nobody is
	// punished), `model` and `connection` (set aside, the next one is asked), or
	// `provider` (set aside after several in a row).
	Scope string `json:"scope"`
	// A word for logs, traces and metrics. Default: "rule".
	Reason string `json:"reason,omitempty"`
	// For how long it is set aside. Default: what the provider says, else a pause
	// that grows.
	For caddy.Duration `json:"for,omitempty"`
}

func (t *Times) options() gateway.Times {
	if t == nil {
		return gateway.Times{}
	}
	return gateway.Times{
		Connect: time.Duration(t.Connect), FirstContent: time.Duration(t.FirstContent), Silence: time.Duration(t.Silence),
		Exchange: time.Duration(t.Exchange), KeepAlive: time.Duration(t.KeepAlive),
	}
}

func (r *Retry) options() gateway.Retry {
	if r == nil {
		return gateway.Retry{}
	}
	return gateway.Retry{Rounds: r.Rounds, BackOff: time.Duration(r.BackOff), Wait: time.Duration(r.Wait), Attempts: r.Attempts}
}

func (h *Hedge) options() gateway.Hedge {
	if h == nil {
		return gateway.Hedge{}
	}
	return gateway.Hedge{On: true, After: time.Duration(h.After), Share: h.Share}
}

func (p *Pace) options() gateway.Pace {
	if p == nil {
		return gateway.Pace{}
	}
	return gateway.Pace{CharactersPerSecond: p.CharactersPerSecond, Within: time.Duration(p.Within)}
}

func (c *Combo) record(name string) store.Combo {
	return store.Combo{Name: name, Models: c.Models, Weights: c.Weights, Strategy: c.Strategy, Sticky: c.Sticky, Deadline: time.Duration(c.Deadline)}
}

// settings are how the provider is treated.
func (p *Provider) settings(repl *caddy.Replacer, name string) (gateway.Settings, error) {
	s := gateway.Settings{
		Strategy: schedule.Strategy(p.Strategy), Sticky: p.Sticky, MaxConcurrent: p.MaxConcurrent,
		Queue: p.Queue, QueueTime: time.Duration(p.QueueTime), Times: p.Times.options(),
	}
	for model, t := range p.ModelTimes {
		if s.ModelTimes == nil {
			s.ModelTimes = make(map[string]gateway.Times, len(p.ModelTimes))
		}
		s.ModelTimes[model] = t.options()
	}
	headers := make(map[string]string, len(p.Headers))
	for header, text := range p.Headers {
		value, err := reveal(repl, "header "+header, text)
		if err != nil {
			return s, err
		}
		headers[header] = value.Reveal()
	}
	var err error
	if s.Headers, err = provider.Headers(headers); err != nil {
		return s, err
	}
	return s, s.Strategy.Check()
}

// faults makes the table of all rules.
func (a *App) faults() (*fault.Table, error) {
	var rules []fault.Rule
	add := func(provider string, list []FaultRule) {
		for _, r := range list {
			if r.Reason == "" {
				r.Reason = "rule"
			}
			rules = append(rules, fault.Rule{Provider: provider, Statuses: r.Statuses, Contains: r.Contains, Pattern: r.Matches,
				Scope: fault.Scope(r.Scope), Reason: r.Reason, For: time.Duration(r.For)})
		}
	}
	for name, p := range a.Providers {
		if p != nil {
			add(name, p.Faults)
		}
	}
	add("", a.Faults)
	table, err := fault.NewTable(rules)
	if err != nil {
		return nil, fmt.Errorf("fault: %w", err)
	}
	return table, nil
}
