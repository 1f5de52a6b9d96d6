package telemetry_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/nine-router/nine-router/caddymodule/gateway"
	"github.com/nine-router/nine-router/caddymodule/gateway/telemetry"
	"github.com/nine-router/nine-router/store"
)

// finished is an exchange that went well.
func finished() *store.Exchange {
	return &store.Exchange{
		ID: "nrx_1", Began: time.Unix(1700000000, 0), KeyID: "key_secret", Operation: "chat", Stream: true,
		ClientFormat: "openai", Requested: "fast", Provider: "anthropic", Model: "opus", ConnectionID: "conn_1",
		ProviderFormat: "anthropic", Attempts: 2, Outcome: store.Finished, Status: 200,
		UsageReported: true, Input: 100, CacheRead: 60, CacheWrite: 10, Output: 50, Reasoning: 20,
		Priced: true, Cost: store.Dollar / 4, Losses: 3, FirstContent: 300 * time.Millisecond, Duration: 3 * time.Second,
	}
}

func attempt(scope, reason string) *store.Attempt {
	return &store.Attempt{Provider: "anthropic", Model: "opus", Connection: "conn_1", Format: "anthropic", Status: 200, Scope: scope, Reason: reason,
		Began: 10 * time.Millisecond, Connected: 20 * time.Millisecond, FirstByte: 200 * time.Millisecond, FirstContent: 300 * time.Millisecond, Ended: 2010 * time.Millisecond}
}

// registered returns metrics and the registry that they are in, as strict as
// Caddy's.
func registered(t *testing.T, states func() []telemetry.ProviderState) (*telemetry.Metrics, *prometheus.Registry) {
	t.Helper()
	m, r := telemetry.NewMetrics(states), prometheus.NewPedanticRegistry()
	if err := r.Register(m); err != nil {
		t.Fatal(err)
	}
	return m, r
}

// values returns what is exposed, by series, without histograms' buckets.
func values(t *testing.T, r prometheus.Gatherer) map[string]float64 {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]float64)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetName()+"="+l.GetValue())
			}
			name := strings.TrimPrefix(f.GetName(), "nine_router_") + "{" + strings.Join(labels, ",") + "}"
			switch {
			case m.Counter != nil:
				all[name] = m.GetCounter().GetValue()
			case m.Gauge != nil:
				all[name] = m.GetGauge().GetValue()
			case m.Histogram != nil:
				all[name+"count"] = float64(m.GetHistogram().GetSampleCount())
				all[name+"sum"] = m.GetHistogram().GetSampleSum()
			}
		}
	}
	return all
}

func TestWhatAnExchangeCounts(t *testing.T) {
	t.Parallel()
	m, r := registered(t, func() []telemetry.ProviderState {
		return []telemetry.ProviderState{{Provider: "anthropic", Ready: 3, SetAside: 1}}
	})
	ctx, x, first, second := t.Context(), finished(), attempt("connection", "rate_limited"), attempt("", "")
	m.Begin(ctx, x)
	m.BeginAttempt(ctx, x, first)
	during := values(t, r)
	m.EndAttempt(ctx, x, first)
	m.BeginAttempt(ctx, x, second)
	m.EndAttempt(ctx, x, second)
	m.End(ctx, x, &store.Trace{Queue: 1500 * time.Millisecond})
	m.Event(ctx, gateway.Event{Name: gateway.EventBudgetExceeded, Data: map[string]any{"key": "key_secret", "limit": "spend_day"}})
	m.Event(ctx, gateway.Event{Name: gateway.EventSetAside, Data: map[string]any{"limit": "none of this"}})
	m.EventDropped()

	for name, want := range map[string]float64{"exchanges_in_flight{operation=chat}": 1, "attempts_in_flight{provider=anthropic}": 1} {
		if during[name] != want {
			t.Errorf("under way: %s is %v", name, during[name])
		}
	}
	got := values(t, r)
	want := map[string]float64{
		"exchanges_total{client_format=openai,operation=chat,outcome=finished,provider=anthropic}": 1,
		"exchange_duration_seconds{operation=chat,outcome=finished}count":                          1,
		"exchange_duration_seconds{operation=chat,outcome=finished}sum":                            3,
		"exchanges_in_flight{operation=chat}":                                                      0,
		"attempts_total{provider=anthropic,reason=rate_limited,scope=connection}":                  1,
		"attempts_total{provider=anthropic,reason=none,scope=none}":                                1,
		"attempt_duration_seconds{provider=anthropic,scope=connection}count":                       1,
		"attempt_duration_seconds{provider=anthropic,scope=connection}sum":                         2,
		"attempt_duration_seconds{provider=anthropic,scope=none}count":                             1,
		"attempt_duration_seconds{provider=anthropic,scope=none}sum":                               2,
		"attempts_in_flight{provider=anthropic}":                                                   0,
		"tokens_total{kind=input,model=opus,provider=anthropic}":                                   100,
		"tokens_total{kind=cache_read,model=opus,provider=anthropic}":                              60,
		"tokens_total{kind=cache_write,model=opus,provider=anthropic}":                             10,
		"tokens_total{kind=output,model=opus,provider=anthropic}":                                  50,
		"tokens_total{kind=reasoning,model=opus,provider=anthropic}":                               20,
		"cost_usd_total{model=opus,provider=anthropic}":                                            0.25,
		"first_content_seconds{model=opus,provider=anthropic}count":                                1,
		"first_content_seconds{model=opus,provider=anthropic}sum":                                  0.3,
		"losses_total{client_format=openai,provider_format=anthropic}":                             3,
		"queue_seconds{}count":                            1,
		"queue_seconds{}sum":                              1.5,
		"budget_denials_total{limit=spend_day}":           1,
		"events_dropped_total{}":                          1,
		"connections{provider=anthropic,state=ready}":     3,
		"connections{provider=anthropic,state=set_aside}": 1,
	}
	for name, v := range want {
		if got[name] != v {
			t.Errorf("%s is %v, want %v", name, got[name], v)
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("%s was not expected", name)
		}
	}
	if problems, err := testutil.GatherAndLint(r); err != nil || len(problems) > 0 {
		t.Errorf("lint: %v %v", problems, err)
	}
}

// What is not known is not counted as zero, and what cannot be is not counted.
func TestWhatAnExchangeDoesNotCount(t *testing.T) {
	t.Parallel()
	m, r := registered(t, nil)
	refused := &store.Exchange{Operation: "chat", ClientFormat: "openai", Outcome: store.Failed, Requested: "any text"}
	unknown := finished()
	unknown.UsageReported, unknown.Priced, unknown.FirstContent, unknown.Losses = false, false, 0, 0
	dishonest := finished()
	dishonest.Input, dishonest.Output, dishonest.Cost, dishonest.Model = -5, -1, -store.Dollar, "liar"
	for _, x := range []*store.Exchange{refused, unknown, dishonest} {
		m.Begin(t.Context(), x)
		m.End(t.Context(), x, nil)
	}
	got := values(t, r)
	if n := got["exchanges_total{client_format=openai,operation=chat,outcome=failed,provider=none}"]; n != 1 {
		t.Errorf("refused: %v", n)
	}
	for name, v := range got {
		if strings.Contains(name, "model=opus") || strings.Contains(name, "any text") || v < 0 {
			t.Errorf("%s is %v", name, v)
		}
	}
	if got["queue_seconds{}count"] != 0 {
		t.Error("an exchange that did not wait is counted as one that did")
	}
}

// A client can ask for as many names as it likes, of any size and bytes.
func TestSeriesAreBounded(t *testing.T) {
	t.Parallel()
	m, r := registered(t, nil)
	const beyond = 500
	for i := range telemetry.MaxModels + beyond {
		x := finished()
		x.Model = fmt.Sprint("model-", i)
		m.Begin(t.Context(), x)
		m.End(t.Context(), x, nil)
	}
	for _, name := range []string{strings.Repeat("x", 1<<20), "\xff\xfe"} {
		x := finished()
		x.Model = name
		x.Provider, x.Operation, x.ClientFormat, x.Outcome = name, name, name, store.Outcome(name)
		m.Begin(t.Context(), x)
		m.End(t.Context(), x, nil)
		a := &store.Attempt{Provider: name, Scope: name, Reason: name}
		m.EndAttempt(m.BeginAttempt(t.Context(), x, a), x, a)
		m.Event(t.Context(), gateway.Event{Name: gateway.EventBudgetExceeded, Data: map[string]any{"limit": name}})
	}
	for i := range 5000 {
		a := &store.Attempt{Provider: fmt.Sprint("p", i), Scope: "provider", Reason: "server_error"}
		m.EndAttempt(m.BeginAttempt(t.Context(), finished(), a), finished(), a)
	}
	got := values(t, r)
	models, attempts := 0, 0.0
	for name, v := range got {
		if strings.HasPrefix(name, "cost_usd_total") {
			models++
		}
		if strings.HasPrefix(name, "attempts_total") {
			attempts += v
		}
		if strings.HasPrefix(name, "attempts_in_flight") && v != 0 {
			t.Errorf("%s is %v", name, v)
		}
		if len(name) > 500 {
			t.Errorf("a label of %d bytes", len(name))
		}
	}
	if models != telemetry.MaxModels+1 {
		t.Errorf("%d models", models)
	}
	if n := got["first_content_seconds{model=other,provider=other}count"]; n != beyond+2 {
		t.Errorf("%v exchanges with other models", n)
	}
	if attempts != 5002 {
		t.Errorf("%v attempts are counted", attempts)
	}
	if len(got) > 15_000 {
		t.Errorf("%d series", len(got))
	}
}

// A configuration comes with a registry of its own, and the counts go on.
func TestAnotherRegistryHasTheSameCounts(t *testing.T) {
	t.Parallel()
	m, _ := registered(t, nil)
	m.Begin(t.Context(), finished())
	m.End(t.Context(), finished(), nil)
	next := prometheus.NewPedanticRegistry()
	if err := next.Register(m); err != nil {
		t.Fatal(err)
	}
	m.Begin(t.Context(), finished())
	m.End(t.Context(), finished(), nil)
	if n := values(t, next)["exchanges_total{client_format=openai,operation=chat,outcome=finished,provider=anthropic}"]; n != 2 {
		t.Errorf("%v exchanges", n)
	}
}

func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	m, r := registered(t, nil)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for j := range 200 {
				x := finished()
				x.Model = fmt.Sprint("m", (i*200+j)%50)
				m.Begin(t.Context(), x)
				m.End(t.Context(), x, nil)
			}
		})
	}
	all.Wait()
	if n := values(t, r)["exchanges_total{client_format=openai,operation=chat,outcome=finished,provider=anthropic}"]; n != 1600 {
		t.Errorf("%v exchanges", n)
	}
}

// What one exchange with one attempt costs.
func BenchmarkMetrics(b *testing.B) {
	m, ctx := telemetry.NewMetrics(nil), context.Background()
	x, a := finished(), attempt("", "")
	b.ReportAllocs()
	for b.Loop() {
		m.Begin(ctx, x)
		m.EndAttempt(m.BeginAttempt(ctx, x, a), x, a)
		m.End(ctx, x, nil)
	}
}

func TestMetricsDoNotAllocate(t *testing.T) {
	m, ctx := telemetry.NewMetrics(nil), context.Background()
	x, a := finished(), attempt("", "")
	if n := testing.AllocsPerRun(100, func() {
		m.Begin(ctx, x)
		m.EndAttempt(m.BeginAttempt(ctx, x, a), x, a)
		m.End(ctx, x, nil)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
