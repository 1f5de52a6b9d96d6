package caddymodule

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nine-router/nine-router/caddymodule/gateway"
	"github.com/nine-router/nine-router/caddymodule/gateway/schedule"
	"github.com/nine-router/nine-router/store"
)

// exchangeView is an exchange with why it went where it went.
type exchangeView struct {
	Exchange store.Exchange  `json:"exchange"`
	Trace    json.RawMessage `json:"trace,omitempty"`
	// Names are those of the connections in it that there still are, by their ids.
	Names map[string]string `json:"names,omitempty"`
}

// name returns what a connection is called, or its id if it is gone.
func (v *exchangeView) name(id string) string {
	if name := v.Names[id]; name != "" {
		return name
	}
	return id
}

// exchange answers GET exchanges/{id}.
func (o *admin) exchange(id string) (exchangeView, error) {
	e, err := o.store.Exchange(o.r.Context(), id)
	if err != nil {
		return exchangeView{}, fmt.Errorf("exchange %q: %w", id, err)
	}
	v := exchangeView{Exchange: *e, Trace: e.Trace, Names: make(map[string]string)}
	for _, c := range o.app.running.Connections() {
		if bytes.Contains(e.Trace, []byte(strconv.Quote(c.ID))) {
			v.Names[c.ID] = c.Name
		}
	}
	return v, nil
}

// Bounds of a list of exchanges, and how far back it looks.
const (
	defaultExchanges = 50
	maxExchanges     = 1000
	exchangesBack    = 7 * 24 * time.Hour
)

// exchanges answers GET exchanges: the newest first, of one key or all, all or those
// that failed.
func (o *admin) exchanges() ([]store.Exchange, error) {
	q := o.r.URL.Query()
	limit := defaultExchanges
	if text := q.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > maxExchanges {
			return nil, fmt.Errorf("limit is a number from 1 to %d", maxExchanges)
		}
		limit = n
	}
	key, failed := q.Get("key"), q.Get("failed") == "true"
	if key != "" {
		snap, err := o.snapshot()
		if err != nil {
			return nil, err
		}
		for _, k := range snap.Keys {
			if k.Name == key && !k.Revoked {
				key = k.ID
			}
		}
		for _, d := range o.app.options.Declared.Keys {
			if d.Name == key {
				key = "declared:" + key
			}
		}
	}
	list := []store.Exchange{}
	now := time.Now()
	// Backwards in spans that grow, so that a busy server reads little.
	for to, span := now.Add(time.Minute), 10*time.Minute; len(list) < limit && now.Sub(to) < exchangesBack; span *= 2 {
		from := to.Add(-span)
		var part []store.Exchange
		err := o.store.Exchanges(o.r.Context(), from, to, func(e *store.Exchange) bool {
			if key != "" && e.KeyID != key || failed && e.Outcome == store.Finished {
				return true
			}
			if part = append(part, *e); len(part) > 2*limit {
				part = slices.Delete(part, 0, len(part)-limit)
			}
			return true
		})
		if err != nil {
			return nil, err
		}
		slices.Reverse(part)
		list = append(list, part...)
		to = from
	}
	return list[:min(len(list), limit)], nil
}

// standing is a subject of the scheduler as it is shown.
type standing struct {
	schedule.Report
	Name string `json:"name,omitempty"` // of the connection
}

// state answers GET state: who is set aside, and who has exchanges under way.
func (o *admin) state() []standing {
	names := map[string]string{}
	for _, c := range o.app.running.Connections() {
		names[c.ID] = c.Name
	}
	list := []standing{}
	for _, r := range o.app.lease.board.Reports() {
		if r.Aside != nil && r.Aside.Until.IsZero() {
			r.Aside = nil // a breaker that only counts
		}
		if r.Aside == nil && r.Running == 0 && r.Pace == 0 {
			continue
		}
		list = append(list, standing{r, names[r.Connection]})
	}
	slices.SortFunc(list, func(a, b standing) int {
		return strings.Compare(a.Provider+"/"+a.Name+"/"+a.Model, b.Provider+"/"+b.Name+"/"+b.Model)
	})
	return list
}

// subject reads "provider" or "provider/connection", by name or id.
func (o *admin) subject(path string) (schedule.Subject, error) {
	prov, conn, ok := strings.Cut(path, "/")
	s := schedule.Subject{Provider: prov, Model: o.r.URL.Query().Get("model")}
	known := false
	for _, c := range o.app.running.Connections() {
		if c.Provider != prov {
			continue
		}
		known = true
		if ok && (c.ID == conn || c.Name == conn) {
			s.Connection = c.ID
		}
	}
	switch {
	case !known:
		return s, fmt.Errorf("provider %q with a connection in use: %w", prov, store.ErrNotFound)
	case ok && s.Connection == "":
		return s, fmt.Errorf("connection %q at %q: %w, or it is disabled", conn, prov, store.ErrNotFound)
	}
	return s, nil
}

// clear answers DELETE state/{provider}[/{connection}][?model=]: it forgets the
// failures, of all if nothing is named.
func (o *admin) clear(path string) ([]schedule.Subject, error) {
	cleared := []schedule.Subject{}
	if path == "" {
		for _, r := range o.app.lease.board.Reports() {
			cleared = append(cleared, o.app.running.Clear(o.r.Context(), r.Subject)...)
		}
		return cleared, nil
	}
	s, err := o.subject(path)
	if err != nil {
		return nil, err
	}
	return append(cleared, o.app.running.Clear(o.r.Context(), s)...), nil
}

// quota answers PUT quota/{provider}/{connection}: a reading of what is left.
func (o *admin) quota(path string) ([]schedule.Subject, error) {
	var in struct {
		Left *float64 `json:"left"` // from 0 to 1
	}
	if err := o.body(&in); err != nil {
		return nil, err
	}
	if in.Left == nil || !(*in.Left >= 0 && *in.Left <= 1) {
		return nil, errors.New("left is a part of the whole, from 0 to 1")
	}
	s, err := o.subject(path)
	if err != nil {
		return nil, err
	}
	if s.Connection == "" {
		return nil, errors.New("a quota is a connection's: name it as provider/connection")
	}
	return append([]schedule.Subject{}, o.app.running.SetQuota(o.r.Context(), s.Provider, s.Connection, *in.Left)...), nil
}

// resolve answers GET resolve/{model}[?key=]: what a name means now.
func (o *admin) resolve(path string) (gateway.Resolved, error) {
	name, err := url.PathUnescape(path)
	if err != nil || name == "" {
		return gateway.Resolved{}, errors.New("name a model")
	}
	r, why, ok := o.app.running.Resolve(name, o.r.URL.Query().Get("key"))
	if !ok {
		return r, fmt.Errorf("%s (%w)", why, store.ErrNotFound)
	}
	return r, nil
}
