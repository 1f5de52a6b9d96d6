package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/nine-router/nine-router/caddymodule/gateway/fault"
	"github.com/nine-router/nine-router/caddymodule/gateway/schedule"
	"github.com/nine-router/nine-router/caddymodule/provider"
	"github.com/nine-router/nine-router/store"
	"github.com/nine-router/nine-router/store/limit"
	"github.com/nine-router/nine-router/translate"
	"github.com/nine-router/nine-router/translate/anthropic"
	"github.com/nine-router/nine-router/translate/cohere"
	"github.com/nine-router/nine-router/translate/gemini"
	"github.com/nine-router/nine-router/translate/ollama"
	"github.com/nine-router/nine-router/translate/openai"
	"github.com/nine-router/nine-router/translate/responses"
)

// A Gateway answers the API's requests. It is safe for concurrent use.
type Gateway struct {
	o      Options
	codecs map[translate.Format]translate.Codec
	snap   atomic.Pointer[snapshot]
	found  discoveries
	hedges hedges

	reloading sync.Mutex
}

// New returns a gateway over what the options declare and the store holds. It
// fails if these contradict each other.
func New(ctx context.Context, o Options) (*Gateway, error) {
	def := func(v *int64, d int64) {
		if *v <= 0 {
			*v = d
		}
	}
	def(&o.Limits.Body, DefaultBodyLimit)
	def(&o.Limits.Answer, DefaultAnswerLimit)
	def(&o.Limits.Event, DefaultEventLimit)
	o.Times = o.Times.or(Times{
		Connect: DefaultConnect, FirstContent: DefaultFirstContent, Silence: DefaultSilence,
		Exchange: DefaultExchange, KeepAlive: DefaultKeepAlive,
	})
	if o.Retry.Rounds == 0 {
		o.Retry.Rounds = DefaultRounds
	}
	if o.Retry.BackOff <= 0 {
		o.Retry.BackOff = DefaultBackOff
	}
	if o.Hedge.Share <= 0 {
		o.Hedge.Share = DefaultHedgeShare
	}
	if o.Pace.Within <= 0 {
		o.Pace.Within = DefaultPaceWithin
	}
	if o.Keeping.Affinity == 0 {
		o.Keeping.Affinity = DefaultAffinity
	}
	if err := o.Strategy.Check(); err != nil {
		return nil, err
	}
	if err := o.own(ctx); err != nil {
		return nil, err
	}
	g := &Gateway{o: o, codecs: map[translate.Format]translate.Codec{
		translate.OpenAI:    openai.Codec{},
		translate.Responses: responses.Codec{},
		translate.Anthropic: anthropic.Codec{},
		translate.Gemini:    gemini.Codec{},
		translate.Ollama:    ollama.Codec{},
		provider.Cohere:     cohere.Codec{},
	}}
	return g, g.Reload(ctx)
}

// own gives the gateway one of its own of everything that it was not given.
func (o *Options) own(ctx context.Context) (err error) {
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	if o.Observer == nil {
		o.Observer = silent{}
	}
	if o.Continuity == nil {
		o.Continuity = NewContinuity()
	}
	if o.Board == nil {
		o.Board = schedule.NewBoard()
	}
	if o.Affinity == nil {
		o.Affinity = NewAffinity()
	}
	if o.Ledger == nil {
		o.Ledger = limit.New(o.Store.UsedSince)
	}
	if o.Faults == nil {
		o.Faults, err = fault.NewTable(nil)
	}
	return err
}

// rand gives a number in [0, 1), for jitter.
func (g *Gateway) rand() float64 { return rand.Float64() }

// Reload builds a new snapshot from what the store holds now. Exchanges under
// way keep theirs. On an error the old one stays.
func (g *Gateway) Reload(ctx context.Context) error {
	g.reloading.Lock()
	defer g.reloading.Unlock()
	held, err := g.o.Store.Snapshot(ctx)
	if err != nil {
		return fmt.Errorf("reading the state: %w", err)
	}
	s, err := g.build(held)
	if err != nil {
		return err
	}
	g.snap.Store(s)
	return nil
}

// Models lists what clients may ask for by name. A provider whose models are not
// known takes any name behind its prefix and is not listed.
func (g *Gateway) Models() []Model { return slices.Clone(g.snap.Load().models) }

// Serve answers the request if its path is one of the API's and reports what
// became of it; otherwise it writes nothing and returns false. The record is nil
// for what is not an exchange, such as a list of models.
func (g *Gateway) Serve(w http.ResponseWriter, r *http.Request) (*store.Exchange, bool) {
	c, ok := route(r, "")
	if !ok {
		return nil, false
	}
	if c.format == translate.Responses && c.op == provider.Chat && r.Method == http.MethodGet {
		return nil, g.upgrade(w, r, c)
	}
	if !slices.Contains(c.methods, r.Method) {
		w.Header().Set("Allow", strings.Join(c.methods, ", "))
		g.refuse(w, c.format, &translate.Error{Status: http.StatusMethodNotAllowed, Kind: translate.InvalidRequest,
			Message: "This path takes " + strings.Join(c.methods, " or ") + "."})
		return nil, true
	}
	switch c.answer {
	case byHello:
		w.WriteHeader(http.StatusOK)
		return nil, true
	case byVersion:
		g.serveVersion(w)
		return nil, true
	}
	snap := g.snap.Load()
	k, denied := g.authenticate(snap, r)
	if denied != nil {
		g.refuse(w, c.format, denied)
		return nil, true
	}
	switch c.answer {
	case byModels:
		g.serveModels(w, r, k, c)
		return nil, true
	case byShow:
		g.serveShow(w, r, snap, k, c)
		return nil, true
	case byKept:
		g.serveKept(w, r, c, k.id)
		return nil, true
	}
	if denied := k.may(c.op); denied != nil {
		g.refuse(w, c.format, denied)
		return nil, true
	}
	return g.exchange(w, r, snap, c, k), true
}

// upgrade answers GET of a path that is a socket for those who ask for one.
func (g *Gateway) upgrade(w http.ResponseWriter, r *http.Request, c call) bool {
	if !isUpgrade(r) || g.o.NoSockets {
		// On this status clients go on over plain HTTP.
		w.Header().Set("Upgrade", "websocket")
		w.Header().Set("Allow", http.MethodPost)
		g.refuse(w, c.format, &translate.Error{Status: http.StatusUpgradeRequired, Kind: translate.InvalidRequest,
			Message: "This path takes POST, or a WebSocket where the gateway has them switched on."})
		return true
	}
	k, denied := g.authenticate(g.snap.Load(), r)
	if denied == nil {
		denied = k.may(c.op)
	}
	if denied != nil {
		g.refuse(w, c.format, denied)
		return true
	}
	g.serveSocket(w, r, c, k, func(*store.Exchange) {})
	return true
}

// refuse answers a request that does not become an exchange.
func (g *Gateway) refuse(w http.ResponseWriter, f translate.Format, e *translate.Error) {
	g.writeError(w, f, e, store.NewID("nrx"), 0)
}

// final are the kinds that the same request meets again however often it is
// sent; clients that retry everything are told so.
var final = []translate.ErrorKind{
	translate.InvalidRequest, translate.Unauthenticated, translate.Forbidden,
	translate.NotFound, translate.TooLarge, translate.Billing,
}

// writeError answers with an error in the client's format.
func (g *Gateway) writeError(w http.ResponseWriter, f translate.Format, e *translate.Error, id string, after time.Duration) int {
	told := *e
	told.RequestID, told.RetryAfter = id, after
	if told.Status < 400 || told.Status > 599 {
		told.Status = told.Kind.Status()
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("X-Content-Type-Options", "nosniff")
	setID(h, f, id)
	if after > 0 {
		h.Set("Retry-After", fmt.Sprint(int64((after+time.Second-1)/time.Second)))
	}
	if slices.Contains(final, told.Kind) {
		h["X-Should-Retry"] = never
	}
	body := g.codecs[f].AppendError(nil, &told)
	w.WriteHeader(told.Status)
	w.Write(body)
	return len(body)
}

// setID names the exchange in the header where the format's clients look.
func setID(h http.Header, f translate.Format, id string) {
	if f == translate.Anthropic {
		h["Request-Id"] = []string{id}
		return
	}
	h["X-Request-Id"] = []string{id}
}

// exchange carries one client request through all its attempts.
func (g *Gateway) exchange(w http.ResponseWriter, r *http.Request, snap *snapshot, c call, k *key) *store.Exchange {
	ctx, cancel := context.WithTimeoutCause(r.Context(), g.o.Times.Exchange, errExchangeTime)
	defer cancel()
	x := &exchange{
		g: g, w: w, r: r, ctx: ctx, snap: snap, key: k, call: c, codec: g.codecs[c.format],
		rec: store.Exchange{
			ID: store.NewID("nrx"), Began: time.Now(), KeyID: k.id,
			Operation: string(c.op), ClientFormat: string(c.format),
		},
	}
	defer x.release()
	defer x.settle()
	if failure := x.carry(); failure != nil {
		x.fail(failure)
	}
	x.begun()
	g.o.Observer.End(ctx, &x.rec, &x.trace)
	return &x.rec
}

// record puts the exchange into the books. It must not be lost because the
// client left, so it does not end with the client's context.
func (x *exchange) record() {
	if x.recorded {
		return
	}
	x.recorded = true
	x.rec.Duration = time.Since(x.rec.Began)
	x.rec.Trace, _ = json.Marshal(&x.trace) // of plain values: it cannot fail
	ctx, cancel := context.WithTimeout(context.WithoutCancel(x.r.Context()), 5*time.Second)
	defer cancel()
	if err := x.g.o.Store.Record(ctx, &x.rec); err != nil && !errors.Is(err, context.Canceled) {
		// What the store says may quote values; the kind of failure is enough.
		x.g.o.Logger.Error("exchange is missing in the books", zap.String("exchange", x.rec.ID), zap.String("problem", bookProblem(err)))
	}
}

func bookProblem(err error) string {
	switch {
	case errors.Is(err, store.ErrClosed):
		return "store is closed"
	case errors.Is(err, context.DeadlineExceeded):
		return "store took too long"
	}
	return "store failed"
}
