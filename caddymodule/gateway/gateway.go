// Package gateway carries one exchange from its first byte to its last:
//
//	client bytes ─▶ authenticate ─▶ resolve ─▶ select ─▶ attempt ─▶ relay ─▶ client bytes
//
// On the way it does no I/O but the upstream's: who may come in, what a model
// name means and which connections there are is read from one immutable snapshot
// for the whole exchange. Nothing is written to the client before an upstream
// has produced its first content, so that until then any failure moves on to the
// next candidate unseen; and the exchange is in the books before the client sees
// its end.
package gateway

import (
	"net/http"
	"time"

	"go.uber.org/zap"

	"github.com/nine-router/nine-router/caddymodule/provider"
	"github.com/nine-router/nine-router/store"
)

// Options are what a gateway is made of.
type Options struct {
	Store     store.Store
	Catalogue *provider.Catalogue
	Health    *Health
	Declared  Declared

	// Continuity remembers reasoning across requests. Nil is one of its own.
	Continuity *Continuity

	// Open lets clients in who have no key of this gateway.
	// One that they send is known even so.
	Open bool

	// QueryKeys accepts a key as the query parameter "key", as Google's clients
	// may send it. URLs end up in logs, so it is off by default.
	QueryKeys bool

	// NoSockets refuses WebSockets; their clients then use plain HTTP.
	NoSockets bool

	Limits Limits
	Times  Times
	Strict Strict

	// Transport carries the requests of providers without their own. It must
	// not follow redirects nor undo compression on its own.
	Transport http.RoundTripper

	// Transports has the way to each provider and connection. Nil is Transport
	// for all.
	Transports Transports

	Logger *zap.Logger
}

// Transports are the ways to the providers: what carries requests to a provider
// with one of its connections. They must not follow redirects nor undo
// compression. For is called for each attempt, by many at a time.
type Transports interface {
	For(p *provider.Provider, c *store.Connection) http.RoundTripper
}

// Strict says whose requests are refused rather than answered when a provider's
// format cannot express all of them. A request can ask for the same itself, by the
// header X-Nine-Router-Strict.
type Strict struct {
	Keys   []string // names of keys
	Models []string // as clients ask for them
}

// Limits bound what one exchange may hold.
type Limits struct {
	Body   int64 // bytes of a request body, after decompression
	Answer int64 // bytes of an answer that is not streamed
	Event  int64 // bytes of one event of a stream
}

// Times bound how long an exchange may take. Zero means the default; none can be
// switched off.
type Times struct {
	FirstContent time.Duration // from the start of an attempt to its first content
	Silence      time.Duration // between two reads of a stream
	Exchange     time.Duration // all attempts together

	// KeepAlive is how long a client of a stream waits for the first content
	// before it is sent comments, so that nobody on the way hangs up. From then
	// on an error is sent within the stream. Negative is never.
	KeepAlive time.Duration
}

// The defaults of Limits and Times.
const (
	DefaultBodyLimit    = 32 << 20
	DefaultAnswerLimit  = 64 << 20
	DefaultEventLimit   = 16 << 20
	DefaultFirstContent = 2 * time.Minute
	DefaultSilence      = 2 * time.Minute
	DefaultExchange     = 30 * time.Minute
	DefaultKeepAlive    = 15 * time.Second
)

// Declared is what the configuration declares. It is part of every snapshot, and
// a name that stands here and in the store is an error.
type Declared struct {
	Nodes       []store.Node
	Connections []store.Connection // with an ID that is stable across reloads
	Aliases     []store.Alias
	Combos      []store.Combo
	Keys        []DeclaredKey
}

// A DeclaredKey is a client's key that stands in the configuration.
type DeclaredKey struct {
	Name   string
	Secret store.Secret
}

// A Model is an entry of the model list: something that a client may ask for.
type Model struct {
	ID    string `json:"id"`             // what a client sends
	Owner string `json:"owner"`          // provider, "alias" or "combo"
	Note  string `json:"note,omitempty"` // what an alias or combo stands for
}

// A Probe is what the test of a connection gave.
type Probe struct {
	OK     bool          `json:"ok"`
	Status int           `json:"status,omitempty"` // HTTP status of the provider
	Detail string        `json:"detail"`           // for people, no secrets
	Models []string      `json:"models,omitempty"` // what the provider lists
	Took   time.Duration `json:"took_ns"`
}
