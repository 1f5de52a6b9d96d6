package gateway

import (
	"context"
	"fmt"
	"maps"

	"github.com/nine-router/nine-router/caddymodule/gateway/schedule"
	"github.com/nine-router/nine-router/store"
)

// Check says whether the gateway could live with the changes, were they stored: it
// gives the error of [store.Store.Apply] or else that of the Reload after it.
// Nothing is stored, and what is running is not touched. Between a check and the
// write it is for, nobody else may write.
func (g *Gateway) Check(ctx context.Context, changes ...store.Change) error {
	held, err := g.o.Store.Snapshot(ctx)
	if err != nil {
		return fmt.Errorf("reading the state: %w", err)
	}
	would, err := held.With(changes...)
	if err != nil {
		return err
	}
	trial := &Gateway{o: g.o}
	trial.o.Board = schedule.NewBoard() // so that no name is remembered that never comes to be
	g.found.mu.Lock()
	trial.found.models = maps.Clone(g.found.models)
	g.found.mu.Unlock()
	_, err = trial.build(would)
	return err
}

// Unoffered returns those of the names that nobody here offers now, as an alias or
// a combo would look for them. They may be right all the same: somebody may offer
// them later.
func (g *Gateway) Unoffered(names ...string) (missing []string) {
	snap := g.snap.Load()
	for _, name := range names {
		offered := false
		if m := snap.lookUp(name, false); m != nil {
			m.plan.Targets(func(*schedule.Plan) bool {
				offered = true
				return false
			})
		}
		if !offered {
			missing = append(missing, name)
		}
	}
	return missing
}
