package limit_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nine-router/nine-router/store"
	"github.com/nine-router/nine-router/store/limit"
)

// noon is a Wednesday.
var noon = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

func empty(string, time.Time) store.Used { return store.Used{} }

// reserve asks and fails the test if it is denied.
func reserve(t *testing.T, l *limit.Ledger, limits *store.Limits, tokens int64, cost store.Money, now time.Time) *limit.Reservation {
	t.Helper()
	r, d := l.Reserve(limit.Ask{Key: "k", Limits: limits, Tokens: tokens, Cost: cost, Priced: true, Now: now})
	if d != nil {
		t.Fatalf("denied: %+v", d)
	}
	return r
}

// denied asks and fails the test if it is not denied for the given reason.
func denied(t *testing.T, l *limit.Ledger, limits *store.Limits, tokens int64, cost store.Money, now time.Time, want limit.Denial) {
	t.Helper()
	_, d := l.Reserve(limit.Ask{Key: "k", Limits: limits, Tokens: tokens, Cost: cost, Priced: true, Now: now})
	if d == nil || d.Limit != want.Limit || d.Allowed != want.Allowed || d.Used != want.Used || !d.Reset.Equal(want.Reset) {
		t.Fatalf("got %+v, want %+v", d, want)
	}
}

func TestRequestsInAMinute(t *testing.T) {
	t.Parallel()
	l, limits := limit.New(empty), &store.Limits{RequestsPerMinute: 2}
	reserve(t, l, limits, 0, 0, noon)
	reserve(t, l, limits, 0, 0, noon.Add(30*time.Second)).Settle(0, 0, noon.Add(31*time.Second))
	denied(t, l, limits, 0, 0, noon.Add(31*time.Second), limit.Denial{Limit: limit.RequestsPerMinute, Allowed: 2, Used: 2, Reset: noon.Add(64 * time.Second)})
	denied(t, l, limits, 0, 0, noon.Add(64*time.Second-1), limit.Denial{Limit: limit.RequestsPerMinute, Allowed: 2, Used: 2, Reset: noon.Add(64 * time.Second)})
	reserve(t, l, limits, 0, 0, noon.Add(64*time.Second)).Release(noon.Add(64 * time.Second))
	reserve(t, l, limits, 0, 0, noon.Add(64*time.Second))
	denied(t, l, limits, 0, 0, noon.Add(64*time.Second), limit.Denial{Limit: limit.RequestsPerMinute, Allowed: 2, Used: 2, Reset: noon.Add(92 * time.Second)})
}

func TestTokensInAMinute(t *testing.T) {
	t.Parallel()
	l, limits := limit.New(empty), &store.Limits{TokensPerMinute: 100}
	first := reserve(t, l, limits, 60, 0, noon)
	denied(t, l, limits, 50, 0, noon, limit.Denial{Limit: limit.TokensPerMinute, Allowed: 100, Used: 60, Reset: noon.Add(64 * time.Second)})
	first.Settle(10, 0, noon.Add(time.Second)) // less than it was estimated at
	second := reserve(t, l, limits, 90, 0, noon.Add(time.Second))
	second.Settle(120, 0, noon.Add(50*time.Second)) // more than that
	denied(t, l, limits, 1, 0, noon.Add(50*time.Second), limit.Denial{Limit: limit.TokensPerMinute, Allowed: 100, Used: 130, Reset: noon.Add(64 * time.Second)})
	reserve(t, l, limits, 70, 0, noon.Add(64*time.Second)) // the 30 beyond the estimate still count
}

// A request that is larger than the limit must not wait for ever.
func TestARequestLargerThanTheLimitGoesAlone(t *testing.T) {
	t.Parallel()
	l, limits := limit.New(empty), &store.Limits{TokensPerMinute: 100}
	reserve(t, l, limits, 1, 0, noon)
	denied(t, l, limits, 500, 0, noon, limit.Denial{Limit: limit.TokensPerMinute, Allowed: 100, Used: 1, Reset: noon.Add(64 * time.Second)})
	reserve(t, l, limits, 500, 0, noon.Add(64*time.Second))
	denied(t, l, limits, 1, 0, noon.Add(100*time.Second), limit.Denial{Limit: limit.TokensPerMinute, Allowed: 100, Used: 500, Reset: noon.Add(128 * time.Second)})
}

func TestExchangesAtATime(t *testing.T) {
	t.Parallel()
	l, limits := limit.New(empty), &store.Limits{Concurrent: 2}
	first := reserve(t, l, limits, 0, 0, noon)
	reserve(t, l, limits, 0, 0, noon)
	denied(t, l, limits, 0, 0, noon, limit.Denial{Limit: limit.Concurrent, Allowed: 2, Used: 2, Reset: noon.Add(time.Second)})
	first.Settle(0, 0, noon)
	first.Settle(0, 0, noon) // a second end frees nothing
	first.Release(noon)
	reserve(t, l, limits, 0, 0, noon)
	denied(t, l, limits, 0, 0, noon, limit.Denial{Limit: limit.Concurrent, Allowed: 2, Used: 2, Reset: noon.Add(time.Second)})
}

func TestSpending(t *testing.T) {
	t.Parallel()
	l, limits := limit.New(empty), &store.Limits{SpendDay: 100, SpendTotal: 1000}
	midnight := noon.Add(12 * time.Hour)
	first := reserve(t, l, limits, 0, 60, noon)
	denied(t, l, limits, 0, 50, noon, limit.Denial{Limit: limit.SpendDay, Allowed: 100, Used: 60, Pending: true, Reset: noon.Add(time.Second)})
	first.Settle(0, 70, noon)
	reserve(t, l, limits, 0, 30, noon).Settle(0, 30, noon)
	denied(t, l, limits, 0, 1, noon, limit.Denial{Limit: limit.SpendDay, Allowed: 100, Used: 100, Reset: midnight})
	reserve(t, l, limits, 0, 30, midnight).Settle(0, 900, midnight)
	denied(t, l, limits, 0, 1, midnight.Add(24*time.Hour), limit.Denial{Limit: limit.SpendTotal, Allowed: 1000, Used: 1000})
	reserve(t, l, limits, 0, 0, noon) // what is free is free
	if _, d := l.Reserve(limit.Ask{Key: "k", Limits: limits, Now: noon}); d == nil || d.Limit != limit.Price || !d.Reset.IsZero() {
		t.Errorf("an unknown price: %+v", d)
	}
}

// An estimate is no reason to keep back what is left: whoever is alone may have it.
func TestWhatIsLeftOfABudgetGoesToOneAlone(t *testing.T) {
	t.Parallel()
	l, limits := limit.New(empty), &store.Limits{SpendDay: 100}
	alone := reserve(t, l, limits, 0, 500, noon)
	denied(t, l, limits, 0, 1, noon, limit.Denial{Limit: limit.SpendDay, Allowed: 100, Used: 500, Pending: true, Reset: noon.Add(time.Second)})
	alone.Settle(0, 90, noon)
	alone = reserve(t, l, limits, 0, 40, noon)
	denied(t, l, limits, 0, 1, noon, limit.Denial{Limit: limit.SpendDay, Allowed: 100, Used: 130, Pending: true, Reset: noon.Add(time.Second)})
	alone.Settle(0, 10, noon)
	denied(t, l, limits, 0, 1, noon, limit.Denial{Limit: limit.SpendDay, Allowed: 100, Used: 100, Reset: noon.Add(12 * time.Hour)})
}

func TestPeriodsEndAtMidnightOnMondayAndOnTheFirst(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		limits store.Limits
		end    time.Time
	}{
		{limit.SpendDay, store.Limits{SpendDay: 10}, time.Date(2026, 11, 26, 0, 0, 0, 0, time.UTC)},
		{limit.SpendWeek, store.Limits{SpendWeek: 10}, time.Date(2026, 11, 30, 0, 0, 0, 0, time.UTC)},
		{limit.SpendMonth, store.Limits{SpendMonth: 10}, time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)},
	} {
		l := limit.New(empty)
		reserve(t, l, &c.limits, 0, 10, noon).Settle(0, 10, noon)
		full := limit.Denial{Limit: c.name, Allowed: 10, Used: 10, Reset: c.end}
		elsewhere := time.FixedZone("far east", 12*3600)
		denied(t, l, &c.limits, 0, 1, noon.In(elsewhere), full)
		denied(t, l, &c.limits, 0, 1, c.end.Add(-1), full)
		reserve(t, l, &c.limits, 0, 4, c.end).Release(c.end)
		reserve(t, l, &c.limits, 0, 10, c.end)
	}
}

// Requests of the last moment, whose turn comes late, and a clock that is put back a
// little do not open a day again that is over; one that was a year ahead must not
// make a day of a year.
func TestTimeThatGoesBack(t *testing.T) {
	t.Parallel()
	l := limit.New(func(_ string, from time.Time) store.Used {
		if from.Equal(noon.Add(-12 * time.Hour)) {
			return store.Used{Cost: 3}
		}
		return store.Used{}
	})
	limits := &store.Limits{SpendDay: 10, RequestsPerMinute: 10}
	midnight := noon.AddDate(1, 0, 0).Add(12 * time.Hour)
	reserve(t, l, limits, 0, 10, midnight)
	denied(t, l, limits, 0, 1, midnight.Add(-time.Second), limit.Denial{Limit: limit.SpendDay, Allowed: 10, Used: 10, Reset: midnight})
	under := reserve(t, l, limits, 0, 7, noon)
	denied(t, l, limits, 0, 1, noon, limit.Denial{Limit: limit.SpendDay, Allowed: 10, Used: 10, Reset: noon.Add(time.Second)})
	under.Settle(0, 7, noon)
	denied(t, l, limits, 0, 1, noon, limit.Denial{Limit: limit.SpendDay, Allowed: 10, Used: 10, Reset: noon.Add(12 * time.Hour)})
	if w := l.Standing("k", limits, noon)[0]; w.Used != 1 || !w.Reset.Equal(noon.Add(64*time.Second)) {
		t.Errorf("%+v", w)
	}
}

// What is given back is given back where it was taken.
func TestTokensGivenBackLateFreeNothingTwice(t *testing.T) {
	t.Parallel()
	l, limits := limit.New(empty), &store.Limits{TokensPerMinute: 100}
	reserve(t, l, limits, 60, 0, noon).Settle(10, 0, noon.Add(50*time.Second))
	reserve(t, l, limits, 90, 0, noon.Add(50*time.Second)).Settle(50, 0, noon.Add(3*time.Minute))
	if w := l.Standing("k", limits, noon.Add(3*time.Minute))[0]; w.Used != 0 {
		t.Errorf("after all of it is over: %+v", w)
	}
	reserve(t, l, limits, 60, 0, noon.Add(4*time.Minute)).Settle(10, 0, noon.Add(4*time.Minute+50*time.Second))
	if w := l.Standing("k", limits, noon.Add(5*time.Minute+4*time.Second))[0]; w.Used != 0 {
		t.Errorf("after the first is over: %+v", w)
	}
}

// What is under way at midnight counts for the day on which it began, and for all
// periods that go on.
func TestAnExchangeOverMidnight(t *testing.T) {
	t.Parallel()
	l, limits := limit.New(empty), &store.Limits{SpendDay: 100, SpendMonth: 150}
	before, after := noon.Add(12*time.Hour-time.Second), noon.Add(12*time.Hour)
	over := reserve(t, l, limits, 0, 80, before)
	denied(t, l, limits, 0, 90, after, limit.Denial{Limit: limit.SpendMonth, Allowed: 150, Used: 80, Reset: after.Add(time.Second)})
	reserve(t, l, limits, 0, 70, after).Settle(0, 70, after)
	over.Settle(0, 75, after)
	for _, w := range l.Standing("k", limits, after) {
		if want := map[string]int64{limit.SpendDay: 70, limit.SpendMonth: 145}[w.Limit]; w.Used != want {
			t.Errorf("%s: %d used, want %d", w.Limit, w.Used, want)
		}
	}
}

// Its day is over, so what others spend on the next one is not in its way.
func TestAdjustingOverMidnight(t *testing.T) {
	t.Parallel()
	l, limits := limit.New(empty), &store.Limits{SpendDay: 100, SpendTotal: 1000}
	before, after := noon.Add(12*time.Hour-time.Second), noon.Add(12*time.Hour)
	over := reserve(t, l, limits, 0, 80, before)
	reserve(t, l, limits, 0, 100, after)
	if d := over.Adjust(0, 90, true, after); d != nil {
		t.Errorf("within what is left in total: %+v", d)
	}
	if d := over.Adjust(0, 901, true, after); d == nil || d.Limit != limit.SpendTotal || d.Used != 100 {
		t.Errorf("beyond it: %+v", d)
	}
	if w := l.Standing("k", limits, after); w[0].Used != 100 || w[1].Used != 190 {
		t.Errorf("%+v", w)
	}
}

func TestAdjusting(t *testing.T) {
	t.Parallel()
	l, limits := limit.New(empty), &store.Limits{TokensPerMinute: 100, SpendDay: 100}
	other := reserve(t, l, limits, 40, 40, noon)
	r := reserve(t, l, limits, 10, 10, noon)
	if d := r.Adjust(10, 61, true, noon); d == nil || d.Limit != limit.SpendDay || d.Used != 40 {
		t.Errorf("dearer than what is left: %+v", d)
	}
	if d := r.Adjust(61, 10, true, noon); d == nil || d.Limit != limit.TokensPerMinute || d.Used != 40 {
		t.Errorf("larger than what is left: %+v", d)
	}
	if d := r.Adjust(10, 10, false, noon); d == nil || d.Limit != limit.Price {
		t.Errorf("of unknown price: %+v", d)
	}
	if d := r.Adjust(60, 60, true, noon.Add(20*time.Second)); d != nil {
		t.Errorf("as much as is left: %+v", d)
	}
	denied(t, l, limits, 1, 1, noon.Add(20*time.Second), limit.Denial{Limit: limit.TokensPerMinute, Allowed: 100, Used: 100, Reset: noon.Add(64 * time.Second)})
	other.Settle(90, 1000, noon.Add(20*time.Second))
	if d := r.Adjust(30, 30, true, noon.Add(20*time.Second)); d != nil {
		t.Errorf("less than before, beyond the limit: %+v", d)
	}
	r.Release(noon.Add(20 * time.Second))
	if d := r.Adjust(1<<40, 1<<40, true, noon); d != nil {
		t.Errorf("after the end: %+v", d)
	}
	for _, w := range l.Standing("k", limits, noon.Add(20*time.Second)) {
		if want := map[string]int64{limit.TokensPerMinute: 90, limit.SpendDay: 1000}[w.Limit]; w.Used != want {
			t.Errorf("%s: %d used, want %d", w.Limit, w.Used, want)
		}
	}
}

func TestWhereLimitsStand(t *testing.T) {
	t.Parallel()
	l := limit.New(empty)
	limits := &store.Limits{RequestsPerMinute: 5, TokensPerMinute: 50, Concurrent: 3, SpendWeek: 10}
	for _, w := range l.Standing("k", limits, noon) {
		if w.Used != 0 || w.Remaining != w.Allowed {
			t.Errorf("before the first: %+v", w)
		}
	}
	r := reserve(t, l, limits, 20, 4, noon)
	now := noon.Add(10 * time.Second)
	full := noon.Add(64 * time.Second)
	want := []limit.Window{
		{Limit: limit.RequestsPerMinute, Allowed: 5, Used: 1, Remaining: 4, Reset: full},
		{Limit: limit.TokensPerMinute, Allowed: 50, Used: 20, Remaining: 30, Reset: full},
		{Limit: limit.Concurrent, Allowed: 3, Used: 1, Remaining: 2},
		{Limit: limit.SpendWeek, Allowed: 10, Used: 4, Remaining: 6, Reset: time.Date(2026, 11, 30, 0, 0, 0, 0, time.UTC)},
	}
	if got := l.Standing("k", limits, now); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
	if got := r.Windows(now); fmt.Sprint(got) != fmt.Sprint(want[:2]) {
		t.Errorf("got %v\nwant %v", got, want[:2])
	}
	r.Settle(20, 400, now)
	if w := l.Standing("k", limits, now)[3]; w.Used != 400 || w.Remaining != 0 {
		t.Errorf("overspent: %+v", w)
	}
}

func TestAKeyWithoutLimitsCostsNothing(t *testing.T) {
	t.Parallel()
	l := limit.New(func(string, time.Time) store.Used { t.Error("the books were asked"); return store.Used{} })
	for _, limits := range []*store.Limits{nil, {}, {Models: []string{"m"}}} {
		r, d := l.Reserve(limit.Ask{Key: "k", Limits: limits, Tokens: 1, Cost: 1, Now: noon})
		if r != nil || d != nil || l.Standing("k", limits, noon) != nil {
			t.Errorf("%+v %+v", r, d)
		}
		r.Settle(1, 1, noon)
		r.Release(noon)
		if r.Adjust(1, 1, false, noon) != nil || r.Windows(noon) != nil {
			t.Error("a nil reservation did something")
		}
	}
}

// Numbers at the end of what can be counted never make what is spent less.
func TestOverflow(t *testing.T) {
	t.Parallel()
	const most = math.MaxInt64
	l, limits := limit.New(empty), &store.Limits{TokensPerMinute: 1e12, SpendDay: most, SpendTotal: most}
	first := reserve(t, l, limits, most, most, noon)
	denied(t, l, limits, 0, 1, noon.Add(64*time.Second), limit.Denial{Limit: limit.SpendDay, Allowed: most, Used: most, Reset: noon.Add(65 * time.Second)})
	first.Settle(math.MinInt64, math.MinInt64, noon)
	second := reserve(t, l, limits, math.MinInt64, math.MinInt64, noon)
	third := reserve(t, l, limits, 5, 5, noon)
	second.Settle(most, most, noon)
	third.Settle(most, most, noon)
	for _, w := range l.Standing("k", limits, noon) {
		if w.Used < 1e12 || w.Remaining != 0 {
			t.Errorf("%+v", w)
		}
	}
	denied(t, l, limits, 0, 1, noon.Add(time.Hour), limit.Denial{Limit: limit.SpendTotal, Allowed: most, Used: most})
}

// Requests at the same time do not overrun a budget, however many they are.
func TestManyRequestsAtOnceStayWithinABudget(t *testing.T) {
	t.Parallel()
	m := store.NewMemory()
	defer m.Close()
	l, limits := limit.New(m.UsedSince), &store.Limits{SpendDay: 100}
	var wg sync.WaitGroup
	var allowed atomic.Int64
	now := time.Now()
	for range 500 {
		wg.Go(func() {
			r, d := l.Reserve(limit.Ask{Key: "k", Limits: limits, Cost: 1, Priced: true, Now: now})
			if d != nil {
				return
			}
			allowed.Add(1)
			e := &store.Exchange{ID: store.NewID("nrx"), Began: now, KeyID: "k", Cost: 1}
			if err := m.Record(context.Background(), e); err != nil {
				t.Error(err)
			}
			r.Settle(0, e.Cost, now)
		})
	}
	wg.Wait()
	if spent := m.UsedSince("k", now).Cost; allowed.Load() != 100 || spent != 100 {
		t.Errorf("%d requests were allowed, and spent %d of 100", allowed.Load(), spent)
	}
}

// Whoever reserves, adjusts, settles and releases at the same time, in the end the
// ledger holds what was settled and nothing else.
func TestEndsRace(t *testing.T) {
	t.Parallel()
	l := limit.New(empty)
	limits := &store.Limits{RequestsPerMinute: 1e9, TokensPerMinute: 1e9, Concurrent: 64, SpendTotal: 1e9}
	var wg sync.WaitGroup
	var settled, requests atomic.Int64
	for worker := range 16 {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(1, uint64(worker)))
			for range 300 {
				r, d := l.Reserve(limit.Ask{Key: "k", Limits: limits, Tokens: rnd.Int64N(1000), Cost: store.Money(rnd.Int64N(1000)), Priced: true, Now: noon})
				if d != nil {
					t.Errorf("%+v", d)
					return
				}
				cost := 1 + rnd.Int64N(1000)
				settle := rnd.IntN(2) == 0
				var ends sync.WaitGroup
				for range 3 {
					ends.Go(func() {
						r.Adjust(cost/2, store.Money(cost/2), true, noon)
						if settle {
							r.Settle(cost, store.Money(cost), noon)
						} else {
							r.Release(noon)
						}
					})
				}
				ends.Wait()
				if settle {
					settled.Add(cost)
					requests.Add(1)
				}
			}
		})
	}
	wg.Wait()
	for _, w := range l.Standing("k", limits, noon) {
		want := map[string]int64{limit.RequestsPerMinute: requests.Load(), limit.TokensPerMinute: settled.Load(), limit.SpendTotal: settled.Load()}[w.Limit]
		if w.Used != want {
			t.Errorf("%s: %d used, want %d", w.Limit, w.Used, want)
		}
	}
}

// At random times and sizes, no 60 seconds hold more than is allowed, a denial's
// time is right, and what is free is not refused.
func TestNoMinuteHoldsMore(t *testing.T) {
	t.Parallel()
	for seed := range uint64(60) {
		rnd := rand.New(rand.NewPCG(seed, 9))
		limits := &store.Limits{RequestsPerMinute: 1 + rnd.Int64N(20), TokensPerMinute: 1 + rnd.Int64N(2000)}
		l := limit.New(empty)
		type event struct {
			at     time.Time
			tokens int64
		}
		var events []event
		within := func(now time.Time, span time.Duration) (requests, tokens int64) {
			for i := len(events) - 1; i >= 0 && now.Sub(events[i].at) < span; i-- {
				requests, tokens = requests+1, tokens+events[i].tokens
			}
			return requests, tokens
		}
		now, pace := noon, time.Duration(1+rnd.Int64N(int64(10*time.Second)))
		for range 400 {
			now = now.Add(time.Duration(rnd.Int64N(int64(pace))))
			ask := limit.Ask{Key: "k", Limits: limits, Tokens: rnd.Int64N(limits.TokensPerMinute*5/4 + 1), Now: now}
			r, d := l.Reserve(ask)
			if d != nil {
				requests, tokens := within(now, 64*time.Second)
				if requests < limits.RequestsPerMinute && tokens+ask.Tokens <= limits.TokensPerMinute {
					t.Fatalf("seed %d: refused with %d requests and %d tokens: %+v", seed, requests, tokens, d)
				}
				if !d.Reset.After(now) || d.Reset.Sub(now) > 64*time.Second {
					t.Fatalf("seed %d: at %s: %+v", seed, now, d)
				}
				ask.Now = d.Reset.Add(-1)
				if _, early := l.Reserve(ask); early == nil || early.Limit != d.Limit {
					t.Fatalf("seed %d: before the reset: %+v, then %+v", seed, d, early)
				}
				now, ask.Now = d.Reset, d.Reset
				if r, d = l.Reserve(ask); d != nil && d.Limit == limit.RequestsPerMinute {
					t.Fatalf("seed %d: at the reset: %+v", seed, d)
				}
				if d != nil {
					continue
				}
			}
			if rnd.IntN(8) == 0 {
				r.Release(now)
				continue
			}
			used := ask.Tokens - rnd.Int64N(ask.Tokens+1)/2
			r.Settle(used, 0, now)
			events = append(events, event{now, used})
			requests, tokens := within(now, time.Minute)
			if requests > limits.RequestsPerMinute || tokens > limits.TokensPerMinute && tokens != used {
				t.Fatalf("seed %d: %d requests and %d tokens in a minute of %+v", seed, requests, tokens, limits)
			}
		}
	}
}

func open(t *testing.T, dir string) *store.Badger {
	t.Helper()
	s, err := store.OpenBadger(t.Context(), store.BadgerOptions{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// A ledger goes on where the one before it was when the process ended.
func TestALedgerBeginsWithTheBooks(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	limits := &store.Limits{SpendDay: 100, SpendTotal: 150}
	spend := func(l *limit.Ledger, cost store.Money, began time.Time) {
		t.Helper()
		r := reserve(t, l, limits, 0, cost, began)
		if err := s.Record(t.Context(), &store.Exchange{ID: store.NewID("nrx"), Began: began, KeyID: "k", Cost: cost}); err != nil {
			t.Fatal(err)
		}
		r.Settle(0, cost, began)
	}
	// Of one day, so that midnight does not come between.
	now := time.Now().UTC().Truncate(24 * time.Hour).Add(12 * time.Hour)
	l := limit.New(s.UsedSince)
	spend(l, 40, now.Add(-24*time.Hour))
	spend(l, 70, now)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir)
	l = limit.New(s.UsedSince)
	spend(l, 30, now)
	denied(t, l, limits, 0, 1, now, limit.Denial{Limit: limit.SpendDay, Allowed: 100, Used: 100, Reset: now.Add(12 * time.Hour)})
	spend(l, 10, now.Add(12*time.Hour))
	denied(t, l, limits, 0, 1, now.Add(12*time.Hour), limit.Denial{Limit: limit.SpendTotal, Allowed: 150, Used: 150})
}

func TestTheLedgerAndTheBooksAgree(t *testing.T) {
	t.Parallel()
	var books atomic.Int64
	l := limit.New(func(string, time.Time) store.Used { return store.Used{Cost: store.Money(books.Load())} })
	limits := &store.Limits{SpendTotal: 100}
	used := func(now time.Time) int64 { return l.Standing("k", limits, now)[0].Used }
	now := noon
	r := reserve(t, l, limits, 0, 20, now)
	books.Add(20)
	// It is recorded and not settled yet, and counts once.
	now = now.Add(time.Minute)
	if got := used(now); got != 20 {
		t.Errorf("recorded: %d", got)
	}
	r.Settle(0, 20, now)
	if got := used(now); got != 20 {
		t.Errorf("settled: %d", got)
	}
	// The key had no limits for a while.
	books.Add(30)
	now = now.Add(time.Minute)
	if got := used(now); got != 50 {
		t.Errorf("spent beside the ledger: %d", got)
	}
	// The books could not be written.
	reserve(t, l, limits, 0, 10, now).Settle(0, 10, now)
	now = now.Add(time.Minute)
	if got := used(now); got != 60 {
		t.Errorf("not in the books: %d", got)
	}
}

func BenchmarkReserve(b *testing.B) {
	for _, n := range []int{10, 10_000} {
		b.Run(fmt.Sprint(n, "keys"), func(b *testing.B) {
			m := store.NewMemory()
			defer m.Close()
			keys := make([]string, n)
			for i := range keys {
				keys[i] = store.NewID("key")
			}
			l := limit.New(m.UsedSince)
			limits := &store.Limits{RequestsPerMinute: 1e12, TokensPerMinute: 1e12, Concurrent: 1e12, SpendDay: math.MaxInt64, SpendTotal: math.MaxInt64}
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for i := rand.IntN(n); pb.Next(); i++ {
					now := time.Now()
					r, d := l.Reserve(limit.Ask{Key: keys[i%n], Limits: limits, Tokens: 1000, Cost: 1000, Priced: true, Now: now})
					if d != nil {
						b.Fatal(d)
					}
					r.Settle(900, 900, now)
				}
			})
		})
	}
}
