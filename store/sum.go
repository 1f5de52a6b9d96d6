package store

import (
	"math"
	"math/bits"
)

// A Sum adds amounts up exactly, in 128 bits, so that what was added can be taken
// away again whatever else was added. It saturates only where it is read. The zero
// value is an empty sum.
type Sum struct{ hi, lo uint64 }

// Add adds an amount; one below zero counts as zero.
func (s *Sum) Add(n int64) { s.plus(Sum{lo: uint64(max(n, 0))}) }

// Sub takes away an amount that was added before.
func (s *Sum) Sub(n int64) { s.minus(Sum{lo: uint64(max(n, 0))}) }

// Int64 returns the sum, or the largest number there is if it is larger.
func (s Sum) Int64() int64 {
	switch {
	case s.hi > math.MaxInt64: // less than nothing
		return 0
	case s.hi > 0 || s.lo > math.MaxInt64:
		return math.MaxInt64
	}
	return int64(s.lo)
}

func (s *Sum) plus(o Sum) {
	var carry uint64
	s.lo, carry = bits.Add64(s.lo, o.lo, 0)
	s.hi, _ = bits.Add64(s.hi, o.hi, carry)
}

func (s *Sum) minus(o Sum) {
	var borrow uint64
	s.lo, borrow = bits.Sub64(s.lo, o.lo, 0)
	s.hi, _ = bits.Sub64(s.hi, o.hi, borrow)
}
