// Package fault says whose fault a failed attempt was.
//
// What a provider answered goes in: its status, its headers and its error body.
// Out comes a [Fault], whose scope alone decides what happens next: whether
// another candidate is tried, and who is left alone for how long.
//
// Providers agree on little, and what they say is partly what a client has sent
// them, quoted. So what programs are meant to read (codes, types, reasons) is
// asked first, and prose only where the status fits: no text in a request can
// make a rejected request look like a spent account.
package fault

import (
	"net/http"
	"slices"
	"time"

	"github.com/nine-router/nine-router/translate"
)

// A Scope is whose fault a failure was.
type Scope string

// The scopes.
const (
	Request    Scope = "request"    // the client's request: nobody is punished
	Model      Scope = "model"      // this connection's use of this model
	Connection Scope = "connection" // the credential: wrong, spent, limited
	Provider   Scope = "provider"   // the provider as a whole
	Client     Scope = "client"     // the client left
	Gateway    Scope = "gateway"    // our own bug or limit
)

// The reasons that [Table.Classify] gives. They are stable: they stand in logs,
// metrics and the exchange record.
const (
	// Of a request.
	Rejected         = "rejected"          // it is malformed, or asks for what cannot be
	ContextLength    = "context_length"    // it is longer than the model's context window
	TooLarge         = "too_large"         // it has too many bytes, or more tokens than the account may send at once
	ContentPolicy    = "content_policy"    // the provider does not want such content
	Unsupported      = "unsupported"       // the model or the provider lacks a feature that it needs
	Unfetchable      = "unfetchable"       // the provider could not load a URL that is in it
	GenerationFailed = "generation_failed" // the model wrote a tool call or a document that the provider cannot use

	// Of a model.
	ModelUnavailable = "model_unavailable" // unknown, retired, or not loaded
	NotEntitled      = "not_entitled"      // the account may not use it, or has a limit of zero

	// Of a connection.
	RateLimited  = "rate_limited" // too much in a short time
	QuotaSpent   = "quota_spent"  // no money left, or the plan's share of a longer time used up
	Unauthorized = "unauthorized" // the credential is wrong, expired or revoked
	Forbidden    = "forbidden"    // the credential is good, but must not do this
	Region       = "region"       // not served where the gateway, or its proxy, is

	// Of a provider.
	Overloaded    = "overloaded"
	Timeout       = "timeout"
	ServerError   = "server_error"
	Misconfigured = "misconfigured" // there is no such path: the base URL is wrong, or the operation is not offered
	Blocked       = "blocked"       // something in front of the provider refuses us
)

// MaxNamed bounds the times that providers name.
const MaxNamed = 32 * 24 * time.Hour

// A Fault is a classified failure.
type Fault struct {
	Scope  Scope
	Reason string
	// After is how long the provider asked to be left alone, at most
	// [MaxNamed]; 0 if it did not say.
	After time.Duration
	// Pause is the first pause where the provider did not say; 0 is the
	// scheduler's own. It is long where only a person can put things right.
	Pause time.Duration
	// Elsewhere says that another target may take what failed here: it has a
	// longer context window, a feature, another policy, another location.
	Elsewhere bool
	// ThisModel says that the connection may still be good for other models, as
	// it is when a limit of rate is reached: those are counted for each model.
	ThisModel bool
	// Weak says that it may as well be about what was asked for, so that only several
	// in a row tell something about the account.
	Weak bool
	// Final says that the same request cannot succeed at this target however
	// soon it is sent again, so that a client should not try.
	Final bool
}

// An Answer is what a provider answered.
type Answer struct {
	Provider string           // its name in the catalogue, or a node's
	Format   translate.Format // which it answered in
	Status   int              // 0 for an error within a stream
	Header   http.Header
	// Body is the error body, or the JSON of an error event; nil where it is
	// not at hand. What is longer than 64 KiB is not read.
	Body []byte
	Err  *translate.Error // as the format's decoder reads it; nil is as good as empty
}

// A Table classifies answers. It is made by [NewTable] and safe for concurrent
// use.
type Table struct {
	own     []ownRule
	pacific *time.Location
	waits   waits
}

// soon is a wait that clients sit out: the SDKs believe Retry-After up to it.
const soon = time.Minute

// Classify says whose fault an answer was. It takes time linear in the length of
// the body.
func (t *Table) Classify(a *Answer, now time.Time) Fault {
	ev := read(a)
	f, ruled := t.byOwnRules(a, ev)
	if !ruled {
		f = ev.judge()
	}
	if f.Scope != Request && f.After == 0 {
		f.After = t.after(f, ruled, ev, a, now)
	}
	if f.Scope != Request && f.After > 0 && f.After <= soon {
		f.Final = false
	}
	return f
}

// judge asks the rules, the innermost error first: what wraps it knows less.
// Rules that look at the status alone come last, for they know least.
func (ev *evidence) judge() Fault {
	top := &ev.layers[0]
	asked, known := match(byWords, top)
	// Where the request was found wanting, a text may be the client's own.
	mistrust := slices.Contains(rejections, top.status) || known && asked.Scope == Request
	for i := len(ev.layers) - 1; i >= 0; i-- {
		l := &ev.layers[i]
		if f, ok := match(byWords, l); ok && (!l.quoted || !mistrust || f.Scope == Request) {
			return l.seen(f, top)
		}
	}
	for i := len(ev.layers) - 1; i >= 0; i-- {
		l := &ev.layers[i]
		if i > 0 && !l.stated && !l.relayed {
			continue
		}
		if f := ofStatus(l.status); !l.quoted || !mistrust || f.Scope == Request {
			return l.seen(f, top)
		}
	}
	return ofStatus(top.status)
}

// seen returns a fault as it is seen from here. A relay that failed at one of its
// own providers has others for its other models, and our credential there is
// good. A server error with another error in its text is a relay's too, unless
// it quotes a client; in either case it is not more than the model's.
func (l *layer) seen(f Fault, top *layer) Fault {
	if f.Scope != Request && (l.relayed || l.quoted && (top.status == 0 || top.status >= 500)) {
		f.Scope, f.ThisModel, f.Final = Model, false, false
	}
	return f
}
