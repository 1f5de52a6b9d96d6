package gateway

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/valyala/fastjson"

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
	m, c := g.snap.Load().connection(connectionID)
	if c == nil {
		return Probe{}, fmt.Errorf("connection %q: %w, or it is disabled", connectionID, store.ErrNotFound)
	}
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	began := time.Now()
	e := &m.Endpoints[0]
	req, err := e.NewRequest(ctx, provider.ListModels, nil, c.APIKey, nil, false)
	if err != nil {
		return Probe{}, fmt.Errorf("asking %s for its models: %w", m.Name, err)
	}
	resp, err := g.transport(m.Provider).RoundTrip(req)
	if err != nil {
		// The transport's error has the URL but no credential: that is in a header.
		return Probe{Detail: g.clean(err.Error(), &candidate{connection: c}), Took: time.Since(began)}, nil
	}
	defer resp.Body.Close()
	p := Probe{Status: resp.StatusCode, Took: time.Since(began)}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxProbe))
	switch {
	case err != nil:
		p.Detail = "The provider broke off."
	case resp.StatusCode != http.StatusOK:
		p.Detail = g.clean(g.codecs[e.Format].DecodeError(resp.StatusCode, body).Message, &candidate{connection: c})
	default:
		v, err := fastjson.ParseBytes(body)
		if err != nil || !v.Exists("data") {
			p.Detail = "The provider answered, but not with a list of models."
			break
		}
		for _, entry := range v.GetArray("data") {
			if id := entry.GetStringBytes("id"); len(id) > 0 {
				p.Models = append(p.Models, string(id))
			}
		}
		p.OK = true
		p.Detail = fmt.Sprintf("The provider lists %d models.", len(p.Models))
	}
	return p, nil
}

func (s *snapshot) connection(id string) (*member, *store.Connection) {
	for _, m := range s.providers {
		for _, c := range m.connections {
			if c.ID == id {
				return m, c
			}
		}
	}
	return nil, nil
}
