package caddymodule

import "github.com/nine-router/nine-router/caddymodule/gateway"

// Strict says whose requests are refused when a provider's format cannot express
// all of them. A request can ask for the same with the header
// `X-Nine-Router-Strict: true`.
type Strict struct {
	// Names of keys, declared here or made by command.
	Keys []string `json:"keys,omitempty"`

	// Models, as clients ask for them: `provider/model`, aliases and combos.
	Models []string `json:"models,omitempty"`
}

func (s *Strict) options() gateway.Strict {
	if s == nil {
		return gateway.Strict{}
	}
	return gateway.Strict(*s)
}
