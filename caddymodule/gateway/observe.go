package gateway

import (
	"context"
	"time"

	"github.com/nine-router/nine-router/store"
)

// An Observer is told what happens, for metrics, traces and events. Its methods
// are called on the way of an exchange and from several goroutines; they must
// return at once.
type Observer interface {
	// Begin is told of an exchange as soon as it is known who asks for what.
	Begin(ctx context.Context, x *store.Exchange)
	// End is told how it ended, once it is in the books. The trace is valid only
	// in the call.
	End(ctx context.Context, x *store.Exchange, trace *store.Trace)

	// BeginAttempt is told of an upstream call, and EndAttempt how it ended. The
	// context that the first returns is the second's, and that of the call.
	BeginAttempt(ctx context.Context, x *store.Exchange, a *store.Attempt) context.Context
	EndAttempt(ctx context.Context, x *store.Exchange, a *store.Attempt)

	// Event is told of something that an operator may want to act upon.
	Event(ctx context.Context, e Event)
}

// An Event is something that an operator may want to act upon.
type Event struct {
	Name string // one of the names below
	Data map[string]any
}

// The names of events, and the data that they have.
const (
	// provider, connection, model (if it is only that), reason, until (RFC 3339).
	EventSetAside = "connection_set_aside"
	// provider, connection, model (if it was only that).
	EventWellAgain = "connection_well_again"
	// key (id), name, limit ("spend_day" …), reset (RFC 3339, if there is one).
	EventBudgetExceeded = "budget_exceeded"
)

// silent is the observer of a gateway that has none.
type silent struct{}

func (silent) Begin(context.Context, *store.Exchange)             {}
func (silent) End(context.Context, *store.Exchange, *store.Trace) {}
func (silent) BeginAttempt(ctx context.Context, _ *store.Exchange, _ *store.Attempt) context.Context {
	return ctx
}
func (silent) EndAttempt(context.Context, *store.Exchange, *store.Attempt) {}
func (silent) Event(context.Context, Event)                                {}

// rfc3339 is how events and headers state a time.
func rfc3339(t time.Time) string { return t.UTC().Format(time.RFC3339) }
