// Package storetest says what every store promises, as tests that each
// implementation passes.
package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nine-router/nine-router/store"
)

// Run tests the stores that open returns. Opening again with the same function
// gives a store with the same content if durable is set, else an empty one.
func Run(t *testing.T, durable bool, open func(t *testing.T) (first store.Store, again func() store.Store)) {
	ctx := context.Background()
	snapshot := func(t *testing.T, s store.Store) *store.Snapshot {
		t.Helper()
		snap, err := s.Snapshot(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return snap
	}
	apply := func(t *testing.T, s store.Store, c ...store.Change) uint64 {
		t.Helper()
		rev, err := s.Apply(ctx, c...)
		if err != nil {
			t.Fatal(err)
		}
		return rev
	}
	fails := func(t *testing.T, s store.Store, want error, c ...store.Change) {
		t.Helper()
		before := snapshot(t, s).Rev
		if _, err := s.Apply(ctx, c...); !errors.Is(err, want) {
			t.Errorf("got %v, want %v", err, want)
		}
		if snapshot(t, s).Rev != before {
			t.Error("a refused change moved the revision")
		}
	}

	t.Run("what is kept is found by its owner alone, until its day is over", func(t *testing.T) {
		t.Parallel()
		s, again := open(t)
		large := make([]byte, 3<<20)
		for i := range large {
			large[i] = byte(i * i >> 7)
		}
		keep := func(owner, name string, value []byte, until time.Time) {
			t.Helper()
			if err := s.Keep(ctx, owner, name, value, until); err != nil {
				t.Fatal(err)
			}
		}
		tomorrow := time.Now().Add(24 * time.Hour)
		keep("a", "x", []byte("first"), tomorrow)
		keep("a", "x", []byte("second"), tomorrow.Add(48*time.Hour))
		keep("ab", "", []byte("another"), tomorrow)
		keep("a", "large", large, tomorrow)
		keep("a", "nothing", nil, tomorrow)
		if durable {
			s.Close()
			s = again()
		}
		defer s.Close()
		for _, c := range []struct {
			owner, name string
			want        []byte
			err         error
		}{
			{"a", "x", []byte("second"), nil}, {"a", "large", large, nil}, {"a", "nothing", nil, nil}, {"ab", "", []byte("another"), nil},
			{"b", "x", nil, store.ErrNotFound}, {"a", "b", nil, store.ErrNotFound}, {"", "ax", nil, store.ErrNotFound},
		} {
			if got, err := s.Kept(ctx, c.owner, c.name); !errors.Is(err, c.err) || !bytes.Equal(got, c.want) {
				t.Errorf("%s/%s: %d bytes, %v", c.owner, c.name, len(got), err)
			}
		}
		if err := s.Forget(ctx, "b", "x"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("another owner's: %v", err)
		}
		if err := s.Forget(ctx, "a", "x"); err != nil {
			t.Error(err)
		}
		if _, err := s.Kept(ctx, "a", "x"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("forgotten: %v", err)
		}
		if err := s.Keep(ctx, "a", "huge", make([]byte, 64<<20), tomorrow); err == nil {
			t.Error("a value beyond the bound was taken")
		}
	})

	t.Run("state comes back as it was written, secrets too", func(t *testing.T) {
		t.Parallel()
		s, _ := open(t)
		defer s.Close()
		c := &store.Connection{ID: "c1", Provider: "p", Name: "n", Priority: 3, Models: []string{"m"}, APIKey: store.NewSecret("s3cret")}
		n := &store.Node{Name: "node", Format: "openai", BaseURL: "http://localhost/v1", Headers: map[string]string{"A": "b"}}
		rev := apply(t, s, store.Put(c), store.Put(n), store.Put(&store.Alias{Name: "a", Model: "m"}), store.Put(&store.Combo{Name: "co", Models: []string{"x", "y"}}), store.Put(&store.Setting{Name: "s", Value: "v"}))
		snap := snapshot(t, s)
		if snap.Rev != rev || len(snap.Connections) != 1 || len(snap.Nodes) != 1 || len(snap.Aliases) != 1 || len(snap.Combos) != 1 || len(snap.Settings) != 1 {
			t.Fatalf("%+v", snap)
		}
		if got := snap.Connections[0]; got.APIKey.Reveal() != "s3cret" || got.Rev != rev || got.Priority != 3 || got.Models[0] != "m" {
			t.Errorf("%+v", got)
		}
		if fmt.Sprintf("%v %+v %#v", snap.Connections[0].APIKey, snap.Connections[0], snap.Connections[0].APIKey) == "" {
			t.Error("no text")
		}
	})
	t.Run("what routing and limits need comes back", func(t *testing.T) {
		t.Parallel()
		s, again := open(t)
		c := &store.Connection{ID: "c", Provider: "p", Name: "n", MaxConcurrent: 7, Proxies: []store.Secret{store.NewSecret("http://user:pass@proxy:8080"), store.NewSecret("socks5h://[::1]:1080/")}}
		n := &store.Node{Name: "node", Format: "openai", BaseURL: "http://localhost/v1", Private: true}
		co := &store.Combo{Name: "co", Models: []string{"x", "y"}, Weights: []int{3, 0}, Strategy: "weighted", Sticky: 5, Deadline: time.Minute}
		k := &store.Key{ID: "k", Name: "k", Limits: store.Limits{
			Models: []string{"a*"}, Operations: []string{"chat"}, Networks: []string{"10.0.0.0/8", "2001:db8::1"}, Expires: time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC),
			RequestsPerMinute: 1, TokensPerMinute: 2, Concurrent: 3, SpendDay: 4, SpendWeek: 5, SpendMonth: 6, SpendTotal: store.Dollar,
		}}
		plain := &store.Connection{ID: "plain", Provider: "p", Name: "plain"}
		rev := apply(t, s, store.Put(c), store.Put(n), store.Put(co), store.Put(k), store.Put(plain))
		if durable {
			s.Close()
			s = again()
		}
		defer s.Close()
		c.Rev, n.Rev, co.Rev, k.Rev, plain.Rev = rev, rev, rev, rev, rev
		snap := snapshot(t, s)
		for _, pair := range [][2]any{
			{snap.Connections, []store.Connection{*c, *plain}}, {snap.Nodes, []store.Node{*n}},
			{snap.Combos, []store.Combo{*co}}, {snap.Keys, []store.Key{*k}},
		} {
			if !reflect.DeepEqual(pair[0], pair[1]) {
				t.Errorf("got %+v\nwant %+v", pair[0], pair[1])
			}
		}
	})
	t.Run("what makes no sense is refused, without a word of a secret", func(t *testing.T) {
		t.Parallel()
		s, _ := open(t)
		defer s.Close()
		proxies := func(urls ...string) store.Record {
			c := &store.Connection{ID: "c", Provider: "p", Name: "n"}
			for _, u := range urls {
				c.Proxies = append(c.Proxies, store.NewSecret(u))
			}
			return c
		}
		combo := func(c store.Combo) store.Record { c.Name, c.Models = "co", []string{"m", "n"}; return &c }
		key := func(l store.Limits) store.Record { return &store.Key{ID: "k", Name: "k", Limits: l} }
		for want, r := range map[string]store.Record{
			"max_concurrent":                      &store.Connection{ID: "c", Provider: "p", Name: "n", MaxConcurrent: -1},
			"proxy 2: the URL of a proxy begins":  proxies("http://fine:1", "ftp://s3cret@host"),
			"proxy 1: the URL of a proxy needs":   proxies("http://s3cret@:80"),
			"proxy 1: the URL of a proxy ends":    proxies("http://host/s3cret"),
			"proxy 1: not a URL":                  proxies("http://s3cret:%zz@host"),
			"17 proxies":                          proxies(slices.Repeat([]string{"http://host"}, 17)...),
			"proxy 1: a text of":                  proxies("http://" + strings.Repeat("s3cret", 500)),
			"3 weights for 2 models":              combo(store.Combo{Weights: []int{1, 1, 1}}),
			"the weight 1000001":                  combo(store.Combo{Weights: []int{1000001}}),
			"the weight -1":                       combo(store.Combo{Weights: []int{-1}}),
			"sticky":                              combo(store.Combo{Sticky: -1}),
			"deadline":                            combo(store.Combo{Deadline: -1}),
			"models: 1001 entries":                key(store.Limits{Models: slices.Repeat([]string{"m"}, 1001)}),
			"models: an entry is empty":           key(store.Limits{Models: []string{""}}),
			"operations: a text of 201 bytes":     key(store.Limits{Operations: []string{strings.Repeat("o", 201)}}),
			"models: 60000 bytes":                 key(store.Limits{Models: slices.Repeat([]string{strings.Repeat("m", 60)}, 1000)}),
			"networks: \"10.0.0.0/33\"":           key(store.Limits{Networks: []string{"127.0.0.1", "10.0.0.0/33"}}),
			"networks: \"localhost\"":             key(store.Limits{Networks: []string{"localhost"}}),
			"requests_per_minute: -1":             key(store.Limits{RequestsPerMinute: -1}),
			"tokens_per_minute: 1000000000001 is": key(store.Limits{TokensPerMinute: 1e12 + 1}),
			"concurrent: -5":                      key(store.Limits{Concurrent: -5}),
			"spend_day: -1":                       key(store.Limits{SpendDay: -1}),
			"spend_total: -1":                     key(store.Limits{SpendTotal: -1}),
		} {
			_, err := s.Apply(ctx, store.Put(r))
			if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("got %v, want %q", err, want)
			}
		}
	})
	t.Run("a change can depend on a revision", func(t *testing.T) {
		t.Parallel()
		s, _ := open(t)
		defer s.Close()
		a := &store.Alias{Name: "a", Model: "1"}
		rev := apply(t, s, store.Put(a).At(0))
		fails(t, s, store.ErrExists, store.Put(a).At(0))
		fails(t, s, store.ErrConflict, store.Put(a).At(rev+7))
		fails(t, s, store.ErrConflict, store.Put(&store.Alias{Name: "b"}).At(rev))
		fails(t, s, store.ErrNotFound, store.Delete(&store.Alias{Name: "b"}))
		if next := apply(t, s, store.Delete(a).At(rev)); next <= rev {
			t.Errorf("revision %d after %d", next, rev)
		}
	})
	t.Run("all changes or none", func(t *testing.T) {
		t.Parallel()
		s, _ := open(t)
		defer s.Close()
		fails(t, s, store.ErrNotFound, store.Put(&store.Alias{Name: "a"}), store.Delete(&store.Alias{Name: "b"}))
		if n := len(snapshot(t, s).Aliases); n != 0 {
			t.Errorf("%d aliases", n)
		}
	})
	t.Run("names are unique", func(t *testing.T) {
		t.Parallel()
		s, _ := open(t)
		defer s.Close()
		apply(t, s, store.Put(&store.Connection{ID: "1", Provider: "p", Name: "n"}), store.Put(&store.Key{ID: "k1", Name: "k"}), store.Put(&store.Alias{Name: "x"}))
		fails(t, s, store.ErrExists, store.Put(&store.Connection{ID: "2", Provider: "p", Name: "n"}))
		fails(t, s, store.ErrExists, store.Put(&store.Key{ID: "k2", Name: "k"}))
		fails(t, s, store.ErrExists, store.Put(&store.Combo{Name: "x", Models: []string{"m"}}))
		apply(t, s, store.Put(&store.Key{ID: "k1", Name: "k", Revoked: true}), store.Put(&store.Key{ID: "k2", Name: "k"}))
		if _, err := s.Apply(ctx, store.Delete(&store.Key{ID: "k2"})); err == nil {
			t.Error("a key was deleted")
		}
	})
	t.Run("a snapshot does not change", func(t *testing.T) {
		t.Parallel()
		s, _ := open(t)
		defer s.Close()
		old := snapshot(t, s)
		apply(t, s, store.Put(&store.Alias{Name: "a"}))
		if len(old.Aliases) != 0 || len(snapshot(t, s).Aliases) != 1 {
			t.Error("the old snapshot changed, or the new one did not")
		}
	})
	t.Run("watchers are told", func(t *testing.T) {
		t.Parallel()
		s, _ := open(t)
		defer s.Close()
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		w := s.Watch(ctx)
		apply(t, s, store.Put(&store.Alias{Name: "a"}))
		select {
		case <-w:
		case <-time.After(5 * time.Second):
			t.Error("nobody told the watcher")
		}
	})
	t.Run("the books keep order, and the last word on an id", func(t *testing.T) {
		t.Parallel()
		s, _ := open(t)
		defer s.Close()
		day := time.Date(2026, 11, 23, 23, 59, 59, 0, time.UTC)
		for i := range 5 {
			e := &store.Exchange{ID: fmt.Sprint("e", i), Began: day.Add(time.Duration(4-i) * time.Second), Input: int64(i), Outcome: store.Finished, Requested: "m", Duration: time.Second, UsageReported: true}
			if err := s.Record(ctx, e); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Record(ctx, &store.Exchange{ID: "e4", Began: day, Input: 44}); err != nil {
			t.Fatal(err)
		}
		var got []int64
		err := s.Exchanges(ctx, day, day.Add(3*time.Second), func(e *store.Exchange) bool {
			got = append(got, e.Input)
			return len(got) < 10
		})
		if err != nil || fmt.Sprint(got) != "[44 3 2]" {
			t.Errorf("%v %v", got, err)
		}
	})
	t.Run("one exchange is found by its id, with its trace", func(t *testing.T) {
		t.Parallel()
		s, again := open(t)
		now := time.Now().Round(0)
		price := store.Price{Input: 1, Output: 2, CacheRead: 3, CacheWrite: 4}
		list := []store.Exchange{
			{Began: now, Trace: []byte(`{"requested":"m"}`), Priced: true, Price: price, Cost: 5, Reason: "r"},
			{Began: now.Add(30 * time.Second)}, {Began: now.Add(-30 * time.Second)}, {Began: now},
			{Began: now, Trace: bytes.Repeat([]byte("x"), store.MaxTrace)},
		}
		long := store.Exchange{ID: store.NewID("nrx"), Began: now, Cost: 1, Trace: make([]byte, store.MaxTrace+1)}
		for i := range list {
			list[i].ID = store.NewID("nrx")
			record(t, s, &list[i])
		}
		record(t, s, &long)
		if durable {
			s.Close()
			s = again()
			defer s.Close()
		}
		long.Trace = nil // too long: the exchange counts without it
		list = append(list, long)
		for i := range list {
			got, err := s.Exchange(ctx, list[i].ID)
			if err != nil || !got.Began.Equal(list[i].Began) {
				t.Fatalf("%d: %v, %v", i, got, err)
			}
			got.Began = list[i].Began
			if !reflect.DeepEqual(*got, list[i]) {
				t.Errorf("%d: got %+v, want %+v", i, got, list[i])
			}
		}
		for _, id := range []string{"", "nrx_", store.NewID("nrx"), "nrx_" + strings.Repeat("!", 26), list[0].ID + "0", list[0].ID[:len(list[0].ID)-1]} {
			if e, err := s.Exchange(ctx, id); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("%q: %v, %v", id, e, err)
			}
		}
		for e := range exchanges(t, s) {
			if e.Trace != nil {
				t.Error("a list has traces")
			}
		}
		s.Close()
		if _, err := s.Exchange(ctx, list[0].ID); !errors.Is(err, store.ErrClosed) {
			t.Errorf("after closing: %v", err)
		}
	})
	t.Run("what keys use is counted by the day, each record once", func(t *testing.T) {
		t.Parallel()
		s, again := open(t)
		today := time.Now().UTC().Truncate(24 * time.Hour)
		yesterday, longAgo := today.Add(-time.Nanosecond), today.AddDate(0, 0, -60)
		e := func(id, key string, began time.Time, in, out int64, cost store.Money) *store.Exchange {
			return &store.Exchange{ID: id, KeyID: key, Began: began, Input: in, Output: out, CacheRead: in, Cost: cost}
		}
		for _, e := range []*store.Exchange{
			e("1", "a", today, 1, 2, 3), e("2", "a", today, 10, 20, 30), e("3", "a", yesterday, 100, 200, 300),
			e("4", "b", today, 5, 6, 7), e("5", "", today, 8, 9, 10), e("6", "a", longAgo, 1000, 2000, 3000),
			e("7", "a", longAgo, 1, 1, 1), e("8", "b", today, -5, -6, -7),
			// The last word on a record counts, and nothing that was said before.
			e("2", "a", today, 11, 22, 33), e("2", "a", today, 11, 22, 33), e("7", "a", longAgo, 4000, 0, 4000),
			e("9", "c", today, 1, 1, 1), e("9", "b", today, 1, 1, 1),
		} {
			record(t, s, e)
		}
		check := func() {
			t.Helper()
			var got []string
			if err := s.Used(ctx, func(key string, day time.Time, u store.Used) bool {
				got = append(got, fmt.Sprint(key, int(today.Sub(day).Hours()/24), u))
				return true
			}); err != nil {
				t.Fatal(err)
			}
			if want := []string{"a60 {2 7000 7000}", "a1 {1 300 300}", "0 {1 17 10}", "a0 {2 36 36}", "b0 {3 13 8}"}; !slices.Equal(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
			for _, c := range []struct {
				key  string
				from time.Time
				want store.Used
			}{
				{"a", today, store.Used{Requests: 2, Tokens: 36, Cost: 36}},
				{"a", today.Add(23 * time.Hour), store.Used{Requests: 2, Tokens: 36, Cost: 36}},
				{"a", today.In(time.FixedZone("west", -8*3600)), store.Used{Requests: 2, Tokens: 36, Cost: 36}},
				{"a", today.AddDate(0, 0, -31), store.Used{Requests: 3, Tokens: 336, Cost: 336}},
				{"a", time.Time{}, store.Used{Requests: 5, Tokens: 7336, Cost: 7336}},
				{"a", today.AddDate(0, 0, -50), store.Used{Requests: 5, Tokens: 7336, Cost: 7336}},
				{"a", today.AddDate(0, 0, 1), store.Used{}},
				{"b", today, store.Used{Requests: 3, Tokens: 13, Cost: 8}},
				{"", today, store.Used{Requests: 1, Tokens: 17, Cost: 10}},
				{"c", time.Time{}, store.Used{}}, {"nobody", time.Time{}, store.Used{}},
			} {
				if got := s.UsedSince(c.key, c.from); got != c.want {
					t.Errorf("%q since %s: got %v, want %v", c.key, c.from, got, c.want)
				}
			}
		}
		check()
		if durable {
			s.Close()
			s = again()
			check()
			record(t, s, e("6", "a", longAgo, 1000, 2000, 3000))
			check()
		}
		n := 0
		if err := s.Used(ctx, func(string, time.Time, store.Used) bool { n++; return false }); err != nil || n != 1 {
			t.Errorf("%d visits, %v", n, err)
		}
		s.Close()
		if err := s.Used(ctx, func(string, time.Time, store.Used) bool { return true }); !errors.Is(err, store.ErrClosed) {
			t.Errorf("after closing: %v", err)
		}
	})
	t.Run("what keys use saturates, and is right again when the records are", func(t *testing.T) {
		t.Parallel()
		s, _ := open(t)
		defer s.Close()
		now := time.Now()
		const most = math.MaxInt64
		for i := range 3 {
			record(t, s, &store.Exchange{ID: fmt.Sprint(i), KeyID: "k", Began: now, Input: most, Output: most, Cost: most})
		}
		if got := s.UsedSince("k", now); got != (store.Used{Requests: 3, Tokens: most, Cost: most}) {
			t.Errorf("%+v", got)
		}
		for i := range 3 {
			record(t, s, &store.Exchange{ID: fmt.Sprint(i), KeyID: "k", Began: now, Input: 1, Output: 2, Cost: 3})
		}
		if got := s.UsedSince("k", now); got != (store.Used{Requests: 3, Tokens: 9, Cost: 9}) {
			t.Errorf("%+v", got)
		}
	})
	t.Run("what keys use is what the books say, whoever records at once", func(t *testing.T) {
		t.Parallel()
		s, again := open(t)
		now := time.Now()
		var wg sync.WaitGroup
		for worker := range 8 {
			wg.Go(func() {
				for i := range 60 {
					n := int64(worker*100 + i)
					record(t, s, &store.Exchange{
						// Some ids are recorded by several.
						ID: fmt.Sprint(n % 300), Began: now.Add(-time.Duration(n%300%5) * 24 * time.Hour), KeyID: fmt.Sprint("k", n%7), Input: n, Cost: store.Money(n * n),
					})
				}
			})
		}
		wg.Wait()
		Agree(t, s)
		if durable {
			s.Close()
			s = again()
			Agree(t, s)
		}
		s.Close()
	})
	t.Run("many at once", func(t *testing.T) {
		t.Parallel()
		s, _ := open(t)
		defer s.Close()
		var wg sync.WaitGroup
		for i := range 40 {
			wg.Go(func() {
				if err := s.Record(ctx, &store.Exchange{ID: fmt.Sprint(i), Began: time.Unix(int64(i), 0)}); err != nil {
					t.Error(err)
				}
			})
		}
		for i := range 10 {
			wg.Go(func() {
				if _, err := s.Apply(ctx, store.Put(&store.Alias{Name: fmt.Sprint(i)})); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		n := 0
		if err := s.Exchanges(ctx, time.Unix(0, 0), time.Unix(100, 0), func(*store.Exchange) bool { n++; return true }); err != nil {
			t.Error(err)
		}
		if snap := snapshot(t, s); n != 40 || len(snap.Aliases) != 10 || snap.Rev != 10 {
			t.Errorf("%d exchanges, %d aliases, revision %d", n, len(snap.Aliases), snap.Rev)
		}
	})
	t.Run("after closing", func(t *testing.T) {
		t.Parallel()
		s, again := open(t)
		apply(t, s, store.Put(&store.Connection{ID: "c", Provider: "p", Name: "n", APIKey: store.NewSecret("kept")}))
		h := snapshot(t, s).Hasher.Hash("client")
		if err := s.Record(ctx, &store.Exchange{ID: "e", Began: time.Unix(5, 0)}); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
		if _, err := s.Snapshot(ctx); !errors.Is(err, store.ErrClosed) {
			t.Error(err)
		}
		if _, err := s.Apply(ctx, store.Put(&store.Alias{Name: "a"})); !errors.Is(err, store.ErrClosed) {
			t.Error(err)
		}
		if err := s.Record(ctx, &store.Exchange{ID: "f"}); !errors.Is(err, store.ErrClosed) {
			t.Error(err)
		}
		if !durable {
			return
		}
		s = again()
		defer s.Close()
		snap := snapshot(t, s)
		if len(snap.Connections) != 1 || snap.Connections[0].APIKey.Reveal() != "kept" || snap.Rev != 1 || snap.Hasher.Hash("client") != h {
			t.Errorf("%+v", snap)
		}
		n := 0
		if err := s.Exchanges(ctx, time.Unix(0, 0), time.Unix(9, 0), func(*store.Exchange) bool { n++; return true }); err != nil || n != 1 {
			t.Errorf("%d exchanges, %v", n, err)
		}
	})
}

func record(t *testing.T, s store.Store, e *store.Exchange) {
	t.Helper()
	if err := s.Record(context.Background(), e); err != nil {
		t.Error(err)
	}
}

// exchanges returns all that is in the books.
func exchanges(t *testing.T, s store.Store) iter.Seq[*store.Exchange] {
	return func(yield func(*store.Exchange) bool) {
		if err := s.Exchanges(context.Background(), time.Unix(0, 0), time.Unix(1<<32, 0), yield); err != nil {
			t.Error(err)
		}
	}
}

// Agree checks that what each key used is the sum of the exchanges in the books,
// by the day and in total. Their numbers must not be so large that they saturate.
func Agree(t *testing.T, s store.Store) {
	t.Helper()
	type keyDay struct {
		key string
		day time.Time
	}
	sums, totals := map[keyDay]store.Used{}, map[string]store.Used{}
	add := func(u store.Used, e *store.Exchange) store.Used {
		return store.Used{Requests: u.Requests + 1, Tokens: u.Tokens + e.Input + e.Output, Cost: u.Cost + e.Cost}
	}
	for e := range exchanges(t, s) {
		at := keyDay{e.KeyID, e.Began.UTC().Truncate(24 * time.Hour)}
		sums[at], totals[e.KeyID] = add(sums[at], e), add(totals[e.KeyID], e)
	}
	if len(sums) == 0 {
		t.Error("the books are empty")
	}
	err := s.Used(context.Background(), func(key string, day time.Time, u store.Used) bool {
		at := keyDay{key, day}
		if u != sums[at] {
			t.Errorf("%s on %s used %+v, and in the books is %+v", key, day, u, sums[at])
		}
		delete(sums, at)
		return true
	})
	if err != nil || len(sums) > 0 {
		t.Errorf("not counted: %v, %v", sums, err)
	}
	for key, want := range totals {
		if got := s.UsedSince(key, time.Time{}); got != want {
			t.Errorf("%s used %+v in total, and in the books is %+v", key, got, want)
		}
	}
}
