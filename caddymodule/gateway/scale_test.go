package gateway_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/nine-router/nine-router/caddymodule/gateway"
	"github.com/nine-router/nine-router/caddymodule/provider"
	"github.com/nine-router/nine-router/store"
)

// crowd is a gateway with so many connections and keys, and a request to it.
func crowd(t testing.TB, connections, keys int) func() {
	catalogue, err := provider.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	o := gateway.Options{Store: store.NewMemory(), Catalogue: catalogue,
		Transport: roundTrip(func(r *http.Request) (*http.Response, error) { return answers("one", r) })}
	o.Declared.Nodes = []store.Node{{Name: "up", Format: "openai", BaseURL: "http://up.test/v1"}}
	for i := range connections {
		id := fmt.Sprint("c", i)
		o.Declared.Connections = append(o.Declared.Connections, store.Connection{ID: id, Provider: "up", Name: id, APIKey: store.NewSecret("secret-" + id)})
	}
	for i := range keys {
		o.Declared.Keys = append(o.Declared.Keys, gateway.DeclaredKey{Name: fmt.Sprint("k", i), Secret: store.NewSecret(fmt.Sprintf("nr-client-key-number-%d", i)),
			Limits: store.Limits{RequestsPerMinute: 1e9, TokensPerMinute: 1e12, Concurrent: 1000}})
	}
	g, err := gateway.New(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(`{"model":"up/m","messages":[{"role":"user","content":"x"}]}`))
		r.Header.Set("Authorization", "Bearer nr-client-key-number-0")
		if g.Serve(w, r); w.Code != http.StatusOK {
			t.Fatal(w.Code, w.Body)
		}
	}
}

// How many there are is no cost of a request.
func TestACrowdCostsNothingPerRequest(t *testing.T) { // not parallel: it counts allocations
	few, many := testing.AllocsPerRun(200, crowd(t, 2, 2)), testing.AllocsPerRun(200, crowd(t, 5000, 10_000))
	if many > few*1.1 {
		t.Errorf("%v allocations with a few, %v with many", few, many)
	}
}

func BenchmarkExchange(b *testing.B) {
	for _, n := range []struct{ connections, keys int }{{1, 1}, {5000, 10_000}} {
		b.Run(fmt.Sprintf("%d connections, %d keys", n.connections, n.keys), func(b *testing.B) {
			ask := crowd(b, n.connections, n.keys)
			b.ReportAllocs()
			for b.Loop() {
				ask()
			}
		})
	}
}
