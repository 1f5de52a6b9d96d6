package gateway_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nine-router/nine-router/caddymodule/gateway"
	"github.com/nine-router/nine-router/store"
)

// A second candidate is asked when the first takes long; whoever has content first
// is taken and the other hung up on. Each connection takes its time and then
// answers or fails.
func TestHedging(t *testing.T) {
	t.Parallel()
	type plan struct {
		takes  time.Duration
		status int
	}
	for _, c := range []struct {
		name    string
		a, b, c plan
		change  func(*gateway.Options)
		want    string
		status  int
		by      string
		took    time.Duration
	}{
		{name: "the first is in time", a: plan{900 * time.Millisecond, 200}, b: plan{0, 200}, want: "a1", status: 200, by: "a1", took: 900 * time.Millisecond},
		{name: "the second is faster", a: plan{time.Minute, 200}, b: plan{time.Second, 200}, want: "a1 b1", status: 200, by: "b1", took: 2 * time.Second},
		{name: "the first is faster after all", a: plan{3 * time.Second, 200}, b: plan{time.Minute, 200}, want: "a1 b1", status: 200, by: "a1", took: 3 * time.Second},
		{name: "the first fails, the second answers", a: plan{2 * time.Second, 500}, b: plan{5 * time.Second, 200}, want: "a1 b1", status: 200, by: "b1", took: 6 * time.Second},
		{name: "the second fails, the first answers", a: plan{5 * time.Second, 200}, b: plan{time.Second, 500}, want: "a1 b1", status: 200, by: "a1", took: 5 * time.Second},
		{name: "both fail, the third answers", a: plan{2 * time.Second, 500}, b: plan{5 * time.Second, 429}, c: plan{0, 200}, want: "a1 b1 c1", status: 200, by: "c1", took: 6 * time.Second},
		{name: "a bad request is one for both", a: plan{2 * time.Second, 400}, b: plan{time.Minute, 200}, want: "a1 b1", status: 400, took: 2 * time.Second},
		{name: "the more useful failure is told", a: plan{2 * time.Second, 429}, b: plan{5 * time.Second, 401}, c: plan{0, 401}, want: "a1 b1 c1", status: 429, took: 6 * time.Second},
		{name: "no more requests than are allowed", a: plan{5 * time.Second, 200}, b: plan{0, 200}, want: "a1", status: 200, by: "a1", took: 5 * time.Second,
			change: func(o *gateway.Options) { o.Retry.Attempts = 1 }},
		{name: "off by default", a: plan{5 * time.Second, 200}, b: plan{0, 200}, want: "a1", status: 200, by: "a1", took: 5 * time.Second,
			change: func(o *gateway.Options) { o.Hedge = gateway.Hedge{} }},
	} {
		for _, stream := range []bool{true, false} {
			for _, path := range []string{"/v1/chat/completions", "/v1/messages"} {
				t.Run(fmt.Sprintf("%s, stream %v, %s", c.name, stream, path), func(t *testing.T) {
					t.Parallel()
					synctest.Test(t, func(t *testing.T) {
						var cut atomic.Int32
						l := newLab(t, func(id string, r *http.Request) (*http.Response, error) {
							p := map[byte]plan{'a': c.a, 'b': c.b, 'c': c.c}[id[0]]
							if err := waits(r, p.takes); err != nil {
								cut.Add(1)
								return nil, err
							}
							if p.status != 200 {
								return fails(p.status, "an error")
							}
							return answers(id, r)
						}, func(o *gateway.Options) {
							o.Hedge = gateway.Hedge{On: true, After: time.Second}
							if c.change != nil {
								c.change(o)
							}
						}, "a", "b", "c")
						began := time.Now()
						w := l.post(t, path, fmt.Sprintf(`{"model":"all","max_tokens":9,"stream":%v,"messages":[{"role":"user","content":"x"}]}`, stream))
						if got := l.took(); got != c.want || w.Code != c.status || c.by != "" && !strings.Contains(w.Body.String(), "from "+c.by) {
							t.Errorf("asked %s, got %d %s", got, w.Code, w.Body)
						}
						if d := time.Since(began); d != c.took {
							t.Errorf("it took %v", d)
						}
						x, trace := l.last(t)
						if x.Attempts != len(strings.Fields(c.want)) || len(trace.Attempts) != x.Attempts || c.by != "" && x.ConnectionID != c.by {
							t.Errorf("%+v", x)
						}
						for _, a := range trace.Attempts {
							if a.Hedge != (a.Connection == "b1") {
								t.Errorf("%+v", a)
							}
							if a.Connection == c.by && a.Reason != "" {
								t.Errorf("who answered has failed: %+v", a)
							}
						}
						l.quiet(t)
						if len(l.board.Marks()) > 0 && c.status == 200 && c.c == (plan{}) {
							t.Errorf("set aside: %+v", l.board.Marks())
						}
					})
				})
			}
		}
	}
}

func TestHedgesAreAtMostAShare(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, func(id string, r *http.Request) (*http.Response, error) {
			if err := waits(r, 2*time.Second); err != nil {
				return nil, err
			}
			return answers(id, r)
		}, func(o *gateway.Options) { o.Hedge = gateway.Hedge{On: true, After: time.Second, Share: 0.1} }, "a", "b")
		for range 100 {
			l.chat(t, "all")
		}
		if n := strings.Count(l.took(), "b1"); n < 5 || n > 11 {
			t.Errorf("%d of 100 were sent twice", n)
		}
	})
}

func TestTheTimeToHedgeIsLearned(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		takes := 2 * time.Second
		l := newLab(t, func(id string, r *http.Request) (*http.Response, error) {
			if id == "a1" {
				if err := waits(r, takes); err != nil {
					return nil, err
				}
			}
			return answers(id, r)
		}, func(o *gateway.Options) { o.Hedge = gateway.Hedge{On: true, Share: 1} }, "a", "b")
		for range 5 {
			l.stream(t, "all")
		}
		if got := l.took(); strings.Contains(got, "b1") {
			t.Errorf("nothing was slow, yet asked were %s", got)
		}
		takes = time.Hour
		began := time.Now()
		if w := l.stream(t, "all"); !strings.Contains(w.Body.String(), "from b1") {
			t.Error(w.Body)
		}
		if d := time.Since(began); d != 6*time.Second {
			t.Errorf("the second was asked after %v, want three times the usual", d)
		}
	})
}

func TestAClientThatLeavesEndsBothOfAHedge(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var ended sync.WaitGroup
		ended.Add(2)
		l := newLab(t, func(id string, r *http.Request) (*http.Response, error) {
			defer ended.Done()
			return nil, waits(r, time.Hour)
		}, func(o *gateway.Options) { o.Hedge = gateway.Hedge{On: true, After: time.Second} }, "a", "b")
		ctx, leave := context.WithTimeout(t.Context(), 2*time.Second)
		defer leave()
		l.postIn(ctx, "/v1/chat/completions", `{"model":"all","stream":true,"messages":[{"role":"user","content":"x"}]}`)
		ended.Wait()
		if x, _ := l.last(t); x.Outcome != store.Cancelled || x.Attempts != 2 {
			t.Errorf("%+v", x)
		}
		l.quiet(t)
		if m := l.board.Marks(); len(m) > 0 {
			t.Errorf("set aside: %+v", m)
		}
	})
}
