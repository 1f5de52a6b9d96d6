package gateway_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nine-router/nine-router/caddymodule/gateway"
	"github.com/nine-router/nine-router/store"
)

// Who is asked in which order, and what the client is told when nobody answers.
// Each connection's answers come one after the other; the last one stays.
func TestWhoIsAskedAgain(t *testing.T) {
	t.Parallel()
	refused := &net.OpError{Op: "dial", Err: errors.New("connection refused")}
	for _, c := range []struct {
		name      string
		answers   map[string][]any // a status, an error, or a time to wait and then answer
		change    func(*gateway.Options)
		want      string
		status    int
		after     string // Retry-After
		hopeless  bool   // x-should-retry: false
		providers []string
	}{
		{name: "one alone that failed cheaply", answers: map[string][]any{"a1": {500, 200}}, want: "a1 a1", status: 200, providers: []string{"a"}},
		{name: "one alone that was not there", answers: map[string][]any{"a1": {refused, 200}}, want: "a1 a1", status: 200, providers: []string{"a"}},
		{name: "all, once, after everybody else", answers: map[string][]any{"a1": {500}, "b1": {502}}, want: "a1 b1 a1 b1", status: 500},
		{name: "not if it is switched off", answers: map[string][]any{"a1": {500}, "b1": {502}}, want: "a1 b1", status: 500,
			change: func(o *gateway.Options) { o.Retry.Rounds = -1 }},
		{name: "the cheap one, although another was limited", answers: map[string][]any{"a1": {500, 200}, "b1": {429}}, want: "a1 b1 a1", status: 200},
		{name: "the cheap one, although another cannot take the request", answers: map[string][]any{"a1": {500, 200}, "b1": {"the prompt is too long"}}, want: "a1 b1 a1", status: 200},
		{name: "but not who cannot take the request", answers: map[string][]any{"a1": {"the prompt is too long"}, "b1": {500}}, want: "a1 b1 b1", status: 400, hopeless: true},
		{name: "nobody once one says that the request is bad", answers: map[string][]any{"a1": {500}, "b1": {400}}, want: "a1 b1", status: 400, hopeless: true},
		{name: "not who has used up its time", answers: map[string][]any{"a1": {time.Hour}, "b1": {500, 200}}, want: "a1 b1 b1", status: 200},
		{name: "not who says when", answers: map[string][]any{"a1": {"503 later"}}, want: "a1", status: 503, after: "7", providers: []string{"a"}},
		{name: "no more often than is allowed", answers: map[string][]any{"a1": {500}}, want: "a1", status: 500, providers: []string{"a"},
			change: func(o *gateway.Options) { o.Retry.Attempts = 1 }},
		{name: "no more often than is allowed, in the second round", answers: map[string][]any{"a1": {500}, "b1": {500}}, want: "a1 b1 a1", status: 500,
			change: func(o *gateway.Options) { o.Retry.Attempts = 3 }},
		{name: "nobody after the combo's deadline", answers: map[string][]any{"a1": {time.Hour}, "b1": {200}}, want: "a1", status: 504,
			change: func(o *gateway.Options) { o.Declared.Combos[0].Deadline = 10 * time.Second }},
		{name: "the next after the deadline of a combo within the combo", answers: map[string][]any{"a1": {time.Hour}, "b1": {200}}, want: "a1 b1", status: 200,
			change: func(o *gateway.Options) {
				o.Declared.Combos = []store.Combo{{Name: "inner", Models: []string{"a/m", "a/n"}, Deadline: 10 * time.Second}, {Name: "all", Models: []string{"inner", "b/m"}}}
			}},
		{name: "nobody of a combo whose time is over", answers: map[string][]any{"a1": {500, time.Hour}, "b1": {200}}, want: "a1 a1 b1", status: 200,
			change: func(o *gateway.Options) {
				o.Declared.Combos = []store.Combo{{Name: "inner", Models: []string{"a/m", "a/n", "a/o"}, Deadline: 10 * time.Second}, {Name: "all", Models: []string{"inner", "b/m"}}}
			}},
		{name: "who is limited, if it is worth the wait", answers: map[string][]any{"a1": {"429 later", 200}}, want: "a1 a1", status: 200, providers: []string{"a"},
			change: func(o *gateway.Options) { o.Retry.Wait = 10 * time.Second }},
		{name: "not who is limited for longer than that", answers: map[string][]any{"a1": {"429 later", 200}}, want: "a1", status: 429, after: "7", providers: []string{"a"},
			change: func(o *gateway.Options) { o.Retry.Wait = 6 * time.Second }},
		{name: "and a limit without a time has ours", answers: map[string][]any{"a1": {429}}, want: "a1", status: 429, after: "3", providers: []string{"a"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				if c.providers == nil {
					c.providers = []string{"a", "b"}
				}
				l := newLab(t, func(id string, r *http.Request) (*http.Response, error) {
					list := c.answers[id]
					now := list[0]
					if len(list) > 1 {
						c.answers[id] = list[1:]
					}
					switch now := now.(type) {
					case error:
						return nil, now
					case time.Duration:
						if err := waits(r, now); err != nil {
							return nil, err
						}
						return answers(id, r)
					case string:
						switch now {
						case "503 later":
							return fails(503, "busy", "Retry-After", "7")
						case "429 later":
							return fails(429, "busy", "Retry-After", "7")
						}
						return fails(400, now)
					}
					if now == 200 {
						return answers(id, r)
					}
					return fails(now.(int), "an error")
				}, c.change, c.providers...)
				w := l.chat(t, "all")
				if got := l.took(); got != c.want {
					t.Errorf("asked %s, want %s", got, c.want)
				}
				if w.Code != c.status || w.Header().Get("Retry-After") != c.after && c.after != "" || (w.Header().Get("X-Should-Retry") == "false") != c.hopeless {
					t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
				}
				l.quiet(t)
			})
		})
	}
}

// What came of the exchange is what its client did, even if a provider had failed
// before.
func TestAClientThatLeavesBetweenTriesHasLeft(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*gateway.Options)
		hold   string // a connection that somebody else has
	}{
		"while it waits for another round": {func(o *gateway.Options) { o.Retry.BackOff = time.Hour }, ""},
		"while it waits for a place": {func(o *gateway.Options) {
			o.Declared.Connections[1].MaxConcurrent = 1
			o.Declared.Providers["b"] = gateway.Settings{QueueTime: time.Hour}
		}, "b1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t, func(id string, r *http.Request) (*http.Response, error) {
					if id == "b1" && c.hold == id {
						return nil, waits(r, 24*time.Hour)
					}
					return fails(500, "an error")
				}, func(o *gateway.Options) {
					o.Times = gateway.Times{Connect: 48 * time.Hour, FirstContent: 48 * time.Hour, Exchange: 48 * time.Hour}
					c.change(o)
				}, "a", "b")
				ctx, leave := context.WithCancel(t.Context())
				if c.hold != "" {
					held, end := context.WithCancel(t.Context())
					gone := make(chan struct{})
					go func() {
						defer close(gone)
						l.postIn(held, "/v1/chat/completions", `{"model":"b/m","messages":[{}]}`)
					}()
					defer func() { end(); <-gone; l.quiet(t) }()
					synctest.Wait()
				}
				time.AfterFunc(time.Second, leave)
				time.Sleep(time.Millisecond)
				w := l.postIn(ctx, "/v1/chat/completions", `{"model":"all","messages":[{"role":"user","content":"x"}]}`)
				if x, _ := l.last(t); x.Outcome != store.Cancelled || x.Scope != "client" || w.Body.Len() != 0 {
					t.Errorf("%+v %s", x, w.Body)
				}
			})
		})
	}
}

// An error after several attempts names them, and the trace has all of them.
func TestTheTraceTellsWhatHappened(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, func(id string, r *http.Request) (*http.Response, error) {
			switch id {
			case "a1":
				return fails(429, "slow down", "Retry-After", "600")
			case "b1":
				if err := waits(r, 2*time.Second); err != nil {
					return nil, err
				}
				return fails(500, "an error")
			}
			time.Sleep(time.Second)
			return answers(id, r)
		}, nil, "a", "b", "c")
		for range 2 {
			if w := l.chat(t, "all"); w.Code != 200 {
				t.Fatal(w.Body)
			}
		}
		x, trace := l.last(t)
		if len(trace.Passed) != 1 || trace.Passed[0].Connection != "a1" || trace.Passed[0].Reason != "rate_limited" || time.Until(trace.Passed[0].Until) < 5*time.Minute {
			t.Errorf("passed over: %+v", trace.Passed)
		}
		if trace.Requested != "all" || trace.Resolved != "all" || x.Attempts != 2 || len(trace.Attempts) != 2 {
			t.Fatalf("%+v", trace)
		}
		b, c := trace.Attempts[0], trace.Attempts[1]
		if b.Connection != "b1" || b.Status != 500 || b.Scope != "provider" || b.Reason != "server_error" || b.Began != 0 || b.FirstByte != 2*time.Second || b.Ended != 2*time.Second {
			t.Errorf("%+v", b)
		}
		if c.Connection != "c1" || c.Status != 200 || c.Scope != "" || c.Reason != "" || c.Began != 2*time.Second || c.FirstContent != 3*time.Second || c.Ended != 3*time.Second {
			t.Errorf("%+v", c)
		}
		l = newLab(t, func(string, *http.Request) (*http.Response, error) { return fails(500, "an error") }, nil, "a", "b")
		w := l.chat(t, "all")
		x, _ = l.last(t)
		for _, part := range []string{"Tried: a/m (server_error), b/m (server_error)", x.ID} {
			if !strings.Contains(w.Body.String(), part) {
				t.Errorf("%q is not in %s", part, w.Body)
			}
		}
		if w.Header().Get("X-Request-Id") != x.ID {
			t.Errorf("header %v of %s", w.Header(), x.ID)
		}
	})
}

// A combo's deadline that leaves a provider hardly any time says nothing about the
// provider, so that those who ask it without a deadline are not turned away.
func TestATightDeadlineBlamesNobody(t *testing.T) {
	t.Parallel()
	for deadline, blamed := range map[time.Duration]bool{2 * time.Second: false, 15 * time.Second: true} {
		synctest.Test(t, func(t *testing.T) {
			l := newLab(t, func(id string, r *http.Request) (*http.Response, error) {
				return nil, waits(r, time.Hour)
			}, func(o *gateway.Options) { o.Declared.Combos[0].Deadline = deadline }, "a")
			turnedAway := 0
			for range 8 {
				time.Sleep(time.Millisecond)
				switch w := l.chat(t, "all"); w.Code {
				case 503:
					turnedAway++
				case 504:
				default:
					t.Errorf("%v: %d %s", deadline, w.Code, w.Body)
				}
			}
			if (turnedAway > 0) != blamed {
				t.Errorf("%v: %d of 8 were turned away", deadline, turnedAway)
			}
			l.quiet(t)
		})
	}
}

// However often an exchange goes over a combo within its combo, and whoever was full
// when its turn came, the inner one has its time once.
func TestAnInnerDeadlineIsNotExtended(t *testing.T) {
	t.Parallel()
	nested := func(o *gateway.Options, deadline time.Duration, inner ...string) {
		o.Declared.Combos = []store.Combo{{Name: "inner", Models: inner, Deadline: deadline}, {Name: "all", Models: []string{"inner", "c/m"}}}
		o.Times = gateway.Times{Connect: 3 * time.Hour, FirstContent: 3 * time.Hour, Exchange: 4 * time.Hour}
	}
	t.Run("by another round", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var used time.Duration
			l := newLab(t, func(id string, r *http.Request) (*http.Response, error) {
				if id == "a1" {
					began := time.Now()
					defer func() { used += time.Since(began) }()
					if err := waits(r, 9*time.Second); err != nil {
						return nil, err
					}
				}
				return fails(500, "x")
			}, func(o *gateway.Options) { nested(o, 10*time.Second, "a/m") }, "a", "c")
			if l.chat(t, "all"); used > 10*time.Second {
				t.Errorf("it had %v of 10s", used)
			}
			l.quiet(t)
		})
	})
	t.Run("by a queue", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			l := newLab(t, func(id string, r *http.Request) (*http.Response, error) {
				if id == "c1" {
					return fails(500, "x")
				}
				return nil, waits(r, time.Hour)
			}, func(o *gateway.Options) {
				nested(o, 20*time.Second, "a/m", "b/m")
				o.Retry.Rounds = -1
				o.Declared.Providers["a"] = gateway.Settings{MaxConcurrent: 1, QueueTime: 2 * time.Hour}
				o.Declared.Providers["b"] = gateway.Settings{Times: gateway.Times{FirstContent: 5 * time.Second}}
			}, "a", "b", "c")
			var first sync.WaitGroup
			first.Go(func() { l.chat(t, "a/x") })
			synctest.Wait()
			began := time.Now()
			w := l.chat(t, "all")
			if took := time.Since(began); took != 20*time.Second || w.Code < 500 {
				t.Errorf("after %v: %d %s, asked %s", took, w.Code, w.Body, l.took())
			}
			first.Wait()
			l.quiet(t)
		})
	})
	t.Run("and the trace is true", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			l := newLab(t, func(id string, r *http.Request) (*http.Response, error) {
				if id == "a1" {
					return nil, waits(r, time.Hour)
				}
				return answers(id, r)
			}, func(o *gateway.Options) { nested(o, 10*time.Second, "a/m", "a/n") }, "a", "c")
			l.chat(t, "all")
			_, trace := l.last(t)
			var passed []string
			for _, p := range trace.Passed {
				passed = append(passed, p.Model+" "+p.Reason)
			}
			if got := strings.Join(passed, ", "); got != "n deadline" {
				t.Errorf("passed over: %s", got)
			}
		})
	})
}
