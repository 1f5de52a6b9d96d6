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

	"github.com/nine-router/nine-router/caddymodule/gateway/fault"
	"github.com/nine-router/nine-router/caddymodule/gateway/schedule"
	"github.com/nine-router/nine-router/caddymodule/provider"
	"github.com/nine-router/nine-router/store"
	"github.com/nine-router/nine-router/store/limit"
)

// Options are what a gateway is made of.
type Options struct {
	Store     store.Store
	Catalogue *provider.Catalogue
	Declared  Declared

	// What belongs to the process rather than to a configuration: who is set
	// aside, which conversation went where, what keys have used, and reasoning
	// that is remembered across requests. Nil is one of its own.
	Board      *schedule.Board
	Affinity   *Affinity
	Ledger     *limit.Ledger
	Continuity *Continuity

	// Open lets clients in who have no key of this gateway.
	// One that they send is known even so.
	Open bool

	// QueryKeys accepts a key as the query parameter "key", as Google's clients
	// may send it. URLs end up in logs, so it is off by default.
	QueryKeys bool

	// NoSockets refuses WebSockets; their clients then use plain HTTP.
	NoSockets bool

	// DefaultModel is asked for by requests that name none.
	DefaultModel string

	// Strategy is that of providers and combos that have none of their own.
	Strategy schedule.Strategy

	Limits  Limits
	Times   Times
	Retry   Retry
	Hedge   Hedge
	Pace    Pace
	Strict  Strict
	Faults  *fault.Table // nil is the built-in one
	Keeping Keeping

	// Transport carries the requests of providers without their own. It must
	// not follow redirects nor undo compression on its own.
	Transport http.RoundTripper
	// Transports, if it is set, has a transport for each connection.
	Transports Transports

	Logger *zap.Logger

	// Observer is told what happens. Nil is nobody.
	Observer Observer
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

// Keeping says what is remembered of conversations.
type Keeping struct {
	// Affinity is how long a conversation that rests still goes where it went
	// before. Negative is never, 0 the default.
	Affinity time.Duration
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
	Connect      time.Duration // from the start of an attempt to a connection that is ready to be written to
	FirstContent time.Duration // from the start of an attempt to its first content
	Silence      time.Duration // between two reads of a stream
	Exchange     time.Duration // all attempts together, to the end of the answer

	// KeepAlive is how long a client of a stream waits for the first content
	// before it is sent comments, so that nobody on the way hangs up. From then
	// on an error is sent within the stream. Negative is never.
	KeepAlive time.Duration
}

// Retry says how often and when those are asked again who failed, once nobody
// else is left. Only what failed before any work was done is worth it.
type Retry struct {
	Rounds  int           // after the first; 0 is the default, negative none
	BackOff time.Duration // before the first of them, doubled for each further, with jitter
	// Wait is how long an exchange waits for the first of those that are set aside,
	// if all are. 0 is not at all: clients know how to wait.
	Wait time.Duration
	// Attempts bounds the upstream calls of one exchange. 0 is no bound but time.
	Attempts int
}

// Hedge sends a request to a second candidate as well when the first has no
// content by a certain time; whoever has content first is taken, and the other
// cancelled.
type Hedge struct {
	On bool
	// After is that time. 0 is learned: three times what the candidate's model
	// usually takes, but at least a second.
	After time.Duration
	// Share is the largest part of all exchanges that may be sent twice, from 0 to
	// 1. 0 is the default.
	Share float64
}

// Pace moves on from a stream that is too slow in its first seconds: nothing is
// sent to the client until the provider has shown that it keeps up, or the time is
// over and nobody else is left. Zero is off.
type Pace struct {
	CharactersPerSecond int
	Within              time.Duration
}

// The defaults of Limits, Times, Retry, Hedge and Keeping.
const (
	DefaultBodyLimit    = 32 << 20
	DefaultAnswerLimit  = 64 << 20
	DefaultEventLimit   = 16 << 20
	DefaultConnect      = 10 * time.Second
	DefaultFirstContent = 2 * time.Minute
	DefaultSilence      = 2 * time.Minute
	DefaultExchange     = 30 * time.Minute
	DefaultKeepAlive    = 15 * time.Second
	DefaultRounds       = 1
	DefaultBackOff      = 250 * time.Millisecond
	DefaultHedgeShare   = 0.05
	DefaultPaceWithin   = 5 * time.Second
	DefaultAffinity     = time.Hour
)

// Declared is what the configuration declares. It is part of every snapshot, and
// a name that stands here and in the store is an error.
type Declared struct {
	Nodes       []store.Node
	Connections []store.Connection // with an ID that is stable across reloads
	Aliases     []store.Alias
	Combos      []store.Combo
	Keys        []DeclaredKey
	Providers   map[string]Settings // by name
	// Models is what the operator says of models, by provider and name or pattern:
	// see [provider.Catalogue.WithInfo].
	Models map[string]map[string]provider.Model
}

// Settings are how a provider is treated.
type Settings struct {
	Strategy      schedule.Strategy // among connections of equal priority; empty is the gateway's
	Sticky        int               // of round_robin: exchanges before it is the next one's turn
	MaxConcurrent int               // exchanges at a time; 0 is any number
	Queue         int               // exchanges that may wait for a place; 0 is the default
	QueueTime     time.Duration     // and for how long; 0 is the default
	Times         Times             // zero is the gateway's
	ModelTimes    map[string]Times  // by model; zero is the provider's
	Headers       http.Header       // sent with every request, over our own
}

// A DeclaredKey is a client's key that stands in the configuration.
type DeclaredKey struct {
	Name   string
	Secret store.Secret
	Limits store.Limits
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
