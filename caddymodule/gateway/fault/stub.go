package fault

import (
	"github.com/nine-router/nine-router/translate"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

type Scope string

const (
	Request    Scope = "request"
	Model      Scope = "model"
	Connection Scope = "connection"
	Provider   Scope = "provider"
	Client     Scope = "client"
	Gateway    Scope = "gateway"
)

type Fault struct {
	Scope                       Scope
	Reason                      string
	After, Pause                time.Duration
	Elsewhere, ThisModel, Final bool
}
type Answer struct {
	Provider string
	Format   translate.Format
	Status   int
	Header   http.Header
	Body     []byte
	Err      *translate.Error
}
type Rule struct {
	Provider          string
	Statuses          []int
	Contains, Pattern string
	Scope             Scope
	Reason            string
	For               time.Duration
}
type Table struct{}

func NewTable([]Rule) (*Table, error) { return &Table{}, nil }

const maxNamed = 24 * time.Hour

func (t *Table) Classify(a *Answer, now time.Time) Fault {
	e := *a.Err
	if a.Status == 0 && e.Status == 0 {
		e.Status = e.Kind.Status()
		if e.Kind == translate.InvalidRequest || e.Kind == "" {
			e.Status = 502
		}
	}
	return classify(&e, a.Header, now)
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
	f        Fault
}{
	{nil, []string{"context_length_exceeded", "context length", "prompt is too long", "context window", "maximum context"}, Fault{Scope: Request, Reason: "context_length", Elsewhere: true}},
	{[]int{400, 403, 422}, []string{"content_policy", "content_filter", "content management policy", "safety system"}, Fault{Scope: Request, Reason: "content_policy", Elsewhere: true}},
	{[]int{400, 401, 403}, []string{"invalid_api_key", "incorrect api key", "invalid api key", "api key not valid", "api_key_invalid"}, Fault{Scope: Connection, Reason: "unauthorized"}},
	{nil, []string{"insufficient_quota", "credit balance", "billing_hard_limit", "insufficient balance", "exceeded your current quota"}, Fault{Scope: Connection, Reason: "quota_spent"}},
	{[]int{400, 403, 404, 410, 422}, []string{"model_not_found", "model not found", "no such model", "model_not_available", "does not exist", "decommissioned", "deprecated_model", "unknown model"}, Fault{Scope: Model, Reason: "model_unavailable"}},
	{[]int{400, 422}, []string{"not support", "unsupported"}, Fault{Scope: Request, Reason: "unsupported", Elsewhere: true}},
	{[]int{401}, nil, Fault{Scope: Connection, Reason: "unauthorized"}},
	{[]int{402}, nil, Fault{Scope: Connection, Reason: "quota_spent"}},
	{[]int{403}, nil, Fault{Scope: Connection, Reason: "forbidden"}},
	{[]int{404, 410}, nil, Fault{Scope: Model, Reason: "model_unavailable"}},
	{[]int{408, 504, 524}, nil, Fault{Scope: Provider, Reason: "timeout"}},
	{[]int{413}, nil, Fault{Scope: Request, Reason: "too_large", Elsewhere: true}},
	{[]int{429}, []string{"overloaded"}, Fault{Scope: Provider, Reason: "overloaded"}},
	{[]int{429}, nil, Fault{Scope: Connection, Reason: "rate_limited", ThisModel: true}},
	{[]int{503, 529}, nil, Fault{Scope: Provider, Reason: "overloaded"}},
}

// classify says whose fault an answer with an error status was.
func classify(e *translate.Error, h http.Header, now time.Time) Fault {
	text := strings.ToLower(e.Code + "\n" + e.Type + "\n" + e.Message)
	f := Fault{Scope: Provider, Reason: "server_error"}
	if e.Status >= 400 && e.Status < 500 {
		f = Fault{Scope: Request, Reason: "rejected"}
	}
rules:
	for _, r := range rules {
		if len(r.statuses) > 0 && !slices.Contains(r.statuses, e.Status) {
			continue
		}
		if len(r.words) == 0 {
			f = r.f
			break
		}
		for _, w := range r.words {
			if strings.Contains(text, w) {
				f = r.f
				break rules
			}
		}
	}
	if f.Scope != Request {
		f.After = retryAfter(h, now)
	}
	return f
}

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
