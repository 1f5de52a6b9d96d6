package limit

import "time"

// A minute counts what was used in the last 60 seconds, in slots of 4. The first of
// 16 slots was left 60 seconds ago at the earliest when it is let go.
type minute struct {
	now   int64 // the slot of the latest time that was seen
	slots [slots]int64
	sum   int64
}

const (
	slots    = 16
	slotTime = 60 * time.Second / (slots - 1)
)

// advance lets go of the slots that are over. Time that goes back stands still
// instead, unless it goes back so far that the slots mean nothing any more.
func (m *minute) advance(slot int64) {
	if slot == m.now || slot < m.now && m.now-slot < slots {
		return
	}
	if slot < m.now || slot-m.now >= slots {
		*m = minute{now: slot}
		return
	}
	for m.now < slot {
		m.now++
		at := m.at(m.now)
		m.sum -= *at
		*at = 0
	}
}

func (m *minute) at(slot int64) *int64 { return &m.slots[uint64(slot)%slots] }

// add counts n in the slot of now, and returns it.
func (m *minute) add(n int64) (slot int64) {
	*m.at(m.now) += n
	m.sum += n
	return m.now
}

// take gives back n that was counted in a slot, if it still counts.
func (m *minute) take(slot, n int64) {
	if slot > m.now || m.now-slot >= slots {
		return
	}
	n = min(n, *m.at(slot))
	*m.at(slot) -= n
	m.sum -= n
}

// counts says how much of what was counted in a slot, n, still counts.
func (m *minute) counts(slot, n int64) int64 {
	if slot > m.now || m.now-slot >= slots {
		return 0
	}
	return n
}

// free returns the slot at whose beginning no more than most still counts.
func (m *minute) free(most int64) (slot int64) {
	rest := m.sum
	for i := m.now - slots + 1; i <= m.now; i++ {
		if rest <= most {
			return i + slots - 1
		}
		rest -= *m.at(i)
	}
	return m.now + slots
}
