package schedule

import (
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// A Board is what is known of everybody. It belongs to the process, not to a
// configuration: a reload must not send everybody back to an account that is known
// to be spent. It is safe for concurrent use.
type Board struct {
	// Rand gives numbers in [0, 1). Nil is the runtime's own.
	Rand func() float64

	mu        sync.RWMutex
	standings map[Subject]*Standing
	turns     map[string]*turn
	changed   atomic.Uint64

	gate gate
}

// turn is whose turn it is in round_robin.
type turn struct{ n atomic.Uint64 }

// NewBoard returns a board on which everybody stands well.
func NewBoard() *Board {
	return &Board{standings: map[Subject]*Standing{}, turns: map[string]*turn{}}
}

func (b *Board) rand() float64 {
	if b.Rand != nil {
		return b.Rand()
	}
	return rand.Float64()
}

// maxModels bounds how many models of connections are remembered: their names may
// be a client's own.
const maxModels = 10_000

func (b *Board) standing(s Subject) *Standing {
	b.mu.RLock()
	st := b.standings[s]
	b.mu.RUnlock()
	if st != nil {
		return st
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if st = b.standings[s]; st != nil {
		return st
	}
	if s.Model != "" && len(b.standings) >= maxModels {
		for k, v := range b.standings {
			if k.Model != "" && v.running.Load() == 0 {
				delete(b.standings, k)
				break
			}
		}
	}
	st = &Standing{subject: s}
	b.standings[s] = st
	return st
}

// known returns the standing of a subject, nil if it never did anything.
func (b *Board) known(s Subject) *Standing {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.standings[s]
}

func (b *Board) turnOf(name string) *turn {
	b.mu.Lock()
	defer b.mu.Unlock()
	t := b.turns[name]
	if t == nil {
		t = new(turn)
		b.turns[name] = t
	}
	return t
}

// A Report is what the board knows of one subject.
type Report struct {
	Subject
	Aside   *Aside        `json:"aside,omitempty"`
	Running int64         `json:"running"`
	Pace    time.Duration `json:"pace_ns,omitempty"` // average time to first content of late
}

// Reports lists all subjects, in no order.
func (b *Board) Reports() []Report {
	b.mu.RLock()
	defer b.mu.RUnlock()
	list := make([]Report, 0, len(b.standings))
	for k, s := range b.standings {
		r := Report{Subject: k, Running: s.Running(), Pace: s.Pace()}
		s.mu.Lock()
		if s.troubled.Load() {
			a := s.aside
			r.Aside = &a
		}
		s.mu.Unlock()
		list = append(list, r)
	}
	return list
}

// Clear forgets the failures of a subject: by hand, or because a reading of its
// quota says that it is well. Of a connection it forgets those of its models too,
// and of a provider those of its connections. It lists what was set aside.
func (b *Board) Clear(s Subject) (cleared []Subject) {
	b.mu.RLock()
	var list []*Standing
	for k, st := range b.standings {
		if k.Provider == s.Provider && (s.Connection == "" || k.Connection == s.Connection) && (s.Model == "" || k.Model == s.Model) {
			list = append(list, st)
		}
	}
	b.mu.RUnlock()
	for _, st := range list {
		st.mu.Lock()
		if st.troubled.Load() {
			if !st.aside.Until.IsZero() {
				cleared = append(cleared, st.subject)
			}
			st.aside = Aside{}
			st.troubled.Store(false)
		}
		st.mu.Unlock()
	}
	if len(cleared) > 0 {
		b.changed.Add(1)
		b.gate.wake(b, time.Now())
	}
	return cleared
}

// SetQuota notes which part of a connection's quota is left, from 0 to 1.
func (b *Board) SetQuota(provider, connection string, left float64) {
	// No bits at all stand for what is not known.
	b.standing(Subject{Provider: provider, Connection: connection}).quota.Store(math.Float64bits(max(left, math.SmallestNonzeroFloat64)))
}

// A Mark is a subject that is set aside, as it is kept over restarts.
type Mark struct {
	Subject
	Aside
}

// Changed counts the changes of who is set aside.
func (b *Board) Changed() uint64 { return b.changed.Load() }

// Marks lists who is set aside.
func (b *Board) Marks() []Mark {
	var list []Mark
	for _, r := range b.Reports() {
		if r.Aside != nil && !r.Aside.Until.IsZero() {
			list = append(list, Mark{r.Subject, *r.Aside})
		}
	}
	return list
}

// Restore sets aside who was.
func (b *Board) Restore(marks []Mark) {
	for _, m := range marks {
		s := b.standing(m.Subject)
		s.mu.Lock()
		s.aside = m.Aside
		s.troubled.Store(true)
		s.mu.Unlock()
	}
}
