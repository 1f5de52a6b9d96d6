package gateway_test

import (
	"maps"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nine-router/nine-router/caddymodule/gateway"
	"github.com/nine-router/nine-router/caddymodule/gateway/schedule"
	"github.com/nine-router/nine-router/caddymodule/provider"
	"github.com/nine-router/nine-router/store"
)

// counts asks so many times, and counts who answered.
func (l *lab) counts(t testing.TB, n int, model string) map[string]int {
	t.Helper()
	for range n {
		l.chat(t, model)
	}
	counts := map[string]int{}
	for id := range strings.FieldsSeq(l.took()) {
		counts[id]++
	}
	return counts
}

func TestWeightsHold(t *testing.T) {
	t.Parallel()
	l := newLab(t, answers, func(o *gateway.Options) {
		o.Strategy = schedule.Weighted
		o.Declared.Connections[0].Weight, o.Declared.Connections[1].Weight = 3, 1
		o.Declared.Combos[0].Weights = []int{1, 4}
	}, "a2", "b")
	// Five deviations of the binomial distribution on either side.
	if c := l.counts(t, 2000, "a/m"); c["a1"] < 1400 || c["a1"] > 1600 || c["a1"]+c["a2"] != 2000 {
		t.Errorf("connections %v, want 3 to 1", c)
	}
	if c := l.counts(t, 2000, "all"); c["b1"] < 1510 || c["b1"] > 1690 {
		t.Errorf("members %v, want 1 to 4", c)
	}
}

func TestTurnsAreSticky(t *testing.T) {
	t.Parallel()
	l := newLab(t, answers, func(o *gateway.Options) {
		o.Declared.Providers["a"] = gateway.Settings{Strategy: schedule.RoundRobin, Sticky: 2}
		o.Declared.Combos[0].Strategy, o.Declared.Combos[0].Sticky = "round_robin", 3
	}, "a2", "b")
	for range 5 {
		l.chat(t, "a/m")
	}
	if got := l.took(); got != "a1 a1 a2 a2 a1" {
		t.Errorf("connections %s", got)
	}
	for range 6 {
		l.chat(t, "all")
	}
	if got := l.took(); !strings.HasSuffix(got, " b1 b1 b1") || strings.Count(got, "b1") != 3 {
		t.Errorf("members %s", got)
	}
}

func TestTheLeastBusyIsAsked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, func(_ string, r *http.Request) (*http.Response, error) {
			return streams(r, piece{0, opening + says("x")}, piece{time.Minute, stopping + done})
		}, func(o *gateway.Options) { o.Strategy = schedule.LeastBusy }, "a3")
		for range 9 {
			go l.stream(t, "a/m")
			synctest.Wait()
		}
		for _, r := range l.board.Reports() {
			if r.Connection != "" && r.Model == "" && r.Running != 3 {
				t.Errorf("%s has %d of 9", r.Connection, r.Running)
			}
		}
		time.Sleep(2 * time.Minute)
		l.quiet(t)
	})
}

func TestTheFastestIsAsked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, func(id string, r *http.Request) (*http.Response, error) {
			if err := waits(r, map[string]time.Duration{"a1": 3, "a2": 1, "a3": 2, "b1": 9}[id]*time.Second); err != nil {
				return nil, err
			}
			return answers(id, r)
		}, func(o *gateway.Options) { o.Strategy = schedule.Fastest }, "a3", "b")
		l.counts(t, 3, "a/m") // each once
		l.chat(t, "b/m")
		l.took()
		for _, model := range []string{"a/m", "all"} {
			if c := l.counts(t, 10, model); c["a2"] != 10 {
				t.Errorf("%s: %v", model, c)
			}
		}
	})
}

func TestTheCheapestIsAsked(t *testing.T) {
	t.Parallel()
	l := newLab(t, answers, func(o *gateway.Options) {
		o.Declared.Combos[0].Strategy = "cheapest"
		price := func(p store.Money) map[string]provider.Model {
			return map[string]provider.Model{"m": {Price: &store.Price{Input: p, Output: p}}}
		}
		o.Declared.Models = map[string]map[string]provider.Model{"b": price(5), "c": price(2)}
	}, "a", "b", "c") // nobody knows what a costs
	if c := l.counts(t, 3, "all"); c["c1"] != 3 {
		t.Errorf("%v", c)
	}
}

// The largest quota is asked first, an unknown one counts as half, and one that is
// spent comes last.
func TestTheLargestQuotaIsAsked(t *testing.T) {
	t.Parallel()
	l := newLab(t, answers, func(o *gateway.Options) { o.Strategy = schedule.MostQuota }, "a3")
	for _, c := range []struct {
		id   string
		left float64
		want string
	}{{"a1", 0.4, "a2 a3"}, {"a2", 0.9, "a2"}, {"a2", 0.1, "a3"}, {"a3", 0, "a1"}, {"a1", 0, "a2"}} {
		l.board.SetQuota("a", c.id, c.left)
		for id, n := range l.counts(t, 10, "a/m") {
			if !strings.Contains(c.want, id) {
				t.Errorf("with %v of %s left, %s was asked %d times, want %s", c.left, c.id, id, n, c.want)
			}
		}
	}
}

// What would be asked first is shown first, with why.
func TestTheOrderIsShown(t *testing.T) {
	t.Parallel()
	l := newLab(t, answers, func(o *gateway.Options) { o.Strategy = schedule.MostQuota }, "a3")
	l.board.SetQuota("a", "a1", 0.2)
	l.board.SetQuota("a", "a3", 0.9)
	r, _, ok := l.Resolve("a/m", "")
	var got []string
	for _, c := range r.Plan.Connections {
		got = append(got, c.ID)
	}
	if !ok || strings.Join(got, " ") != "a3 a2 a1" || r.Plan.Connections[0].Quota == nil || *r.Plan.Connections[0].Quota != 0.9 || r.Plan.Connections[1].Quota != nil {
		t.Errorf("%+v", r)
	}
	if _, why, ok := l.Resolve("a/m", "nobody"); ok || !strings.Contains(why, "no key") {
		t.Errorf("a key that there is not: %v %s", ok, why)
	}
}

// Who would refuse the request comes last, but comes: it is a guess.
func TestTheUnableComeLast(t *testing.T) {
	t.Parallel()
	long := `{"model":"all","messages":[{"role":"user","content":"` + strings.Repeat("word ", 4000) + `"}]}`
	for name, c := range map[string]struct {
		a      provider.Model
		body   string
		reason string
	}{
		"vision": {provider.Model{Lacks: []provider.Ability{provider.Vision}}, `{"model":"all","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,AA=="}}]}]}`, "vision"},
		"tools":  {provider.Model{Lacks: []provider.Ability{provider.Tools}}, `{"model":"all","messages":[{"role":"user","content":"x"}],"tools":[{"type":"function","function":{"name":"f"}}]}`, "tools"},
		"length": {provider.Model{Context: 1000}, long, "context_window"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			well := true
			l := newLab(t, func(id string, r *http.Request) (*http.Response, error) {
				if id == "b1" && !well {
					return fails(429, "slow down")
				}
				return answers(id, r)
			}, func(o *gateway.Options) {
				o.Declared.Models = map[string]map[string]provider.Model{"a": {"m": c.a}}
			}, "a", "b")
			if got := l.ask(t, "/v1/chat/completions", c.body); got != "b1" {
				t.Errorf("asked %s", got)
			}
			if _, trace := l.last(t); len(trace.Passed) != 1 || trace.Passed[0].Reason != c.reason {
				t.Errorf("passed over %+v", trace.Passed)
			}
			well = false
			if got := l.ask(t, "/v1/chat/completions", c.body); got != "b1 a1" {
				t.Errorf("asked %s", got)
			}
		})
	}
}

// A lower priority is asked only when nobody of a higher one is left.
func TestPrioritiesGoFirst(t *testing.T) {
	t.Parallel()
	l := newLab(t, func(id string, r *http.Request) (*http.Response, error) {
		if id != "a1" {
			return fails(429, "slow down", "Retry-After", "60")
		}
		return answers(id, r)
	}, func(o *gateway.Options) {
		inTurn(o)
		o.Declared.Connections[0].Priority = 1
	}, "a3")
	l.chat(t, "a/m")
	if got := l.took(); got != "a2 a3 a1" {
		t.Errorf("asked %s", got)
	}
}

// The same strategies, between the members of a combo.
func TestMembersAreChosenByStrategy(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, func(_ string, r *http.Request) (*http.Response, error) {
			return streams(r, piece{0, opening + says("x")}, piece{time.Minute, stopping + done})
		}, func(o *gateway.Options) { o.Declared.Combos[0].Strategy = "least_busy" }, "a2", "b", "c")
		for range 9 {
			go l.stream(t, "all")
			synctest.Wait()
		}
		running := map[string]int{}
		for _, r := range l.board.Reports() {
			if r.Connection != "" && r.Model == "" {
				running[r.Provider] += int(r.Running)
			}
		}
		if want := map[string]int{"a": 3, "b": 3, "c": 3}; !maps.Equal(running, want) {
			t.Errorf("running %v, want %v", running, want)
		}
		time.Sleep(2 * time.Minute)
		l.quiet(t)
	})
	l := newLab(t, answers, func(o *gateway.Options) { o.Declared.Combos[0].Strategy = "most_quota" }, "a2", "b")
	for _, q := range []struct{ provider, id string }{{"a", "a1"}, {"a", "a2"}} {
		l.board.SetQuota(q.provider, q.id, 0.2)
	}
	if c := l.counts(t, 20, "all"); c["b1"] != 20 { // of which nothing is known
		t.Errorf("asked %v", c)
	}
	l.board.SetQuota("b", "b1", 0.1)
	if c := l.counts(t, 20, "all"); c["b1"] != 0 {
		t.Errorf("asked %v", c)
	}
}
