package telemetry_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/nine-router/nine-router/caddymodule/gateway/telemetry"
	"github.com/nine-router/nine-router/store"
)

// traced returns the context of a request with a span, as Caddy's tracing
// directive makes it, and what is recorded.
func traced(t *testing.T, o ...sdktrace.TracerProviderOption) (context.Context, trace.Span, *tracetest.SpanRecorder) {
	recorder := tracetest.NewSpanRecorder()
	tp := sdktrace.NewTracerProvider(append(o, sdktrace.WithSpanProcessor(recorder))...)
	t.Cleanup(func() { tp.Shutdown(context.Background()) })
	ctx, request := tp.Tracer("caddy").Start(t.Context(), "request")
	return ctx, request, recorder
}

func attributes(s sdktrace.ReadOnlySpan) map[string]any {
	all := make(map[string]any)
	for _, kv := range s.Attributes() {
		all[string(kv.Key)] = kv.Value.AsInterface()
	}
	return all
}

func compare(t *testing.T, s sdktrace.ReadOnlySpan, want map[string]any) {
	t.Helper()
	got := attributes(s)
	for k, v := range want {
		if got[k] != v {
			t.Errorf("%s: %s is %#v, want %#v", s.Name(), k, got[k], v)
		}
	}
	for k := range got {
		if _, ok := want[k]; !ok {
			t.Errorf("%s: %s was not expected", s.Name(), k)
		}
	}
}

func TestTheSpansOfAnExchange(t *testing.T) {
	t.Parallel()
	ctx, request, recorder := traced(t)
	s := &telemetry.Spans{Address: func(provider, format string) (string, int) { return provider + "." + format + ".example", 8443 }}
	x := finished()
	s.Begin(ctx, x)
	first, second := attempt("connection", "rate_limited"), attempt("", "")
	first.Status, first.Probe, second.Hedge = 429, true, true
	c := s.BeginAttempt(ctx, x, first)
	s.EndAttempt(c, x, first)
	c = s.BeginAttempt(ctx, x, second)
	if trace.SpanFromContext(c).SpanContext().SpanID() == request.SpanContext().SpanID() {
		t.Error("the call has the span of the request, not its own")
	}
	s.EndAttempt(c, x, second)
	s.End(context.WithoutCancel(ctx), x, &store.Trace{Affinity: "hit", Queue: 2e9})
	request.End()

	ended := recorder.Ended()
	if len(ended) != 4 {
		t.Fatalf("%d spans", len(ended))
	}
	a, b, exchange := ended[0], ended[1], ended[2]
	if exchange.Name() != "chat fast" || exchange.SpanKind() != trace.SpanKindClient || exchange.Parent().SpanID() != request.SpanContext().SpanID() || !exchange.StartTime().Equal(x.Began) {
		t.Errorf("exchange: %s %s, parent %s, at %s", exchange.Name(), exchange.SpanKind(), exchange.Parent().SpanID(), exchange.StartTime())
	}
	compare(t, exchange, map[string]any{
		"gen_ai.operation.name": "chat", "gen_ai.provider.name": "anthropic", "gen_ai.request.model": "fast", "gen_ai.response.model": "opus",
		"gen_ai.request.stream": true, "gen_ai.response.time_to_first_chunk": 0.3,
		"gen_ai.usage.input_tokens": int64(100), "gen_ai.usage.output_tokens": int64(50), "gen_ai.usage.cache_read.input_tokens": int64(60),
		"gen_ai.usage.cache_creation.input_tokens": int64(10), "gen_ai.usage.reasoning.output_tokens": int64(20),
		"server.address": "anthropic.anthropic.example", "server.port": int64(8443),
		"nine_router.exchange": "nrx_1", "nine_router.client_format": "openai", "nine_router.provider_format": "anthropic", "nine_router.outcome": "finished",
		"nine_router.attempts": int64(2), "nine_router.cost_usd": 0.25, "nine_router.losses": int64(3), "nine_router.affinity": "hit", "nine_router.queue_seconds": 2.0,
	})
	if exchange.Status().Code != codes.Unset {
		t.Errorf("status %v", exchange.Status())
	}
	for _, s := range []sdktrace.ReadOnlySpan{a, b} {
		if s.Name() != "attempt anthropic" || s.SpanKind() != trace.SpanKindClient || s.Parent().SpanID() != exchange.SpanContext().SpanID() {
			t.Errorf("attempt: %s, parent %s", s.Name(), s.Parent().SpanID())
		}
		var events []string
		for _, e := range s.Events() {
			events = append(events, fmt.Sprint(e.Name, " ", e.Time.Sub(x.Began)))
		}
		if !slices.Equal(events, []string{"connected 20ms", "first_byte 200ms", "first_content 300ms"}) {
			t.Errorf("events %v", events)
		}
	}
	common := map[string]any{
		"gen_ai.provider.name": "anthropic", "gen_ai.request.model": "opus", "http.request.method": "POST", "http.response.status_code": int64(429),
		"server.address": "anthropic.anthropic.example", "server.port": int64(8443), "nine_router.provider_format": "anthropic", "nine_router.connection": "conn_1",
		"nine_router.scope": "connection", "error.type": "rate_limited", "nine_router.probe": true,
	}
	compare(t, a, common)
	if a.Status().Code != codes.Error {
		t.Errorf("status %v", a.Status())
	}
	for _, k := range []string{"nine_router.scope", "error.type", "nine_router.probe"} {
		delete(common, k)
	}
	common["http.response.status_code"], common["nine_router.hedge"] = int64(200), true
	compare(t, b, common)
	for _, s := range ended {
		if strings.Contains(fmt.Sprint(s.Attributes()), "key_secret") {
			t.Errorf("%s names the client's key", s.Name())
		}
	}
}

func TestHowASpanEnds(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		outcome       store.Outcome
		scope, reason string
		code          codes.Code
		kind          any
	}{
		"failed":           {store.Failed, "provider", "timeout", codes.Error, "timeout"},
		"broken":           {store.Broken, "provider", "silence", codes.Error, "silence"},
		"without a reason": {store.Failed, "gateway", "", codes.Error, "_OTHER"},
		"the client left":  {store.Cancelled, "client", "client_left", codes.Unset, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, _, recorder := traced(t)
			s, x := new(telemetry.Spans), &store.Exchange{Operation: "embed"}
			s.Begin(ctx, x)
			a := &store.Attempt{Provider: "gemini", Scope: c.scope, Reason: c.reason}
			s.EndAttempt(s.BeginAttempt(ctx, x, a), x, a)
			x.Requested, x.Outcome, x.Scope, x.Reason = "named later", c.outcome, c.scope, c.reason
			s.End(ctx, x, nil)
			for _, span := range recorder.Ended() {
				if span.Status().Code != c.code || attributes(span)["error.type"] != c.kind {
					t.Errorf("%s: %v, error.type %v", span.Name(), span.Status(), attributes(span)["error.type"])
				}
			}
			exchange := recorder.Ended()[1]
			if exchange.Name() != "embeddings named later" {
				t.Errorf("named %q", exchange.Name())
			}
			for k := range attributes(exchange) {
				if strings.HasPrefix(k, "gen_ai.usage") || k == "nine_router.cost_usd" || k == "gen_ai.provider.name" {
					t.Errorf("it says %s, which is not known", k)
				}
			}
		})
	}
}

// A trace that is not recorded gets no spans, and neither does a request without.
func TestNoSpansWithoutATrace(t *testing.T) {
	t.Parallel()
	sampledOut, _, recorder := traced(t, sdktrace.WithSampler(sdktrace.NeverSample()))
	for _, ctx := range []context.Context{t.Context(), sampledOut} {
		s, x, a := new(telemetry.Spans), finished(), attempt("provider", "timeout")
		s.Begin(ctx, x)
		c := s.BeginAttempt(ctx, x, a)
		if c != ctx {
			t.Error("the context is another")
		}
		s.EndAttempt(c, x, a)
		s.End(ctx, x, nil)
	}
	if n := len(recorder.Started()); n != 0 {
		t.Errorf("%d spans", n)
	}
}

// An attempt that is ended in the wrong context does not end somebody else's span.
func TestOnlyItsOwnSpanIsEnded(t *testing.T) {
	t.Parallel()
	ctx, request, recorder := traced(t)
	s, x, a := new(telemetry.Spans), finished(), attempt("", "")
	s.EndAttempt(ctx, x, a)
	s.End(ctx, x, nil)
	if len(recorder.Ended()) != 0 || !request.IsRecording() {
		t.Error("the span of the request was ended")
	}
}

// A model's name is a client's own text. Exporters lose whole batches for bytes
// that are not UTF-8.
func TestNamesInSpansAreBoundedText(t *testing.T) {
	t.Parallel()
	ctx, _, recorder := traced(t)
	for _, name := range []string{strings.Repeat("é", 1<<20), "x" + strings.Repeat("é", 1<<20), "a\xffb"} {
		s, x := new(telemetry.Spans), finished()
		x.Requested = name
		s.Begin(ctx, x)
		s.End(ctx, x, nil)
	}
	for _, span := range recorder.Ended() {
		model, _ := attributes(span)["gen_ai.request.model"].(string)
		for _, text := range []string{span.Name(), model} {
			if len(text) < 2 || len(text) > 300 || !utf8.ValidString(text) {
				t.Errorf("%d bytes: %.20q", len(text), text)
			}
		}
	}
}

func BenchmarkSpansWithoutATrace(b *testing.B) {
	s, ctx := new(telemetry.Spans), context.WithValue(context.Background(), b, 1)
	x, a := finished(), attempt("", "")
	b.ReportAllocs()
	for b.Loop() {
		s.Begin(ctx, x)
		s.EndAttempt(s.BeginAttempt(ctx, x, a), x, a)
		s.End(ctx, x, nil)
	}
}

func TestSpansWithoutATraceDoNotAllocate(t *testing.T) {
	s, ctx := new(telemetry.Spans), t.Context()
	x, a := finished(), attempt("", "")
	if n := testing.AllocsPerRun(100, func() {
		s.Begin(ctx, x)
		s.EndAttempt(s.BeginAttempt(ctx, x, a), x, a)
		s.End(ctx, x, nil)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
