package gateway

import (
	"sync"
	"time"
)

// Health remembers what is set aside and until when. It belongs to the process,
// not to a configuration: a reload must not send everybody back to an account
// that is known to be spent.
type Health struct {
	mu    sync.RWMutex
	aside map[subject]mishap
}

// A subject is what can be set aside: a connection, a connection's use of one
// model, or a whole provider.
type subject struct{ provider, connection, model string }

type mishap struct {
	until  time.Time
	row    int // failures in a row
	reason string
}

// NewHealth returns a Health with nothing set aside.
func NewHealth() *Health { return &Health{aside: make(map[subject]mishap)} }

// Bounds of how long something is set aside that the provider did not name a
// time for, and of the times that providers name.
const (
	firstBackOff = 2 * time.Second
	maxBackOff   = 5 * time.Minute
	maxNamed     = 24 * time.Hour

	// A provider is left alone after so many failures in a row.
	breakerOpens = 5
	breakerPause = 10 * time.Second
)

// until returns when the candidate may be used again, zero if it may now.
func (h *Health) until(c *candidate, now time.Time) (time.Time, string) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if len(h.aside) == 0 {
		return time.Time{}, ""
	}
	var last mishap
	for _, s := range subjects(c) {
		if m := h.aside[s]; m.until.After(now) && m.until.After(last.until) {
			last = m
		}
	}
	return last.until, last.reason
}

func subjects(c *candidate) [3]subject {
	p, id := c.provider.Name, c.connection.ID
	return [3]subject{{provider: p}, {p, id, ""}, {p, id, c.model}}
}

// fail takes note of a failed attempt. jitter is in [0, 1).
func (h *Health) fail(c *candidate, f fault, now time.Time, jitter float64) {
	if c.provider.Rehearsal {
		return
	}
	all := subjects(c)
	var s subject
	switch {
	case f.Scope == ScopeProvider:
		s = all[0]
	case f.Scope == ScopeConnection && !f.ThisModel:
		s = all[1]
	case f.Scope == ScopeConnection, f.Scope == ScopeModel:
		s = all[2]
	default:
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	m := h.aside[s]
	m.row++
	m.reason = f.Reason
	switch {
	case f.Scope == ScopeProvider:
		if m.row < breakerOpens && f.After == 0 {
			break
		}
		pause := max(breakerPause, min(f.After, maxBackOff))
		m.until = now.Add(pause)
	case f.After > 0:
		m.until = now.Add(min(f.After, maxNamed))
	default:
		pause := min(firstBackOff<<min(m.row-1, 12), maxBackOff)
		m.until = now.Add(pause + time.Duration(jitter*float64(pause)/4))
	}
	h.aside[s] = m
}

// succeed forgets the failures of a candidate that answered.
func (h *Health) succeed(c *candidate) {
	h.mu.RLock()
	clean := len(h.aside) == 0
	h.mu.RUnlock()
	if clean {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range subjects(c) {
		delete(h.aside, s)
	}
}
