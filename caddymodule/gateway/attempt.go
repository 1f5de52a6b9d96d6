package gateway

import (
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/http/httptrace"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/nine-router/nine-router/caddymodule/gateway/fault"
	"github.com/nine-router/nine-router/caddymodule/gateway/schedule"
	"github.com/nine-router/nine-router/caddymodule/provider"
	"github.com/nine-router/nine-router/store"
	"github.com/nine-router/nine-router/translate"
	"github.com/nine-router/nine-router/translate/responses"
)

// maxErrorBody bounds what is read of an answer with an error status, in bytes.
const maxErrorBody = 64 << 10

// An attempt is one upstream call for one candidate, in two parts. Opening it goes
// as far as the first content, without a word to the client, so that several can
// be opened at a time and any may fail unseen; delivering it sends the answer to
// the client. Until it is delivered it changes nothing of its exchange.
type attempt struct {
	*schedule.Ticket
	x        *exchange
	endpoint *provider.Endpoint
	member   *member
	times    *Times
	deadline time.Time // for the first content; zero is none
	op       provider.Operation
	passing  bool // both sides speak the same format, and nothing stands against passing bytes
	hedge    bool
	alone    bool        // nobody else is left; known only where the pace is guarded
	slow     atomic.Bool // it is too slow, and alone

	rec    store.Attempt
	ctx    context.Context
	cancel context.CancelCauseFunc
	watch  *time.Timer
	phase  atomic.Int32
	began  time.Time

	memory lease            // for the translated request
	names  *translate.Names // of the tools
	losses translate.Losses // of the request
	found  struct {         // what the answer turned out to be
		resp   *http.Response
		body   io.Reader
		stream bool
		end    error // how it ended, if it did before it was delivered
	}

	decoder translate.Decoder
	encoder translate.Encoder // nil if bytes pass through
	seen    observer
	whole   []byte  // an answer that is one document
	buffer  *[]byte // what held was first made of
	held    []byte  // bytes from before the first content, or an event that is not whole yet
	content bool    // the client has been sent content
	ended   bool

	searched int   // bytes of held in which no event ends
	sequence int64 // of the last event that was passed on, in Responses
}

// The phases of an attempt, each with its limit of time.
const (
	connecting int32 = iota
	waiting          // for the first content
	pacing           // for as much as shows that it keeps up
	streaming
)

// attempt makes an attempt of a place at a candidate.
func (x *exchange) attempt(t *schedule.Ticket) *attempt {
	a := &attempt{Ticket: t, x: x, member: x.snap.byName[t.Provider.Name]}
	a.endpoint = t.Provider.EndpointFor(x.call.format)
	a.times = a.member.timesOf(t.Model)
	if a.deadline = x.deadline; a.deadline.IsZero() || !t.Until.IsZero() && t.Until.Before(a.deadline) {
		a.deadline = t.Until
	}
	a.passing = x.passes(a.endpoint)
	a.op = x.call.op
	switch {
	case x.env.prompt && a.passing:
		a.op = provider.Generate
	case a.compacts():
		a.op = provider.Chat
	}
	return a
}

// begin notes the attempt in the exchange.
func (a *attempt) begin() {
	x := a.x
	x.rec.Attempts++
	x.rec.Provider, x.rec.Model, x.rec.ConnectionID = a.Provider.Name, a.Model, a.Connection.ID
	x.rec.ProviderFormat = string(a.endpoint.Format)
	a.began = time.Now()
	a.rec = store.Attempt{Provider: a.Provider.Name, Model: a.Model, Connection: a.Connection.ID, Format: string(a.endpoint.Format),
		Probe: a.Probing(), Hedge: a.hedge, Began: a.began.Sub(x.rec.Began)}
	a.ctx, a.cancel = context.WithCancelCause(x.g.o.Observer.BeginAttempt(x.ctx, &x.rec, &a.rec))
}

// end notes in the exchange what became of the attempt, and in the scheduler what
// that says of who was asked.
func (a *attempt) end(f *failure) {
	if a.ended {
		return
	}
	a.ended = true
	if a.cancel != nil {
		a.cancel(nil)
	}
	if a.found.resp != nil {
		a.found.resp.Body.Close()
	}
	a.putBack()
	a.memory.end()
	x, now := a.x, time.Now()
	if f != nil {
		a.rec.Scope, a.rec.Reason = string(f.fault.Scope), f.fault.Reason
	}
	a.note()
	x.g.o.Observer.EndAttempt(a.ctx, &x.rec, &a.rec)
	switch {
	case f == nil || f.fault.Scope == fault.Client || f.fault.Scope == fault.Gateway:
		a.Done(now)
	default:
		v := f.verdict()
		if f.fault.Reason == reasonDeadline && now.Sub(a.began) < a.patience() {
			v.Place = schedule.Nowhere // it had hardly any time
		}
		if x.call.op == provider.CountTokens && v.Place != schedule.AtProvider {
			v.Place = schedule.Nowhere // whoever cannot count may yet answer
		}
		marks := a.Fail(v, now)
		for i := range marks {
			x.g.setAside(x.ctx, &marks[i])
			// Somebody is asked again at the latest then, whatever time was named.
			if at := marks[i].Probe.Sub(now); f.fault.After == 0 || at < f.fault.After {
				f.fault.After = at
			}
		}
		switch {
		case f.cheap && len(marks) == 0:
			x.failed.cheap = true
		case f.fault.Scope == fault.Provider || f.fault.Scope == fault.Model:
			x.failed.dear = append(x.failed.dear, a.Candidate)
		}
		x.g.logAttempt(x, a, f)
	}
}

// patience is how long the candidate is waited for, at least, before a combo's
// deadline says anything about it: three times as long as it usually takes.
func (a *attempt) patience() time.Duration {
	if pace := a.Pace(); pace > 0 {
		return max(3*pace, 2*time.Second)
	}
	return 10 * time.Second
}

// note puts the attempt into the trace as it stands.
func (a *attempt) note() {
	a.rec.Ended = time.Since(a.x.rec.Began)
	t := &a.x.trace
	for i := range t.Attempts {
		if t.Attempts[i].Began == a.rec.Began && t.Attempts[i].Connection == a.rec.Connection && t.Attempts[i].Model == a.rec.Model {
			t.Attempts[i] = a.rec
			return
		}
	}
	if len(t.Attempts) < maxPassed {
		t.Attempts = append(t.Attempts, a.rec)
	}
}

// open asks the candidate, and reads as far as there is something for the client.
func (a *attempt) open() *failure {
	x := a.x
	if !a.endpoint.Can(a.op) {
		if x.call.op == provider.CountTokens {
			return nil // it is estimated
		}
		return unsupported(a)
	}
	if f := x.dependent(a.passing); f != nil {
		return f
	}
	body, refused := a.encode()
	if refused != nil {
		return &failure{err: refused, fault: fault.Fault{Scope: fault.Request, Reason: "untranslatable", Elsewhere: true, Final: true}}
	}
	ctx := a.watched()
	defer func() { a.watch.Stop() }() // whichever is running by then
	req, err := a.endpoint.NewRequest(ctx, &provider.Call{
		Operation: a.op, Model: a.Model, Stream: x.rec.Stream, Body: body,
		Credential: a.Connection.APIKey, Client: x.r.Header, PassThrough: a.passing,
	})
	if errors.Is(err, provider.ErrUnsupported) {
		return &failure{err: x.snap.unknownModel(x.env.model, x.key), fault: fault.Fault{Scope: fault.Request, Reason: "unknown_model", Elsewhere: true, Final: true}}
	}
	if err != nil {
		x.g.o.Logger.Error("building an upstream request", zap.String("exchange", x.rec.ID), zap.String("provider", a.Provider.Name), zap.Error(err))
		return &failure{err: internal(), fault: fault.Fault{Scope: fault.Gateway, Reason: "request"}}
	}
	for name, values := range a.member.header {
		req.Header[name] = values
	}
	if a.passing {
		x.body.guard(req)
	} else {
		a.memory.guard(req)
	}
	resp, err := x.g.transport(a.Provider.Provider, a.Connection.Connection).RoundTrip(req)
	if err != nil {
		f := classifyTransport(a.ctx, x.ctx, err)
		if f.fault.Reason == "broken_off" && a.rec.Connected == 0 && a.Provider.Transport == nil {
			f.fault.Reason = "unreachable" // in the handshake
		}
		f.cheap = f.fault.Reason == "unreachable" || f.fault.Reason == "broken_off"
		if f.fault.Reason == "proxy_failed" && len(a.Connection.Proxies) > 0 {
			f.fault.Scope = fault.Connection // they are its own
		}
		return f
	}
	a.found.resp = resp
	a.rec.Status, a.rec.FirstByte = resp.StatusCode, time.Since(x.rec.Began)
	if a.phase.CompareAndSwap(connecting, waiting) { // a transport that tells of no connection
		a.watch.Reset(a.untilContent())
	}
	if a.found.body, err = plain(resp, x.g.o.Limits.Answer); err != nil {
		return broken("broken_answer", "The provider answered in a compression that was not asked for.")
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return a.refused()
	}
	return a.read()
}

// watched returns the context of the call, which ends when a limit of time is
// over.
func (a *attempt) watched() context.Context {
	first := a.untilContent()
	if a.Provider.Transport != nil || a.times.Connect >= first {
		a.phase.Store(waiting) // it is the tighter of the two
	} else {
		first = a.times.Connect
	}
	a.watch = time.AfterFunc(first, func() {
		phase := a.phase.Load()
		if d := a.deadline; phase != streaming && !d.IsZero() && !time.Now().Before(d) {
			a.cancel(errDeadline)
			return
		}
		switch phase {
		case connecting:
			a.cancel(errConnect)
		case waiting:
			a.cancel(errFirstContent)
		default:
			a.cancel(errSilence)
		}
	})
	if a.Provider.Transport != nil {
		return a.ctx
	}
	return httptrace.WithClientTrace(a.ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) {
		a.rec.Connected = time.Since(a.x.rec.Began)
		if a.phase.CompareAndSwap(connecting, waiting) {
			a.watch.Reset(a.untilContent())
		}
	}})
}

// untilContent is how long the first content may still take.
func (a *attempt) untilContent() time.Duration {
	d := a.times.FirstContent - time.Since(a.began)
	if !a.deadline.IsZero() {
		d = min(d, time.Until(a.deadline))
	}
	return max(d, time.Millisecond)
}

// unsupported is the failure of a candidate that has no such operation.
func unsupported(a *attempt) *failure {
	return &failure{err: &translate.Error{Status: http.StatusNotFound, Kind: translate.NotFound, Code: "unsupported_operation",
		Message: "The provider " + a.Provider.Name + " has no such operation."}, fault: fault.Fault{Scope: fault.Request, Reason: "unsupported", Elsewhere: true, Final: true}}
}

// dependent is the failure of a request that goes on with something that only
// another provider has. Both errors make clients send the whole conversation.
func (x *exchange) dependent(passing bool) *failure {
	var err *translate.Error
	switch {
	case passing:
		return nil
	case x.unresolved:
		err = unknownPrevious(x.env.previous)
	case strings.Contains(x.env.thread, `"continue"`):
		err = unknownThread()
	default:
		return nil
	}
	return &failure{err: err, fault: fault.Fault{Scope: fault.Request, Reason: "not_kept", Elsewhere: true}}
}

// unknownThread is the error on which Anthropic's clients replay a thread as a
// whole; nothing is kept of threads here.
func unknownThread() *translate.Error {
	return &translate.Error{Status: http.StatusNotFound, Kind: translate.NotFound, Details: `{"error_code":"thread_not_found"}`,
		Message: "The thread is not kept by this gateway. Send the whole conversation."}
}

// compacts says that the candidate is asked for a summary in place of a compaction,
// which it does not have.
func (a *attempt) compacts() bool {
	return a.x.call.op == provider.Compact && !a.endpoint.Can(provider.Compact)
}

// passes says that the client's own bytes go to the endpoint: both speak the same
// format, and nothing in them is of another provider or of ours.
func (x *exchange) passes(e *provider.Endpoint) bool {
	if x.call.op == provider.Embed && x.call.format == translate.Gemini {
		return false // the body names the model again, for each text
	}
	return e.Format == x.call.format && !x.foreign
}

// encode returns the body for the candidate: the client's own bytes but for the
// model's name if both speak the same format, else its translation.
func (a *attempt) encode() (provider.Body, *translate.Error) {
	x := a.x
	if a.passing {
		return x.env.withModel(a.Model), nil
	}
	if x.call.op == provider.Embed {
		return a.encodeEmbedding()
	}
	if refused := x.decode(); refused != nil {
		return nil, refused
	}
	req := *x.request
	req.Model, req.Stream = a.Model, x.rec.Stream
	req.CountOnly = x.call.op == provider.CountTokens
	if a.compacts() {
		req.Tools, req.ToolChoice, req.Output = nil, translate.ToolChoice{}, translate.Output{}
		req.Messages = append(slices.Clone(req.Messages), translate.Message{
			Role: translate.RoleUser, Parts: []translate.Part{{Kind: translate.Text, Text: responses.CompactionPrompt}}})
	}
	x.recall(&req)
	codec := x.g.codecs[a.endpoint.Format]
	adapted, names := translate.Adapt(&req, codec.ToolRules(req.Model), &a.losses)
	// Formats differ little in how much they write for the same.
	body, err := codec.AppendRequest(a.memory.need(len(x.env.body)+len(x.env.body)/4+1<<10), adapted, &a.losses)
	if err != nil {
		return nil, asError(err)
	}
	if x.strict && len(a.losses) > 0 {
		return nil, lossy(a.losses)
	}
	a.names = names
	if ce := x.g.o.Logger.Check(zap.DebugLevel, "translated"); ce != nil {
		ce.Write(zap.String("exchange", x.rec.ID), zap.Any("losses", a.losses))
	}
	return provider.Body{body}, nil
}

// decode reads the request, once for all candidates.
func (x *exchange) decode() *translate.Error {
	if x.request != nil {
		return nil
	}
	req, err := x.codec.DecodeRequest(x.env.body, translate.RequestOptions{Checked: true})
	if err != nil {
		return asError(err)
	}
	x.request = req
	return nil
}

func (g *Gateway) transport(p *provider.Provider, c *store.Connection) http.RoundTripper {
	switch {
	case p.Transport != nil:
		return p.Transport
	case g.o.Transports != nil:
		return g.o.Transports.For(p, c)
	}
	return g.o.Transport
}

func (g *Gateway) responseHeaders(dst, src http.Header) {
	if src != nil {
		provider.ResponseHeaders(dst, src)
	}
}

// refused reads and classifies an answer with an error status.
func (a *attempt) refused() *failure {
	resp := a.found.resp
	body, _ := io.ReadAll(io.LimitReader(a.found.body, maxErrorBody))
	if a.ctx.Err() != nil {
		return classifyTransport(a.ctx, a.x.ctx, a.ctx.Err())
	}
	e := a.codec().DecodeError(resp.StatusCode, body)
	f := &failure{err: e, fault: a.x.g.o.Faults.Classify(&fault.Answer{
		Provider: a.Provider.Name, Format: a.endpoint.Format, Status: resp.StatusCode, Header: resp.Header, Body: body, Err: e,
	}, time.Now())}
	f.cheap = f.fault.Scope == fault.Provider && resp.StatusCode >= 500 && f.fault.After == 0
	e.Message = a.clean(e.Message)
	if resp.StatusCode < 400 {
		e.Status, e.Kind = http.StatusBadGateway, translate.ServerError
		e.Message = "The provider answered with a redirect, which is not followed."
	}
	return f
}

func (a *attempt) codec() translate.Codec { return a.x.g.codecs[a.endpoint.Format] }

func isStream(h http.Header) bool {
	t, _, _ := mime.ParseMediaType(h.Get("Content-Type"))
	return t == "text/event-stream" || t == "application/x-ndjson"
}

// setAside tells of somebody who is newly set aside.
func (g *Gateway) setAside(ctx context.Context, m *schedule.Mark) {
	data := map[string]any{"provider": m.Provider, "reason": m.Reason, "until": rfc3339(m.Until)}
	if m.Connection != "" {
		data["connection"] = m.Connection
	}
	if m.Model != "" {
		data["model"] = m.Model
	}
	g.o.Observer.Event(ctx, Event{Name: EventSetAside, Data: data})
	if ce := g.o.Logger.Check(zap.WarnLevel, "set aside"); ce != nil {
		ce.Write(zap.String("provider", m.Provider), zap.String("connection", m.Connection), zap.String("model", m.Model),
			zap.String("reason", m.Reason), zap.Time("until", m.Until))
	}
}

// wellAgain tells of those who were set aside and are no more.
func (g *Gateway) wellAgain(ctx context.Context, cleared []schedule.Subject) {
	for _, s := range cleared {
		data := map[string]any{"provider": s.Provider}
		if s.Connection != "" {
			data["connection"] = s.Connection
		}
		if s.Model != "" {
			data["model"] = s.Model
		}
		g.o.Observer.Event(ctx, Event{Name: EventWellAgain, Data: data})
		if ce := g.o.Logger.Check(zap.InfoLevel, "well again"); ce != nil {
			ce.Write(zap.String("provider", s.Provider), zap.String("connection", s.Connection), zap.String("model", s.Model))
		}
	}
}

func (g *Gateway) logAttempt(x *exchange, a *attempt, f *failure) {
	if ce := g.o.Logger.Check(zap.WarnLevel, "attempt failed"); ce != nil {
		ce.Write(zap.String("exchange", x.rec.ID), zap.String("provider", a.Provider.Name), zap.String("connection", a.Connection.ID),
			zap.String("model", a.Model), zap.String("scope", string(f.fault.Scope)), zap.String("reason", f.fault.Reason),
			zap.Int("status", a.rec.Status))
	}
}

func (g *Gateway) logPanic(id string, p any) {
	g.o.Logger.Error("recovered from a panic", zap.String("exchange", id), zap.Any("panic", p), zap.Stack("stack"))
}
