package gateway_test

import (
	"net/http"
	"testing"

	"github.com/nine-router/nine-router/caddymodule/gateway"
	"github.com/nine-router/nine-router/caddymodule/gateway/fault"
)

// A rule of the operator's decides who is asked next, what is set aside and what the
// client is told.
func TestOwnRulesOfFault(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		rules        []fault.Rule
		first, again string
		scope        string // of the first attempt
		reason       string
	}{
		"none: the request is at fault":         {nil, "a1", "a1", "request", "rejected"},
		"the account is":                        {[]fault.Rule{{Statuses: []int{400}, Contains: "Daily Allowance", Scope: fault.Connection, Reason: "allowance", For: 60e9}}, "a1 b1", "b1", "connection", "allowance"},
		"a pattern, of this provider":           {[]fault.Rule{{Provider: "a", Pattern: `allowance of \d+`, Scope: fault.Model}}, "a1 b1", "", "model", "rule"},
		"another provider's rule does not fit":  {[]fault.Rule{{Provider: "b", Pattern: `allowance`, Scope: fault.Connection}}, "a1", "a1", "request", "rejected"},
		"the first of two rules that fit holds": {[]fault.Rule{{Contains: "allowance", Scope: fault.Connection, Reason: "one", For: 60e9}, {Contains: "allowance", Scope: fault.Request, Reason: "two"}}, "a1 b1", "b1", "connection", "one"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			table, err := fault.NewTable(c.rules)
			if err != nil {
				t.Fatal(err)
			}
			l := newLab(t, func(id string, r *http.Request) (*http.Response, error) {
				if id == "a1" {
					return fails(400, "your daily allowance of 5 is used up")
				}
				return answers(id, r)
			}, func(o *gateway.Options) { o.Faults = table }, "a", "b")
			l.chat(t, "all")
			if got := l.took(); got != c.first {
				t.Errorf("asked %s, want %s", got, c.first)
			}
			if _, trace := l.last(t); len(trace.Attempts) == 0 || trace.Attempts[0].Scope != c.scope || trace.Attempts[0].Reason != c.reason {
				t.Errorf("%+v", trace.Attempts)
			}
			if l.chat(t, "all"); c.again != "" {
				if got := l.took(); got != c.again {
					t.Errorf("asked %s afterwards, want %s", got, c.again)
				}
			}
		})
	}
}
