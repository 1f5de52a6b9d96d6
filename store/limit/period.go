package limit

import (
	"time"

	"github.com/nine-router/nine-router/store"
)

// The periods for which spending is limited.
const (
	day = iota
	week
	month
	total
	periods
)

var periodNames = [periods]string{SpendDay, SpendWeek, SpendMonth, SpendTotal}

func budgets(l *store.Limits) [periods]store.Money {
	return [periods]store.Money{l.SpendDay, l.SpendWeek, l.SpendMonth, l.SpendTotal}
}

const secondsOfDay = 86400

// starts are the beginnings of the periods in which t lies, in seconds since 1970.
// All of them are midnights in UTC; that of total is 0.
func starts(t time.Time) [periods]int64 {
	unix := max(t.Unix(), 0)
	today := unix / secondsOfDay
	y, m, _ := time.Unix(unix, 0).UTC().Date()
	return [periods]int64{
		day:   today * secondsOfDay,
		week:  max(today-(today+3)%7, 0) * secondsOfDay, // 1970 began on a Thursday
		month: time.Date(y, m, 1, 0, 0, 0, 0, time.UTC).Unix(),
	}
}

// ends is when a period is over that began at start; zero if it never is.
func ends(period int, start int64) time.Time {
	t := time.Unix(start, 0).UTC()
	switch period {
	case day:
		return t.AddDate(0, 0, 1)
	case week:
		return t.AddDate(0, 0, 7)
	case month:
		return t.AddDate(0, 1, 0)
	}
	return time.Time{}
}

// since is the time to ask the books from.
func since(period int, start int64) time.Time {
	if period == total {
		return time.Time{}
	}
	return time.Unix(start, 0).UTC()
}

// A spending is the money of one period.
type spending struct {
	start    int64
	turn     uint32 // of which period it is; a reservation knows by it whether it counts here
	settled  store.Money
	reserved store.Sum
}

func (s *spending) used() store.Money { return s.settled.Add(store.Money(s.reserved.Int64())) }
