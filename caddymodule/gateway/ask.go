package gateway

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/nine-router/nine-router/caddymodule/gateway/fault"
	"github.com/nine-router/nine-router/caddymodule/gateway/schedule"
	"github.com/nine-router/nine-router/caddymodule/provider"
)

// ask carries an attempt to its end, with a second one beside it if the gateway
// hedges and the first takes long. It returns the attempt that answered, or the
// one that failed last, and its failure. Whatever happens, its place is given back.
func (x *exchange) ask(a *attempt, pass *schedule.Pass) (f *failure, last *attempt) {
	defer func() {
		if p := recover(); p != nil {
			f, last = x.panicked(p), a
			a.end(f)
			a.Done(time.Now())
		}
	}()
	a.begin()
	if after := x.hedgeAfter(a); after > 0 {
		f, a = x.race(a, pass, after)
	} else {
		f = a.open()
	}
	if f == nil {
		f = a.deliver()
	}
	a.end(f)
	return f, a
}

// hedgeAfter is when a second candidate is to be asked as well, 0 if none is.
func (x *exchange) hedgeAfter(a *attempt) time.Duration {
	h := &x.g.o.Hedge
	x.g.hedges.exchanges.Add(1)
	if !h.On || x.call.op != provider.Chat || !x.meaning.plan.Choice() {
		return 0
	}
	if h.After > 0 {
		return h.After
	}
	pace := a.Pace()
	if pace == 0 {
		return 0 // nothing is known yet
	}
	return max(3*pace, time.Second)
}

// hedges counts how many exchanges there were and how many of them were hedged.
type hedges struct{ exchanges, hedged atomic.Int64 }

// spend says that one more exchange may be hedged within the share.
func (h *hedges) spend(share float64) bool {
	for {
		n := h.hedged.Load()
		if float64(n+1) > share*float64(h.exchanges.Load())+1 {
			return false
		}
		if h.hedged.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// An opened is the outcome of an attempt that was opened beside another.
type opened struct {
	a *attempt
	f *failure
}

// race opens the attempt, and another one if the first has no content in time.
// Whoever has content first is returned; the other is cancelled and ended.
func (x *exchange) race(first *attempt, pass *schedule.Pass, after time.Duration) (*failure, *attempt) {
	// What both may need of the request is made while there is only one.
	x.decode()
	results := make(chan opened, 2)
	asked, pending := []*attempt{first}, 0
	defer func() {
		// A panic must not get ahead of those who still use the request and what
		// the attempts have of memory.
		if p := recover(); p != nil {
			for _, a := range asked {
				if a.cancel != nil {
					a.cancel(errLost)
				}
			}
			for ; pending > 0; pending-- {
				<-results
			}
			for _, a := range asked[1:] {
				a.Done(time.Now()) // the first is its caller's to end
			}
			panic(p)
		}
	}()
	open := func(a *attempt) {
		pending++
		go func() {
			var f *failure
			defer func() {
				// A panic here would take the whole web server down.
				if p := recover(); p != nil {
					f = x.panicked(p)
				}
				results <- opened{a, f}
			}()
			f = a.open()
		}()
	}
	open(first)
	timer := time.NewTimer(after)
	defer timer.Stop()
	running := []*attempt{first}
	for {
		select {
		case <-timer.C:
			if t := x.second(pass); t != nil {
				a := x.attempt(t)
				asked = append(asked, a)
				if f := x.afford(a); f != nil {
					t.Done(time.Now())
					continue
				}
				a.hedge = true
				if x.g.o.Pace.CharactersPerSecond > 0 {
					a.alone = !pass.More() // or both could be given up as too slow
				}
				a.begin()
				running = append(running, a)
				open(a)
			}
		case r := <-results:
			pending--
			running = remove(running, r.a)
			if r.f != nil && len(running) > 0 && !r.f.decides() && x.ctx.Err() == nil {
				// The other may yet answer.
				r.a.end(r.f)
				x.failed.beside = worse(x.failed.beside, r.f)
				if r.f.fault.Scope == fault.Request {
					x.refusedBy(r.a.Target, pass)
				}
				continue
			}
			pending = 0 // abandon waits for them
			x.abandon(running, results, errLost)
			x.rec.Provider, x.rec.Model, x.rec.ConnectionID = r.a.Provider.Name, r.a.Model, r.a.Connection.ID
			x.rec.ProviderFormat = string(r.a.endpoint.Format)
			return r.f, r.a
		}
	}
}

// second takes a place at somebody to be asked as well, if that is within the
// share of requests that may be sent twice.
func (x *exchange) second(pass *schedule.Pass) *schedule.Ticket {
	if x.over() || !x.g.hedges.spend(x.g.o.Hedge.Share) {
		return nil
	}
	t := pass.Next()
	if t == nil {
		x.g.hedges.hedged.Add(-1)
	}
	return t
}

// abandon cancels attempts that are not needed and waits until they have noticed.
func (x *exchange) abandon(running []*attempt, results <-chan opened, why error) {
	for _, a := range running {
		a.cancel(why)
	}
	for i := range running {
		running[i] = (<-results).a // all of them, before one is ended
	}
	for _, a := range running {
		a.rec.Reason = "not_needed"
		a.end(nil)
	}
}

func remove(list []*attempt, a *attempt) (rest []*attempt) {
	for _, o := range list {
		if o != a {
			rest = append(rest, o)
		}
	}
	return rest
}

// discoverable bounds how long a client waits for providers to list their models.
const discoverable = 3 * time.Second

// discover asks providers whose models are not known for them, because a client
// has asked for one by its bare name. It returns what the name means then.
func (x *exchange) discover() *meaning {
	ctx, cancel := context.WithTimeout(x.ctx, discoverable)
	defer cancel()
	if !x.g.Discover(ctx) && x.g.snap.Load() == x.snap {
		return nil // and nobody else has found out meanwhile
	}
	x.snap = x.g.snap.Load()
	return x.snap.resolve(x.env.model)
}
