package schedule

import (
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// A Subject is what can be set aside: a whole provider, one of its models, a
// connection, or a connection's use of one model.
type Subject struct {
	Provider   string `json:"provider"`
	Connection string `json:"connection,omitempty"`
	Model      string `json:"model,omitempty"`
}

// A Standing is what is known of a subject.
type Standing struct {
	subject  Subject
	troubled atomic.Bool  // aside is not empty
	running  atomic.Int64 // exchanges under way
	pace     atomic.Uint64
	quota    atomic.Uint64
	proven   atomic.Int64 // when somebody had content last, in Unix nanoseconds

	mu      sync.Mutex
	aside   Aside
	probing bool // somebody is trying whether it is well again

	waiting int // exchanges that wait for a place; the gate's lock is held
}

// Aside is how a subject has failed.
type Aside struct {
	Since  time.Time `json:"since"`
	Until  time.Time `json:"until"`  // as the provider named it, or our pause
	Probe  time.Time `json:"probe"`  // when one exchange may try whether it is well again
	Row    int       `json:"row"`    // failures in a row
	Reason string    `json:"reason"` // of the last one
}

// Bounds of how long something is set aside.
const (
	// Where the provider named no time, the first pause is this, unless the
	// verdict has another, and each in a row doubles it.
	FirstPause = 2 * time.Second
	MaxPause   = 30 * time.Minute

	// MaxNamed bounds a time that a provider names, and ProbeEvery how long it
	// is believed before one exchange tries: quotas are raised, clocks differ.
	MaxNamed   = 32 * 24 * time.Hour
	ProbeEvery = 15 * time.Minute

	// A provider, or one of its models, is left alone after so many failures in a
	// row.
	BreakerOpens = 5
	// It is not, though, while one of several connections had content of late.
	BreakerTrusts = 10 * time.Second
	BreakerPause  = 10 * time.Second
	maxBreaker    = 5 * time.Minute
)

// A verdict's place says what is set aside.
type Place uint8

// The places.
const (
	Nowhere      Place = iota
	AtProvider         // the breaker counts; it opens after several in a row
	AtTarget           // the same, for the provider's model that was asked for
	AtConnection       // for all of its models
	AtModel            // the connection, for the model that was asked for
)

// A Verdict is what a failed attempt means for who was asked.
type Verdict struct {
	Place  Place
	Reason string
	// After is how long the provider asked to be left alone, 0 if it did not say.
	After time.Duration
	// Pause is the first pause where it did not, 0 is FirstPause.
	Pause time.Duration
	// Several says that one failure proves little: as at a provider, only several in
	// a row set aside.
	Several bool

	shared bool // several connections have their part in it
}

// set notes the failure of an attempt, which was perhaps the probe and began when it
// did. jitter is in [0, 1).
// It reports whether somebody is newly set aside.
func (s *Standing) set(v Verdict, probe bool, began, now time.Time, jitter float64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if probe {
		s.probing = false // the failure has ended it
	}
	a := &s.aside
	// Attempts that were under way together fail together: that is one failure.
	if a.Row == 0 || began.After(a.Since) {
		a.Row++
	}
	before := a.Until
	a.Since, a.Reason = now, v.Reason
	breaker := v.Several || v.Place == AtProvider || v.Place == AtTarget
	first, longest := v.Pause, MaxPause
	if first == 0 {
		first = FirstPause
	}
	row := a.Row - 1
	if breaker {
		s.troubled.Store(true)
		if v.After == 0 && (a.Row < BreakerOpens || v.shared && now.Sub(time.Unix(0, s.proven.Load())) < BreakerTrusts) {
			return false
		}
		first, longest = max(v.Pause, BreakerPause), max(v.Pause, maxBreaker)
		row = max(0, a.Row-BreakerOpens)
	}
	pause := first << min(row, 12)
	pause = max(first, min(pause, longest))
	pause += time.Duration(jitter * float64(pause) / 4)
	until := now.Add(pause)
	if v.After > 0 {
		until = now.Add(min(v.After, MaxNamed))
	}
	// Failures that come in late do not shorten what an earlier one named.
	if until.After(a.Until) {
		a.Until = until
	}
	a.Probe = a.Until
	if soon := now.Add(ProbeEvery + time.Duration(jitter*float64(ProbeEvery)/4)); soon.Before(a.Probe) {
		a.Probe = soon
	}
	s.troubled.Store(true)
	return !before.After(now)
}

// apart says that it is set aside.
func (s *Standing) apart() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.aside.Until.IsZero()
}

// failedSince says that its last failure was no earlier than at a time.
func (s *Standing) failedSince(at time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.aside.Since.Before(at)
}

// enter lets an exchange in, perhaps as the one that probes.
func (s *Standing) enter(now time.Time) (ok, probe bool) {
	if s == nil || !s.troubled.Load() {
		return true, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case !s.troubled.Load(), s.aside.Until.IsZero(): // a breaker that only counts
		return true, false
	case s.probing, now.Before(s.aside.Probe):
		return false, false
	}
	s.probing = true
	return true, true
}

// leave gives a probe back that proved nothing.
func (s *Standing) leave() {
	s.mu.Lock()
	s.probing = false
	s.mu.Unlock()
}

// prove forgets failures that happened before the success began, and all if several
// connections have their part in it: content of one is newer than any failure of
// another. aside says that it was set aside for them.
func (s *Standing) prove(began time.Time, probe, shared bool) (aside, changed bool) {
	if s == nil || !s.troubled.Load() {
		return false, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case probe:
		s.probing = false
	case shared:
	case s.aside.Since.After(began):
		return false, false
	}
	aside = !s.aside.Until.IsZero()
	s.aside = Aside{}
	s.troubled.Store(false)
	return aside, true
}

// refusal says why an exchange is not let in, and until when.
func (s *Standing) refusal(now time.Time) (time.Time, string) {
	if s == nil || !s.troubled.Load() {
		return time.Time{}, ""
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.aside.Until.IsZero() {
		return time.Time{}, ""
	}
	if at := s.aside.Probe; at.After(now) {
		return at, s.aside.Reason
	}
	return now.Add(time.Second), s.aside.Reason // being probed
}

// ease is how much of an average the newest figure is.
const ease = 0.2

// paced takes note of a time to first content.
func (s *Standing) paced(d time.Duration) {
	for {
		old := s.pace.Load()
		v := math.Float64frombits(old)
		if old == 0 {
			v = float64(d)
		} else {
			v += ease * (float64(d) - v)
		}
		if s.pace.CompareAndSwap(old, math.Float64bits(v)) {
			return
		}
	}
}

// Pace is the average time to first content of late, 0 if nothing is known.
func (s *Standing) Pace() time.Duration {
	return time.Duration(math.Float64frombits(s.pace.Load()))
}

// Running is how many exchanges are under way.
func (s *Standing) Running() int64 { return s.running.Load() }
