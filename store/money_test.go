package store

import (
	"math"
	"testing"
)

const most = math.MaxInt64

func TestCost(t *testing.T) {
	t.Parallel()
	usual := Price{Input: 3 * Dollar, Output: 15 * Dollar, CacheRead: 3 * Dollar / 10, CacheWrite: 15 * Dollar / 4}
	for name, c := range map[string]struct {
		price                   Price
		input, read, write, out int64
		want                    Money
	}{
		"a million of each, the cached ones within the input": {usual, 3e6, 1e6, 1e6, 1e6, 3*Dollar + 3*Dollar/10 + 15*Dollar/4 + 15*Dollar},
		"one token":                              {usual, 1, 0, 0, 0, 3000},
		"no price for the cache":                 {Price{Input: Dollar}, 3e6, 1e6, 1e6, 5, 3 * Dollar},
		"less than a nano-dollar is one":         {Price{Input: 1}, 1, 0, 0, 0, 1},
		"each part is rounded up":                {Price{Input: 1, Output: 1, CacheRead: 1, CacheWrite: 1}, 3, 1, 1, 1, 4},
		"just below the next nano-dollar":        {Price{Output: 999_999}, 0, 0, 0, 1, 1},
		"just above it":                          {Price{Output: 1_000_001}, 0, 0, 0, 1, 2},
		"free":                                   {Price{}, most, 0, 0, most, 0},
		"nothing":                                {usual, 0, 0, 0, 0, 0},
		"negative tokens":                        {usual, -5, -5, -5, -5, 0},
		"negative tokens earn nothing back":      {usual, math.MinInt64, 0, 0, 1, 15000},
		"a negative price":                       {Price{Input: -Dollar, Output: Dollar}, 1e6, 0, 0, 1e6, Dollar},
		"more read from the cache than there is": {usual, 1e6, most, most, 0, 3 * Dollar / 10},
		"more of both than there is":             {usual, 2e6, 1e6, most, 0, 3*Dollar/10 + 15*Dollar/4},
		"too many tokens":                        {usual, most, 0, 0, most, most},
		"the largest price":                      {Price{Input: most}, 1e6, 0, 0, 0, most},
		"the largest of everything":              {Price{most, most, most, most}, most, most / 2, most / 2, most, most},
		"as much as can be counted, and a bit":   {Price{Input: 1e6, Output: 1e6}, most, 0, 0, 1, most},
	} {
		if got := c.price.Cost(c.input, c.read, c.write, c.out); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

func TestMoneySaturates(t *testing.T) {
	t.Parallel()
	for _, c := range [][3]Money{
		{1, 2, 3}, {-1, 2, 1}, {most, 1, most}, {1, most, most}, {most, most, most}, {most, -1, most - 1},
		{math.MinInt64, -1, math.MinInt64}, {math.MinInt64, math.MinInt64, math.MinInt64}, {math.MinInt64, most, -1}, {most - 1, 1, most},
	} {
		if got := c[0].Add(c[1]); got != c[2] {
			t.Errorf("%d + %d = %d, want %d", c[0], c[1], got, c[2])
		}
	}
}

func TestSumsAreExact(t *testing.T) {
	t.Parallel()
	var s Sum
	for range 5 {
		s.Add(most)
	}
	s.Add(7)
	s.Add(-100)
	s.Sub(-100)
	if got := s.Int64(); got != most {
		t.Errorf("%d", got)
	}
	for range 5 {
		s.Sub(most)
	}
	if got := s.Int64(); got != 7 {
		t.Errorf("what was left is %d", got)
	}
	s.Sub(8)
	if got := s.Int64(); got != 0 {
		t.Errorf("less than nothing is %d", got)
	}
	s.Add(8)
	if got := s.Int64(); got != 7 {
		t.Errorf("what was taken too early: %d", got)
	}
}
