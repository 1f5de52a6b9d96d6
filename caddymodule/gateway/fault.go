package gateway

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nine-router/nine-router/translate"
)

// A Scope is whose fault a failure was. It alone decides what happens next.
type Scope string

// The scopes.
const (
	ScopeRequest    Scope = "request"    // the client's request: no other connection would take it
	ScopeModel      Scope = "model"      // this connection's use of this model
	ScopeConnection Scope = "connection" // the credential: wrong, spent, limited
	ScopeProvider   Scope = "provider"   // the provider as a whole
	ScopeClient     Scope = "client"     // the client left
	ScopeGateway    Scope = "gateway"    // our own bug or limit
)

// A fault is a classified failure.
type fault struct {
	Scope  Scope
	Reason string
	// After is how long the provider asked to be left alone, 0 if it did not say.
	After time.Duration
	// Elsewhere says that a request-scoped failure may not be one at another
	// target: a longer context window, a supported feature, another policy.
	Elsewhere bool
	// ThisModel says that the connection may still be good for other models, as
	// it is when a limit of rate is reached: those are counted for each model.
	ThisModel bool
}

// rules classify what a provider answered. The first that fits holds. A rule
// with words fits if one of them is in the error's code, type or message, in
// small letters.
//
// Statuses and codes: https://platform.openai.com/docs/guides/error-codes and
// https://platform.claude.com/docs/en/api/errors.
var rules = []struct {
	statuses []int
	words    []string
	fault    fault
}{
	{nil, []string{"context_length_exceeded", "context length", "prompt is too long", "context window", "maximum context"}, fault{Scope: ScopeRequest, Reason: "context_length", Elsewhere: true}},
	{[]int{400, 403, 422}, []string{"content_policy", "content_filter", "content management policy", "safety system"}, fault{Scope: ScopeRequest, Reason: "content_policy", Elsewhere: true}},
	{[]int{400, 401, 403}, []string{"invalid_api_key", "incorrect api key", "invalid api key", "api key not valid", "api_key_invalid"}, fault{Scope: ScopeConnection, Reason: "unauthorized"}},
	{nil, []string{"insufficient_quota", "credit balance", "billing_hard_limit", "insufficient balance", "exceeded your current quota"}, fault{Scope: ScopeConnection, Reason: "quota_spent"}},
	{[]int{400, 403, 404, 410, 422}, []string{"model_not_found", "model not found", "no such model", "model_not_available", "does not exist", "decommissioned", "deprecated_model", "unknown model"}, fault{Scope: ScopeModel, Reason: "model_unavailable"}},
	{[]int{400, 422}, []string{"not support", "unsupported"}, fault{Scope: ScopeRequest, Reason: "unsupported", Elsewhere: true}},
	{[]int{401}, nil, fault{Scope: ScopeConnection, Reason: "unauthorized"}},
	{[]int{402}, nil, fault{Scope: ScopeConnection, Reason: "quota_spent"}},
	{[]int{403}, nil, fault{Scope: ScopeConnection, Reason: "forbidden"}},
	{[]int{404, 410}, nil, fault{Scope: ScopeModel, Reason: "model_unavailable"}},
	{[]int{408, 504, 524}, nil, fault{Scope: ScopeProvider, Reason: "timeout"}},
	{[]int{413}, nil, fault{Scope: ScopeRequest, Reason: "too_large", Elsewhere: true}},
	{[]int{429}, []string{"overloaded"}, fault{Scope: ScopeProvider, Reason: "overloaded"}},
	{[]int{429}, nil, fault{Scope: ScopeConnection, Reason: "rate_limited", ThisModel: true}},
	{[]int{503, 529}, nil, fault{Scope: ScopeProvider, Reason: "overloaded"}},
}

// classify says whose fault an answer with an error status was.
func classify(e *translate.Error, h http.Header, now time.Time) fault {
	text := strings.ToLower(e.Code + "\n" + e.Type + "\n" + e.Message)
	f := fault{Scope: ScopeProvider, Reason: "server_error"}
	if e.Status >= 400 && e.Status < 500 {
		f = fault{Scope: ScopeRequest, Reason: "rejected"}
	}
rules:
	for _, r := range rules {
		if len(r.statuses) > 0 && !slices.Contains(r.statuses, e.Status) {
			continue
		}
		if len(r.words) == 0 {
			f = r.fault
			break
		}
		for _, w := range r.words {
			if strings.Contains(text, w) {
				f = r.fault
				break rules
			}
		}
	}
	if f.Scope != ScopeRequest {
		f.After = retryAfter(h, now)
	}
	return f
}

// classifyInStream says whose fault an error within a stream was, which has no
// status of its own.
func classifyInStream(e *translate.Error, now time.Time) fault {
	stated := *e
	if stated.Status == 0 {
		stated.Status = e.Kind.Status()
		if e.Kind == translate.InvalidRequest || e.Kind == "" {
			stated.Status = http.StatusBadGateway
		}
	}
	return classify(&stated, nil, now)
}

// classifyTransport says whose fault it was that no answer came.
func classifyTransport(ctx context.Context, client context.Context, err error) (fault, *translate.Error) {
	switch {
	case client.Err() != nil && errors.Is(context.Cause(client), errExchangeTime):
		return fault{Scope: ScopeProvider, Reason: "exchange_timeout"}, gatewayTimeout("The request took longer than this gateway allows.")
	case client.Err() != nil:
		return fault{Scope: ScopeClient, Reason: "client_left"}, &translate.Error{Status: statusClientClosed, Kind: translate.Timeout, Message: "The client left."}
	case errors.Is(context.Cause(ctx), errFirstContent):
		return fault{Scope: ScopeProvider, Reason: "first_content_timeout"}, gatewayTimeout("The provider sent no content in time.")
	case errors.Is(context.Cause(ctx), errSilence):
		return fault{Scope: ScopeProvider, Reason: "silence"}, gatewayTimeout("The provider fell silent.")
	}
	return fault{Scope: ScopeProvider, Reason: "unreachable"}, &translate.Error{Status: http.StatusBadGateway, Kind: translate.ServerError, Code: "upstream_unreachable",
		Message: "The provider could not be reached or broke off."}
}

// statusClientClosed is what nginx and Caddy log for a client that left.
const statusClientClosed = 499

var (
	errFirstContent = errors.New("no content in time")
	errSilence      = errors.New("silence between events")
	errExchangeTime = errors.New("exchange took too long")
)

func gatewayTimeout(message string) *translate.Error {
	return &translate.Error{Status: http.StatusGatewayTimeout, Kind: translate.Timeout, Code: "upstream_timeout", Message: message}
}

// retryAfter reads how long a provider asks to be left alone: Retry-After in
// both forms (https://www.rfc-editor.org/rfc/rfc9110#field.retry-after), or
// OpenAI's retry-after-ms.
func retryAfter(h http.Header, now time.Time) time.Duration {
	if ms, err := strconv.ParseInt(h.Get("Retry-After-Ms"), 10, 64); err == nil && ms > 0 && ms < int64(maxNamed/time.Millisecond) {
		return time.Duration(ms) * time.Millisecond
	}
	v := strings.TrimSpace(h.Get("Retry-After"))
	if s, err := strconv.ParseFloat(v, 64); err == nil {
		if s <= 0 {
			return 0
		}
		return time.Duration(min(s, maxNamed.Seconds()) * float64(time.Second))
	}
	if t, err := http.ParseTime(v); err == nil {
		return max(0, min(t.Sub(now), maxNamed))
	}
	return 0
}
