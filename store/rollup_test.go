package store

import (
	"encoding/json"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// A store of an earlier version has books and no roll-ups, and making them may be
// cut off.
func TestRollUpsAreMadeFromTheBooks(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	open := func() *Badger {
		t.Helper()
		s, err := OpenBadger(t.Context(), BadgerOptions{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := open()
	now := time.Now()
	for i := range 100 {
		e := &Exchange{ID: fmt.Sprint(i), Began: now.AddDate(0, 0, -i), KeyID: fmt.Sprint("k", i%2), Input: int64(i), Cost: math.MaxInt64}
		if err := s.Record(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	read := func(s *Badger) (all []string) {
		t.Helper()
		err := s.Used(t.Context(), func(key string, day time.Time, u Used) bool {
			all = append(all, fmt.Sprint(key, day, u))
			return true
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range []string{"k0", "k1"} {
			all = append(all, fmt.Sprint(s.UsedSince(key, time.Time{}), s.UsedSince(key, now.AddDate(0, 0, -10))))
		}
		return all
	}
	want := read(s)
	if len(want) != 102 {
		t.Fatalf("%d counters", len(want))
	}
	if err := s.telemetry.DropPrefix([]byte{totalPrefix}, []byte(metaUsed)); err != nil {
		t.Fatal(err)
	}
	if err := s.telemetry.Update(func(txn *badger.Txn) error {
		// What was written before the making was cut off is written again.
		return txn.Set(appendUsedKey(nil, keyDay{usedDay(now), "k0"}), appendTally(nil, tally{requests: 77}))
	}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open()
	defer s.Close()
	if got := read(s); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
}

func TestMemoryForgetsOldDaysAndKeepsTheirTotal(t *testing.T) {
	t.Parallel()
	u := &usage{keys: map[string]*keyUsage{}}
	one := (&Exchange{Input: 1}).tally()
	const first = 20000
	for day := uint32(first); day < first+1000; day++ {
		u.add(keyDay{day, "k"}, one, day)
		u.add(keyDay{day - 35, "k"}, one, day) // late
		u.add(keyDay{day - 60, "k"}, one, day) // later than what is remembered
	}
	if n := len(u.keys["k"].days); n != usedDays+1 {
		t.Errorf("%d days are remembered", n)
	}
	last := dayTime(first + 999)
	for from, want := range map[time.Time]int64{
		{}: 3000, last: 1, last.AddDate(0, 0, -31): 32, last.AddDate(0, 0, -usedDays): 41 + 6, last.AddDate(0, 0, -usedDays-1): 3000,
	} {
		if got := u.since("k", from); got.Requests != want || got.Tokens != want {
			t.Errorf("since %s: %+v, want %d", from, got, want)
		}
	}
}

func TestCountersThatAreDamagedAreNotGuessed(t *testing.T) {
	t.Parallel()
	row := appendTally(nil, (&Exchange{Input: 300, Output: 400, Cost: math.MaxInt64}).tally())
	if got, err := decodeTally(row); err != nil || got.used() != (Used{1, 700, math.MaxInt64}) {
		t.Errorf("%+v, %v", got, err)
	}
	for n := range row {
		if _, err := decodeTally(row[:n]); err == nil {
			t.Errorf("%d bytes of %d were taken for a counter", n, len(row))
		}
	}
}

// What is sealed opens in its own place alone: not in that of the other secret, of
// another record, or of another revision.
func TestSealedProxiesHaveTheirPlace(t *testing.T) {
	t.Parallel()
	seal, err := newSealer(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	s, err := newState().apply([]Change{Put(&Connection{ID: "c", Provider: "p", Name: "n", APIKey: NewSecret(`["key"]`), Proxies: []Secret{NewSecret("http://u:p@host")}})})
	if err != nil {
		t.Fatal(err)
	}
	text, err := s.row(&Connection{ID: "c"}, seal)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(*row[Connection])
		fits   bool
	}{
		"as it is":         {func(*row[Connection]) {}, true},
		"an older row":     {func(r *row[Connection]) { r.SealedProxies = "" }, true},
		"the key's place":  {func(r *row[Connection]) { r.Sealed = r.SealedProxies }, false},
		"the key in ours":  {func(r *row[Connection]) { r.SealedProxies = r.Sealed }, false},
		"another record":   {func(r *row[Connection]) { r.Value.ID, r.Sealed = "d", "" }, false},
		"another revision": {func(r *row[Connection]) { r.Value.Rev, r.Sealed = 9, "" }, false},
	} {
		var r row[Connection]
		if err := json.Unmarshal(text, &r); err != nil {
			t.Fatal(err)
		}
		c.change(&r)
		err := openCredentials(&r, seal)
		if (err == nil) != c.fits {
			t.Errorf("%s: %v", name, err)
		}
		if n := len(r.Value.Proxies); name == "as it is" && (n != 1 || r.Value.Proxies[0].Reveal() != "http://u:p@host") || name == "an older row" && n != 0 {
			t.Errorf("%s: %d proxies", name, n)
		}
	}
}

func TestIDsTellWhenTheyWereMade(t *testing.T) {
	t.Parallel()
	before := time.Now().Truncate(time.Millisecond)
	made, ok := idTime(NewID("nrx"))
	if !ok || made.Before(before) || made.After(time.Now()) {
		t.Errorf("%s, %v", made, ok)
	}
}
