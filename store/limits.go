package store

import (
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// Limits bound what a key may do. What is zero or empty bounds nothing.
type Limits struct {
	// Models that the key may ask for: names of models, aliases and combos, or
	// patterns in which * stands for any text. A combo or alias that is named here
	// may be used with all that it stands for.
	Models []string `json:"models,omitempty"`
	// Operations that the key may ask for, such as "chat" and "embed".
	Operations []string `json:"operations,omitempty"`
	// Networks are the addresses that the key may come from: "203.0.113.7" or
	// "10.0.0.0/8".
	Networks []string `json:"networks,omitempty"`
	// Expires is when the key ends to be valid.
	Expires time.Time `json:"expires,omitzero"`

	RequestsPerMinute int64 `json:"requests_per_minute,omitempty"`
	TokensPerMinute   int64 `json:"tokens_per_minute,omitempty"` // input and output together
	Concurrent        int64 `json:"concurrent,omitempty"`        // exchanges at a time

	// What may be spent in a day, a week that begins on Monday, and a calendar
	// month, all of them in UTC, and in total.
	SpendDay   Money `json:"spend_day,omitempty"`
	SpendWeek  Money `json:"spend_week,omitempty"`
	SpendMonth Money `json:"spend_month,omitempty"`
	SpendTotal Money `json:"spend_total,omitempty"`
}

// IsZero says that nothing is bounded.
func (l *Limits) IsZero() bool {
	return l == nil || len(l.Models)+len(l.Operations)+len(l.Networks) == 0 && l.Expires.IsZero() &&
		l.RequestsPerMinute == 0 && l.TokensPerMinute == 0 && l.Concurrent == 0 &&
		l.SpendDay == 0 && l.SpendWeek == 0 && l.SpendMonth == 0 && l.SpendTotal == 0
}

// Bounds of the limits themselves: entries of a list, their bytes together, and
// what is counted in a minute or at a time. Beyond the last, a limit is none.
const (
	maxEntries   = 1000
	maxListBytes = 48 << 10
	maxRate      = 1_000_000_000_000
)

// Check says what is wrong with the limits, naming the field as JSON does.
func (l *Limits) Check() error {
	for _, list := range []struct {
		name    string
		entries []string
		longest int
	}{{"models", l.Models, 2 * maxName}, {"operations", l.Operations, maxName}, {"networks", l.Networks, maxName}} {
		if err := checkList(list.entries, list.longest); err != nil {
			return fmt.Errorf("%s: %w", list.name, err)
		}
	}
	for _, n := range l.Networks {
		if _, err := netip.ParseAddr(n); err == nil {
			continue
		}
		if _, err := netip.ParsePrefix(n); err != nil {
			return fmt.Errorf("networks: %q is neither an address nor a network such as 10.0.0.0/8", n)
		}
	}
	for _, count := range []struct {
		name  string
		value int64
	}{{"requests_per_minute", l.RequestsPerMinute}, {"tokens_per_minute", l.TokensPerMinute}, {"concurrent", l.Concurrent}} {
		if count.value < 0 || count.value > maxRate {
			return fmt.Errorf("%s: %d is not between 0 and %d", count.name, count.value, maxRate)
		}
	}
	for _, amount := range []struct {
		name  string
		value Money
	}{{"spend_day", l.SpendDay}, {"spend_week", l.SpendWeek}, {"spend_month", l.SpendMonth}, {"spend_total", l.SpendTotal}} {
		if amount.value < 0 {
			return fmt.Errorf("%s: %d nano-dollars are less than nothing", amount.name, amount.value)
		}
	}
	return nil
}

func checkList(entries []string, longest int) error {
	if len(entries) > maxEntries {
		return fmt.Errorf("%d entries are more than the %d that are allowed", len(entries), maxEntries)
	}
	total := 0
	for _, e := range entries {
		if e == "" {
			return errors.New("an entry is empty")
		}
		total += len(e)
	}
	if total > maxListBytes {
		return fmt.Errorf("%d bytes are more than the %d that are allowed", total, maxListBytes)
	}
	return bounded(longest, entries...)
}
