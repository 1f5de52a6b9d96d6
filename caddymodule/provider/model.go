package provider

import (
	"slices"

	"github.com/nine-router/nine-router/store"
)

// A Model is what is known of one of a provider's models. What is zero is not
// known: a guess would send requests away from who could answer them.
type Model struct {
	Context   int64 `json:"context,omitempty"`    // tokens that input and output may have together
	MaxOutput int64 `json:"max_output,omitempty"` // tokens of output

	// Lacks lists what the model is known not to be able to do. Nil is not
	// known; an empty list says that it lacks nothing.
	Lacks []Ability `json:"lacks,omitzero"`

	// Price is what its tokens cost; nil is not known, which is not nothing.
	Price *store.Price `json:"price,omitempty"`

	// Long is what they cost in a request with a long input, where that differs.
	Long *LongPrice `json:"long,omitempty"`
}

// A LongPrice is the price of every token of a request, the output included,
// whose input has more than Above tokens, the cached ones included. OpenAI,
// Google, xAI and Anthropic have such prices for some of their models.
type LongPrice struct {
	Above int64       `json:"above"`
	Price store.Price `json:"price"`
}

// PriceAt is what tokens cost in a request with that many tokens of input, as
// [store.Price.Cost] counts them. It is nil if the price is not known.
func (m Model) PriceAt(input int64) *store.Price {
	if m.Long != nil && input > m.Long.Above {
		return &m.Long.Price
	}
	return m.Price
}

// Over is m with what it leaves open taken from base. A price is one thing: that
// of m comes without base's price of long inputs.
func (m Model) Over(base Model) Model {
	if m.Context == 0 {
		m.Context = base.Context
	}
	if m.MaxOutput == 0 {
		m.MaxOutput = base.MaxOutput
	}
	if m.Lacks == nil {
		m.Lacks = base.Lacks
	}
	if m.Price == nil {
		m.Price, m.Long = base.Price, base.Long
	}
	return m
}

// An Ability is something that a request may need of a model.
type Ability string

// The abilities.
const (
	Vision     Ability = "vision"     // takes images
	Audio      Ability = "audio"      // takes sound
	Files      Ability = "files"      // takes documents such as PDF
	Tools      Ability = "tools"      // calls tools
	Structured Ability = "structured" // keeps to a schema of the answer
)

// Abilities lists the abilities that there are.
func Abilities() []Ability { return []Ability{Vision, Audio, Files, Tools, Structured} }

// A Need is what a request needs of a model.
type Need struct {
	Input     int64     // tokens of input, as far as they can be estimated
	Output    int64     // the most output that is asked for; 0 if that is not said, or may be lowered
	Abilities []Ability // as [Needs] finds them
}

// The reasons of [Model.Unable] that are not the name of an ability.
const (
	ContextWindow = "context_window"
	MaxOutput     = "max_output"
)

// Unable says in one word why the model is known to be unable to answer such a
// request: "context_window", "max_output" or the ability that it lacks. It is
// empty if nothing is known against it. An estimate of the input counts only
// where it exceeds the context window by more than a tenth.
func (m Model) Unable(n Need) string {
	if m.Context > 0 && n.Input > m.Context && n.Input-m.Context > m.Context/10 {
		return ContextWindow
	}
	if m.MaxOutput > 0 && n.Output > m.MaxOutput {
		return MaxOutput
	}
	for _, a := range n.Abilities {
		if slices.Contains(m.Lacks, a) {
			return string(a)
		}
	}
	return ""
}
