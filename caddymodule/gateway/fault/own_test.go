package fault

import (
	"strings"
	"testing"
	"time"
)

func TestOwnRulesGoFirst(t *testing.T) {
	t.Parallel()
	table := table(t,
		Rule{Provider: "mine", Statuses: []int{400}, Contains: "No Seats Left", Scope: Connection, Reason: "no_seats", For: time.Hour},
		Rule{Pattern: `(?i)gpu \d+ fell off`, Scope: Provider},
		Rule{Provider: "mine", Statuses: []int{418}, Scope: Request, Reason: "teapot"},
		Rule{Provider: "mine", Contains: "quota of the hour", Scope: Connection},
	)
	for _, c := range []struct {
		provider string
		status   int
		body     string
		want     Fault
	}{
		{"mine", 400, `{"error":{"message":"there are no seats left"}}`, Fault{Scope: Connection, Reason: "no_seats", After: time.Hour}},
		{"other", 400, `{"error":{"message":"there are no seats left"}}`, rejected},
		{"mine", 422, `{"error":{"message":"there are no seats left"}}`, rejected},
		{"other", 400, `{"x":"GPU 12 fell off"}`, Fault{Scope: Provider, Reason: "rule"}},
		{"mine", 418, ``, Fault{Scope: Request, Reason: "teapot", Final: true}},
		// It names no time, so that the provider's counts.
		{"mine", 400, `{"error":{"message":"The quota of the hour is gone, try again in 20 minutes"}}`, Fault{Scope: Connection, Reason: "rule", After: 20 * time.Minute}},
	} {
		if got := table.Classify(answer("", c.provider, c.status, c.body), now); got != c.want {
			t.Errorf("%s %d %s: got %+v, want %+v", c.provider, c.status, c.body, got, c.want)
		}
	}
}

func TestRulesThatCannotBe(t *testing.T) {
	t.Parallel()
	for want, r := range map[string]Rule{
		"scope":               {Statuses: []int{400}, Scope: Client},
		"fit everything":      {Provider: "p", Scope: Request},
		"status 99":           {Statuses: []int{99}, Scope: Request},
		"reason":              {Statuses: []int{400}, Scope: Request, Reason: "Not A Word"},
		"time":                {Statuses: []int{400}, Scope: Model, For: -time.Second},
		"text of 600 bytes":   {Contains: strings.Repeat("x", 600), Scope: Model},
		"pattern of 600":      {Pattern: strings.Repeat("x", 600), Scope: Model},
		"pattern: error pars": {Pattern: "(", Scope: Model},
		"repeats too much":    {Pattern: strings.Repeat("(?:.{900})", 20), Scope: Model},
	} {
		_, err := NewTable([]Rule{{Statuses: []int{500}, Scope: Provider}, r})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "rule of fault 2") {
			t.Errorf("%+v: got %v, want an error that says %q and which rule", r, err, want)
		}
	}
	if _, err := NewTable(make([]Rule, maxRules+1)); err == nil {
		t.Error("any number of rules is taken")
	}
}
