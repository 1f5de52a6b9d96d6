package gateway

import (
	"context"
	"slices"
	"time"

	"github.com/nine-router/nine-router/caddymodule/gateway/schedule"
)

// Clear forgets the failures of a provider, a connection or a connection's use of
// one model, so that it may be asked again at once. It lists what was set aside.
func (g *Gateway) Clear(ctx context.Context, s schedule.Subject) []schedule.Subject {
	cleared := g.o.Board.Clear(s)
	g.wellAgain(ctx, cleared)
	return cleared
}

// spentReasons are those for which a reading of the quota that shows some left is
// the better knowledge.
var spentReasons = []string{"quota_spent", "rate_limited"}

// SetQuota notes a reading of which part of a connection's quota is left, from 0 to
// 1. If some is, the connection is well again that was set aside because it was
// spent. It lists what was.
func (g *Gateway) SetQuota(ctx context.Context, provider, connection string, left float64) []schedule.Subject {
	g.o.Board.SetQuota(provider, connection, left)
	if left <= 0 {
		return nil
	}
	var cleared []schedule.Subject
	for _, r := range g.o.Board.Reports() {
		if r.Provider == provider && r.Connection == connection && r.Aside != nil && slices.Contains(spentReasons, r.Aside.Reason) {
			cleared = append(cleared, g.Clear(ctx, r.Subject)...)
		}
	}
	return cleared
}

// A Named is a connection as people call it.
type Named struct {
	Provider, Name, ID string
}

// Connections lists the connections that are in use.
func (g *Gateway) Connections() (list []Named) {
	for _, m := range g.snap.Load().byName {
		for _, c := range m.Connections() {
			list = append(list, Named{m.Name, c.Name, c.ID})
		}
	}
	return list
}

// An Explanation is what a name resolves to now: a combo of others, or a target
// with its connections.
type Explanation struct {
	// Of a combo, or a name that several providers offer.
	Strategy string        `json:"strategy,omitempty"`
	Members  []Explanation `json:"members,omitempty"`

	// Of a target.
	Provider    string      `json:"provider,omitempty"`
	Model       string      `json:"model,omitempty"`
	Barred      string      `json:"barred,omitempty"` // why the key may not use it
	Connections []Candidate `json:"connections,omitempty"`
}

// A Candidate is a connection with where it stands.
type Candidate struct {
	ID       string    `json:"id"`
	Name     string    `json:"name"`
	Priority int       `json:"priority"`
	Running  int64     `json:"running"`
	Quota    *float64  `json:"quota,omitempty"`  // the part of it that is left, by the last reading
	Reason   string    `json:"reason,omitempty"` // why it would be passed over now
	Until    time.Time `json:"until,omitzero"`   // when it may be asked again
}

// Resolved is what a name means.
type Resolved struct {
	Name string `json:"name"`
	// By is the alias, combo or pattern that it was found by, if it was one.
	By string `json:"by,omitempty"`
	// Denied is why the key would be refused now, whatever it asked for.
	Denied string      `json:"denied,omitempty"`
	Plan   Explanation `json:"plan"`
}

// maxExplained bounds how many connections of a target are shown.
const maxExplained = 100

// Resolve says what a name means now and where everybody stands, for the key with
// the given id; empty is anybody. It asks nobody. It is false if the name means
// nothing; then the text says which names are nearest.
func (g *Gateway) Resolve(name, keyID string) (Resolved, string, bool) {
	s := g.snap.Load()
	k := nobody
	for _, other := range s.keys {
		if keyID != "" && (other.id == keyID || other.name == keyID) {
			k = other
		}
	}
	if keyID != "" && k == nobody {
		return Resolved{}, "There is no key " + quote(keyID) + ".", false
	}
	m := s.resolve(name)
	if m == nil {
		return Resolved{}, s.unknownModel(name, k).Message, false
	}
	all, now := k.names(name) || k.names(m.by), time.Now()
	return Resolved{Name: name, By: m.by, Denied: g.refuses(k, now), Plan: g.explain(m.plan, k, all, now)}, "", true
}

// refuses says why a key would be refused, whatever it asked for.
func (g *Gateway) refuses(k *key, now time.Time) string {
	if k.limits == nil {
		return ""
	}
	if e := k.limits.Expires; !e.IsZero() && !now.Before(e) {
		return "expired"
	}
	for _, w := range g.o.Ledger.Standing(k.id, k.limits, now) {
		if w.Remaining == 0 {
			return w.Limit + " is used up"
		}
	}
	return ""
}

func (g *Gateway) explain(p *schedule.Plan, k *key, all bool, now time.Time) (e Explanation) {
	if len(p.Members) > 0 {
		if e.Strategy = string(p.Strategy); e.Strategy == "" {
			e.Strategy = string(schedule.Priority)
		}
		for _, m := range p.Ranked(g.o.Board) {
			e.Members = append(e.Members, g.explain(m, k, all, now))
		}
		return e
	}
	if p.Target.Provider == nil {
		e.Barred = "nobody_offers_it"
		return e
	}
	e.Provider, e.Model = p.Target.Provider.Name, p.Target.Model
	if e.Strategy = string(p.Target.Provider.Strategy); e.Strategy == string(schedule.Priority) {
		e.Strategy = ""
	}
	info, _ := p.Target.Provider.Model(p.Target.Model)
	switch {
	case !all && !k.reaches(p):
		e.Barred = "not_allowed"
	case k.limits != nil && k.limits.SpendDay+k.limits.SpendWeek+k.limits.SpendMonth+k.limits.SpendTotal > 0 && info.PriceAt(0) == nil:
		e.Barred = "price_unknown"
	}
	for _, c := range p.Target.Provider.Ranked(p.Target.Model) {
		if len(e.Connections) == maxExplained {
			break
		}
		cand := Candidate{ID: c.ID, Name: c.Name, Priority: c.Priority, Running: c.Running(), Quota: c.Quota()}
		cand.Reason, cand.Until = g.o.Board.Refusal(schedule.Candidate{Target: p.Target, Connection: c}, now)
		e.Connections = append(e.Connections, cand)
	}
	return e
}
