package caddymodule

import (
	"fmt"
	"time"

	"github.com/nine-router/nine-router/store"
)

// Key is what a client authenticates with, and what it may do.
type Key struct {
	// The key, at least 20 characters. Use a placeholder.
	Key string `json:"key"`

	KeyLimits
}

// KeyLimits bound what a key may do. What is not given bounds nothing.
type KeyLimits struct {
	// The models that it may ask for: models, aliases and combos, or patterns in
	// which * stands for any text. A combo or alias that is named here may be used
	// with all that it stands for.
	Models []string `json:"models,omitempty"`
	// The operations that it may ask for: `chat`, `embed`, `count_tokens`,
	// `compact`.
	Operations []string `json:"operations,omitempty"`
	// The addresses that it may come from, or ranges of them.
	Networks []string `json:"networks,omitempty"`
	// When it ends to be valid.
	Expires time.Time `json:"expires,omitzero"`
	// Requests in a minute.
	RequestsPerMinute int64 `json:"requests_per_minute,omitempty"`
	// Tokens in a minute, input and output together.
	TokensPerMinute int64 `json:"tokens_per_minute,omitempty"`
	// Requests at a time.
	Concurrent int64 `json:"concurrent,omitempty"`
	// What it may spend, in US dollars, such as "2.50": in a day, a week that
	// begins on Monday, a calendar month (all in UTC), and in total.
	SpendDay   string `json:"spend_day,omitempty"`
	SpendWeek  string `json:"spend_week,omitempty"`
	SpendMonth string `json:"spend_month,omitempty"`
	SpendTotal string `json:"spend_total,omitempty"`
}

func (k *KeyLimits) limits() (store.Limits, error) {
	l := store.Limits{
		Models: k.Models, Operations: k.Operations, Networks: k.Networks, Expires: k.Expires,
		RequestsPerMinute: k.RequestsPerMinute, TokensPerMinute: k.TokensPerMinute, Concurrent: k.Concurrent,
	}
	for _, s := range [...]struct {
		name, text string
		to         *store.Money
	}{{"day", k.SpendDay, &l.SpendDay}, {"week", k.SpendWeek, &l.SpendWeek}, {"month", k.SpendMonth, &l.SpendMonth}, {"total", k.SpendTotal, &l.SpendTotal}} {
		if s.text == "" {
			continue
		}
		m, err := store.ParseUSD(s.text)
		if err != nil {
			return l, fmt.Errorf("spend %s: %w", s.name, err)
		}
		*s.to = m
	}
	return l, l.Check()
}

// shown is how limits are shown: as they are given.
func shown(l *store.Limits) KeyLimits {
	usd := func(m store.Money) string {
		if m == 0 {
			return ""
		}
		return m.USD()
	}
	return KeyLimits{
		Models: l.Models, Operations: l.Operations, Networks: l.Networks, Expires: l.Expires,
		RequestsPerMinute: l.RequestsPerMinute, TokensPerMinute: l.TokensPerMinute, Concurrent: l.Concurrent,
		SpendDay: usd(l.SpendDay), SpendWeek: usd(l.SpendWeek), SpendMonth: usd(l.SpendMonth), SpendTotal: usd(l.SpendTotal),
	}
}

// periods are those in which spending is limited.
var periods = [...]string{"day", "week", "month", "total"}

// spend is what may be spent in a period, nil if there is no such period.
func (k *KeyLimits) spend(period string) *string {
	switch period {
	case "day":
		return &k.SpendDay
	case "week":
		return &k.SpendWeek
	case "month":
		return &k.SpendMonth
	case "total":
		return &k.SpendTotal
	}
	return nil
}
