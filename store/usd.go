package store

import (
	"errors"
	"math"
	"strings"
)

// ParseUSD reads an amount in US dollars as a plain decimal number, such as
// "0.075" or "15". It is exact: a number with more than nine decimal places,
// which is finer than [Money], is an error and never rounded, as is one below
// zero, with an exponent or beyond the range.
func ParseUSD(s string) (Money, error) {
	whole, fraction, point := strings.Cut(s, ".")
	switch {
	case whole == "" || point && fraction == "":
		return 0, errors.New("not a plain decimal number")
	case len(s) > 64:
		return 0, errors.New("the number is too long")
	}
	var m Money
	for i, digits := range []string{whole, fraction} {
		for _, c := range []byte(digits) {
			if c < '0' || c > '9' {
				return 0, errors.New("not a plain decimal number")
			}
			if m > (math.MaxInt64-9)/10 {
				return 0, errors.New("the number is too large")
			}
			m = m*10 + Money(c-'0')
		}
		if i == 1 {
			if len(digits) > 9 {
				return 0, errors.New("the number has more than nine decimal places")
			}
			for range 9 - len(digits) {
				if m > math.MaxInt64/10 {
					return 0, errors.New("the number is too large")
				}
				m *= 10
			}
		}
	}
	return m, nil
}
