package provider

import (
	"errors"
	"maps"

	"github.com/nine-router/nine-router/store"
	"github.com/nine-router/nine-router/translate"
)

// FromNode makes a provider of a node. A node works without a credential, until
// it has a connection.
func FromNode(n store.Node) (*Provider, error) {
	if n.BaseURL == "" {
		return nil, errors.New("it is not in the catalogue, so it needs a base_url")
	}
	format := translate.Format(n.Format)
	if format == "" {
		format = translate.OpenAI
	}
	p := &Provider{
		Name: n.Name, Title: n.Name, Prefix: n.Prefix, Models: n.Models, Keyless: true, Private: n.Private,
		Endpoints: []Endpoint{{Format: format, BaseURL: n.BaseURL, Headers: maps.Clone(n.Headers)}},
	}
	return p, p.check()
}
