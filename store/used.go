package store

import (
	"encoding/binary"
	"slices"
	"sync"
	"time"
)

// Used is what the exchanges of a key have used. Its numbers saturate.
type Used struct {
	Requests int64 `json:"requests"`
	Tokens   int64 `json:"tokens"` // input and output together
	Cost     Money `json:"cost_nano_usd"`
}

// A tally is Used while it is added up: exact, so that an exchange that is
// recorded again can be taken out as it was counted. One that holds a difference
// may be less than nothing.
type tally struct {
	requests int64
	tokens   Sum
	cost     Sum
}

func (t *tally) plus(o tally) {
	t.requests += o.requests
	t.tokens.plus(o.tokens)
	t.cost.plus(o.cost)
}

func (t *tally) minus(o tally) {
	t.requests -= o.requests
	t.tokens.minus(o.tokens)
	t.cost.minus(o.cost)
}

func (t tally) used() Used {
	return Used{Requests: max(t.requests, 0), Tokens: t.tokens.Int64(), Cost: Money(t.cost.Int64())}
}

// tally counts the exchange alone.
func (e *Exchange) tally() tally {
	t := tally{requests: 1}
	t.tokens.Add(e.Input)
	t.tokens.Add(e.Output)
	t.cost.Add(int64(e.Cost))
	return t
}

// appendTally appends the stored form of t.
func appendTally(b []byte, t tally) []byte {
	b = append(b, tallyVersion)
	for _, n := range [...]uint64{uint64(t.requests), t.tokens.hi, t.tokens.lo, t.cost.hi, t.cost.lo} {
		b = binary.AppendUvarint(b, n)
	}
	return b
}

const tallyVersion = 1

// decodeTally reads what appendTally wrote.
func decodeTally(b []byte) (t tally, err error) {
	if len(b) == 0 || b[0] != tallyVersion {
		return t, errBook
	}
	b = b[1:]
	var n [5]uint64
	for i := range n {
		v, size := binary.Uvarint(b)
		if size <= 0 {
			return t, errBook
		}
		n[i], b = v, b[size:]
	}
	return tally{requests: int64(n[0]), tokens: Sum{n[1], n[2]}, cost: Sum{n[3], n[4]}}, nil
}

// usedDay is the day of an exchange, counted from 1970 in UTC. It is computed from
// what the books keep of the time, so that summing them up again gives the same.
func usedDay(began time.Time) uint32 {
	return uint32(max(began.UnixNano(), 0) / int64(24*time.Hour))
}

func dayTime(day uint32) time.Time { return time.Unix(int64(day)*86400, 0).UTC() }

// A keyDay names one counter.
type keyDay struct {
	day uint32
	key string
}

// usedDays is how many days before today are known one by one; of older ones only
// the total of all is.
const usedDays = 40

// usage is what each key has used, in memory: its total, and that of its last days.
type usage struct {
	mu   sync.RWMutex
	keys map[string]*keyUsage
}

type keyUsage struct {
	total tally
	days  []dayTally // in order
	// through is the last day that may be missing in days.
	through uint32
}

type dayTally struct {
	day uint32
	tally
}

func (d dayTally) compare(day uint32) int { return int(int64(d.day) - int64(day)) }

// add counts what changed on a day.
func (u *usage) add(at keyDay, change tally, today uint32) {
	u.mu.Lock()
	defer u.mu.Unlock()
	k := u.keys[at.key]
	if k == nil {
		k = new(keyUsage)
		u.keys[at.key] = k
	}
	k.total.plus(change)
	k.age(today)
	if at.day <= k.through {
		return
	}
	i, found := slices.BinarySearchFunc(k.days, at.day, dayTally.compare)
	if !found {
		k.days = slices.Insert(k.days, i, dayTally{day: at.day})
	}
	k.days[i].plus(change)
}

// age lets go of the days that are too old to be known one by one.
func (k *keyUsage) age(today uint32) {
	if first := max(today, usedDays) - usedDays; first > 0 && first-1 > k.through {
		k.through = first - 1
		old, _ := slices.BinarySearchFunc(k.days, first, dayTally.compare)
		k.days = slices.Delete(k.days, 0, old)
	}
}

// on returns the counter of a day, if that day is known.
func (u *usage) on(at keyDay) (tally, bool) {
	u.mu.RLock()
	defer u.mu.RUnlock()
	k := u.keys[at.key]
	if k == nil {
		return tally{}, false
	}
	i, found := slices.BinarySearchFunc(k.days, at.day, dayTally.compare)
	if !found {
		return tally{}, false
	}
	return k.days[i].tally, true
}

func (u *usage) total(key string) tally {
	u.mu.RLock()
	defer u.mu.RUnlock()
	if k := u.keys[key]; k != nil {
		return k.total
	}
	return tally{}
}

// since returns what was used since the beginning of the day of from, or all there
// ever was if that day is not known any more.
func (u *usage) since(key string, from time.Time) Used {
	day := uint32(max(from.Unix(), 0) / 86400)
	u.mu.RLock()
	defer u.mu.RUnlock()
	k := u.keys[key]
	if k == nil {
		return Used{}
	}
	if day <= k.through || day == 0 {
		return k.total.used()
	}
	var sum tally
	for i := len(k.days) - 1; i >= 0 && k.days[i].day >= day; i-- {
		sum.plus(k.days[i].tally)
	}
	return sum.used()
}
