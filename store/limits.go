package store

import "time"

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
