// Package limit enforces the limits of keys: requests and tokens in a minute,
// exchanges at a time, money in a day, a week, a month and in total.
//
// A request reserves what it may need before anybody is asked ([Ledger.Reserve])
// and settles what it really used in the end ([Reservation.Settle]). What is
// reserved counts as if it were used, so requests at the same time cannot together
// overrun what each of them alone would respect.
//
// What is promised:
//
//   - Exchanges at a time are exact.
//   - In no 60 seconds more requests begin than are allowed, nor do requests that
//     together were estimated at more tokens than are allowed. What was used is
//     free again between 60 and 64 seconds later. Two things come on top: a request
//     whose estimate alone is larger than the limit, which is let through when
//     nothing else was used in the last minute, for it would wait for ever; and the
//     tokens that a request turns out to have used beyond its estimate.
//   - Money spent exceeds what may be spent only by what the exchanges under way
//     turn out to cost beyond their estimates, and by one exchange whose estimate is
//     more than what is left: it is let through when no other is under way, because
//     an estimate is no reason to keep back what is left.
//
// # Agreement with the books
//
// The ledger's own sums begin with what the books say: of all periods when a key is
// first seen, of a new period when it begins. From then on the ledger adds what is
// settled. An exchange has to be recorded in the books before it is settled, and
// until then its reservation counts: so there is no moment at which it does not
// count. It does not count twice either, because the ledger asks the books only
// when the exchanges in question cannot have been reserved here, and takes the
// larger of both sums: exchanges that passed the ledger by, because their key had
// no limits then, are found in the books as soon as nothing of the key is under
// way; exchanges that the books could not take, because a disk is full, stay in
// the ledger until the period is over or the process ends.
//
// An exchange counts for the day, week and month, in UTC, in which it was reserved.
// Reserve with the time at which the exchange began, which is the one that the
// books go by.
//
// A ledger knows only its own process, so that n processes may together allow n
// times as much in a minute; a coordinator between them is to take its place. It
// belongs beside the store, one for each, and outlives a change of the
// configuration. It does no I/O; its caller says what time it is.
package limit

import (
	"time"

	"github.com/nine-router/nine-router/store"
)

// Names of the limits, those of the fields of [store.Limits] in JSON.
const (
	RequestsPerMinute = "requests_per_minute"
	TokensPerMinute   = "tokens_per_minute"
	Concurrent        = "concurrent"
	SpendDay          = "spend_day"
	SpendWeek         = "spend_week"
	SpendMonth        = "spend_month"
	SpendTotal        = "spend_total"

	// Price is no field of its own: a key that may spend only so much may not ask
	// for what has no known price.
	Price = "price"
)

// An Ask is what a request may need.
type Ask struct {
	Key    string        // its id
	Limits *store.Limits // of the key; not changed until the request has ended
	Tokens int64         // the most it is thought to use, input and output together
	Cost   store.Money   // the most it is thought to cost
	// Priced says that the price is known. Without it a key whose spending is
	// limited is denied. A price of nothing is a known price.
	Priced bool
	Now    time.Time // when the exchange began
}

// A Denial says which limit is in the way. Amounts of money are in nano-dollars.
type Denial struct {
	Limit   string
	Allowed int64
	Used    int64 // reserved and used so far
	// Pending says that it depends on how exchanges under way end.
	Pending bool
	// Reset is when asking again may help: when enough is free if nobody else
	// takes it, or in a second if that depends on how exchanges under way end. It is
	// zero if waiting does not help.
	Reset time.Time
}

// A Window is where a limit stands. Amounts of money are in nano-dollars.
type Window struct {
	Limit     string    `json:"limit"`
	Allowed   int64     `json:"allowed"`
	Used      int64     `json:"used"` // reserved and used so far; may be beyond what is allowed
	Remaining int64     `json:"remaining"`
	Reset     time.Time `json:"reset,omitzero"` // when all of it is free again; zero if no time brings that
}

func window(limit string, allowed, used int64, reset time.Time) Window {
	return Window{Limit: limit, Allowed: allowed, Used: used, Remaining: max(allowed-used, 0), Reset: reset}
}

// soon is how long to wait for exchanges that are under way.
const soon = time.Second
