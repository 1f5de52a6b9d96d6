package schedule

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nine-router/nine-router/caddymodule/provider"
	"github.com/nine-router/nine-router/store"
)

// connections makes n of them, as each is changed.
func connections(n int, change func(int, *store.Connection)) (list []*store.Connection) {
	for i := range n {
		c := &store.Connection{ID: fmt.Sprint("c", i), Name: fmt.Sprint("c", i)}
		if change != nil {
			change(i, c)
		}
		list = append(list, c)
	}
	return list
}

func pool(b *Board, name string, s Strategy, list []*store.Connection) *Provider {
	p := b.NewProvider(&provider.Provider{Name: name}, list)
	p.Strategy = s
	return p
}

func leaf(p *Provider, model string) *Plan { return &Plan{Target: Target{p, model}} }

// picks counts who comes first in n passes.
func picks(b *Board, plan *Plan, n int) map[string]int {
	count := map[string]int{}
	for range n {
		t := b.Begin(plan).Next()
		count[t.Connection.ID]++
		t.Done(time.Now())
	}
	return count
}

// all lists who comes in one pass.
func all(p *Pass) (ids []string) {
	for t := p.Next(); t != nil; t = p.Next() {
		ids = append(ids, t.Provider.Name+"/"+t.Connection.ID+"/"+t.Model)
		t.Done(time.Now())
	}
	return ids
}

func seeded(seed uint64) *Board {
	b := NewBoard()
	r := rand.New(rand.NewPCG(seed, 1))
	var mu sync.Mutex
	b.Rand = func() float64 {
		mu.Lock()
		defer mu.Unlock()
		return r.Float64()
	}
	return b
}

func TestLowerPrioritiesComeFirst(t *testing.T) {
	t.Parallel()
	for _, s := range Strategies() {
		b := seeded(1)
		p := pool(b, "p", s, connections(6, func(i int, c *store.Connection) { c.Priority = -i / 2 }))
		ids := all(b.Begin(leaf(p, "m")))
		if len(ids) != 6 {
			t.Fatalf("%s: %v", s, ids)
		}
		slices.Sort(ids[:2])
		slices.Sort(ids[2:4])
		if ids[0] != "p/c4/m" || ids[2] != "p/c2/m" {
			t.Errorf("%s: %v", s, ids)
		}
	}
}

func TestRoundRobinIsSticky(t *testing.T) {
	t.Parallel()
	b := NewBoard()
	p := pool(b, "p", RoundRobin, connections(3, nil))
	p.Sticky = 2
	var got string
	for range 8 {
		tk := b.Begin(leaf(p, "m")).Next()
		got += tk.Connection.ID
		tk.Done(time.Now())
	}
	if got != "c0c0c1c1c2c2c0c0" {
		t.Error(got)
	}
}

func TestWeightsHold(t *testing.T) {
	t.Parallel()
	const n = 20_000
	b := seeded(7)
	p := pool(b, "p", Weighted, connections(3, func(i int, c *store.Connection) { c.Weight = []int{1, 2, 5}[i] }))
	near := func(what string, got, want int) {
		if got < want*95/100 || got > want*105/100 {
			t.Errorf("%s: %d of %d, expected about %d", what, got, n, want)
		}
	}
	got := picks(b, leaf(p, "m"), n)
	near("c0", got["c0"], n/8)
	near("c2", got["c2"], n*5/8)
	// Of those that are left when one is set aside, the proportions stay.
	b.Begin(leaf(p, "m"))
	b.standing(Subject{Provider: "p", Connection: "c2"}).set(Verdict{Place: AtConnection, After: time.Hour}, false, time.Time{}, time.Now(), 0)
	got = picks(b, leaf(p, "m"), n)
	near("c0 of the rest", got["c0"], n/3)
	if got["c2"] > 0 {
		t.Error("one that is set aside was asked")
	}
	combo := b.NewCombo("x", Weighted, 0, []*Plan{leaf(pool(b, "a", "", connections(1, nil)), "1"), leaf(pool(b, "b", "", connections(1, nil)), "2")}, []int{3, 1})
	first := 0
	for range n {
		tk := b.Begin(combo).Next()
		if tk.Model == "1" {
			first++
		}
		tk.Done(time.Now())
	}
	near("first member", first, n*3/4)
}

func TestStrategiesThatCompare(t *testing.T) {
	t.Parallel()
	b := seeded(3)
	busyPool := pool(b, "busy", LeastBusy, connections(3, nil))
	a := b.Begin(leaf(busyPool, "m")).Next()
	c := b.Begin(leaf(busyPool, "m")).Next()
	d := b.Begin(leaf(busyPool, "m")).Next()
	if a.Connection == c.Connection || a.Connection == d.Connection || c.Connection == d.Connection {
		t.Error("least_busy asked one twice while another had nothing to do")
	}
	fast := pool(b, "fast", Fastest, connections(2, nil))
	for i, pace := range []time.Duration{time.Second, time.Millisecond} {
		b.standing(Subject{Provider: "fast", Connection: fmt.Sprint("c", i)}).paced(pace)
	}
	if got := all(b.Begin(leaf(fast, "m"))); got[0] != "fast/c1/m" {
		t.Error("fastest:", got)
	}
	quota := pool(b, "quota", MostQuota, connections(2, nil))
	b.SetQuota("quota", "c0", 0.1)
	b.SetQuota("quota", "c1", 0.9)
	if got := all(b.Begin(leaf(quota, "m"))); got[0] != "quota/c1/m" {
		t.Error("most_quota:", got)
	}
	dear, cheap := leaf(fast, "dear"), leaf(quota, "cheap")
	dear.Price, cheap.Price = 10, 1
	if got := all(b.Begin(b.NewCombo("x", Cheapest, 0, []*Plan{dear, cheap, leaf(busyPool, "?")}, nil))); got[0] != "quota/c1/cheap" || got[4] != "busy/c0/?" && got[4] != "busy/c1/?" && got[4] != "busy/c2/?" {
		t.Error("cheapest:", got)
	}
}

func TestThoseWhoAreProbablyUnableComeLast(t *testing.T) {
	t.Parallel()
	b := NewBoard()
	p := pool(b, "p", "", connections(1, nil))
	pass := b.Begin(b.NewCombo("x", "", 0, []*Plan{leaf(p, "small"), leaf(p, "large")}, nil))
	pass.Unable = func(l *Plan) string {
		if l.Target.Model == "small" {
			return "context_window"
		}
		return ""
	}
	if got := all(pass); !slices.Equal(got, []string{"p/c0/large", "p/c0/small"}) {
		t.Error(got)
	}
}

func TestThePreferredOneIsFirstWhileItIsWell(t *testing.T) {
	t.Parallel()
	b := NewBoard()
	p := pool(b, "p", "", connections(3, nil))
	for range 2 {
		pass := b.Begin(leaf(p, "m"))
		pass.Prefer = Candidate{Target{p, "m"}, p.Connection("c2")}
		tk := pass.Next()
		if !tk.Preferred || tk.Connection.ID != "c2" {
			t.Fatalf("%+v", tk)
		}
		tk.Done(time.Now())
		if got := all(pass); !slices.Equal(got, []string{"p/c0/m", "p/c1/m"}) {
			t.Error(got)
		}
	}
	b.standing(Subject{Provider: "p", Connection: "c2"}).set(Verdict{Place: AtConnection}, false, time.Time{}, time.Now(), 0)
	pass := b.Begin(leaf(p, "m"))
	pass.Prefer = Candidate{Target{p, "m"}, p.Connection("c2")}
	if got := all(pass); !slices.Equal(got, []string{"p/c0/m", "p/c1/m"}) {
		t.Error(got)
	}
}

// What was under way together and fails together is one failure: a burst neither
// opens a breaker nor makes a pause longer.
func TestABurstIsOneFailure(t *testing.T) {
	t.Parallel()
	for _, place := range []Place{AtProvider, AtTarget, AtConnection, AtModel} {
		b := NewBoard()
		now := time.Unix(1e9, 0)
		p := pool(b, "p", "", connections(1, nil))
		pass := b.Begin(leaf(p, "m"))
		pass.Now = func() time.Time { return now }
		var out []*Ticket
		for range 50 {
			pass := *pass
			out = append(out, pass.Next())
		}
		now = now.Add(time.Second)
		for _, tk := range out {
			tk.Fail(Verdict{Place: place}, now)
		}
		for range 2 {
			if tk := pass.Next(); tk != nil {
				tk.Done(now)
			}
		}
		if until, _ := pass.Soonest(); !until.IsZero() && until.Sub(now) > FirstPause*5/4 {
			t.Errorf("place %d: a burst sets aside for %v", place, until.Sub(now))
		}
	}
}

// A target that refuses the request itself is not asked again by another of its
// connections, and one that is barred is never asked.
func TestTargetsThatAreLeftAndBarred(t *testing.T) {
	t.Parallel()
	b := NewBoard()
	p := pool(b, "p", "", connections(3, nil))
	plan := b.NewCombo("x", "", 0, []*Plan{leaf(p, "barred"), leaf(p, "a"), leaf(p, "b")}, nil)
	pass := b.Begin(plan)
	pass.Barred = func(l *Plan) string {
		if l.Target.Model == "barred" {
			return "not_allowed"
		}
		return ""
	}
	tk := pass.Next()
	if tk.Model != "a" || !pass.More() {
		t.Fatalf("%+v", tk.Target)
	}
	pass.Leave(tk.Target)
	tk.Done(time.Now())
	if got := all(pass); !slices.Equal(got, []string{"p/c0/b", "p/c1/b", "p/c2/b"}) {
		t.Error(got)
	}
	for name, plan := range map[string]*Plan{"barred": leaf(p, "barred"), "offered by nobody": {}} {
		pass := b.Begin(plan)
		pass.Barred = func(*Plan) string { return "not_allowed" }
		if tk := pass.Next(); tk != nil || pass.Considered() {
			t.Errorf("a plan of one that is %s: %+v", name, tk)
		}
	}
}

// Whatever fails and whenever: one probe at a time, nobody who is set aside, no
// candidate twice in a pass, and nobody who is well is left out.
func TestAnyMixOfFailures(t *testing.T) {
	t.Parallel()
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 2))
		b := seeded(seed)
		now := time.Unix(1e9, 0)
		strategies := Strategies()
		var leaves []*Plan
		for i := range 3 {
			p := pool(b, fmt.Sprint("p", i), strategies[r.IntN(len(strategies))], connections(1+r.IntN(50), func(i int, c *store.Connection) { c.Priority = r.IntN(3) }))
			leaves = append(leaves, leaf(p, "m"), leaf(p, "n"))
		}
		inner := b.NewCombo("inner", strategies[r.IntN(len(strategies))], 0, leaves[:3], nil)
		plan := b.NewCombo("outer", strategies[r.IntN(len(strategies))], 0, append([]*Plan{inner}, leaves...), nil)
		probes := map[*Standing]*Ticket{}
		var out []*Ticket
		end := func(i int) {
			tk := out[i]
			out = slices.Delete(out, i, i+1)
			for s, other := range probes {
				if other == tk {
					delete(probes, s)
				}
			}
			switch r.IntN(4) {
			case 0:
				tk.Prove(time.Millisecond)
				tk.Done(now)
			case 1:
				tk.Done(now)
			default:
				tk.Fail(Verdict{Place: Place(r.IntN(5)), Reason: "test", After: time.Duration(r.IntN(3)) * time.Minute}, now)
			}
		}
		for range 80 {
			now = now.Add(time.Duration(r.IntN(40)) * time.Second)
			for len(out) > 20 {
				end(r.IntN(len(out)))
			}
			pass := b.Begin(plan)
			pass.Now = func() time.Time { return now }
			well := map[Candidate]bool{}
			plan.Targets(func(l *Plan) bool {
				for _, c := range l.Target.Provider.list {
					if c := (Candidate{l.Target, c}); b.stands(c, now) {
						well[c] = true
					}
				}
				return true
			})
			seen := map[Candidate]bool{}
			for range 1 + r.IntN(400) {
				tk := pass.Next()
				if tk == nil {
					if len(well) > 0 {
						t.Fatalf("seed %d: %d who were well were left out", seed, len(well))
					}
					break
				}
				if seen[tk.Candidate] {
					t.Fatalf("seed %d: %v came twice", seed, tk.Connection.ID)
				}
				seen[tk.Candidate] = true
				delete(well, tk.Candidate)
				for i, s := range tk.on {
					// Those that are left of a target are asked although it was set
					// aside meanwhile.
					if s == nil || i == ofTarget && tk.shares(i) && s.failedSince(pass.since) {
						continue
					}
					s.mu.Lock()
					aside, probing := s.aside, s.probing
					s.mu.Unlock()
					if now.Before(aside.Probe) {
						t.Fatalf("seed %d: one was asked who is set aside until %v", seed, aside.Until)
					}
					if !aside.Until.IsZero() && !probing {
						t.Fatalf("seed %d: one who was set aside is asked without being probed", seed)
					}
				}
				for _, s := range tk.probes {
					if s == nil {
						continue
					}
					if probes[s] != nil {
						t.Fatalf("seed %d: two probes of %v at once", seed, s.subject)
					}
					probes[s] = tk
				}
				out = append(out, tk)
				if r.IntN(3) > 0 {
					end(len(out) - 1)
				}
				// Who fell ill meanwhile may be left out, even if well again later.
				for c := range well {
					if !b.stands(c, now) {
						delete(well, c)
					}
				}
			}
		}
		for len(out) > 0 {
			end(0)
		}
		for _, rep := range b.Reports() {
			if rep.Running != 0 {
				t.Fatalf("seed %d: %v has %d under way at the end", seed, rep.Subject, rep.Running)
			}
		}
	}
}

// A combo within a combo has its time from its first member on, and once: whoever is
// asked in it knows when that is over, and then those behind it are asked.
func TestTheTimeOfACombo(t *testing.T) {
	t.Parallel()
	b := NewBoard()
	now := time.Unix(1e9, 0)
	p := pool(b, "p", "", connections(1, nil))
	innermost := b.NewCombo("innermost", "", 0, []*Plan{leaf(p, "c"), leaf(p, "d")}, nil)
	innermost.Limit(time.Hour)
	inner := b.NewCombo("inner", "", 0, []*Plan{leaf(p, "b"), innermost, leaf(p, "e")}, nil)
	inner.Limit(time.Minute)
	plan := b.NewCombo("outer", "", 0, []*Plan{leaf(p, "a"), inner, leaf(p, "f")}, nil)
	var skipped []string
	begin := func() *Pass {
		skipped = nil
		pass := b.Begin(plan)
		pass.Now = func() time.Time { return now }
		pass.Skipped = func(c Candidate, reason string, _ time.Time) { skipped = append(skipped, c.Model+" "+reason) }
		return pass
	}
	next := func(pass *Pass, model string, until time.Time) {
		t.Helper()
		tk := pass.Next()
		if tk == nil || tk.Model != model || !tk.Until.Equal(until) {
			t.Fatalf("%+v, want %s until %v", tk, model, until)
		}
		tk.Done(now)
	}
	pass := begin()
	next(pass, "a", time.Time{})
	now = now.Add(time.Hour)
	end := now.Add(time.Minute)
	next(pass, "b", end)
	now = now.Add(59 * time.Second)
	next(pass, "c", end)
	now = now.Add(time.Second)
	next(pass, "f", time.Time{})
	if got := strings.Join(skipped, ", "); got != "d deadline, e deadline" {
		t.Error(got)
	}

	// Those who are asked last have no time of their own.
	pass = begin()
	pass.Unable = func(l *Plan) string { return map[string]string{"d": "tools", "f": "tools"}[l.Target.Model] }
	end = now.Add(time.Minute)
	for _, model := range []string{"a", "b", "c", "e"} {
		until := end
		if model == "a" {
			until = time.Time{}
		}
		next(pass, model, until)
	}
	now = end
	next(pass, "f", time.Time{})
	if tk := pass.Next(); tk != nil {
		t.Errorf("%s was asked after the combo's time", tk.Model)
	}

	// Who is preferred is bound as well, and takes of the time of the others.
	pass = begin()
	pass.Prefer = Candidate{Target: Target{p, "d"}, Connection: p.list[0]}
	next(pass, "d", now.Add(time.Minute))
	now = now.Add(time.Minute)
	next(pass, "a", time.Time{})
	next(pass, "f", time.Time{})

	// Another pass of the same exchange goes on with the same time.
	ends := pass.Ends
	pass = begin()
	pass.Ends = ends
	next(pass, "a", time.Time{})
	next(pass, "f", time.Time{})
}

func TestABreakerOpensAfterSeveralInARow(t *testing.T) {
	t.Parallel()
	b := NewBoard()
	now := time.Unix(1e9, 0)
	p := pool(b, "p", "", connections(2, nil))
	pass := func() *Pass {
		ps := b.Begin(leaf(p, "m"))
		ps.Now = func() time.Time { return now }
		return ps
	}
	for range BreakerOpens {
		now = now.Add(time.Millisecond)
		pass().Next().Fail(Verdict{Place: AtProvider, Reason: "server_error"}, now)
	}
	closed := pass()
	if closed.Next() != nil {
		t.Fatal("the breaker did not open")
	}
	if until, why := closed.Soonest(); why != "server_error" || until.Sub(now) < BreakerPause || until.Sub(now) > BreakerPause*5/4 {
		t.Errorf("until %v, %s", until.Sub(now), why)
	}
	now = now.Add(BreakerPause * 5 / 4)
	probe := pass().Next()
	if probe == nil || !probe.Probing() || pass().Next() != nil {
		t.Fatal("one probe, and one only, was expected")
	}
	probe.Prove(time.Second)
	if tk := pass().Next(); tk == nil || tk.Probing() {
		t.Error("the breaker stays open after a success")
	}
}

func TestLongWaitsAreProbed(t *testing.T) {
	t.Parallel()
	b := NewBoard()
	now := time.Unix(1e9, 0)
	p := pool(b, "p", "", connections(1, nil))
	pass := func() *Pass {
		ps := b.Begin(leaf(p, "m"))
		ps.Now = func() time.Time { return now }
		return ps
	}
	pass().Next().Fail(Verdict{Place: AtConnection, Reason: "quota_spent", After: 7 * 24 * time.Hour}, now)
	marks := b.Marks()
	if len(marks) != 1 || marks[0].Until.Sub(now) != 7*24*time.Hour {
		t.Fatalf("%+v", marks)
	}
	// After a restart it is the same.
	again := NewBoard()
	again.Restore(marks)
	b, p = again, pool(again, "p", "", connections(1, nil))
	now = now.Add(ProbeEvery * 2)
	tk := pass().Next()
	if tk == nil || !tk.Probing() {
		t.Fatal("no probe")
	}
	tk.Fail(Verdict{Place: AtConnection, Reason: "quota_spent", After: 7 * 24 * time.Hour}, now)
	if pass().Next() != nil {
		t.Error("asked at once after a probe that failed")
	}
	if cleared := b.Clear(Subject{Provider: "p", Connection: "c0"}); len(cleared) != 1 || pass().Next() == nil {
		t.Error("it was not cleared by hand")
	}
}

func TestPlacesAreHandedOverInOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := NewBoard()
		p := pool(b, "p", "", connections(2, func(_ int, c *store.Connection) { c.MaxConcurrent = 1 }))
		p.Queue, p.QueueTime = 3, time.Minute
		first, second := b.Begin(leaf(p, "m")).Next(), b.Begin(leaf(p, "m")).Next()
		if first.Connection == second.Connection {
			t.Fatal("one place was given twice")
		}
		var order []int
		var mu sync.Mutex
		for i := range 3 {
			go func() {
				pass := b.Begin(leaf(p, "m"))
				if pass.Next() != nil {
					t.Error("there was a place")
				}
				tk, err := pass.Wait(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				order = append(order, i)
				mu.Unlock()
				time.Sleep(time.Second)
				tk.Done(time.Now())
			}()
			synctest.Wait()
		}
		late := b.Begin(leaf(p, "m"))
		late.Next()
		if _, err := late.Wait(t.Context()); !errors.Is(err, ErrFull) {
			t.Error("a fourth waits:", err)
		}
		time.Sleep(time.Second)
		first.Done(time.Now())
		time.Sleep(10 * time.Second)
		synctest.Wait()
		mu.Lock()
		if !slices.Equal(order, []int{0, 1, 2}) {
			t.Error("order", order)
		}
		mu.Unlock()
		// A deadline, a client that leaves, and somebody who is set aside meanwhile.
		again := b.Begin(leaf(p, "m")).Next()
		wait := func(ctx context.Context) error {
			pass := b.Begin(leaf(p, "m"))
			pass.Next()
			tk, err := pass.Wait(ctx)
			if tk != nil {
				t.Error("a place came from nowhere")
			}
			return err
		}
		if err := wait(t.Context()); !errors.Is(err, ErrWaited) {
			t.Error(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		go func() {
			time.Sleep(time.Second)
			again.Fail(Verdict{Place: AtConnection, After: time.Hour}, time.Now())
			second.Fail(Verdict{Place: AtConnection, After: time.Hour}, time.Now())
		}()
		if err := wait(t.Context()); err != nil {
			t.Error(err)
		}
		for _, r := range b.Reports() {
			if r.Running != 0 {
				t.Errorf("%+v", r)
			}
		}
	})
}

func TestAPassCostsTheSameHoweverManyThereAre(t *testing.T) { // not parallel: it counts allocations
	for _, s := range Strategies() {
		allocs := func(n int) float64 {
			b := NewBoard()
			plan := leaf(pool(b, "p", s, connections(n, nil)), "m")
			return testing.AllocsPerRun(100, func() { b.Begin(plan).Next().Done(time.Now()) })
		}
		if few, many := allocs(40), allocs(5000); many > few {
			t.Errorf("%s: %v allocations with 40, %v with 5,000", s, few, many)
		}
	}
}

func BenchmarkPass(bench *testing.B) {
	for _, s := range Strategies() {
		for _, n := range []int{1, 10, 5000} {
			bench.Run(fmt.Sprintf("%s/%d", s, n), func(bench *testing.B) {
				b := NewBoard()
				plan := leaf(pool(b, "p", s, connections(n, nil)), "m")
				bench.ReportAllocs()
				for bench.Loop() {
					b.Begin(plan).Next().Done(time.Time{})
				}
			})
		}
	}
}
