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
