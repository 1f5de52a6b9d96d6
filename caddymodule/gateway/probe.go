package gateway

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/valyala/fastjson"
	"go.uber.org/zap"

	"github.com/nine-router/nine-router/caddymodule/gateway/schedule"
	"github.com/nine-router/nine-router/caddymodule/provider"
	"github.com/nine-router/nine-router/store"
)

// maxProbe bounds what is read of a provider's list of models, in bytes, and
// probeTime how long it may take.
const (
	maxProbe  = 4 << 20
	probeTime = 20 * time.Second
)

// Probe asks a connection's provider for its models, to see that the credential
// works. It spends no tokens.
func (g *Gateway) Probe(ctx context.Context, connectionID string) (Probe, error) {
	for _, m := range g.snap.Load().byName {
		if c := m.Connection(connectionID); c != nil {
			return g.probe(ctx, m, c)
		}
	}
	return Probe{}, fmt.Errorf("connection %q: %w, or it is disabled", connectionID, store.ErrNotFound)
}

func (g *Gateway) probe(ctx context.Context, m *member, c *schedule.Connection) (Probe, error) {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	began := time.Now()
	e := &m.Endpoints[0]
	req, err := e.NewRequest(ctx, &provider.Call{Operation: provider.ListModels, Credential: c.APIKey})
	if err != nil {
		return Probe{}, fmt.Errorf("asking %s for its models: %w", m.Name, err)
	}
	for name, values := range m.header {
		req.Header[name] = values
	}
	resp, err := g.transport(m.Provider.Provider, c.Connection).RoundTrip(req)
	if err != nil {
		// The transport's error has the URL but no credential: that is in a header.
		return Probe{Detail: clean(err.Error(), c.APIKey), Took: time.Since(began)}, nil
	}
	defer resp.Body.Close()
	p := Probe{Status: resp.StatusCode, Took: time.Since(began)}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxProbe))
	switch {
	case err != nil:
		p.Detail = "The provider broke off."
	case resp.StatusCode != http.StatusOK:
		p.Detail = clean(g.codecs[e.Format].DecodeError(resp.StatusCode, body).Message, c.APIKey)
	default:
		v, err := fastjson.ParseBytes(body)
		if err != nil || !v.Exists("data") && !v.Exists("models") {
			p.Detail = "The provider answered, but not with a list of models."
			break
		}
		p.Models = listed(v)
		p.OK = true
		p.Detail = fmt.Sprintf("The provider lists %d models.", len(p.Models))
		if len(p.Models) > 0 && g.found.note(m.Name, p.Models) {
			if err := g.Reload(context.WithoutCancel(ctx)); err != nil {
				g.o.Logger.Warn("models that a provider lists cannot be used", zap.String("provider", m.Name), zap.Error(err))
			}
		}
	}
	return p, nil
}

// listed returns the models of a list in any of the formats' shapes.
func listed(v *fastjson.Value) (models []string) {
	for _, list := range [...]string{"data", "models"} {
		for _, entry := range v.GetArray(list) {
			for _, name := range [...]string{"id", "name", "model"} {
				if id := entry.GetStringBytes(name); len(id) > 0 {
					models = append(models, strings.TrimPrefix(string(id), "models/"))
					break
				}
			}
		}
	}
	return models
}
