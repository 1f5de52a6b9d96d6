package caddymodule

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/nine-router/nine-router/caddymodule/gateway/fault"
	"github.com/nine-router/nine-router/caddymodule/gateway/schedule"
)

// errNoOption says that a block has no such option.
var errNoOption = errors.New("no such option")

// block parses a block whose options come once each.
func block(d *caddyfile.Dispenser, name string, option func(string) error) error {
	once := once{}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if err := once.check(d); err != nil {
			return err
		}
		word := d.Val()
		if err := option(word); err != nil {
			if err == errNoOption {
				return d.Errf("%s has no option %q", name, word)
			}
			return err
		}
	}
	return nil
}

func whole[N int | int64](d *caddyfile.Dispenser, to *N, least N) error {
	name := d.Val()
	var word string
	if !d.AllArgs(&word) {
		return d.ArgErr()
	}
	n, err := strconv.ParseInt(strings.ReplaceAll(word, "_", ""), 10, 64)
	if err != nil || n < int64(least) || int64(N(n)) != n {
		return d.Errf("%s: %q is not a whole number of at least %d", name, word, least)
	}
	*to = N(n)
	return nil
}

func strategy(d *caddyfile.Dispenser, to *string) error {
	if err := oneArg(d, to); err != nil {
		return err
	}
	if err := schedule.Strategy(*to).Check(); err != nil {
		return d.Errf("strategy: %v", err)
	}
	return nil
}

// parseCombo parses:
//
//	combo <name> <model...> {
//		<model...>
//		strategy <strategy>
//		weights  <number...>
//		sticky   <number>
//		deadline <duration>
//	}
func (a *App) parseCombo(d *caddyfile.Dispenser) error {
	if !d.NextArg() {
		return d.ArgErr()
	}
	name := d.Val()
	if _, ok := a.Combos[name]; ok {
		return d.Errf("combo %q was given before", name)
	}
	c := &Combo{Models: d.RemainingArgs()}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		var err error
		switch d.Val() {
		case "strategy":
			err = strategy(d, &c.Strategy)
		case "sticky":
			err = whole(d, &c.Sticky, 1)
		case "deadline":
			err = duration(d, &c.Deadline, false)
		case "weights":
			err = weights(d, &c.Weights)
		default:
			c.Models = append(c.Models, d.Val())
			c.Models = append(c.Models, d.RemainingArgs()...)
		}
		if err != nil {
			return err
		}
	}
	if len(c.Models) == 0 {
		return d.Errf("combo %q needs at least one model", name)
	}
	if len(c.Weights) > len(c.Models) {
		return d.Errf("combo %q has %d weights for %d models", name, len(c.Weights), len(c.Models))
	}
	if a.Combos == nil {
		a.Combos = make(map[string]*Combo)
	}
	a.Combos[name] = c
	return nil
}

func weights(d *caddyfile.Dispenser, to *[]int) error {
	args := d.RemainingArgs()
	if len(args) == 0 {
		return d.ArgErr()
	}
	for _, word := range args {
		n, err := strconv.Atoi(word)
		if err != nil || n < 1 || n > 1_000_000 {
			return d.Errf("weights: %q is not a whole number from 1 to 1000000", word)
		}
		*to = append(*to, n)
	}
	return nil
}

// parseTimes parses:
//
//	times {
//		connect       <duration>
//		first_content <duration>
//		silence       <duration>
//		exchange      <duration>
//		keep_alive    <duration>|off
//	}
//
// The last two are those of a whole exchange, so they cannot be a provider's.
func parseTimes(d *caddyfile.Dispenser, t *Times, all bool) error {
	return block(d, "times", func(option string) error {
		switch {
		case option == "connect":
			return duration(d, &t.Connect, false)
		case option == "first_content":
			return duration(d, &t.FirstContent, false)
		case option == "silence":
			return duration(d, &t.Silence, false)
		case option == "exchange" && all:
			return duration(d, &t.Exchange, false)
		case option == "keep_alive" && all:
			return duration(d, &t.KeepAlive, true)
		}
		return errNoOption
	})
}

// parseTimes parses the times of a provider or, with a name, of one of its
// models.
func (p *Provider) parseTimes(d *caddyfile.Dispenser) error {
	t := new(Times)
	args := d.RemainingArgs()
	switch len(args) {
	case 0:
		if p.Times != nil {
			return d.Err("times was given before")
		}
		p.Times = t
	case 1:
		if _, ok := p.ModelTimes[args[0]]; ok {
			return d.Errf("times of %q was given before", args[0])
		}
		if p.ModelTimes == nil {
			p.ModelTimes = make(map[string]*Times)
		}
		p.ModelTimes[args[0]] = t
	default:
		return d.ArgErr()
	}
	return parseTimes(d, t, false)
}

// parseQueue parses:
//
//	queue <number> [<duration>]
func (p *Provider) parseQueue(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) < 1 || len(args) > 2 {
		return d.ArgErr()
	}
	n, err := strconv.Atoi(args[0])
	if err != nil || n < 1 {
		return d.Errf("queue: %q is not a number of requests that may wait", args[0])
	}
	p.Queue = n
	if len(args) == 2 {
		v, err := caddy.ParseDuration(args[1])
		if err != nil || v <= 0 {
			return d.Errf("queue: %q is not a duration such as 30s", args[1])
		}
		p.QueueTime = caddy.Duration(v)
	}
	return nil
}

// parseRetry parses:
//
//	retry off | {
//		rounds   <number>
//		back_off <duration>
//		wait     <duration>
//		attempts <number>
//	}
func (a *App) parseRetry(d *caddyfile.Dispenser) error {
	a.Retry = &Retry{}
	if args := d.RemainingArgs(); len(args) > 0 {
		if len(args) > 1 || args[0] != "off" {
			return d.ArgErr()
		}
		a.Retry.Rounds = -1
		return nil
	}
	return block(d, "retry", func(option string) error {
		switch option {
		case "rounds":
			return whole(d, &a.Retry.Rounds, 1)
		case "back_off":
			return duration(d, &a.Retry.BackOff, false)
		case "wait":
			return duration(d, &a.Retry.Wait, false)
		case "attempts":
			return whole(d, &a.Retry.Attempts, 1)
		}
		return errNoOption
	})
}

// parseHedge parses:
//
//	hedge {
//		after <duration>
//		share <percent>
//	}
func (a *App) parseHedge(d *caddyfile.Dispenser) error {
	if d.NextArg() {
		return d.ArgErr()
	}
	a.Hedge = &Hedge{}
	return block(d, "hedge", func(option string) error {
		switch option {
		case "after":
			return duration(d, &a.Hedge.After, false)
		case "share":
			var word string
			if err := oneArg(d, &word); err != nil {
				return err
			}
			n, err := strconv.ParseFloat(strings.TrimSuffix(word, "%"), 64)
			if err != nil || !strings.HasSuffix(word, "%") || !(n > 0 && n <= 100) {
				return d.Errf("share: %q is not a percentage such as 3%%", word)
			}
			a.Hedge.Share = n / 100
			return nil
		}
		return errNoOption
	})
}

// parsePace parses:
//
//	pace <characters per second> [<within>]
func (a *App) parsePace(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) < 1 || len(args) > 2 {
		return d.ArgErr()
	}
	n, err := strconv.Atoi(args[0])
	if err != nil || n < 1 {
		return d.Errf("pace: %q is not a number of characters per second", args[0])
	}
	a.Pace = &Pace{CharactersPerSecond: n}
	if len(args) == 2 {
		v, err := caddy.ParseDuration(args[1])
		if err != nil || v <= 0 {
			return d.Errf("pace: %q is not a duration such as 5s", args[1])
		}
		a.Pace.Within = caddy.Duration(v)
	}
	return nil
}

// parseFault parses:
//
//	fault [<status...>] {
//		contains <text>
//		matches  <regular expression>
//		scope    request|model|connection|provider
//		reason   <word>
//		for      <duration>
//	}
func parseFault(d *caddyfile.Dispenser, to *[]FaultRule) error {
	var r FaultRule
	for _, word := range d.RemainingArgs() {
		n, err := strconv.Atoi(word)
		if err != nil || n < 200 || n > 599 {
			return d.Errf("fault: %q is not a status", word)
		}
		r.Statuses = append(r.Statuses, n)
	}
	err := block(d, "fault", func(option string) error {
		switch option {
		case "contains":
			return oneArg(d, &r.Contains)
		case "matches":
			return oneArg(d, &r.Matches)
		case "reason":
			return oneArg(d, &r.Reason)
		case "for":
			return duration(d, &r.For, false)
		case "scope":
			if err := oneArg(d, &r.Scope); err != nil {
				return err
			}
			if scopes := []fault.Scope{fault.Request, fault.Model, fault.Connection, fault.Provider}; !slices.Contains(scopes, fault.Scope(r.Scope)) {
				return d.Errf("scope: expected request, model, connection or provider, not %q", r.Scope)
			}
			return nil
		}
		return errNoOption
	})
	switch {
	case err != nil:
		return err
	case r.Scope == "":
		return d.Err("fault needs a scope")
	case len(r.Statuses) == 0 && r.Contains == "" && r.Matches == "":
		return d.Err("fault needs a status, contains or matches")
	}
	if _, err := fault.NewTable([]fault.Rule{{Contains: r.Contains, Pattern: r.Matches, Statuses: r.Statuses, Scope: fault.Scope(r.Scope), Reason: "rule"}}); err != nil {
		return d.Errf("fault: %v", err)
	}
	*to = append(*to, r)
	return nil
}

// parseKey parses:
//
//	key <name> <placeholder> {
//		models     <name...>
//		operations <operation...>
//		networks   <address or range...>
//		expires    <time>
//		requests   <number per minute>
//		tokens     <number per minute>
//		concurrent <number>
//		spend      <dollars> day|week|month|total
//	}
func (a *App) parseKey(d *caddyfile.Dispenser) error {
	k := new(Key)
	var name string
	if args := d.RemainingArgs(); len(args) == 2 {
		name, k.Key = args[0], args[1]
	} else {
		return d.ArgErr()
	}
	if _, ok := a.Keys[name]; ok {
		return d.Errf("key %q was given before", name)
	}
	once := once{}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		option := d.Val()
		if option != "spend" {
			if err := once.check(d); err != nil {
				return err
			}
		}
		var err error
		switch option {
		case "models":
			err = models(d, &k.Models)
		case "operations":
			err = models(d, &k.Operations)
		case "networks":
			err = models(d, &k.Networks)
		case "expires":
			err = moment(d, &k.Expires)
		case "requests":
			err = whole(d, &k.RequestsPerMinute, 1)
		case "tokens":
			err = whole(d, &k.TokensPerMinute, 1)
		case "concurrent":
			err = whole(d, &k.Concurrent, 1)
		case "spend":
			err = k.parseSpend(d)
		default:
			err = d.Errf("key has no option %q", option)
		}
		if err != nil {
			return err
		}
		if _, err := k.limits(); err != nil {
			return d.Errf("%v", err)
		}
	}
	if a.Keys == nil {
		a.Keys = make(map[string]*Key)
	}
	a.Keys[name] = k
	return nil
}

func (k *KeyLimits) parseSpend(d *caddyfile.Dispenser) error {
	var amount, period string
	if !d.AllArgs(&amount, &period) {
		return d.ArgErr()
	}
	to := k.spend(period)
	switch {
	case to == nil:
		return d.Errf("spend: expected day, week, month or total, not %q", period)
	case *to != "":
		return d.Errf("spend for %s was given before", period)
	}
	*to = strings.TrimPrefix(amount, "$")
	return nil
}

// moment parses a time, or a day, which is its beginning in UTC.
func moment(d *caddyfile.Dispenser, to *time.Time) error {
	name := d.Val()
	var word string
	if !d.AllArgs(&word) {
		return d.ArgErr()
	}
	t, err := readMoment(word)
	if err != nil {
		return d.Errf("%s: %v", name, err)
	}
	*to = t
	return nil
}

// readMoment reads a time, or a day, which is its beginning in UTC.
func readMoment(word string) (time.Time, error) {
	for _, layout := range [...]string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, word); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is neither a day such as 2027-01-31 nor a time such as 2027-01-31T12:00:00Z", word)
}
