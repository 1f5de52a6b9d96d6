package telemetry

import (
	"context"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.41.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/nine-router/nine-router/caddymodule/gateway"
	"github.com/nine-router/nine-router/caddymodule/gateway/fault"
	"github.com/nine-router/nine-router/store"
)

// Spans makes a span of each exchange and one of each attempt below it, if the
// request belongs to a trace that is recorded; otherwise it does nothing and costs
// nothing. The attributes are those of OpenTelemetry for generative AI, as of
// v1.41.0 of its conventions (https://opentelemetry.io/docs/specs/semconv/gen-ai/),
// and some of our own, whose names begin with "nine_router.".
//
// It is an observer of a gateway. The zero value is ready to use.
type Spans struct {
	// Address tells where a provider is reached when it is asked in a format. The
	// host is empty if that is not known. Nil leaves it out.
	Address func(provider, format string) (host string, port int)

	// The spans of exchanges that are under way, by *store.Exchange: an exchange
	// ends in another context than its attempts have.
	open sync.Map
}

// Attributes for which there is no convention.
const (
	exchangeKey       = attribute.Key("nine_router.exchange")
	clientFormatKey   = attribute.Key("nine_router.client_format")
	providerFormatKey = attribute.Key("nine_router.provider_format")
	outcomeKey        = attribute.Key("nine_router.outcome")
	scopeKey          = attribute.Key("nine_router.scope")
	attemptsKey       = attribute.Key("nine_router.attempts")
	lossesKey         = attribute.Key("nine_router.losses")
	costKey           = attribute.Key("nine_router.cost_usd")
	affinityKey       = attribute.Key("nine_router.affinity")
	queueKey          = attribute.Key("nine_router.queue_seconds")
	connectionKey     = attribute.Key("nine_router.connection")
	probeKey          = attribute.Key("nine_router.probe")
	hedgeKey          = attribute.Key("nine_router.hedge")
)

// maxName bounds the name of a model in a span, in bytes. It may be a client's
// own text.
const maxName = 256

// attemptSpan is the key of an attempt's span in its context.
type attemptSpan struct{}

func tracer(parent trace.Span) trace.Tracer {
	return parent.TracerProvider().Tracer("github.com/nine-router/nine-router/caddymodule/gateway", trace.WithSchemaURL(semconv.SchemaURL))
}

// Begin opens the span of an exchange below the one of the request.
func (s *Spans) Begin(ctx context.Context, x *store.Exchange) {
	parent := trace.SpanFromContext(ctx)
	if !parent.IsRecording() {
		return
	}
	_, span := tracer(parent).Start(ctx, spanName(x), trace.WithSpanKind(trace.SpanKindClient), trace.WithTimestamp(x.Began), trace.WithAttributes(
		semconv.GenAIOperationNameKey.String(operationName(x.Operation)),
		semconv.GenAIRequestModel(shortened(x.Requested)),
		semconv.GenAIRequestStream(x.Stream),
		exchangeKey.String(x.ID),
		clientFormatKey.String(x.ClientFormat),
	))
	s.open.Store(x, span)
}

// End closes the span of an exchange.
func (s *Spans) End(_ context.Context, x *store.Exchange, t *store.Trace) {
	v, ok := s.open.LoadAndDelete(x)
	if !ok {
		return
	}
	span := v.(trace.Span)
	defer span.End()
	if !span.IsRecording() {
		return
	}
	// What is asked for may have become known only after the beginning.
	span.SetName(spanName(x))
	span.SetAttributes(
		semconv.GenAIRequestModel(shortened(x.Requested)),
		semconv.GenAIRequestStream(x.Stream),
		outcomeKey.String(string(x.Outcome)),
		attemptsKey.Int(x.Attempts),
	)
	if x.Provider != "" {
		span.SetAttributes(
			semconv.GenAIProviderNameKey.String(providerName(x.Provider)),
			semconv.GenAIResponseModel(shortened(x.Model)),
			providerFormatKey.String(x.ProviderFormat),
		)
		span.SetAttributes(s.address(x.Provider, x.ProviderFormat)...)
	}
	span.SetAttributes(used(x)...)
	if t != nil {
		if t.Affinity != "" {
			span.SetAttributes(affinityKey.String(t.Affinity))
		}
		if t.Queue > 0 {
			span.SetAttributes(queueKey.Float64(t.Queue.Seconds()))
		}
	}
	if x.Scope != "" {
		span.SetAttributes(scopeKey.String(x.Scope))
	}
	if x.Outcome == store.Failed || x.Outcome == store.Broken {
		failed(span, x.Reason)
	}
}

// used is what an exchange took. Tokens that were not reported are unknown rather
// than none, and so is a cost without a price.
func used(x *store.Exchange) []attribute.KeyValue {
	var list []attribute.KeyValue
	if x.FirstContent > 0 {
		list = append(list, semconv.GenAIResponseTimeToFirstChunk(x.FirstContent.Seconds()))
	}
	if x.UsageReported {
		list = append(list, semconv.GenAIUsageInputTokens(int(x.Input)), semconv.GenAIUsageOutputTokens(int(x.Output)))
		if x.CacheRead > 0 {
			list = append(list, semconv.GenAIUsageCacheReadInputTokens(int(x.CacheRead)))
		}
		if x.CacheWrite > 0 {
			list = append(list, semconv.GenAIUsageCacheCreationInputTokens(int(x.CacheWrite)))
		}
		if x.Reasoning > 0 {
			list = append(list, semconv.GenAIUsageReasoningOutputTokens(int(x.Reasoning)))
		}
	}
	if x.Priced {
		list = append(list, costKey.Float64(float64(x.Cost)/float64(store.Dollar)))
	}
	if x.Losses > 0 {
		list = append(list, lossesKey.Int(x.Losses))
	}
	return list
}

// BeginAttempt opens the span of an upstream call below that of its exchange.
func (s *Spans) BeginAttempt(ctx context.Context, x *store.Exchange, a *store.Attempt) context.Context {
	parent := trace.SpanFromContext(ctx)
	if !parent.IsRecording() {
		return ctx
	}
	if v, ok := s.open.Load(x); ok {
		parent = v.(trace.Span)
		ctx = trace.ContextWithSpan(ctx, parent)
	}
	// It has no name of an operation: only the exchange counts as one use of a
	// model, however many attempts it took.
	ctx, span := tracer(parent).Start(ctx, "attempt "+a.Provider, trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(
		semconv.GenAIProviderNameKey.String(providerName(a.Provider)),
		semconv.GenAIRequestModel(shortened(a.Model)),
		semconv.HTTPRequestMethodPost,
		providerFormatKey.String(a.Format),
		connectionKey.String(a.Connection),
	))
	span.SetAttributes(s.address(a.Provider, a.Format)...)
	if a.Probe {
		span.SetAttributes(probeKey.Bool(true))
	}
	if a.Hedge {
		span.SetAttributes(hedgeKey.Bool(true))
	}
	return context.WithValue(ctx, attemptSpan{}, span)
}

// EndAttempt closes the span of an upstream call. The context is the one that
// BeginAttempt returned.
func (s *Spans) EndAttempt(ctx context.Context, x *store.Exchange, a *store.Attempt) {
	span, ok := ctx.Value(attemptSpan{}).(trace.Span)
	if !ok {
		return
	}
	defer span.End()
	if !span.IsRecording() {
		return
	}
	for _, e := range [...]struct {
		name string
		at   time.Duration
	}{{"connected", a.Connected}, {"first_byte", a.FirstByte}, {"first_content", a.FirstContent}} {
		if e.at > 0 {
			span.AddEvent(e.name, trace.WithTimestamp(x.Began.Add(e.at)))
		}
	}
	if a.Status > 0 {
		span.SetAttributes(semconv.HTTPResponseStatusCode(a.Status))
	}
	if a.Scope == "" {
		return
	}
	span.SetAttributes(scopeKey.String(a.Scope))
	if a.Scope != string(fault.Client) {
		failed(span, a.Reason)
	}
}

// Event does nothing.
func (s *Spans) Event(context.Context, gateway.Event) {}

// failed marks a span with the reason of a failure, which is one of our words.
func failed(span trace.Span, reason string) {
	if reason == "" {
		reason = semconv.ErrorTypeOther.Value.AsString()
	}
	span.SetAttributes(semconv.ErrorTypeKey.String(reason))
	span.SetStatus(codes.Error, reason)
}

func (s *Spans) address(provider, format string) []attribute.KeyValue {
	if s.Address == nil {
		return nil
	}
	host, port := s.Address(provider, format)
	switch {
	case host == "":
		return nil
	case port == 0:
		return []attribute.KeyValue{semconv.ServerAddress(host)}
	}
	return []attribute.KeyValue{semconv.ServerAddress(host), semconv.ServerPort(port)}
}

// spanName is the operation and the model as the client named it.
func spanName(x *store.Exchange) string {
	if x.Requested == "" {
		return operationName(x.Operation)
	}
	return operationName(x.Operation) + " " + shortened(x.Requested)
}

// shortened bounds a text of the client's. Exporters refuse what is not UTF-8, and
// with it all other spans of the batch.
func shortened(s string) string {
	return strings.ToValidUTF8(s[:min(len(s), maxName)], "")
}

// operationName is what the conventions call an operation, or our own word where
// they have none.
func operationName(operation string) string {
	switch operation {
	case "generate":
		return "text_completion"
	case "embed":
		return "embeddings"
	}
	return operation
}

// providerName is what the conventions call a provider, where that differs from
// its name in the catalogue.
func providerName(name string) string {
	switch name {
	case "gemini":
		return "gcp.gemini"
	case "vertex":
		return "gcp.vertex_ai"
	case "bedrock":
		return "aws.bedrock"
	case "azure":
		return "azure.ai.openai"
	case "mistral":
		return "mistral_ai"
	case "xai":
		return "x_ai"
	}
	return name
}

// Interface guard
var _ gateway.Observer = (*Spans)(nil)
