package store_test

import (
	"math"
	"testing"

	"github.com/nine-router/nine-router/store"
)

func TestParseUSDIsExact(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]store.Money{
		"0": 0, "0.0": 0, "1": store.Dollar, "15": 15 * store.Dollar, "007": 7 * store.Dollar,
		"0.1": 100_000_000, "0.075": 75_000_000, "3.75": 3_750_000_000,
		"0.003625": 3_625_000, "0.000000001": 1, "1.000000001": store.Dollar + 1,
		"9000000000.123456789": 9_000_000_000_123_456_789,
	} {
		if got, err := store.ParseUSD(text); err != nil || got != want {
			t.Errorf("%s: %d, %v, want %d", text, got, err, want)
		}
	}
}

func TestParseUSDRefusesWhatItCannotSayExactly(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                     "not a plain decimal number",
		".5":                   "not a plain decimal number",
		"5.":                   "not a plain decimal number",
		"-1":                   "not a plain decimal number",
		"+1":                   "not a plain decimal number",
		"1e-3":                 "not a plain decimal number",
		"1,5":                  "not a plain decimal number",
		"1.2.3":                "not a plain decimal number",
		"$1":                   "not a plain decimal number",
		"0.0000000001":         "the number has more than nine decimal places",
		"9300000000":           "the number is too large",
		"99999999999999999999": "the number is too large",
		"0.0000000000000000000000000000000000000000000000000000000000000000": "the number is too long",
	} {
		if got, err := store.ParseUSD(text); err == nil || err.Error() != want {
			t.Errorf("%q: %d, %v, want %s", text, got, err, want)
		}
	}
}

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
