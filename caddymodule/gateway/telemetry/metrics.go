// Package telemetry counts what a gateway does, for Prometheus, and traces it, for
// OpenTelemetry. Both are observers of the gateway. Neither is told a secret, a
// text of the conversation, or whose key it was.
package telemetry

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/nine-router/nine-router/caddymodule/gateway"
	"github.com/nine-router/nine-router/store"
)

// Bounds of how many series there are. What comes later is counted under the
// label "other", so that nobody can fill the memory by asking for new names.
const (
	MaxModels    = 200 // pairs of provider and model, each of some 25 series
	maxExchanges = 2000
	maxAttempts  = 2000
	maxProviders = 500
	maxWords     = 50 // operations, limits, pairs of formats
)

// buckets are for what models take, in seconds: from an answer out of a cache to
// a long piece of work.
func buckets() []float64 {
	return []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600}
}

// A ProviderState is how many connections of a provider can be asked now, and how
// many were set aside because they failed.
type ProviderState struct {
	Provider        string
	Ready, SetAside int
}

// Metrics counts exchanges and attempts. It is an observer of a gateway and a
// collector of Prometheus at the same time; one of it lasts as long as the
// process, whatever registries come and go with configurations. Use NewMetrics.
type Metrics struct {
	all         []prometheus.Collector
	connections *prometheus.Desc
	states      func() []ProviderState

	queue   prometheus.Histogram
	dropped prometheus.Counter

	inFlight         *family[single, prometheus.Gauge]
	attemptsInFlight *family[single, prometheus.Gauge]
	exchanges        *family[exchangeLabels, exchangeSeries]
	attempts         *family[attemptLabels, attemptSeries]
	models           *family[modelLabels, *modelSeries]
	losses           *family[lossLabels, prometheus.Counter]
	denials          *family[single, prometheus.Counter]
}

type exchangeSeries struct {
	total    prometheus.Counter
	duration prometheus.Observer
}

type attemptSeries struct {
	total    prometheus.Counter
	duration prometheus.Observer
}

// modelSeries are made when there is the first value for each: a cost that is not
// known is not zero.
type modelSeries struct {
	tokens func() *tokenSeries
	cost   func() prometheus.Counter
	first  func() prometheus.Observer
}

type tokenSeries struct{ input, cacheRead, cacheWrite, output, reasoning prometheus.Counter }

// NewMetrics returns metrics that have counted nothing. Whenever they are
// collected, states says how the connections are, each provider once; nil leaves
// that out.
func NewMetrics(states func() []ProviderState) *Metrics {
	m := &Metrics{states: states}
	m.connections = prometheus.NewDesc("nine_router_connections",
		"Connections that can be asked now (ready), and that were set aside because they failed (set_aside).", []string{"provider", "state"}, nil)
	m.exchangeMetrics()
	m.attemptMetrics()
	m.modelMetrics()

	losses := m.counter("losses_total", "Things in requests that the provider's format could not express.", "client_format", "provider_format")
	m.losses = newFamily(maxWords, func(l lossLabels) prometheus.Counter { return losses.WithLabelValues(l.client, l.provider) })
	denials := m.counter("budget_denials_total", "Requests that were refused because a limit of the client's key was reached.", "limit")
	m.denials = newFamily(maxWords, func(limit single) prometheus.Counter { return denials.WithLabelValues(string(limit)) })
	m.queue = prometheus.NewHistogram(prometheus.HistogramOpts{Name: "nine_router_queue_seconds", Buckets: buckets(),
		Help: "How long exchanges waited for a place at a connection, of those that had to wait."})
	m.dropped = prometheus.NewCounter(prometheus.CounterOpts{Name: "nine_router_events_dropped_total",
		Help: "Events that were not emitted because the handlers of earlier ones took too long."})
	m.all = append(m.all, m.queue, m.dropped)
	return m
}

func (m *Metrics) exchangeMetrics() {
	total := m.counter("exchanges_total", "Exchanges that ended: requests of clients, with all their attempts.", "operation", "client_format", "provider", "outcome")
	duration := m.histogram("exchange_duration_seconds", "How long exchanges took, from the request to the end of the answer.", "operation", "outcome")
	m.exchanges = newFamily(maxExchanges, func(l exchangeLabels) exchangeSeries {
		return exchangeSeries{total.WithLabelValues(l.operation, l.format, l.provider, l.outcome), duration.WithLabelValues(l.operation, l.outcome)}
	})
	inFlight := m.gauge("exchanges_in_flight", "Exchanges that are under way.", "operation")
	m.inFlight = newFamily(maxWords, func(op single) prometheus.Gauge { return inFlight.WithLabelValues(string(op)) })
}

func (m *Metrics) attemptMetrics() {
	total := m.counter("attempts_total", "Upstream calls that ended, by whose fault a failure was; scope \"none\" is a success.", "provider", "scope", "reason")
	duration := m.histogram("attempt_duration_seconds", "How long upstream calls took, to the end of the answer.", "provider", "scope")
	m.attempts = newFamily(maxAttempts, func(l attemptLabels) attemptSeries {
		return attemptSeries{total.WithLabelValues(l.provider, l.scope, l.reason), duration.WithLabelValues(l.provider, l.scope)}
	})
	inFlight := m.gauge("attempts_in_flight", "Upstream calls that are under way.", "provider")
	m.attemptsInFlight = newFamily(maxProviders, func(p single) prometheus.Gauge { return inFlight.WithLabelValues(string(p)) })
}

func (m *Metrics) modelMetrics() {
	tokens := m.counter("tokens_total", "Tokens as providers report them. Input includes cache_read and cache_write, output includes reasoning.", "provider", "model", "kind")
	cost := m.counter("cost_usd_total", "What tokens cost in US dollars, of models whose price is known.", "provider", "model")
	first := m.histogram("first_content_seconds", "Time from the request to the first content of the answer.", "provider", "model")
	m.models = newFamily(MaxModels, func(l modelLabels) *modelSeries {
		return &modelSeries{
			tokens: sync.OnceValue(func() *tokenSeries {
				of := func(kind string) prometheus.Counter { return tokens.WithLabelValues(l.provider, l.model, kind) }
				return &tokenSeries{of("input"), of("cache_read"), of("cache_write"), of("output"), of("reasoning")}
			}),
			cost:  sync.OnceValue(func() prometheus.Counter { return cost.WithLabelValues(l.provider, l.model) }),
			first: sync.OnceValue(func() prometheus.Observer { return first.WithLabelValues(l.provider, l.model) }),
		}
	})
}

func (m *Metrics) counter(name, help string, labels ...string) *prometheus.CounterVec {
	v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "nine_router_" + name, Help: help}, labels)
	m.all = append(m.all, v)
	return v
}

func (m *Metrics) gauge(name, help string, labels ...string) *prometheus.GaugeVec {
	v := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "nine_router_" + name, Help: help}, labels)
	m.all = append(m.all, v)
	return v
}

func (m *Metrics) histogram(name, help string, labels ...string) *prometheus.HistogramVec {
	v := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "nine_router_" + name, Help: help, Buckets: buckets()}, labels)
	m.all = append(m.all, v)
	return v
}

// Begin counts an exchange that is under way.
func (m *Metrics) Begin(_ context.Context, x *store.Exchange) {
	m.inFlight.of(single(label(x.Operation))).Inc()
}

// End counts an exchange. The operation is the one that Begin was told.
func (m *Metrics) End(_ context.Context, x *store.Exchange, trace *store.Trace) {
	operation := label(x.Operation)
	m.inFlight.of(single(operation)).Dec()
	s := m.exchanges.of(exchangeLabels{operation, label(x.ClientFormat), label(x.Provider), label(string(x.Outcome))})
	s.total.Inc()
	s.duration.Observe(x.Duration.Seconds())
	m.model(x)
	if x.Losses > 0 {
		m.losses.of(lossLabels{label(x.ClientFormat), label(x.ProviderFormat)}).Add(float64(x.Losses))
	}
	if trace != nil && trace.Queue > 0 {
		m.queue.Observe(trace.Queue.Seconds())
	}
}

// model counts what is counted by model. One of which there is nothing to count
// gets no series: a client can ask for any name, but not have it answered.
func (m *Metrics) model(x *store.Exchange) {
	if x.Provider == "" || !x.UsageReported && !x.Priced && x.FirstContent <= 0 {
		return
	}
	s := m.models.of(modelLabels{label(x.Provider), label(x.Model)})
	if x.FirstContent > 0 {
		s.first().Observe(x.FirstContent.Seconds())
	}
	if x.Priced {
		s.cost().Add(max(float64(x.Cost)/float64(store.Dollar), 0))
	}
	if x.UsageReported {
		t := s.tokens()
		add(t.input, x.Input)
		add(t.cacheRead, x.CacheRead)
		add(t.cacheWrite, x.CacheWrite)
		add(t.output, x.Output)
		add(t.reasoning, x.Reasoning)
	}
}

// add adds what a provider reported, which no honest one states below zero.
func add(c prometheus.Counter, n int64) {
	if n > 0 {
		c.Add(float64(n))
	}
}

// BeginAttempt counts an upstream call that is under way.
func (m *Metrics) BeginAttempt(ctx context.Context, _ *store.Exchange, a *store.Attempt) context.Context {
	m.attemptsInFlight.of(single(label(a.Provider))).Inc()
	return ctx
}

// EndAttempt counts an upstream call.
func (m *Metrics) EndAttempt(_ context.Context, _ *store.Exchange, a *store.Attempt) {
	provider := label(a.Provider)
	m.attemptsInFlight.of(single(provider)).Dec()
	s := m.attempts.of(attemptLabels{provider, label(a.Scope), label(a.Reason)})
	s.total.Inc()
	s.duration.Observe(max(a.Ended-a.Began, time.Duration(0)).Seconds())
}

// Event counts refusals for a limit.
func (m *Metrics) Event(_ context.Context, e gateway.Event) {
	if e.Name != gateway.EventBudgetExceeded {
		return
	}
	limit, _ := e.Data["limit"].(string)
	m.denials.of(single(label(limit))).Inc()
}

// EventDropped counts an event that could not be emitted.
func (m *Metrics) EventDropped() { m.dropped.Inc() }

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, c := range m.all {
		c.Describe(ch)
	}
	ch <- m.connections
}

// Collect implements prometheus.Collector.
func (m *Metrics) Collect(ch chan<- prometheus.Metric) {
	for _, c := range m.all {
		c.Collect(ch)
	}
	if m.states == nil {
		return
	}
	for _, s := range m.states() {
		provider := label(s.Provider)
		ch <- prometheus.MustNewConstMetric(m.connections, prometheus.GaugeValue, float64(s.Ready), provider, "ready")
		ch <- prometheus.MustNewConstMetric(m.connections, prometheus.GaugeValue, float64(s.SetAside), provider, "set_aside")
	}
}

// Interface guards
var (
	_ gateway.Observer     = (*Metrics)(nil)
	_ prometheus.Collector = (*Metrics)(nil)
)
