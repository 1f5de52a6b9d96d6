package telemetry

import (
	"strings"
	"sync"
	"unicode/utf8"
)

// Labels that stand for what has no value and for what is not worth a series of
// its own.
const (
	none  = "none"
	other = "other"
)

// maxLabel bounds the value of a label, in bytes.
const maxLabel = 128

// label returns the value as it may stand in a label. Some values are a client's
// own text, of any length and not always UTF-8.
func label(s string) string {
	switch {
	case s == "":
		return none
	case len(s) > maxLabel || !utf8.ValidString(s):
		return other
	}
	return s
}

// labels are the values that tell one series of a family from the next.
type labels[K any] interface {
	comparable
	// folded returns the labels that stand for these once there are too many.
	folded() K
	// own returns the same labels in memory of their own: a value may be a part
	// of a large request body.
	own() K
}

// A family is a bounded number of series by their labels. Finding one that is
// known does not allocate.
type family[K labels[K], V any] struct {
	most int // beyond it labels are folded
	make func(K) V

	mu    sync.RWMutex
	known map[K]V
}

func newFamily[K labels[K], V any](most int, series func(K) V) *family[K, V] {
	return &family[K, V]{most: most, make: series, known: make(map[K]V)}
}

// of returns the series with these labels, or the one that they are folded into.
func (f *family[K, V]) of(k K) V {
	f.mu.RLock()
	_, v, ok := f.find(k)
	f.mu.RUnlock()
	if ok {
		return v
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if k, v, ok = f.find(k); ok {
		return v
	}
	k = k.own()
	v = f.make(k)
	f.known[k] = v
	return v
}

// find returns the series and the labels that it has or would have.
func (f *family[K, V]) find(k K) (K, V, bool) {
	v, ok := f.known[k]
	if !ok && len(f.known) >= f.most {
		k = k.folded()
		v, ok = f.known[k]
	}
	return k, v, ok
}

// single is one label of a set that is small already.
type single string

func (single) folded() single { return other }
func (s single) own() single  { return single(strings.Clone(string(s))) }

// exchangeLabels tell exchanges apart. Operations, formats and outcomes are words
// of this program; providers are named by the operator.
type exchangeLabels struct{ operation, format, provider, outcome string }

func (l exchangeLabels) folded() exchangeLabels {
	l.provider = other
	return l
}

func (l exchangeLabels) own() exchangeLabels {
	return exchangeLabels{strings.Clone(l.operation), strings.Clone(l.format), strings.Clone(l.provider), strings.Clone(l.outcome)}
}

// attemptLabels tell attempts apart. Scopes and reasons are words of this program.
type attemptLabels struct{ provider, scope, reason string }

func (l attemptLabels) folded() attemptLabels { return attemptLabels{other, l.scope, other} }

func (l attemptLabels) own() attemptLabels {
	return attemptLabels{strings.Clone(l.provider), strings.Clone(l.scope), strings.Clone(l.reason)}
}

// modelLabels tell models apart, whose names may be a client's own text.
type modelLabels struct{ provider, model string }

func (modelLabels) folded() modelLabels { return modelLabels{other, other} }

func (l modelLabels) own() modelLabels {
	return modelLabels{strings.Clone(l.provider), strings.Clone(l.model)}
}

// lossLabels say between which formats something was lost.
type lossLabels struct{ client, provider string }

func (lossLabels) folded() lossLabels { return lossLabels{other, other} }

func (l lossLabels) own() lossLabels {
	return lossLabels{strings.Clone(l.client), strings.Clone(l.provider)}
}
