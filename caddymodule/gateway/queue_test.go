package gateway_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nine-router/nine-router/caddymodule/gateway"
)

// Requests beyond the limit of a connection or a provider wait, in the order in
// which they came.
func TestRequestsWaitInOrder(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*gateway.Options){
		"of a connection": func(o *gateway.Options) { o.Declared.Connections[0].MaxConcurrent = 1 },
		"of a provider":   func(o *gateway.Options) { o.Declared.Providers["a"] = gateway.Settings{MaxConcurrent: 1} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t, func(id string, r *http.Request) (*http.Response, error) {
					if err := waits(r, time.Second); err != nil {
						return nil, err
					}
					return answers(id, r)
				}, change, "a")
				var mu sync.Mutex
				var order []int
				began := time.Now()
				var all sync.WaitGroup
				for i := range 5 {
					all.Go(func() {
						w := l.chat(t, "a/m")
						mu.Lock()
						defer mu.Unlock()
						if order = append(order, i); w.Code != 200 {
							t.Errorf("%d %s", w.Code, w.Body)
						}
					})
					synctest.Wait()
				}
				all.Wait()
				if !slices.IsSorted(order) || time.Since(began) != 5*time.Second {
					t.Errorf("order %v, after %v", order, time.Since(began))
				}
				l.quiet(t)
			})
		})
	}
}

// A queue has an end in length and in time, of which clients are told.
func TestAQueueHasAnEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, func(id string, r *http.Request) (*http.Response, error) {
			if err := waits(r, time.Minute); err != nil {
				return nil, err
			}
			return answers(id, r)
		}, func(o *gateway.Options) {
			o.Times.Connect = time.Hour
			o.Declared.Providers["a"] = gateway.Settings{MaxConcurrent: 1, Queue: 2, QueueTime: 10 * time.Second}
		}, "a")
		ctx, leave := context.WithCancel(t.Context())
		var codes [4]atomic.Int32
		var all sync.WaitGroup
		ask := func(i int, ctx context.Context) {
			all.Go(func() {
				codes[i].Store(int32(l.postIn(ctx, "/v1/chat/completions", `{"model":"a/m","messages":[{"role":"user","content":"x"}]}`).Code))
			})
			synctest.Wait()
		}
		ask(0, t.Context())
		ask(1, ctx)
		ask(2, t.Context())
		w := l.chat(t, "a/m")
		if w.Code != 503 || w.Header().Get("Retry-After") == "" || !strings.Contains(w.Body.String(), "queue_full") {
			t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
		}
		leave() // and frees its place in the queue
		synctest.Wait()
		time.Sleep(time.Second)
		ask(3, t.Context()) // which waits there now
		time.Sleep(9 * time.Second)
		synctest.Wait()
		if second, third := codes[2].Load(), codes[3].Load(); second != 503 || third != 0 {
			t.Errorf("after the queue's time %d and %d", second, third)
		}
		all.Wait()
		if first, third := codes[0].Load(), codes[3].Load(); first != 200 || third != 503 {
			t.Errorf("in the end %d and %d", first, third)
		}
		l.quiet(t)
	})
}

// Who waits for a place when a combo's time is over is told that, and not that the
// queue was full.
func TestACombosTimeEndsInTheQueue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, func(id string, r *http.Request) (*http.Response, error) {
			if err := waits(r, time.Hour); err != nil {
				return nil, err
			}
			return answers(id, r)
		}, func(o *gateway.Options) {
			o.Times = gateway.Times{Connect: 2 * time.Hour, FirstContent: 2 * time.Hour, Exchange: 3 * time.Hour}
			o.Declared.Providers["a"] = gateway.Settings{MaxConcurrent: 1, QueueTime: time.Hour}
			o.Declared.Combos[0].Deadline = 10 * time.Second
		}, "a")
		var first sync.WaitGroup
		first.Go(func() { l.chat(t, "a/m") })
		synctest.Wait()
		began := time.Now()
		w := l.chat(t, "all")
		if took := time.Since(began); took != 10*time.Second || w.Code != 504 || !strings.Contains(w.Body.String(), "combo's time") {
			t.Errorf("after %v: %d %s", took, w.Code, w.Body)
		}
		first.Wait()
		l.quiet(t)
	})
}

// Whatever becomes of an exchange, its place is there for the next one.
func TestPlacesAreGivenBack(t *testing.T) {
	t.Parallel()
	for name, serve := range map[string]script{
		"an answer":    answers,
		"an error":     func(string, *http.Request) (*http.Response, error) { return fails(400, "no") },
		"a limit":      func(string, *http.Request) (*http.Response, error) { return fails(429, "no", "Retry-After", "1") },
		"a broken one": func(string, *http.Request) (*http.Response, error) { return respond(200, "application/json", "{") },
		"a panic":      func(string, *http.Request) (*http.Response, error) { panic("of the test") },
		"a silent one": func(_ string, r *http.Request) (*http.Response, error) { return nil, waits(r, 24*time.Hour) },
		"a broken body": func(_ string, r *http.Request) (*http.Response, error) {
			return streams(r, piece{0, opening + says("x")})
		},
		"one that leaves": func(_ string, r *http.Request) (*http.Response, error) {
			return streams(r, piece{0, opening + says("x")}, piece{time.Hour, done})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				now := serve
				l := newLab(t, func(id string, r *http.Request) (*http.Response, error) { return now(id, r) },
					func(o *gateway.Options) { o.Declared.Connections[0].MaxConcurrent = 1 }, "a")
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				l.postIn(ctx, "/v1/chat/completions", `{"model":"a/m","stream":true,"messages":[{"role":"user","content":"x"}]}`)
				l.quiet(t)
				now = answers
				time.Sleep(time.Hour) // whoever was set aside is well again
				if w := l.chat(t, "a/m"); w.Code != 200 {
					t.Errorf("%d %s", w.Code, w.Body)
				}
			})
		})
	}
}
