package gateway_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nine-router/nine-router/caddymodule/gateway"
	"github.com/nine-router/nine-router/caddymodule/provider"
	"github.com/nine-router/nine-router/store"
)

// events keeps what an operator is told.
type events struct {
	gateway.Observer
	mu   sync.Mutex
	list []gateway.Event
}

func (*events) Begin(context.Context, *store.Exchange)             {}
func (*events) End(context.Context, *store.Exchange, *store.Trace) {}
func (*events) BeginAttempt(ctx context.Context, _ *store.Exchange, _ *store.Attempt) context.Context {
	return ctx
}
func (*events) EndAttempt(context.Context, *store.Exchange, *store.Attempt) {}
func (e *events) Event(_ context.Context, v gateway.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.list = append(e.list, v)
}

// priced has the key "test" limited, and lets a request cost so much: 7 tokens in and
// 2 out, at 1,000 and 46,500 nano-dollars each, make 100,000.
func priced(l store.Limits) func(*gateway.Options) {
	return func(o *gateway.Options) {
		o.Declared.Keys[0].Limits = l
		o.Declared.Models = map[string]map[string]provider.Model{"a": {"m": {Price: &store.Price{Input: store.Dollar, Output: 46_500_000_000}}}}
	}
}

const perRequest = 100_000 // nano-dollars

// 500 requests at once against a budget worth 100 of them: no more is spent, and the
// books agree with the provider's own count.
func TestABudgetIsNotOverrunInParallel(t *testing.T) {
	t.Parallel()
	var answered atomic.Int64
	l := newLab(t, func(id string, r *http.Request) (*http.Response, error) {
		answered.Add(1)
		return answers(id, r)
	}, priced(store.Limits{SpendDay: 100 * perRequest}), "a")
	var all sync.WaitGroup
	var refused atomic.Int64
	for range 500 {
		all.Go(func() {
			for range 1000 {
				switch w := l.chat(t, "a/m"); w.Code {
				case http.StatusOK:
					return
				case http.StatusPaymentRequired:
					refused.Add(1)
					if w.Header().Get("X-Should-Retry") != "false" {
						t.Error("a spent budget is worth a retry")
					}
					return
				case http.StatusTooManyRequests: // what is left is reserved
					if w.Header().Get("Retry-After") != "1" {
						t.Error(w.Header())
					}
					time.Sleep(time.Millisecond)
				default:
					t.Error(w.Code, w.Body)
					return
				}
			}
		})
	}
	all.Wait()
	var spent store.Money
	var finished int64
	l.books.Exchanges(t.Context(), time.Unix(0, 0), time.Now().Add(time.Hour), func(e *store.Exchange) bool {
		if spent += e.Cost; e.Outcome == store.Finished {
			finished++
		}
		return true
	})
	if answered.Load() != 100 || finished != 100 || spent != 100*perRequest || refused.Load() != 400 {
		t.Errorf("%d answered, %d in the books for %d, %d refused", answered.Load(), finished, spent, refused.Load())
	}
}

// Whatever a key comes up against, its client is told in its own format, with when to
// come again, and the operator of a budget that is spent.
func TestLimitsInEveryFormat(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		limits store.Limits
		status int
		says   string
		header string // of OpenAI's clients
	}{
		"budget":     {store.Limits{SpendTotal: perRequest}, 402, "budget is spent: $0.0001 of $0.0001", ""},
		"requests":   {store.Limits{RequestsPerMinute: 1}, 429, "1 requests per minute", "X-Ratelimit-Reset-Requests"},
		"tokens":     {store.Limits{TokensPerMinute: 10}, 429, "10 tokens per minute", "X-Ratelimit-Reset-Tokens"},
		"expired":    {store.Limits{Expires: time.Unix(1e9, 0)}, 401, "expired", ""},
		"elsewhere":  {store.Limits{Networks: []string{"10.0.0.0/8"}}, 403, "address", ""},
		"operations": {store.Limits{Operations: []string{"embed"}}, 403, "operation", ""},
		"models":     {store.Limits{Models: []string{"other/*"}}, 403, "may not use the model", ""},
	} {
		for format, client := range clients {
			e := &events{}
			l := newLab(t, answers, func(o *gateway.Options) {
				priced(c.limits)(o)
				o.Observer = e
			}, "a")
			body, err := client.codec.AppendRequest(nil, history(format, "a/m", false, nil), nil)
			if err != nil {
				t.Fatal(err)
			}
			first := l.post(t, client.path("a/m", false), string(body))
			w := l.post(t, client.path("a/m", false), string(body))
			if w.Code != c.status || !strings.Contains(w.Body.String(), c.says) || !strings.HasPrefix(w.Body.String(), shapes[format]) {
				t.Errorf("%s, %s: %d %s (before: %d %s)", name, format, w.Code, w.Body, first.Code, first.Body)
			}
			if c.header != "" && format == "openai" && (w.Header().Get(c.header) == "" || w.Header().Get("Retry-After") == "") {
				t.Errorf("%s: %v", name, w.Header())
			}
			if c.status == 429 && format == "anthropic" && w.Header().Get("Anthropic-Ratelimit-"+strings.ToUpper(name[:1])+name[1:]+"-Remaining") != map[string]string{"requests": "0", "tokens": "1"}[name] {
				t.Errorf("%s: %v", name, w.Header())
			}
			if told := len(e.list) == 1 && e.list[0].Name == gateway.EventBudgetExceeded; told != (name == "budget") {
				t.Errorf("%s, %s: the operator was told %v", name, format, e.list)
			}
		}
	}
}

// A client that leaves before the end, or a provider that tells no figures, does not
// get around a limit; nor do figures that no honest provider states.
func TestNothingGoesPastABudget(t *testing.T) {
	t.Parallel()
	for name, usage := range map[string]string{
		"no figures":    "",
		"absurd":        `,"usage":{"prompt_tokens":9223372036854775807,"completion_tokens":9223372036854775807}`,
		"negative":      `,"usage":{"prompt_tokens":-5,"completion_tokens":-5}`,
		"a negative in": `,"usage":{"prompt_tokens":-9223372036854775808,"completion_tokens":2}`,
	} {
		l := newLab(t, func(string, *http.Request) (*http.Response, error) {
			return respond(200, "text/event-stream", says(strings.Repeat("word ", 50))+`data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]`+usage+"}\n\n"+done)
		}, priced(store.Limits{SpendTotal: perRequest}), "a")
		spent := l.books.UsedSince("declared:test", time.Time{}).Cost
		if w := l.stream(t, "a/m"); w.Code != 200 {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
		now := l.books.UsedSince("declared:test", time.Time{}).Cost
		if now < spent || now == 0 && !strings.Contains(name, "negative") {
			t.Errorf("%s: %d were spent before, %d now", name, spent, now)
		}
		if name != "negative" && name != "a negative in" {
			if w := l.stream(t, "a/m"); w.Code != http.StatusPaymentRequired {
				t.Errorf("%s: %d %s", name, w.Code, w.Body)
			}
		}
	}
}

// A budget is worth nothing if what it buys has no known price.
func TestABudgetNeedsAPrice(t *testing.T) {
	t.Parallel()
	l := newLab(t, answers, priced(store.Limits{SpendDay: store.Dollar}), "a", "b")
	if w := l.chat(t, "b/m"); w.Code != http.StatusPaymentRequired || !strings.Contains(w.Body.String(), "not known here") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if got := l.took(); got != "" {
		t.Errorf("asked %s", got)
	}
	l.Reload(t.Context())
	if w := l.post(t, "/v1/chat/completions", fmt.Sprintf(`{"model":%q,"messages":[{"role":"user","content":"x"}]}`, "all")); w.Code != 200 || l.took() != "a1" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
