package limit

import (
	"time"

	"github.com/nine-router/nine-router/store"
)

type Ledger struct{}

func New(any) *Ledger { return &Ledger{} }

type Ask struct {
	Key    string
	Limits *store.Limits
	Tokens int64
	Cost   store.Money
	Now    time.Time
}
type Denial struct {
	Limit         string
	Reset         time.Time
	Allowed, Used int64
	Pending       bool
}
type Window struct {
	Limit              string
	Allowed, Remaining int64
	Reset              time.Time
}
type Reservation struct{}

func (l *Ledger) Reserve(Ask) (*Reservation, *Denial)                 { return &Reservation{}, nil }
func (r *Reservation) Adjust(int64, store.Money, time.Time) *Denial { return nil }
func (r *Reservation) Settle(int64, store.Money, time.Time)          {}
func (r *Reservation) Release(time.Time)                             {}
func (r *Reservation) Windows() []Window                             { return nil }
