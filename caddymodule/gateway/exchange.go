package gateway

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nine-router/nine-router/caddymodule/gateway/fault"
	"github.com/nine-router/nine-router/caddymodule/gateway/schedule"
	"github.com/nine-router/nine-router/caddymodule/provider"
	"github.com/nine-router/nine-router/store"
	"github.com/nine-router/nine-router/store/limit"
	"github.com/nine-router/nine-router/translate"
)

// exchange is one client request on its way.
type exchange struct {
	g     *Gateway
	w     http.ResponseWriter
	r     *http.Request
	ctx   context.Context // the client's, within the limit of the whole exchange
	snap  *snapshot
	key   *key
	call  call
	codec translate.Codec // of the client

	body    lease // of the memory that env is in
	env     *envelope
	request *translate.Request // decoded when the first candidate needs it
	// foreign says that the body holds state of a provider of another format, so
	// that it cannot be passed on as it is.
	foreign bool
	// unresolved says that the body names a response that is not kept here.
	unresolved bool
	// strict says that the client would rather have an error than an answer to a
	// request of which something was lost.
	strict bool

	meaning      *meaning
	conversation conversation
	begins       bool                         // the conversation does
	deadline     time.Time                    // for the first content of whoever answers; zero is none
	ends         map[*schedule.Plan]time.Time // of the combos that have a limit of time
	need         *provider.Need
	failed       struct {
		cheap   bool                 // somebody in this pass, before any work was done
		dear    []schedule.Candidate // they have had their try
		refused []schedule.Target    // they want another request
		beside  *failure             // of an attempt that had another beside it
		soonest time.Duration        // until somebody returns who was passed over; 0 is nobody
	}
	waited   time.Duration      // for those who were set aside
	reserved *limit.Reservation // nil if the key has no limits

	out      client // what the client has been sent
	rec      store.Exchange
	trace    store.Trace
	observed bool // the observer knows of it
	recorded bool
}

// carry runs the exchange. A panic is a failure of the gateway's, told as any other:
// its client gets an answer, and the books and the observer have it.
func (x *exchange) carry() (f *failure) {
	defer func() {
		if p := recover(); p != nil {
			f = x.panicked(p)
		}
	}()
	return x.run()
}

func (x *exchange) panicked(p any) *failure {
	x.g.logPanic(x.rec.ID, p)
	return &failure{err: internal(), fault: fault.Fault{Scope: fault.Gateway, Reason: "panic"}}
}

// run reads the request and tries one candidate after the other.
func (x *exchange) run() *failure {
	body, refused := x.g.readBody(x.w, x.r, &x.body)
	x.rec.BytesIn = int64(len(body))
	if refused != nil {
		return refusal(refused, "body")
	}
	env, refused := open(body, &x.call, x.g.o.DefaultModel)
	if refused != nil {
		return refusal(refused, "malformed")
	}
	x.env = env
	x.strict = x.key.strict || slices.Contains(x.g.o.Strict.Models, env.model)
	if on, err := strconv.ParseBool(x.r.Header.Get("X-Nine-Router-Strict")); err == nil && on {
		x.strict = true
	}
	if refused := x.resolvePrevious(); refused != nil {
		return &failure{err: refused, fault: fault.Fault{Scope: fault.Gateway, Reason: "kept"}}
	}
	env = x.env
	x.foreign = translate.HasSeal(env.body)
	x.rec.Requested, x.rec.Stream = env.model, env.stream && x.call.op == provider.Chat
	x.trace.Requested = env.model
	x.begun()
	if f := x.reserve(); f != nil {
		return f
	}
	x.meaning = x.snap.resolve(env.model)
	if x.meaning == nil {
		x.meaning = x.discover()
	}
	if x.meaning == nil {
		return refusal(x.snap.unknownModel(env.model, x.key), "unknown_model")
	}
	x.trace.Resolved = x.meaning.by
	if d := x.meaning.deadline; d > 0 {
		x.deadline = x.rec.Began.Add(d)
	}
	x.out.begin(x)
	defer x.out.end()
	f := x.try()
	if x.call.op == provider.CountTokens && f != nil && f.estimable() {
		return x.estimateTokens(x.rec.Model)
	}
	return f
}

// begun tells the observer of the exchange, once, and before it is told of its end:
// of a body that cannot be read as well.
func (x *exchange) begun() {
	if !x.observed {
		x.observed = true
		x.g.o.Observer.Begin(x.ctx, &x.rec)
	}
}

// try goes over the candidates, and over them again if those who failed may be
// well soon and nobody else is left.
func (x *exchange) try() *failure {
	var worst *failure
	for round := 0; ; round++ {
		x.failed.cheap, x.failed.soonest = false, 0
		f := x.goOver(x.pass())
		if f == nil {
			return nil
		}
		after := f.fault.After
		if f.unasked && worst != nil {
			f = worst // those who were asked have said more
		}
		worst = worse(worst, f)
		if after > 0 && worst.fault.Scope != fault.Request {
			worst.fault.After = after // what was known in an earlier round is over
		}
		if f.fault.Reason == reasonFull {
			return worst // somebody may have said more before there was no place
		}
		if f.final() || x.ctx.Err() != nil {
			return f
		}
		if !x.again(f, round) {
			if left := classifyTransport(x.ctx, x.ctx, context.Canceled); x.ctx.Err() != nil && left.fault.Scope == fault.Client {
				return left
			}
			return worst
		}
	}
}

// goOver asks the candidates of one pass. What one failure was decides who is
// asked next.
func (x *exchange) goOver(pass *schedule.Pass) *failure {
	var worst *failure
	for !x.over() {
		t, f := x.next(pass)
		if f != nil && f.fault.Scope == fault.Client {
			return f
		}
		if f != nil {
			return worse(worst, f)
		}
		if t == nil {
			if worst != nil {
				return x.soonest(pass, worst)
			}
			return x.nobody(pass)
		}
		a := x.attempt(t)
		if x.g.o.Pace.CharactersPerSecond > 0 {
			a.alone = !pass.More()
		}
		if f := x.afford(a); f != nil {
			t.Done(time.Now())
			x.passOver(t.Candidate, f.fault.Reason, time.Time{})
			worst = worse(worst, f)
			continue
		}
		if f, a = x.ask(a, pass); f == nil {
			return nil
		}
		worst = worse(worse(worst, x.failed.beside), f)
		x.failed.beside = nil
		if f.decides() || x.ctx.Err() != nil {
			return f
		}
		if f.fault.Scope == fault.Request {
			x.refusedBy(a.Target, pass)
		}
	}
	if worst == nil {
		return late()
	}
	return worst
}

// refusedBy notes that a target wants another request.
func (x *exchange) refusedBy(t schedule.Target, pass *schedule.Pass) {
	pass.Leave(t)
	x.failed.refused = append(x.failed.refused, t)
}

// over says that nobody may be asked any more, because there were as many attempts
// as there may be, or the time for them is over. The first one is always made.
func (x *exchange) over() bool {
	if x.rec.Attempts == 0 {
		return false
	}
	n := x.g.o.Retry.Attempts
	return n > 0 && x.rec.Attempts >= n || !x.deadline.IsZero() && !time.Now().Before(x.deadline)
}

// next takes a place at the next candidate, and waits for one if all that are left
// are full.
func (x *exchange) next(pass *schedule.Pass) (*schedule.Ticket, *failure) {
	if t := pass.Next(); t != nil || !pass.Full() {
		return t, nil
	}
	ctx := x.ctx
	if !x.deadline.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, x.deadline)
		defer cancel()
	}
	began := time.Now()
	t, err := pass.Wait(ctx)
	x.trace.Queue += time.Since(began)
	switch {
	case err == nil:
		return t, nil
	case x.ctx.Err() != nil:
		return nil, classifyTransport(x.ctx, x.ctx, x.ctx.Err())
	case ctx.Err() != nil, errors.Is(err, schedule.ErrOver):
		return nil, late()
	}
	return nil, full(err)
}

const reasonFull = "full"

// full is the failure of an exchange for which there was no place in time.
func full(err error) *failure {
	return &failure{fault: fault.Fault{Scope: fault.Gateway, Reason: reasonFull, After: time.Second},
		err: &translate.Error{Status: http.StatusServiceUnavailable, Kind: translate.Overloaded, Code: "queue_full",
			Message: "Every connection for this model has as many requests as it may have: " + err.Error() + "."}}
}

// again waits before another round, if there is to be one: those who have failed
// cheaply are worth it, once, and those who are well again soon, as long as a client
// may be kept waiting.
func (x *exchange) again(f *failure, round int) bool {
	r := &x.g.o.Retry
	if x.over() || f.decides() {
		return false
	}
	var pause time.Duration
	if x.failed.cheap && round < r.Rounds {
		pause = r.BackOff << min(round, 10)
		pause += time.Duration(x.g.rand() * float64(pause))
	} else {
		pause = x.failed.soonest
		if pause == 0 && f.fault.Scope == fault.Connection {
			pause = f.fault.After
		}
		if pause <= 0 || x.waited+pause > r.Wait || f.fault.Scope == fault.Request {
			return false
		}
		x.waited += pause
	}
	if !x.deadline.IsZero() && time.Until(x.deadline) <= pause {
		return false
	}
	timer := time.NewTimer(max(pause, time.Millisecond))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-x.ctx.Done():
		return false
	}
}

// fail tells the client what went wrong and puts the exchange into the books
// first.
func (x *exchange) fail(f *failure) {
	x.rec.Scope, x.rec.Reason = string(f.fault.Scope), f.fault.Reason
	switch {
	case f.fault.Scope == fault.Client:
		x.rec.Outcome, x.rec.Status = store.Cancelled, statusClientClosed
		x.record()
		if !x.out.started() {
			x.w.WriteHeader(statusClientClosed) // for the access log
		}
		return
	case f.told:
		x.record()
		return
	}
	// A wrong credential of ours must not look like a wrong key of the client's.
	told := f.operators()
	told.Message = sentence(told.Message) + x.tried(f)
	if f.fault.Scope == fault.Model && f.fault.Reason == fault.ModelUnavailable && len(x.snap.models) > 0 {
		told.Message = sentence(told.Message) + x.snap.near(x.env.model, x.key)
	}
	x.rec.Outcome, x.rec.Status = store.Failed, told.Status
	if x.rec.Status == 0 {
		x.rec.Status = told.Kind.Status()
	}
	if x.out.started() {
		x.rec.Status = http.StatusOK
		x.record()
		x.out.failInStream(&told, nil)
		return
	}
	x.record()
	for name, values := range f.limits {
		x.w.Header()[name] = values
	}
	if f.hopeless() {
		x.w.Header()["X-Should-Retry"] = never
	}
	x.rec.BytesOut = int64(x.g.writeError(x.w, x.call.format, &told, x.rec.ID, f.fault.After))
}

// sentence ends a provider's text, so that ours can follow.
func sentence(s string) string {
	if s = strings.TrimRight(s, " \n"); s == "" || strings.HasSuffix(s, ".") || strings.HasSuffix(s, "!") || strings.HasSuffix(s, "?") || strings.HasSuffix(s, "…") {
		return s
	}
	return s + "."
}

var never = []string{"false"}

func (x *exchange) release() {
	if x.request != nil {
		x.request.Release()
		x.request = nil
	}
	x.body.end()
}
