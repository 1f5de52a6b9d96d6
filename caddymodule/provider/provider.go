// Package provider knows who can answer and how to ask: the catalogue of known
// providers (data, not code), the nodes that users define, and the requests that
// reach them. An upstream request is built from an allow-list, never copied from
// a client's, so a credential or a cookie of the client cannot leak into it.
package provider

import (
	"net/http"

	"github.com/nine-router/nine-router/translate"
)

// A Provider answers requests: an entry of the catalogue or a node.
type Provider struct {
	// Name is its id; Title is for people.
	Name  string `json:"name"`
	Title string `json:"title,omitempty"`

	// Prefix stands before the slash of its models' names. Empty means Name.
	Prefix string `json:"prefix,omitempty"`

	// Endpoints are the formats it speaks, the preferred one first. There is
	// at most one of each format.
	Endpoints []Endpoint `json:"endpoints"`

	// Models are the models it is known to offer. Empty means not known: then
	// any name is passed on.
	Models []string `json:"models,omitempty"`

	// Default is what is known of all its models, such as that they cost nothing
	// because they run on this machine. Nil is nothing.
	Default *Model `json:"-"`

	// Info is what the user says of its models: see [Provider.WithInfo].
	Info map[string]Model `json:"-"`

	// Keyless says that it works without a credential, as local servers do.
	Keyless bool `json:"keyless,omitempty"`

	// KeysURL is where people make an API key.
	KeysURL string `json:"keys_url,omitempty"`

	// Private allows it to be on this machine or in a private network, and Local
	// says that all its base URLs are written as this machine's.
	Private bool `json:"-"`
	Local   bool `json:"-"`

	// Rehearsal says that its failures are made to order, as the demo's are:
	// nobody is set aside for them.
	Rehearsal bool `json:"-"`

	// Transport carries its requests, where it is not the network that does:
	// the demo provider answers within the process. Nil is the gateway's.
	Transport http.RoundTripper `json:"-"`

	namePrefix string           // that models' names may have, see [Provider.Model]
	builtin    map[string]Model // what came with the program
	rules      []rule           // of Info, from the general to the particular
	known      map[string]Model // all of it together, for names that are written somewhere
}

// An Endpoint is one format that a provider speaks at one base URL.
type Endpoint struct {
	Format translate.Format `json:"format"`

	// BaseURL is the part before the operation's path, with the API's version
	// and without a slash at the end, such as "https://api.openai.com/v1".
	BaseURL string `json:"base_url"`

	// Auth is how the credential is sent. Empty means by the format's custom.
	Auth Auth `json:"auth,omitempty"`

	// Headers are sent with every request. They are the operator's, so they may
	// be any but those that frame the message.
	Headers map[string]string `json:"headers,omitempty"`

	ready *compiled
}

// Auth is a way to send a credential.
type Auth string

// The ways to send a credential.
const (
	Bearer  Auth = "bearer"    // Authorization: Bearer
	XAPIKey Auth = "x-api-key" // X-Api-Key
	APIKey  Auth = "api-key"   // Api-Key, as Azure does

	XGoogAPIKey Auth = "x-goog-api-key" // X-Goog-Api-Key
)

// An Operation is what is asked of a provider.
type Operation string

// The operations.
const (
	Chat        Operation = "chat"
	Generate    Operation = "generate" // Ollama's chat without roles
	CountTokens Operation = "count_tokens"
	Compact     Operation = "compact" // Responses' shortening of a conversation
	Embed       Operation = "embed"
	ListModels  Operation = "list_models"
)

// Cohere is a format that only providers speak, no client:
// https://docs.cohere.com/v2/reference/chat.
const Cohere translate.Format = "cohere"

// ModelPrefix is what stands before the slash of the provider's models' names.
func (p *Provider) ModelPrefix() string {
	if p.Prefix != "" {
		return p.Prefix
	}
	return p.Name
}

// EndpointFor returns the endpoint that a client of format f is best served by:
// the one of the same format, so that bytes pass through untouched, else the
// preferred one. It returns nil if there is none at all.
func (p *Provider) EndpointFor(f translate.Format) *Endpoint {
	for i := range p.Endpoints {
		if p.Endpoints[i].Format == f {
			return &p.Endpoints[i]
		}
	}
	if len(p.Endpoints) == 0 {
		return nil
	}
	return &p.Endpoints[0]
}
