package caddymodule

import (
	"context"

	"go.uber.org/zap"

	"github.com/nine-router/nine-router/caddymodule/gateway"
	"github.com/nine-router/nine-router/caddymodule/gateway/schedule"
	"github.com/nine-router/nine-router/caddymodule/gateway/telemetry"
	"github.com/nine-router/nine-router/store"
)

// observer tells Prometheus, OpenTelemetry and Caddy's event handlers what the
// gateways of one store do. It belongs to the store and not to a configuration:
// counts go on after a reload, and what exchanges of an earlier configuration have
// to tell is told to the handlers of the one that runs.
type observer struct {
	metrics *telemetry.Metrics
	spans   *telemetry.Spans
	events  *emitter
}

// newObserver returns an observer, which has to be closed. reports says what is
// set aside; without it, how the connections are is no metric.
func newObserver(reports func() []schedule.Report, log *zap.Logger) *observer {
	metrics := telemetry.NewMetrics(connectionStates(reports))
	return &observer{
		metrics: metrics,
		spans:   &telemetry.Spans{Address: providerAddress},
		events:  newEmitter(emit, metrics.EventDropped, log),
	}
}

// close ends its background work. It can be called more than once.
func (o *observer) close() { o.events.close() }

// Begin implements gateway.Observer.
func (o *observer) Begin(ctx context.Context, x *store.Exchange) {
	o.metrics.Begin(ctx, x)
	o.spans.Begin(ctx, x)
}

// End implements gateway.Observer.
func (o *observer) End(ctx context.Context, x *store.Exchange, trace *store.Trace) {
	o.metrics.End(ctx, x, trace)
	o.spans.End(ctx, x, trace)
}

// BeginAttempt implements gateway.Observer.
func (o *observer) BeginAttempt(ctx context.Context, x *store.Exchange, a *store.Attempt) context.Context {
	return o.spans.BeginAttempt(o.metrics.BeginAttempt(ctx, x, a), x, a)
}

// EndAttempt implements gateway.Observer.
func (o *observer) EndAttempt(ctx context.Context, x *store.Exchange, a *store.Attempt) {
	o.metrics.EndAttempt(ctx, x, a)
	o.spans.EndAttempt(ctx, x, a)
}

// Event implements gateway.Observer.
func (o *observer) Event(ctx context.Context, e gateway.Event) {
	o.metrics.Event(ctx, e)
	o.events.add(e)
}

// Interface guard
var _ gateway.Observer = (*observer)(nil)
