package gateway_test

import (
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

// Many who want the same unknown name at the same moment ask the provider once, and
// all have its answer.
func TestManyDiscoverAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var lists atomic.Int32
		l := newLab(t, func(id string, r *http.Request) (*http.Response, error) {
			if strings.HasSuffix(r.URL.Path, "/models") {
				lists.Add(1)
				if err := waits(r, time.Second); err != nil {
					return nil, err
				}
				return respond(200, "application/json", `{"data":[{"id":"rare"}]}`)
			}
			return answers(id, r)
		}, nil, "a")
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() {
				if w := l.chat(t, "rare"); w.Code != 200 {
					t.Errorf("%d %s", w.Code, w.Body)
				}
			})
		}
		all.Wait()
		for range 3 {
			l.chat(t, "never")
		}
		if n := lists.Load(); n != 1 {
			t.Errorf("asked %d times", n)
		}
	})
}

// A key is not told of names that it may not use, however near they are.
func TestNearNamesAreThoseOfTheKey(t *testing.T) {
	t.Parallel()
	l := newLab(t, answers, func(o *gateway.Options) {
		o.Declared.Nodes[0].Name, o.Declared.Nodes[0].Models = "acme", []string{"private"}
		o.Declared.Connections[0].Provider = "acme"
		o.Declared.Combos = []store.Combo{{Name: "mine", Models: []string{"b/m"}}}
		o.Declared.Keys[0].Limits.Models = []string{"mine"}
	}, "a", "b")
	w := l.chat(t, "acne/private")
	if w.Code != 404 || strings.Contains(w.Body.String(), "acme") || !strings.Contains(w.Body.String(), "mine") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
