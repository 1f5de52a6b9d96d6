package store

import (
	"fmt"
	"math"
	"math/bits"
	"strconv"
	"strings"
)

// Money is an amount in nano-dollars: 1e-9 US dollars.
type Money int64

// Dollar is one US dollar.
const Dollar Money = 1e9

// Add returns the sum. It saturates: an amount that is too large to be counted
// stays the largest there is, and never becomes a small one.
func (m Money) Add(n Money) Money {
	sum := m + n
	switch {
	case m > 0 && n > 0 && sum < 0:
		return math.MaxInt64
	case m < 0 && n < 0 && sum >= 0:
		return math.MinInt64
	}
	return sum
}

// USD returns the amount in US dollars as a decimal number, exactly: "0.0025".
func (m Money) USD() string {
	sign, n := "", uint64(m)
	if m < 0 {
		sign, n = "-", -n
	}
	dollars, rest := n/uint64(Dollar), n%uint64(Dollar)
	if rest == 0 {
		return sign + strconv.FormatUint(dollars, 10)
	}
	return sign + strings.TrimRight(fmt.Sprintf("%d.%09d", dollars, rest), "0")
}

// A Price is what a million tokens of a model cost. A cache price of 0 is that of
// input.
type Price struct {
	Input      Money `json:"input"`
	Output     Money `json:"output"`
	CacheRead  Money `json:"cache_read,omitempty"`
	CacheWrite Money `json:"cache_write,omitempty"`
}

// Cost is what the tokens cost: input includes what was read from and written to a
// cache, as in translate.Usage. Numbers below zero, which no honest provider
// states, count as zero.
func (p Price) Cost(input, cacheRead, cacheWrite, output int64) Money {
	input, cacheRead, cacheWrite, output = max(input, 0), max(cacheRead, 0), max(cacheWrite, 0), max(output, 0)
	cacheRead = min(cacheRead, input)
	cacheWrite = min(cacheWrite, input-cacheRead)
	read, write := p.CacheRead, p.CacheWrite
	if read == 0 {
		read = p.Input
	}
	if write == 0 {
		write = p.Input
	}
	sum := share(input-cacheRead-cacheWrite, p.Input)
	return sum.Add(share(cacheRead, read)).Add(share(cacheWrite, write)).Add(share(output, p.Output))
}

// share is the price of n tokens, rounded up to a nano-dollar.
func share(n int64, perMillion Money) Money {
	if n <= 0 || perMillion <= 0 {
		return 0
	}
	hi, lo := bits.Mul64(uint64(n), uint64(perMillion))
	lo, carry := bits.Add64(lo, 1e6-1, 0)
	hi += carry
	if hi >= 1e6 {
		return math.MaxInt64
	}
	q, _ := bits.Div64(hi, lo, 1e6)
	return Money(min(q, math.MaxInt64))
}
