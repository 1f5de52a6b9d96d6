package gateway

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/nine-router/nine-router/caddymodule/gateway/schedule"
)

// discoveries are the models that providers were seen to list, for those whose
// models nobody has configured.
type discoveries struct {
	mu     sync.Mutex
	models map[string][]string // by provider
	asked  map[string]time.Time
	under  chan struct{} // closed when those who were asked last have answered; nil after that
}

// Providers are asked again for their models after a while, sooner if the last
// time gave nothing.
const (
	discoverEvery = time.Hour
	discoverRetry = time.Minute
	maxDiscovered = 2000 // models of a provider
)

// of lists what a provider was seen to offer.
func (d *discoveries) of(provider string) []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.models[provider]
}

// note remembers what a provider lists. It reports whether that is news.
func (d *discoveries) note(provider string, models []string) bool {
	models = slices.Clone(models[:min(len(models), maxDiscovered)])
	slices.Sort(models)
	d.mu.Lock()
	defer d.mu.Unlock()
	if slices.Equal(models, d.models[provider]) {
		return false
	}
	if d.models == nil {
		d.models = map[string][]string{}
	}
	d.models[provider] = models
	return true
}

// begin lists the providers that have to be asked, and marks them as asked. done is
// for the end of that, or of what others have begun; nil if there is nothing to wait
// for.
func (d *discoveries) begin(members map[string]*member, now time.Time) (list []*member, done chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if list = d.due(members, now); len(list) > 0 {
		d.under = make(chan struct{})
	}
	return list, d.under
}

// end says that all have answered.
func (d *discoveries) end(done chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.under == done {
		d.under = nil
	}
	close(done)
}

// due is begin's list. The lock is held.
func (d *discoveries) due(members map[string]*member, now time.Time) (list []*member) {
	for _, m := range members {
		if len(m.Models) > 0 || !slices.ContainsFunc(m.Connections(), listless) {
			continue
		}
		wait := discoverEvery
		if len(d.models[m.Name]) == 0 {
			wait = discoverRetry
		}
		if at, ok := d.asked[m.Name]; ok && now.Sub(at) < wait {
			continue
		}
		if d.asked == nil {
			d.asked = map[string]time.Time{}
		}
		d.asked[m.Name] = now
		list = append(list, m)
	}
	return list
}

// Discover asks the providers whose models are not known, or not any more, for
// them; it spends no tokens. It happens when somebody wants to know: when a client
// asks for a list, or for a model by a bare name that nothing else explains. It
// returns when all have answered or ctx ends, and says whether anything was asked.
// Who wants to know meanwhile waits for the same answers. What comes after that is
// for the next one.
func (g *Gateway) Discover(ctx context.Context) bool {
	list, done := g.found.begin(g.snap.Load().byName, time.Now())
	if done == nil {
		return false
	}
	if len(list) > 0 {
		g.discoverAll(ctx, list, done)
	}
	select {
	case <-done:
	case <-ctx.Done():
	}
	return true
}

// discoverAll asks providers all at once. It does not wait for their answers: done is
// closed when all are there.
func (g *Gateway) discoverAll(ctx context.Context, list []*member, done chan struct{}) {
	var all sync.WaitGroup
	for _, m := range list {
		all.Go(func() {
			defer func() {
				// A panic here would take the whole web server down.
				if p := recover(); p != nil {
					g.logPanic("", p)
				}
			}()
			g.discover(context.WithoutCancel(ctx), m)
		})
	}
	go func() {
		all.Wait()
		g.found.end(done)
	}()
}

// discover asks one provider by the first of its connections that answers.
func (g *Gateway) discover(ctx context.Context, m *member) {
	for i, c := range m.Connections() {
		if i == 3 {
			return
		}
		if !listless(c) {
			continue
		}
		if p, err := g.probe(ctx, m, c); err != nil || !p.OK {
			continue
		}
		return
	}
}

// listless says that a connection may be asked for whatever its provider offers.
func listless(c *schedule.Connection) bool { return len(c.Models) == 0 }
