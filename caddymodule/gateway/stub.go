package gateway

import (
	"context"
	"net/http"

	"github.com/nine-router/nine-router/store"
)

type Gateway struct{}
type Health struct{}

func New(ctx context.Context, o Options) (*Gateway, error) { return &Gateway{}, nil }
func NewHealth() *Health                                   { return &Health{} }
func (g *Gateway) Serve(w http.ResponseWriter, r *http.Request) (*store.Exchange, bool) {
	return nil, false
}
func (g *Gateway) Reload(ctx context.Context) error                    { return nil }
func (g *Gateway) Models() []Model                                     { return nil }
func (g *Gateway) Probe(ctx context.Context, id string) (Probe, error) { return Probe{}, nil }
