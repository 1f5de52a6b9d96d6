package store

import (
	"reflect"
	"testing"
	"time"
)

// Any bytes decode to an exchange that encodes to the same exchange, or to an
// error.
func FuzzExchange(f *testing.F) {
	f.Add(appendExchange(nil, &Exchange{ID: "nrx_1", Began: time.Unix(1, 2), Stream: true, Input: 1 << 40, Outcome: Broken}))
	f.Add(appendExchange(nil, &Exchange{Priced: true, Price: Price{1, 2, -3, 4}, Cost: 5, Trace: []byte("{}")}))
	f.Add([]byte(firstVersion))
	f.Fuzz(func(t *testing.T, b []byte) {
		var first, second Exchange
		if decodeExchange(b, &first) != nil {
			return
		}
		if err := decodeExchange(appendExchange(nil, &first), &second); err != nil || !reflect.DeepEqual(first, second) {
			t.Errorf("%v: %+v, %+v", err, first, second)
		}
	})
}

// firstVersion is a row as the first version of this program wrote it.
const firstVersion = "\x01\x05nrx_1\x05key_1\x04chat\x06openai\tdemo/echo\x04demo\x04echo\x06conn_1\tanthropic\x06broken\bprovider\x01r" +
	"\x8e\x80\xd0\xfc\xec\xa9\xfe\xfa0\x03\x04\x90\x03\xd8\x04\x02\x04P\x06\b\n\f\x0e\x10"

func TestRowsOfTheFirstVersionAreRead(t *testing.T) {
	t.Parallel()
	want := Exchange{
		ID: "nrx_1", Began: time.Unix(1764000000, 7), KeyID: "key_1", Operation: "chat", Stream: true,
		ClientFormat: "openai", Requested: "demo/echo", Provider: "demo", Model: "echo", ConnectionID: "conn_1", ProviderFormat: "anthropic",
		Attempts: 2, Outcome: Broken, Status: 200, Scope: "provider", Reason: "r", UsageReported: true,
		Input: 300, CacheRead: 1, CacheWrite: 2, Output: 40, Reasoning: 3, Losses: 4, FirstContent: 5, Duration: 6, BytesIn: 7, BytesOut: 8,
	}
	var got Exchange
	if err := decodeExchange([]byte(firstVersion), &got); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v: %+v", err, got)
	}
}

func TestRowsThatAreCutOffAreDamaged(t *testing.T) {
	t.Parallel()
	row := appendExchange(nil, &Exchange{ID: "nrx_1", Priced: true, Price: Price{1, 2, 3, 4}, Cost: 5, Trace: []byte("trace")})
	var e Exchange
	if err := decodeExchange(row, &e); err != nil || !e.Priced || e.Cost != 5 || e.Price != (Price{1, 2, 3, 4}) || string(e.Trace) != "trace" {
		t.Fatalf("%v: %+v", err, e)
	}
	for n := range row {
		if decodeExchange(row[:n], &e) == nil {
			t.Errorf("%d bytes of %d were taken for a row", n, len(row))
		}
	}
}

func BenchmarkAppendExchange(b *testing.B) {
	e := Exchange{
		ID: NewID("nrx"), Began: time.Now(), KeyID: NewID("key"), Operation: "chat", ClientFormat: "openai", Requested: "demo/echo", Provider: "demo",
		Model: "echo", Outcome: Finished, Priced: true, Price: Price{Dollar, 2 * Dollar, 0, 0}, Cost: 12345, Trace: make([]byte, 500),
	}
	var row []byte
	b.ReportAllocs()
	for b.Loop() {
		row = appendExchange(row[:0], &e)
	}
}
