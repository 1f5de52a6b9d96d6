package gateway_test

import (
	"context"
	"strings"
	"testing"

	"github.com/nine-router/nine-router/caddymodule/gateway"
	"github.com/nine-router/nine-router/caddymodule/gateway/schedule"
	"github.com/nine-router/nine-router/caddymodule/provider"
	"github.com/nine-router/nine-router/caddymodule/provider/demo"
	"github.com/nine-router/nine-router/store"
)

// Changes that the gateway could not live with are refused before they are stored,
// and a check leaves no trace.
func TestCheckRefusesWhatTheGatewayCouldNotLiveWith(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	catalogue, err := provider.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	if catalogue, err = catalogue.With(demo.Provider()); err != nil {
		t.Fatal(err)
	}
	held, board := store.NewMemory(), schedule.NewBoard()
	if _, err := held.Apply(ctx, store.Put(&store.Alias{Name: "first", Model: "second"})); err != nil {
		t.Fatal(err)
	}
	g, err := gateway.New(ctx, gateway.Options{
		Store: held, Catalogue: catalogue, Board: board,
		Declared: gateway.Declared{
			Combos:      []store.Combo{{Name: "declared", Models: []string{"demo/echo"}}},
			Connections: []store.Connection{{ID: "declared:demo", Provider: "demo", Name: "keyless"}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	before := len(board.Reports())
	for _, test := range []struct {
		name string
		r    store.Record
		want string // in the error; empty is none
	}{
		{"an alias of itself", &store.Alias{Name: "a", Model: "a"}, `"a" means itself`},
		{"a cycle with what is stored", &store.Combo{Name: "second", Models: []string{"demo/echo", "first"}}, "first → second → first"},
		{"a declared name", &store.Combo{Name: "declared", Models: []string{"demo/echo"}}, "declared in the configuration"},
		{"a declared combo's name for an alias", &store.Alias{Name: "declared", Model: "demo/echo"}, "an alias and a combo"},
		{"a pattern for a combo", &store.Combo{Name: "c-*", Models: []string{"demo/echo"}}, "a pattern is the name of an alias"},
		{"a strategy that there is not", &store.Combo{Name: "c", Models: []string{"demo/echo"}, Strategy: "luck"}, "luck"},
		{"what the store refuses", &store.Combo{Name: "c", Models: []string{"demo/echo"}, Sticky: -1}, "less than nothing"},
		{"a connection to nobody", &store.Connection{ID: "c", Provider: "nobody", Name: "one"}, `there is no provider "nobody"`},
		{"a model that nobody offers yet", &store.Alias{Name: "later", Model: "nobody/model"}, ""},
		{"a combo", &store.Combo{Name: "second", Models: []string{"demo/echo", "declared"}, Strategy: "round_robin"}, ""},
		{"a connection", &store.Connection{ID: "c", Provider: "demo", Name: "another"}, ""},
	} {
		err := g.Check(ctx, store.Put(test.r))
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", test.name, err, test.want)
		}
	}
	if snap, _ := held.Snapshot(ctx); snap.Rev != 1 {
		t.Errorf("checks wrote: the store is at revision %d", snap.Rev)
	}
	if after := len(board.Reports()); after != before {
		t.Errorf("checks touched the board: %d reports, were %d", after, before)
	}
	if got := g.Unoffered("demo/echo", "declared", "first", "nobody/model"); strings.Join(got, " ") != "first nobody/model" {
		t.Errorf("nobody offers %q", got)
	}
}
