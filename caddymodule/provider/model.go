package provider

import "github.com/nine-router/nine-router/store"

// A Model is what is known of one of a provider's models. What is zero is not
// known: a guess would send requests away from who could answer them.
type Model struct {
	Context   int64 `json:"context,omitempty"`    // tokens that input and output may have together
	MaxOutput int64 `json:"max_output,omitempty"` // tokens of output

	// Lacks lists what the model is known not to be able to do.
	Lacks []Ability `json:"lacks,omitempty"`

	// Price is what its tokens cost; nil is not known, which is not nothing.
	Price *store.Price `json:"price,omitempty"`
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
