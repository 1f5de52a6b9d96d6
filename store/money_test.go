package store_test

import (
	"math"
	"testing"

	"github.com/nine-router/nine-router/store"
)

func TestMoneyAsDollars(t *testing.T) {
	t.Parallel()
	for m, want := range map[store.Money]string{
		0:                     "0",
		1:                     "0.000000001",
		2_500_000:             "0.0025",
		store.Dollar:          "1",
		12*store.Dollar + 5e8: "12.5",
		-store.Dollar / 4:     "-0.25",
		math.MaxInt64:         "9223372036.854775807",
		math.MinInt64:         "-9223372036.854775808",
	} {
		if got := m.USD(); got != want {
			t.Errorf("%d: %s, want %s", m, got, want)
		}
	}
}
